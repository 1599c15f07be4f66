-- The same work beside writers, in plain SQL: facts of all documents as in plain.sql, then UPDATE in
-- batches of 10,000 sessions in the order of the primary key, with a COMMIT each; inventories, keys and
-- indexes as in plain.sql. What is written meanwhile it misses; a failure it begins anew.
--
-- psql variables: tables and keys, as in plain.sql.

ALTER TABLE session_summaries ADD COLUMN source_ip varchar(45), ADD COLUMN enrichment_at timestamptz,
  ADD COLUMN snapshot_asn integer, ADD COLUMN snapshot_country varchar(2), ADD COLUMN snapshot_ip_type text;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
\ir plain_facts.sql
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
CREATE UNIQUE INDEX ON facts (session_id);

DO $fill$
DECLARE
  position varchar := '';
  last_of_batch varchar;
BEGIN
  LOOP
    SELECT max(session_id) INTO last_of_batch
    FROM (SELECT session_id FROM session_summaries WHERE session_id > position
          ORDER BY session_id LIMIT 10000) AS batch;
    EXIT WHEN last_of_batch IS NULL;
    UPDATE session_summaries AS s
    SET source_ip = f.source_ip, enrichment_at = f.enriched_at, snapshot_asn = f.asn,
        snapshot_country = f.country, snapshot_ip_type = f.ip_type
    FROM facts AS f
    WHERE f.session_id = s.session_id AND s.session_id > position AND s.session_id <= last_of_batch;
    COMMIT;
    position := last_of_batch;
  END LOOP;
END
$fill$;

\i :tables
\ir plain_inventories.sql
DROP TABLE facts;
\i :keys
ANALYZE session_summaries, asn_inventory, ip_inventory, ip_asn_history;
UPDATE schema_state SET value = '16' WHERE key = 'schema_version';
