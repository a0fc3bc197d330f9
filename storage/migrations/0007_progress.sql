-- How far each agent has come, and what it holds in memory there; written in the same transaction as its output.

CREATE TABLE checkpoints (
    agent text NOT NULL,
    topic text NOT NULL,
    partition integer NOT NULL,
    next_offset bigint NOT NULL,
    replay_from bigint NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (agent, topic, partition)
) WITH (fillfactor = 50);
COMMENT ON TABLE checkpoints IS '处理进度 / Progress of each agent in each partition';
COMMENT ON COLUMN checkpoints.agent IS '处理程序 / Agent';
COMMENT ON COLUMN checkpoints.topic IS '主题 / Kafka topic';
COMMENT ON COLUMN checkpoints.partition IS '分区 / Kafka partition';
COMMENT ON COLUMN checkpoints.next_offset IS '下一偏移量 / First offset whose output is not yet committed';
COMMENT ON COLUMN checkpoints.replay_from IS '重放起点 / Offset from which memory can be rebuilt; never above next_offset';
COMMENT ON COLUMN checkpoints.updated_at IS '更新时间 / When this was committed';

CREATE TABLE checkpoint_marks (
    agent text NOT NULL,
    topic text NOT NULL,
    partition integer NOT NULL,
    connector text NOT NULL,
    run text NOT NULL,
    bucket integer NOT NULL,
    seq bigint NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (agent, topic, partition, connector, run, bucket)
) WITH (fillfactor = 50);
COMMENT ON TABLE checkpoint_marks IS '帧序号 / Last frame number seen of each stream of frames';
COMMENT ON COLUMN checkpoint_marks.agent IS '处理程序 / Agent';
COMMENT ON COLUMN checkpoint_marks.topic IS '主题 / Kafka topic';
COMMENT ON COLUMN checkpoint_marks.partition IS '分区 / Kafka partition';
COMMENT ON COLUMN checkpoint_marks.connector IS '接入 / Connector instance that numbered the frames';
COMMENT ON COLUMN checkpoint_marks.run IS '运行标识 / Run of that connector';
COMMENT ON COLUMN checkpoint_marks.bucket IS '桶 / Bucket within which frames are numbered';
COMMENT ON COLUMN checkpoint_marks.seq IS '帧序号 / Number of the last frame seen';
COMMENT ON COLUMN checkpoint_marks.updated_at IS '更新时间 / When this was committed';

CREATE TABLE checkpoint_state (
    agent text NOT NULL,
    topic text NOT NULL,
    partition integer NOT NULL,
    key text NOT NULL,
    value bytea NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (agent, topic, partition, key)
) WITH (fillfactor = 70);
COMMENT ON TABLE checkpoint_state IS '处理状态 / Long-lived memory of an agent, one row per part that changes';
COMMENT ON COLUMN checkpoint_state.agent IS '处理程序 / Agent';
COMMENT ON COLUMN checkpoint_state.topic IS '主题 / Kafka topic';
COMMENT ON COLUMN checkpoint_state.partition IS '分区 / Kafka partition';
COMMENT ON COLUMN checkpoint_state.key IS '键 / Name of the part, chosen by the agent';
COMMENT ON COLUMN checkpoint_state.value IS '值 / The part, as the agent encodes it';
COMMENT ON COLUMN checkpoint_state.updated_at IS '更新时间 / When this was committed';
