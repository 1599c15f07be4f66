-- Repair: what is missing or invalid is completed in place; rows and values that are there stay.
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

-- Objects lost since: an index, a check, a generated column, a foreign key that was never validated.
DROP INDEX idx_asn_type;
ALTER TABLE session_summaries DROP CONSTRAINT snapshot_country_iso;
ALTER TABLE ip_inventory DROP COLUMN ip_types;
ALTER TABLE session_summaries DROP CONSTRAINT fk_session_source_ip;
ALTER TABLE session_summaries ADD CONSTRAINT another_name
  FOREIGN KEY (source_ip) REFERENCES ip_inventory NOT VALID;
ALTER TABLE asn_inventory ALTER COLUMN unique_ip_count DROP DEFAULT;
SELECT severity, object_type, object_name, problem, expected, actual, loses_data
FROM cowrie_validate_schema() WHERE object_name <> 'ip_inventory.ip_types';
SELECT refusal('SELECT * FROM cowrie_migrate_v16()');
SELECT DISTINCT status FROM cowrie_migrate_v16(repair => true);
SELECT * FROM cowrie_validate_schema();

-- Values that are there stay, also those that the documents do not give.
UPDATE session_summaries SET snapshot_country = 'ZZ'
WHERE session_id = (SELECT min(session_id) FROM session_summaries WHERE source_ip IS NOT NULL);
UPDATE ip_inventory SET session_count = 4711 WHERE ip_address = (SELECT min(ip_address) FROM ip_inventory);
DROP TABLE ip_asn_history;
SELECT DISTINCT status FROM cowrie_migrate_v16(repair => true);
SELECT count(*) FROM session_summaries WHERE snapshot_country = 'ZZ';
SELECT count(*) FROM ip_inventory WHERE session_count = 4711;
SELECT count(*) > 0 FROM ip_asn_history;
SELECT * FROM cowrie_validate_schema();

-- Version 16 recorded, nothing filled: columns without snapshots, empty inventories.
SELECT count(*) > 0 FROM cowrie_cleanup_v16();
ALTER TABLE session_summaries ADD COLUMN source_ip varchar(45), ADD COLUMN snapshot_asn integer;
UPDATE schema_state SET value = '16' WHERE key = 'schema_version';
SELECT refusal('SELECT * FROM cowrie_migrate_v16()');
SELECT DISTINCT status FROM cowrie_migrate_v16(repair => true);
SELECT count(source_ip) > 0, count(snapshot_asn) > 0 FROM session_summaries;
SELECT * FROM cowrie_validate_schema();
SELECT * FROM schema_state ORDER BY key;

-- A session that came after the migration is a warning, and repair fills it.
INSERT INTO session_summaries (session_id, enrichment, first_event_at) VALUES ('later',
  '{"dshield": {"ip": {"number": "198.51.100.250", "asn": 64998}}}', '2024-06-01 00:00:00+00');
SELECT severity, object_type, object_name, actual, remedy FROM cowrie_validate_schema();
SELECT status, detail FROM cowrie_migrate_v16();
SELECT DISTINCT status FROM cowrie_migrate_v16(repair => true);
SELECT source_ip, snapshot_asn FROM session_summaries WHERE session_id = 'later';
SELECT current_asn FROM ip_inventory WHERE ip_address = '198.51.100.250';
SELECT * FROM cowrie_validate_schema();
SELECT status, detail FROM cowrie_migrate_v16(repair => true);

-- What would need a decision about somebody's data is refused with the finding.
ALTER TABLE asn_inventory ALTER COLUMN organization_country TYPE text;
SELECT refusal('SELECT * FROM cowrie_migrate_v16(repair => true)');

DROP SCHEMA app CASCADE;
DROP FUNCTION refusal;
DROP EXTENSION cowrie_migrate;
