-- Findings of record: what rules found, as it finally stands; and the sources whose findings must be judged again.
CREATE TABLE findings (
    rule text NOT NULL,
    source text NOT NULL,
    started timestamptz NOT NULL,
    raised timestamptz NOT NULL,
    cleared timestamptz,
    kind text NOT NULL,
    value double precision,
    "limit" double precision,
    unit text NOT NULL,
    zone integer,
    lon double precision,
    lat double precision,
    detected_late boolean NOT NULL,
    PRIMARY KEY (rule, source, started)
);
COMMENT ON TABLE findings IS '发现记录 / Findings of record: each condition a rule found, once, late readings taken into account';
COMMENT ON COLUMN findings.rule IS '规则 / Rule';
COMMENT ON COLUMN findings.source IS '来源 / Device or vehicle id';
COMMENT ON COLUMN findings.started IS '开始时间 / Event time at which the condition began';
COMMENT ON COLUMN findings.raised IS '成立时间 / Event time at which it had held long enough';
COMMENT ON COLUMN findings.cleared IS '结束时间 / Event time at which it was over';
COMMENT ON COLUMN findings.kind IS '数据类别 / Kind of the readings';
COMMENT ON COLUMN findings.value IS '数值 / Value when it was raised';
COMMENT ON COLUMN findings."limit" IS '限值 / Limit of the rule';
COMMENT ON COLUMN findings.unit IS '单位 / Unit of value and limit';
COMMENT ON COLUMN findings.zone IS '行政区 / County by GB/T 2260 code';
COMMENT ON COLUMN findings.lon IS '经度 / Longitude, WGS-84 [°]';
COMMENT ON COLUMN findings.lat IS '纬度 / Latitude, WGS-84 [°]';
COMMENT ON COLUMN findings.detected_late IS '迟到发现 / Known only since late readings came';
CREATE INDEX findings_started ON findings (started DESC);

CREATE TABLE due_findings (
    kind text NOT NULL,
    source text NOT NULL,
    since timestamptz NOT NULL,
    until timestamptz NOT NULL,
    topic text NOT NULL,
    partition integer NOT NULL,
    next_offset bigint NOT NULL,
    settled timestamptz,
    newest timestamptz,
    PRIMARY KEY (kind, source)
) WITH (fillfactor = 70);
COMMENT ON TABLE due_findings IS '待重判来源 / Sources with readings that rules did not see in order';
COMMENT ON COLUMN due_findings.kind IS '数据类别 / Kind of the readings';
COMMENT ON COLUMN due_findings.source IS '来源 / Device or vehicle id';
COMMENT ON COLUMN due_findings.since IS '最早时间 / Event time of the first such reading';
COMMENT ON COLUMN due_findings.until IS '最晚时间 / Event time of the last';
COMMENT ON COLUMN due_findings.topic IS '主题 / Kafka topic they came by';
COMMENT ON COLUMN due_findings.partition IS '分区 / Kafka partition';
COMMENT ON COLUMN due_findings.next_offset IS '所需进度 / Offset that watch and store must have reached first';
COMMENT ON COLUMN due_findings.settled IS '收敛时间 / Event time from which the live judgement is right again';
COMMENT ON COLUMN due_findings.newest IS '已判至 / Newest reading judged while that time is not known; more of them make it due again';
