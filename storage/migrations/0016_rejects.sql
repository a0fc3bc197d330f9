-- Rejects that people work through: which connector refused them, what has become of them, and who saw to it.
-- The table is made anew because its columns are those of its kind, in their order.
ALTER TABLE reject RENAME TO reject_before;
ALTER INDEX reject_seen_at RENAME TO reject_before_seen_at;
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
    "connector_type" text,
    "connector_version" text,
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
COMMENT ON COLUMN reject."connector_type" IS '接入类型 / Connector that refused it';
COMMENT ON COLUMN reject."connector_version" IS '接入版本 / Its version at that time';
COMMENT ON COLUMN reject."quality" IS '质量位 / Quality bits, 0 is good';
COMMENT ON COLUMN reject."zone" IS '行政区 / County by GB/T 2260 code';
INSERT INTO reject (source, ts, sent_at, seen_at, serial, connector, stage, reason, detail, raw, refused_kind, quality, zone)
SELECT source, ts, sent_at, seen_at, serial, connector, stage, reason, detail, raw, refused_kind, quality, zone FROM reject_before;
DROP TABLE reject_before;

-- A reject without a row here is open. Rows stay when the reject itself is past its retention: they tell who did what.
CREATE TABLE reject_states (
    id text PRIMARY KEY,
    seen_at timestamptz NOT NULL,
    state text NOT NULL CHECK (state IN ('open', 'replayed', 'discarded')),
    actor text NOT NULL,
    at timestamptz NOT NULL,
    tries integer NOT NULL,
    reason text,
    detail text
);
COMMENT ON TABLE reject_states IS '拒收处理 / What became of rejects that somebody replayed or discarded';
COMMENT ON COLUMN reject_states.id IS '编号 / Id of the reject';
COMMENT ON COLUMN reject_states.seen_at IS '到达时间 / When the reject arrived';
COMMENT ON COLUMN reject_states.state IS '状态 / open, replayed or discarded';
COMMENT ON COLUMN reject_states.actor IS '处理人 / Who did it last';
COMMENT ON COLUMN reject_states.at IS '处理时间 / When it was done last';
COMMENT ON COLUMN reject_states.tries IS '回放次数 / How often it was replayed';
COMMENT ON COLUMN reject_states.reason IS '最近原因 / Why the last replay refused it again';
COMMENT ON COLUMN reject_states.detail IS '最近详情 / What exactly was wrong then';

-- The arrival leads, so that a reject is found by its id without an index of ids.
CREATE FUNCTION reject_id(seen_at timestamptz, connector text, source text, stage text, reason text, serial bigint, detail text, raw bytea)
RETURNS text LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT to_hex((extract(epoch FROM seen_at) * 1000000)::bigint) || '-' || left(md5(
        connector || E'\n' || source || E'\n' || stage || E'\n' || reason || E'\n' || coalesce(serial::text, '') || E'\n'
        || coalesce(detail, '') || E'\n' || coalesce(encode(raw, 'hex'), '')), 8)
$$;

CREATE VIEW rejects AS
SELECT i.id, r.seen_at, r.ts, r.connector, r.connector_type, r.connector_version, r.source, r.serial, r.stage,
       coalesce(s.reason, r.reason) AS reason, CASE WHEN s.reason IS NULL THEN r.detail ELSE s.detail END AS detail,
       r.reason AS first_reason, r.detail AS first_detail, r.raw, r.refused_kind,
       coalesce(s.state, 'open') AS state, s.actor, s.at, coalesce(s.tries, 0) AS tries
FROM reject r
CROSS JOIN LATERAL (SELECT reject_id(r.seen_at, r.connector, r.source, r.stage, r.reason, r.serial, r.detail, r.raw) AS id) i
LEFT JOIN reject_states s USING (id);
COMMENT ON VIEW rejects IS '拒收清单 / Rejects with their ids and what became of them';
