-- Tables of what road transport reports beside positions; made with storage/ddl.py, compared with the declarations by a test.
CREATE TABLE ride_hailing_position (
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
    "company" text,
    "order" text,
    "business" text,
    "driver" text,
    "quality" integer NOT NULL,
    "zone" integer
);
SELECT cityops_hypertable('ride_hailing_position', 'ts');
CREATE INDEX ride_hailing_position_ts ON ride_hailing_position USING brin (ts) WITH (pages_per_range = 32, autosummarize = on);
COMMENT ON TABLE ride_hailing_position IS '网约车位置 / Ride-hailing position';
COMMENT ON COLUMN ride_hailing_position."source" IS '来源 / Device or vehicle id';
COMMENT ON COLUMN ride_hailing_position."ts" IS '事件时间 / When it was measured';
COMMENT ON COLUMN ride_hailing_position."sent_at" IS '发送时间 / When the device sent it';
COMMENT ON COLUMN ride_hailing_position."seen_at" IS '到达时间 / When its bytes arrived';
COMMENT ON COLUMN ride_hailing_position."serial" IS '报文流水号 / The device''s own message number';
COMMENT ON COLUMN ride_hailing_position."lon" IS '经度 / Longitude, WGS-84 [°]';
COMMENT ON COLUMN ride_hailing_position."lat" IS '纬度 / Latitude, WGS-84 [°]';
COMMENT ON COLUMN ride_hailing_position."raw_lon" IS '原始坐标 / Coordinate as sent, before conversion [°]';
COMMENT ON COLUMN ride_hailing_position."raw_lat" IS '原始坐标 / Coordinate as sent, before conversion [°]';
COMMENT ON COLUMN ride_hailing_position."raw_crs" IS '原始坐标系 / Coordinate system as sent';
COMMENT ON COLUMN ride_hailing_position."speed" IS '速度 / Speed over ground [m/s]';
COMMENT ON COLUMN ride_hailing_position."heading" IS '方向 / Heading, clockwise from north [°]';
COMMENT ON COLUMN ride_hailing_position."altitude" IS '海拔 / Altitude [m]';
COMMENT ON COLUMN ride_hailing_position."mileage" IS '里程 / Odometer [m]';
COMMENT ON COLUMN ride_hailing_position."alarm" IS '报警标志 / Alarm flags, bit numbers of JT/T 808 table 18';
COMMENT ON COLUMN ride_hailing_position."status" IS '状态位 / Bit field of JT/T 808 tables 17 and 18';
COMMENT ON COLUMN ride_hailing_position."plate" IS '车牌 / Number plate';
COMMENT ON COLUMN ride_hailing_position."company" IS '企业 / Company code';
COMMENT ON COLUMN ride_hailing_position."order" IS '订单 / Order number';
COMMENT ON COLUMN ride_hailing_position."business" IS '营运状态 / carrying, accepted, empty or stopped';
COMMENT ON COLUMN ride_hailing_position."driver" IS '驾驶员 / Driver: keyed hash of the licence number';
COMMENT ON COLUMN ride_hailing_position."quality" IS '质量位 / Quality bits, 0 is good';
COMMENT ON COLUMN ride_hailing_position."zone" IS '行政区 / County by GB/T 2260 code';

CREATE TABLE ride_hailing_order (
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
    "event" text NOT NULL,
    "order" text,
    "company" text,
    "driver" text,
    "plate" text,
    "destination_lon" double precision,
    "destination_lat" double precision,
    "distance" double precision,
    "empty_distance" double precision,
    "duration" double precision,
    "fare" bigint,
    "reason" text,
    "quality" integer NOT NULL,
    "zone" integer
);
SELECT cityops_hypertable('ride_hailing_order', 'ts');
CREATE INDEX ride_hailing_order_ts ON ride_hailing_order USING brin (ts) WITH (pages_per_range = 32, autosummarize = on);
COMMENT ON TABLE ride_hailing_order IS '网约车订单 / Ride-hailing order';
COMMENT ON COLUMN ride_hailing_order."source" IS '来源 / Device or vehicle id';
COMMENT ON COLUMN ride_hailing_order."ts" IS '事件时间 / When it was measured';
COMMENT ON COLUMN ride_hailing_order."sent_at" IS '发送时间 / When the device sent it';
COMMENT ON COLUMN ride_hailing_order."seen_at" IS '到达时间 / When its bytes arrived';
COMMENT ON COLUMN ride_hailing_order."serial" IS '报文流水号 / The device''s own message number';
COMMENT ON COLUMN ride_hailing_order."lon" IS '经度 / Longitude, WGS-84 [°]';
COMMENT ON COLUMN ride_hailing_order."lat" IS '纬度 / Latitude, WGS-84 [°]';
COMMENT ON COLUMN ride_hailing_order."raw_lon" IS '原始坐标 / Coordinate as sent, before conversion [°]';
COMMENT ON COLUMN ride_hailing_order."raw_lat" IS '原始坐标 / Coordinate as sent, before conversion [°]';
COMMENT ON COLUMN ride_hailing_order."raw_crs" IS '原始坐标系 / Coordinate system as sent';
COMMENT ON COLUMN ride_hailing_order."event" IS '环节 / create, match, cancel, login, logout, depart, arrive or pay';
COMMENT ON COLUMN ride_hailing_order."order" IS '订单 / Order number';
COMMENT ON COLUMN ride_hailing_order."company" IS '企业 / Company code';
COMMENT ON COLUMN ride_hailing_order."driver" IS '驾驶员 / Driver: keyed hash of the licence number';
COMMENT ON COLUMN ride_hailing_order."plate" IS '车牌 / Number plate';
COMMENT ON COLUMN ride_hailing_order."destination_lon" IS '经度 / Longitude, WGS-84 [°]';
COMMENT ON COLUMN ride_hailing_order."destination_lat" IS '纬度 / Latitude, WGS-84 [°]';
COMMENT ON COLUMN ride_hailing_order."distance" IS '距离 / Distance driven [m]';
COMMENT ON COLUMN ride_hailing_order."empty_distance" IS '空驶里程 / Distance driven without a passenger [m]';
COMMENT ON COLUMN ride_hailing_order."duration" IS '时长 / Duration of the ride [s]';
COMMENT ON COLUMN ride_hailing_order."fare" IS '金额 / Amount of money [fen]';
COMMENT ON COLUMN ride_hailing_order."reason" IS '原因 / Reason of a cancellation';
COMMENT ON COLUMN ride_hailing_order."quality" IS '质量位 / Quality bits, 0 is good';
COMMENT ON COLUMN ride_hailing_order."zone" IS '行政区 / County by GB/T 2260 code';

CREATE TABLE taxi_trip (
    "source" text NOT NULL,
    "ts" timestamptz NOT NULL,
    "sent_at" timestamptz,
    "seen_at" timestamptz NOT NULL,
    "serial" bigint,
    "lon" double precision,
    "lat" double precision,
    "pickup_lon" double precision,
    "pickup_lat" double precision,
    "started_at" bigint,
    "distance" double precision,
    "empty_distance" double precision,
    "waiting" double precision,
    "fare" bigint,
    "surcharge" bigint,
    "payment" text,
    "trip_number" bigint,
    "order" text,
    "driver" text,
    "plate" text,
    "quality" integer NOT NULL,
    "zone" integer
);
SELECT cityops_hypertable('taxi_trip', 'ts');
CREATE INDEX taxi_trip_ts ON taxi_trip USING brin (ts) WITH (pages_per_range = 32, autosummarize = on);
COMMENT ON TABLE taxi_trip IS '出租车营运 / Taxi trip';
COMMENT ON COLUMN taxi_trip."source" IS '来源 / Device or vehicle id';
COMMENT ON COLUMN taxi_trip."ts" IS '事件时间 / When it was measured';
COMMENT ON COLUMN taxi_trip."sent_at" IS '发送时间 / When the device sent it';
COMMENT ON COLUMN taxi_trip."seen_at" IS '到达时间 / When its bytes arrived';
COMMENT ON COLUMN taxi_trip."serial" IS '报文流水号 / The device''s own message number';
COMMENT ON COLUMN taxi_trip."lon" IS '经度 / Longitude, WGS-84 [°]';
COMMENT ON COLUMN taxi_trip."lat" IS '纬度 / Latitude, WGS-84 [°]';
COMMENT ON COLUMN taxi_trip."pickup_lon" IS '经度 / Longitude, WGS-84 [°]';
COMMENT ON COLUMN taxi_trip."pickup_lat" IS '纬度 / Latitude, WGS-84 [°]';
COMMENT ON COLUMN taxi_trip."started_at" IS '时刻 / Point in time, since 1970 UTC [µs]';
COMMENT ON COLUMN taxi_trip."distance" IS '距离 / Distance driven [m]';
COMMENT ON COLUMN taxi_trip."empty_distance" IS '空驶里程 / Distance driven empty before [m]';
COMMENT ON COLUMN taxi_trip."waiting" IS '等候时间 / Waiting time charged [s]';
COMMENT ON COLUMN taxi_trip."fare" IS '金额 / Amount of money [fen]';
COMMENT ON COLUMN taxi_trip."surcharge" IS '附加费 / Surcharge [fen]';
COMMENT ON COLUMN taxi_trip."payment" IS '支付方式 / cash, m1_card, cpu_card or other';
COMMENT ON COLUMN taxi_trip."trip_number" IS '车次 / Trip counter of the meter';
COMMENT ON COLUMN taxi_trip."order" IS '订单 / Order number';
COMMENT ON COLUMN taxi_trip."driver" IS '驾驶员 / Driver: keyed hash of the licence number';
COMMENT ON COLUMN taxi_trip."plate" IS '车牌 / Number plate';
COMMENT ON COLUMN taxi_trip."quality" IS '质量位 / Quality bits, 0 is good';
COMMENT ON COLUMN taxi_trip."zone" IS '行政区 / County by GB/T 2260 code';

CREATE TABLE bus_event (
    "source" text NOT NULL,
    "ts" timestamptz NOT NULL,
    "sent_at" timestamptz,
    "seen_at" timestamptz NOT NULL,
    "serial" bigint,
    "lon" double precision,
    "lat" double precision,
    "event" text NOT NULL,
    "line" text,
    "direction" bigint,
    "trip" text,
    "stop" text,
    "speed" double precision,
    "delay" double precision,
    "mileage" double precision,
    "doors_open" boolean,
    "quality" integer NOT NULL,
    "zone" integer
);
SELECT cityops_hypertable('bus_event', 'ts');
CREATE INDEX bus_event_ts ON bus_event USING brin (ts) WITH (pages_per_range = 32, autosummarize = on);
COMMENT ON TABLE bus_event IS '公交事件 / Bus event';
COMMENT ON COLUMN bus_event."source" IS '来源 / Device or vehicle id';
COMMENT ON COLUMN bus_event."ts" IS '事件时间 / When it was measured';
COMMENT ON COLUMN bus_event."sent_at" IS '发送时间 / When the device sent it';
COMMENT ON COLUMN bus_event."seen_at" IS '到达时间 / When its bytes arrived';
COMMENT ON COLUMN bus_event."serial" IS '报文流水号 / The device''s own message number';
COMMENT ON COLUMN bus_event."lon" IS '经度 / Longitude, WGS-84 [°]';
COMMENT ON COLUMN bus_event."lat" IS '纬度 / Latitude, WGS-84 [°]';
COMMENT ON COLUMN bus_event."event" IS '事件 / arriving, arrived, departing, departed, passed, doors_open and so on';
COMMENT ON COLUMN bus_event."line" IS '线路 / Line or route';
COMMENT ON COLUMN bus_event."direction" IS '方向 / Direction of the line, 1 or 2';
COMMENT ON COLUMN bus_event."trip" IS '班次 / Trip';
COMMENT ON COLUMN bus_event."stop" IS '站点 / Stop';
COMMENT ON COLUMN bus_event."speed" IS '速度 / Speed over ground [m/s]';
COMMENT ON COLUMN bus_event."delay" IS '晚点 / Behind schedule (negative: ahead) [s]';
COMMENT ON COLUMN bus_event."mileage" IS '里程 / Odometer [m]';
COMMENT ON COLUMN bus_event."doors_open" IS '车门开 / A door is open';
COMMENT ON COLUMN bus_event."quality" IS '质量位 / Quality bits, 0 is good';
COMMENT ON COLUMN bus_event."zone" IS '行政区 / County by GB/T 2260 code';
