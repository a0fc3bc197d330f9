-- Tables of the environment kinds; made with storage/ddl.py, compared with the declarations by a test.
CREATE TABLE dust_station (
    "source" text NOT NULL,
    "ts" timestamptz NOT NULL,
    "sent_at" timestamptz,
    "seen_at" timestamptz NOT NULL,
    "serial" bigint,
    "lon" double precision,
    "lat" double precision,
    "period" bigint NOT NULL,
    "pm10" double precision,
    "pm25" double precision,
    "tsp" double precision,
    "noise" double precision,
    "temperature" double precision,
    "humidity" double precision,
    "pressure" double precision,
    "wind_speed" double precision,
    "wind_direction" double precision,
    "so2" double precision,
    "no2" double precision,
    "co" double precision,
    "o3" double precision,
    "flag" text,
    "quality" integer NOT NULL,
    "zone" integer
);
SELECT cityops_hypertable('dust_station', 'ts');
CREATE INDEX dust_station_ts ON dust_station USING brin (ts) WITH (pages_per_range = 32, autosummarize = on);
COMMENT ON TABLE dust_station IS '扬尘监测站 / Dust station';
COMMENT ON COLUMN dust_station."source" IS '来源 / Device or vehicle id';
COMMENT ON COLUMN dust_station."ts" IS '事件时间 / When it was measured';
COMMENT ON COLUMN dust_station."sent_at" IS '发送时间 / When the device sent it';
COMMENT ON COLUMN dust_station."seen_at" IS '到达时间 / When its bytes arrived';
COMMENT ON COLUMN dust_station."serial" IS '报文流水号 / The device''s own message number';
COMMENT ON COLUMN dust_station."lon" IS '经度 / Longitude, WGS-84 [°]';
COMMENT ON COLUMN dust_station."lat" IS '纬度 / Latitude, WGS-84 [°]';
COMMENT ON COLUMN dust_station."period" IS '统计周期 / Length of the averaging period; 0 is a momentary value [s]';
COMMENT ON COLUMN dust_station."pm10" IS '颗粒物浓度 / Mass concentration [µg/m³]';
COMMENT ON COLUMN dust_station."pm25" IS '颗粒物浓度 / Mass concentration [µg/m³]';
COMMENT ON COLUMN dust_station."tsp" IS '颗粒物浓度 / Mass concentration [µg/m³]';
COMMENT ON COLUMN dust_station."noise" IS '噪声 / Equivalent sound level LAeq [dB(A)]';
COMMENT ON COLUMN dust_station."temperature" IS '气温 / Air temperature [°C]';
COMMENT ON COLUMN dust_station."humidity" IS '相对湿度 / Relative humidity [%]';
COMMENT ON COLUMN dust_station."pressure" IS '气压 / Air pressure [Pa]';
COMMENT ON COLUMN dust_station."wind_speed" IS '风速 / Wind speed [m/s]';
COMMENT ON COLUMN dust_station."wind_direction" IS '风向 / Direction the wind comes from [°]';
COMMENT ON COLUMN dust_station."so2" IS '气体浓度 / Mass concentration [µg/m³]';
COMMENT ON COLUMN dust_station."no2" IS '气体浓度 / Mass concentration [µg/m³]';
COMMENT ON COLUMN dust_station."co" IS '气体浓度 / Mass concentration [µg/m³]';
COMMENT ON COLUMN dust_station."o3" IS '气体浓度 / Mass concentration [µg/m³]';
COMMENT ON COLUMN dust_station."flag" IS '数据标记 / Flag of HJ 212-2017 table 8 (N is normal)';
COMMENT ON COLUMN dust_station."quality" IS '质量位 / Quality bits, 0 is good';
COMMENT ON COLUMN dust_station."zone" IS '行政区 / County by GB/T 2260 code';

CREATE TABLE env_factor (
    "source" text NOT NULL,
    "ts" timestamptz NOT NULL,
    "sent_at" timestamptz,
    "seen_at" timestamptz NOT NULL,
    "serial" bigint,
    "factor" text NOT NULL,
    "system" text,
    "period" bigint NOT NULL,
    "value" double precision,
    "low" double precision,
    "high" double precision,
    "total" double precision,
    "flag" text,
    "quality" integer NOT NULL,
    "zone" integer
);
SELECT cityops_hypertable('env_factor', 'ts');
CREATE INDEX env_factor_ts ON env_factor USING brin (ts) WITH (pages_per_range = 32, autosummarize = on);
COMMENT ON TABLE env_factor IS '环境监测因子 / Environmental factor';
COMMENT ON COLUMN env_factor."source" IS '来源 / Device or vehicle id';
COMMENT ON COLUMN env_factor."ts" IS '事件时间 / When it was measured';
COMMENT ON COLUMN env_factor."sent_at" IS '发送时间 / When the device sent it';
COMMENT ON COLUMN env_factor."seen_at" IS '到达时间 / When its bytes arrived';
COMMENT ON COLUMN env_factor."serial" IS '报文流水号 / The device''s own message number';
COMMENT ON COLUMN env_factor."factor" IS '因子编码 / Factor code of HJ 212 annex B';
COMMENT ON COLUMN env_factor."system" IS '系统类型 / System type ST of HJ 212 table 5';
COMMENT ON COLUMN env_factor."period" IS '统计周期 / Length of the averaging period; 0 is a momentary value [s]';
COMMENT ON COLUMN env_factor."value" IS '数值 / Momentary or mean value, in the factor''s own unit';
COMMENT ON COLUMN env_factor."low" IS '最小值 / Minimum of the period, in the factor''s own unit';
COMMENT ON COLUMN env_factor."high" IS '最大值 / Maximum of the period, in the factor''s own unit';
COMMENT ON COLUMN env_factor."total" IS '累计值 / Total of the period, in the factor''s own unit';
COMMENT ON COLUMN env_factor."flag" IS '数据标记 / Flag of HJ 212-2017 table 8 (N is normal)';
COMMENT ON COLUMN env_factor."quality" IS '质量位 / Quality bits, 0 is good';
COMMENT ON COLUMN env_factor."zone" IS '行政区 / County by GB/T 2260 code';
