/* cowrie_migrate 1.0 -> 1.1: the status view also tells the batch of an online run, who runs it and what
 * it said when it failed; the time that is left comes in whole seconds. */

-- complain if script is sourced in psql, rather than via ALTER EXTENSION
\echo Use "ALTER EXTENSION cowrie_migrate UPDATE TO '1.1'" to load this file. \quit

SET LOCAL search_path TO pg_catalog, pg_temp;

-- Made anew rather than replaced: a script of an extension takes over nothing that stands under a name.
-- Views over it are not dropped; while there are any, the server refuses the update and names them.
DROP VIEW @extschema@.cowrie_migration_status;
CREATE VIEW @extschema@.cowrie_migration_status AS
WITH progress AS (
    SELECT holder.pid AS holder_pid,
           pid.last_value AS last_pid,
           mode.last_value AS mode,
           phase.last_value AS phase,
           step.last_value AS step,
           done.last_value AS rows_done,
           total.last_value AS rows_total,
           -- Filling the sessions is most of the work; the other phases share the rest.
           CASE
               WHEN phase.last_value > 5 THEN 100
               WHEN phase.last_value <= 1 AND total.last_value = 0 THEN 0
               WHEN phase.last_value <= 1 THEN
                   60 * LEAST(done.last_value::numeric / total.last_value, 1)
               ELSE 40 + 10 * phase.last_value
           END AS percent,
           before.last_value AS rows_before,
           CASE WHEN total.last_value = 0 THEN 0
                ELSE 60 * LEAST(before.last_value::numeric / total.last_value, 1)
           END AS percent_before,
           batch.last_value AS batch,
           caller.last_value AS caller,
           to_timestamp(started.last_value / 1000000.0) AS started_at,
           to_timestamp(updated.last_value / 1000000.0) AS updated_at,
           started.last_value AS begun,
           state.last_value AS sqlstate,
           jsonb_strip_nulls(jsonb_build_object(
               'ip_invalid', NULLIF(r1.last_value, 0),
               'asn_invalid', NULLIF(r2.last_value, 0),
               'asn_out_of_range', NULLIF(r3.last_value, 0),
               'country_invalid', NULLIF(r4.last_value, 0),
               'enriched_at_invalid', NULLIF(r5.last_value, 0),
               'document_unparsable', NULLIF(r6.last_value, 0),
               'document_too_deep', NULLIF(r7.last_value, 0),
               'value_too_long', NULLIF(r8.last_value, 0))) AS rejects
    FROM @extschema@.cowrie_progress_pid AS pid,
         @extschema@.cowrie_progress_mode AS mode,
         @extschema@.cowrie_progress_phase AS phase,
         @extschema@.cowrie_progress_step AS step,
         @extschema@.cowrie_progress_rows_done AS done,
         @extschema@.cowrie_progress_rows_total AS total,
         @extschema@.cowrie_progress_rows_before AS before,
         @extschema@.cowrie_progress_batch AS batch,
         @extschema@.cowrie_progress_user AS caller,
         @extschema@.cowrie_progress_started_at AS started,
         @extschema@.cowrie_progress_updated_at AS updated,
         @extschema@.cowrie_progress_sqlstate AS state,
         @extschema@.cowrie_progress_ip_invalid AS r1,
         @extschema@.cowrie_progress_asn_invalid AS r2,
         @extschema@.cowrie_progress_asn_out_of_range AS r3,
         @extschema@.cowrie_progress_country_invalid AS r4,
         @extschema@.cowrie_progress_enriched_at_invalid AS r5,
         @extschema@.cowrie_progress_document_unparsable AS r6,
         @extschema@.cowrie_progress_document_too_deep AS r7,
         @extschema@.cowrie_progress_value_too_long AS r8
    LEFT JOIN LATERAL (
        -- Whoever holds the run lock runs: 1129273170 is "COWR" in ASCII.
        SELECT l.pid
        FROM pg_locks AS l
        WHERE l.locktype = 'advisory' AND l.granted
          AND l.classid = 1129273170::oid
          AND l.objid = 16::oid
          AND l.objsubid = 2
          AND l.database = (
              SELECT d.oid FROM pg_database AS d
              WHERE d.datname = current_database())
        LIMIT 1
    ) AS holder ON true
)
SELECT holder_pid IS NOT NULL AS running,
       COALESCE(holder_pid, NULLIF(last_pid, 0)::integer) AS pid,
       CASE WHEN begun = 0 THEN NULL WHEN mode = 1 THEN 'online' ELSE 'atomic' END AS mode,
       CASE WHEN begun = 0 THEN NULL ELSE LEAST(phase, 5)::integer END AS phase,
       CASE WHEN begun = 0 THEN NULL WHEN phase > 5 THEN 'finished'
            ELSE @extschema@.cowrie_step_name(step) END AS step,
       rows_done,
       rows_total,
       round(COALESCE(percent, 0), 1) AS percent,
       rpad(repeat('#', (COALESCE(percent, 0) / 5)::integer), 20, '.')
           AS progress_bar,
       round((rows_done - rows_before) / NULLIF(EXTRACT(epoch FROM updated_at - started_at), 0))
           AS rows_per_second,
       CASE WHEN holder_pid IS NOT NULL AND percent > percent_before AND percent < 100 THEN
           date_trunc('second', (updated_at - started_at)
               * ((100 - percent) / (percent - percent_before))::double precision) END AS eta,
       rejects,
       CASE WHEN begun = 0 THEN NULL ELSE started_at END AS started_at,
       CASE WHEN begun = 0 THEN NULL ELSE updated_at END AS updated_at,
       @extschema@.cowrie_sqlstate_text(sqlstate) AS last_sqlstate,
       NULLIF(batch, 0) AS batch,
       CASE WHEN begun = 0 THEN NULL ELSE pg_get_userbyid(caller::oid) END AS run_by,
       -- In the ledger only where the failure has left a row: not after a rollback.
       (SELECT l.message FROM @extschema@.cowrie_migration_log AS l
        WHERE l.phase IS NULL AND l.run_id = l.log_id
          AND l.finished_at >= progress.started_at
          AND l.sqlstate = @extschema@.cowrie_sqlstate_text(progress.sqlstate)
        ORDER BY l.log_id DESC LIMIT 1) AS last_message
FROM progress;
ALTER VIEW @extschema@.cowrie_migration_status OWNER TO @extowner@;
GRANT SELECT ON @extschema@.cowrie_migration_status TO PUBLIC;
COMMENT ON VIEW @extschema@.cowrie_migration_status IS
    'the running or latest migration, readable from any session while it runs and after it failed';

-- What \d+ shows of the columns that people read, and of the sequence of the ledger.
COMMENT ON SEQUENCE @extschema@.cowrie_migration_log_log_id_seq IS 'log_id of the ledger';
COMMENT ON COLUMN @extschema@.cowrie_step.phase IS '1 to 5; 0 before and after them';
COMMENT ON COLUMN @extschema@.cowrie_step.step IS 'what is done, mostly the object that is made';
COMMENT ON COLUMN @extschema@.cowrie_step.status IS 'planned, done, skipped, failed or rolled_back';
COMMENT ON COLUMN @extschema@.cowrie_step.rows IS
    'rows that were written or compared; in a plan, an estimate';
COMMENT ON COLUMN @extschema@.cowrie_step.elapsed IS 'how long it took';
COMMENT ON COLUMN @extschema@.cowrie_step.detail IS
    'what else is to be known; in a plan, the lock and the bytes';
COMMENT ON COLUMN @extschema@.cowrie_finding.severity IS 'error or warning';
COMMENT ON COLUMN @extschema@.cowrie_finding.object_type IS
    'table, column, index, constraint, version or data';
COMMENT ON COLUMN @extschema@.cowrie_finding.object_name IS 'the object; a column with its table';
COMMENT ON COLUMN @extschema@.cowrie_finding.problem IS 'missing, wrong or invalid';
COMMENT ON COLUMN @extschema@.cowrie_finding.expected IS 'what is declared';
COMMENT ON COLUMN @extschema@.cowrie_finding.actual IS 'what is there';
COMMENT ON COLUMN @extschema@.cowrie_finding.remedy IS 'the next command';
COMMENT ON COLUMN @extschema@.cowrie_finding.loses_data IS
    'true: the remedy decides about rows or values, so repair leaves it to you';
COMMENT ON COLUMN @extschema@.cowrie_facts.source_ip IS 'in canonical form';
COMMENT ON COLUMN @extschema@.cowrie_facts.asn IS 'of the first provider that has a usable one';
COMMENT ON COLUMN @extschema@.cowrie_facts.country IS 'two capital letters';
COMMENT ON COLUMN @extschema@.cowrie_facts.ip_type IS 'the strongest of ip_types';
COMMENT ON COLUMN @extschema@.cowrie_facts.ip_types IS 'all types that the document names';
COMMENT ON COLUMN @extschema@.cowrie_facts.organization IS 'name of the organization of the ASN';
COMMENT ON COLUMN @extschema@.cowrie_facts.registry IS 'regional internet registry, upper case';
COMMENT ON COLUMN @extschema@.cowrie_facts.is_scanner IS 'the document says so';
COMMENT ON COLUMN @extschema@.cowrie_facts.is_bogon IS 'the document says so';
COMMENT ON COLUMN @extschema@.cowrie_facts.enriched_at IS 'when the document was enriched';
COMMENT ON COLUMN @extschema@.cowrie_facts.rejects IS 'a reason for every value that cannot be used';
COMMENT ON COLUMN @extschema@.cowrie_hazard.severity IS 'blocker, warning or info';
COMMENT ON COLUMN @extschema@.cowrie_hazard.hazard IS 'what it is; for a blocker the words of the refusal';
COMMENT ON COLUMN @extschema@.cowrie_hazard.detail IS 'the facts';
COMMENT ON COLUMN @extschema@.cowrie_hazard.remedy IS 'the next command';
COMMENT ON COLUMN @extschema@.cowrie_criterion.criterion IS 'what is measured';
COMMENT ON COLUMN @extschema@.cowrie_criterion.passed IS 'whether it is within the target';
COMMENT ON COLUMN @extschema@.cowrie_criterion.measured IS 'the value';
COMMENT ON COLUMN @extschema@.cowrie_criterion.target IS 'the target';
COMMENT ON COLUMN @extschema@.cowrie_criterion.detail IS 'what to look at';
COMMENT ON COLUMN @extschema@.cowrie_migration_log.log_id IS 'order of the rows';
COMMENT ON COLUMN @extschema@.cowrie_migration_log.target_schema IS 'schema of session_summaries';
COMMENT ON COLUMN @extschema@.cowrie_migration_log.mode IS 'atomic, online or cleanup';
COMMENT ON COLUMN @extschema@.cowrie_migration_log.phase IS '1 to 5; NULL for the run itself';
COMMENT ON COLUMN @extschema@.cowrie_migration_log.step IS
    'NULL for the run itself and for a phase as a whole';
COMMENT ON COLUMN @extschema@.cowrie_migration_log.status IS 'of the step, phase or run';
COMMENT ON COLUMN @extschema@.cowrie_migration_log.rows IS 'rows that were written or compared';
COMMENT ON COLUMN @extschema@.cowrie_migration_log.started_at IS 'begin of the step, phase or run';
COMMENT ON COLUMN @extschema@.cowrie_migration_log.finished_at IS 'its end';
COMMENT ON COLUMN @extschema@.cowrie_migration_log.elapsed IS 'its duration';
COMMENT ON COLUMN @extschema@.cowrie_migration_log.detail IS 'what else is to be known';
COMMENT ON COLUMN @extschema@.cowrie_migration_log.sqlstate IS 'of the error';
COMMENT ON COLUMN @extschema@.cowrie_migration_log.message IS 'of the error';
COMMENT ON COLUMN @extschema@.cowrie_migration_log.position IS
    'the last place that the batches of an online run have filled, in the order in which they fill the sessions';
COMMENT ON COLUMN @extschema@.cowrie_migration_log.run_by IS 'the role that called';
COMMENT ON COLUMN @extschema@.cowrie_migration_log.extension_version IS 'the version that ran';
COMMENT ON COLUMN @extschema@.cowrie_migration_log.session_count IS 'sessions before the first change';
COMMENT ON COLUMN @extschema@.cowrie_migration_status.running IS 'whether a session holds the run lock';
COMMENT ON COLUMN @extschema@.cowrie_migration_status.pid IS 'of the running or latest run';
COMMENT ON COLUMN @extschema@.cowrie_migration_status.mode IS 'atomic or online';
COMMENT ON COLUMN @extschema@.cowrie_migration_status.phase IS '1 to 5; 0 before and after them';
COMMENT ON COLUMN @extschema@.cowrie_migration_status.step IS 'the step it is at, or was at when it ended';
COMMENT ON COLUMN @extschema@.cowrie_migration_status.rows_done IS 'sessions done';
COMMENT ON COLUMN @extschema@.cowrie_migration_status.rows_total IS 'sessions in all';
COMMENT ON COLUMN @extschema@.cowrie_migration_status.percent IS 'of the whole run';
COMMENT ON COLUMN @extschema@.cowrie_migration_status.progress_bar IS 'the same, to be looked at with \watch';
COMMENT ON COLUMN @extschema@.cowrie_migration_status.rows_per_second IS 'since it started';
COMMENT ON COLUMN @extschema@.cowrie_migration_status.eta IS 'the time that is left, by its own pace';
COMMENT ON COLUMN @extschema@.cowrie_migration_status.rejects IS
    'values that could not be used, counted by reason';
COMMENT ON COLUMN @extschema@.cowrie_migration_status.started_at IS 'begin of the run';
COMMENT ON COLUMN @extschema@.cowrie_migration_status.updated_at IS 'the last sign of life';
COMMENT ON COLUMN @extschema@.cowrie_migration_status.last_sqlstate IS
    'of the error with which the latest run ended; NULL: none';
COMMENT ON COLUMN @extschema@.cowrie_migration_status.batch IS 'number of the batch of an online run';
COMMENT ON COLUMN @extschema@.cowrie_migration_status.run_by IS 'the role that called';
COMMENT ON COLUMN @extschema@.cowrie_migration_status.last_message IS 'of the error, where the ledger has it';
