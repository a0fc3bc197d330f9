-- Tables of the shared-bike kinds; made with storage/ddl.py, compared with the declarations by a test.
CREATE TABLE bike_station (
    "source" text NOT NULL,
    "ts" timestamptz NOT NULL,
    "sent_at" timestamptz,
    "seen_at" timestamptz NOT NULL,
    "serial" bigint,
    "lon" double precision,
    "lat" double precision,
    "name" text,
    "capacity" bigint,
    "bikes" bigint,
    "bikes_disabled" bigint,
    "docks" bigint,
    "docks_disabled" bigint,
    "is_renting" boolean,
    "is_returning" boolean,
    "quality" integer NOT NULL,
    "zone" integer
);
SELECT cityops_hypertable('bike_station', 'ts');
CREATE INDEX bike_station_ts ON bike_station USING brin (ts) WITH (pages_per_range = 32, autosummarize = on);
COMMENT ON TABLE bike_station IS '共享单车站点 / Bike station';
COMMENT ON COLUMN bike_station."source" IS '来源 / Device or vehicle id';
COMMENT ON COLUMN bike_station."ts" IS '事件时间 / When it was measured';
COMMENT ON COLUMN bike_station."sent_at" IS '发送时间 / When the device sent it';
COMMENT ON COLUMN bike_station."seen_at" IS '到达时间 / When its bytes arrived';
COMMENT ON COLUMN bike_station."serial" IS '报文流水号 / The device''s own message number';
COMMENT ON COLUMN bike_station."lon" IS '经度 / Longitude, WGS-84 [°]';
COMMENT ON COLUMN bike_station."lat" IS '纬度 / Latitude, WGS-84 [°]';
COMMENT ON COLUMN bike_station."name" IS '站名 / Station name';
COMMENT ON COLUMN bike_station."capacity" IS '车位数 / Docks in all';
COMMENT ON COLUMN bike_station."bikes" IS '可借车辆 / Bikes to rent';
COMMENT ON COLUMN bike_station."bikes_disabled" IS '故障车辆 / Bikes out of service';
COMMENT ON COLUMN bike_station."docks" IS '可还车位 / Docks to return to';
COMMENT ON COLUMN bike_station."docks_disabled" IS '故障车位 / Docks out of service';
COMMENT ON COLUMN bike_station."is_renting" IS '可借 / Rents bikes now';
COMMENT ON COLUMN bike_station."is_returning" IS '可还 / Takes bikes back now';
COMMENT ON COLUMN bike_station."quality" IS '质量位 / Quality bits, 0 is good';
COMMENT ON COLUMN bike_station."zone" IS '行政区 / County by GB/T 2260 code';

CREATE TABLE bike_vehicle (
    "source" text NOT NULL,
    "ts" timestamptz NOT NULL,
    "sent_at" timestamptz,
    "seen_at" timestamptz NOT NULL,
    "serial" bigint,
    "lon" double precision,
    "lat" double precision,
    "station" text,
    "vehicle_type" text,
    "is_reserved" boolean,
    "is_disabled" boolean,
    "range" double precision,
    "quality" integer NOT NULL,
    "zone" integer
);
SELECT cityops_hypertable('bike_vehicle', 'ts');
CREATE INDEX bike_vehicle_ts ON bike_vehicle USING brin (ts) WITH (pages_per_range = 32, autosummarize = on);
COMMENT ON TABLE bike_vehicle IS '共享单车车辆 / Rental vehicle';
COMMENT ON COLUMN bike_vehicle."source" IS '来源 / Device or vehicle id';
COMMENT ON COLUMN bike_vehicle."ts" IS '事件时间 / When it was measured';
COMMENT ON COLUMN bike_vehicle."sent_at" IS '发送时间 / When the device sent it';
COMMENT ON COLUMN bike_vehicle."seen_at" IS '到达时间 / When its bytes arrived';
COMMENT ON COLUMN bike_vehicle."serial" IS '报文流水号 / The device''s own message number';
COMMENT ON COLUMN bike_vehicle."lon" IS '经度 / Longitude, WGS-84 [°]';
COMMENT ON COLUMN bike_vehicle."lat" IS '纬度 / Latitude, WGS-84 [°]';
COMMENT ON COLUMN bike_vehicle."station" IS '所在站点 / Station it stands at';
COMMENT ON COLUMN bike_vehicle."vehicle_type" IS '车型 / Vehicle type id';
COMMENT ON COLUMN bike_vehicle."is_reserved" IS '已预约 / Reserved';
COMMENT ON COLUMN bike_vehicle."is_disabled" IS '停用 / Out of service';
COMMENT ON COLUMN bike_vehicle."range" IS '续航 / Range left [m]';
COMMENT ON COLUMN bike_vehicle."quality" IS '质量位 / Quality bits, 0 is good';
COMMENT ON COLUMN bike_vehicle."zone" IS '行政区 / County by GB/T 2260 code';
