-- The way back: to version 15 and to the end of each phase, and forwards again.
\getenv abs_srcdir PG_ABS_SRCDIR
\set begin :abs_srcdir '/test/fixtures/begin.sql'
\i :begin
SET client_min_messages = error;
\i :v15
\i :sessions
\set ECHO all
\pset format unaligned
\pset tuples_only on
SET search_path = app, public;

SELECT count(*) FROM cowrie_migrate_v16();

-- Everything the migration made, without the times of making, as one hash.
CREATE FUNCTION result() RETURNS text LANGUAGE sql AS $$
  SELECT md5(concat(
    (SELECT string_agg(s::text, ',' ORDER BY session_id COLLATE "C") FROM session_summaries AS s),
    (SELECT string_agg((to_jsonb(i) - 'created_at' - 'updated_at')::text, ',' ORDER BY ip_address
                       COLLATE "C") FROM ip_inventory AS i),
    (SELECT string_agg((to_jsonb(a) - 'created_at' - 'updated_at')::text, ',' ORDER BY asn_number)
     FROM asn_inventory AS a),
    (SELECT string_agg(h::text, ',' ORDER BY ip_address COLLATE "C", observed_at, asn_number)
     FROM ip_asn_history AS h)))
$$;
SELECT result() AS uninterrupted \gset

-- A plan first: it writes nothing.
SELECT phase, step, status, rows, regexp_replace(detail, '\d+ (bytes|kB|MB)', 'N') AS detail
FROM cowrie_cleanup_v16(dry_run => true);
SELECT count(*) FROM cowrie_validate_schema();

-- To the end of each phase: what is missing afterwards, where the next call resumes, what it gives.
SELECT phase, step, status, detail FROM cowrie_cleanup_v16(to_phase => 5);
SELECT min(phase), min(status) FROM cowrie_migrate_v16();
\set to_phase 4
SELECT phase, step, status, rows, detail FROM cowrie_cleanup_v16(to_phase => :to_phase);
SELECT * FROM schema_state ORDER BY key;
SELECT object_type, object_name, problem, actual FROM cowrie_validate_schema();
SELECT status, detail FROM cowrie_cleanup_v16(to_phase => :to_phase);
SELECT min(phase) FROM cowrie_migrate_v16();
SELECT result() = :'uninterrupted';
\set to_phase 3
SELECT phase, step, status, rows, detail FROM cowrie_cleanup_v16(to_phase => :to_phase);
SELECT object_type, object_name, problem, actual FROM cowrie_validate_schema();
SELECT status, detail FROM cowrie_cleanup_v16(to_phase => :to_phase);
SELECT min(phase) FROM cowrie_migrate_v16();
SELECT result() = :'uninterrupted';
\set to_phase 2
SELECT phase, step, status, rows, detail FROM cowrie_cleanup_v16(to_phase => :to_phase);
SELECT object_type, object_name, problem, actual FROM cowrie_validate_schema();
SELECT status, detail FROM cowrie_cleanup_v16(to_phase => :to_phase);
SELECT min(phase) FROM cowrie_migrate_v16();
SELECT result() = :'uninterrupted';
\set to_phase 1
SELECT phase, step, status, rows, detail FROM cowrie_cleanup_v16(to_phase => :to_phase);
SELECT object_type, object_name, problem, actual FROM cowrie_validate_schema();
SELECT status, detail FROM cowrie_cleanup_v16(to_phase => :to_phase);
SELECT min(phase) FROM cowrie_migrate_v16();
SELECT result() = :'uninterrupted';

-- To version 15; the second time there is nothing to do.
SELECT phase, step, status, detail FROM cowrie_cleanup_v16();
SELECT * FROM schema_state ORDER BY key;
SELECT * FROM cowrie_validate_schema(version => 15);
SELECT phase, step, status, detail FROM cowrie_cleanup_v16();
SELECT count(*) FROM cowrie_migrate_v16();
SELECT result() = :'uninterrupted';

-- The ledger shows where each migration began.
SELECT r.mode, r.status, r.detail, min(s.phase) AS first_phase, max(s.phase) AS last_phase
FROM public.cowrie_migration_log AS r LEFT JOIN public.cowrie_migration_log AS s
  ON s.run_id = r.run_id AND s.step IS NOT NULL AND s.status = 'done'
WHERE r.phase IS NULL GROUP BY r.log_id ORDER BY r.log_id;

-- Half-built, from whatever state: what is there goes, and only that.
SELECT status FROM cowrie_migrate_v16(repair => true);
ALTER TABLE session_summaries DROP COLUMN snapshot_country, ADD COLUMN snapshot_ip_types text[];
DROP TABLE ip_asn_history;
ALTER TABLE session_summaries ADD CONSTRAINT another_key FOREIGN KEY (source_ip) REFERENCES ip_inventory;
CREATE INDEX another_name ON session_summaries (snapshot_asn);
CREATE INDEX my_own ON session_summaries USING brin (last_event_at);
SELECT phase, step, status, rows, detail FROM cowrie_cleanup_v16();
SELECT indexname FROM pg_indexes WHERE schemaname = 'app' AND tablename = 'session_summaries' ORDER BY 1;
SELECT * FROM cowrie_validate_schema(version => 15);

DROP SCHEMA app CASCADE;
DROP FUNCTION refusal;
DROP EXTENSION cowrie_migrate;
