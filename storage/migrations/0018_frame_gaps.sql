-- Frames that never arrived, seen by the holes they leave in the numbering.
CREATE TABLE frame_gaps (
    connector text NOT NULL,
    run text NOT NULL,
    topic text NOT NULL,
    bucket integer NOT NULL,
    first_seq bigint NOT NULL,
    last_seq bigint NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (connector, run, topic, bucket, first_seq)
);
COMMENT ON TABLE frame_gaps IS '缺帧记录 / Frames that the store never saw, by their numbers';
COMMENT ON COLUMN frame_gaps.connector IS '接入 / Connector instance';
COMMENT ON COLUMN frame_gaps.run IS '运行标识 / Run of that connector';
COMMENT ON COLUMN frame_gaps.topic IS '主题 / Topic the store reads';
COMMENT ON COLUMN frame_gaps.bucket IS '桶 / Bucket, which is the partition';
COMMENT ON COLUMN frame_gaps.first_seq IS '首个缺帧号 / First number missing';
COMMENT ON COLUMN frame_gaps.last_seq IS '末个缺帧号 / Last number missing';
COMMENT ON COLUMN frame_gaps.at IS '发现时间 / When the hole was seen';
