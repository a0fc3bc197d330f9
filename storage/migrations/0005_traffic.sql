-- Tables of the traffic kinds; made with storage/ddl.py, compared with the declarations by a test.
CREATE TABLE traffic_detector (
    "source" text NOT NULL,
    "ts" timestamptz NOT NULL,
    "sent_at" timestamptz,
    "seen_at" timestamptz NOT NULL,
    "serial" bigint,
    "lon" double precision,
    "lat" double precision,
    "period" bigint,
    "lane" bigint,
    "speed" double precision,
    "flow" double precision,
    "occupancy" double precision,
    "quality" integer NOT NULL,
    "zone" integer
);
SELECT cityops_hypertable('traffic_detector', 'ts');
CREATE INDEX traffic_detector_ts ON traffic_detector USING brin (ts) WITH (pages_per_range = 32, autosummarize = on);
COMMENT ON TABLE traffic_detector IS '交通检测器 / Traffic detector';
COMMENT ON COLUMN traffic_detector."source" IS '来源 / Device or vehicle id';
COMMENT ON COLUMN traffic_detector."ts" IS '事件时间 / When it was measured';
COMMENT ON COLUMN traffic_detector."sent_at" IS '发送时间 / When the device sent it';
COMMENT ON COLUMN traffic_detector."seen_at" IS '到达时间 / When its bytes arrived';
COMMENT ON COLUMN traffic_detector."serial" IS '报文流水号 / The device''s own message number';
COMMENT ON COLUMN traffic_detector."lon" IS '经度 / Longitude, WGS-84 [°]';
COMMENT ON COLUMN traffic_detector."lat" IS '纬度 / Latitude, WGS-84 [°]';
COMMENT ON COLUMN traffic_detector."period" IS '统计周期 / Length of the counting period [s]';
COMMENT ON COLUMN traffic_detector."lane" IS '车道 / Lane, from 1 at the kerb; 0 is the whole section';
COMMENT ON COLUMN traffic_detector."speed" IS '速度 / Speed over ground [m/s]';
COMMENT ON COLUMN traffic_detector."flow" IS '流量 / Vehicles per hour [1/h]';
COMMENT ON COLUMN traffic_detector."occupancy" IS '占有率 / Share of time the section is covered [%]';
COMMENT ON COLUMN traffic_detector."quality" IS '质量位 / Quality bits, 0 is good';
COMMENT ON COLUMN traffic_detector."zone" IS '行政区 / County by GB/T 2260 code';
