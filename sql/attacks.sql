-- What other roles may plant, and what a forged call may ask for: nothing of it runs, nothing breaks.
\getenv abs_srcdir PG_ABS_SRCDIR
\set begin :abs_srcdir '/test/fixtures/begin.sql'
\i :begin
CREATE ROLE cowrie_app;
CREATE ROLE cowrie_mallory;
CREATE SCHEMA app AUTHORIZATION cowrie_app;
GRANT ALL ON SCHEMA app, public TO cowrie_mallory;
SET ROLE cowrie_app;
\i :v15
\i :sessions
RESET ROLE;
\set ECHO all
\pset format unaligned
\pset tuples_only on
SET search_path = app, public;

-- Internal functions with forged arguments: errors, and the session lives.
SELECT pg_backend_pid() AS pid \gset
SELECT split_part(refusal($$SELECT cowrie_migrate_internal.cowrie_fill_source_ip(42, 'a', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)$$), E'\n', 1);
SELECT cowrie_migrate_internal.cowrie_fill_source_ip('{"dshield": {"ip": {"number": "198.51.100.1"}}}'::json, NULL, NULL, NULL,
                             NULL, NULL, NULL, NULL, NULL, NULL);
SELECT cowrie_migrate_internal.cowrie_provider_data(NULL::json, NULL), cowrie_migrate_internal.cowrie_asn_data('{"a": 1}'::jsonb, 'no address');
SELECT split_part(refusal($$SELECT cowrie_migrate_internal.cowrie_provider_data(7, 'a')$$), E'\n', 1);
SELECT step, last_message FROM cowrie_migrate_internal.cowrie_progress();
SELECT pg_backend_pid() = :pid;

-- Functions and operators that would fit better than ours, beside ours.
SET ROLE cowrie_mallory;
CREATE FUNCTION public.evil(what text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN RAISE WARNING 'evil runs as %', current_user; RETURN what; END $$;
CREATE FUNCTION public.cowrie_provider_data(json, text) RETURNS jsonb LANGUAGE sql
AS $$ SELECT public.evil('{}')::jsonb $$;
CREATE FUNCTION public.cowrie_fill_source_ip(json, text, text, timestamptz, integer, text, text,
  timestamptz, timestamptz, timestamptz) RETURNS varchar LANGUAGE sql AS $$ SELECT public.evil('x') $$;
CREATE FUNCTION public.cowrie_fingerprint(text, json, timestamptz, timestamptz, boolean) RETURNS text
LANGUAGE sql AS $$ SELECT public.evil('x') $$;
CREATE FUNCTION public.evil_equal(varchar, varchar) RETURNS boolean LANGUAGE sql
AS $$ SELECT public.evil('x') IS NULL $$;
SELECT refusal($$CREATE FUNCTION cowrie_migrate_internal.cowrie_provider_data(json, text) RETURNS jsonb
LANGUAGE sql AS 'SELECT NULL::jsonb'$$);
CREATE OPERATOR public.= (FUNCTION = public.evil_equal, LEFTARG = varchar, RIGHTARG = varchar);
CREATE FUNCTION app.lower(text) RETURNS text LANGUAGE sql AS $$ SELECT public.evil('x') $$;
RESET ROLE;
SELECT count(*) FROM cowrie_migrate_v16();
SELECT * FROM cowrie_validate_schema();
SELECT count(*) > 0 FROM cowrie_cleanup_v16();
DROP OPERATOR public.= (varchar, varchar);

-- Tables and views that somebody else planted.
SET ROLE cowrie_mallory;
CREATE TABLE app.ip_inventory (ip_address varchar(45) PRIMARY KEY);
RESET ROLE;
SELECT refusal('SELECT * FROM cowrie_migrate_v16(repair => true)');
SELECT refusal('SELECT * FROM cowrie_cleanup_v16()');
DROP TABLE app.ip_inventory;
ALTER TABLE raw_events RENAME TO raw_events_aside;
SET ROLE cowrie_mallory;
CREATE VIEW app.raw_events AS SELECT 1 AS id, public.evil('s') AS session_id, '{}'::json AS payload,
  now() AS event_timestamp;
RESET ROLE;
SELECT refusal('SELECT * FROM cowrie_migrate_v16()');
SELECT refusal('SELECT * FROM cowrie_validate_schema()');
DROP VIEW app.raw_events;
ALTER TABLE raw_events_aside RENAME TO raw_events;

-- A table of somebody's with the name of ours.
CREATE TABLE app.cowrie_migrate_staging (precious text);
SELECT refusal('SELECT * FROM cowrie_migrate_v16()');
DROP TABLE app.cowrie_migrate_staging;

-- Raw events that the owner may not read; and doing without.
ALTER TABLE raw_events OWNER TO CURRENT_USER;
SELECT refusal('SELECT * FROM cowrie_migrate_v16()');
SET cowrie_migrate.use_raw_events = off;
SELECT count(*) FROM cowrie_migrate_v16();
SELECT count(*) > 0 FROM cowrie_cleanup_v16();
RESET cowrie_migrate.use_raw_events;
ALTER TABLE raw_events OWNER TO cowrie_app;

-- A snapshot that may be older than what others have committed.
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT refusal('SELECT * FROM cowrie_migrate_v16()');
SELECT refusal('SELECT * FROM cowrie_cleanup_v16()');
COMMIT;

-- Documents and times of types that cannot be read.
ALTER TABLE session_summaries ALTER COLUMN created_at TYPE text;
SELECT refusal('SELECT * FROM cowrie_migrate_v16()');
ALTER TABLE session_summaries ALTER COLUMN created_at TYPE timestamptz USING created_at::timestamptz;

-- A trigger that swallows the version.
CREATE FUNCTION app.swallow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER swallow BEFORE UPDATE ON schema_state FOR EACH ROW EXECUTE FUNCTION app.swallow();
SELECT refusal('SELECT * FROM cowrie_migrate_v16()');
DROP TRIGGER swallow ON schema_state;

-- Event times with a precision, in a session far from UTC.
ALTER TABLE session_summaries ALTER COLUMN first_event_at TYPE timestamp(3) USING first_event_at AT TIME ZONE 'UTC',
  ALTER COLUMN last_event_at TYPE timestamp(3) USING last_event_at AT TIME ZONE 'UTC';
SET timezone = 'America/New_York';
SELECT count(*) FROM cowrie_migrate_v16();
SELECT count(*) FROM ip_inventory AS i WHERE first_seen <> (
  SELECT min(COALESCE(first_event_at AT TIME ZONE 'UTC', last_event_at AT TIME ZONE 'UTC', created_at))
  FROM session_summaries AS s WHERE s.source_ip = i.ip_address);

DROP SCHEMA app CASCADE;
DROP FUNCTION public.cowrie_provider_data(json, text), public.cowrie_fill_source_ip(json, text, text,
  timestamptz, integer, text, text, timestamptz, timestamptz, timestamptz),
  public.cowrie_fingerprint(text, json, timestamptz, timestamptz, boolean), public.evil_equal, public.evil;
DROP EXTENSION cowrie_migrate;
DROP FUNCTION refusal;
REVOKE ALL ON SCHEMA public FROM cowrie_mallory;
DROP ROLE cowrie_app, cowrie_mallory;
