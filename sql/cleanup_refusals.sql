-- What cleanup refuses to destroy: objects that depend on version 16, data that no migration can
-- derive again, and the ground that a later version builds on.
\getenv abs_srcdir PG_ABS_SRCDIR
\set begin :abs_srcdir '/test/fixtures/begin.sql'
\i :begin
\set n 400
SET client_min_messages = error;
\i :v15
\i :sessions
\set ECHO all
\pset format unaligned
\pset tuples_only on
SET search_path = app, public;
SELECT count(*) FROM cowrie_migrate_v16();

-- Everything there is, as one hash: definitions and rows.
CREATE FUNCTION state() RETURNS text LANGUAGE sql AS $$
  SELECT md5(concat(
    (SELECT string_agg(concat(attrelid::regclass, attname, atttypid, attnotnull), ',' ORDER BY attrelid, attnum)
     FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid WHERE relnamespace = 'app'::regnamespace),
    (SELECT string_agg(pg_get_constraintdef(oid), ',' ORDER BY oid) FROM pg_constraint
     WHERE connamespace = 'app'::regnamespace),
    (SELECT string_agg(concat(classid, objid, objsubid, refclassid, refobjid, refobjsubid), ','
                       ORDER BY classid, objid, objsubid, refclassid, refobjid, refobjsubid)
     FROM pg_depend WHERE objid >= 16384),
    (SELECT string_agg(s::text, ',' ORDER BY session_id COLLATE "C") FROM session_summaries AS s),
    (SELECT string_agg(i::text, ',' ORDER BY ip_address COLLATE "C") FROM ip_inventory AS i),
    (SELECT string_agg(a::text, ',' ORDER BY asn_number) FROM asn_inventory AS a),
    (SELECT string_agg(h::text, ',' ORDER BY h::text COLLATE "C") FROM ip_asn_history AS h),
    (SELECT string_agg(s::text, ',' ORDER BY key COLLATE "C") FROM schema_state AS s)))
$$;

-- Runs what a HINT says, one command after the other; the last one is the call once more.
CREATE FUNCTION follow_hint(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  hint text;
  command text;
BEGIN
  BEGIN
    EXECUTE statement;
  EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
  END;
  FOR command IN
    SELECT m[1] FROM regexp_matches(hint, '((?:DROP|ALTER|CREATE TABLE|SELECT \*)[^;]*);', 'g') AS m
  LOOP
    EXECUTE command;
  END LOOP;
  RETURN command;
END
$$;

---------------------------------------------------------------------------------------------------
-- Objects that depend on it
---------------------------------------------------------------------------------------------------

-- Those that DROP COLUMN takes along in silence, on the columns of the sessions.
CREATE INDEX my_index ON session_summaries (snapshot_asn, event_count);
CREATE INDEX my_partial_index ON session_summaries (event_count) WHERE snapshot_country = 'CN';
CREATE INDEX my_expression_index ON session_summaries (lower(snapshot_ip_type));
CREATE STATISTICS my_statistics ON snapshot_asn, snapshot_country FROM session_summaries;
ALTER TABLE session_summaries ADD CONSTRAINT my_check CHECK (snapshot_asn <> 666),
  ADD CONSTRAINT my_unique UNIQUE (session_id, snapshot_asn);
-- Those that stand in its way.
CREATE VIEW my_view AS SELECT snapshot_country, count(*) FROM session_summaries GROUP BY 1;
CREATE VIEW my_view_of_the_view AS SELECT * FROM my_view;
CREATE MATERIALIZED VIEW my_matview AS SELECT source_ip FROM session_summaries WITH NO DATA;
ALTER TABLE session_summaries ADD COLUMN my_column text GENERATED ALWAYS AS (snapshot_country) STORED;
CREATE INDEX my_index_of_my_column ON session_summaries (my_column);
CREATE FUNCTION my_trigger_function() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';
CREATE TRIGGER my_trigger BEFORE UPDATE OF source_ip ON session_summaries
  FOR EACH ROW EXECUTE FUNCTION my_trigger_function();
CREATE TRIGGER my_conditional_trigger BEFORE UPDATE ON session_summaries
  FOR EACH ROW WHEN (new.snapshot_asn > 5) EXECUTE FUNCTION my_trigger_function();
CREATE POLICY my_policy ON session_summaries USING (snapshot_country <> 'CN');
CREATE RULE my_rule AS ON UPDATE TO session_summaries WHERE new.source_ip = '' DO ALSO NOTHING;
CREATE PUBLICATION my_publication FOR TABLE session_summaries (session_id, snapshot_asn);
CREATE FUNCTION my_function() RETURNS bigint LANGUAGE sql
  BEGIN ATOMIC SELECT count(source_ip) FROM session_summaries; END;
-- What holds whole rows loses the columns, too.
CREATE TABLE my_rows (row_of session_summaries, rows_of session_summaries[]);
SELECT state() AS before \gset
SELECT refusal('SELECT * FROM cowrie_cleanup_v16()');
SELECT refusal('SELECT * FROM cowrie_cleanup_v16(force => true)')
     = refusal('SELECT * FROM cowrie_cleanup_v16()') AS force_changes_only_the_hint,
  refusal('SELECT * FROM cowrie_cleanup_v16(dry_run => true)') LIKE '2BP01%' AS a_dry_run_says_so,
  state() = :'before' AS nothing_changed;
-- All of these are about columns that a later phase keeps.
SELECT count(*) > 0 FROM cowrie_cleanup_v16(to_phase => 1);
SELECT follow_hint('SELECT * FROM cowrie_cleanup_v16()');
SELECT * FROM cowrie_validate_schema(version => 15);
SELECT count(*) FROM my_rows;
DROP TABLE my_rows;
SELECT count(*) > 0 FROM cowrie_migrate_v16();

-- The same on the inventories.
CREATE INDEX my_index ON ip_inventory (first_seen, last_seen);
CREATE INDEX my_gin_index ON ip_inventory USING gin (enrichment);
CREATE STATISTICS my_statistics ON geo_country, current_asn FROM ip_inventory;
ALTER TABLE asn_inventory ADD CONSTRAINT my_check CHECK (asn_number <> 666),
  ADD CONSTRAINT my_unique UNIQUE (organization_name, asn_number);
CREATE TABLE my_notes (ip varchar(45) REFERENCES ip_inventory, asn integer REFERENCES asn_inventory);
ALTER TABLE asn_inventory ADD COLUMN my_ip varchar(45) CONSTRAINT my_key REFERENCES ip_inventory;
CREATE VIEW my_view AS SELECT ip_address FROM ip_inventory WHERE session_count > 10;
CREATE VIEW my_view_of_a_group AS SELECT asn_number, organization_name, count(*) FROM asn_inventory
  JOIN ip_inventory ON current_asn = asn_number GROUP BY asn_number;
CREATE TRIGGER my_trigger BEFORE INSERT ON ip_asn_history
  FOR EACH ROW EXECUTE FUNCTION my_trigger_function();
CREATE POLICY my_policy ON asn_inventory USING (true);
CREATE RULE my_rule AS ON DELETE TO ip_asn_history DO INSTEAD NOTHING;
CREATE PUBLICATION my_other_publication FOR TABLE ip_inventory;
CREATE FUNCTION my_function_of_a_row(ip_inventory) RETURNS text LANGUAGE sql AS 'SELECT $1.ip_address';
CREATE DOMAIN my_domain AS ip_inventory;
CREATE TABLE my_rows (row_of my_domain, history ip_asn_history[]);
CREATE TABLE my_child () INHERITS (ip_inventory);
SELECT state() AS before \gset
SELECT refusal('SELECT * FROM cowrie_cleanup_v16()');
SELECT refusal('SELECT * FROM cowrie_cleanup_v16(to_phase => 3, force => true)');
SELECT state() = :'before' AS nothing_changed;
-- No argument drops a user's view.
SELECT to_phase, string_agg(DISTINCT left(answer, 11), ', ') AS answers, to_regclass('my_view') AS still_there
FROM generate_series(0, 5) AS to_phase, unnest('{false,true}'::text[]) AS force, unnest('{false,true}'::text[]) AS dry_run,
     LATERAL refusal(format('SELECT * FROM cowrie_cleanup_v16(NULL, %s, %s, %s)', to_phase, dry_run, force)) AS answer
GROUP BY to_phase ORDER BY to_phase;
SELECT follow_hint('SELECT * FROM cowrie_cleanup_v16(to_phase => 1)');
SELECT count(*) > 0 FROM cowrie_migrate_v16();
DROP TABLE my_rows, my_notes, my_child;

-- A body that merely names something is no dependency; it is worth a warning.
SET client_min_messages = warning;
CREATE FUNCTION my_plain_function() RETURNS bigint LANGUAGE plpgsql AS
  'BEGIN RETURN (SELECT count(*) FROM app.ip_inventory); END';
CREATE FUNCTION my_other_function() RETURNS bigint LANGUAGE sql AS 'SELECT 1 -- ip_inventory_too';
BEGIN;
SELECT count(*) > 0 FROM cowrie_cleanup_v16();
ROLLBACK;
SET client_min_messages = error;
DROP FUNCTION my_plain_function, my_other_function, my_trigger_function;
DROP PUBLICATION my_publication, my_other_publication;

---------------------------------------------------------------------------------------------------
-- Data that no migration can derive again
---------------------------------------------------------------------------------------------------

-- What a change makes cleanup refuse; the change is taken back.
CREATE FUNCTION lost_after(VARIADIC changes text[]) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  change text;
  message text;
  detail text;
BEGIN
  FOREACH change IN ARRAY changes LOOP
    EXECUTE change;
  END LOOP;
  PERFORM cowrie_cleanup_v16(dry_run => true);
  RAISE EXCEPTION USING MESSAGE = 'nothing';
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
  RETURN concat_ws(': ', nullif(message, 'cleanup would lose data that cannot be rebuilt'), nullif(detail, ''));
END
$$;
SELECT state() AS before \gset
-- One session, one address, one ASN to play with; they belong together, and have neighbours.
SELECT session_id AS sid, source_ip AS ip, snapshot_asn AS asn
FROM session_summaries JOIN ip_inventory ON ip_address = source_ip AND current_asn = snapshot_asn
WHERE snapshot_country IS NOT NULL AND snapshot_ip_type IS NOT NULL
ORDER BY session_count DESC, session_id COLLATE "C" LIMIT 1 \gset
SELECT asn_number AS other_asn FROM asn_inventory
WHERE asn_number NOT IN (SELECT snapshot_asn FROM session_summaries WHERE source_ip = :'ip' AND snapshot_asn IS NOT NULL)
ORDER BY 1 LIMIT 1 \gset
SELECT lost_after('SELECT 1') AS as_migrated;

-- The sessions' own columns.
SELECT lost_after(format('UPDATE session_summaries SET snapshot_asn = 1 WHERE session_id = %L', :'sid'));
SELECT lost_after(format('UPDATE session_summaries SET snapshot_country = ''ZZ'' WHERE session_id = %L', :'sid'));
SELECT lost_after(format('UPDATE session_summaries SET snapshot_ip_type = ''x'' WHERE session_id = %L', :'sid'));
SELECT lost_after(format('UPDATE session_summaries SET enrichment_at = now() WHERE session_id = %L', :'sid'));
SELECT lost_after('INSERT INTO ip_inventory (ip_address, first_seen, last_seen) VALUES (''192.0.2.77'', now(), now())',
  format('UPDATE session_summaries SET source_ip = ''192.0.2.77'' WHERE session_id = %L', :'sid'));
SELECT lost_after(format('UPDATE session_summaries SET enrichment = NULL WHERE session_id = %L', :'sid'));
-- An address that only raw events told is lost with them.
SELECT lost_after('DELETE FROM raw_events') LIKE 'session_summaries: % with values that their documents do not give%'
  AS lost_with_the_events;
SET cowrie_migrate.use_raw_events = off;
SELECT lost_after('SELECT 1') LIKE 'session_summaries: % with values that their documents do not give%' AS not_asked;
RESET cowrie_migrate.use_raw_events;
-- What has no value, or the value that will be derived, is no loss; nor is a look-up without index.
SELECT lost_after('UPDATE session_summaries SET snapshot_asn = NULL, enrichment_at = NULL');
SELECT lost_after('DROP INDEX ix_raw_events_session_id');
-- Sessions that came since, also such as tell newer things of known addresses.
SELECT lost_after(format($$INSERT INTO session_summaries (session_id, enrichment, first_event_at)
  VALUES ('later', '{"dshield": {"ip": {"number": "%s", "asn": 64999}}, "spur": [1, 2, 3, "VPN"]}', now())$$, :'ip'));
-- The column of older attempts.
SELECT lost_after('ALTER TABLE session_summaries ADD COLUMN snapshot_ip_types text[] DEFAULT ''{}''');
SELECT lost_after('ALTER TABLE session_summaries ADD COLUMN snapshot_ip_types text[]',
  'UPDATE session_summaries SET snapshot_ip_types = (cowrie_enrichment_facts(enrichment)).ip_types WHERE snapshot_ip_type IS NOT NULL');
SELECT lost_after('ALTER TABLE session_summaries ADD COLUMN snapshot_ip_types text[]',
  format('UPDATE session_summaries SET snapshot_ip_types = ''{x}'' WHERE session_id = %L', :'sid'));

-- ip_inventory.
SELECT lost_after(format('UPDATE ip_inventory SET enrichment_updated_at = now() WHERE ip_address = %L', :'ip'));
SELECT lost_after(format('UPDATE ip_inventory SET asn_last_verified = now() WHERE ip_address = %L', :'ip'));
SELECT lost_after(format('UPDATE ip_inventory SET enrichment_version = ''3'' WHERE ip_address = %L', :'ip'));
SELECT lost_after(format('UPDATE ip_inventory SET enrichment = enrichment || ''{"spur": 1}'' WHERE ip_address = %L', :'ip'));
SELECT lost_after(format('UPDATE ip_inventory SET current_asn = %s WHERE ip_address = %L', :'other_asn', :'ip'));
SELECT lost_after('INSERT INTO ip_inventory (ip_address, first_seen, last_seen) VALUES (''192.0.2.77'', now(), now())');
-- What is computed anew, from whichever session of the address, is no loss.
SELECT lost_after('UPDATE ip_inventory SET session_count = 9, first_seen = now(), updated_at = now()');
SELECT lost_after(format('UPDATE ip_inventory SET enrichment = ''{}'', current_asn = NULL WHERE ip_address = %L', :'ip'));
SELECT lost_after(format('UPDATE ip_inventory SET enrichment = cowrie_migrate_internal.cowrie_provider_data(s.enrichment, source_ip)
  FROM session_summaries AS s WHERE s.session_id = %L AND ip_address = source_ip', :'sid'));
SELECT lost_after('ALTER TABLE session_summaries DROP CONSTRAINT fk_session_source_ip',
  format('DELETE FROM ip_inventory WHERE ip_address = %L', :'ip'));
-- A column that ought to be generated and is plain may hold something else.
SELECT lost_after('ALTER TABLE ip_inventory DROP COLUMN ip_types', 'ALTER TABLE ip_inventory ADD COLUMN ip_types text[]',
  format('UPDATE ip_inventory SET ip_types = ''{x}'' WHERE ip_address = %L', :'ip'));
SELECT lost_after('ALTER TABLE ip_inventory DROP COLUMN ip_types', 'ALTER TABLE ip_inventory ADD COLUMN ip_types text[] DEFAULT ''{}''');

-- asn_inventory.
SELECT lost_after(format('UPDATE asn_inventory SET asn_type = ''HOSTING'' WHERE asn_number = %s', :'asn'));
SELECT lost_after(format('UPDATE asn_inventory SET is_known_vpn = true WHERE asn_number = %s', :'asn'));
SELECT lost_after(format('UPDATE asn_inventory SET organization_name = ''x'' WHERE asn_number = %s', :'asn'));
SELECT lost_after(format('UPDATE asn_inventory SET organization_country = ''ZZ'' WHERE asn_number = %s', :'asn'));
SELECT lost_after(format('UPDATE asn_inventory SET rir_registry = ''x'' WHERE asn_number = %s', :'asn'));
SELECT lost_after(format('UPDATE asn_inventory SET enrichment = ''{"a": 1}'' WHERE asn_number = %s', :'asn'));
SELECT lost_after('INSERT INTO asn_inventory (asn_number, first_seen, last_seen) VALUES (64998, now(), now())');
SELECT lost_after('UPDATE asn_inventory SET total_session_count = 0, organization_name = NULL, enrichment = ''{}''');

-- ip_asn_history.
SELECT lost_after(format('INSERT INTO ip_asn_history VALUES (%L, %s, now(), ''api'')', :'ip', :'asn'));
SELECT lost_after('UPDATE ip_asn_history SET verification_source = ''api'' WHERE ctid = ''(0,1)''');
SELECT lost_after('DELETE FROM ip_asn_history');

-- What somebody has added to the tables themselves; a default says nothing.
SELECT lost_after('ALTER TABLE ip_inventory ADD COLUMN my_note text, ADD COLUMN my_flag boolean DEFAULT false',
  format('UPDATE ip_inventory SET my_note = ''x'' WHERE ip_address = %L', :'ip'));
-- Other types are compared as repair would convert them; what cannot be compared counts.
SELECT lost_after('ALTER TABLE ip_asn_history ALTER COLUMN observed_at TYPE timestamp USING observed_at AT TIME ZONE ''UTC''');
SELECT lost_after('ALTER TABLE session_summaries DROP CONSTRAINT fk_session_source_ip',
  'ALTER TABLE session_summaries ALTER COLUMN source_ip TYPE inet USING source_ip::inet',
  'ALTER TABLE ip_inventory ALTER COLUMN ip_address TYPE inet USING ip_address::inet');
SELECT lost_after('ALTER TABLE ip_inventory DROP COLUMN geo_country, DROP COLUMN ip_types, DROP COLUMN is_scanner, DROP COLUMN is_bogon',
  'ALTER TABLE ip_inventory ALTER COLUMN enrichment DROP DEFAULT, ALTER COLUMN enrichment TYPE json');
SELECT lost_after('ALTER TABLE asn_inventory RENAME rir_registry TO registry', 'ALTER TABLE asn_inventory ALTER COLUMN registry TYPE text');
SELECT lost_after('ALTER TABLE asn_inventory RENAME rir_registry TO registry', 'ALTER TABLE asn_inventory ALTER COLUMN registry TYPE text',
  format('UPDATE asn_inventory SET registry = ''a longer name than fits'' WHERE asn_number = %s', :'asn'));
SELECT lost_after('ALTER TABLE ip_inventory DROP CONSTRAINT fk_ip_current_asn',
  'ALTER TABLE asn_inventory ALTER COLUMN asn_number TYPE bigint') ~ '^asn_inventory: \d+ rows that cannot be compared$';
SELECT lost_after('ALTER TABLE session_summaries ALTER COLUMN snapshot_asn TYPE bigint') ~ '^session_summaries: \d+ sessions with values';
-- Several at once, and what each table keeps to itself.
SELECT lost_after('UPDATE ip_inventory SET enrichment_updated_at = now() WHERE ip_address IN (SELECT ip_address FROM ip_inventory ORDER BY 1 LIMIT 3)',
  'INSERT INTO asn_inventory (asn_number, first_seen, last_seen) VALUES (64998, now(), now()), (64997, now(), now())');
SELECT state() = :'before' AS nothing_changed;

-- To the end of a phase only what that takes away counts.
UPDATE ip_inventory SET enrichment_updated_at = now() WHERE ip_address = :'ip';
UPDATE session_summaries SET snapshot_country = 'ZZ' WHERE session_id = :'sid';
SELECT count(*) > 0 FROM cowrie_cleanup_v16(to_phase => 3);
SELECT refusal('SELECT * FROM cowrie_cleanup_v16(to_phase => 2)');
SELECT follow_hint('SELECT * FROM cowrie_cleanup_v16(to_phase => 2)');
SELECT count(*) > 0 FROM cowrie_cleanup_v16(to_phase => 1);
SELECT refusal('SELECT * FROM cowrie_cleanup_v16()');
SET client_min_messages = warning;
SELECT follow_hint('SELECT * FROM cowrie_cleanup_v16()');
SET client_min_messages = error;
SELECT count(*) FROM saved_ip_inventory WHERE enrichment_updated_at IS NOT NULL;
SELECT count(*), count(*) FILTER (WHERE snapshot_country = 'ZZ') FROM saved_session_summaries;
SELECT step, detail FROM public.cowrie_migration_log WHERE detail LIKE 'lost:%' ORDER BY log_id;

-- What an earlier migration wrote is known by the ledger only. Without it everything counts.
SELECT count(*) > 0 FROM cowrie_migrate_v16();
DROP EXTENSION cowrie_migrate;
CREATE EXTENSION cowrie_migrate SCHEMA public;
SELECT refusal('SELECT * FROM cowrie_cleanup_v16(dry_run => true)');
SELECT phase, step, rows, regexp_replace(detail, '\d+ (bytes|kB|MB)', 'N') FROM cowrie_cleanup_v16(dry_run => true, force => true)
WHERE detail ~ 'lost';

---------------------------------------------------------------------------------------------------
-- A later version
---------------------------------------------------------------------------------------------------

UPDATE schema_state SET value = '17' WHERE key = 'schema_version';
SELECT status, detail FROM cowrie_migrate_v16();
SELECT status, detail FROM cowrie_cleanup_v16(to_phase => 5);
SELECT state() AS before \gset
SELECT refusal('SELECT * FROM cowrie_cleanup_v16()');
SELECT refusal('SELECT * FROM cowrie_cleanup_v16(to_phase => 3)');
SELECT state() = :'before' AS nothing_changed;
SELECT follow_hint('SELECT * FROM cowrie_cleanup_v16()');
SELECT * FROM cowrie_validate_schema(version => 15);
SELECT status, detail FROM cowrie_cleanup_v16();
SELECT refusal('SELECT * FROM cowrie_cleanup_v16(to_phase => 6)');

DROP SCHEMA app CASCADE;
DROP FUNCTION refusal;
DROP EXTENSION cowrie_migrate;
