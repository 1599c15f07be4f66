-- The main job: a version 15 database becomes version 16, and knows it.
\getenv abs_srcdir PG_ABS_SRCDIR
\set begin :abs_srcdir '/test/fixtures/begin.sql'
\i :begin
CREATE SCHEMA app;
\set n 400
\i :v15
\i :sessions
\set ECHO all
SET search_path = app, public;

-- The plan first: it writes nothing.
SELECT phase, step, status, rows, regexp_replace(detail, '\d+ (bytes|kB|MB)', 'N') AS detail
FROM cowrie_migrate_v16(dry_run => true);
SELECT value FROM schema_state WHERE key = 'schema_version';
SELECT to_regclass('app.ip_inventory'), (SELECT count(*) FROM public.cowrie_migration_log);

-- A row per step.
SELECT phase, step, status, rows, detail FROM cowrie_migrate_v16();
SELECT * FROM schema_state ORDER BY key;
SELECT * FROM cowrie_validate_schema();

-- Again: nothing to do.
SELECT phase, step, status, rows, detail FROM cowrie_migrate_v16();

-- What other sessions see, and what stays in the ledger.
SELECT running, mode, phase, step, rows_done, rows_total, percent, progress_bar, rejects,
       updated_at >= started_at AS times, last_sqlstate
FROM public.cowrie_migration_status;
SELECT target_schema, mode, phase, step, status, rows, detail, sqlstate, message,
       run_id = min(log_id) OVER () AS one_run, finished_at >= started_at AS times,
       elapsed IS NOT NULL AS timed, extension_version = (
         SELECT extversion FROM pg_extension WHERE extname = 'cowrie_migrate') AS versioned
FROM public.cowrie_migration_log ORDER BY log_id;
SELECT session_count, length(documents_fingerprint), length(times_fingerprint), rejects
FROM public.cowrie_migration_log WHERE phase IS NULL;

-- The migrated tables.
\d session_summaries
\d asn_inventory
\d ip_asn_history
-- (without the text of the generated expressions)
SELECT attname, format_type(atttypid, atttypmod), attnotnull, attgenerated
FROM pg_attribute WHERE attrelid = 'ip_inventory'::regclass AND attnum > 0 ORDER BY attnum;
SELECT conname, contype, convalidated FROM pg_constraint
WHERE conrelid = 'ip_inventory'::regclass AND contype <> 'n' ORDER BY conname;
SELECT indexrelid::regclass, indisvalid FROM pg_index
WHERE indrelid = 'ip_inventory'::regclass ORDER BY indexrelid::regclass::text COLLATE "C";

-- They need the extension no longer.
DROP EXTENSION cowrie_migrate;
INSERT INTO ip_inventory (ip_address, first_seen, last_seen, enrichment)
VALUES ('203.0.113.77', now(), now(),
        '{"maxmind": {"country": "nl"}, "spur": ["", "", "", "VPN"], "greynoise": {"noise": true}}'),
       ('203.0.113.78', now(), now(), '{"cymru": {"country": "a country of forty letters or so...."},
         "spur": {"client": {"types": [1, "TOR", "a\"b", "MOBILE"]}}, "greynoise": {"noise": "maybe"},
         "validation": {"is_bogon": "TRUE"}}');
SELECT ip_address, geo_country, ip_types, is_scanner, is_bogon
FROM ip_inventory WHERE ip_address IN ('203.0.113.77', '203.0.113.78') ORDER BY 1;

-- Statistics: afterwards every column has some. Of a table that had them those of the new columns are gathered, the
-- others stay (marked here); with statistics of several columns all are.
CREATE EXTENSION cowrie_migrate SCHEMA public;
SET client_min_messages = error;
CREATE FUNCTION migrate_with_statistics() RETURNS TABLE (without text, marked real)
LANGUAGE plpgsql AS $$
BEGIN
  ANALYZE app.session_summaries;
  UPDATE pg_statistic SET stanullfrac = 0.25
  WHERE starelid = 'app.session_summaries'::regclass AND staattnum = 1;
  PERFORM FROM cowrie_migrate_v16('app');
  RETURN QUERY SELECT (
      SELECT string_agg(attname, ', ') FROM pg_attribute
      WHERE attrelid = 'app.session_summaries'::regclass AND attnum > 0 AND NOT attisdropped AND attname NOT IN (
        SELECT s.attname FROM pg_stats AS s WHERE schemaname = 'app' AND tablename = 'session_summaries')),
    (SELECT null_frac FROM pg_stats
     WHERE schemaname = 'app' AND tablename = 'session_summaries' AND attname = 'session_id');
END $$;
\pset null (none)
SELECT count(*) FROM cowrie_cleanup_v16(force => true);
SELECT * FROM migrate_with_statistics();
SELECT count(*) FROM cowrie_cleanup_v16(force => true);
CREATE STATISTICS counts ON event_count, command_count FROM session_summaries;
SELECT * FROM migrate_with_statistics();
SELECT statistics_name FROM pg_stats_ext WHERE tablename = 'session_summaries' AND n_distinct IS NOT NULL;
DROP FUNCTION migrate_with_statistics();
DROP EXTENSION cowrie_migrate;

DROP SCHEMA app CASCADE;
DROP FUNCTION refusal;
