-- Checkpoint: what it says, word by word, before a migration, after it, and when something is wrong; in a
-- schema of an odd name whose owner is no superuser. (Times, run numbers and plans are left out.)
\getenv abs_srcdir PG_ABS_SRCDIR
\set begin :abs_srcdir '/test/fixtures/begin.sql'
\i :begin
\set schema 'x\'y"z'
SET client_min_messages = error;
CREATE ROLE "o'wn""er";
CREATE ROLE cowrie_stranger;
CREATE SCHEMA :"schema" AUTHORIZATION "o'wn""er";
SET ROLE "o'wn""er";
\i :v15
RESET ROLE;
CREATE VIEW checkpoint AS
SELECT criterion, passed,
  CASE criterion WHEN 'query_performance' THEN regexp_replace(measured, '^(under \d+|\d+(\.\d)?) m?s$', 'N s') ELSE measured END AS measured,
  target,
  regexp_replace(regexp_replace(detail, '; plan: \w.*', '; plan: ...'), 'with run \d+, (.*) start, [^;]*', 'with run N, \1 start, TIME')
    AS detail
FROM cowrie_checkpoint_v16('x''y"z');
GRANT SELECT ON checkpoint TO PUBLIC;
\set ECHO all
\pset format unaligned
\pset fieldsep ' | '
\pset tuples_only on
\pset null '(null)'

-- No session at all, and nothing migrated; then migrated: all pass.
SET ROLE "o'wn""er";
SELECT * FROM checkpoint;
SELECT count(*) FROM cowrie_migrate_v16('x''y"z');
SELECT * FROM checkpoint;
SELECT count(*) FROM cowrie_cleanup_v16('x''y"z');

-- Twelve sessions of two IPs.
INSERT INTO "x'y""z".session_summaries (session_id, first_event_at, last_event_at, enrichment, created_at, updated_at)
SELECT 's' || i, '2024-01-01'::timestamptz + i * interval '1 hour', '2024-01-01'::timestamptz + i * interval '1 hour',
       format('{"dshield":{"ip":{"number":"192.0.2.%s","asn":"%s","asname":"AS NAME","ascountry":"NL"}}}',
              i % 2, 64500 + i % 2)::json, '2024-06-01', '2024-06-01'
FROM generate_series(1, 12) AS i;
SELECT count(*) FROM cowrie_migrate_v16('x''y"z');
SELECT * FROM checkpoint;
RESET ROLE;
SELECT * FROM checkpoint WHERE NOT passed;

-- What each is there for.
CREATE FUNCTION after(damage text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE damage;
  RETURN QUERY SELECT concat_ws(' | ', criterion, measured, target, detail) FROM checkpoint WHERE NOT passed;
  RAISE EXCEPTION SQLSTATE 'P0000';
EXCEPTION WHEN SQLSTATE 'P0000' THEN NULL; -- undone
END
$$;
SET search_path = "x'y""z", public;
SELECT after($$UPDATE session_summaries SET enrichment = '{}' WHERE session_id = 's7'$$);
SELECT after($$DELETE FROM session_summaries WHERE session_id = 's7'$$);
SELECT after($$UPDATE session_summaries SET first_event_at = first_event_at + interval '1 hour' WHERE session_id = 's7'$$);
SELECT after($$UPDATE session_summaries SET enrichment = '{}', updated_at = now() WHERE session_id IN ('s7', 's8')$$);
SELECT after($$INSERT INTO session_summaries (session_id) VALUES ('new')$$);
SELECT after($$UPDATE ip_inventory SET current_asn = NULL$$);
SELECT after($$INSERT INTO ip_inventory (ip_address, first_seen, last_seen) VALUES ('192.0.2.2', now(), now()), ('192.0.2.3', now(), now())$$);
SELECT after($$UPDATE session_summaries SET snapshot_asn = NULL WHERE session_id = 's7'$$);
SELECT after($$DROP INDEX idx_ip_geo_country, idx_asn_type$$);
SELECT after($$ALTER TABLE session_summaries DROP CONSTRAINT fk_session_source_ip; UPDATE session_summaries SET source_ip = '192.0.2.9' WHERE session_id = 's7'$$);
SELECT after($$DROP TABLE ip_inventory CASCADE$$);
SELECT after($$ALTER TABLE session_summaries DROP COLUMN snapshot_country$$);
SELECT after($$DELETE FROM cowrie_migration_log$$);
SELECT * FROM checkpoint WHERE NOT passed;

-- Somebody else may look as far as the tables may be read.
SET ROLE cowrie_stranger;
SELECT refusal($$SELECT * FROM public.cowrie_checkpoint_v16('x''y"z')$$);
RESET ROLE;
GRANT USAGE ON SCHEMA "x'y""z" TO cowrie_stranger;
GRANT SELECT ON ALL TABLES IN SCHEMA "x'y""z" TO cowrie_stranger;
SET ROLE cowrie_stranger;
SELECT count(*), bool_and(passed) FROM public.cowrie_checkpoint_v16('x''y"z');
RESET ROLE;

-- Arguments.
SELECT refusal($$SELECT * FROM cowrie_checkpoint_v16('nowhere')$$);
SELECT refusal($$SELECT * FROM cowrie_checkpoint_v16('pg_catalog')$$);
SELECT count(*), bool_and(passed) FROM cowrie_checkpoint_v16(NULL);
ALTER TABLE schema_state RENAME TO aside;
SELECT refusal('SELECT * FROM cowrie_checkpoint_v16()');
ALTER TABLE aside RENAME TO schema_state;

-- In a transaction that writes nothing; nothing is left of it.
BEGIN READ ONLY;
SELECT count(*), bool_and(passed) FROM cowrie_checkpoint_v16();
SELECT count(*) FROM pg_locks AS l JOIN pg_class AS c ON c.oid = l.relation
WHERE l.pid = pg_backend_pid() AND c.relnamespace = quote_ident('x''y"z')::regnamespace;
COMMIT;

RESET search_path;
DROP FUNCTION after;
DROP SCHEMA :"schema" CASCADE;
DROP VIEW checkpoint;
DROP FUNCTION refusal;
DROP ROLE "o'wn""er";
DROP ROLE cowrie_stranger;
DROP EXTENSION cowrie_migrate;
