# What users do to the tables of version 15, and how the catalog tells of it.
package Pieces;

use strict;
use warnings;

my $returns_null = 'RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$';
my $returns_new = 'RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$';

# By name: SQL, run as the owner of the tables unless it begins with "superuser: ".
our %pieces = (
	# indexes
	'expression index' => 'CREATE INDEX my_lower ON session_summaries (lower(matcher))',
	'partial index' => 'CREATE INDEX my_partial ON session_summaries (risk_score DESC NULLS LAST) WHERE vt_flagged',
	'gin index' => 'CREATE INDEX my_gin ON session_summaries USING gin ((source_files::jsonb) jsonb_path_ops)',
	'unique index' => 'CREATE UNIQUE INDEX my_unique ON session_summaries (session_id, created_at) INCLUDE (matcher)',
	'hash index' => 'CREATE INDEX my_hash ON session_summaries USING hash (matcher)',
	'brin index' => 'CREATE INDEX my_brin ON session_summaries USING brin (created_at) WITH (pages_per_range = 4)',
	'collated index' => 'CREATE INDEX my_collated ON session_summaries (matcher COLLATE "C" text_pattern_ops)',
	'clustered' => 'CLUSTER session_summaries USING ix_session_summaries_first_event',
	'function index' => 'CREATE FUNCTION twice(n integer) RETURNS integer IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN RETURN n * 2; END $$;'
	  . 'CREATE INDEX my_twice ON session_summaries (twice(event_count))',
	'unqualified function' => 'CREATE FUNCTION keys() RETURNS bigint IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT count(*) FROM schema_state); END $$;'
	  . 'CREATE INDEX my_keys ON session_summaries ((event_count + keys()))',
	# constraints
	'check' => 'ALTER TABLE session_summaries ADD CONSTRAINT my_check CHECK (event_count >= 0)',
	'violated check' => 'ALTER TABLE session_summaries ADD CONSTRAINT my_violated CHECK (event_count > 1000000) NOT VALID',
	'not valid check' => 'ALTER TABLE session_summaries ADD CONSTRAINT my_not_valid CHECK (event_count >= 0) NOT VALID',
	'foreign key from outside' => 'CREATE TABLE notes (session_id varchar(64) REFERENCES session_summaries ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED);'
	  . 'INSERT INTO notes SELECT session_id FROM session_summaries LIMIT 5',
	'foreign key to outside' => 'CREATE TABLE matchers (name varchar(32) PRIMARY KEY); INSERT INTO matchers SELECT DISTINCT matcher FROM session_summaries WHERE matcher IS NOT NULL;'
	  . 'ALTER TABLE session_summaries ADD CONSTRAINT my_matcher FOREIGN KEY (matcher) REFERENCES matchers DEFERRABLE INITIALLY DEFERRED',
	'deferrable unique' => 'ALTER TABLE session_summaries ADD CONSTRAINT my_deferred UNIQUE (session_id, updated_at) DEFERRABLE INITIALLY DEFERRED',
	'exclusion' => q{ALTER TABLE session_summaries ADD COLUMN my_range int4range; ALTER TABLE session_summaries ADD CONSTRAINT my_exclusion EXCLUDE USING gist (my_range WITH &&)},
	# triggers
	'after update trigger' => "CREATE FUNCTION t1() $returns_null; CREATE TRIGGER my_after AFTER UPDATE ON session_summaries FOR EACH ROW EXECUTE FUNCTION t1()",
	'before update trigger' => "CREATE FUNCTION t2() $returns_new; CREATE TRIGGER my_before BEFORE UPDATE ON session_summaries FOR EACH ROW EXECUTE FUNCTION t2()",
	'before insert trigger' => "CREATE FUNCTION t3() $returns_new; CREATE TRIGGER my_insert BEFORE INSERT ON session_summaries FOR EACH ROW EXECUTE FUNCTION t3()",
	'statement trigger' => "CREATE FUNCTION t4() $returns_null; CREATE TRIGGER my_statement AFTER UPDATE ON session_summaries REFERENCING NEW TABLE AS n EXECUTE FUNCTION t4()",
	'truncate trigger' => "CREATE FUNCTION t5() $returns_null; CREATE TRIGGER my_truncate BEFORE TRUNCATE ON session_summaries EXECUTE FUNCTION t5()",
	'deferred trigger' => "CREATE FUNCTION t6() $returns_null; CREATE CONSTRAINT TRIGGER my_later AFTER UPDATE ON session_summaries DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION t6()",
	'disabled trigger' => "CREATE FUNCTION t7() $returns_null; CREATE TRIGGER my_disabled AFTER UPDATE ON session_summaries FOR EACH ROW EXECUTE FUNCTION t7(); ALTER TABLE session_summaries DISABLE TRIGGER my_disabled",
	'always trigger' => "CREATE FUNCTION t8() $returns_null; CREATE TRIGGER my_always AFTER INSERT OR DELETE ON session_summaries FOR EACH ROW WHEN (true) EXECUTE FUNCTION t8(); ALTER TABLE session_summaries ENABLE ALWAYS TRIGGER my_always",
	'trigger of a column' => "CREATE FUNCTION t9() $returns_null; CREATE TRIGGER my_column AFTER UPDATE OF risk_score ON session_summaries FOR EACH ROW WHEN (OLD.risk_score IS DISTINCT FROM NEW.risk_score) EXECUTE FUNCTION t9()",
	'trigger of raw events' => "CREATE FUNCTION t10() $returns_new; CREATE TRIGGER my_events BEFORE INSERT OR UPDATE ON raw_events FOR EACH ROW EXECUTE FUNCTION t10()",
	'event trigger' => 'superuser: CREATE FUNCTION e1() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM * FROM pg_event_trigger_ddl_commands(); END $$; CREATE EVENT TRIGGER my_ddl ON ddl_command_end EXECUTE FUNCTION e1()',
	'rewrite event trigger' => 'superuser: CREATE FUNCTION e2() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN END $$; CREATE EVENT TRIGGER my_rewrite ON table_rewrite EXECUTE FUNCTION e2()',
	'disabled rule' => 'CREATE RULE my_rule AS ON UPDATE TO session_summaries WHERE OLD.risk_score < 0 DO INSTEAD NOTHING; ALTER TABLE session_summaries DISABLE RULE my_rule',
	'rule' => 'CREATE RULE my_instead AS ON UPDATE TO session_summaries WHERE OLD.risk_score < 0 DO INSTEAD NOTHING',
	# statistics, grants, comments
	'statistics' => 'CREATE STATISTICS my_stat (ndistinct, mcv) ON matcher, risk_score FROM session_summaries; ALTER STATISTICS my_stat SET STATISTICS 50',
	'expression statistics' => 'CREATE STATISTICS my_expr ON lower(matcher) FROM session_summaries; ANALYZE session_summaries',
	'column statistics' => 'ALTER TABLE session_summaries ALTER COLUMN matcher SET STATISTICS 500, ALTER COLUMN risk_score SET (n_distinct = -0.1)',
	'grants' => 'GRANT SELECT, UPDATE (risk_score) ON session_summaries TO analyst WITH GRANT OPTION; GRANT SELECT ON raw_events TO PUBLIC',
	'default privileges' => 'ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO analyst',
	'comments' => q{COMMENT ON TABLE session_summaries IS 'ours'; COMMENT ON COLUMN session_summaries.matcher IS 'whose?'; COMMENT ON INDEX ix_session_summaries_flags IS 'slow'},
	'row security' => 'ALTER TABLE session_summaries ENABLE ROW LEVEL SECURITY; CREATE POLICY my_policy ON session_summaries TO analyst USING (NOT vt_flagged)',
	'forced row security' => 'ALTER TABLE session_summaries ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY',
	# what looks at the tables
	'view' => 'CREATE VIEW my_view WITH (security_barrier) AS SELECT * FROM session_summaries WHERE vt_flagged',
	'materialized view' => 'CREATE MATERIALIZED VIEW my_matview AS SELECT matcher, count(*) FROM session_summaries GROUP BY 1; CREATE UNIQUE INDEX ON my_matview (matcher)',
	'function of the row' => 'CREATE FUNCTION label(s session_summaries) RETURNS text LANGUAGE sql AS $$ SELECT s.session_id || s.matcher $$',
	'row type' => 'CREATE TABLE old_rows (id serial, r session_summaries); INSERT INTO old_rows (r) SELECT s FROM session_summaries AS s LIMIT 3',
	'publication' => 'superuser: CREATE PUBLICATION my_pub FOR TABLE raw_events, session_summaries',
	'filtered publication' => 'superuser: CREATE PUBLICATION my_filtered FOR TABLE session_summaries (session_id, enrichment) WHERE (session_id > $$x$$)',
	# inheritance and partitions
	'child' => 'CREATE TABLE my_child () INHERITS (session_summaries)',
	'partitioned raw events' => 'ALTER TABLE raw_events RENAME TO raw_events_old; CREATE TABLE raw_events (LIKE raw_events_old INCLUDING DEFAULTS) PARTITION BY RANGE (id);'
	  . 'CREATE TABLE raw_events_1 PARTITION OF raw_events FOR VALUES FROM (MINVALUE) TO (50); CREATE TABLE raw_events_2 PARTITION OF raw_events DEFAULT;'
	  . 'INSERT INTO raw_events SELECT * FROM raw_events_old; CREATE INDEX ON raw_events (session_id)',
	# columns and types
	'domain' => 'CREATE DOMAIN my_score AS integer CHECK (VALUE BETWEEN 0 AND 1000); ALTER TABLE session_summaries ADD COLUMN my_domain my_score DEFAULT 7',
	'collation' => q{CREATE COLLATION my_collation (provider = icu, locale = 'und', deterministic = false); ALTER TABLE session_summaries ADD COLUMN my_text text COLLATE my_collation DEFAULT 'x'},
	'odd types' => q{CREATE TYPE my_enum AS ENUM ('a', 'b'); CREATE TYPE my_pair AS (x integer, y text); ALTER TABLE session_summaries ADD COLUMN my_e my_enum[] DEFAULT '{a}', ADD COLUMN my_p my_pair, ADD COLUMN my_m money DEFAULT 1, ADD COLUMN my_b bit varying(9); UPDATE session_summaries SET my_p = ROW(1, repeat('y', 3000))},
	'generated column' => 'ALTER TABLE session_summaries ADD COLUMN my_total integer GENERATED ALWAYS AS (event_count + command_count) STORED',
	'identity column' => 'ALTER TABLE session_summaries ADD COLUMN my_id bigint GENERATED BY DEFAULT AS IDENTITY',
	'dropped column' => 'ALTER TABLE session_summaries ADD COLUMN my_gone text DEFAULT $$gone$$; UPDATE session_summaries SET my_gone = repeat(md5(session_id), 200); ALTER TABLE session_summaries DROP COLUMN my_gone',
	'not null column' => 'ALTER TABLE session_summaries ADD COLUMN my_tenant integer NOT NULL DEFAULT 1',
	# settings
	'fillfactor' => 'ALTER TABLE session_summaries SET (fillfactor = 70, autovacuum_enabled = off, toast_tuple_target = 1024)',
	'storage' => 'ALTER TABLE session_summaries ALTER COLUMN enrichment SET STORAGE EXTERNAL; UPDATE session_summaries SET enrichment = enrichment',
	'replica identity' => 'ALTER TABLE session_summaries REPLICA IDENTITY FULL',
	'settings of the database' => q{DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET datestyle = german', current_database()); EXECUTE format('ALTER DATABASE %I SET standard_conforming_strings = off', current_database()); EXECUTE format('ALTER DATABASE %I SET enable_seqscan = off', current_database()); EXECUTE format('ALTER DATABASE %I SET timezone = %L', current_database(), 'Asia/Kathmandu'); END $$},
	'counts are off' => q{superuser: DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET track_counts = off', current_database()); END $$},
	# schema_state
	'state without key' => 'ALTER TABLE schema_state DROP CONSTRAINT schema_state_pkey',
	'state with a deferrable key' => 'ALTER TABLE schema_state DROP CONSTRAINT schema_state_pkey; ALTER TABLE schema_state ADD CONSTRAINT my_key PRIMARY KEY (key) DEFERRABLE',
	'state with a unique index' => 'ALTER TABLE schema_state DROP CONSTRAINT schema_state_pkey; CREATE UNIQUE INDEX my_state ON schema_state (key)',
	'state with a check' => q{ALTER TABLE schema_state ADD CONSTRAINT my_whole CHECK (value ~ '^[0-9]+$')},
	'state with one column more' => 'ALTER TABLE schema_state ADD COLUMN my_at timestamptz NOT NULL DEFAULT now(), ADD COLUMN my_who text',
	'state with a trigger' => "CREATE FUNCTION t11() $returns_new; CREATE TRIGGER my_state BEFORE UPDATE ON schema_state FOR EACH ROW EXECUTE FUNCTION t11()",
	# names that the migration needs
	'taken name' => 'CREATE TABLE ip_inventory_pkey (id integer)',
);
our @names = sort keys %pieces;

# A line for each object of the schema: what it is, and everything that can be set of it. Of tables of
# version 16, and of what it adds, nothing.
our $catalog = q{
SET search_path = pg_catalog;
WITH tables AS (
  SELECT c.* FROM pg_class AS c WHERE c.relnamespace = 'public'::regnamespace
  AND c.relname !~ '^(asn_inventory|ip_inventory|ip_asn_history|cowrie_|asn_|idx_)'
  AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
)
SELECT concat_ws('|', 'table', relkind, relname, pg_get_userbyid(relowner), relacl, reloptions, relreplident,
  relrowsecurity, relforcerowsecurity, relispartition, obj_description(oid, 'pg_class'), pg_get_expr(relpartbound, oid))
  FROM tables
UNION ALL SELECT concat_ws('|', 'column', t.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
  a.attcollation::regcollation, a.attstattarget, a.attstorage, a.attcompression, a.attacl, a.attidentity, a.attgenerated,
  (SELECT string_agg(o, ',') FROM unnest(a.attoptions) AS o WHERE o LIKE 'n_distinct%'),
  pg_get_expr(d.adbin, d.adrelid), col_description(a.attrelid, a.attnum))
  FROM tables AS t JOIN pg_attribute AS a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
  LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
  WHERE a.attname NOT IN ('source_ip', 'enrichment_at', 'snapshot_asn', 'snapshot_country', 'snapshot_ip_type')
UNION ALL SELECT concat_ws('|', 'index', pg_get_indexdef(i.indexrelid), i.indisvalid, i.indisclustered, i.indisreplident,
  obj_description(i.indexrelid, 'pg_class'))
  FROM pg_index AS i JOIN tables AS t ON t.oid = i.indexrelid
UNION ALL SELECT concat_ws('|', 'constraint', t.relname, k.conname, pg_get_constraintdef(k.oid), k.convalidated, k.condeferred)
  FROM tables AS t JOIN pg_constraint AS k ON k.conrelid = t.oid
  WHERE k.conname NOT IN ('snapshot_country_iso', 'fk_session_source_ip')
UNION ALL SELECT concat_ws('|', 'trigger', pg_get_triggerdef(g.oid), g.tgenabled)
  FROM tables AS t JOIN pg_trigger AS g ON g.tgrelid = t.oid AND NOT g.tgisinternal
UNION ALL SELECT concat_ws('|', 'rule', replace(pg_get_ruledef(r.oid), E'\n', ' '), r.ev_enabled)
  FROM tables AS t JOIN pg_rewrite AS r ON r.ev_class = t.oid
UNION ALL SELECT concat_ws('|', 'statistics', pg_get_statisticsobjdef(oid), stxstattarget) FROM pg_statistic_ext
UNION ALL SELECT concat_ws('|', 'policy', polname, polcmd, polroles::regrole[], pg_get_expr(polqual, polrelid)) FROM pg_policy
UNION ALL SELECT concat_ws('|', 'parent', inhrelid::regclass, inhparent::regclass) FROM pg_inherits
UNION ALL SELECT concat_ws('|', 'publication', p.pubname, p.puballtables, p.pubupdate, r.prrelid::regclass, r.prattrs,
  pg_get_expr(r.prqual, r.prrelid)) FROM pg_publication AS p LEFT JOIN pg_publication_rel AS r ON r.prpubid = p.oid
UNION ALL SELECT concat_ws('|', 'event trigger', evtname, evtevent, evtenabled) FROM pg_event_trigger
UNION ALL SELECT concat_ws('|', 'routine', p.oid::regprocedure, md5(prosrc), proconfig, proacl) FROM pg_proc AS p
  WHERE pronamespace = 'public'::regnamespace AND p.proname !~ '^cowrie_'
UNION ALL SELECT concat_ws('|', 'default privileges', defaclobjtype, defaclacl) FROM pg_default_acl
UNION ALL SELECT concat_ws('|', 'settings', setconfig) FROM pg_db_role_setting
  WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())
ORDER BY 1};

1;
