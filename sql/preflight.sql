-- Preflight: what it says, word by word, of a healthy database, of its documents, and of one that cannot be
-- migrated; in a schema of an odd name whose owner is no superuser. (Bytes, times and what depends on the
-- server are left out.)
\getenv abs_srcdir PG_ABS_SRCDIR
\set begin :abs_srcdir '/test/fixtures/begin.sql'
\i :begin
\set schema 'x\'y"z'
\set n 400
CREATE ROLE "o'wn""er";
CREATE ROLE cowrie_stranger;
CREATE SCHEMA :"schema" AUTHORIZATION "o'wn""er";
SET ROLE "o'wn""er";
\i :v15
\i :sessions
ANALYZE :"schema".session_summaries;
RESET ROLE;
CREATE VIEW preflight AS
SELECT severity, hazard,
  CASE WHEN hazard ~ '^(space|duration)' THEN regexp_replace(regexp_replace(detail,
    '\d+ (bytes|kB|MB|GB|ms)', 'N', 'g'), '\d\d:\d\d:\d\d|\d+ of them', 'N', 'g')
  ELSE detail END AS detail, remedy
FROM cowrie_preflight_v16('x''y"z')
WHERE hazard NOT IN ('server version', 'pg_cron', 'free space', 'connected sessions');
GRANT SELECT ON preflight TO PUBLIC;
\set ECHO all
\pset format unaligned
\pset fieldsep '\n  '
\pset recordsep '\n'
\pset tuples_only on

-- A superuser, and the owner: nothing speaks against it.
SELECT * FROM preflight;
SET ROLE "o'wn""er";
SELECT * FROM preflight WHERE severity <> 'info';

-- The same counts by reason as those of the values that will be listed.
SELECT hazard, substring(detail from '^\d+') FROM cowrie_preflight_v16('x''y"z')
WHERE detail ~ 'values cannot be used'
EXCEPT SELECT reason, count(*)::text FROM cowrie_rejected_values('x''y"z', NULL) GROUP BY 1;

-- A part of the documents; by the search_path, too.
SET search_path = "x'y""z", public;
SET cowrie_migrate.preflight_sample = 100;
SELECT hazard, remedy FROM cowrie_preflight_v16() WHERE hazard IN ('sampled', 'country_invalid');
RESET cowrie_migrate.preflight_sample;
RESET search_path;

-- What hangs on the tables, by odd names; the remedies are executed as they are printed.
CREATE FUNCTION "x'y""z"."f'n" () RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER "t'r""g" BEFORE UPDATE ON "x'y""z".session_summaries FOR EACH ROW EXECUTE FUNCTION "x'y""z"."f'n"();
CREATE VIEW "x'y""z"."v'w" AS SELECT session_id FROM "x'y""z".session_summaries;
CREATE RULE "r'l" AS ON UPDATE TO "x'y""z".schema_state DO INSTEAD NOTHING;
ALTER TABLE "x'y""z".session_summaries ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
SELECT * FROM preflight WHERE severity <> 'info' OR hazard = 'view';
SELECT remedy FROM preflight WHERE hazard = 'trigger' \gexec
SELECT substring(remedy from 'Run (.*?;)') FROM preflight WHERE severity = 'blocker' \gexec
SELECT * FROM preflight WHERE severity <> 'info';
ALTER TABLE "x'y""z".session_summaries DISABLE ROW LEVEL SECURITY;
DROP VIEW "x'y""z"."v'w";
DROP FUNCTION "x'y""z"."f'n" CASCADE;

-- Somebody else: told what is missing, and no more than that.
SET ROLE cowrie_stranger;
SELECT * FROM preflight WHERE severity = 'blocker';
SELECT hazard, detail FROM cowrie_preflight_v16('x''y"z') WHERE hazard = 'not visible';
RESET ROLE;

-- Arguments: what a migration refuses is a row here, too.
SELECT severity, hazard, detail, remedy FROM cowrie_preflight_v16('nowhere');
SELECT severity, hazard, detail, remedy FROM cowrie_preflight_v16('pg_catalog');
SELECT severity, hazard, detail, remedy FROM cowrie_preflight_v16(NULL);
SELECT severity, hazard, detail, remedy FROM cowrie_preflight_v16('');

-- Tables that are missing.
ALTER TABLE "x'y""z".schema_state RENAME TO "s'aside";
SELECT * FROM preflight WHERE severity <> 'info';
ALTER TABLE "x'y""z"."s'aside" RENAME TO schema_state;
ALTER TABLE "x'y""z".raw_events RENAME TO "e'aside";
SELECT severity, hazard, substring(detail from '^\d+ sessions') FROM preflight
WHERE severity <> 'info' OR hazard = 'sessions without source IP';
ALTER TABLE "x'y""z"."e'aside" RENAME TO raw_events;

-- Half-built.
SET ROLE "o'wn""er";
CREATE TABLE "x'y""z".ip_inventory (ip_address varchar(45) PRIMARY KEY);
SELECT * FROM preflight WHERE severity <> 'info';
DROP TABLE "x'y""z".ip_inventory;

-- Resuming: what is left of it. Complete; a later version.
SET client_min_messages = error;
SELECT count(*) FROM cowrie_migrate_v16('x''y"z');
SELECT * FROM preflight;
SELECT count(*) FROM cowrie_cleanup_v16('x''y"z', to_phase => 3);
SELECT severity, hazard, regexp_replace(detail, '^of 400 sessions.*', 'of 400 sessions') FROM preflight
WHERE hazard !~ '^space|duration';
SELECT count(*) FROM cowrie_migrate_v16('x''y"z');
UPDATE "x'y""z".schema_state SET value = '17' WHERE key = 'schema_version';
SELECT * FROM preflight;

-- No session at all.
SELECT count(*) FROM cowrie_cleanup_v16('x''y"z', force => true);
TRUNCATE "x'y""z".session_summaries CASCADE;
SELECT hazard, detail FROM preflight WHERE hazard !~ '^(space|duration)';
SELECT detail FROM preflight WHERE hazard = 'duration';
RESET ROLE;

-- Nothing was left: no lock, no table.
SELECT count(*) FROM pg_locks AS l JOIN pg_class AS c ON c.oid = l.relation
WHERE l.pid = pg_backend_pid() AND c.relnamespace = quote_ident('x''y"z')::regnamespace;
SELECT relname FROM pg_class WHERE relnamespace = quote_ident('x''y"z')::regnamespace AND relname ~ 'cowrie';

DROP SCHEMA :"schema" CASCADE;
DROP VIEW preflight;
DROP FUNCTION refusal;
DROP ROLE "o'wn""er";
DROP ROLE cowrie_stranger;
DROP EXTENSION cowrie_migrate;
