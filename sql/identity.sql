-- As whom the code of others runs: what the owner of the tables has planted in index expressions,
-- constraints, triggers, policies and generated columns runs as that owner and can do no more, whoever
-- calls. Planted types, operators, functions and temporary tables have no effect. A role without rights
-- calls everything there is.
\getenv abs_srcdir PG_ABS_SRCDIR
\set begin :abs_srcdir '/test/fixtures/begin.sql'
\i :begin
CREATE ROLE cowrie_app LOGIN;
CREATE ROLE cowrie_mallory LOGIN;
SELECT current_user AS dba \gset
CREATE SCHEMA app AUTHORIZATION cowrie_app;
SET ROLE cowrie_app;
\i :v15
\i :sessions
RESET ROLE;
\set ECHO all
\pset format unaligned
\pset tuples_only on
SET search_path = app, public;

-- The owner's spy: notes who it runs as, and what it could do. An immutable function may not write, but
-- it may call one that does. (In a session of the owner: what it plants runs at once.)
\c - cowrie_app
SET search_path = app, public;
CREATE TABLE seen (place text, who text, superuser boolean, achieved text);
CREATE FUNCTION note(place text) RETURNS text LANGUAGE plpgsql SET search_path = app AS $$
DECLARE
  achieved text := '';
  attempt text;
BEGIN
  FOREACH attempt IN ARRAY ARRAY['ALTER ROLE cowrie_app SUPERUSER', 'RESET ROLE',
    'RESET SESSION AUTHORIZATION', 'CREATE TEMP TABLE hidden ()',
    'SET LOCAL session_replication_role = replica'] LOOP
    BEGIN
      EXECUTE attempt;
      achieved := achieved || attempt || '; ';
    EXCEPTION WHEN OTHERS THEN
      NULL;
    END;
  END LOOP;
  INSERT INTO app.seen SELECT place, current_user, rolsuper, achieved
  FROM pg_roles WHERE rolname = current_user;
  RETURN place;
END
$$;
CREATE FUNCTION spy(value text, place text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  PERFORM app.note(place);
  RETURN value;
END
$$;
CREATE FUNCTION spy_trigger() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM app.note(TG_ARGV[0]);
  RETURN coalesce(NEW, OLD);
END
$$;
CREATE INDEX ON session_summaries (app.spy(matcher, 'index expression'));
CREATE INDEX ON session_summaries (event_count) WHERE app.spy('x', 'index predicate') = 'x';
ALTER TABLE session_summaries ADD CHECK (app.spy('x', 'check') = 'x');
ALTER TABLE session_summaries ADD COLUMN made text GENERATED ALWAYS AS (app.spy(matcher, 'generated')) STORED;
ALTER TABLE session_summaries ADD COLUMN given text DEFAULT app.note('default');
ALTER TABLE schema_state ADD COLUMN given text DEFAULT app.note('default of schema_state');
CREATE TRIGGER a BEFORE INSERT OR UPDATE OR DELETE ON session_summaries FOR EACH ROW
  EXECUTE FUNCTION spy_trigger('row trigger');
CREATE TRIGGER b AFTER INSERT OR UPDATE OR DELETE ON session_summaries FOR EACH STATEMENT
  EXECUTE FUNCTION spy_trigger('statement trigger');
CREATE TRIGGER a BEFORE INSERT OR UPDATE OR DELETE ON schema_state FOR EACH ROW
  EXECUTE FUNCTION spy_trigger('trigger of schema_state');
ALTER TABLE raw_events ENABLE ROW LEVEL SECURITY;
CREATE POLICY watched ON raw_events USING (app.spy('x', 'policy') = 'x');
TRUNCATE seen;
\c - :dba
SET search_path = app, public;
SET client_min_messages = warning;
SET cowrie_migrate.harmless_triggers = 'a'; -- the trigger of schema_state is to fire

-- Called by a superuser: planning, reading, migrating, validating, cleaning up, resuming.
SELECT rolsuper FROM pg_roles WHERE rolname = current_user;
SELECT count(*) > 0 FROM cowrie_migrate_v16(dry_run => true);
SELECT count(*) > 0 FROM cowrie_validate_schema();
SELECT count(*) > 0 FROM cowrie_rejected_values();
SELECT count(*) > 0 FROM cowrie_migrate_v16();
SELECT count(*) > 0 FROM cowrie_cleanup_v16(dry_run => true);
SELECT count(*) > 0 FROM cowrie_cleanup_v16(to_phase => 2);
\c - cowrie_app
CREATE TRIGGER a BEFORE INSERT OR UPDATE ON app.asn_inventory FOR EACH ROW
  EXECUTE FUNCTION app.spy_trigger('trigger of asn_inventory');
INSERT INTO app.session_summaries (session_id, enrichment)
VALUES ('later', '{"dshield": {"ip": {"number": "198.51.100.200", "asn": "AS64999"}}}');
DELETE FROM app.seen WHERE achieved <> ''; -- in a session of its own it may make a temporary table
\c - :dba
SET search_path = app, public;
SET client_min_messages = warning;
SET cowrie_migrate.harmless_triggers = 'a'; -- the trigger of schema_state is to fire
SELECT step, status, rows FROM cowrie_migrate_v16() WHERE step ~ '^(fill|refresh)_';
SELECT count(*) FROM cowrie_validate_schema();
SELECT DISTINCT who, superuser, achieved FROM seen;
SELECT place FROM seen GROUP BY place ORDER BY place COLLATE "C";
SELECT rolsuper FROM pg_roles WHERE rolname = 'cowrie_app';
DROP TRIGGER a ON asn_inventory;
SELECT count(*) > 0 FROM cowrie_cleanup_v16();
SELECT DISTINCT who, superuser, achieved FROM seen;

-- Back to what the sessions were.
ALTER TABLE session_summaries DROP COLUMN made, DROP COLUMN given;
DROP TRIGGER a ON session_summaries;
DROP TRIGGER b ON session_summaries;
DROP TRIGGER a ON schema_state;

-- Planted types, operators and functions, in the schema and before it; temporary tables.
GRANT CREATE, USAGE ON SCHEMA app TO cowrie_mallory;
CREATE SCHEMA evil AUTHORIZATION cowrie_mallory;
SET ROLE cowrie_mallory;
CREATE FUNCTION evil.scream(text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'evil runs as %', current_user; END $$;
CREATE DOMAIN evil.varchar AS integer;
CREATE DOMAIN evil.json AS integer;
CREATE DOMAIN app.text AS integer;
CREATE DOMAIN app.jsonb AS integer;
CREATE TYPE app.timestamptz AS (a integer);
CREATE TYPE evil.cowrie_staged AS (a integer);
CREATE TYPE app.cowrie_fingerprint_sum AS (a integer);
CREATE FUNCTION app.upper(text) RETURNS text LANGUAGE sql AS $$ SELECT evil.scream($1) $$;
CREATE FUNCTION evil.lower(text) RETURNS text LANGUAGE sql AS $$ SELECT evil.scream($1) $$;
CREATE FUNCTION app.count(integer) RETURNS text LANGUAGE sql AS $$ SELECT evil.scream('') $$;
CREATE FUNCTION evil.setval(regclass, bigint) RETURNS bigint LANGUAGE sql AS $$ SELECT evil.scream('')::bigint $$;
CREATE FUNCTION app.format_type(oid, integer) RETURNS text LANGUAGE sql AS $$ SELECT evil.scream('') $$;
CREATE FUNCTION app.eq(varchar, varchar) RETURNS boolean LANGUAGE sql AS $$ SELECT evil.scream('') IS NULL $$;
CREATE FUNCTION app.eq(text, text) RETURNS boolean LANGUAGE sql AS $$ SELECT evil.scream('') IS NULL $$;
CREATE FUNCTION app.eq(integer, bigint) RETURNS boolean LANGUAGE sql AS $$ SELECT evil.scream('') IS NULL $$;
CREATE OPERATOR app.= (FUNCTION = app.eq, LEFTARG = varchar, RIGHTARG = varchar);
CREATE OPERATOR evil.= (FUNCTION = app.eq, LEFTARG = varchar, RIGHTARG = varchar);
CREATE OPERATOR evil.= (FUNCTION = app.eq, LEFTARG = pg_catalog.text, RIGHTARG = pg_catalog.text);
CREATE OPERATOR app.= (FUNCTION = app.eq, LEFTARG = integer, RIGHTARG = bigint);
CREATE OPERATOR app.|| (FUNCTION = app.eq, LEFTARG = pg_catalog.text, RIGHTARG = pg_catalog.text);
RESET ROLE;
CREATE TEMP TABLE session_summaries (session_id pg_catalog.text);
CREATE TEMP TABLE schema_state (key pg_catalog.text, value pg_catalog.text);
INSERT INTO pg_temp.schema_state VALUES ('schema_version', '99');
CREATE TEMP TABLE raw_events (payload pg_catalog.json);
CREATE TEMP TABLE ip_inventory ();
SET search_path = evil, app, pg_temp, public, pg_catalog;
SELECT pg_catalog.bool_and(status OPERATOR(pg_catalog.=) 'done') FROM public.cowrie_migrate_v16();
SELECT severity, object_name, problem FROM public.cowrie_validate_schema();
SELECT pg_catalog.bool_and(status OPERATOR(pg_catalog.=) 'done') FROM public.cowrie_cleanup_v16();
SET search_path = app, public;
SELECT pg_catalog.to_regclass('app.ip_inventory');
DROP TABLE pg_temp.session_summaries, pg_temp.schema_state, pg_temp.raw_events, pg_temp.ip_inventory;
DROP SCHEMA evil CASCADE;

-- A role without any rights on the tables calls everything, with NULLs: refused or harmless, and the
-- session lives.
CREATE FUNCTION public.call_all() RETURNS TABLE (kind pg_catalog.text, called bigint, states pg_catalog.text)
LANGUAGE plpgsql SET search_path = pg_catalog, app AS $$
DECLARE
  each record;
  state pg_catalog.text;
BEGIN
  CREATE TEMP TABLE outcome (name pg_catalog.text, state pg_catalog.text);
  FOR each IN
    SELECT p.proname, p.prokind, p.proretset, format('%I.%I(%s)', n.nspname, p.proname,
           (SELECT string_agg(CASE t.typname WHEN 'internal' THEN 'NULL' ELSE 'NULL::' || t.typname END, ', ' ORDER BY a.position)
            FROM unnest(p.proargtypes) WITH ORDINALITY AS a (type, position) JOIN pg_type AS t ON t.oid = a.type)) AS call,
           'internal'::regtype = ANY (p.proargtypes) AS internal
    FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
    JOIN pg_depend AS d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
    JOIN pg_extension AS e ON d.refclassid = 'pg_extension'::regclass AND e.oid = d.refobjid AND e.extname = 'cowrie_migrate'
  LOOP
    state := '00000';
    BEGIN
      EXECUTE CASE WHEN each.prokind = 'p' THEN 'CALL ' ELSE 'SELECT ' END || each.call;
    EXCEPTION WHEN OTHERS THEN
      state := SQLSTATE;
    END;
    INSERT INTO outcome VALUES (CASE WHEN each.proname ~ '^cowrie_(migrate|cleanup|stop)' THEN 'changing'
                                     WHEN each.internal THEN 'internal' ELSE 'reading' END,
                                -- which of them depends on the minor version
                                CASE WHEN each.internal AND state IN ('0A000', '42501', '42883') THEN 'refused by the server'
                                     ELSE state END);
  END LOOP;
  RETURN QUERY SELECT name, count(*), string_agg(DISTINCT o.state, ' ' ORDER BY o.state) FROM outcome AS o GROUP BY name ORDER BY name;
  DROP TABLE outcome;
END
$$;
\c - cowrie_mallory
SET client_min_messages = warning;
SELECT pg_backend_pid() AS pid \gset
SET search_path = app, public;
SELECT kind, called > 0, states FROM public.call_all();
SELECT refusal($$SELECT * FROM cowrie_validate_schema('app')$$);
SELECT refusal($$INSERT INTO public.cowrie_migration_log (run_id) VALUES (1)$$);
SELECT refusal($$SELECT setval('cowrie_migrate_internal.cowrie_progress_phase', 3)$$);
SELECT refusal($$SET cowrie_migrate.fail_at = '#1'$$);
SELECT refusal($$SET cowrie_migrate.statements = 1$$);
SELECT pg_backend_pid() = :pid;
\c - :dba
SET search_path = app, public;
SET client_min_messages = warning;

-- After all that.
SELECT count(*) FROM cowrie_validate_schema(version => 15);
SELECT count(*) > 0 FROM cowrie_migrate_v16();
SELECT count(*) FROM cowrie_validate_schema();

DROP SCHEMA app CASCADE;
DROP FUNCTION refusal, public.call_all;
DROP EXTENSION cowrie_migrate;
DROP ROLE cowrie_app, cowrie_mallory;
