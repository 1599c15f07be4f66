-- The way back: to version 15, to the end of each phase, and what it refuses to destroy.
\getenv abs_srcdir PG_ABS_SRCDIR
\set v15 :abs_srcdir '/test/fixtures/v15.sql'
\set sessions :abs_srcdir '/test/fixtures/sessions.sql'
\set refusal :abs_srcdir '/test/fixtures/refusal.sql'
CREATE EXTENSION cowrie_migrate;
\set ECHO none
\set schema app
\set n 200
SET client_min_messages = warning;
\i :refusal
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
SELECT phase, step, status, rows, regexp_replace(detail, '\d+ bytes', 'N bytes')
FROM cowrie_cleanup_v16(dry_run => true);
SELECT count(*) FROM cowrie_validate_schema();

-- To the end of each phase: what is missing afterwards, where the next call resumes, what it gives.
\set to_phase 4
SELECT phase, step, status, detail FROM cowrie_cleanup_v16(to_phase => :to_phase);
SELECT * FROM schema_state ORDER BY key;
SELECT object_type, object_name, problem, actual FROM cowrie_validate_schema();
SELECT min(phase) FROM cowrie_migrate_v16();
SELECT result() = :'uninterrupted';
\set to_phase 3
SELECT phase, step, status, detail FROM cowrie_cleanup_v16(to_phase => :to_phase);
SELECT object_type, object_name, problem, actual FROM cowrie_validate_schema();
SELECT min(phase) FROM cowrie_migrate_v16();
SELECT result() = :'uninterrupted';
\set to_phase 2
SELECT phase, step, status, detail FROM cowrie_cleanup_v16(to_phase => :to_phase);
SELECT object_type, object_name, problem, actual FROM cowrie_validate_schema();
SELECT min(phase) FROM cowrie_migrate_v16();
SELECT result() = :'uninterrupted';
\set to_phase 1
SELECT phase, step, status, detail FROM cowrie_cleanup_v16(to_phase => :to_phase);
SELECT object_type, object_name, problem, actual FROM cowrie_validate_schema();
SELECT min(phase) FROM cowrie_migrate_v16();
SELECT result() = :'uninterrupted';

-- To version 15; the second time there is nothing to do.
SELECT phase, step, status, detail FROM cowrie_cleanup_v16();
SELECT * FROM schema_state ORDER BY key;
SELECT * FROM cowrie_validate_schema(version => 15);
SELECT phase, step, status, detail FROM cowrie_cleanup_v16();
SELECT count(*) FROM cowrie_migrate_v16();
SELECT result() = :'uninterrupted';
SELECT mode, status, detail FROM public.cowrie_migration_log WHERE phase IS NULL ORDER BY log_id;

-- Other objects that depend on it, also those that DROP COLUMN takes along in silence.
CREATE VIEW hot_addresses AS SELECT ip_address FROM ip_inventory WHERE session_count > 10;
CREATE INDEX my_asn_and_country ON session_summaries (snapshot_asn, snapshot_country);
CREATE STATISTICS my_statistics ON snapshot_asn, snapshot_country FROM session_summaries;
ALTER TABLE session_summaries ADD CONSTRAINT my_check CHECK (snapshot_asn <> 666);
CREATE TABLE notes (ip varchar(45) REFERENCES ip_inventory);
SELECT refusal('SELECT * FROM cowrie_cleanup_v16()');
SELECT refusal('SELECT * FROM cowrie_cleanup_v16(force => true)');
DROP VIEW hot_addresses;
DROP INDEX my_asn_and_country;
DROP STATISTICS my_statistics;
ALTER TABLE session_summaries DROP CONSTRAINT my_check;
DROP TABLE notes;

-- Rows that cannot be rebuilt.
UPDATE ip_inventory SET enrichment_updated_at = now()
WHERE ip_address IN (SELECT ip_address FROM ip_inventory ORDER BY 1 LIMIT 3);
SELECT refusal('SELECT * FROM cowrie_cleanup_v16()');
SELECT count(*) FROM cowrie_validate_schema();

-- A later version.
UPDATE schema_state SET value = '17' WHERE key = 'schema_version';
SELECT status, detail FROM cowrie_migrate_v16();
SELECT refusal('SELECT * FROM cowrie_cleanup_v16()');
SELECT count(*) > 0 FROM cowrie_cleanup_v16(force => true);
SELECT * FROM cowrie_validate_schema(version => 15);

DROP SCHEMA app CASCADE;
DROP FUNCTION refusal;
DROP EXTENSION cowrie_migrate;
