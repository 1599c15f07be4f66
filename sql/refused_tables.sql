-- Tables that something else has a hand in, and privileges that are missing: each is named before
-- anything changes, with the command that mends it; what the HINT says is then run.
\getenv abs_srcdir PG_ABS_SRCDIR
\set begin :abs_srcdir '/test/fixtures/begin.sql'
\i :begin
SET client_min_messages = error; -- a publication warns of wal_level
CREATE ROLE cowrie_app;
CREATE SCHEMA app AUTHORIZATION cowrie_app;
SET ROLE cowrie_app;
\i :v15
\i :sessions
RESET ROLE;
-- hinted(statement): the refusal, then the command in its hint is carried out.
CREATE FUNCTION hinted(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  said text := refusal(statement);
BEGIN
  EXECUTE substring(said from 'HINT: Run ([^;]*;)');
  RETURN said;
END
$$;
\set ECHO all
\pset format unaligned
\pset tuples_only on
SET search_path = app, public;

-- Rules that divert writes, on the sessions and beside them.
CREATE RULE "di'vert" AS ON UPDATE TO session_summaries DO INSTEAD NOTHING;
SELECT refusal('SELECT * FROM cowrie_migrate_v16(dry_run => true)');
SELECT hinted('SELECT * FROM cowrie_migrate_v16()');
CREATE RULE swallow AS ON DELETE TO schema_state DO INSTEAD NOTHING;
SELECT refusal('SELECT * FROM cowrie_cleanup_v16()');
SELECT hinted('SELECT * FROM cowrie_migrate_v16()');
CREATE RULE copy AS ON INSERT TO session_summaries DO ALSO NOTHING;
SELECT hinted('SELECT * FROM cowrie_migrate_v16()');
SELECT count(*) FROM cowrie_migrate_v16(dry_run => true) WHERE status <> 'planned';
DROP RULE "di'vert" ON session_summaries;
DROP RULE copy ON session_summaries;
DROP RULE swallow ON schema_state;

-- Inheritance, upwards and downwards; a partition.
CREATE TABLE archive () INHERITS (session_summaries);
SELECT hinted('SELECT * FROM cowrie_migrate_v16()');
DROP TABLE archive;
CREATE TABLE anything (key varchar(128) NOT NULL, value varchar(256) NOT NULL);
ALTER TABLE schema_state INHERIT anything;
SELECT hinted('SELECT * FROM cowrie_migrate_v16()');
DROP TABLE anything;
CREATE TABLE all_sessions (LIKE session_summaries INCLUDING DEFAULTS) PARTITION BY LIST (matcher);
ALTER TABLE all_sessions ATTACH PARTITION session_summaries DEFAULT;
SELECT hinted('SELECT * FROM cowrie_migrate_v16()');
DROP TABLE all_sessions;

-- Row security that would hide rows from the owner.
ALTER TABLE session_summaries ENABLE ROW LEVEL SECURITY;
SELECT count(*) FROM cowrie_migrate_v16(dry_run => true) WHERE status <> 'planned';
ALTER TABLE session_summaries FORCE ROW LEVEL SECURITY;
SELECT hinted('SELECT * FROM cowrie_migrate_v16()');
ALTER TABLE session_summaries DISABLE ROW LEVEL SECURITY;
ALTER TABLE raw_events OWNER TO CURRENT_USER;
GRANT SELECT ON raw_events TO cowrie_app;
ALTER TABLE raw_events ENABLE ROW LEVEL SECURITY;
SELECT hinted('SELECT * FROM cowrie_migrate_v16()');
ALTER TABLE raw_events DISABLE ROW LEVEL SECURITY;

-- Publications: fine with a key, not without one; not asked where updates are not published.
CREATE PUBLICATION cowrie_published FOR TABLE session_summaries;
SELECT count(*) FROM cowrie_migrate_v16(dry_run => true) WHERE status <> 'planned';
ALTER TABLE session_summaries REPLICA IDENTITY NOTHING;
SELECT hinted('SELECT * FROM cowrie_migrate_v16()');
ALTER TABLE session_summaries REPLICA IDENTITY NOTHING;
ALTER PUBLICATION cowrie_published SET (publish = 'insert');
SELECT count(*) FROM cowrie_migrate_v16(dry_run => true) WHERE status <> 'planned';
DROP PUBLICATION cowrie_published;
CREATE PUBLICATION cowrie_published FOR ALL TABLES;
SELECT hinted('SELECT * FROM cowrie_migrate_v16()');
DROP PUBLICATION cowrie_published;

-- Privileges of the owner, one by one.
SELECT session_user AS dba \gset
ALTER SCHEMA app OWNER TO :dba;
GRANT USAGE ON SCHEMA app TO cowrie_app;
SELECT hinted('SELECT * FROM cowrie_migrate_v16()');
SET allow_in_place_tablespaces = on;
CREATE TABLESPACE cowrie_space LOCATION '';
SET default_tablespace = cowrie_space;
SELECT hinted('SELECT * FROM cowrie_migrate_v16()');
RESET default_tablespace;
ALTER TABLE schema_state OWNER TO :dba;
REVOKE ALL ON schema_state FROM cowrie_app;
SELECT hinted('SELECT * FROM cowrie_migrate_v16()');
REVOKE UPDATE, REFERENCES ON session_summaries FROM cowrie_app;
SELECT hinted('SELECT * FROM cowrie_migrate_v16()');
ALTER TABLE raw_events OWNER TO :dba;
REVOKE ALL ON raw_events FROM cowrie_app;
SELECT hinted('SELECT * FROM cowrie_migrate_v16()');
REVOKE EXECUTE ON FUNCTION cowrie_migrate_internal.cowrie_provider_data(json, varchar),
  cowrie_migrate_internal.cowrie_needs_event(json) FROM PUBLIC;
SELECT hinted('SELECT * FROM cowrie_migrate_v16()');

-- Kinds of tables and of columns.
CREATE FOREIGN DATA WRAPPER cowrie_nowhere;
CREATE SERVER cowrie_nowhere FOREIGN DATA WRAPPER cowrie_nowhere;
CREATE SCHEMA kinds;
CREATE TABLE kinds.schema_state AS TABLE app.schema_state;
CREATE FOREIGN TABLE kinds.session_summaries (session_id varchar(64)) SERVER cowrie_nowhere;
SELECT refusal($$SELECT * FROM cowrie_migrate_v16('kinds')$$);
DROP FOREIGN TABLE kinds.session_summaries;
CREATE TYPE kinds.session AS (session_id varchar(64), enrichment json);
CREATE TABLE kinds.session_summaries OF kinds.session;
SELECT refusal($$SELECT * FROM cowrie_migrate_v16('kinds')$$);
DROP TABLE kinds.session_summaries;
CREATE MATERIALIZED VIEW kinds.session_summaries AS SELECT * FROM app.session_summaries;
SELECT refusal($$SELECT * FROM cowrie_migrate_v16('kinds')$$);
DROP MATERIALIZED VIEW kinds.session_summaries;
CREATE TABLE kinds.session_summaries (LIKE app.session_summaries INCLUDING ALL);
CREATE DOMAIN kinds.document AS json;
ALTER TABLE kinds.session_summaries ALTER COLUMN enrichment TYPE kinds.document;
SELECT refusal($$SELECT * FROM cowrie_migrate_v16('kinds')$$);
ALTER TABLE kinds.session_summaries ALTER COLUMN enrichment TYPE json;
CREATE DOMAIN kinds.moment AS timestamptz;
ALTER TABLE kinds.session_summaries ALTER COLUMN last_event_at TYPE kinds.moment;
SELECT refusal($$SELECT * FROM cowrie_migrate_v16('kinds')$$);
ALTER TABLE kinds.session_summaries ALTER COLUMN last_event_at TYPE timestamptz;
CREATE DOMAIN kinds.key AS varchar(64);
ALTER TABLE kinds.session_summaries ALTER COLUMN session_id TYPE kinds.key;
SELECT refusal($$SELECT * FROM cowrie_migrate_v16('kinds')$$);
ALTER TABLE kinds.session_summaries ALTER COLUMN session_id TYPE varchar(64);
ALTER TABLE kinds.schema_state SET UNLOGGED;
SELECT refusal($$SELECT * FROM cowrie_migrate_v16('kinds')$$);
ALTER TABLE kinds.schema_state SET LOGGED;
-- An unlogged inventory is a finding among others.
CREATE UNLOGGED TABLE kinds.ip_asn_history (LIKE kinds.schema_state);
SELECT object_name, problem, actual, remedy FROM cowrie_validate_schema('kinds')
WHERE object_name = 'ip_asn_history';
DROP SCHEMA kinds CASCADE;
DROP SERVER cowrie_nowhere;
DROP FOREIGN DATA WRAPPER cowrie_nowhere;

-- Deferred trigger events that are still to come.
BEGIN;
CREATE CONSTRAINT TRIGGER later AFTER INSERT ON session_summaries DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();
INSERT INTO session_summaries (session_id) VALUES ('pending');
SELECT refusal('SELECT * FROM cowrie_migrate_v16()');
ROLLBACK;

-- With all hints followed, it migrates; and nothing was changed before that.
SELECT * FROM cowrie_validate_schema(version => 15);
SELECT count(*) FROM public.cowrie_migration_log;
SELECT count(*) > 0 FROM cowrie_migrate_v16();
SELECT * FROM cowrie_validate_schema();

DROP SCHEMA app CASCADE;
DROP FUNCTION hinted, refusal;
DROP TABLESPACE cowrie_space;
DROP EXTENSION cowrie_migrate;
DROP ROLE cowrie_app;
