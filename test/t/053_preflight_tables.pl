# Preflight, the tables: what hangs on them, privileges, documents. Each hazard is provoked for real and
# reported with its facts; its remedy, pasted, makes it go away. A blocker has the words of the
# migration's refusal, and what its hint says lets the migration run. Documents are counted as the
# migration that follows counts them.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use CowrieTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Preflight;
use Session;
use Test::More;

my $node = start_node(
	'tables',
	'autovacuum = off',
	'allow_in_place_tablespaces = on',
	has_pg_cron()
	? ("shared_preload_libraries = 'pg_cron'", "cron.database_name = 'app'", 'cron.use_background_workers = on')
	: (),
	'max_worker_processes = 20');
create_v15($node, 'app', owner => 'app_owner', n => 400);
$node->safe_psql('postgres', 'CREATE ROLE stranger LOGIN');
my $preflight = Preflight->new($node, 'app');
my $quiet = 'SET client_min_messages = error;';
my @owner = (user => 'app_owner');

sub rows { return $preflight->rows(@_) }
sub provoked { return $preflight->provoked(@_) }
sub gone { return $preflight->gone(@_) }
sub remedied { return $preflight->remedied(@_) }
sub same_as_refusal { return $preflight->same_as_refusal(@_) }
sub remedied_refusal { return $preflight->remedied_refusal(@_) }
sub remedied_by_migrating { return $preflight->remedied_by_migrating(@_) }
sub app { return $node->safe_psql('app', @_) }

foreach my $user ('postgres', 'app_owner')
{
	is($preflight->objections(user => $user), '', "$user: a healthy database has no blocker and no warning");
}

# What hangs on the tables ----------------------------------------------------------------------

{
	# An age like that of years: the limit is brought down to it.
	app(q{ALTER TABLE session_summaries SET (autovacuum_freeze_max_age = 100000);
CREATE TABLE burnt (n integer);
DO $$ BEGIN FOR i IN 1..91000 LOOP BEGIN INSERT INTO burnt VALUES (i); EXCEPTION WHEN division_by_zero THEN NULL; END; END LOOP; END $$;
DROP TABLE burnt});
	my $remedy = provoked('wraparound', 'warning',
		qr/public.session_summaries has an age of 9\d{4} transactions .* from 100000 and/);
	remedied('wraparound', $remedy);
	app('ALTER TABLE session_summaries RESET (autovacuum_freeze_max_age)');

	# Rows that a transaction and its subtransaction have locked together take a multixact each.
	app(q{ALTER TABLE session_summaries SET (autovacuum_multixact_freeze_max_age = 10000);
DO $$ BEGIN FOR i IN 1..9100 LOOP
  PERFORM FROM schema_state WHERE key = 'schema_version' FOR KEY SHARE;
  BEGIN PERFORM FROM schema_state WHERE key = 'schema_version' FOR UPDATE; EXCEPTION WHEN division_by_zero THEN NULL; END;
  COMMIT;
END LOOP; END $$});
	$remedy = provoked('wraparound', 'warning', qr/public.session_summaries .* and 9\d{3} multixacts; from \d+ and 10000 on/);
	remedied('wraparound', $remedy);
	app('ALTER TABLE session_summaries RESET (autovacuum_multixact_freeze_max_age)');
}
{
	app(q{ALTER ROLE app_owner SET statement_timeout = '2h'});
	my $remedy =
	  provoked('statement timeout', 'warning', qr/^statement_timeout is 2h in this session/,
		user => 'app_owner', rows => 2, fresh => 1);
	my @rows = rows('statement timeout', user => 'app_owner', before => $remedy, fresh => 1);
	is(join(' ', map { $_->[0] } @rows), 'info', 'statement timeout: no warning after its remedy');
	like($rows[0][1], qr/^statement_timeout=2h is set for role app_owner$/, 'but known of the role');
	app(q{ALTER ROLE app_owner RESET statement_timeout; ALTER ROLE ALL IN DATABASE app SET statement_timeout = '1h'});
	like((rows('statement timeout', before => 'SET statement_timeout = 0'))[0][1],
		qr/^statement_timeout=1h is set for every role in this database$/, 'or of the database');
	app('ALTER ROLE ALL IN DATABASE app RESET statement_timeout');
	gone('statement timeout', user => 'app_owner', fresh => 1);
}
{
	app(q{CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RETURN NEW; END $$;
CREATE TRIGGER "my trigger" BEFORE UPDATE ON session_summaries FOR EACH ROW EXECUTE FUNCTION noted();
CREATE TRIGGER on_state BEFORE UPDATE ON schema_state FOR EACH ROW EXECUTE FUNCTION noted()});
	remedied_refusal('triggers on "public"."schema_state" would fire for what the migration writes',
		'ALTER TABLE "public"."schema_state" DISABLE TRIGGER on_state');
	app('ALTER TABLE schema_state ENABLE TRIGGER on_state');
	$preflight->no_blocker('triggers on "public"."schema_state" would fire for what the migration writes',
		before => q{SET cowrie_migrate.harmless_triggers = 'on_state'});
	app('DROP TRIGGER on_state ON schema_state');
	my $remedy = provoked('trigger', 'warning',
		qr/"my trigger" on public.session_summaries .* the rewrite fires no triggers/);
	provoked('online migration', 'warning',
		qr/^triggers or rules on session_summaries would fire for every batch: trigger "my trigger"$/);
	$preflight->pasted('online migration');
	remedied('trigger', $remedy);
	gone('online migration');
	app('DROP FUNCTION noted CASCADE');
}
{
	app(q{CREATE FUNCTION watched() RETURNS event_trigger LANGUAGE plpgsql AS
$$ BEGIN NULL; END $$;
CREATE EVENT TRIGGER watching ON table_rewrite EXECUTE FUNCTION watched()});
	my $remedy = provoked('event trigger', 'warning', qr/watching calls .*watched at table_rewrite/);
	remedied('event trigger', $remedy);
	app('DROP FUNCTION watched CASCADE');
}
{
	# Blockers: the remedy of each lets the migration begin, and all of them let it end.
	app(q{CREATE RULE swallow AS ON UPDATE TO schema_state DO INSTEAD NOTHING});
	remedied_refusal('rule "swallow" on "public"."schema_state" intercepts writes',
		'DROP RULE "swallow" ON "public"."schema_state"');
	app(q{CREATE RULE aside AS ON UPDATE TO session_summaries DO INSTEAD NOTHING});
	remedied_refusal('rule "aside" on "public"."session_summaries" intercepts writes',
		'ALTER TABLE "public"."session_summaries" DISABLE RULE "aside"');
	app(q{ALTER TABLE session_summaries ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY});
	remedied_refusal('row security on "public"."session_summaries" applies to role "app_owner"',
		'ALTER TABLE "public"."session_summaries" NO FORCE ROW LEVEL SECURITY');
	app(q{ALTER TABLE raw_events OWNER TO postgres; ALTER TABLE raw_events ENABLE ROW LEVEL SECURITY; GRANT SELECT ON raw_events TO app_owner});
	remedied_refusal('row security on "public"."raw_events" applies to role "app_owner"',
		'ALTER TABLE "public"."raw_events" OWNER TO "app_owner"');
	app(q{CREATE TABLE child () INHERITS (session_summaries)});
	remedied_refusal('"public"."session_summaries" takes part in inheritance',
		'ALTER TABLE public.child NO INHERIT public.session_summaries');
	app(q{CREATE TABLE whole (LIKE session_summaries) PARTITION BY LIST (session_id);
ALTER TABLE whole ATTACH PARTITION session_summaries DEFAULT});
	remedied_refusal('"public"."session_summaries" takes part in inheritance',
		'ALTER TABLE public.whole DETACH PARTITION public.session_summaries');
	app(qq{$quiet CREATE PUBLICATION sessions FOR TABLE session_summaries;
ALTER TABLE session_summaries REPLICA IDENTITY NOTHING});
	remedied_refusal('"public"."session_summaries" is published without a replica identity',
		'ALTER TABLE "public"."session_summaries" REPLICA IDENTITY DEFAULT');
	$preflight->migrates('with what still hangs on the tables');
	app(q{DROP PUBLICATION sessions; DROP TABLE child, whole; DROP RULE aside ON session_summaries;
ALTER TABLE raw_events DISABLE ROW LEVEL SECURITY});
}
{
	# Row-level security that does not hide anything from the owner.
	my $remedy = provoked('row-level security', 'warning',
		qr/the inventories will have its grants, but no policies/);
	like($remedy, qr/ALTER TABLE public.ip_inventory ENABLE ROW LEVEL SECURITY;/, 'row-level security: a remedy');
	app("$quiet SELECT count(*) FROM cowrie_migrate_v16(); $remedy");
	is(app(q{SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class
WHERE relrowsecurity AND relkind = 'r'}),
		'asn_inventory ip_asn_history ip_inventory session_summaries',
		'row-level security: the remedy covers the inventories after the migration');
	$preflight->pasted('row-level security');
	app("$quiet SELECT count(*) FROM cowrie_cleanup_v16(force => true);"
		  . ' ALTER TABLE session_summaries DISABLE ROW LEVEL SECURITY');
	gone('row-level security');
}
{
	# What the remedy of a view prints is its definition, to which the new columns can be added.
	app(q{CREATE VIEW "the view" AS SELECT session_id, enrichment FROM session_summaries;
CREATE MATERIALIZED VIEW counted AS SELECT count(*) FROM session_summaries});
	my %remedy = map { $_->[1] =~ /^view public\.(\S+|"the view") reads/ => $_->[2] } rows('view');
	provoked('view', 'info', qr/^view public\."?\w+/, rows => 2);
	app("$quiet SELECT count(*) FROM cowrie_migrate_v16()");
	my $definition = app($remedy{'"the view"'});
	like($remedy{'"the view"'}, qr/-- CREATE OR REPLACE it/, 'view: a remedy');
	app('CREATE OR REPLACE VIEW "the view" AS ' . $definition =~ s/\s+FROM /, session_summaries.source_ip FROM /r);
	cmp_ok(app('SELECT count(source_ip) FROM "the view"'), '>', 300, 'view: with its remedy it shows a new column');
	like($remedy{counted}, qr/-- DROP and CREATE it/, 'a materialized view is another matter');
	$definition = app($remedy{counted});
	app('DROP MATERIALIZED VIEW counted; CREATE MATERIALIZED VIEW counted AS '
		  . $definition =~ s/count\(\*\)/count(session_summaries.source_ip)/r);
	cmp_ok(app('SELECT count FROM counted'), '>', 300, 'view: the same with the materialized one');
	gone('view');
	app("DROP VIEW \"the view\"; DROP MATERIALIZED VIEW counted; $quiet SELECT count(*) FROM cowrie_cleanup_v16()");
	gone('view');
}
{
	app('CREATE INDEX some_index ON raw_events (ingest_at); DROP INDEX ix_raw_events_session_id');
	my ($no_ip) = (rows('sessions without source IP'))[0][1] =~ /^(\d+)/;
	my $remedy = provoked('raw_events without index', 'warning', qr/reads and sorts all of it/);
	remedied('raw_events without index', $remedy);
	my ($fewer) = (rows('sessions without source IP'))[0][1] =~ /^(\d+)/;
	cmp_ok($fewer, '<', $no_ip, 'with the index, raw events are looked up');
}

{
	app(q[CREATE TABLE kept AS SELECT session_id, enrichment FROM session_summaries;
UPDATE session_summaries SET enrichment = to_json(enrichment::text) WHERE event_count % 4 = 1 AND json_typeof(enrichment) = 'object' AND enrichment::text !~ 'u0000']);
	my $number = app(q[SELECT count(*) FROM session_summaries WHERE json_typeof(enrichment) = 'string' AND enrichment::text LIKE '"{%']);
	cmp_ok($number, '>', 10, 'documents encoded twice');
	my $remedy = provoked('documents encoded twice', 'warning', qr/^$number documents are JSON strings that contain JSON: /);
	# The migration counts them.
	my $unparsable = app("$quiet BEGIN; SELECT substring(detail from 'document_unparsable (\\d+)') FROM cowrie_migrate_v16() WHERE step = 'fill_columns'; ROLLBACK");
	cmp_ok($unparsable, '>=', $number, 'documents encoded twice: the migration counts them');
	remedied('documents encoded twice', $remedy);
	is(app('SELECT count(*) FROM session_summaries AS s JOIN kept AS k USING (session_id) WHERE s.enrichment::text IS DISTINCT FROM k.enrichment::text'), '0',
		'documents encoded twice: the remedy gives back what they were');
	app('DROP TABLE kept');
}

# Privileges ------------------------------------------------------------------------------------

{
	my $message = 'must be owner of "public"."session_summaries"';
	like($preflight->run(q{SELECT severity, hazard FROM cowrie_preflight_v16() WHERE severity = 'blocker'}, user => 'stranger'),
		qr/^blocker\|\Q$message\E$/m, 'a stranger is told so');
	like(same_as_refusal($message, user => 'stranger'), qr/or as a member of that role/, 'and how it can be done');
	app('GRANT app_owner TO stranger');
	is(scalar(rows($message, user => 'stranger', fresh => 1)), 0, "blocker gone: $message");
	app('REVOKE app_owner FROM stranger');

	app('REVOKE CREATE ON SCHEMA public FROM PUBLIC, app_owner, pg_database_owner');
	remedied_refusal('role "app_owner" cannot create tables in schema "public"',
		'GRANT USAGE, CREATE ON SCHEMA "public" TO "app_owner"');
	app('REVOKE SELECT ON raw_events FROM app_owner');
	remedied_refusal('role "app_owner" cannot read raw_events',
		'GRANT SELECT ON "public"."raw_events" TO "app_owner"');
	app('REVOKE UPDATE ON schema_state FROM app_owner');
	remedied_refusal('role "app_owner" lacks privileges on "public"."schema_state"',
		'GRANT UPDATE ON TABLE "public"."schema_state" TO "app_owner"');
	$node->safe_psql('postgres', q{CREATE TABLESPACE "my disk" LOCATION ''});
	remedied_refusal('role "app_owner" cannot create tables in tablespace "my disk"',
		'GRANT CREATE ON TABLESPACE "my disk" TO "app_owner"', before => q{SET default_tablespace = 'my disk'});
	app('ALTER TABLE schema_state OWNER TO stranger');
	remedied_refusal('"public"."schema_state" does not belong to the owner of session_summaries',
		'ALTER TABLE "public"."schema_state" OWNER TO "app_owner"');

	# Functions that the owner may not execute: the superuser is told.
	my @functions = (user => 'postgres');
	app('REVOKE EXECUTE ON FUNCTION cowrie_migrate_internal.cowrie_needs_event(json) FROM PUBLIC');
	remedied_refusal('role "app_owner" cannot execute the functions of the extension',
		'GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA "cowrie_migrate_internal" TO "app_owner"', @functions);
	app('GRANT EXECUTE ON FUNCTION cowrie_migrate_internal.cowrie_needs_event(json) TO PUBLIC');
	$preflight->migrates('with the privileges that were granted', before => q{SET default_tablespace = 'my disk'});

	# The owner's default is to write nothing, or to see the past.
	app('ALTER ROLE app_owner SET default_transaction_read_only = on');
	remedied_by_migrating('cannot migrate in a read-only transaction',
		'SET default_transaction_read_only = off; SELECT * FROM cowrie_migrate_v16();', fresh => 1);
	app('ALTER ROLE app_owner RESET default_transaction_read_only;'
		  . " ALTER ROLE app_owner SET default_transaction_isolation = 'repeatable read'");
	remedied_by_migrating('cannot migrate in a REPEATABLE READ or SERIALIZABLE transaction',
		'BEGIN ISOLATION LEVEL READ COMMITTED; SELECT * FROM cowrie_migrate_v16(); COMMIT;', fresh => 1);
	app('ALTER ROLE app_owner RESET default_transaction_isolation');
	# To look before one writes is allowed to a transaction that cannot write.
	is(app(q{BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SELECT count(*) FROM cowrie_preflight_v16() WHERE severity <> 'info'; COMMIT}),
		'0', 'preflight writes nothing: a read-only transaction may run it');
}

# What is there ---------------------------------------------------------------------------------

{
	foreach my $way ('SELECT * FROM cowrie_migrate_v16(repair => true);', 'SELECT * FROM cowrie_cleanup_v16();')
	{
		app('CREATE TABLE ip_inventory (ip_address varchar(45) PRIMARY KEY); ALTER TABLE ip_inventory OWNER TO app_owner');
		my $row = same_as_refusal('incomplete v16 schema detected', @owner);
		like($row, qr/HINT: .*\Q$way\E/, 'a half-built schema: two ways out');
		$preflight->run("$quiet $way", @owner, fresh => 1);
		is(scalar(rows('incomplete v16 schema detected', @owner)), 0, "blocker gone: $way");
		app("$quiet SELECT count(*) FROM cowrie_cleanup_v16(force => true)");
	}
	app('CREATE TABLE unrelated (n integer); CREATE INDEX idx_ip_geo_country ON unrelated (n)');
	remedied_refusal('relation "public"."idx_ip_geo_country" already exists',
		'ALTER TABLE "public"."idx_ip_geo_country" RENAME TO other_name');
	app('ALTER INDEX other_name RENAME TO other_index');
	app('CREATE TABLE cowrie_migrate_staging (n text)');
	remedied_refusal('relation "public"."cowrie_migrate_staging" already exists',
		'ALTER TABLE "public"."cowrie_migrate_staging" RENAME TO other_name');
	app('ALTER TABLE raw_events RENAME TO events; CREATE VIEW raw_events AS SELECT * FROM events');
	like(same_as_refusal('"public"."raw_events" is not an ordinary table', @owner), qr/HINT: .*rename it/, 'a view: rename it');
	app('ALTER VIEW raw_events RENAME TO other_view');
	$preflight->no_blocker('"public"."raw_events" is not an ordinary table');
	app('DROP VIEW other_view; ALTER TABLE events RENAME TO raw_events');

	app(q{UPDATE schema_state SET value = '14' WHERE key = 'schema_version'});
	like(same_as_refusal('schema version 14 is too old for this migration', @owner),
		qr/HINT: .*to version 15 with the application's own migrations/, 'an old version: the application migrates it');
	app(q{DELETE FROM schema_state WHERE key = 'schema_version'});
	remedied_refusal('the schema version of schema "public" is unknown',
		q{INSERT INTO "public"."schema_state" VALUES ('schema_version', '15');});
	$preflight->migrates('with what was renamed and recorded');
	app('DROP TABLE unrelated, other_name');
}

# Other databases: other kinds of tables.
{
	create_v15($node, 'other', owner => 'app_owner', n => 20, extension => 0);
	my $other = Preflight->new($node, 'other');
	$node->safe_psql('other', 'CREATE SCHEMA hidden; CREATE EXTENSION cowrie_migrate SCHEMA hidden;'
		  . 'REVOKE USAGE ON SCHEMA cowrie_migrate_internal FROM PUBLIC');
	my @there = (before => 'SET search_path = public, hidden', user => 'postgres');
	my $message = 'role "app_owner" cannot use the extension';
	my $row = $other->same_as_refusal($message, @there);
	my ($grant) = $row =~ /HINT:  Run (.*;)/;
	$node->safe_psql('other', "$grant GRANT USAGE ON SCHEMA hidden TO app_owner;");
	$other->no_blocker($message, @there);
	$other->remedied_by_migrating('table session_summaries does not exist',
		q{SELECT * FROM cowrie_migrate_v16(target_schema => 'public');}, before => 'SET search_path = hidden');
	$node->safe_psql('other', 'ALTER TABLE password_session_usage DROP CONSTRAINT fk_password_session_usage_session;'
		  . 'ALTER TABLE longtail_detection_sessions DROP CONSTRAINT fk_longtail_detection_sessions_session;'
		  . 'ALTER TABLE session_summaries SET UNLOGGED');
	$other->remedied_refusal('"public"."session_summaries" is not an ordinary permanent table',
		'ALTER TABLE "public"."session_summaries" SET LOGGED', @there);
	$node->safe_psql('other', 'ALTER TABLE session_summaries ALTER enrichment TYPE text');
	like($other->same_as_refusal('column enrichment of "public"."session_summaries" cannot be read', @there),
		qr/HINT: .*\\d "public"."session_summaries"/, 'a column of another type: look at it');
	$node->safe_psql('other', 'ALTER TABLE session_summaries ALTER enrichment TYPE json USING enrichment::json');
	$other->no_blocker('column enrichment of "public"."session_summaries" cannot be read', @there);
	$other->migrates('mended', @there);

	# Damage: a document of which a piece is gone. The remedy names the row.
	$node->safe_psql('other', q{INSERT INTO session_summaries (session_id, enrichment)
SELECT 'damaged', json_build_object('pad', string_agg(md5(i::text), '')) FROM generate_series(1, 500) AS i});
	my $toast = $node->safe_psql('other', q{SELECT reltoastrelid::regclass FROM pg_class WHERE oid = 'session_summaries'::regclass});
	$node->safe_psql('other',
		"CREATE EXTENSION pg_surgery; SELECT heap_force_kill('$toast', (SELECT array_agg(ctid) FROM $toast WHERE chunk_seq = 1))");
	my $remedy = $other->provoked('sessions cannot be read', 'warning', qr/^XX001: (missing|unexpected) chunk number/, @there);
	my ($block, $offset) = split /\|/, $node->safe_psql('other', $remedy);
	is($node->safe_psql('other', "SELECT session_id FROM session_summaries WHERE ctid = '($block,$offset)'"), 'damaged',
		'sessions cannot be read: its remedy names the row');
	$node->safe_psql('other', "UPDATE session_summaries SET enrichment = NULL WHERE ctid = '($block,$offset)'");
	$other->gone('sessions cannot be read', @there);
	$preflight->{reported}{'sessions cannot be read'} = $preflight->{remedied}{'sessions cannot be read'} = 1;
	$other->close;
}

# Documents -------------------------------------------------------------------------------------

{
	is($preflight->objections(@owner), '', 'healthy again');
	my %counts = map { split /\|/ } split /\n/, $preflight->run(
		q{SELECT hazard, substring(detail from '^\d+') FROM cowrie_preflight_v16() WHERE detail ~ 'values cannot be used'}, @owner);
	my %listed = map { split /\|/ } split /\n/,
	  app('SELECT reason, count(*) FROM cowrie_rejected_values(max_rows => NULL) GROUP BY 1');
	cmp_ok(scalar(keys %counts), '>=', 6, 'reject reasons: ' . join ', ', sort keys %counts);
	is_deeply(\%counts, \%listed, 'counts by reason are those of cowrie_rejected_values()');

	# The sessions it names are such sessions, and its remedy shows them.
	foreach my $reason (sort keys %counts)
	{
		my $remedy = provoked($reason, 'info', qr/^\d+ values cannot be used; .* in sessions /);
		my ($examples) = (rows($reason))[0][1] =~ /in sessions (.*)$/;
		is(app("SELECT count(DISTINCT session_id) FROM cowrie_rejected_values(max_rows => NULL)"
				  . " WHERE reason = '$reason' AND session_id IN ($examples)"), '3', "$reason: examples");
		is(scalar(split /\n/, app($remedy)), 100, "$reason: its remedy lists some");
		$preflight->pasted($reason);
	}
	provoked('documents with \u0000', 'info', qr/^\d+ documents contain \\u0000/);
	my ($nul) = (rows('documents with \u0000'))[0][1] =~ /^(\d+)/;
	is(app(q{SELECT count(*) FROM session_summaries WHERE enrichment::text ~ '(^|[^\\\\])(\\\\\\\\)*\\\\u0000'}), $nul,
		'documents with \u0000: as many as there are');
	my $find = provoked('sessions without source IP', 'info', qr/^\d+ sessions will have no source_ip/);
	my ($no_ip, $examples) = (rows('sessions without source IP'))[0][1] =~ /^(\d+) sessions .*Examples: (.*)$/;
	provoked('expected coverage', 'info', qr/^of 400 sessions .*; \d+ IPs\. Expected: ip_coverage/);
	my ($ips) = (rows('expected coverage'))[0][1] =~ /; (\d+) IPs/;
	provoked($_, 'info', qr/^about \d+ (?:bytes|kB|MB) /)
	  foreach ('space for tables', 'space for indexes', 'space for WAL', 'space for temporary files');
	provoked('free space', 'info', qr/^in one transaction: about \d+ (?:bytes|kB|MB) needed /, rows => 2);
	provoked('duration', 'info', qr/^about \d\d:\d\d:\d\d for 400 sessions/);
	provoked('server version', 'info', qr/^PostgreSQL \d+/);

	# What an online migration has left is its own.
	create_v15($node, 'unfinished', n => 50);
	$node->psql('unfinished',
		q{SET client_min_messages = error; SET cowrie_migrate.fail_at = '3.create_ip_inventory'; CALL cowrie_migrate_v16_online();});
	my $go_on = provoked('unfinished migration', 'info', qr/zz_cowrie_migrate_online/, database => 'unfinished');
	$node->safe_psql('unfinished', "SET client_min_messages = error; $go_on");
	gone('unfinished migration', database => 'unfinished');

	# A part: faster, and near.
	create_v15($node, 'sampled', n => 2000);
	my @there = (database => 'sampled', before => 'SET cowrie_migrate.preflight_sample = 500');
	my $all = provoked('sampled', 'info', qr/^\d{3} of about 2000 sessions were read/, @there);
	my ($about) = (rows('country_invalid', @there))[0][1] =~ /^(\d+)/;
	my ($exact) = (rows('country_invalid', database => 'sampled'))[0][1] =~ /^(\d+)/;
	cmp_ok(abs($about / $exact - 1), '<', 0.25, 'a sample gives about the same');
	gone('sampled', database => 'sampled', before => "SET cowrie_migrate.preflight_sample = 500; $all");

	SKIP:
	{
		if (!has_pg_cron())
		{
			$node->safe_psql('app', 'SELECT count(*) FROM cowrie_migrate_v16()', extra_params => [ '-U', 'app_owner' ]);
			skip 'pg_cron is not installed', 5;
		}
		# pg_cron's remedy is the command of a job: it is one, of the owner, and the migration that follows.
		provoked('pg_cron', 'info',
			qr/^pg_cron is loaded, installed in database app; its jobs run in background workers/);
		app('CREATE EXTENSION pg_cron; GRANT USAGE ON SCHEMA cron TO app_owner');
		provoked('pg_cron', 'info', qr/^pg_cron \d\S+; how its jobs run is not visible to you/, @owner);
		my $job = provoked('pg_cron', 'info', qr/^pg_cron \d\S+; its jobs run in background workers/);
		$node->safe_psql('app', "SELECT cron.schedule('migrate', '\@reboot', \$job\$$job\$job\$)",
			extra_params => [ '-U', 'app_owner' ]);
		$preflight->close;
		$node->restart;
		$node->poll_query_until('app', q{SELECT count(*) = 1 FROM cron.job_run_details WHERE status IN ('failed', 'succeeded')})
		  or die 'the job does not run';
		is(app('SELECT status FROM cron.job_run_details'), 'succeeded', 'pg_cron: its remedy, as a job');
		gone('pg_cron');
	}

	# It counts the same.
	my %done = map { split /\|/ } split /\n/, $preflight->run(
		q{SELECT j.key, j.value FROM cowrie_migration_log AS l, jsonb_each_text(l.rejects) AS j
WHERE l.log_id = (SELECT max(log_id) FROM cowrie_migration_log WHERE phase IS NULL)}, @owner);
	is_deeply(\%done, \%counts, 'counts by reason are those of the migration that follows');
	is(scalar(split /\n/, app($find)), $no_ip, 'as many sessions as foreseen have no source IP: its remedy lists them');
	$preflight->pasted('sessions without source IP');
	is(app("SELECT count(*) FROM session_summaries WHERE source_ip IS NULL AND session_id IN ($examples)"),
		'3', 'among them those that were named');
	is(app('SELECT count(*) FROM ip_inventory'), $ips, 'as many IPs as foreseen');
	provoked('nothing to do', 'info', qr/^schema version 16 is complete$/);
	is(scalar(rows(undef)), 1, 'nothing to do afterwards');
}

my %elsewhere = map { $_ => 1 } Preflight::hazards_of_server();
$elsewhere{pg_cron} = 1 unless has_pg_cron();
$elsewhere{'session_summaries without index'} = 1;    # of partitions: 111_partitions.pl
$preflight->nothing_left_out(grep { !$elsewhere{$_} } Preflight::all_hazards());
$preflight->close;
$node->stop;
done_testing();
