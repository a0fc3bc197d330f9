-- Tables of streetlights, payments, road links and lock events; made with storage/ddl.py, compared with the declarations by a test.
CREATE TABLE streetlight (
    "source" text NOT NULL,
    "ts" timestamptz NOT NULL,
    "sent_at" timestamptz,
    "seen_at" timestamptz NOT NULL,
    "serial" bigint,
    "lon" double precision,
    "lat" double precision,
    "cabinet" text,
    "on" boolean,
    "commanded_on" boolean,
    "dimming" double precision,
    "power" double precision,
    "rated_power" double precision,
    "voltage" double precision,
    "current" double precision,
    "power_factor" double precision,
    "energy" double precision,
    "temperature" double precision,
    "burning" double precision,
    "lux" double precision,
    "fault" text,
    "flag" text,
    "quality" integer NOT NULL,
    "zone" integer
);
SELECT cityops_hypertable('streetlight', 'ts');
CREATE INDEX streetlight_ts ON streetlight USING brin (ts) WITH (pages_per_range = 32, autosummarize = on);
COMMENT ON TABLE streetlight IS '路灯 / Streetlight';
COMMENT ON COLUMN streetlight."source" IS '来源 / Device or vehicle id';
COMMENT ON COLUMN streetlight."ts" IS '事件时间 / When it was measured';
COMMENT ON COLUMN streetlight."sent_at" IS '发送时间 / When the device sent it';
COMMENT ON COLUMN streetlight."seen_at" IS '到达时间 / When its bytes arrived';
COMMENT ON COLUMN streetlight."serial" IS '报文流水号 / The device''s own message number';
COMMENT ON COLUMN streetlight."lon" IS '经度 / Longitude, WGS-84 [°]';
COMMENT ON COLUMN streetlight."lat" IS '纬度 / Latitude, WGS-84 [°]';
COMMENT ON COLUMN streetlight."cabinet" IS '控制柜 / Cabinet that feeds it';
COMMENT ON COLUMN streetlight."on" IS '亮灯 / It is lit';
COMMENT ON COLUMN streetlight."commanded_on" IS '应亮 / It is meant to be lit';
COMMENT ON COLUMN streetlight."dimming" IS '亮度 / Light output [%]';
COMMENT ON COLUMN streetlight."power" IS '功率 / Active power [W]';
COMMENT ON COLUMN streetlight."rated_power" IS '额定功率 / Rated power [W]';
COMMENT ON COLUMN streetlight."voltage" IS '电压 / Supply voltage [V]';
COMMENT ON COLUMN streetlight."current" IS '电流 / Supply current [A]';
COMMENT ON COLUMN streetlight."power_factor" IS '功率因数 / Power factor';
COMMENT ON COLUMN streetlight."energy" IS '累计电能 / Energy on the counter [J]';
COMMENT ON COLUMN streetlight."temperature" IS '温度 / Controller temperature [°C]';
COMMENT ON COLUMN streetlight."burning" IS '累计亮灯时间 / Time lit on the counter [s]';
COMMENT ON COLUMN streetlight."lux" IS '照度 / Illuminance at the sensor [lx]';
COMMENT ON COLUMN streetlight."fault" IS '故障 / Fault code; absent is sound';
COMMENT ON COLUMN streetlight."flag" IS '数据标记 / Quality as sent: empty or good is sound';
COMMENT ON COLUMN streetlight."quality" IS '质量位 / Quality bits, 0 is good';
COMMENT ON COLUMN streetlight."zone" IS '行政区 / County by GB/T 2260 code';

CREATE TABLE bill_payment (
    "source" text NOT NULL,
    "ts" timestamptz NOT NULL,
    "sent_at" timestamptz,
    "seen_at" timestamptz NOT NULL,
    "serial" bigint,
    "bill" text NOT NULL,
    "utility" text NOT NULL,
    "amount" bigint NOT NULL,
    "balance" bigint,
    "channel" text,
    "district" text,
    "volume" double precision,
    "energy" double precision,
    "quality" integer NOT NULL,
    "zone" integer
);
SELECT cityops_hypertable('bill_payment', 'ts');
CREATE INDEX bill_payment_ts ON bill_payment USING brin (ts) WITH (pages_per_range = 32, autosummarize = on);
COMMENT ON TABLE bill_payment IS '缴费记录 / Bill payment';
COMMENT ON COLUMN bill_payment."source" IS '来源 / Device or vehicle id';
COMMENT ON COLUMN bill_payment."ts" IS '事件时间 / When it was measured';
COMMENT ON COLUMN bill_payment."sent_at" IS '发送时间 / When the device sent it';
COMMENT ON COLUMN bill_payment."seen_at" IS '到达时间 / When its bytes arrived';
COMMENT ON COLUMN bill_payment."serial" IS '报文流水号 / The device''s own message number';
COMMENT ON COLUMN bill_payment."bill" IS '缴费单号 / Number of the payment';
COMMENT ON COLUMN bill_payment."utility" IS '缴费类别 / water, electricity, gas, heat or other';
COMMENT ON COLUMN bill_payment."amount" IS '金额 / Amount paid [fen]';
COMMENT ON COLUMN bill_payment."balance" IS '余额 / Balance afterwards [fen]';
COMMENT ON COLUMN bill_payment."channel" IS '渠道 / Channel, as the payer''s system names it';
COMMENT ON COLUMN bill_payment."district" IS '片区 / Billing district';
COMMENT ON COLUMN bill_payment."volume" IS '用量 / Volume billed [m³]';
COMMENT ON COLUMN bill_payment."energy" IS '用能 / Energy billed [J]';
COMMENT ON COLUMN bill_payment."quality" IS '质量位 / Quality bits, 0 is good';
COMMENT ON COLUMN bill_payment."zone" IS '行政区 / County by GB/T 2260 code';

CREATE TABLE traffic_link (
    "source" text NOT NULL,
    "ts" timestamptz NOT NULL,
    "sent_at" timestamptz,
    "seen_at" timestamptz NOT NULL,
    "serial" bigint,
    "lon" double precision,
    "lat" double precision,
    "period" bigint,
    "road" text,
    "speed" double precision,
    "free_speed" double precision,
    "travel_time" double precision,
    "free_travel_time" double precision,
    "length" double precision,
    "state" text,
    "quality" integer NOT NULL,
    "zone" integer
);
SELECT cityops_hypertable('traffic_link', 'ts');
CREATE INDEX traffic_link_ts ON traffic_link USING brin (ts) WITH (pages_per_range = 32, autosummarize = on);
COMMENT ON TABLE traffic_link IS '路段路况 / Traffic link';
COMMENT ON COLUMN traffic_link."source" IS '来源 / Device or vehicle id';
COMMENT ON COLUMN traffic_link."ts" IS '事件时间 / When it was measured';
COMMENT ON COLUMN traffic_link."sent_at" IS '发送时间 / When the device sent it';
COMMENT ON COLUMN traffic_link."seen_at" IS '到达时间 / When its bytes arrived';
COMMENT ON COLUMN traffic_link."serial" IS '报文流水号 / The device''s own message number';
COMMENT ON COLUMN traffic_link."lon" IS '经度 / Longitude, WGS-84 [°]';
COMMENT ON COLUMN traffic_link."lat" IS '纬度 / Latitude, WGS-84 [°]';
COMMENT ON COLUMN traffic_link."period" IS '统计周期 / Length of the averaging period [s]';
COMMENT ON COLUMN traffic_link."road" IS '道路 / Road';
COMMENT ON COLUMN traffic_link."speed" IS '速度 / Speed over ground [m/s]';
COMMENT ON COLUMN traffic_link."free_speed" IS '自由流速度 / Speed in free flow [m/s]';
COMMENT ON COLUMN traffic_link."travel_time" IS '行程时间 / Travel time [s]';
COMMENT ON COLUMN traffic_link."free_travel_time" IS '自由流行程时间 / Travel time in free flow [s]';
COMMENT ON COLUMN traffic_link."length" IS '长度 / Length [m]';
COMMENT ON COLUMN traffic_link."state" IS '路况 / free, basic, light, moderate, severe, blocked or unknown';
COMMENT ON COLUMN traffic_link."quality" IS '质量位 / Quality bits, 0 is good';
COMMENT ON COLUMN traffic_link."zone" IS '行政区 / County by GB/T 2260 code';

CREATE TABLE bike_event (
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
    "operator" text,
    "quality" integer NOT NULL,
    "zone" integer
);
SELECT cityops_hypertable('bike_event', 'ts');
CREATE INDEX bike_event_ts ON bike_event USING brin (ts) WITH (pages_per_range = 32, autosummarize = on);
COMMENT ON TABLE bike_event IS '共享单车开关锁 / Bike lock event';
COMMENT ON COLUMN bike_event."source" IS '来源 / Device or vehicle id';
COMMENT ON COLUMN bike_event."ts" IS '事件时间 / When it was measured';
COMMENT ON COLUMN bike_event."sent_at" IS '发送时间 / When the device sent it';
COMMENT ON COLUMN bike_event."seen_at" IS '到达时间 / When its bytes arrived';
COMMENT ON COLUMN bike_event."serial" IS '报文流水号 / The device''s own message number';
COMMENT ON COLUMN bike_event."lon" IS '经度 / Longitude, WGS-84 [°]';
COMMENT ON COLUMN bike_event."lat" IS '纬度 / Latitude, WGS-84 [°]';
COMMENT ON COLUMN bike_event."raw_lon" IS '原始坐标 / Coordinate as sent, before conversion [°]';
COMMENT ON COLUMN bike_event."raw_lat" IS '原始坐标 / Coordinate as sent, before conversion [°]';
COMMENT ON COLUMN bike_event."raw_crs" IS '原始坐标系 / Coordinate system as sent';
COMMENT ON COLUMN bike_event."event" IS '事件 / lock or unlock';
COMMENT ON COLUMN bike_event."operator" IS '运营企业 / Operator';
COMMENT ON COLUMN bike_event."quality" IS '质量位 / Quality bits, 0 is good';
COMMENT ON COLUMN bike_event."zone" IS '行政区 / County by GB/T 2260 code';
