-- What every later migration stands on. search_path holds the schema these statements run in.

-- Makes a table a hypertable of one-day chunks where TimescaleDB is installed; elsewhere it stays a plain table.
-- No default index: kind tables carry BRIN on time only. A btree on (source, ts) was measured to cost two thirds of the
-- insert rate, so closed chunks get one afterwards (storage/maintenance.py), and the latest row of every source is in "sources".
CREATE FUNCTION cityops_hypertable(name text, time_column text) RETURNS void LANGUAGE plpgsql AS $body$
BEGIN
    IF EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb') THEN
        EXECUTE format(
            'SELECT create_hypertable(%L::regclass, %L::name, chunk_time_interval => interval ''1 day'', create_default_indexes => false)',
            format('%I.%I', current_schema(), name), time_column
        );
    END IF;
END
$body$;
COMMENT ON FUNCTION cityops_hypertable(text, text) IS '按需建立超表 / Makes a table a hypertable where TimescaleDB is installed';

CREATE FUNCTION cityops_append_only() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    RAISE EXCEPTION 'table % is append-only', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END
$body$;
COMMENT ON FUNCTION cityops_append_only() IS '只追加 / Refuses changes to rows of an audit table';
