-- Tables of heat substations and meters; made with storage/ddl.py, compared with the declarations by a test.
CREATE TABLE heat_substation (
    "source" text NOT NULL,
    "ts" timestamptz NOT NULL,
    "sent_at" timestamptz,
    "seen_at" timestamptz NOT NULL,
    "serial" bigint,
    "lon" double precision,
    "lat" double precision,
    "flag" text,
    "supply_temperature" double precision,
    "return_temperature" double precision,
    "secondary_supply_temperature" double precision,
    "secondary_return_temperature" double precision,
    "room_temperature" double precision,
    "outdoor_temperature" double precision,
    "supply_pressure" double precision,
    "return_pressure" double precision,
    "flow" double precision,
    "power" double precision,
    "energy" double precision,
    "makeup_flow" double precision,
    "pump_on" boolean,
    "quality" integer NOT NULL,
    "zone" integer
);
SELECT cityops_hypertable('heat_substation', 'ts');
CREATE INDEX heat_substation_ts ON heat_substation USING brin (ts) WITH (pages_per_range = 32, autosummarize = on);
COMMENT ON TABLE heat_substation IS '换热站 / Heat substation';
COMMENT ON COLUMN heat_substation."source" IS '来源 / Device or vehicle id';
COMMENT ON COLUMN heat_substation."ts" IS '事件时间 / When it was measured';
COMMENT ON COLUMN heat_substation."sent_at" IS '发送时间 / When the device sent it';
COMMENT ON COLUMN heat_substation."seen_at" IS '到达时间 / When its bytes arrived';
COMMENT ON COLUMN heat_substation."serial" IS '报文流水号 / The device''s own message number';
COMMENT ON COLUMN heat_substation."lon" IS '经度 / Longitude, WGS-84 [°]';
COMMENT ON COLUMN heat_substation."lat" IS '纬度 / Latitude, WGS-84 [°]';
COMMENT ON COLUMN heat_substation."flag" IS '数据标记 / Quality as sent: empty or good is sound, anything else is doubtful';
COMMENT ON COLUMN heat_substation."supply_temperature" IS '温度 / Temperature [°C]';
COMMENT ON COLUMN heat_substation."return_temperature" IS '温度 / Temperature [°C]';
COMMENT ON COLUMN heat_substation."secondary_supply_temperature" IS '温度 / Temperature [°C]';
COMMENT ON COLUMN heat_substation."secondary_return_temperature" IS '温度 / Temperature [°C]';
COMMENT ON COLUMN heat_substation."room_temperature" IS '温度 / Temperature [°C]';
COMMENT ON COLUMN heat_substation."outdoor_temperature" IS '温度 / Temperature [°C]';
COMMENT ON COLUMN heat_substation."supply_pressure" IS '压力 / Gauge pressure [Pa]';
COMMENT ON COLUMN heat_substation."return_pressure" IS '压力 / Gauge pressure [Pa]';
COMMENT ON COLUMN heat_substation."flow" IS '流量 / Volume flow [m³/s]';
COMMENT ON COLUMN heat_substation."power" IS '热功率 / Heat output [W]';
COMMENT ON COLUMN heat_substation."energy" IS '累计能量 / Energy on the counter [J]';
COMMENT ON COLUMN heat_substation."makeup_flow" IS '补水流量 / Make-up water flow [m³/s]';
COMMENT ON COLUMN heat_substation."pump_on" IS '循环泵运行 / A circulation pump runs';
COMMENT ON COLUMN heat_substation."quality" IS '质量位 / Quality bits, 0 is good';
COMMENT ON COLUMN heat_substation."zone" IS '行政区 / County by GB/T 2260 code';

CREATE TABLE meter_reading (
    "source" text NOT NULL,
    "ts" timestamptz NOT NULL,
    "sent_at" timestamptz,
    "seen_at" timestamptz NOT NULL,
    "serial" bigint,
    "lon" double precision,
    "lat" double precision,
    "flag" text,
    "medium" text NOT NULL,
    "register" text,
    "energy" double precision,
    "reverse_energy" double precision,
    "volume" double precision,
    "settlement_volume" double precision,
    "settlement_energy" double precision,
    "power" double precision,
    "flow" double precision,
    "voltage" double precision,
    "current" double precision,
    "frequency" double precision,
    "supply_temperature" double precision,
    "return_temperature" double precision,
    "hours" double precision,
    "valve" text,
    "battery_low" boolean,
    "state" text,
    "quality" integer NOT NULL,
    "zone" integer
);
SELECT cityops_hypertable('meter_reading', 'ts');
CREATE INDEX meter_reading_ts ON meter_reading USING brin (ts) WITH (pages_per_range = 32, autosummarize = on);
COMMENT ON TABLE meter_reading IS '抄表读数 / Meter reading';
COMMENT ON COLUMN meter_reading."source" IS '来源 / Device or vehicle id';
COMMENT ON COLUMN meter_reading."ts" IS '事件时间 / When it was measured';
COMMENT ON COLUMN meter_reading."sent_at" IS '发送时间 / When the device sent it';
COMMENT ON COLUMN meter_reading."seen_at" IS '到达时间 / When its bytes arrived';
COMMENT ON COLUMN meter_reading."serial" IS '报文流水号 / The device''s own message number';
COMMENT ON COLUMN meter_reading."lon" IS '经度 / Longitude, WGS-84 [°]';
COMMENT ON COLUMN meter_reading."lat" IS '纬度 / Latitude, WGS-84 [°]';
COMMENT ON COLUMN meter_reading."flag" IS '数据标记 / Quality as sent: empty or good is sound, anything else is doubtful';
COMMENT ON COLUMN meter_reading."medium" IS '介质 / electricity, water, hot_water, heat, cooling or gas';
COMMENT ON COLUMN meter_reading."register" IS '寄存器 / Data identifier as the standard writes it';
COMMENT ON COLUMN meter_reading."energy" IS '累计能量 / Energy on the counter [J]';
COMMENT ON COLUMN meter_reading."reverse_energy" IS '反向能量 / Energy fed back on the counter [J]';
COMMENT ON COLUMN meter_reading."volume" IS '累计流量 / Volume on the counter [m³]';
COMMENT ON COLUMN meter_reading."settlement_volume" IS '结算日流量 / Volume at the settlement day [m³]';
COMMENT ON COLUMN meter_reading."settlement_energy" IS '结算日能量 / Energy at the settlement day [J]';
COMMENT ON COLUMN meter_reading."power" IS '功率 / Active power [W]';
COMMENT ON COLUMN meter_reading."flow" IS '流量 / Volume flow [m³/s]';
COMMENT ON COLUMN meter_reading."voltage" IS '电压 / Voltage [V]';
COMMENT ON COLUMN meter_reading."current" IS '电流 / Current [A]';
COMMENT ON COLUMN meter_reading."frequency" IS '频率 / Frequency [Hz]';
COMMENT ON COLUMN meter_reading."supply_temperature" IS '温度 / Temperature [°C]';
COMMENT ON COLUMN meter_reading."return_temperature" IS '温度 / Temperature [°C]';
COMMENT ON COLUMN meter_reading."hours" IS '工作时间 / Hours of operation on the counter [s]';
COMMENT ON COLUMN meter_reading."valve" IS '阀门 / open, closed or fault';
COMMENT ON COLUMN meter_reading."battery_low" IS '电池欠压 / The battery is low';
COMMENT ON COLUMN meter_reading."state" IS '状态 / State as the source names it';
COMMENT ON COLUMN meter_reading."quality" IS '质量位 / Quality bits, 0 is good';
COMMENT ON COLUMN meter_reading."zone" IS '行政区 / County by GB/T 2260 code';
