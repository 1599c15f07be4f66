-- A failing statement: what is left, what is said, and that the next call succeeds.
\getenv abs_srcdir PG_ABS_SRCDIR
\set begin :abs_srcdir '/test/fixtures/begin.sql'
\i :begin
\i :v15
\i :sessions
\set ECHO all
\pset format unaligned
\pset tuples_only on
SET search_path = app, public;
CREATE VIEW shape AS
SELECT c.relname, a.attname FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid
WHERE c.relnamespace = 'app'::regnamespace AND a.attnum > 0 AND NOT a.attisdropped
AND c.relname <> 'shape_before';
CREATE TABLE shape_before AS TABLE shape;
CREATE TABLE sessions_before AS TABLE session_summaries;
INSERT INTO shape_before SELECT relname, attname FROM shape WHERE relname = 'sessions_before';

-- A real failure in phase 3: somebody's event trigger refuses an index.
CREATE FUNCTION no_index_on_countries() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT FROM pg_event_trigger_ddl_commands()
             WHERE object_identity = 'app.idx_ip_geo_country') THEN
    RAISE EXCEPTION 'no index on countries' USING ERRCODE = 'triggered_action_exception';
  END IF;
END
$$;
CREATE EVENT TRIGGER no_index_on_countries ON ddl_command_end WHEN TAG IN ('CREATE INDEX')
EXECUTE FUNCTION no_index_on_countries();
SELECT refusal('SELECT * FROM cowrie_migrate_v16()');
-- The database is as before; the status tells where it failed.
(TABLE shape EXCEPT TABLE shape_before) UNION ALL (TABLE shape_before EXCEPT TABLE shape);
SELECT count(*) FROM sessions_before AS b JOIN session_summaries AS s
ON (s.*)::text = (b.*)::text;
SELECT * FROM schema_state;
SELECT running, phase, step, last_sqlstate FROM public.cowrie_migration_status;
SELECT count(*) FROM public.cowrie_migration_log;

-- Keep: phases 1 and 2 stay, the next call resumes at phase 3.
SELECT phase, step, status, detail FROM cowrie_migrate_v16(on_failure => 'keep')
WHERE status <> 'done';
SELECT * FROM schema_state ORDER BY key;
SELECT phase, step, status, sqlstate, message FROM public.cowrie_migration_log
WHERE status <> 'done' ORDER BY log_id;
SELECT to_regclass('app.asn_inventory') IS NOT NULL, to_regclass('app.ip_inventory'),
       to_regclass('app.cowrie_migrate_staging');
DROP EVENT TRIGGER no_index_on_countries;
DROP FUNCTION no_index_on_countries();
-- A session that came meanwhile is filled on the way.
INSERT INTO session_summaries (session_id, enrichment, first_event_at)
VALUES ('meanwhile', '{"dshield": {"ip": {"number": "198.51.100.200", "asn": "AS64999",
        "ascountry": "CH"}}, "maxmind": {"asn": "none"}}', '2024-06-01 00:00:00+00');
-- and one that only its raw event tells the address of
INSERT INTO session_summaries (session_id) VALUES ('by event');
INSERT INTO session_summaries (session_id) VALUES ('no address at all');
UPDATE raw_events SET session_id = 'by event', payload = '{"src_ip": "198.51.100.200"}'
WHERE id = (SELECT max(id) FROM raw_events);
SELECT phase, step, status, rows FROM cowrie_migrate_v16() WHERE phase = 3;
-- Of what came meanwhile, each reject is counted once.
SELECT rejects FROM public.cowrie_migration_status;
SELECT source_ip, snapshot_asn, snapshot_country FROM session_summaries
WHERE session_id IN ('meanwhile', 'by event') ORDER BY session_id;
SELECT i.current_asn, i.geo_country, a.total_session_count FROM ip_inventory AS i
JOIN asn_inventory AS a ON a.asn_number = i.current_asn WHERE i.ip_address = '198.51.100.200';
SELECT * FROM cowrie_validate_schema();
SELECT * FROM schema_state ORDER BY key;

-- Injected: once in every phase, and after a number of statements.
SELECT count(*) FROM cowrie_cleanup_v16();
SET cowrie_migrate.fail_at = '1.fill_columns';
SELECT refusal('SELECT * FROM cowrie_migrate_v16()');
SET cowrie_migrate.fail_at = '2.load_asn_inventory';
SELECT refusal('SELECT * FROM cowrie_migrate_v16()');
SET cowrie_migrate.fail_at = '3.load_ip_inventory';
SELECT refusal('SELECT * FROM cowrie_migrate_v16()');
SET cowrie_migrate.fail_at = '4.load_ip_asn_history';
SELECT refusal('SELECT * FROM cowrie_migrate_v16()');
SET cowrie_migrate.fail_at = '5.zero_loss_gate';
SELECT refusal('SELECT * FROM cowrie_migrate_v16()');
SET cowrie_migrate.fail_at = '#100';
SELECT split_part(refusal('SELECT * FROM cowrie_migrate_v16()'), E'\n', 1);
RESET cowrie_migrate.fail_at;
SELECT * FROM cowrie_validate_schema(version => 15);

-- After so many failures the next call completes.
SELECT count(*) FROM cowrie_migrate_v16();
SELECT * FROM cowrie_validate_schema();

DROP SCHEMA app CASCADE;
DROP FUNCTION refusal;
DROP EXTENSION cowrie_migrate;
