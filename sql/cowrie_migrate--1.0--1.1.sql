/* cowrie_migrate 1.0 -> 1.1: the status view also tells the batch of an online run, who runs it and what
 * it said when it failed; the time that is left comes in whole seconds. */

-- complain if script is sourced in psql, rather than via ALTER EXTENSION
\echo Use "ALTER EXTENSION cowrie_migrate UPDATE TO '1.1'" to load this file. \quit

SET LOCAL search_path TO pg_catalog, pg_temp;

-- OR REPLACE, so that views over it and privileges on it stay. Nobody can have planted it: the server
-- lets an extension replace its own objects only.
CREATE OR REPLACE VIEW @extschema@.cowrie_migration_status AS
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
