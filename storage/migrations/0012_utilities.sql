-- Tables of the utilities; made with storage/ddl.py, compared with the declarations by a test.
CREATE TABLE water_node (
    "source" text NOT NULL,
    "ts" timestamptz NOT NULL,
    "sent_at" timestamptz,
    "seen_at" timestamptz NOT NULL,
    "serial" bigint,
    "lon" double precision,
    "lat" double precision,
    "flag" text,
    "pressure" double precision,
    "flow" double precision,
    "volume" double precision,
    "level" double precision,
    "temperature" double precision,
    "turbidity" double precision,
    "chlorine" double precision,
    "ph" double precision,
    "pump_on" boolean,
    "quality" integer NOT NULL,
    "zone" integer
);
SELECT cityops_hypertable('water_node', 'ts');
CREATE INDEX water_node_ts ON water_node USING brin (ts) WITH (pages_per_range = 32, autosummarize = on);
COMMENT ON TABLE water_node IS '供水监测点 / Water node';
COMMENT ON COLUMN water_node."source" IS '来源 / Device or vehicle id';
COMMENT ON COLUMN water_node."ts" IS '事件时间 / When it was measured';
COMMENT ON COLUMN water_node."sent_at" IS '发送时间 / When the device sent it';
COMMENT ON COLUMN water_node."seen_at" IS '到达时间 / When its bytes arrived';
COMMENT ON COLUMN water_node."serial" IS '报文流水号 / The device''s own message number';
COMMENT ON COLUMN water_node."lon" IS '经度 / Longitude, WGS-84 [°]';
COMMENT ON COLUMN water_node."lat" IS '纬度 / Latitude, WGS-84 [°]';
COMMENT ON COLUMN water_node."flag" IS '数据标记 / Quality as sent: empty or good is sound, anything else is doubtful';
COMMENT ON COLUMN water_node."pressure" IS '压力 / Gauge pressure [Pa]';
COMMENT ON COLUMN water_node."flow" IS '流量 / Volume flow [m³/s]';
COMMENT ON COLUMN water_node."volume" IS '累计流量 / Volume on the counter [m³]';
COMMENT ON COLUMN water_node."level" IS '液位 / Level above the sensor''s zero [m]';
COMMENT ON COLUMN water_node."temperature" IS '温度 / Temperature [°C]';
COMMENT ON COLUMN water_node."turbidity" IS '浊度 / Turbidity [NTU]';
COMMENT ON COLUMN water_node."chlorine" IS '余氯 / Free chlorine [g/m³]';
COMMENT ON COLUMN water_node."ph" IS '酸碱度 / Acidity pH';
COMMENT ON COLUMN water_node."pump_on" IS '水泵运行 / A pump runs';
COMMENT ON COLUMN water_node."quality" IS '质量位 / Quality bits, 0 is good';
COMMENT ON COLUMN water_node."zone" IS '行政区 / County by GB/T 2260 code';

CREATE TABLE power_load (
    "source" text NOT NULL,
    "ts" timestamptz NOT NULL,
    "sent_at" timestamptz,
    "seen_at" timestamptz NOT NULL,
    "serial" bigint,
    "lon" double precision,
    "lat" double precision,
    "flag" text,
    "voltage_a" double precision,
    "voltage_b" double precision,
    "voltage_c" double precision,
    "current_a" double precision,
    "current_b" double precision,
    "current_c" double precision,
    "power" double precision,
    "reactive_power" double precision,
    "power_factor" double precision,
    "frequency" double precision,
    "load" double precision,
    "oil_temperature" double precision,
    "closed" boolean,
    "quality" integer NOT NULL,
    "zone" integer
);
SELECT cityops_hypertable('power_load', 'ts');
CREATE INDEX power_load_ts ON power_load USING brin (ts) WITH (pages_per_range = 32, autosummarize = on);
COMMENT ON TABLE power_load IS '电力负荷 / Power load';
COMMENT ON COLUMN power_load."source" IS '来源 / Device or vehicle id';
COMMENT ON COLUMN power_load."ts" IS '事件时间 / When it was measured';
COMMENT ON COLUMN power_load."sent_at" IS '发送时间 / When the device sent it';
COMMENT ON COLUMN power_load."seen_at" IS '到达时间 / When its bytes arrived';
COMMENT ON COLUMN power_load."serial" IS '报文流水号 / The device''s own message number';
COMMENT ON COLUMN power_load."lon" IS '经度 / Longitude, WGS-84 [°]';
COMMENT ON COLUMN power_load."lat" IS '纬度 / Latitude, WGS-84 [°]';
COMMENT ON COLUMN power_load."flag" IS '数据标记 / Quality as sent: empty or good is sound, anything else is doubtful';
COMMENT ON COLUMN power_load."voltage_a" IS '电压 / Voltage [V]';
COMMENT ON COLUMN power_load."voltage_b" IS '电压 / Voltage [V]';
COMMENT ON COLUMN power_load."voltage_c" IS '电压 / Voltage [V]';
COMMENT ON COLUMN power_load."current_a" IS '电流 / Current [A]';
COMMENT ON COLUMN power_load."current_b" IS '电流 / Current [A]';
COMMENT ON COLUMN power_load."current_c" IS '电流 / Current [A]';
COMMENT ON COLUMN power_load."power" IS '功率 / Active power [W]';
COMMENT ON COLUMN power_load."reactive_power" IS '无功功率 / Reactive power [var]';
COMMENT ON COLUMN power_load."power_factor" IS '功率因数 / Power factor';
COMMENT ON COLUMN power_load."frequency" IS '频率 / Frequency [Hz]';
COMMENT ON COLUMN power_load."load" IS '负载率 / Load as a share of the rating [%]';
COMMENT ON COLUMN power_load."oil_temperature" IS '温度 / Temperature [°C]';
COMMENT ON COLUMN power_load."closed" IS '开关合闸 / The switch is closed';
COMMENT ON COLUMN power_load."quality" IS '质量位 / Quality bits, 0 is good';
COMMENT ON COLUMN power_load."zone" IS '行政区 / County by GB/T 2260 code';

CREATE TABLE gas_node (
    "source" text NOT NULL,
    "ts" timestamptz NOT NULL,
    "sent_at" timestamptz,
    "seen_at" timestamptz NOT NULL,
    "serial" bigint,
    "lon" double precision,
    "lat" double precision,
    "flag" text,
    "inlet_pressure" double precision,
    "outlet_pressure" double precision,
    "flow" double precision,
    "volume" double precision,
    "temperature" double precision,
    "lel" double precision,
    "valve_open" boolean,
    "battery" double precision,
    "quality" integer NOT NULL,
    "zone" integer
);
SELECT cityops_hypertable('gas_node', 'ts');
CREATE INDEX gas_node_ts ON gas_node USING brin (ts) WITH (pages_per_range = 32, autosummarize = on);
COMMENT ON TABLE gas_node IS '燃气监测点 / Gas node';
COMMENT ON COLUMN gas_node."source" IS '来源 / Device or vehicle id';
COMMENT ON COLUMN gas_node."ts" IS '事件时间 / When it was measured';
COMMENT ON COLUMN gas_node."sent_at" IS '发送时间 / When the device sent it';
COMMENT ON COLUMN gas_node."seen_at" IS '到达时间 / When its bytes arrived';
COMMENT ON COLUMN gas_node."serial" IS '报文流水号 / The device''s own message number';
COMMENT ON COLUMN gas_node."lon" IS '经度 / Longitude, WGS-84 [°]';
COMMENT ON COLUMN gas_node."lat" IS '纬度 / Latitude, WGS-84 [°]';
COMMENT ON COLUMN gas_node."flag" IS '数据标记 / Quality as sent: empty or good is sound, anything else is doubtful';
COMMENT ON COLUMN gas_node."inlet_pressure" IS '压力 / Gauge pressure [Pa]';
COMMENT ON COLUMN gas_node."outlet_pressure" IS '压力 / Gauge pressure [Pa]';
COMMENT ON COLUMN gas_node."flow" IS '流量 / Volume flow [m³/s]';
COMMENT ON COLUMN gas_node."volume" IS '累计流量 / Volume on the counter [m³]';
COMMENT ON COLUMN gas_node."temperature" IS '温度 / Temperature [°C]';
COMMENT ON COLUMN gas_node."lel" IS '可燃气体浓度 / Share of the lower explosive limit [%]';
COMMENT ON COLUMN gas_node."valve_open" IS '阀门开 / The valve is open';
COMMENT ON COLUMN gas_node."battery" IS '比例 / Share [%]';
COMMENT ON COLUMN gas_node."quality" IS '质量位 / Quality bits, 0 is good';
COMMENT ON COLUMN gas_node."zone" IS '行政区 / County by GB/T 2260 code';
