// Cleanup template: the text of scripts/cleanup_v16_incomplete.sql, with @names@ where the
// declaration has its say. cleanup_script.cpp puts it in.
#pragma once

namespace cowrie {

inline constexpr const char *cleanup_template =
    R"sql(-- Takes the schema of cowrieprocessor from version @newest@, or one before it, complete or not, back to version 15:
-- the cleanup of the extension cowrie_migrate, for a server on which it cannot be installed.
--
--   psql -U owner -d mydb -f cleanup_v16_incomplete.sql
--
-- as the role that owns session_summaries, and as no other: the triggers and index expressions of that role
-- run in this session, and SET ROLE would not keep them from taking the rights of whoever has logged in.
--
-- psql variables, all optional: -v schema=app, the schema of session_summaries (by search_path);
-- -v version=16, the version to go back to, where it is not 15; -v force=on, in spite of what the
-- application has enriched or filled, or of a later version.
--
-- One transaction. It never touches a row of session_summaries or a column of version 15, never uses
-- CASCADE, and refuses when other objects depend on what it would remove. Unlike the extension it
-- cannot compare with the documents: only rows that the application has marked as its own stop it.
--
-- Generated from src/core/schema/ by "make cleanup-script". Do not edit.

\set ON_ERROR_STOP on
\if :{?schema}
\else
  \set schema ''
\endif
\if :{?version}
\else
  \set version 15
\endif
\if :{?force}
\else
  \set force off
\endif

BEGIN;
SET LOCAL lock_timeout = '5s';
SELECT pg_catalog.current_schemas(false) AS cowrie_path \gset
SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL jit = off;
SET LOCAL standard_conforming_strings = on;
SELECT set_config('cowrie_cleanup.schema', :'schema', true) AS cowrie_ignored,
       set_config('cowrie_cleanup.force', :'force', true) AS cowrie_ignored,
       set_config('cowrie_cleanup.version', :'version', true) AS cowrie_ignored,
       set_config('cowrie_cleanup.path', :'cowrie_path', true) AS cowrie_ignored \gset
\unset cowrie_path
\unset cowrie_ignored

DO $cleanup$
DECLARE
  app_schema name := nullif(current_setting('cowrie_cleanup.schema'), '');
  accepted boolean := current_setting('cowrie_cleanup.force');
  back_to integer := current_setting('cowrie_cleanup.version');
  kept integer; -- the phases that stay
  kept_subphase text;
  version_text text;
  version integer := 0;
  subphase text;
  classes oid[];
  objects oid[];
  parts integer[];
  item record;
  words text;
  lines text := '';
  commands text := '';
  removed bigint := 0;
BEGIN
  SELECT v.phase, v.subphase INTO kept, kept_subphase FROM (VALUES
@versions@) AS v (version, phase, subphase)
  WHERE v.version = back_to;
  IF kept IS NULL THEN
    RAISE EXCEPTION USING ERRCODE = '22023',
      MESSAGE = format('cannot return to schema version %s', back_to),
      HINT = 'Omit version, or use one from 15 to @last_but_one@.';
  END IF;

  -- Whose it is -------------------------------------------------------------------------------

  IF app_schema IS NULL THEN
    SELECT n.nspname INTO app_schema
    FROM unnest(current_setting('cowrie_cleanup.path')::name[]) WITH ORDINALITY AS p (name, position)
    JOIN pg_namespace AS n ON n.nspname = p.name
    JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = 'session_summaries'
    ORDER BY p.position LIMIT 1;
  END IF;
  SELECT pg_get_userbyid(c.relowner) AS owner INTO item
  FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
  WHERE n.nspname = app_schema AND c.relname = 'session_summaries' AND c.relkind IN ('r', 'p');
  IF item.owner IS NULL THEN
    RAISE EXCEPTION USING ERRCODE = '42P01', MESSAGE = 'table session_summaries does not exist',
      HINT = 'Specify its schema: psql -v schema=app -f cleanup_v16_incomplete.sql';
  ELSIF item.owner <> session_user OR item.owner <> current_user THEN
    RAISE EXCEPTION USING ERRCODE = '42501',
      MESSAGE = format('this script must be run by the owner of session_summaries, role "%s"', item.owner),
      DETAIL = format('You are "%s". Triggers of the owner would run with the privileges of the role that is logged in.',
                      session_user),
      HINT = format('Log in as that role: psql -U %s -d %s -f cleanup_v16_incomplete.sql', item.owner,
                    current_database());
  END IF;

  EXECUTE format('LOCK TABLE %I.session_summaries IN ACCESS EXCLUSIVE MODE', app_schema);
  FOR item IN
    SELECT t.name FROM (VALUES
@tables@) AS t (name, phase)
    JOIN pg_class AS c ON c.relname = t.name JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = app_schema ORDER BY t.phase
  LOOP
    EXECUTE format('LOCK TABLE %I.%I IN ACCESS EXCLUSIVE MODE', app_schema, item.name);
  END LOOP;
  EXECUTE format('LOCK TABLE %I.schema_state IN SHARE ROW EXCLUSIVE MODE', app_schema);

  -- Now that nobody can change them any more. What runs in the extension holds a lock on it.
  IF EXISTS (SELECT FROM pg_locks WHERE locktype = 'object' AND classid = 'pg_extension'::regclass
             AND objsubid = 16 AND granted
             AND database = (SELECT oid FROM pg_database WHERE datname = current_database())) THEN
    RAISE EXCEPTION USING ERRCODE = '55P03', MESSAGE = 'a migration is running in this database';
  END IF;
  FOR item IN
    SELECT c.oid::regclass AS name, r.rolname AS owner
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace JOIN pg_roles AS r ON r.oid = c.relowner
    WHERE n.nspname = app_schema AND r.rolname <> current_user AND NOT r.rolsuper
      AND c.relname IN (SELECT t.name FROM (VALUES
@tables@) AS t (name, phase) UNION SELECT 'session_summaries' UNION SELECT 'schema_state')
  LOOP
    RAISE EXCEPTION USING ERRCODE = '42501',
      MESSAGE = format('%s does not belong to the owner of session_summaries', item.name),
      DETAIL = format('It belongs to role "%s", whose triggers would run as "%s".', item.owner, current_user),
      HINT = 'Find out what uses it, and rename it or change its owner to that of session_summaries.';
  END LOOP;

  -- The recorded version ----------------------------------------------------------------------

  EXECUTE format('SELECT max(value) FILTER (WHERE key = ''schema_version''),
                         max(value) FILTER (WHERE key = ''schema_subphase'') FROM %I.schema_state',
                 app_schema) INTO version_text, subphase;
  IF btrim(version_text) ~ '^[0-9]{1,6}$' THEN
    version := btrim(version_text);
  END IF;
  IF version < 15 THEN
    RAISE EXCEPTION USING ERRCODE = '0A000',
      MESSAGE = format('cannot return from schema version "%s"', version_text),
      HINT = format('Check SELECT * FROM %I.schema_state;', app_schema);
  ELSIF version > @newest@ AND NOT accepted THEN
    RAISE EXCEPTION USING ERRCODE = '55000',
      MESSAGE = format('schema version %s builds on version @newest@', version),
      DETAIL = format('At version %s the application would run its own later migrations again.', back_to),
      HINT = 'If that is what you want, add -v force=on.';
  END IF;

  -- What is there, and what belongs to it -----------------------------------------------------

  SELECT array_agg(o.classid), array_agg(o.objid), array_agg(o.objsubid)
  INTO classes, objects, parts
  FROM (
    WITH tables (name, phase) AS (VALUES
@tables@),
    columns (table_name, name, phase, one_by_one) AS (VALUES
@columns@),
    indexes (table_name, name, phase, method, columns, any_name) AS (VALUES
@indexes@),
    constraints (table_name, name, phase, kind, columns, target) AS (VALUES
@constraints@),
    ours AS (
      SELECT c.oid, c.relname, t.phase
      FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
      LEFT JOIN tables AS t ON t.name = c.relname
      WHERE n.nspname = app_schema AND (t.name IS NOT NULL OR c.relname = 'session_summaries')),
    seen_indexes AS (
      SELECT i.indexrelid, o.relname AS table_name, o.phase, c.relname AS name, m.amname AS method,
             NOT i.indisunique AND i.indpred IS NULL AND i.indexprs IS NULL
               AND i.indnatts = i.indnkeyatts AS plain,
             ARRAY(SELECT a.attname FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k (number, position)
                   JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.number
                   ORDER BY k.position) AS columns
      FROM ours AS o JOIN pg_index AS i ON i.indrelid = o.oid JOIN pg_class AS c ON c.oid = i.indexrelid
      JOIN pg_am AS m ON m.oid = c.relam
      WHERE NOT EXISTS (SELECT FROM pg_constraint AS k WHERE k.conindid = i.indexrelid
                        AND k.contype IN ('p', 'u', 'x'))),
    seen_constraints AS (
      SELECT k.oid, o.relname AS table_name, o.phase, k.conname AS name, k.contype::text AS kind,
             f.relname AS target, f.phase AS target_phase,
             ARRAY(SELECT a.attname FROM unnest(k.conkey) WITH ORDINALITY AS c (number, position)
                   JOIN pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = c.number
                   ORDER BY c.position) AS columns
      FROM ours AS o JOIN pg_constraint AS k ON k.conrelid = o.oid
      LEFT JOIN ours AS f ON f.oid = k.confrelid)
    SELECT 'pg_class'::regclass::oid AS classid, o.oid AS objid, 0 AS objsubid
    FROM ours AS o WHERE o.phase > kept
    UNION
    SELECT 'pg_class'::regclass, a.attrelid, a.attnum::integer
    FROM ours AS o JOIN columns AS d ON d.table_name = o.relname AND d.one_by_one AND d.phase > kept
    JOIN pg_attribute AS a ON a.attrelid = o.oid AND a.attname = d.name AND NOT a.attisdropped
    UNION
    -- Of the declared name, or doing the same; the ORM names its indexes ix_<table>_….
    SELECT 'pg_class'::regclass, s.indexrelid, 0
    FROM seen_indexes AS s
    WHERE s.plain AND s.phase > kept AND starts_with(s.name, 'ix_' || s.table_name || '_')
        AND cardinality(s.columns) = 1 AND s.method = 'btree'
        AND s.columns <@ ARRAY(SELECT d.name::name FROM columns AS d WHERE d.table_name = s.table_name)
      OR EXISTS (SELECT FROM indexes AS d WHERE d.table_name = s.table_name AND d.phase > kept
                 AND (d.name = s.name OR d.any_name AND s.plain AND d.method = s.method
                                         AND d.columns = s.columns))
    UNION
    -- Of the declared name, or in its place: any key of a table that goes, foreign keys that hold
    -- these tables together, a CHECK that the server has named.
    SELECT 'pg_constraint'::regclass, s.oid, 0
    FROM seen_constraints AS s
    WHERE s.phase > kept AND s.kind = 'f' AND s.target_phase <= s.phase
        AND s.columns <@ ARRAY(SELECT d.name::name FROM columns AS d WHERE d.table_name = s.table_name)
      OR EXISTS (SELECT FROM constraints AS d WHERE d.table_name = s.table_name AND d.phase > kept
                 AND (d.name = s.name OR d.kind = s.kind AND CASE d.kind
                        WHEN 'p' THEN s.phase > kept
                        WHEN 'f' THEN d.columns = s.columns AND d.target = s.target
                        ELSE d.columns = s.columns AND cardinality(s.columns) = 1
                             AND s.name = s.table_name || '_' || s.columns[1] || '_check' END))
    UNION
    -- What a partitioned table loses its partitions lose: with the same name, inherited.
    SELECT 'pg_class'::regclass, a.attrelid, a.attnum::integer
    FROM ours AS o JOIN columns AS d ON d.table_name = o.relname AND d.one_by_one
    CROSS JOIN LATERAL pg_partition_tree(o.oid) AS p
    JOIN pg_attribute AS a ON a.attrelid = p.relid AND a.attname = d.name AND a.attinhcount > 0
    UNION
    SELECT 'pg_constraint'::regclass, k.oid, 0
    FROM seen_constraints AS s JOIN constraints AS d ON d.table_name = s.table_name AND d.name = s.name
    JOIN pg_constraint AS n ON n.oid = s.oid CROSS JOIN LATERAL pg_partition_tree(n.conrelid) AS p
    JOIN pg_constraint AS k ON k.conrelid = p.relid AND k.conname = n.conname AND k.coninhcount > 0
    UNION
    -- What an online migration has given to single partitions.
    SELECT 'pg_class'::regclass, i.indexrelid, 0
    FROM ours AS o JOIN indexes AS d ON d.table_name = o.relname AND d.phase > kept
    CROSS JOIN LATERAL pg_partition_tree(o.oid) AS p JOIN pg_index AS i ON i.indrelid = p.relid
    JOIN pg_class AS c ON c.oid = i.indexrelid AND NOT c.relispartition AND c.relname = d.name || '_' || p.relid::oid
    UNION
    SELECT 'pg_constraint'::regclass, k.oid, 0
    FROM ours AS o JOIN constraints AS d ON d.table_name = o.relname AND d.kind = 'f' AND d.phase > kept
    CROSS JOIN LATERAL pg_partition_tree(o.oid) AS p JOIN pg_constraint AS k ON k.conrelid = p.relid
      AND k.contype = 'f' AND k.conparentid = 0 AND k.conname = d.name
  ) AS o;

  IF classes IS NULL AND version <= back_to AND (subphase IS NULL OR kept > 0) THEN
    RAISE NOTICE 'schema version %, nothing to remove', version;
    RETURN;
  END IF;

  -- What stops it -----------------------------------------------------------------------------

  FOR item IN
@dependents@
  LOOP
    lines := lines || E'\n' || item.description;
    commands := commands || coalesce(item.command || '; ', '');
  END LOOP;
  IF lines <> '' THEN
    RAISE EXCEPTION USING ERRCODE = '2BP01',
      MESSAGE = 'other objects depend on objects that cleanup would drop', DETAIL = ltrim(lines, E'\n'),
      HINT = 'Save their definitions and drop them if they are no longer needed: ' || commands
             || 'then run this file again.';
  END IF;

  FOR item IN
    SELECT m.table_name AS name, format('SELECT count(*) FROM %I.%I WHERE %s', app_schema, m.table_name,
             string_agg(CASE WHEN m.unset IS NULL THEN format('%I IS NOT NULL', m.name)
                             ELSE format('%I::text <> %L', m.name, m.unset) END, ' OR ')) AS query
    FROM (VALUES
@marks@) AS m (table_name, name, phase, unset)
    JOIN pg_class AS c ON c.relname = m.table_name
    JOIN pg_namespace AS n ON n.oid = c.relnamespace AND n.nspname = app_schema
    JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attname = m.name AND NOT a.attisdropped
    WHERE m.phase > kept GROUP BY m.table_name ORDER BY m.table_name
  LOOP
    EXECUTE item.query INTO removed;
    IF removed > 0 THEN
      lines := lines || format(E'\n%s: %s rows enriched by the application', item.name, removed);
      commands := commands || format('CREATE TABLE %I.%I AS SELECT * FROM %1$I.%3$I; ', app_schema,
                                     'saved_' || item.name, item.name);
    END IF;
  END LOOP;
  IF lines <> '' AND NOT accepted THEN
    RAISE EXCEPTION USING ERRCODE = '55000',
      MESSAGE = 'cleanup would lose data that cannot be rebuilt', DETAIL = ltrim(lines, E'\n'),
      HINT = 'Save it, as in ' || commands || 'and accept the loss with -v force=on.';
  END IF;

  SELECT string_agg(w.name, '|') INTO words FROM (VALUES
@words@) AS w (name, phase) WHERE w.phase > kept;
  SELECT string_agg(r.routine, E'\n') AS routines INTO item
  FROM (@routines@) AS r (routine);
  IF item.routines IS NOT NULL THEN
    RAISE WARNING USING MESSAGE = 'functions refer to objects that this cleanup drops', DETAIL = item.routines;
  END IF;

  -- Backwards: constraints before the tables they point to, columns last ----------------------

  FOR item IN
    SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', k.conrelid::regclass, k.conname) AS command
    FROM unnest(classes, objects) AS o (classid, objid)
    JOIN pg_constraint AS k ON o.classid = 'pg_constraint'::regclass AND k.oid = o.objid
    JOIN pg_class AS c ON c.oid = k.conrelid AND CASE WHEN c.relispartition
      THEN k.contype = 'f' AND k.conparentid = 0 ELSE c.relname = 'session_summaries' END
    UNION ALL
    SELECT format('DROP INDEX %s', i.indexrelid::regclass)
    FROM unnest(classes, objects) AS o (classid, objid)
    JOIN pg_index AS i ON o.classid = 'pg_class'::regclass AND i.indexrelid = o.objid
    JOIN pg_class AS c ON c.oid = i.indrelid AND (c.relname = 'session_summaries' OR c.relispartition)
  LOOP
    RAISE NOTICE '%', item.command;
    EXECUTE item.command;
  END LOOP;
  FOR item IN
    SELECT c.oid::regclass AS name FROM unnest(classes, objects) AS o (classid, objid)
    JOIN pg_class AS c ON o.classid = 'pg_class'::regclass AND c.oid = o.objid
    JOIN (VALUES
@tables@) AS t (name, phase) ON t.name = c.relname AND c.relkind = 'r'
    ORDER BY t.phase DESC
  LOOP
    EXECUTE format('SELECT count(*) FROM %s', item.name) INTO removed;
    RAISE NOTICE 'DROP TABLE %, % rows', item.name, removed;
    EXECUTE format('DROP TABLE %s', item.name);
  END LOOP;
  SELECT format('ALTER TABLE %s %s', a.attrelid::regclass,
                string_agg(format('DROP COLUMN %I', a.attname), ', ' ORDER BY a.attnum)) AS command
  INTO item
  FROM unnest(classes, objects, parts) AS o (classid, objid, objsubid)
  JOIN pg_attribute AS a ON o.objsubid > 0 AND a.attrelid = o.objid AND a.attnum = o.objsubid
  JOIN pg_class AS c ON c.oid = a.attrelid AND NOT c.relispartition
  GROUP BY a.attrelid;
  IF item.command IS NOT NULL THEN
    RAISE NOTICE '%', item.command;
    EXECUTE item.command;
  END IF;
  FOR item IN -- what a migration that died has left
    SELECT c.oid::regclass AS name FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = app_schema AND c.relkind = 'r' AND c.relpersistence = 'u' AND kept = 0
      AND c.relname IN (@work_tables@)
  LOOP
    EXECUTE format('DROP TABLE %s', item.name);
  END LOOP;

  IF kept = 0 THEN
    EXECUTE format('DELETE FROM %I.schema_state WHERE key = ''schema_subphase''', app_schema);
  ELSIF subphase ~ '^[0-9]{2}[.]' AND split_part(subphase, '.', 1)::integer > back_to THEN
    EXECUTE format('UPDATE %I.schema_state SET value = %L WHERE key = ''schema_subphase''', app_schema,
                   kept_subphase);
  END IF;
  EXECUTE format('UPDATE %I.schema_state SET value = %L WHERE key = ''schema_version''', app_schema,
                 least(version, back_to));
  GET DIAGNOSTICS removed = ROW_COUNT;
  IF removed <> 1 THEN
    RAISE EXCEPTION USING ERRCODE = '55000', MESSAGE = 'could not record the schema version';
  END IF;
  RAISE NOTICE 'schema version %', least(version, back_to);
END
$cleanup$;

COMMIT;
)sql";

} // namespace cowrie
