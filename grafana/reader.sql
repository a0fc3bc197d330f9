-- Grafana's account: may read what its panels show, and nothing else; safe to run again after every migration.
DO $body$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'cityops_reader') THEN
        CREATE ROLE cityops_reader LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION;
    END IF;
END
$body$;
ALTER ROLE cityops_reader SET search_path = cityops, public;
ALTER ROLE cityops_reader SET default_transaction_read_only = on;
ALTER ROLE cityops_reader SET statement_timeout = '30s';
GRANT USAGE ON SCHEMA cityops TO cityops_reader;

-- Every table except accounts, their sessions, keys and audit, and refused input, which holds raw packets. New tables are
-- granted by the next start.
DO $body$
DECLARE
    name text;
BEGIN
    EXECUTE 'REVOKE ALL ON ALL TABLES IN SCHEMA cityops FROM cityops_reader';
    FOR name IN
        SELECT c.relname
        FROM pg_class c
        JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = 'cityops' AND c.relkind IN ('r', 'p', 'v', 'm') AND c.relname NOT IN (
            'users', 'sessions', 'login_failures', 'gateway_keys', 'audit', 'settings', 'reject',
            'checkpoints', 'checkpoint_marks', 'checkpoint_state', 'schema_migrations'
        )
    LOOP
        EXECUTE format('GRANT SELECT ON cityops.%I TO cityops_reader', name);
    END LOOP;
END
$body$;
