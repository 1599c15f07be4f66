-- The states in which production databases were found, each with its findings and the result of
-- repair. The states themselves are in test/fixtures/states.
\getenv abs_srcdir PG_ABS_SRCDIR
\set begin :abs_srcdir '/test/fixtures/begin.sql'
\i :begin
\pset format unaligned
\pset tuples_only on

-- Made by the ORM before any migration, empty.
\set state orm_empty
\i :state_script
\set ECHO queries
DROP SCHEMA app CASCADE;

-- Made by the ORM and filled by the application: 38,864 IPs that it has enriched.
\set state orm_filled
\i :state_script
\set ECHO queries
SELECT count(*) FILTER (WHERE geo_country = 'FR'), count(*) FILTER (WHERE 'VPN' = ANY (ip_types)),
       count(*) FILTER (WHERE is_scanner), count(*) FROM ip_inventory
WHERE enrichment_updated_at IS NOT NULL;
SELECT count(*) FROM ip_asn_history WHERE verification_source = 'application';
SELECT DISTINCT translate(enrichment ->> 'note', '0123456789', '') = U&'\FFFD ' FROM ip_inventory
WHERE enrichment ? 'note';
DROP SCHEMA app CASCADE;

-- Generated columns that a failed run never made.
\set state no_generated_columns
\i :state_script
\set ECHO queries
DROP SCHEMA app CASCADE;

-- A plain column where a generated one is declared; what differs is kept.
\set state plain_ip_types
\i :state_script
\set ECHO queries
SELECT ip_types_replaced FROM ip_inventory WHERE ip_types_replaced <> ip_types;
DROP SCHEMA app CASCADE;

-- Addresses as inet.
\set state inet_with_foreign_key
\i :state_script
\set ECHO queries
SELECT conname, convalidated, pg_get_constraintdef(oid) FROM pg_constraint
WHERE contype = 'f' AND confrelid = 'ip_inventory'::regclass ORDER BY 1;
DROP SCHEMA app CASCADE;
\set state inet_without_foreign_key
\i :state_script
\set ECHO queries
DROP SCHEMA app CASCADE;

-- A list of types per session; the strongest of it becomes the snapshot.
\set state list_of_types
\i :state_script
\set ECHO queries
SELECT snapshot_ip_type, snapshot_ip_types FROM session_summaries
WHERE cardinality(snapshot_ip_types) > 1;
SELECT count(*) FROM session_summaries
WHERE cardinality(snapshot_ip_types) = 1 AND snapshot_ip_type <> snapshot_ip_types[1];
DROP SCHEMA app CASCADE;

-- A column under its former name.
\set state registry_column
\i :state_script
\set ECHO queries
SELECT count(*) FROM asn_inventory WHERE rir_registry = 'OWN';
DROP SCHEMA app CASCADE;

-- Recorded and never filled.
\set state version16_empty_snapshots
\i :state_script
\set ECHO queries
DROP SCHEMA app CASCADE;
\set state version17_empty_snapshots
\i :state_script
\set ECHO queries
DROP SCHEMA app CASCADE;

-- Foreign keys that nobody validated.
\set state not_valid_foreign_keys
\i :state_script
\set ECHO queries
DROP SCHEMA app CASCADE;

-- What a cancelled CREATE INDEX CONCURRENTLY leaves: no rewrite to mend it.
\set state invalid_index
\i :state_script
\set ECHO queries
DROP SCHEMA app CASCADE;

-- Half of the work.
\set state half_filled
\i :state_script
\set ECHO queries
SELECT count(source_ip) > 150 FROM session_summaries;
DROP SCHEMA app CASCADE;

DROP FUNCTION refusal;
DROP EXTENSION cowrie_migrate;
