-- Alerts as duty staff see them, every change of them, and the rules that raise them.

CREATE TABLE alerts (
    id text PRIMARY KEY,
    version bigint NOT NULL,
    status text NOT NULL,
    rule text NOT NULL,
    rule_version bigint NOT NULL,
    category text NOT NULL,
    severity text NOT NULL,
    kind text NOT NULL,
    source text NOT NULL,
    zone integer,
    lon double precision,
    lat double precision,
    started timestamptz NOT NULL,
    last timestamptz NOT NULL,
    opened_at timestamptz NOT NULL,
    cleared timestamptz,
    resolved_at timestamptz,
    count bigint NOT NULL,
    reopened bigint NOT NULL,
    value double precision,
    "limit" double precision,
    unit text NOT NULL,
    detected_late boolean NOT NULL,
    evidence jsonb NOT NULL,
    acked_by text,
    acked_at timestamptz,
    resolved_by text,
    cause text,
    note text
) WITH (fillfactor = 70);
COMMENT ON TABLE alerts IS '告警 / Latest state of each alert';
COMMENT ON COLUMN alerts.id IS '编号 / Identity of the condition: rule, source and start';
COMMENT ON COLUMN alerts.version IS '版本 / Grows by one with every change';
COMMENT ON COLUMN alerts.status IS '状态 / open, acknowledged or resolved';
COMMENT ON COLUMN alerts.rule IS '规则 / Rule or detector';
COMMENT ON COLUMN alerts.rule_version IS '规则版本 / Version of the rule';
COMMENT ON COLUMN alerts.category IS '类别 / city pages duty staff, data is a ticket about a sensor';
COMMENT ON COLUMN alerts.severity IS '级别 / critical, major or minor';
COMMENT ON COLUMN alerts.kind IS '数据类别 / Kind of the readings';
COMMENT ON COLUMN alerts.source IS '来源 / Device or vehicle id';
COMMENT ON COLUMN alerts.zone IS '行政区 / County by GB/T 2260 code';
COMMENT ON COLUMN alerts.lon IS '经度 / Longitude, WGS-84 [°]';
COMMENT ON COLUMN alerts.lat IS '纬度 / Latitude, WGS-84 [°]';
COMMENT ON COLUMN alerts.started IS '开始时间 / Event time at which the condition began';
COMMENT ON COLUMN alerts.last IS '最近时间 / Event time of the newest statement about it';
COMMENT ON COLUMN alerts.opened_at IS '开单时间 / Arrival of its first finding';
COMMENT ON COLUMN alerts.cleared IS '结束时间 / Event time at which the condition ended';
COMMENT ON COLUMN alerts.resolved_at IS '办结时间 / When it was resolved';
COMMENT ON COLUMN alerts.count IS '次数 / Findings merged into it';
COMMENT ON COLUMN alerts.reopened IS '重开次数 / How often it was reopened';
COMMENT ON COLUMN alerts.value IS '数值 / Value that broke the rule';
COMMENT ON COLUMN alerts."limit" IS '限值 / Limit of the rule';
COMMENT ON COLUMN alerts.unit IS '单位 / Unit of value and limit';
COMMENT ON COLUMN alerts.detected_late IS '迟到发现 / Found in late data; paged nobody';
COMMENT ON COLUMN alerts.evidence IS '依据 / What the rule saw';
COMMENT ON COLUMN alerts.acked_by IS '确认人 / Who acknowledged it';
COMMENT ON COLUMN alerts.acked_at IS '确认时间 / When it was acknowledged';
COMMENT ON COLUMN alerts.resolved_by IS '办结人 / Who resolved it; system when the condition ended';
COMMENT ON COLUMN alerts.cause IS '原因 / Cause as staff classified it';
COMMENT ON COLUMN alerts.note IS '备注 / Newest note';
CREATE INDEX alerts_open ON alerts (opened_at DESC, id DESC) WHERE status <> 'resolved';
CREATE INDEX alerts_opened ON alerts (opened_at DESC, id DESC);

CREATE TABLE alert_events (
    id text PRIMARY KEY,
    alert_id text NOT NULL,
    version bigint NOT NULL,
    change text NOT NULL,
    at timestamptz NOT NULL,
    event jsonb NOT NULL
);
COMMENT ON TABLE alert_events IS '告警履历 / Every change of every alert, append-only';
COMMENT ON COLUMN alert_events.id IS '编号 / Deterministic identity of the change';
COMMENT ON COLUMN alert_events.alert_id IS '告警编号 / Alert it belongs to';
COMMENT ON COLUMN alert_events.version IS '版本 / Version of the alert after it';
COMMENT ON COLUMN alert_events.change IS '变更 / What happened';
COMMENT ON COLUMN alert_events.at IS '时间 / When it happened';
COMMENT ON COLUMN alert_events.event IS '变更全文 / The whole event';
CREATE INDEX alert_events_alert ON alert_events (alert_id, at);
CREATE TRIGGER alert_events_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON alert_events
    FOR EACH STATEMENT EXECUTE FUNCTION cityops_append_only();

CREATE TABLE rules (
    id text PRIMARY KEY,
    version bigint NOT NULL,
    severity text NOT NULL,
    category text NOT NULL,
    zh text NOT NULL,
    en text NOT NULL,
    reason_zh text NOT NULL,
    reason_en text NOT NULL,
    clause text NOT NULL,
    "limit" double precision,
    unit text NOT NULL,
    kinds text[] NOT NULL,
    pack jsonb NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE rules IS '规则 / Rules and detectors in force';
COMMENT ON COLUMN rules.id IS '编号 / Rule id';
COMMENT ON COLUMN rules.version IS '版本 / Version of the rule';
COMMENT ON COLUMN rules.severity IS '级别 / Severity of what it raises';
COMMENT ON COLUMN rules.category IS '类别 / city or data';
COMMENT ON COLUMN rules.zh IS '中文名 / Chinese name';
COMMENT ON COLUMN rules.en IS '英文名 / English name';
COMMENT ON COLUMN rules.reason_zh IS '中文依据 / Why it matters, in Chinese';
COMMENT ON COLUMN rules.reason_en IS '英文依据 / Why it matters, in English';
COMMENT ON COLUMN rules.clause IS '条款 / Clause of the standard it comes from';
COMMENT ON COLUMN rules."limit" IS '限值 / Limit, in the unit';
COMMENT ON COLUMN rules.unit IS '单位 / Unit of the limit';
COMMENT ON COLUMN rules.kinds IS '数据类别 / Kinds it looks at';
COMMENT ON COLUMN rules.pack IS '规则全文 / The whole rule as written in its pack';
COMMENT ON COLUMN rules.updated_at IS '更新时间 / When this version came into force';

CREATE TABLE settings (
    key text PRIMARY KEY,
    value jsonb NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE settings IS '设置 / Settings kept between starts';
COMMENT ON COLUMN settings.key IS '键 / Name';
COMMENT ON COLUMN settings.value IS '值 / Value';
COMMENT ON COLUMN settings.updated_at IS '更新时间 / When it was set';
