-- Repair: what is missing or invalid is completed in place; rows and values that are there stay.
\getenv abs_srcdir PG_ABS_SRCDIR
\set begin :abs_srcdir '/test/fixtures/begin.sql'
\i :begin
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

-- The commands of the HINT work as they stand there.
DROP INDEX idx_asn_type;
SELECT DISTINCT 'SELECT count(*) > 0 FROM ' || command[1] FROM regexp_matches(
  refusal('SELECT * FROM cowrie_migrate_v16()'), 'SELECT \* FROM (cowrie[^;]*;)', 'g') AS command
ORDER BY 1 DESC \gexec
SELECT * FROM cowrie_validate_schema(version => 15);
SELECT count(*) FROM cowrie_migrate_v16();

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
SELECT count(*) > 0 FROM cowrie_cleanup_v16(force => true);
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

-- A column of another type whose values all fit is converted; one value that does not fit needs a
-- decision: refused with the finding, whose remedy works.
ALTER TABLE asn_inventory ALTER COLUMN organization_country TYPE text;
SELECT object_name, actual, remedy, loses_data FROM cowrie_validate_schema();
SELECT DISTINCT status FROM cowrie_migrate_v16(repair => true);
ALTER TABLE asn_inventory DROP CONSTRAINT organization_country_iso;
ALTER TABLE asn_inventory ALTER COLUMN organization_country TYPE text;
UPDATE asn_inventory SET organization_country = 'Germany'
WHERE asn_number = (SELECT min(asn_number) FROM asn_inventory);
SELECT object_name, actual, remedy, loses_data FROM cowrie_validate_schema();
SELECT refusal('SELECT * FROM cowrie_migrate_v16(repair => true)');
SELECT remedy FROM cowrie_validate_schema() WHERE loses_data \gexec
SELECT DISTINCT status FROM cowrie_migrate_v16(repair => true);
SELECT organization_country_replaced FROM asn_inventory WHERE organization_country_replaced = 'Germany';
SELECT * FROM cowrie_validate_schema();

-- Rows that violate a CHECK, keys that occur twice, keys that are missing.
ALTER TABLE session_summaries DROP CONSTRAINT snapshot_country_iso;
UPDATE session_summaries SET snapshot_country = 'us'
WHERE session_id = (SELECT min(session_id) FROM session_summaries);
ALTER TABLE ip_asn_history DROP CONSTRAINT ip_asn_history_pkey,
  ALTER COLUMN observed_at DROP NOT NULL;
INSERT INTO ip_asn_history SELECT * FROM ip_asn_history LIMIT 3;
INSERT INTO ip_asn_history VALUES ('192.0.2.1', 1, NULL, 'nobody');
SELECT object_name, actual, remedy, loses_data FROM cowrie_validate_schema();
SELECT refusal('SELECT * FROM cowrie_migrate_v16(repair => true)');
SELECT remedy FROM cowrie_validate_schema() WHERE loses_data \gexec
SELECT DISTINCT status FROM cowrie_migrate_v16(repair => true);
SELECT * FROM cowrie_validate_schema();

-- Two masks of one address cannot become one text; one mask can.
ALTER TABLE session_summaries DROP CONSTRAINT fk_session_source_ip;
ALTER TABLE ip_inventory ALTER COLUMN ip_address TYPE inet USING ip_address::inet;
INSERT INTO ip_inventory (ip_address, first_seen, last_seen)
VALUES ('192.0.2.9/24', now(), now()), ('192.0.2.9', now(), now()), ('192.0.2.77/24', now(), now());
SELECT object_name, actual, remedy, loses_data FROM cowrie_validate_schema() WHERE loses_data;
SELECT refusal('SELECT * FROM cowrie_migrate_v16(repair => true)');
SELECT remedy FROM cowrie_validate_schema() WHERE loses_data \gexec
SELECT DISTINCT status FROM cowrie_migrate_v16(repair => true);
SELECT ip_address FROM ip_inventory WHERE ip_address LIKE '192.0.2._%' ORDER BY 1;
SELECT * FROM cowrie_validate_schema();

-- Rows that have lost their key are kept in a table of their own.
ALTER TABLE ip_inventory DROP COLUMN ip_address CASCADE;
SELECT step, status, detail FROM cowrie_migrate_v16(repair => true) WHERE step LIKE '%set_aside%';
SELECT (SELECT count(*) FROM ip_inventory_set_aside) >= (SELECT count(*) FROM ip_inventory);
ALTER TABLE ip_inventory DROP COLUMN ip_address CASCADE;
SELECT refusal('SELECT * FROM cowrie_migrate_v16(repair => true)');
DROP TABLE ip_inventory_set_aside;
SELECT DISTINCT status FROM cowrie_migrate_v16(repair => true);
SELECT * FROM cowrie_validate_schema();

-- An object that has the name of an index is seen before anything changes.
DROP INDEX idx_asn_type;
CREATE SEQUENCE idx_asn_type;
SELECT refusal('SELECT * FROM cowrie_migrate_v16(repair => true)');
DROP SEQUENCE idx_asn_type;

-- A view on a column that must change is not for repair to drop; on one that stays it is no matter.
CREATE VIEW on_types AS SELECT ip_address, ip_types FROM ip_inventory;
CREATE VIEW on_sessions AS SELECT source_ip FROM session_summaries;
SELECT DISTINCT status FROM cowrie_migrate_v16(repair => true);
DELETE FROM schema_state WHERE key = 'schema_subphase';
UPDATE session_summaries SET snapshot_asn = NULL WHERE snapshot_asn % 2 = 0;
SELECT object_name, severity, actual FROM cowrie_validate_schema();
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN NEW.updated_at := 'infinity'; RETURN NEW; END $$;
CREATE TRIGGER touch BEFORE UPDATE ON session_summaries FOR EACH ROW EXECUTE FUNCTION touch();
SELECT step, status, rows > 0 FROM cowrie_migrate_v16(repair => true) WHERE phase = 1;
SELECT count(snapshot_asn) > 0, count(*) FILTER (WHERE updated_at = 'infinity'),
       (SELECT tgenabled FROM pg_trigger WHERE tgname = 'touch') FROM session_summaries;
ALTER TABLE ip_inventory ALTER COLUMN ip_types DROP EXPRESSION;
SELECT refusal('SELECT * FROM cowrie_migrate_v16(repair => true)');
DROP VIEW on_types;
UPDATE ip_inventory SET ip_types = '{HONEYPOT}'
WHERE ip_address = (SELECT min(ip_address COLLATE "C") FROM ip_inventory);
SELECT step, detail FROM cowrie_migrate_v16(repair => true) WHERE step LIKE 'repair%';
SELECT * FROM cowrie_validate_schema();

DROP SCHEMA app CASCADE;
DROP FUNCTION refusal;
DROP EXTENSION cowrie_migrate;
