# Preflight: a healthy database has no blocker and no warning; each hazard is provoked for real and
# reported with its facts, and its remedy, pasted, makes it go away. Everything works for an owner who
# is no superuser.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use CowrieTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Session;
use Test::More;

# Archiving works at first; what it runs can be broken without a restart.
my $node = start_node(
	'preflight',
	'wal_level = logical',
	'max_prepared_transactions = 5',
	'max_replication_slots = 10',
	'max_wal_senders = 10',
	'autovacuum = off',
	'archive_mode = on',
	"archive_command = 'true'",
	"shared_preload_libraries = 'pg_cron'",
	"cron.database_name = 'app'",
	'cron.use_background_workers = on',
	'max_worker_processes = 20');
create_v15($node, 'app', owner => 'app_owner', n => 2000);
$node->safe_psql('postgres', 'CREATE ROLE stranger LOGIN');

# Rows of a hazard: [severity, detail, remedy]; all hazards without a name. Options: user, before
# (statements of the same session), database.
sub preflight
{
	my ($hazard, %options) = @_;
	my $database = $options{database} // 'app';
	my $before = $options{before} // '';
	my $condition = defined $hazard ? 'hazard = ' . quote_text($hazard) : 'true';
	my $out = $node->safe_psql($database, qq{$before;
SELECT severity || '|' || coalesce(replace(detail, E'\\n', ' '), '') || '|' || coalesce(remedy, '')
FROM cowrie_preflight_v16() WHERE $condition},
		extra_params => [ '-U', $options{user} // 'postgres' ]);
	return map { [ split /\|/, $_, 3 ] } split /\n/, $out;
}

# What speaks against migrating, a line each.
sub objections
{
	my ($user) = @_;
	return $node->safe_psql('app',
		q{SELECT severity, hazard, detail FROM cowrie_preflight_v16() WHERE severity <> 'info'},
		extra_params => [ '-U', $user ]);
}

# The one row of a hazard: its severity and facts; its remedy. Once the remedy is executed, there is no
# more than "left" of it.
sub provoked
{
	my ($hazard, $severity, $facts, %options) = @_;
	my @rows = preflight($hazard, %options);
	is(scalar(@rows), $options{rows} // 1, "$hazard: reported")
	  or diag(explain(\@rows));
	return unless @rows;
	my ($found_severity, $detail, $remedy) = @{ $rows[0] };
	is($found_severity, $severity, "$hazard: $severity");
	like($detail, $facts, "$hazard: its facts");
	return $remedy;
}

sub gone
{
	my ($hazard, %options) = @_;
	is(scalar(preflight($hazard, %options)), 0, "$hazard: gone after its remedy");
	return;
}

# As superuser, unless somebody else must run it.
sub remedied
{
	my ($hazard, $remedy, %options) = @_;
	like($remedy, qr/;/, "$hazard: a remedy that can be pasted");
	$node->safe_psql('app', $remedy);
	gone($hazard, %options);
	return;
}

# Healthy ---------------------------------------------------------------------------------------

my $before = data_hash($node, 'app') . schema_dump($node, 'app');
foreach my $user ('postgres', 'app_owner')
{
	is(objections($user), '', "$user: a healthy database has no blocker and no warning");
}
is(data_hash($node, 'app') . schema_dump($node, 'app'), $before, 'and nothing is changed');
is($node->safe_psql('app', 'SELECT count(*) FROM cowrie_migration_log'), '0', 'nor written down');

# Other sessions --------------------------------------------------------------------------------

my $patient = "SET cowrie_migrate.lock_timeout = '100ms'";    # "long" is a second then
{
	my $session = Session->new($node, 'app', application => 'report');
	my $pid = $session->pid;
	$session->begin('SELECT pg_sleep(60)');
	$node->poll_query_until('app', "SELECT state = 'active' AND xact_start < clock_timestamp() -"
		. " interval '1.3 s' FROM pg_stat_activity WHERE pid = $pid");
	is(scalar(preflight('long transaction')), 0, 'a transaction of a second is not long');
	my $remedy = provoked('long transaction', 'warning',
		qr/process $pid of user \w+ \(report\) has a transaction open since/, before => $patient);
	remedied('long transaction', $remedy, before => $patient);
	$session->close;
}
{
	my $session = Session->new($node, 'app');
	$session->run('BEGIN; SELECT 1');
	my $pid = $session->pid;
	is((preflight('idle in transaction'))[0][0], 'info', 'idle for a moment: info');
	$node->poll_query_until('app', "SELECT state_change < clock_timestamp() - interval '150 ms'"
		. " FROM pg_stat_activity WHERE pid = $pid");
	my $remedy = provoked('idle in transaction', 'warning', qr/process $pid .* is idle/,
		before => $patient);
	is(scalar(preflight('REPEATABLE READ transaction')), 0, 'READ COMMITTED keeps no snapshot');
	remedied('idle in transaction', $remedy, before => $patient);
	$session->close;
}
{
	my $session = Session->new($node, 'app');
	$session->run('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1');
	my $remedy = provoked('REPEATABLE READ transaction', 'warning', qr/sees an empty table/);
	remedied('REPEATABLE READ transaction', $remedy);
	$session->close;

	$session = Session->new($node, 'app');
	$session->run('BEGIN; DECLARE reader CURSOR FOR SELECT * FROM session_summaries; FETCH reader');
	provoked('REPEATABLE READ transaction', 'warning', qr/or an open cursor/);
	$session->close;

	$session = Session->new($node, 'app', application => 'pg_dump');
	my $pid = $session->pid;
	$session->begin('BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT pg_sleep(60)');
	$node->poll_query_until('app',
		"SELECT state = 'active' FROM pg_stat_activity WHERE pid = $pid");
	provoked('REPEATABLE READ transaction', 'warning', qr/\(pg_dump\)/);
	$session->close;
}
{
	$node->safe_psql('app', q{BEGIN; INSERT INTO schema_state VALUES ('k', 'v');
PREPARE TRANSACTION 'it''s mine'});
	my $remedy = provoked('prepared transaction', 'warning', qr/transaction 'it''s mine' of user/);
	provoked('conflicting lock', 'warning', qr/prepared transaction 'it''s mine' holds/);
	remedied('prepared transaction', $remedy);
	gone('conflicting lock');
}
{
	# Idle in transaction it holds its lock for as long as it likes; at work it may let go soon.
	my $session = Session->new($node, 'app');
	$session->run('BEGIN; SELECT count(*) FROM session_summaries');
	my $pid = $session->pid;
	my $remedy = provoked('conflicting lock', 'warning',
		qr/process $pid .* AccessShareLock on public.session_summaries .*state idle in transaction/);
	my ($status, $out, $err) = $node->psql('app', "$patient; SELECT * FROM cowrie_migrate_v16()");
	like($err, qr/could not lock .*process $pid/s, 'and the migration does not get its lock');
	# nor is it as visible to everybody
	provoked('conflicting lock', 'warning', qr/state not visible to you/, user => 'app_owner');
	remedied('conflicting lock', $remedy);
	$session->close;

	$session = Session->new($node, 'app');
	$session->begin('SELECT session_id, pg_sleep(20) FROM session_summaries LIMIT 1');
	$node->poll_query_until('app',
		"SELECT count(*) > 0 FROM pg_locks WHERE relation = 'session_summaries'::regclass");
	is((preflight('conflicting lock'))[0][0], 'info', 'a lock of a moment is no warning');
	$session->close;

	# Who has raw_events or schema_state locked only weakly is in nobody's way.
	$session = Session->new($node, 'app');
	$session->run('BEGIN; LOCK TABLE raw_events IN SHARE ROW EXCLUSIVE MODE; SELECT * FROM schema_state');
	gone('conflicting lock');
	$session->run('LOCK TABLE raw_events');
	$remedy = provoked('conflicting lock', 'warning', qr/AccessExclusiveLock on public.raw_events/,
		before => $patient);
	remedied('conflicting lock', $remedy);
	$session->close;
}
{
	# The tables are locked: what cannot be looked at is said, and nothing waits for long.
	my $session = Session->new($node, 'app');
	$session->run('BEGIN; LOCK TABLE session_summaries');
	my $pid = $session->pid;
	like(join('|', map { "@$_" } preflight(undef, before => $patient)),
		qr/^blocker process $pid of user \w+ holds AccessExclusiveLock/,
		'preflight works while the table is locked, and says who holds it');
	same_as_refusal('could not lock "public"."session_summaries" in time');
	$session->close;
}
{
	my $session = Session->new($node, 'app');
	$session->run('SELECT 1');
	provoked('connected sessions', 'info', qr/^1 other sessions are connected/);
	provoked('not visible', 'info', qr/^what \d+ other sessions .* is not visible to role app_owner/,
		user => 'app_owner');
	remedied('not visible', (preflight('not visible', user => 'app_owner'))[0][2],
		user => 'app_owner');
	$node->safe_psql('app', 'REVOKE pg_read_all_stats FROM app_owner');
	$session->close;
}

# Another migration: the same words as the migration itself has.
{
	my $session = Session->new($node, 'app');
	$session->run(
		'SET client_min_messages = error; BEGIN; SELECT count(*) FROM cowrie_migrate_v16()');
	my @rows = preflight(undef, before => $patient);
	is($rows[0][0], 'blocker', 'a running migration is a blocker');
	same_as_refusal('another migration is running in this database');
	$session->run('ROLLBACK');
	$session->close;
}

# WAL -------------------------------------------------------------------------------------------

{
	$node->safe_psql('app', q{SELECT pg_create_physical_replication_slot('left_behind', true)});
	my $remedy = provoked('replication slot retains WAL', 'warning',
		qr/slot left_behind \(physical\) is not in use and keeps \d+ bytes of WAL/);
	remedied('replication slot retains WAL', $remedy);
}
{
	$node->safe_psql('app',
		"ALTER SYSTEM SET archive_command = 'false'; SELECT pg_reload_conf(); SELECT pg_switch_wal()");
	$node->poll_query_until('app', 'SELECT failed_count > 0 FROM pg_stat_archiver');
	my $remedy = provoked('WAL archiving fails', 'warning', qr/could not be archived at .* failures/);
	my $shown = $node->safe_psql('app', "ALTER SYSTEM SET archive_command = 'true'; $remedy");
	like($shown, qr/^false\nt$/, 'WAL archiving fails: the remedy shows the command and reloads it');
	$node->poll_query_until('app', 'SELECT last_archived_time > last_failed_time FROM pg_stat_archiver');
	gone('WAL archiving fails');

	$node->safe_psql('app', "ALTER SYSTEM SET archive_command = ''; SELECT pg_reload_conf()");
	$node->poll_query_until('app', "SELECT current_setting('archive_command') = ''");
	provoked('WAL archiving fails', 'warning', qr/there is no archive_command/);
	$node->safe_psql('app', "ALTER SYSTEM RESET archive_command; SELECT pg_reload_conf()");
	$node->poll_query_until('app', "SELECT current_setting('archive_command') = 'true'");
	gone('WAL archiving fails');
}
{
	$node->backup('base');
	my $standby = PostgreSQL::Test::Cluster->new('standby');
	$standby->init_from_backup($node, 'base', has_streaming => 1);
	$standby->append_conf('postgresql.conf', "archive_mode = off");
	$standby->start;
	$node->wait_for_catchup($standby);
	provoked('standby lags', 'info', qr/standby \w+ is \d+ bytes behind \(streaming/);
	is(objections('postgres'), '', 'a standby that keeps up is no warning');
	provoked('not visible', 'info', qr/and standbys/, user => 'app_owner');

	# On the standby: only that it is one.
	my ($status, $out, $err) = $standby->psql('app',
		q{SELECT severity, hazard, remedy FROM cowrie_preflight_v16() WHERE severity <> 'info'});
	is($out, 'blocker|cannot migrate on a standby server|Connect to the primary and run SELECT * FROM'
		  . ' cowrie_migrate_v16();', 'preflight runs on a standby, and says that it is one')
	  or diag($err);

	$standby->safe_psql('postgres', 'SELECT pg_wal_replay_pause()');
	# Asked for is not paused yet: until then it goes on replaying.
	$standby->poll_query_until('postgres', "SELECT pg_get_wal_replay_pause_state() = 'paused'");
	# Transactional: a message outside of a transaction waits for somebody else's flush.
	$node->safe_psql('app', q{SELECT pg_logical_emit_message(true, 'x', repeat('x', 1000000))
FROM generate_series(1, 100)});
	$node->poll_query_until('app', 'SELECT flush_lsn = pg_current_wal_lsn() FROM pg_stat_replication');
	my $remedy = provoked('standby lags', 'warning', qr/is \d{8,9} bytes behind/);
	$standby->safe_psql('postgres', $remedy);
	$node->wait_for_catchup($standby);
	is((preflight('standby lags'))[0][0], 'info', 'standby lags: caught up after its remedy');

	# A synchronous standby that is not there: COMMIT would wait for ever.
	$node->safe_psql('app', "ALTER SYSTEM SET synchronous_standby_names = 'nobody'; SELECT pg_reload_conf()");
	$node->poll_query_until('app', "SELECT current_setting('synchronous_standby_names') = 'nobody'");
	$remedy = provoked('synchronous standby missing', 'warning', qr/'nobody'/);
	gone('synchronous standby missing', before => $remedy);
	$node->safe_psql('app',
		"SET synchronous_commit = local; ALTER SYSTEM RESET synchronous_standby_names; SELECT pg_reload_conf()");
	$node->poll_query_until('app', "SELECT current_setting('synchronous_standby_names') = ''");
	$standby->stop;
	$node->poll_query_until('app', 'SELECT count(*) = 0 FROM pg_stat_replication');
}

# The tables ------------------------------------------------------------------------------------

{
	# An age like that of years: the limit is brought down to it.
	$node->safe_psql('app', q{ALTER TABLE session_summaries SET (autovacuum_freeze_max_age = 100000);
CREATE TABLE burnt (n integer);
DO $$ BEGIN FOR i IN 1..91000 LOOP BEGIN INSERT INTO burnt VALUES (i); EXCEPTION WHEN division_by_zero THEN NULL; END; END LOOP; END $$;
DROP TABLE burnt});
	my $remedy = provoked('wraparound', 'warning',
		qr/public.session_summaries has an age of 9\d{4} transactions .* from 100000 and/);
	remedied('wraparound', $remedy);
	$node->safe_psql('app', 'ALTER TABLE session_summaries RESET (autovacuum_freeze_max_age)');
}
{
	$node->safe_psql('app', q{ALTER ROLE app_owner SET statement_timeout = '2h'});
	my $remedy =
	  provoked('statement timeout', 'warning', qr/^statement_timeout is 2h in this session/,
		user => 'app_owner', rows => 2);
	my @rows = preflight('statement timeout', user => 'app_owner', before => $remedy);
	is(join(' ', map { $_->[0] } @rows), 'info', 'statement timeout: no warning after its remedy');
	like($rows[0][1], qr/^statement_timeout=2h is set for role app_owner$/, 'but known of the role');
	$node->safe_psql('app', 'ALTER ROLE app_owner RESET statement_timeout');
	gone('statement timeout', user => 'app_owner');
}
{
	$node->safe_psql('app', q{CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RETURN NEW; END $$;
CREATE TRIGGER "my trigger" BEFORE UPDATE ON session_summaries FOR EACH ROW EXECUTE FUNCTION noted();
CREATE TRIGGER on_state BEFORE UPDATE ON schema_state FOR EACH ROW EXECUTE FUNCTION noted()});
	my $remedy = provoked('trigger', 'warning',
		qr/trigger on_state on public.schema_state calls .*noted: it may change or swallow/, rows => 2);
	$node->safe_psql('app', $remedy);
	$remedy = provoked('trigger', 'warning',
		qr/"my trigger" on public.session_summaries .* the one rewrite fires none/);
	remedied('trigger', $remedy);
	$node->safe_psql('app', 'DROP FUNCTION noted CASCADE');
}
{
	$node->safe_psql('app', q{CREATE FUNCTION watched() RETURNS event_trigger LANGUAGE plpgsql AS
$$ BEGIN NULL; END $$;
CREATE EVENT TRIGGER watching ON table_rewrite EXECUTE FUNCTION watched()});
	my $remedy = provoked('event trigger', 'warning', qr/watching calls .*watched at table_rewrite/);
	remedied('event trigger', $remedy);
	$node->safe_psql('app', 'DROP FUNCTION watched CASCADE');
}
{
	# Blockers among what hangs on tables: the remedy of each lets the migration begin.
	$node->safe_psql('app', q{CREATE RULE swallow AS ON UPDATE TO schema_state DO INSTEAD NOTHING});
	remedied_refusal('rule "swallow" on "public"."schema_state" intercepts writes',
		'DROP RULE "swallow" ON "public"."schema_state"');
	$node->safe_psql('app', q{CREATE RULE aside AS ON UPDATE TO session_summaries DO INSTEAD NOTHING});
	remedied_refusal('rule "aside" on "public"."session_summaries" intercepts writes',
		'ALTER TABLE "public"."session_summaries" DISABLE RULE "aside"');
	$node->safe_psql('app', 'DROP RULE aside ON session_summaries');
	$node->safe_psql('app', q{ALTER TABLE session_summaries ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY});
	remedied_refusal('row security on "public"."session_summaries" applies to role "app_owner"',
		'ALTER TABLE "public"."session_summaries" NO FORCE ROW LEVEL SECURITY');
	$node->safe_psql('app', q{CREATE TABLE child () INHERITS (session_summaries)});
	remedied_refusal('"public"."session_summaries" takes part in inheritance',
		'ALTER TABLE public.child NO INHERIT public.session_summaries');
	$node->safe_psql('app', 'DROP TABLE child');
}
{
	# Row-level security that does not hide anything from the owner.
	my $remedy = provoked('row-level security', 'warning',
		qr/the inventories will have its grants, but no policies/);
	like($remedy, qr/ALTER TABLE public.ip_inventory ENABLE ROW LEVEL SECURITY;/, 'row-level security: a remedy');
	$node->safe_psql('app', qq{SET client_min_messages = error; SELECT count(*) FROM cowrie_migrate_v16();
$remedy});
	is($node->safe_psql('app', q{SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class
WHERE relrowsecurity AND relkind = 'r'}),
		'asn_inventory ip_asn_history ip_inventory session_summaries',
		'row-level security: the remedy covers the inventories after the migration');
	$node->safe_psql('app', 'SET client_min_messages = error; SELECT count(*) FROM cowrie_cleanup_v16(force => true);'
		  . ' ALTER TABLE session_summaries DISABLE ROW LEVEL SECURITY');
	gone('row-level security');
}
{
	$node->safe_psql('app',
		'CREATE VIEW "the view" AS SELECT * FROM session_summaries; CREATE MATERIALIZED VIEW counted AS SELECT count(*) FROM session_summaries');
	my $remedy = provoked('view', 'info', qr/^view public."the view" reads public.session_summaries/, rows => 2);
	like($node->safe_psql('app', $remedy), qr/^ SELECT (?:session_summaries\.)?session_id/,
		'view: the remedy shows its definition');
	$node->safe_psql('app', 'DROP VIEW "the view"; DROP MATERIALIZED VIEW counted');
	gone('view');
}
{
	$node->safe_psql('app', 'CREATE INDEX some_index ON raw_events (ingest_at); DROP INDEX ix_raw_events_session_id');
	my ($no_ip) = (preflight('sessions without source IP'))[0][1] =~ /^(\d+)/;
	my $remedy = provoked('raw_events without index', 'warning', qr/reads and sorts all of it/);
	remedied('raw_events without index', $remedy);
	my ($fewer) = (preflight('sessions without source IP'))[0][1] =~ /^(\d+)/;
	cmp_ok($fewer, '<', $no_ip, 'with the index, raw events are looked up');
}

# Replication of changes ------------------------------------------------------------------------

{
	foreach my $what ('TABLE session_summaries, files', 'TABLES IN SCHEMA public', 'ALL TABLES')
	{
		$node->safe_psql('app', qq{CREATE PUBLICATION "it's out" FOR $what});
		my $remedy = provoked('publication', 'warning', qr/publication "it's out" publishes/);
		remedied('publication', $remedy);
		$node->safe_psql('app', q{DROP PUBLICATION "it's out"});
	}
}
{
	my $subscriber = start_node('subscriber');
	$subscriber->safe_psql('postgres', 'CREATE ROLE app_owner LOGIN');
	$subscriber->safe_psql('postgres', 'CREATE DATABASE app');
	run_script($subscriber, 'app', 'v15.sql');
	$subscriber->safe_psql('app', 'CREATE EXTENSION cowrie_migrate');
	$node->safe_psql('app', 'CREATE PUBLICATION sessions FOR TABLE session_summaries');
	$subscriber->safe_psql('app',
		"CREATE SUBSCRIPTION sessions CONNECTION " . quote_text($node->connstr('app')) . ' PUBLICATION sessions');
	$subscriber->wait_for_subscription_sync($node, 'sessions', 'app');

	# There: a subscription that writes while it migrates.
	my $there = q{SELECT severity, detail, remedy FROM cowrie_preflight_v16() WHERE hazard = 'subscription'};
	like($subscriber->safe_psql('app', $there),
		qr/^warning\|subscription sessions writes to public.session_summaries: it is held up.*\|ALTER SUBSCRIPTION sessions DISABLE;/,
		'subscription: reported on the subscriber');

	# Here: a slot that feeds a subscriber. Its remedy is to be run on the subscriber.
	my $remedy = provoked('logical subscriber', 'warning',
		qr/slot sessions \(pgoutput, in use\) sends the changes/);
	$subscriber->safe_psql('app', "ALTER SUBSCRIPTION sessions DISABLE; $remedy");
	is($subscriber->safe_psql('app', $there), '', 'subscription: gone after its remedy');
	$subscriber->safe_psql('app', 'ALTER SUBSCRIPTION sessions ENABLE');

	# Migrated first, the subscriber takes what the migrated publisher sends.
	$node->safe_psql('app', 'SET client_min_messages = error; SELECT count(*) FROM cowrie_migrate_v16()');
	$node->safe_psql('app', q{INSERT INTO session_summaries (session_id, source_ip, snapshot_country)
SELECT 'from publisher', ip_address, 'NL' FROM ip_inventory LIMIT 1});
	$node->wait_for_catchup('sessions');
	is($subscriber->safe_psql('app',
			q{SELECT snapshot_country, source_ip IS NOT NULL FROM session_summaries WHERE session_id = 'from publisher'}),
		'NL|t', 'logical subscriber: after its remedy it takes what comes');
	$subscriber->safe_psql('app', 'DROP SUBSCRIPTION sessions');
	$subscriber->stop;
	$node->safe_psql('app', q{DROP PUBLICATION sessions;
DELETE FROM session_summaries WHERE session_id = 'from publisher';
SET client_min_messages = error;
SELECT count(*) FROM cowrie_cleanup_v16()});
	gone('logical subscriber');
}

# Privileges ------------------------------------------------------------------------------------

{
	my ($status, $out, $err) = $node->psql('app',
		q{SELECT severity, hazard FROM cowrie_preflight_v16() WHERE severity = 'blocker'},
		extra_params => [ '-U', 'stranger' ]);
	like($out, qr/^blocker\|must be able to act as the owner of "public"."session_summaries"$/m,
		'a stranger is told so');
	$node->safe_psql('app', 'REVOKE CREATE ON SCHEMA public FROM PUBLIC, app_owner, pg_database_owner');
	remedied_refusal('role "app_owner" may not create tables in schema "public"',
		'GRANT USAGE, CREATE ON SCHEMA "public" TO "app_owner"');
	$node->safe_psql('app', 'REVOKE SELECT ON raw_events FROM app_owner');
	remedied_refusal('role "app_owner" may not read raw_events',
		'GRANT SELECT ON "public"."raw_events" TO "app_owner"');
	$node->safe_psql('app', 'REVOKE UPDATE ON schema_state FROM app_owner');
	remedied_refusal('role "app_owner" lacks privileges on "public"."schema_state"',
		'GRANT UPDATE ON TABLE "public"."schema_state" TO "app_owner"');

	# The owner's default is to write nothing, or to see the past.
	$node->safe_psql('app', 'ALTER ROLE app_owner SET default_transaction_read_only = on');
	same_as_refusal('cannot migrate in a read-only transaction', user => 'app_owner');
	$node->safe_psql('app', 'ALTER ROLE app_owner RESET default_transaction_read_only;'
		  . " ALTER ROLE app_owner SET default_transaction_isolation = 'repeatable read'");
	same_as_refusal('cannot migrate in a REPEATABLE READ or SERIALIZABLE transaction', user => 'app_owner');
	$node->safe_psql('app', 'ALTER ROLE app_owner RESET default_transaction_isolation');
	# To look before one writes is allowed to a transaction that cannot write.
	is($node->safe_psql('app', q{BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SELECT count(*) FROM cowrie_preflight_v16() WHERE severity <> 'info'; COMMIT}),
		'0', 'preflight writes nothing: a read-only transaction may run it');
}
{
	$node->safe_psql('app', 'CREATE TABLE ip_inventory (ip_address varchar(45) PRIMARY KEY)');
	$node->safe_psql('app', 'ALTER TABLE ip_inventory OWNER TO app_owner');
	same_as_refusal('incomplete v16 schema detected', user => 'app_owner');
	$node->safe_psql('app', 'DROP TABLE ip_inventory');
	$node->safe_psql('app', 'CREATE TABLE unrelated (n integer); CREATE INDEX idx_ip_geo_country ON unrelated (n)');
	same_as_refusal('relation "public"."idx_ip_geo_country" is in the way', user => 'app_owner');
	$node->safe_psql('app', 'DROP TABLE unrelated; CREATE TABLE cowrie_migrate_staging (n integer)');
	same_as_refusal('relation "public"."cowrie_migrate_staging" is in the way', user => 'app_owner');
	$node->safe_psql('app', q{DROP TABLE cowrie_migrate_staging; UPDATE schema_state SET value = '14' WHERE key = 'schema_version'});
	same_as_refusal('schema version 14 is too old for this migration', user => 'app_owner');
	$node->safe_psql('app', q{UPDATE schema_state SET value = '15' WHERE key = 'schema_version'});
	$node->safe_psql('postgres', 'CREATE DATABASE empty');
	$node->safe_psql('empty', 'CREATE EXTENSION cowrie_migrate');
	same_as_refusal('there is no table session_summaries', database => 'empty');
}

# pg_cron and the server ------------------------------------------------------------------------

{
	provoked('pg_cron', 'info',
		qr/^pg_cron is loaded, installed in database app; its jobs run in background workers/);
	$node->safe_psql('app', 'CREATE EXTENSION pg_cron; CREATE TABLE cron_runs (at timestamptz)');
	provoked('pg_cron', 'info', qr/^pg_cron \d\S+; how its jobs run is not visible to you/,
		user => 'app_owner');
	my $remedy = provoked('pg_cron', 'info', qr/^pg_cron \d\S+; its jobs run in background workers/);
	like($remedy, qr/on_failure => 'abort'/, 'pg_cron: the remedy is the command of a job');
	provoked('server version', 'info', qr/^PostgreSQL \d+/);
}

# Documents -------------------------------------------------------------------------------------

{
	is(objections('app_owner'), '', 'healthy again');
	my %counts = map { split /\|/ } split /\n/, $node->safe_psql('app',
		q{SELECT hazard, substring(detail from '^\d+') FROM cowrie_preflight_v16() WHERE detail ~ 'values cannot be used'},
		extra_params => [ '-U', 'app_owner' ]);
	my %listed = map { split /\|/ } split /\n/, $node->safe_psql('app',
		'SELECT reason, count(*) FROM cowrie_rejected_values(max_rows => NULL) GROUP BY 1');
	cmp_ok(scalar(keys %counts), '>=', 6, 'reject reasons: ' . join ', ', sort keys %counts);
	is_deeply(\%counts, \%listed, 'counts by reason are those of cowrie_rejected_values()');

	# The sessions it names are such sessions.
	foreach my $reason (sort keys %counts)
	{
		my ($examples) = (preflight($reason))[0][1] =~ /in sessions (.*)$/;
		is($node->safe_psql('app', "SELECT count(DISTINCT session_id) FROM cowrie_rejected_values(max_rows => NULL)"
				  . " WHERE reason = '$reason' AND session_id IN ($examples)"), '3', "$reason: examples");
	}
	my ($no_ip, $examples) = (preflight('sessions without source IP'))[0][1] =~
	  /^(\d+) sessions .*For example (.*)$/;
	my ($ips) = (preflight('expected coverage'))[0][1] =~ /; (\d+) IPs/;

	# A part: faster, and near.
	my $sampling = 'SET cowrie_migrate.preflight_sample = 500';
	provoked('sampled', 'info', qr/^\d{3} of about 2000 sessions were read/, before => $sampling);
	my ($about) = (preflight('country_invalid', before => $sampling))[0][1] =~ /^(\d+)/;
	cmp_ok(abs($about / $counts{country_invalid} - 1), '<', 0.25, 'a sample gives about the same');
	is(scalar(preflight('sampled', before => 'SET cowrie_migrate.preflight_sample = 0')), 0, '0 reads all');

	# The migration that follows counts the same.
	$node->safe_psql('app', 'SET client_min_messages = error; SELECT count(*) FROM cowrie_migrate_v16()',
		extra_params => [ '-U', 'app_owner' ]);
	my %done = map { split /\|/ } split /\n/, $node->safe_psql('app',
		q{SELECT j.key, j.value FROM cowrie_migration_log AS l, jsonb_each_text(l.rejects) AS j
WHERE l.log_id = (SELECT max(log_id) FROM cowrie_migration_log WHERE phase IS NULL)},
		extra_params => [ '-U', 'app_owner' ]);
	is_deeply(\%done, \%counts, 'counts by reason are those of the migration that follows');
	is($node->safe_psql('app', 'SELECT count(*) FROM session_summaries WHERE source_ip IS NULL'), $no_ip,
		'as many sessions as foreseen have no source IP');
	is($node->safe_psql('app', "SELECT count(*) FROM session_summaries WHERE source_ip IS NULL AND session_id IN ($examples)"),
		'3', 'among them those that were named');
	is($node->safe_psql('app', 'SELECT count(*) FROM ip_inventory'), $ips, 'as many IPs as foreseen');
	is(join('|', @{ (preflight())[0] }), 'info|schema version 16 is complete|', 'nothing to do afterwards');
}

$node->stop;
done_testing();

# The blocker has the words of the refusal: message, detail and hint.
sub same_as_refusal
{
	my ($message, %options) = @_;
	my $database = $options{database} // 'app';
	my @connect = (extra_params => [ '-U', $options{user} // 'postgres' ]);
	my ($status, $out, $err) =
	  $node->psql($database, "$patient; SELECT * FROM cowrie_migrate_v16()", @connect);
	$err =~ s/^.*?(?=ERROR: )//s;
	my $row = $node->safe_psql($database, "$patient;"
		  . q{SELECT E'ERROR:  ' || hazard || E'\nDETAIL:  ' || detail || E'\nHINT:  ' || remedy
FROM cowrie_preflight_v16() WHERE severity = 'blocker' AND hazard = } . quote_text($message), @connect);
	like($row, qr/ERROR:  \Q$message\E/, "blocker: $message") or diag($err);
	is($row, $err =~ s/\nCONTEXT:.*//sr, "the migration refuses with the same words: $message");
	return $row;
}

# The same; and the command in the hint lets the migration begin.
sub remedied_refusal
{
	my ($message, $command) = @_;
	my $row = same_as_refusal($message, user => 'app_owner');
	like($row, qr/HINT: .*\Q$command\E/, "blocker: $message: its remedy");
	$node->safe_psql('app', $command);
	is($node->safe_psql('app', q{SELECT count(*) FROM cowrie_preflight_v16() WHERE hazard = } . quote_text($message),
			extra_params => [ '-U', 'app_owner' ]), '0', "blocker gone: $message");
	is($node->safe_psql('app', q{SET client_min_messages = error; BEGIN; SELECT count(*) > 30 FROM cowrie_migrate_v16(); ROLLBACK},
			extra_params => [ '-U', 'app_owner' ]), 't', "and the migration runs: $message");
	return;
}
