-- Closed windows (replaced by their recomputation) and refused input; made with storage/ddl.py, compared by a test.
CREATE TABLE windows (
    "source" text NOT NULL,
    "ts" timestamptz NOT NULL,
    "sent_at" timestamptz,
    "seen_at" timestamptz NOT NULL,
    "serial" bigint,
    "kind" text NOT NULL,
    "metric" text NOT NULL,
    "size" bigint NOT NULL,
    "dimension" text NOT NULL,
    "part" bigint NOT NULL,
    "count" bigint NOT NULL,
    "total" double precision NOT NULL,
    "mean" double precision NOT NULL,
    "low" double precision NOT NULL,
    "high" double precision NOT NULL,
    "last" double precision NOT NULL,
    "last_at" bigint NOT NULL,
    "p50" double precision,
    "p95" double precision,
    "sketch" bytea,
    "quality" integer NOT NULL,
    "zone" integer,
    PRIMARY KEY ("kind", "metric", "size", "dimension", "source", "ts", "part")
);
SELECT cityops_hypertable('windows', 'ts');
CREATE INDEX windows_ts ON windows USING brin (ts) WITH (pages_per_range = 32, autosummarize = on);
COMMENT ON TABLE windows IS '时间窗口统计 / Window';
COMMENT ON COLUMN windows."source" IS '来源 / Device or vehicle id';
COMMENT ON COLUMN windows."ts" IS '事件时间 / When it was measured';
COMMENT ON COLUMN windows."sent_at" IS '发送时间 / When the device sent it';
COMMENT ON COLUMN windows."seen_at" IS '到达时间 / When its bytes arrived';
COMMENT ON COLUMN windows."serial" IS '报文流水号 / The device''s own message number';
COMMENT ON COLUMN windows."kind" IS '数据类别 / Kind of the readings';
COMMENT ON COLUMN windows."metric" IS '指标 / Field that was aggregated';
COMMENT ON COLUMN windows."size" IS '窗口长度 / Length of the window [s]';
COMMENT ON COLUMN windows."dimension" IS '维度 / What the subject is: source, zone, line or operator';
COMMENT ON COLUMN windows."part" IS '分片 / Partition of a group''s readings, 0 of a source''s; late ones have 32768 more';
COMMENT ON COLUMN windows."count" IS '个数 / Readings that had a value';
COMMENT ON COLUMN windows."total" IS '合计 / Sum, in the metric''s unit';
COMMENT ON COLUMN windows."mean" IS '均值 / Mean, in the metric''s unit';
COMMENT ON COLUMN windows."low" IS '最小值 / Minimum, in the metric''s unit';
COMMENT ON COLUMN windows."high" IS '最大值 / Maximum, in the metric''s unit';
COMMENT ON COLUMN windows."last" IS '末值 / Value of the newest reading, in the metric''s unit';
COMMENT ON COLUMN windows."last_at" IS '末值时间 / Event time of that reading, since 1970 UTC [µs]';
COMMENT ON COLUMN windows."p50" IS '中位数 / Median within 1 %, in the metric''s unit; groups only';
COMMENT ON COLUMN windows."p95" IS '第 95 百分位数 / 95th percentile within 1 %, in the metric''s unit; groups only';
COMMENT ON COLUMN windows."sketch" IS '分布 / Counts by bucket, as storage/sketch.py packs them';
COMMENT ON COLUMN windows."quality" IS '质量位 / Quality bits, 0 is good';
COMMENT ON COLUMN windows."zone" IS '行政区 / County by GB/T 2260 code';

CREATE TABLE reject (
    "source" text NOT NULL,
    "ts" timestamptz NOT NULL,
    "sent_at" timestamptz,
    "seen_at" timestamptz NOT NULL,
    "serial" bigint,
    "connector" text NOT NULL,
    "stage" text NOT NULL,
    "reason" text NOT NULL,
    "detail" text,
    "raw" bytea,
    "refused_kind" text,
    "quality" integer NOT NULL,
    "zone" integer
);
SELECT cityops_hypertable('reject', 'seen_at');
CREATE INDEX reject_seen_at ON reject USING brin (seen_at) WITH (pages_per_range = 32, autosummarize = on);
COMMENT ON TABLE reject IS '拒收数据 / Reject';
COMMENT ON COLUMN reject."source" IS '来源 / Device or vehicle id';
COMMENT ON COLUMN reject."ts" IS '事件时间 / When it was measured';
COMMENT ON COLUMN reject."sent_at" IS '发送时间 / When the device sent it';
COMMENT ON COLUMN reject."seen_at" IS '到达时间 / When its bytes arrived';
COMMENT ON COLUMN reject."serial" IS '报文流水号 / The device''s own message number';
COMMENT ON COLUMN reject."connector" IS '接入 / Connector instance';
COMMENT ON COLUMN reject."stage" IS '环节 / Where it was refused: decode or clean';
COMMENT ON COLUMN reject."reason" IS '原因 / Reason code';
COMMENT ON COLUMN reject."detail" IS '详情 / What exactly was wrong';
COMMENT ON COLUMN reject."raw" IS '原始报文 / The refused bytes, or the refused row as JSON';
COMMENT ON COLUMN reject."refused_kind" IS '数据类别 / Kind of a refused row';
COMMENT ON COLUMN reject."quality" IS '质量位 / Quality bits, 0 is good';
COMMENT ON COLUMN reject."zone" IS '行政区 / County by GB/T 2260 code';
