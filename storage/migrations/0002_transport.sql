-- Tables of the transport kinds; made with storage/ddl.py, compared with the declarations by a test.
CREATE TABLE bus_position (
    "source" text NOT NULL,
    "ts" timestamptz NOT NULL,
    "sent_at" timestamptz,
    "seen_at" timestamptz NOT NULL,
    "serial" bigint,
    "lon" double precision,
    "lat" double precision,
    "raw_lon" double precision,
    "raw_lat" double precision,
    "raw_crs" text,
    "speed" double precision,
    "heading" double precision,
    "altitude" double precision,
    "mileage" double precision,
    "alarm" bigint,
    "status" bigint,
    "plate" text,
    "line" text,
    "trip" text,
    "stop" text,
    "occupancy" double precision,
    "delay" double precision,
    "quality" integer NOT NULL,
    "zone" integer
);
SELECT cityops_hypertable('bus_position', 'ts');
CREATE INDEX bus_position_ts ON bus_position USING brin (ts) WITH (pages_per_range = 32, autosummarize = on);
COMMENT ON TABLE bus_position IS '公交车位置 / Bus position';
COMMENT ON COLUMN bus_position."source" IS '来源 / Device or vehicle id';
COMMENT ON COLUMN bus_position."ts" IS '事件时间 / When it was measured';
COMMENT ON COLUMN bus_position."sent_at" IS '发送时间 / When the device sent it';
COMMENT ON COLUMN bus_position."seen_at" IS '到达时间 / When its bytes arrived';
COMMENT ON COLUMN bus_position."serial" IS '报文流水号 / The device''s own message number';
COMMENT ON COLUMN bus_position."lon" IS '经度 / Longitude, WGS-84 [°]';
COMMENT ON COLUMN bus_position."lat" IS '纬度 / Latitude, WGS-84 [°]';
COMMENT ON COLUMN bus_position."raw_lon" IS '原始坐标 / Coordinate as sent, before conversion [°]';
COMMENT ON COLUMN bus_position."raw_lat" IS '原始坐标 / Coordinate as sent, before conversion [°]';
COMMENT ON COLUMN bus_position."raw_crs" IS '原始坐标系 / Coordinate system as sent';
COMMENT ON COLUMN bus_position."speed" IS '速度 / Speed over ground [m/s]';
COMMENT ON COLUMN bus_position."heading" IS '方向 / Heading, clockwise from north [°]';
COMMENT ON COLUMN bus_position."altitude" IS '海拔 / Altitude [m]';
COMMENT ON COLUMN bus_position."mileage" IS '里程 / Odometer [m]';
COMMENT ON COLUMN bus_position."alarm" IS '报警标志 / Alarm flags, bit numbers of JT/T 808 table 18';
COMMENT ON COLUMN bus_position."status" IS '状态位 / Bit field of JT/T 808 tables 17 and 18';
COMMENT ON COLUMN bus_position."plate" IS '车牌 / Number plate';
COMMENT ON COLUMN bus_position."line" IS '线路 / Line or route';
COMMENT ON COLUMN bus_position."trip" IS '班次 / Trip';
COMMENT ON COLUMN bus_position."stop" IS '站点 / Stop it is at or heads for';
COMMENT ON COLUMN bus_position."occupancy" IS '满载率 / Share of capacity taken [%]';
COMMENT ON COLUMN bus_position."delay" IS '晚点 / Behind schedule (negative: ahead) [s]';
COMMENT ON COLUMN bus_position."quality" IS '质量位 / Quality bits, 0 is good';
COMMENT ON COLUMN bus_position."zone" IS '行政区 / County by GB/T 2260 code';

CREATE TABLE taxi_position (
    "source" text NOT NULL,
    "ts" timestamptz NOT NULL,
    "sent_at" timestamptz,
    "seen_at" timestamptz NOT NULL,
    "serial" bigint,
    "lon" double precision,
    "lat" double precision,
    "raw_lon" double precision,
    "raw_lat" double precision,
    "raw_crs" text,
    "speed" double precision,
    "heading" double precision,
    "altitude" double precision,
    "mileage" double precision,
    "alarm" bigint,
    "status" bigint,
    "plate" text,
    "occupied" boolean,
    "quality" integer NOT NULL,
    "zone" integer
);
SELECT cityops_hypertable('taxi_position', 'ts');
CREATE INDEX taxi_position_ts ON taxi_position USING brin (ts) WITH (pages_per_range = 32, autosummarize = on);
COMMENT ON TABLE taxi_position IS '出租车位置 / Taxi position';
COMMENT ON COLUMN taxi_position."source" IS '来源 / Device or vehicle id';
COMMENT ON COLUMN taxi_position."ts" IS '事件时间 / When it was measured';
COMMENT ON COLUMN taxi_position."sent_at" IS '发送时间 / When the device sent it';
COMMENT ON COLUMN taxi_position."seen_at" IS '到达时间 / When its bytes arrived';
COMMENT ON COLUMN taxi_position."serial" IS '报文流水号 / The device''s own message number';
COMMENT ON COLUMN taxi_position."lon" IS '经度 / Longitude, WGS-84 [°]';
COMMENT ON COLUMN taxi_position."lat" IS '纬度 / Latitude, WGS-84 [°]';
COMMENT ON COLUMN taxi_position."raw_lon" IS '原始坐标 / Coordinate as sent, before conversion [°]';
COMMENT ON COLUMN taxi_position."raw_lat" IS '原始坐标 / Coordinate as sent, before conversion [°]';
COMMENT ON COLUMN taxi_position."raw_crs" IS '原始坐标系 / Coordinate system as sent';
COMMENT ON COLUMN taxi_position."speed" IS '速度 / Speed over ground [m/s]';
COMMENT ON COLUMN taxi_position."heading" IS '方向 / Heading, clockwise from north [°]';
COMMENT ON COLUMN taxi_position."altitude" IS '海拔 / Altitude [m]';
COMMENT ON COLUMN taxi_position."mileage" IS '里程 / Odometer [m]';
COMMENT ON COLUMN taxi_position."alarm" IS '报警标志 / Alarm flags, bit numbers of JT/T 808 table 18';
COMMENT ON COLUMN taxi_position."status" IS '状态位 / Bit field of JT/T 808 tables 17 and 18';
COMMENT ON COLUMN taxi_position."plate" IS '车牌 / Number plate';
COMMENT ON COLUMN taxi_position."occupied" IS '重车 / Carries a passenger';
COMMENT ON COLUMN taxi_position."quality" IS '质量位 / Quality bits, 0 is good';
COMMENT ON COLUMN taxi_position."zone" IS '行政区 / County by GB/T 2260 code';

CREATE TABLE coach_position (
    "source" text NOT NULL,
    "ts" timestamptz NOT NULL,
    "sent_at" timestamptz,
    "seen_at" timestamptz NOT NULL,
    "serial" bigint,
    "lon" double precision,
    "lat" double precision,
    "raw_lon" double precision,
    "raw_lat" double precision,
    "raw_crs" text,
    "speed" double precision,
    "heading" double precision,
    "altitude" double precision,
    "mileage" double precision,
    "alarm" bigint,
    "status" bigint,
    "plate" text,
    "fuel" double precision,
    "quality" integer NOT NULL,
    "zone" integer
);
SELECT cityops_hypertable('coach_position', 'ts');
CREATE INDEX coach_position_ts ON coach_position USING brin (ts) WITH (pages_per_range = 32, autosummarize = on);
COMMENT ON TABLE coach_position IS '客运车辆位置 / Coach position';
COMMENT ON COLUMN coach_position."source" IS '来源 / Device or vehicle id';
COMMENT ON COLUMN coach_position."ts" IS '事件时间 / When it was measured';
COMMENT ON COLUMN coach_position."sent_at" IS '发送时间 / When the device sent it';
COMMENT ON COLUMN coach_position."seen_at" IS '到达时间 / When its bytes arrived';
COMMENT ON COLUMN coach_position."serial" IS '报文流水号 / The device''s own message number';
COMMENT ON COLUMN coach_position."lon" IS '经度 / Longitude, WGS-84 [°]';
COMMENT ON COLUMN coach_position."lat" IS '纬度 / Latitude, WGS-84 [°]';
COMMENT ON COLUMN coach_position."raw_lon" IS '原始坐标 / Coordinate as sent, before conversion [°]';
COMMENT ON COLUMN coach_position."raw_lat" IS '原始坐标 / Coordinate as sent, before conversion [°]';
COMMENT ON COLUMN coach_position."raw_crs" IS '原始坐标系 / Coordinate system as sent';
COMMENT ON COLUMN coach_position."speed" IS '速度 / Speed over ground [m/s]';
COMMENT ON COLUMN coach_position."heading" IS '方向 / Heading, clockwise from north [°]';
COMMENT ON COLUMN coach_position."altitude" IS '海拔 / Altitude [m]';
COMMENT ON COLUMN coach_position."mileage" IS '里程 / Odometer [m]';
COMMENT ON COLUMN coach_position."alarm" IS '报警标志 / Alarm flags, bit numbers of JT/T 808 table 18';
COMMENT ON COLUMN coach_position."status" IS '状态位 / Bit field of JT/T 808 tables 17 and 18';
COMMENT ON COLUMN coach_position."plate" IS '车牌 / Number plate';
COMMENT ON COLUMN coach_position."fuel" IS '油量 / Fuel [L]';
COMMENT ON COLUMN coach_position."quality" IS '质量位 / Quality bits, 0 is good';
COMMENT ON COLUMN coach_position."zone" IS '行政区 / County by GB/T 2260 code';

CREATE TABLE hazmat_position (
    "source" text NOT NULL,
    "ts" timestamptz NOT NULL,
    "sent_at" timestamptz,
    "seen_at" timestamptz NOT NULL,
    "serial" bigint,
    "lon" double precision,
    "lat" double precision,
    "raw_lon" double precision,
    "raw_lat" double precision,
    "raw_crs" text,
    "speed" double precision,
    "heading" double precision,
    "altitude" double precision,
    "mileage" double precision,
    "alarm" bigint,
    "status" bigint,
    "plate" text,
    "fuel" double precision,
    "cargo" text,
    "quality" integer NOT NULL,
    "zone" integer
);
SELECT cityops_hypertable('hazmat_position', 'ts');
CREATE INDEX hazmat_position_ts ON hazmat_position USING brin (ts) WITH (pages_per_range = 32, autosummarize = on);
COMMENT ON TABLE hazmat_position IS '危货车辆位置 / Hazmat vehicle position';
COMMENT ON COLUMN hazmat_position."source" IS '来源 / Device or vehicle id';
COMMENT ON COLUMN hazmat_position."ts" IS '事件时间 / When it was measured';
COMMENT ON COLUMN hazmat_position."sent_at" IS '发送时间 / When the device sent it';
COMMENT ON COLUMN hazmat_position."seen_at" IS '到达时间 / When its bytes arrived';
COMMENT ON COLUMN hazmat_position."serial" IS '报文流水号 / The device''s own message number';
COMMENT ON COLUMN hazmat_position."lon" IS '经度 / Longitude, WGS-84 [°]';
COMMENT ON COLUMN hazmat_position."lat" IS '纬度 / Latitude, WGS-84 [°]';
COMMENT ON COLUMN hazmat_position."raw_lon" IS '原始坐标 / Coordinate as sent, before conversion [°]';
COMMENT ON COLUMN hazmat_position."raw_lat" IS '原始坐标 / Coordinate as sent, before conversion [°]';
COMMENT ON COLUMN hazmat_position."raw_crs" IS '原始坐标系 / Coordinate system as sent';
COMMENT ON COLUMN hazmat_position."speed" IS '速度 / Speed over ground [m/s]';
COMMENT ON COLUMN hazmat_position."heading" IS '方向 / Heading, clockwise from north [°]';
COMMENT ON COLUMN hazmat_position."altitude" IS '海拔 / Altitude [m]';
COMMENT ON COLUMN hazmat_position."mileage" IS '里程 / Odometer [m]';
COMMENT ON COLUMN hazmat_position."alarm" IS '报警标志 / Alarm flags, bit numbers of JT/T 808 table 18';
COMMENT ON COLUMN hazmat_position."status" IS '状态位 / Bit field of JT/T 808 tables 17 and 18';
COMMENT ON COLUMN hazmat_position."plate" IS '车牌 / Number plate';
COMMENT ON COLUMN hazmat_position."fuel" IS '油量 / Fuel [L]';
COMMENT ON COLUMN hazmat_position."cargo" IS '货物 / UN number or name of the goods';
COMMENT ON COLUMN hazmat_position."quality" IS '质量位 / Quality bits, 0 is good';
COMMENT ON COLUMN hazmat_position."zone" IS '行政区 / County by GB/T 2260 code';

CREATE TABLE trip_update (
    "source" text NOT NULL,
    "ts" timestamptz NOT NULL,
    "sent_at" timestamptz,
    "seen_at" timestamptz NOT NULL,
    "serial" bigint,
    "line" text,
    "vehicle" text,
    "stop" text,
    "stop_sequence" bigint,
    "arrival_at" bigint,
    "departure_at" bigint,
    "delay" double precision,
    "stops_left" bigint,
    "quality" integer NOT NULL,
    "zone" integer
);
SELECT cityops_hypertable('trip_update', 'ts');
CREATE INDEX trip_update_ts ON trip_update USING brin (ts) WITH (pages_per_range = 32, autosummarize = on);
COMMENT ON TABLE trip_update IS '班次运行 / Trip update';
COMMENT ON COLUMN trip_update."source" IS '来源 / Device or vehicle id';
COMMENT ON COLUMN trip_update."ts" IS '事件时间 / When it was measured';
COMMENT ON COLUMN trip_update."sent_at" IS '发送时间 / When the device sent it';
COMMENT ON COLUMN trip_update."seen_at" IS '到达时间 / When its bytes arrived';
COMMENT ON COLUMN trip_update."serial" IS '报文流水号 / The device''s own message number';
COMMENT ON COLUMN trip_update."line" IS '线路 / Line or route';
COMMENT ON COLUMN trip_update."vehicle" IS '车辆 / Vehicle serving the trip';
COMMENT ON COLUMN trip_update."stop" IS '下一站 / Next stop';
COMMENT ON COLUMN trip_update."stop_sequence" IS '站序 / Order of that stop in the trip';
COMMENT ON COLUMN trip_update."arrival_at" IS '到站时间 / Predicted arrival, since 1970 UTC [µs]';
COMMENT ON COLUMN trip_update."departure_at" IS '离站时间 / Predicted departure, since 1970 UTC [µs]';
COMMENT ON COLUMN trip_update."delay" IS '晚点 / Behind schedule (negative: ahead) [s]';
COMMENT ON COLUMN trip_update."stops_left" IS '剩余站数 / Stops still ahead';
COMMENT ON COLUMN trip_update."quality" IS '质量位 / Quality bits, 0 is good';
COMMENT ON COLUMN trip_update."zone" IS '行政区 / County by GB/T 2260 code';

CREATE TABLE service_alert (
    "source" text NOT NULL,
    "ts" timestamptz NOT NULL,
    "sent_at" timestamptz,
    "seen_at" timestamptz NOT NULL,
    "serial" bigint,
    "cause" text,
    "effect" text,
    "header" text,
    "line" text,
    "starts_at" bigint,
    "ends_at" bigint,
    "quality" integer NOT NULL,
    "zone" integer
);
SELECT cityops_hypertable('service_alert', 'ts');
CREATE INDEX service_alert_ts ON service_alert USING brin (ts) WITH (pages_per_range = 32, autosummarize = on);
COMMENT ON TABLE service_alert IS '运营通告 / Service notice';
COMMENT ON COLUMN service_alert."source" IS '来源 / Device or vehicle id';
COMMENT ON COLUMN service_alert."ts" IS '事件时间 / When it was measured';
COMMENT ON COLUMN service_alert."sent_at" IS '发送时间 / When the device sent it';
COMMENT ON COLUMN service_alert."seen_at" IS '到达时间 / When its bytes arrived';
COMMENT ON COLUMN service_alert."serial" IS '报文流水号 / The device''s own message number';
COMMENT ON COLUMN service_alert."cause" IS '原因 / Cause, code of GTFS-Realtime';
COMMENT ON COLUMN service_alert."effect" IS '影响 / Effect, code of GTFS-Realtime';
COMMENT ON COLUMN service_alert."header" IS '标题 / Headline';
COMMENT ON COLUMN service_alert."line" IS '线路 / First line concerned';
COMMENT ON COLUMN service_alert."starts_at" IS '开始时间 / Start, since 1970 UTC [µs]';
COMMENT ON COLUMN service_alert."ends_at" IS '结束时间 / End, since 1970 UTC [µs]';
COMMENT ON COLUMN service_alert."quality" IS '质量位 / Quality bits, 0 is good';
COMMENT ON COLUMN service_alert."zone" IS '行政区 / County by GB/T 2260 code';
