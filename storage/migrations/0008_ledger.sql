-- The proof that nothing is lost: what came in, and what became of it.

CREATE TABLE ledger (
    connector text NOT NULL,
    kind text NOT NULL,
    topic text NOT NULL,
    partition integer NOT NULL,
    minute timestamptz NOT NULL,
    received bigint NOT NULL,
    stored bigint NOT NULL,
    duplicates bigint NOT NULL,
    rejected bigint NOT NULL,
    PRIMARY KEY (connector, kind, topic, partition, minute)
) WITH (fillfactor = 70);
COMMENT ON TABLE ledger IS '数据台账 / Rows of the frames that reached the store, by minute of arrival';
COMMENT ON COLUMN ledger.connector IS '接入 / Connector instance';
COMMENT ON COLUMN ledger.kind IS '数据类别 / Kind of the readings';
COMMENT ON COLUMN ledger.topic IS '主题 / Kafka topic the store read them from';
COMMENT ON COLUMN ledger.partition IS '分区 / Kafka partition';
COMMENT ON COLUMN ledger.minute IS '分钟 / Minute in which their frame arrived';
COMMENT ON COLUMN ledger.received IS '接收行数 / Rows of the frames as the connector made them';
COMMENT ON COLUMN ledger.stored IS '入库行数 / Rows written to the kind''s table';
COMMENT ON COLUMN ledger.duplicates IS '重复行数 / Rows that had been received before';
COMMENT ON COLUMN ledger.rejected IS '拒收行数 / Rows refused, see ledger_reasons';
CREATE INDEX ledger_minute ON ledger USING brin (minute);

CREATE TABLE ledger_reasons (
    connector text NOT NULL,
    kind text NOT NULL,
    partition integer NOT NULL,
    minute timestamptz NOT NULL,
    reason text NOT NULL,
    n bigint NOT NULL,
    PRIMARY KEY (connector, kind, partition, minute, reason)
) WITH (fillfactor = 70);
COMMENT ON TABLE ledger_reasons IS '拒收原因 / Why rows were refused, by minute of arrival';
COMMENT ON COLUMN ledger_reasons.connector IS '接入 / Connector instance';
COMMENT ON COLUMN ledger_reasons.kind IS '数据类别 / Kind of the readings';
COMMENT ON COLUMN ledger_reasons.partition IS '分区 / Kafka partition';
COMMENT ON COLUMN ledger_reasons.minute IS '分钟 / Minute in which their frame arrived';
COMMENT ON COLUMN ledger_reasons.reason IS '原因 / Reason code';
COMMENT ON COLUMN ledger_reasons.n IS '行数 / Rows refused for it';

-- Two tables for the two voices, because two transactions of the store write them: with one table the states of a
-- connector and the frames of another partition would lock each other's rows in opposite order.
CREATE TABLE connector_counts (
    connector text NOT NULL,
    run text NOT NULL,
    topic text NOT NULL,
    kind text NOT NULL,
    bucket integer NOT NULL,
    received bigint NOT NULL,
    produced bigint NOT NULL,
    spooled bigint NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (connector, run, topic, kind, bucket)
) WITH (fillfactor = 50);
COMMENT ON TABLE connector_counts IS '接入计数 / Rows of each run of a connector, as its state counts them';
COMMENT ON COLUMN connector_counts.connector IS '接入 / Connector instance';
COMMENT ON COLUMN connector_counts.run IS '运行标识 / Run of that connector';
COMMENT ON COLUMN connector_counts.topic IS '主题 / Kafka topic the connector writes to';
COMMENT ON COLUMN connector_counts.kind IS '数据类别 / Kind of the readings';
COMMENT ON COLUMN connector_counts.bucket IS '桶 / Bucket, which is the partition';
COMMENT ON COLUMN connector_counts.received IS '接收行数 / Rows taken from packets';
COMMENT ON COLUMN connector_counts.produced IS '发送行数 / Rows whose frame Kafka has confirmed';
COMMENT ON COLUMN connector_counts.spooled IS '缓存行数 / Rows waiting in the disk spool';
COMMENT ON COLUMN connector_counts.at IS '更新时间 / When this was last said';

CREATE TABLE frame_totals (
    connector text NOT NULL,
    run text NOT NULL,
    topic text NOT NULL,
    kind text NOT NULL,
    bucket integer NOT NULL,
    framed bigint NOT NULL,
    PRIMARY KEY (connector, run, topic, kind, bucket)
) WITH (fillfactor = 50);
COMMENT ON TABLE frame_totals IS '帧累计 / Rows of each run of a connector, up to the last frame that reached the store';
COMMENT ON COLUMN frame_totals.connector IS '接入 / Connector instance';
COMMENT ON COLUMN frame_totals.run IS '运行标识 / Run of that connector';
COMMENT ON COLUMN frame_totals.topic IS '主题 / Kafka topic the connector writes to';
COMMENT ON COLUMN frame_totals.kind IS '数据类别 / Kind of the readings';
COMMENT ON COLUMN frame_totals.bucket IS '桶 / Bucket, which is the partition';
COMMENT ON COLUMN frame_totals.framed IS '成帧行数 / Running total that the frame''s header carried';

CREATE VIEW connector_totals AS
SELECT connector, run, topic, kind, bucket, coalesce(c.received, 0) AS received, coalesce(c.produced, 0) AS produced,
       coalesce(c.spooled, 0) AS spooled, coalesce(f.framed, 0) AS framed, c.at
FROM connector_counts c FULL JOIN frame_totals f USING (connector, run, topic, kind, bucket);
COMMENT ON VIEW connector_totals IS '接入累计 / Rows of each run of a connector, by its own state and by its frames';

CREATE TABLE connector_states (
    connector text PRIMARY KEY,
    type text NOT NULL,
    health text NOT NULL,
    since timestamptz NOT NULL,
    at timestamptz NOT NULL,
    state jsonb NOT NULL
) WITH (fillfactor = 50);
COMMENT ON TABLE connector_states IS '接入状态 / Latest state of each connector';
COMMENT ON COLUMN connector_states.connector IS '接入 / Connector instance';
COMMENT ON COLUMN connector_states.type IS '接入类型 / Connector folder';
COMMENT ON COLUMN connector_states.health IS '健康状况 / Health';
COMMENT ON COLUMN connector_states.since IS '起始时间 / Since when it has this health';
COMMENT ON COLUMN connector_states.at IS '更新时间 / When it said so';
COMMENT ON COLUMN connector_states.state IS '状态全文 / The whole state';

CREATE TABLE sources (
    kind text NOT NULL,
    source text NOT NULL,
    ts timestamptz NOT NULL,
    seen_at timestamptz NOT NULL,
    lon double precision,
    lat double precision,
    zone integer,
    first_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (kind, source)
) WITH (fillfactor = 50);
COMMENT ON TABLE sources IS '设备台账 / Every source ever heard, and where and when it was last';
COMMENT ON COLUMN sources.kind IS '数据类别 / Kind of the readings';
COMMENT ON COLUMN sources.source IS '来源 / Device or vehicle id';
COMMENT ON COLUMN sources.ts IS '事件时间 / Event time of its newest reading';
COMMENT ON COLUMN sources.seen_at IS '到达时间 / Arrival of its newest reading';
COMMENT ON COLUMN sources.lon IS '经度 / Last known longitude, WGS-84 [°]';
COMMENT ON COLUMN sources.lat IS '纬度 / Last known latitude, WGS-84 [°]';
COMMENT ON COLUMN sources.zone IS '行政区 / Last known county by GB/T 2260 code';
COMMENT ON COLUMN sources.first_at IS '首次到达 / When it was first heard';
