/* cowrie_migrate 1.1 -> 1.2: what people call stays in the extension's schema; what statements call, its
 * types and the progress sequences move into a schema of the extension's own. The status view reads no
 * table. */

-- complain if script is sourced in psql, rather than via ALTER EXTENSION
\echo Use "ALTER EXTENSION cowrie_migrate UPDATE TO '1.2'" to load this file. \quit

SET LOCAL search_path TO pg_catalog, pg_temp;

-- It must not exist: whoever had made it could put functions of his own beside ours.
CREATE SCHEMA cowrie_migrate_internal;
COMMENT ON SCHEMA cowrie_migrate_internal IS
    'internal: what the statements of cowrie_migrate call, and the progress of the latest run';

DROP VIEW @extschema@.cowrie_migration_status;

-- Everything but what people call: functions, their row types, the progress sequences.
DO $do$
DECLARE
    object record;
BEGIN
    FOR object IN
        SELECT d.classid, d.objid,
               CASE d.classid WHEN 'pg_proc'::regclass THEN 'ROUTINE' WHEN 'pg_type'::regclass THEN 'TYPE'
                    ELSE 'SEQUENCE' END AS kind,
               i.identity
        FROM pg_extension AS e
        JOIN pg_depend AS d ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
            AND d.deptype = 'e'
        CROSS JOIN LATERAL pg_identify_object(d.classid, d.objid, 0) AS i
        LEFT JOIN pg_proc AS p ON d.classid = 'pg_proc'::regclass AND p.oid = d.objid
        LEFT JOIN pg_type AS t ON d.classid = 'pg_type'::regclass AND t.oid = d.objid
        LEFT JOIN pg_class AS c ON d.classid = 'pg_class'::regclass AND c.oid = d.objid
        WHERE e.extname = 'cowrie_migrate'
          AND (p.proname NOT IN ('cowrie_migrate_v16', 'cowrie_migrate_v16_online',
                   'cowrie_validate_schema', 'cowrie_cleanup_v16', 'cowrie_preflight_v16',
                   'cowrie_checkpoint_v16', 'cowrie_rejected_values', 'cowrie_enrichment_facts',
                   'cowrie_stop_migration')
               OR t.typname IN ('cowrie_fingerprint_sum', 'cowrie_staged', 'cowrie_derived',
                   'cowrie_assessed')
               OR c.relkind = 'S' AND starts_with(c.relname::text, 'cowrie_progress_'))
        ORDER BY d.classid, d.objid
    LOOP
        IF object.kind = 'ROUTINE' AND (SELECT prokind FROM pg_proc WHERE oid = object.objid) = 'a' THEN
            object.kind := 'AGGREGATE';
        END IF;
        EXECUTE 'ALTER ' || object.kind || ' ' || object.identity || ' SET SCHEMA cowrie_migrate_internal';
    END LOOP;
END
$do$;

-- What the latest run waits for, whether it has stopped as it was asked to, the orders to an online run, and how
-- far a run is by its plan.
DO $do$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY '{awaited,holder,attempt,attempts,stopped,paused,allowed,
        batch_size,pause,target_batch,max_lag,max_wal,max_active,held,held_value,held_limit,held_process,step_at,part,part_before}'::text[] LOOP
        name := 'cowrie_migrate_internal.cowrie_progress_' || name;
        EXECUTE 'CREATE SEQUENCE ' || name || ' MINVALUE -1 START 0';
        EXECUTE 'ALTER SEQUENCE ' || name || ' OWNER TO @extowner@';
        EXECUTE 'GRANT SELECT ON SEQUENCE ' || name || ' TO PUBLIC';
        EXECUTE 'COMMENT ON SEQUENCE ' || name || ' IS ''progress of the latest run, see cowrie_migration_status''';
    END LOOP;
END
$do$;

CREATE FUNCTION cowrie_migrate_internal.cowrie_progress(
    OUT pid bigint,
    OUT mode bigint,
    OUT phase bigint,
    OUT step text,
    OUT rows_done bigint,
    OUT rows_total bigint,
    OUT rows_before bigint,
    OUT batch bigint,
    OUT caller bigint,
    OUT started_at bigint,
    OUT updated_at bigint,
    OUT last_sqlstate text,
    OUT rejects jsonb,
    OUT last_message text,
    OUT running boolean,
    OUT holder_pid integer,
    OUT waits_for text,
    OUT outcome text,
    OUT holding_back text,
    OUT step_at bigint,
    OUT part_done bigint,
    OUT part_size bigint,
    OUT part_before bigint
) AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION cowrie_migrate_internal.cowrie_progress() IS
    'internal: the progress sequences, and the message that the ledger has of the latest failure';

CREATE FUNCTION cowrie_migrate_internal.cowrie_columns_as_read(varchar, bigint) RETURNS boolean
    AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION cowrie_migrate_internal.cowrie_columns_as_read(varchar, bigint) IS
    'internal: records a session''s other columns as a batch has read them';
CREATE FUNCTION cowrie_migrate_internal.cowrie_columns_unchanged(varchar, bigint) RETURNS boolean
    AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION cowrie_migrate_internal.cowrie_columns_unchanged(varchar, bigint) IS
    'internal: raises unless a batch has left a session''s other columns as it has read them';

-- Statements run as the owner of the sessions, whatever role that is. They call functions and aggregates;
-- what only an aggregate or the update of the extension calls is nobody's.
GRANT USAGE ON SCHEMA cowrie_migrate_internal TO PUBLIC;
DO $do$
DECLARE
    routine regprocedure;
BEGIN
    FOR routine IN
        SELECT p.oid FROM pg_proc AS p
        WHERE p.pronamespace = 'cowrie_migrate_internal'::regnamespace
          AND 'internal'::regtype = ANY (p.proargtypes::oid[] || p.prorettype)
    LOOP
        EXECUTE 'REVOKE ALL ON FUNCTION ' || routine || ' FROM PUBLIC';
    END LOOP;
END
$do$;

-- It belongs to the role that runs this script, a superuser: a view of somebody else's could be made to
-- call that role's functions as whoever looks at it.
CREATE VIEW @extschema@.cowrie_migration_status AS
WITH progress AS (
    SELECT p.*,
           -- Parts are millionths of the plan; a step whose rows are not counted has the size 0.
           CASE
               WHEN p.outcome = 'undone' THEN 0
               WHEN p.phase >= 100 THEN 100
               ELSE LEAST((p.part_done
                   + p.part_size * LEAST(COALESCE(p.rows_done::numeric / NULLIF(p.rows_total, 0), 0), 1)) / 10000, 99)
           END AS percent,
           p.part_before / 10000.0 AS percent_before,
           to_timestamp(p.started_at / 1000000.0) AS started,
           to_timestamp(p.updated_at / 1000000.0) AS updated,
           p.started_at > 0 AS begun
    FROM cowrie_migrate_internal.cowrie_progress() AS p
)
SELECT running,
       CASE WHEN NOT running OR holder_pid IS NOT NULL THEN
           COALESCE(holder_pid, NULLIF(progress.pid, 0)::integer) END AS pid,
       CASE WHEN begun THEN CASE mode WHEN 1 THEN 'online' WHEN 2 THEN 'cleanup' ELSE 'atomic' END END AS mode,
       -- Of a run that has come to its end 100 and the phase that it ended in.
       CASE WHEN begun THEN (phase % 100)::integer END AS phase,
       CASE WHEN NOT begun THEN NULL WHEN phase >= 100 THEN 'finished' ELSE step END AS step,
       rows_done,
       rows_total,
       round(COALESCE(percent, 0), 1) AS percent,
       rpad(repeat('#', (COALESCE(percent, 0) / 5)::integer), 20, '.') AS progress_bar,
       CASE WHEN phase = 1 AND step = 'fill_columns' AND holding_back IS NULL AND step_at > 0 THEN
           round((rows_done - rows_before) * 1000000.0 / NULLIF(progress.updated_at - step_at, 0)) END
           AS rows_per_second,
       CASE WHEN running AND percent > percent_before AND percent < 100 THEN
           date_trunc('second', (updated - started)
               * ((100 - percent) / (percent - percent_before))::double precision) END AS eta,
       rejects,
       CASE WHEN begun THEN started END AS started_at,
       CASE WHEN begun THEN updated END AS updated_at,
       last_sqlstate,
       NULLIF(batch, 0) AS batch,
       CASE WHEN begun THEN pg_get_userbyid(caller::oid) END AS run_by,
       last_message,
       holding_back,
       waits_for AS waiting_for,
       outcome
FROM progress;
GRANT SELECT ON @extschema@.cowrie_migration_status TO PUBLIC;
COMMENT ON VIEW @extschema@.cowrie_migration_status IS
    'the running or latest migration, readable from any session while it runs and after it failed';
COMMENT ON COLUMN @extschema@.cowrie_migration_status.running IS
    'whether a session, or a prepared transaction, holds the run lock';
COMMENT ON COLUMN @extschema@.cowrie_migration_status.pid IS
    'of the running or latest run; NULL: a prepared transaction has it';
COMMENT ON COLUMN @extschema@.cowrie_migration_status.mode IS 'atomic, online or cleanup';
COMMENT ON COLUMN @extschema@.cowrie_migration_status.phase IS
    'the phase it is in, or ended in; 0: none';
COMMENT ON COLUMN @extschema@.cowrie_migration_status.step IS 'the step it is at, or was at when it ended';
COMMENT ON COLUMN @extschema@.cowrie_migration_status.rows_done IS 'sessions done';
COMMENT ON COLUMN @extschema@.cowrie_migration_status.rows_total IS 'sessions in all';
COMMENT ON COLUMN @extschema@.cowrie_migration_status.percent IS 'of the whole run';
COMMENT ON COLUMN @extschema@.cowrie_migration_status.progress_bar IS 'the same as a bar, for \watch';
COMMENT ON COLUMN @extschema@.cowrie_migration_status.rows_per_second IS
    'of the step, while sessions are filled; NULL: no rows are counted, or it waits';
COMMENT ON COLUMN @extschema@.cowrie_migration_status.eta IS 'estimated time until the run ends';
COMMENT ON COLUMN @extschema@.cowrie_migration_status.rejects IS
    'values that could not be used, counted by reason';
COMMENT ON COLUMN @extschema@.cowrie_migration_status.started_at IS 'start of the run';
COMMENT ON COLUMN @extschema@.cowrie_migration_status.updated_at IS 'time of the last update';
COMMENT ON COLUMN @extschema@.cowrie_migration_status.last_sqlstate IS
    'of the error with which the latest run ended; NULL: none';
COMMENT ON COLUMN @extschema@.cowrie_migration_status.batch IS 'number of the batch of an online run';
COMMENT ON COLUMN @extschema@.cowrie_migration_status.run_by IS 'the role that called';
COMMENT ON COLUMN @extschema@.cowrie_migration_status.last_message IS
    'of the error; if a rollback has removed it from the ledger, where to find it';
COMMENT ON COLUMN @extschema@.cowrie_migration_status.waiting_for IS
    'the lock that the run waits for, who holds it and which attempt it is, or the command with which it continues';
COMMENT ON COLUMN @extschema@.cowrie_migration_status.holding_back IS
    'why the run holds back: it is paused, or others have to recover first; NULL: it does not';
COMMENT ON COLUMN @extschema@.cowrie_migration_status.outcome IS
    'running, waiting, waiting for cut-over, holding back, paused, done, stopped, failed, died (without an error message) or undone';

-- Names and SQLSTATEs come from cowrie_progress() now.
DROP FUNCTION cowrie_migrate_internal.cowrie_step_name(bigint);
DROP FUNCTION cowrie_migrate_internal.cowrie_sqlstate_text(bigint);
-- Sessions without a snapshot are counted by the NULL bits of their rows.
DROP FUNCTION cowrie_migrate_internal.cowrie_lacks_snapshot(json, varchar, timestamptz, integer, varchar, text, boolean);
DROP FUNCTION cowrie_migrate_internal.cowrie_lacks_snapshot(jsonb, varchar, timestamptz, integer, varchar, text, boolean);

-- Every database has a ledger of its own: what a publication of all tables sends of another one is left
-- out.
CREATE FUNCTION cowrie_migrate_internal.cowrie_ledger_is_local() RETURNS trigger
    AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION cowrie_migrate_internal.cowrie_ledger_is_local() IS
    'internal: ignores rows of the ledger that arrive by logical replication';
CREATE TRIGGER cowrie_ledger_is_local BEFORE INSERT OR UPDATE OR DELETE ON @extschema@.cowrie_migration_log
    FOR EACH ROW EXECUTE FUNCTION cowrie_migrate_internal.cowrie_ledger_is_local();
ALTER TABLE @extschema@.cowrie_migration_log ENABLE REPLICA TRIGGER cowrie_ledger_is_local;
COMMENT ON TRIGGER cowrie_ledger_is_local ON @extschema@.cowrie_migration_log IS
    'ignores rows that arrive by logical replication: the ledger is about this database only';

-- With a pace, and a cut-over that can wait.
DROP PROCEDURE @extschema@.cowrie_migrate_v16_online(name, boolean, integer, interval);
CREATE PROCEDURE @extschema@.cowrie_migrate_v16_online(
    target_schema name DEFAULT NULL,
    repair boolean DEFAULT false,
    batch_size integer DEFAULT 10000,
    pause interval DEFAULT '0',
    target_batch interval DEFAULT '1 second',
    max_lag interval DEFAULT '30 seconds',
    max_wal bigint DEFAULT NULL,
    max_active integer DEFAULT NULL,
    cut_over text DEFAULT 'now'
)
    AS 'MODULE_PATHNAME' LANGUAGE C;
COMMENT ON PROCEDURE
    @extschema@.cowrie_migrate_v16_online(name, boolean, integer, interval, interval, interval, bigint, integer, text) IS
    'migrate from version 15 to 16 in many short transactions, while the application continues to write';

CREATE FUNCTION @extschema@.cowrie_pace(
    batch_size integer DEFAULT NULL,
    pause interval DEFAULT NULL,
    target_batch interval DEFAULT NULL,
    max_lag interval DEFAULT NULL,
    max_wal bigint DEFAULT NULL,
    max_active integer DEFAULT NULL
) RETURNS boolean
    AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION @extschema@.cowrie_pace(integer, interval, interval, interval, bigint, integer) IS
    'change the pace of the running online migration; NULL leaves a value unchanged; false: none is running';
CREATE FUNCTION @extschema@.cowrie_pause_migration() RETURNS boolean
    AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION @extschema@.cowrie_pause_migration() IS
    'ask the running online migration to pause after its batch, until it is resumed; false: none is running';
CREATE FUNCTION @extschema@.cowrie_resume_migration() RETURNS boolean
    AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION @extschema@.cowrie_resume_migration() IS
    'resume the online migration that is paused; false: none is paused';
CREATE FUNCTION @extschema@.cowrie_allow_cut_over() RETURNS boolean
    AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION @extschema@.cowrie_allow_cut_over() IS
    'let the running online migration cut over as soon as it can; false: none is running';

-- What a report tells of a run and nobody can find out afterwards.
ALTER TABLE @extschema@.cowrie_migration_log ADD COLUMN evidence jsonb;
COMMENT ON COLUMN @extschema@.cowrie_migration_log.evidence IS
    'of a run: its arguments and settings, and sizes and coverage before and after it';

CREATE FUNCTION @extschema@.cowrie_migration_report(
    format text DEFAULT 'html',
    run_id bigint DEFAULT NULL,
    target_schema name DEFAULT NULL
) RETURNS text AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION @extschema@.cowrie_migration_report(text, bigint, name) IS
    'the evidence of the latest or a named run as one page, HTML or Markdown; changes nothing';

-- Schema version 17 -------------------------------------------------------------------------------------

-- What migrates to it, and what looks at it before and after, has the arguments of version 16's: they are
-- declared there, and this comes after all changes to them.
DO $do$
DECLARE
    routine record;
BEGIN
    FOR routine IN
        SELECT p.pronamespace::regnamespace || '.' || replace(p.proname, '_v16', '_v17') AS name,
               replace(p.proname, '_v16', '_v17') AS symbol,
               CASE p.prokind WHEN 'p' THEN 'PROCEDURE' ELSE 'FUNCTION' END AS kind,
               pg_get_function_arguments(p.oid) AS arguments, pg_get_function_result(p.oid) AS result,
               oidvectortypes(p.proargtypes) AS types,
               replace(obj_description(p.oid, 'pg_proc'), 'version 15 to 16', 'version 15 or 16 to 17') AS comment
        FROM pg_extension AS e
        JOIN pg_depend AS d ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
            AND d.deptype = 'e' AND d.classid = 'pg_proc'::regclass
        JOIN pg_proc AS p ON p.oid = d.objid
        WHERE e.extname = 'cowrie_migrate'
          AND p.proname IN ('cowrie_migrate_v16', 'cowrie_migrate_v16_online', 'cowrie_preflight_v16',
              'cowrie_checkpoint_v16')
    LOOP
        EXECUTE 'CREATE ' || routine.kind || ' ' || routine.name || '(' || routine.arguments || ')'
            || COALESCE(' RETURNS ' || routine.result, '') || ' LANGUAGE C AS ''MODULE_PATHNAME'', '
            || quote_literal(routine.symbol);
        EXECUTE 'COMMENT ON ' || routine.kind || ' ' || routine.name || '(' || routine.types || ') IS '
            || quote_literal(routine.comment);
    END LOOP;
END
$do$;

CREATE FUNCTION @extschema@.cowrie_cleanup_v17(
    target_schema name DEFAULT NULL,
    dry_run boolean DEFAULT false,
    force boolean DEFAULT false
) RETURNS SETOF @extschema@.cowrie_step
    AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION @extschema@.cowrie_cleanup_v17(name, boolean, boolean) IS
    'return the schema to version 16';

COMMENT ON FUNCTION @extschema@.cowrie_validate_schema(name, integer) IS
    'compare the schema with the declaration of a version, 16 unless another is named; no row means complete';

-- Comments in the words of PostgreSQL's manual.
COMMENT ON COLUMN @extschema@.cowrie_step.step IS 'what is done, usually the object that is created';
COMMENT ON COLUMN @extschema@.cowrie_step.elapsed IS 'how long it took, in whole milliseconds; NULL in a plan';
COMMENT ON COLUMN @extschema@.cowrie_step.detail IS 'further facts; in a plan, the lock and the size';
COMMENT ON COLUMN @extschema@.cowrie_finding.actual IS 'what exists';
COMMENT ON COLUMN @extschema@.cowrie_finding.loses_data IS
    'true: the remedy changes or deletes data, so repair does not apply it';
COMMENT ON COLUMN @extschema@.cowrie_hazard.hazard IS 'what it is; for a blocker, the message of the error';
COMMENT ON COLUMN @extschema@.cowrie_criterion.detail IS 'further facts';
COMMENT ON COLUMN @extschema@.cowrie_migration_log.started_at IS 'start of the step, phase or run';
COMMENT ON COLUMN @extschema@.cowrie_migration_log.finished_at IS 'end of the step, phase or run';
COMMENT ON COLUMN @extschema@.cowrie_migration_log.elapsed IS 'how long it took, in whole milliseconds';
COMMENT ON COLUMN @extschema@.cowrie_migration_log.detail IS 'further facts';
COMMENT ON COLUMN @extschema@.cowrie_migration_log.resume IS
    'what the next call of an online migration needs to resume';
COMMENT ON TYPE cowrie_migrate_internal.cowrie_staged IS
    'internal: facts of a document that the inventories need in addition to the session columns';
COMMENT ON FUNCTION cowrie_migrate_internal.cowrie_online_change() IS
    'internal: trigger that exists only during an online migration; fills and records changed sessions';
COMMENT ON FUNCTION @extschema@.cowrie_cleanup_v16(name, integer, boolean, boolean) IS
    'return the schema to version 15, or to the end of a phase of the migration';
