-- Takes the schema of cowrieprocessor from version 17, or one before it, complete or not, back to version 15:
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
    (15, 0, NULL),
    (16, 5, '16.5')) AS v (version, phase, subphase)
  WHERE v.version = back_to;
  IF kept IS NULL THEN
    RAISE EXCEPTION USING ERRCODE = '22023',
      MESSAGE = format('cannot return to schema version %s', back_to),
      HINT = 'Omit version, or use one from 15 to 16.';
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
    ('ip_asn_history', 4),
    ('ip_inventory', 3),
    ('asn_inventory', 2)) AS t (name, phase)
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
    ('ip_asn_history', 4),
    ('ip_inventory', 3),
    ('asn_inventory', 2)) AS t (name, phase) UNION SELECT 'session_summaries' UNION SELECT 'schema_state')
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
  ELSIF version > 17 AND NOT accepted THEN
    RAISE EXCEPTION USING ERRCODE = '55000',
      MESSAGE = format('schema version %s builds on version 17', version),
      DETAIL = format('At version %s the application would run its own later migrations again.', back_to),
      HINT = 'If that is what you want, add -v force=on.';
  END IF;

  -- What is there, and what belongs to it -----------------------------------------------------

  SELECT array_agg(o.classid), array_agg(o.objid), array_agg(o.objsubid)
  INTO classes, objects, parts
  FROM (
    WITH tables (name, phase) AS (VALUES
    ('ip_asn_history', 4),
    ('ip_inventory', 3),
    ('asn_inventory', 2)),
    columns (table_name, name, phase, one_by_one) AS (VALUES
    ('session_summaries', 'source_ip', 1, true),
    ('session_summaries', 'enrichment_at', 1, true),
    ('session_summaries', 'snapshot_asn', 1, true),
    ('session_summaries', 'snapshot_country', 1, true),
    ('session_summaries', 'snapshot_ip_type', 1, true),
    ('session_summaries', 'ssh_key_fingerprint', 6, true),
    ('session_summaries', 'password_hash', 6, true),
    ('session_summaries', 'command_signature', 6, true),
    ('session_summaries', 'snapshot_ip_types', 1, true),
    ('asn_inventory', 'asn_number', 2, false),
    ('asn_inventory', 'organization_name', 2, false),
    ('asn_inventory', 'organization_country', 2, false),
    ('asn_inventory', 'rir_registry', 2, false),
    ('asn_inventory', 'asn_type', 2, false),
    ('asn_inventory', 'is_known_hosting', 2, false),
    ('asn_inventory', 'is_known_vpn', 2, false),
    ('asn_inventory', 'first_seen', 2, false),
    ('asn_inventory', 'last_seen', 2, false),
    ('asn_inventory', 'unique_ip_count', 2, false),
    ('asn_inventory', 'total_session_count', 2, false),
    ('asn_inventory', 'enrichment', 2, false),
    ('asn_inventory', 'enrichment_updated_at', 2, false),
    ('asn_inventory', 'created_at', 2, false),
    ('asn_inventory', 'updated_at', 2, false),
    ('ip_inventory', 'ip_address', 3, false),
    ('ip_inventory', 'current_asn', 3, false),
    ('ip_inventory', 'asn_last_verified', 3, false),
    ('ip_inventory', 'first_seen', 3, false),
    ('ip_inventory', 'last_seen', 3, false),
    ('ip_inventory', 'session_count', 3, false),
    ('ip_inventory', 'enrichment', 3, false),
    ('ip_inventory', 'enrichment_updated_at', 3, false),
    ('ip_inventory', 'enrichment_version', 3, false),
    ('ip_inventory', 'geo_country', 3, false),
    ('ip_inventory', 'ip_types', 3, false),
    ('ip_inventory', 'is_scanner', 3, false),
    ('ip_inventory', 'is_bogon', 3, false),
    ('ip_inventory', 'created_at', 3, false),
    ('ip_inventory', 'updated_at', 3, false),
    ('ip_asn_history', 'ip_address', 4, false),
    ('ip_asn_history', 'asn_number', 4, false),
    ('ip_asn_history', 'observed_at', 4, false),
    ('ip_asn_history', 'verification_source', 4, false)),
    indexes (table_name, name, phase, method, columns, any_name) AS (VALUES
    ('session_summaries', 'idx_session_source_ip', 4, 'btree', '{source_ip}'::name[], true),
    ('session_summaries', 'idx_session_snapshot_asn', 4, 'btree', '{snapshot_asn}'::name[], true),
    ('session_summaries', 'idx_session_snapshot_country', 4, 'btree', '{snapshot_country}'::name[], true),
    ('session_summaries', 'idx_session_snapshot_ip_type', 4, 'btree', '{snapshot_ip_type}'::name[], true),
    ('session_summaries', 'idx_session_first_event_brin', 4, 'brin', '{first_event_at}'::name[], false),
    ('session_summaries', 'idx_session_last_event_brin', 4, 'brin', '{last_event_at}'::name[], false),
    ('session_summaries', 'idx_session_ssh_key_fp', 7, 'btree', '{ssh_key_fingerprint}'::name[], true),
    ('session_summaries', 'idx_session_password_hash', 7, 'btree', '{password_hash}'::name[], true),
    ('session_summaries', 'idx_session_command_sig', 7, 'btree', '{command_signature}'::name[], true),
    ('asn_inventory', 'idx_asn_org_name', 2, 'btree', '{organization_name}'::name[], true),
    ('asn_inventory', 'idx_asn_type', 2, 'btree', '{asn_type}'::name[], true),
    ('asn_inventory', 'idx_asn_session_count', 2, 'btree', '{total_session_count}'::name[], true),
    ('ip_inventory', 'idx_ip_current_asn', 3, 'btree', '{current_asn}'::name[], true),
    ('ip_inventory', 'idx_ip_geo_country', 3, 'btree', '{geo_country}'::name[], true),
    ('ip_inventory', 'idx_ip_session_count', 3, 'btree', '{session_count}'::name[], true),
    ('ip_inventory', 'idx_ip_enrichment_updated', 3, 'btree', '{enrichment_updated_at}'::name[], true),
    ('ip_inventory', 'idx_ip_staleness_active', 3, 'btree', '{enrichment_updated_at,last_seen}'::name[], true),
    ('ip_asn_history', 'idx_ip_asn_history_asn', 4, 'btree', '{asn_number}'::name[], true)),
    constraints (table_name, name, phase, kind, columns, target) AS (VALUES
    ('session_summaries', 'snapshot_country_iso', 1, 'c', '{snapshot_country}'::name[], ''),
    ('session_summaries', 'fk_session_source_ip', 5, 'f', '{source_ip}'::name[], 'ip_inventory'),
    ('asn_inventory', 'asn_inventory_pkey', 2, 'p', '{asn_number}'::name[], ''),
    ('asn_inventory', 'asn_number_positive', 2, 'c', '{asn_number}'::name[], ''),
    ('asn_inventory', 'organization_country_iso', 2, 'c', '{organization_country}'::name[], ''),
    ('ip_inventory', 'ip_inventory_pkey', 3, 'p', '{ip_address}'::name[], ''),
    ('ip_inventory', 'session_count_not_negative', 3, 'c', '{session_count}'::name[], ''),
    ('ip_inventory', 'fk_ip_current_asn', 5, 'f', '{current_asn}'::name[], 'asn_inventory'),
    ('ip_asn_history', 'ip_asn_history_pkey', 4, 'p', '{ip_address,asn_number,observed_at}'::name[], '')),
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
    WITH RECURSIVE removed (classid, objid, objsubid) AS (SELECT * FROM unnest(classes, objects, parts)),
    reached (classid, objid, objsubid) AS (
      SELECT classid, objid, objsubid FROM removed
      UNION
      SELECT next.classid, next.objid, next.objsubid
      FROM reached AS r
      CROSS JOIN LATERAL (
        SELECT d.classid, d.objid, d.objsubid
        FROM pg_depend AS d
        WHERE d.refclassid = r.classid AND d.refobjid = r.objid
          AND (r.objsubid = 0 OR d.refobjsubid = r.objsubid)
          AND (r.classid <> 'pg_class'::regclass
               OR NOT EXISTS (SELECT FROM pg_inherits AS i WHERE i.inhrelid = r.objid)
               OR EXISTS (SELECT FROM removed AS x WHERE x.classid = r.classid AND x.objid = r.objid))
        UNION ALL
        SELECT d.refclassid, d.refobjid, d.refobjsubid
        FROM pg_depend AS d
        WHERE d.classid = r.classid AND d.objid = r.objid AND d.objsubid = r.objsubid
          AND d.deptype IN ('i', 'P')
      ) AS next
    ),
    row_types (oid) AS (
      SELECT c.reltype FROM removed AS r JOIN pg_class AS c ON c.oid = r.objid
      WHERE r.classid = 'pg_class'::regclass AND r.objsubid <> 0 AND c.reltype <> 0
      UNION
      SELECT next.oid
      FROM row_types AS x
      CROSS JOIN LATERAL (
        SELECT t.oid FROM pg_type AS t WHERE t.typelem = x.oid OR t.typbasetype = x.oid
        UNION ALL
        SELECT c.reltype FROM pg_attribute AS a
        JOIN pg_class AS c ON c.oid = a.attrelid AND c.relkind = 'c' WHERE a.atttypid = x.oid
      ) AS next
    ),
    holders (classid, objid, objsubid) AS (
      SELECT 'pg_class'::regclass::oid, a.attrelid, a.attnum::integer
      FROM row_types AS x
      JOIN pg_attribute AS a ON a.atttypid = x.oid AND NOT a.attisdropped
      JOIN pg_class AS c ON c.oid = a.attrelid AND c.relkind IN ('r', 'p', 'm', 'f')
      UNION
      SELECT r.classid, i.inhrelid, 0
      FROM removed AS r JOIN pg_inherits AS i ON i.inhparent = r.objid
      JOIN pg_class AS c ON c.oid = i.inhrelid AND NOT c.relispartition
      WHERE r.classid = 'pg_class'::regclass AND r.objsubid <> 0
    ),
    dependents (classid, objid, objsubid) AS (
      SELECT o.classid, o.objid, o.objsubid
      FROM (SELECT * FROM reached UNION SELECT * FROM holders) AS o
      WHERE NOT EXISTS (
          SELECT FROM removed AS r
          WHERE r.classid = o.classid AND r.objid = o.objid AND r.objsubid IN (0, o.objsubid))
        AND NOT EXISTS (
          SELECT FROM pg_depend AS d
          WHERE d.classid = o.classid AND d.objid = o.objid AND d.objsubid = o.objsubid
            AND d.deptype IN ('i', 'P', 'S'))
        AND NOT (o.classid = 'pg_attrdef'::regclass AND EXISTS (
          SELECT FROM pg_attrdef AS f JOIN removed AS r ON r.classid = 'pg_class'::regclass
            AND r.objid = f.adrelid AND r.objsubid IN (0, f.adnum)
          WHERE f.oid = o.objid))
        AND NOT (o.classid = 'pg_class'::regclass AND EXISTS (
          SELECT FROM pg_class AS s
          JOIN pg_depend AS d ON d.classid = o.classid AND d.objid = s.oid AND d.deptype = 'a'
          JOIN removed AS r ON r.classid = d.refclassid AND r.objid = d.refobjid
            AND r.objsubid IN (0, d.refobjsubid)
          WHERE s.oid = o.objid AND s.relkind = 'S'))
        AND NOT (o.classid = 'pg_constraint'::regclass AND EXISTS (
          SELECT FROM pg_constraint AS n WHERE n.oid = o.objid AND n.contype = 'n'))
        AND NOT (o.classid = 'pg_class'::regclass AND EXISTS (
          SELECT FROM pg_class AS i WHERE i.oid = o.objid AND i.relnamespace = 'pg_toast'::regnamespace))
        AND NOT (o.classid = 'pg_trigger'::regclass AND EXISTS (
          SELECT FROM pg_trigger AS g WHERE g.oid = o.objid AND EXISTS (SELECT FROM pg_depend AS d JOIN pg_extension AS e
      ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e'
      WHERE d.classid = 'pg_proc'::regclass AND d.objid = g.tgfoid
      AND e.extname = 'cowrie_migrate'))))
    SELECT pg_describe_object(o.classid, o.objid, o.objsubid) AS description,
      CASE o.classid
        WHEN 'pg_class'::regclass THEN (
          SELECT CASE
            WHEN o.objsubid <> 0 THEN (
              SELECT format('ALTER TABLE %s DROP COLUMN %I', c.oid::regclass, a.attname)
              FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attnum = o.objsubid)
            WHEN c.relkind = 'v' THEN format('DROP VIEW %s', c.oid::regclass)
            WHEN c.relkind = 'm' THEN format('DROP MATERIALIZED VIEW %s', c.oid::regclass)
            WHEN c.relkind = 'i' THEN format('DROP INDEX %s', c.oid::regclass)
            WHEN c.relkind = 'S' THEN format('DROP SEQUENCE %s', c.oid::regclass)
            WHEN c.relkind = 'r' THEN (
              SELECT format('ALTER TABLE %s NO INHERIT %s', c.oid::regclass, i.inhparent::regclass)
              FROM pg_inherits AS i WHERE i.inhrelid = c.oid LIMIT 1)
            END
          FROM pg_class AS c WHERE c.oid = o.objid)
        WHEN 'pg_constraint'::regclass THEN (
          SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', c.conrelid::regclass, c.conname)
          FROM pg_constraint AS c WHERE c.oid = o.objid AND c.conrelid <> 0)
        WHEN 'pg_trigger'::regclass THEN (
          SELECT format('DROP TRIGGER %I ON %s', t.tgname, t.tgrelid::regclass)
          FROM pg_trigger AS t WHERE t.oid = o.objid)
        WHEN 'pg_rewrite'::regclass THEN (
          SELECT format('DROP RULE %I ON %s', w.rulename, w.ev_class::regclass)
          FROM pg_rewrite AS w WHERE w.oid = o.objid)
        WHEN 'pg_policy'::regclass THEN (
          SELECT format('DROP POLICY %I ON %s', p.polname, p.polrelid::regclass)
          FROM pg_policy AS p WHERE p.oid = o.objid)
        WHEN 'pg_statistic_ext'::regclass THEN (
          SELECT format('DROP STATISTICS %s.%I', s.stxnamespace::regnamespace, s.stxname)
          FROM pg_statistic_ext AS s WHERE s.oid = o.objid)
        WHEN 'pg_publication_rel'::regclass THEN (
          SELECT format('ALTER PUBLICATION %I DROP TABLE %s', p.pubname, m.prrelid::regclass)
          FROM pg_publication_rel AS m JOIN pg_publication AS p ON p.oid = m.prpubid
          WHERE m.oid = o.objid)
        WHEN 'pg_attrdef'::regclass THEN (
          SELECT format('ALTER TABLE %s ALTER COLUMN %I DROP DEFAULT', f.adrelid::regclass, a.attname)
          FROM pg_attrdef AS f JOIN pg_attribute AS a ON a.attrelid = f.adrelid AND a.attnum = f.adnum
          WHERE f.oid = o.objid)
        WHEN 'pg_proc'::regclass THEN format('DROP ROUTINE %s', o.objid::regprocedure)
        WHEN 'pg_type'::regclass THEN format('DROP TYPE %s', o.objid::regtype)
      END AS command
    FROM dependents AS o
    ORDER BY o.objid DESC, o.objsubid
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
    ('session_summaries', 'ssh_key_fingerprint', 6, NULL),
    ('session_summaries', 'password_hash', 6, NULL),
    ('session_summaries', 'command_signature', 6, NULL),
    ('asn_inventory', 'asn_type', 2, NULL),
    ('asn_inventory', 'is_known_hosting', 2, (false)::text),
    ('asn_inventory', 'is_known_vpn', 2, (false)::text),
    ('asn_inventory', 'enrichment_updated_at', 2, NULL),
    ('ip_inventory', 'asn_last_verified', 3, NULL),
    ('ip_inventory', 'enrichment_updated_at', 3, NULL),
    ('ip_inventory', 'enrichment_version', 3, ('2.2'::character varying)::text)) AS m (table_name, name, phase, unset)
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
    ('source_ip', 1),
    ('enrichment_at', 1),
    ('snapshot_asn', 1),
    ('snapshot_country', 1),
    ('snapshot_ip_type', 1),
    ('ssh_key_fingerprint', 6),
    ('password_hash', 6),
    ('command_signature', 6),
    ('asn_inventory', 2),
    ('ip_inventory', 3),
    ('ip_asn_history', 4)) AS w (name, phase) WHERE w.phase > kept;
  SELECT string_agg(r.routine, E'\n') AS routines INTO item
  FROM (SELECT p.oid::regprocedure::text FROM pg_proc AS p JOIN pg_language AS l ON l.oid = p.prolang WHERE l.lanname NOT IN ('internal', 'c') AND p.prosqlbody IS NULL AND p.pronamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace) AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e') AND p.prosrc ~* ('\m(' || words || ')\M') ORDER BY 1) AS r (routine);
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
    ('ip_asn_history', 4),
    ('ip_inventory', 3),
    ('asn_inventory', 2)) AS t (name, phase) ON t.name = c.relname AND c.relkind = 'r'
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
      AND c.relname IN ('cowrie_migrate_staging', 'cowrie_migrate_events')
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
