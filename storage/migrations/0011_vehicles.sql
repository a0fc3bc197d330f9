-- Tables of vehicles' alarms, duty, waybills and batteries; made with storage/ddl.py, compared with the declarations by a test.
CREATE TABLE vehicle_alarm_episode (
    "source" text NOT NULL,
    "ts" timestamptz NOT NULL,
    "sent_at" timestamptz,
    "seen_at" timestamptz NOT NULL,
    "serial" bigint,
    "lon" double precision,
    "lat" double precision,
    "code" text NOT NULL,
    "phase" text NOT NULL,
    "started_at" bigint,
    "level" bigint,
    "number" bigint,
    "speed" double precision,
    "detail" text,
    "plate" text,
    "quality" integer NOT NULL,
    "zone" integer
);
SELECT cityops_hypertable('vehicle_alarm_episode', 'ts');
CREATE INDEX vehicle_alarm_episode_ts ON vehicle_alarm_episode USING brin (ts) WITH (pages_per_range = 32, autosummarize = on);
COMMENT ON TABLE vehicle_alarm_episode IS '车辆报警 / Vehicle alarm episode';
COMMENT ON COLUMN vehicle_alarm_episode."source" IS '来源 / Device or vehicle id';
COMMENT ON COLUMN vehicle_alarm_episode."ts" IS '事件时间 / When it was measured';
COMMENT ON COLUMN vehicle_alarm_episode."sent_at" IS '发送时间 / When the device sent it';
COMMENT ON COLUMN vehicle_alarm_episode."seen_at" IS '到达时间 / When its bytes arrived';
COMMENT ON COLUMN vehicle_alarm_episode."serial" IS '报文流水号 / The device''s own message number';
COMMENT ON COLUMN vehicle_alarm_episode."lon" IS '经度 / Longitude, WGS-84 [°]';
COMMENT ON COLUMN vehicle_alarm_episode."lat" IS '纬度 / Latitude, WGS-84 [°]';
COMMENT ON COLUMN vehicle_alarm_episode."code" IS '报警代码 / Which alarm, code of the connector''s alarm table';
COMMENT ON COLUMN vehicle_alarm_episode."phase" IS '阶段 / rise, fall, or moment where it has no end';
COMMENT ON COLUMN vehicle_alarm_episode."started_at" IS '时刻 / Point in time, since 1970 UTC [µs]';
COMMENT ON COLUMN vehicle_alarm_episode."level" IS '等级 / Level as sent, 1 is lowest';
COMMENT ON COLUMN vehicle_alarm_episode."number" IS '编号 / Alarm id as sent';
COMMENT ON COLUMN vehicle_alarm_episode."speed" IS '速度 / Speed over ground [m/s]';
COMMENT ON COLUMN vehicle_alarm_episode."detail" IS '详情 / Alarm content as sent';
COMMENT ON COLUMN vehicle_alarm_episode."plate" IS '车牌 / Number plate';
COMMENT ON COLUMN vehicle_alarm_episode."quality" IS '质量位 / Quality bits, 0 is good';
COMMENT ON COLUMN vehicle_alarm_episode."zone" IS '行政区 / County by GB/T 2260 code';

CREATE TABLE driver_duty (
    "source" text NOT NULL,
    "ts" timestamptz NOT NULL,
    "sent_at" timestamptz,
    "seen_at" timestamptz NOT NULL,
    "serial" bigint,
    "event" text NOT NULL,
    "driver" text,
    "name" text,
    "issuer" text,
    "valid_until" bigint,
    "detail" text,
    "plate" text,
    "quality" integer NOT NULL,
    "zone" integer
);
SELECT cityops_hypertable('driver_duty', 'ts');
CREATE INDEX driver_duty_ts ON driver_duty USING brin (ts) WITH (pages_per_range = 32, autosummarize = on);
COMMENT ON TABLE driver_duty IS '驾驶员当班 / Driver duty';
COMMENT ON COLUMN driver_duty."source" IS '来源 / Device or vehicle id';
COMMENT ON COLUMN driver_duty."ts" IS '事件时间 / When it was measured';
COMMENT ON COLUMN driver_duty."sent_at" IS '发送时间 / When the device sent it';
COMMENT ON COLUMN driver_duty."seen_at" IS '到达时间 / When its bytes arrived';
COMMENT ON COLUMN driver_duty."serial" IS '报文流水号 / The device''s own message number';
COMMENT ON COLUMN driver_duty."event" IS '事件 / on, off, report or failed';
COMMENT ON COLUMN driver_duty."driver" IS '驾驶员 / Driver: keyed hash of the licence number';
COMMENT ON COLUMN driver_duty."name" IS '姓名 / Name as sent';
COMMENT ON COLUMN driver_duty."issuer" IS '发证机构 / Authority that issued the certificate';
COMMENT ON COLUMN driver_duty."valid_until" IS '时刻 / Point in time, since 1970 UTC [µs]';
COMMENT ON COLUMN driver_duty."detail" IS '结果 / Result of reading the card';
COMMENT ON COLUMN driver_duty."plate" IS '车牌 / Number plate';
COMMENT ON COLUMN driver_duty."quality" IS '质量位 / Quality bits, 0 is good';
COMMENT ON COLUMN driver_duty."zone" IS '行政区 / County by GB/T 2260 code';

CREATE TABLE hazmat_waybill (
    "source" text NOT NULL,
    "ts" timestamptz NOT NULL,
    "sent_at" timestamptz,
    "seen_at" timestamptz NOT NULL,
    "serial" bigint,
    "content" text NOT NULL,
    "plate" text,
    "quality" integer NOT NULL,
    "zone" integer
);
SELECT cityops_hypertable('hazmat_waybill', 'ts');
CREATE INDEX hazmat_waybill_ts ON hazmat_waybill USING brin (ts) WITH (pages_per_range = 32, autosummarize = on);
COMMENT ON TABLE hazmat_waybill IS '危货电子运单 / Hazmat waybill';
COMMENT ON COLUMN hazmat_waybill."source" IS '来源 / Device or vehicle id';
COMMENT ON COLUMN hazmat_waybill."ts" IS '事件时间 / When it was measured';
COMMENT ON COLUMN hazmat_waybill."sent_at" IS '发送时间 / When the device sent it';
COMMENT ON COLUMN hazmat_waybill."seen_at" IS '到达时间 / When its bytes arrived';
COMMENT ON COLUMN hazmat_waybill."serial" IS '报文流水号 / The device''s own message number';
COMMENT ON COLUMN hazmat_waybill."content" IS '运单内容 / Content as sent';
COMMENT ON COLUMN hazmat_waybill."plate" IS '车牌 / Number plate';
COMMENT ON COLUMN hazmat_waybill."quality" IS '质量位 / Quality bits, 0 is good';
COMMENT ON COLUMN hazmat_waybill."zone" IS '行政区 / County by GB/T 2260 code';

CREATE TABLE ev_battery (
    "source" text NOT NULL,
    "ts" timestamptz NOT NULL,
    "sent_at" timestamptz,
    "seen_at" timestamptz NOT NULL,
    "serial" bigint,
    "lon" double precision,
    "lat" double precision,
    "speed" double precision,
    "mileage" double precision,
    "running" text,
    "charging" text,
    "voltage" double precision,
    "current" double precision,
    "soc" double precision,
    "insulation" double precision,
    "cell_voltage_max" double precision,
    "cell_voltage_min" double precision,
    "temperature_max" double precision,
    "temperature_min" double precision,
    "alarm_level" bigint,
    "alarm" bigint,
    "quality" integer NOT NULL,
    "zone" integer
);
SELECT cityops_hypertable('ev_battery', 'ts');
CREATE INDEX ev_battery_ts ON ev_battery USING brin (ts) WITH (pages_per_range = 32, autosummarize = on);
COMMENT ON TABLE ev_battery IS '新能源车电池 / Traction battery';
COMMENT ON COLUMN ev_battery."source" IS '来源 / Device or vehicle id';
COMMENT ON COLUMN ev_battery."ts" IS '事件时间 / When it was measured';
COMMENT ON COLUMN ev_battery."sent_at" IS '发送时间 / When the device sent it';
COMMENT ON COLUMN ev_battery."seen_at" IS '到达时间 / When its bytes arrived';
COMMENT ON COLUMN ev_battery."serial" IS '报文流水号 / The device''s own message number';
COMMENT ON COLUMN ev_battery."lon" IS '经度 / Longitude, WGS-84 [°]';
COMMENT ON COLUMN ev_battery."lat" IS '纬度 / Latitude, WGS-84 [°]';
COMMENT ON COLUMN ev_battery."speed" IS '速度 / Speed over ground [m/s]';
COMMENT ON COLUMN ev_battery."mileage" IS '里程 / Odometer [m]';
COMMENT ON COLUMN ev_battery."running" IS '车辆状态 / started, off or other';
COMMENT ON COLUMN ev_battery."charging" IS '充电状态 / parked, driving, none, done';
COMMENT ON COLUMN ev_battery."voltage" IS '总电压 / Voltage of the pack [V]';
COMMENT ON COLUMN ev_battery."current" IS '总电流 / Current of the pack, positive discharges [A]';
COMMENT ON COLUMN ev_battery."soc" IS '荷电状态 / State of charge [%]';
COMMENT ON COLUMN ev_battery."insulation" IS '绝缘电阻 / Insulation resistance [Ω]';
COMMENT ON COLUMN ev_battery."cell_voltage_max" IS '单体最高电压 / Highest cell voltage [V]';
COMMENT ON COLUMN ev_battery."cell_voltage_min" IS '单体最低电压 / Lowest cell voltage [V]';
COMMENT ON COLUMN ev_battery."temperature_max" IS '最高温度 / Highest probe temperature [°C]';
COMMENT ON COLUMN ev_battery."temperature_min" IS '最低温度 / Lowest probe temperature [°C]';
COMMENT ON COLUMN ev_battery."alarm_level" IS '最高报警等级 / Highest alarm level, 0 none to 3 (2025: 4)';
COMMENT ON COLUMN ev_battery."alarm" IS '通用报警标志 / General alarm flags of GB/T 32960.3';
COMMENT ON COLUMN ev_battery."quality" IS '质量位 / Quality bits, 0 is good';
COMMENT ON COLUMN ev_battery."zone" IS '行政区 / County by GB/T 2260 code';
