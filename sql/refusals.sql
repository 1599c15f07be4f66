-- What is refused, how it is said, and that nothing has changed afterwards.
\getenv abs_srcdir PG_ABS_SRCDIR
\set begin :abs_srcdir '/test/fixtures/begin.sql'
\i :begin
\i :v15
\set ECHO all
\pset format unaligned
\pset tuples_only on
SET search_path = app, public;

-- No session_summaries: on the search_path, in a schema, in a schema that does not exist.
SET search_path = public;
SELECT refusal('SELECT * FROM cowrie_migrate_v16()');
CREATE SCHEMA bare;
SELECT refusal($$SELECT * FROM cowrie_migrate_v16('bare')$$);
SELECT refusal($$SELECT * FROM cowrie_validate_schema('bare')$$);
SELECT refusal($$SELECT * FROM cowrie_cleanup_v16('bare')$$);
SELECT refusal($$SELECT * FROM cowrie_migrate_v16('nowhere')$$);
SET search_path = app, public;

-- A temporary table of that name is nobody's sessions.
CREATE TEMP TABLE session_summaries (session_id text);
SELECT count(*) FROM cowrie_migrate_v16(dry_run => true) WHERE status <> 'planned';
DROP TABLE pg_temp.session_summaries;

-- Version 14, no number, no row, no table.
UPDATE schema_state SET value = '14' WHERE key = 'schema_version';
SELECT refusal('SELECT * FROM cowrie_migrate_v16()');
UPDATE schema_state SET value = '15-beta' WHERE key = 'schema_version';
SELECT refusal('SELECT * FROM cowrie_migrate_v16()');
DELETE FROM schema_state;
SELECT refusal('SELECT * FROM cowrie_migrate_v16()');
ALTER TABLE schema_state RENAME TO schema_state_gone;
SELECT refusal('SELECT * FROM cowrie_migrate_v16()');
ALTER TABLE schema_state_gone RENAME TO schema_state;
INSERT INTO schema_state VALUES ('schema_version', '15');

-- Not the owner.
CREATE ROLE cowrie_stranger;
GRANT USAGE ON SCHEMA app TO cowrie_stranger;
GRANT SELECT ON ALL TABLES IN SCHEMA app TO cowrie_stranger;
SET ROLE cowrie_stranger;
SELECT regexp_replace(public.refusal('SELECT * FROM cowrie_migrate_v16()'), 'role "[^"]*"',
                      'role "OWNER"');
SELECT regexp_replace(public.refusal('SELECT * FROM cowrie_cleanup_v16()'), 'role "[^"]*"',
                      'role "OWNER"');
-- but looking is allowed
SELECT count(*) > 0 FROM cowrie_validate_schema();
SELECT count(*) FROM public.cowrie_migration_status;
SELECT count(*) FROM public.cowrie_migration_log;
RESET ROLE;

-- A query that reads the table, an open cursor on it, pending trigger events.
INSERT INTO session_summaries (session_id) VALUES ('s1');
SELECT refusal('SELECT m.* FROM session_summaries, cowrie_migrate_v16() AS m');
BEGIN;
DECLARE reader CURSOR FOR SELECT session_id FROM session_summaries;
FETCH reader;
SELECT refusal('SELECT * FROM cowrie_migrate_v16()');
COMMIT;

-- Unsupported kinds of table.
CREATE SCHEMA kinds;
CREATE TABLE kinds.schema_state AS TABLE app.schema_state;
CREATE VIEW kinds.session_summaries AS SELECT * FROM app.session_summaries;
SELECT refusal($$SELECT * FROM cowrie_migrate_v16('kinds')$$);
DROP VIEW kinds.session_summaries;
CREATE UNLOGGED TABLE kinds.session_summaries (LIKE app.session_summaries);
SELECT refusal($$SELECT * FROM cowrie_migrate_v16('kinds')$$);
DROP TABLE kinds.session_summaries;
CREATE TABLE kinds.session_summaries (LIKE app.session_summaries) PARTITION BY HASH (session_id);
CREATE UNLOGGED TABLE kinds.part PARTITION OF kinds.session_summaries FOR VALUES WITH (MODULUS 1, REMAINDER 0);
SELECT refusal($$SELECT * FROM cowrie_migrate_v16('kinds')$$);
DROP SCHEMA kinds CASCADE;

-- Arguments.
SELECT refusal($$SELECT * FROM cowrie_migrate_v16(on_failure => 'ignore')$$);
SELECT refusal('SELECT * FROM cowrie_validate_schema(version => 14)');
SELECT refusal('SELECT * FROM cowrie_cleanup_v16(to_phase => 6)');

-- An injected failure is for superusers only.
SET ROLE cowrie_stranger;
SELECT public.refusal($$SET cowrie_migrate.fail_at = '#1'$$);
RESET ROLE;

-- A read-only transaction.
BEGIN READ ONLY;
SELECT refusal('SELECT * FROM cowrie_migrate_v16()');
COMMIT;

-- After all that: still a sound version 15.
SELECT * FROM cowrie_validate_schema(version => 15);
SELECT count(*) FROM public.cowrie_migration_log;

-- Incomplete: empty tables as the ORM makes them.
CREATE TABLE ip_inventory (ip_address varchar(45) PRIMARY KEY, current_asn integer,
  asn_last_verified timestamptz, first_seen timestamptz NOT NULL, last_seen timestamptz NOT NULL,
  session_count integer NOT NULL DEFAULT 1, enrichment json NOT NULL,
  enrichment_updated_at timestamptz, enrichment_version varchar(20) NOT NULL DEFAULT '2.2',
  created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now());
SELECT refusal('SELECT * FROM cowrie_migrate_v16()');
SELECT refusal('SELECT * FROM cowrie_migrate_v16(dry_run => true)');
SELECT status, detail FROM cowrie_cleanup_v16() WHERE step = 'set_version';
-- Recorded, but not there.
UPDATE schema_state SET value = '16' WHERE key = 'schema_version';
SELECT refusal('SELECT * FROM cowrie_migrate_v16()');
UPDATE schema_state SET value = '15' WHERE key = 'schema_version';

DROP SCHEMA app CASCADE;
DROP SCHEMA bare;
DROP FUNCTION refusal;
DROP ROLE cowrie_stranger;
DROP EXTENSION cowrie_migrate;
