# Preflight, the server: a healthy database has no blocker and no warning; what other sessions, WAL,
# archiving and replication have in store is provoked for real and reported with its facts; its remedy,
# pasted, makes it go away. Everything works for an owner who is no superuser.
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

# Archiving works at first; what it runs can be broken without a restart.
my $node = start_node(
	'preflight',
	'wal_level = logical',
	'max_prepared_transactions = 5',
	'max_replication_slots = 10',
	'max_wal_senders = 10',
	# the standby's receiver is stopped for as long as its WAL takes on a busy machine
	'wal_sender_timeout = 0',
	'wal_receiver_timeout = 0',
	'autovacuum = off',
	'archive_mode = on',
	"archive_command = 'true'");
create_v15($node, 'app', owner => 'app_owner', n => 400);
my $preflight = Preflight->new($node, 'app');
my $patient = $Preflight::patient;

sub rows { return $preflight->rows(@_) }
sub provoked { return $preflight->provoked(@_) }
sub gone { return $preflight->gone(@_) }
sub remedied { return $preflight->remedied(@_) }

sub setting_becomes
{
	my ($name, $value) = @_;
	$node->poll_query_until('app', "SELECT current_setting('$name') = '$value'") or die "$name stays";
	return;
}

# Healthy ---------------------------------------------------------------------------------------

my $before = data_hash($node, 'app') . schema_dump($node, 'app');
foreach my $user ('postgres', 'app_owner')
{
	is($preflight->objections(user => $user), '', "$user: a healthy database has no blocker and no warning");
}
is(data_hash($node, 'app') . schema_dump($node, 'app'), $before, 'and nothing is changed');
is($node->safe_psql('app', 'SELECT count(*) FROM cowrie_migration_log'), '0', 'nor written down');
is($preflight->run('SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND relation IS NOT NULL'
		  . " AND relation::regclass::text ~ 'session|raw|schema_state'"), '0', 'nor locked');

# Other sessions --------------------------------------------------------------------------------

{
	my $session = Session->new($node, 'app', application => 'report');
	my $pid = $session->pid;
	$session->begin('SELECT pg_sleep(60)');
	$node->poll_query_until('app', "SELECT state = 'active' AND xact_start < clock_timestamp() -"
		. " interval '1.3 s' FROM pg_stat_activity WHERE pid = $pid");
	is(scalar(rows('long transaction')), 0, 'a transaction of a second is not long');
	my $remedy = provoked('long transaction', 'warning',
		qr/process $pid of user \w+ \(report\) has a transaction open since/, before => $patient);
	remedied('long transaction', $remedy, before => $patient);
	$session->close;
}
{
	my $session = Session->new($node, 'app');
	$session->run('BEGIN; SELECT 1');
	my $pid = $session->pid;
	is((rows('idle in transaction'))[0][0], 'info', 'idle for a moment: info');
	$node->poll_query_until('app', "SELECT state_change < clock_timestamp() - interval '150 ms'"
		. " FROM pg_stat_activity WHERE pid = $pid");
	my $remedy = provoked('idle in transaction', 'warning', qr/process $pid .* is idle/,
		before => $patient);
	is(scalar(rows('REPEATABLE READ transaction')), 0, 'READ COMMITTED keeps no snapshot');
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
	$remedy = provoked('REPEATABLE READ transaction', 'warning', qr/or an open cursor/);
	remedied('REPEATABLE READ transaction', $remedy);
	$session->close;

	$session = Session->new($node, 'app', application => 'pg_dump');
	my $pid = $session->pid;
	$session->begin('BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT pg_sleep(60)');
	$node->poll_query_until('app',
		"SELECT state = 'active' FROM pg_stat_activity WHERE pid = $pid");
	$remedy = provoked('REPEATABLE READ transaction', 'warning', qr/\(pg_dump\)/);
	remedied('REPEATABLE READ transaction', $remedy);
	$session->close;
}
{
	foreach my $hazard ('prepared transaction', 'conflicting lock')
	{
		$node->safe_psql('app', q{BEGIN; INSERT INTO schema_state VALUES ('k', 'v');
PREPARE TRANSACTION 'it''s mine'});
		provoked('prepared transaction', 'warning', qr/transaction 'it''s mine' of user/);
		provoked('conflicting lock', 'warning', qr/prepared transaction 'it''s mine' holds/);
		remedied($hazard, (rows($hazard))[0][2]);
	}
	gone('prepared transaction');
}
{
	# Idle in transaction it holds its lock for as long as it likes; at work it may let go soon.
	my $session = Session->new($node, 'app');
	$session->run('BEGIN; SELECT count(*) FROM session_summaries');
	my $pid = $session->pid;
	my $remedy = provoked('conflicting lock', 'warning',
		qr/process $pid .* AccessShareLock on public.session_summaries .*state idle in transaction/);
	my ($status, $out, $err) = $node->psql('app', "$patient; SELECT * FROM cowrie_migrate_v16()");
	like($err, qr/could not obtain lock on .*process $pid/s, 'and the migration does not get its lock');
	# nor is it as visible to everybody
	provoked('conflicting lock', 'warning', qr/state not visible to you/, user => 'app_owner');
	remedied('conflicting lock', $remedy);
	$session->close;

	$session = Session->new($node, 'app');
	$session->begin('SELECT session_id, pg_sleep(20) FROM session_summaries LIMIT 1');
	$node->poll_query_until('app',
		"SELECT count(*) > 0 FROM pg_locks WHERE relation = 'session_summaries'::regclass");
	is((rows('conflicting lock'))[0][0], 'info', 'a lock of a moment is no warning');
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
	like(join('|', map { "@$_" } rows(undef, before => $patient)),
		qr/^blocker process $pid of user \w+ holds AccessExclusiveLock/,
		'preflight works while the table is locked, and says who holds it');
	my $message = 'could not obtain lock on "public"."session_summaries"';
	my $row = $preflight->same_as_refusal($message);
	my ($command) = $row =~ /HINT:  .*(SELECT pg_terminate_backend\(pid\);)/;
	$node->safe_psql('app', $command =~ s/pid/$pid/r);
	$preflight->no_blocker($message);
	$session->close;
}
{
	my $session = Session->new($node, 'app', application => 'honeypot');
	$session->run('SELECT 1');
	my $pid = $session->pid;
	my $remedy = provoked('connected sessions', 'info', qr/^\d+ other sessions are connected/);
	like($node->safe_psql('app', $remedy), qr/^$pid\|postgres\|honeypot\|idle$/m,
		'connected sessions: the remedy lists them');
	provoked('not visible', 'info', qr/^what \d+ other sessions .* is not visible to role app_owner/,
		user => 'app_owner');
	remedied('not visible', (rows('not visible', user => 'app_owner'))[0][2],
		user => 'app_owner');
	$node->safe_psql('app', 'REVOKE pg_read_all_stats FROM app_owner');
	$session->close;
	$preflight->close;
	gone('connected sessions');
}

# Another migration: the same words as the migration itself has.
{
	my $session = Session->new($node, 'app');
	$session->run(
		'SET client_min_messages = error; BEGIN; SELECT count(*) FROM cowrie_migrate_v16()');
	my @rows = rows(undef, before => $patient);
	is($rows[0][0], 'blocker', 'a running migration is a blocker');
	my $message = 'another migration is running in this database';
	my $row = $preflight->same_as_refusal($message);
	my ($command) = $row =~ /HINT:  Watch it with (.*;) and/;
	my $pid = $session->pid;
	like($node->safe_psql('app', $command), qr/^t\|$pid\|/, 'its hint shows whose it is');
	$session->run('ROLLBACK');
	$session->close;
	$preflight->no_blocker($message);
	$preflight->migrates('nobody is in its way any more');
}

# WAL -------------------------------------------------------------------------------------------

{
	$node->safe_psql('app', q{SELECT pg_create_physical_replication_slot('left_behind', true)});
	my $remedy = provoked('replication slot retains WAL', 'warning',
		qr/slot left_behind \(physical\) is not in use and retains \d+ \w+ of WAL/);
	remedied('replication slot retains WAL', $remedy);
}
{
	$node->safe_psql('app', "ALTER SYSTEM SET archive_command = 'false'; SELECT pg_reload_conf()");
	# until the archiver, too, has read it
	$node->poll_query_until('app', q{SELECT failed_count > 0 FROM pg_stat_archiver,
pg_logical_emit_message(true, 'x', 'x'), pg_switch_wal()});
	my $remedy = provoked('WAL archiving fails', 'warning', qr/could not be archived at .* failures/);
	my $shown = $node->safe_psql('app', "ALTER SYSTEM SET archive_command = 'true'; $remedy");
	like($shown, qr/^false\nt$/, 'WAL archiving fails: the remedy shows the command and reloads it');
	$node->poll_query_until('app', 'SELECT last_archived_time > last_failed_time FROM pg_stat_archiver');
	gone('WAL archiving fails');

	$node->safe_psql('app', "ALTER SYSTEM SET archive_command = ''; SELECT pg_reload_conf()");
	setting_becomes('archive_command', '');
	$remedy = provoked('WAL archiving fails', 'warning', qr/there is no archive_command/);
	$node->safe_psql('app', "ALTER SYSTEM RESET archive_command; $remedy");
	setting_becomes('archive_command', 'true');
	gone('WAL archiving fails');
}
{
	$node->backup('base');
	my $standby = PostgreSQL::Test::Cluster->new('standby');
	$standby->init_from_backup($node, 'base', has_streaming => 1);
	$node->safe_psql('app', q{SELECT pg_create_physical_replication_slot('standby', true)});
	$standby->append_conf('postgresql.conf', "archive_mode = off\nprimary_slot_name = 'standby'");
	$standby->start;
	$node->wait_for_catchup($standby);
	provoked('standby lags', 'info', qr/standby \w+ is \d+ \w+ behind \(streaming/);
	is($preflight->objections, '', 'a standby that keeps up is no warning');
	provoked('not visible', 'info', qr/and standbys/, user => 'app_owner');

	# On the standby: only that it is one.
	my ($status, $out, $err) = $standby->psql('app',
		q{SELECT severity, hazard, remedy FROM cowrie_preflight_v16() WHERE severity <> 'info'});
	is($out, 'blocker|cannot migrate on a standby server|Connect to the primary and run SELECT * FROM'
		  . ' cowrie_migrate_v16();', 'preflight runs on a standby, and says that it is one')
	  or diag($err);
	is($standby->safe_psql('app', q{SELECT count(*) FILTER (WHERE criterion = 'query_performance'), count(*) FROM cowrie_checkpoint_v16()}),
		'7|14', 'the checkpoint measures there, too');

	$standby->safe_psql('postgres', 'SELECT pg_wal_replay_pause()');
	# Asked for is not paused yet: until then it goes on replaying.
	$standby->poll_query_until('postgres', "SELECT pg_get_wal_replay_pause_state() = 'paused'");
	# Transactional: a message outside of a transaction waits for somebody else's flush.
	$node->safe_psql('app', q{SELECT pg_logical_emit_message(true, 'x', repeat('x', 1000000))
FROM generate_series(1, 70)});
	$node->poll_query_until('app', 'SELECT flush_lsn = pg_current_wal_lsn() FROM pg_stat_replication');
	my $remedy = provoked('standby lags', 'warning', qr/is \d{2,3} MB behind/);
	$standby->safe_psql('postgres', $remedy);
	$node->wait_for_catchup($standby);
	is((rows('standby lags'))[0][0], 'info', 'standby lags: caught up after its remedy');
	$preflight->pasted('standby lags');

	# Its receiver hangs: more than a gigabyte of WAL waits for it, most of it the unused rest of files.
	my $receiver = $standby->safe_psql('postgres', 'SELECT pid FROM pg_stat_wal_receiver');
	kill 'STOP', $receiver;
	$node->safe_psql('app', q{DO $$ BEGIN FOR i IN 1..66 LOOP
PERFORM pg_logical_emit_message(false, 'x', 'x'); PERFORM pg_switch_wal(); END LOOP; END $$});
	$remedy = provoked('replication slot retains WAL', 'warning',
		qr/slot standby \(physical\) lags behind and retains 1\d{3} MB of WAL/);
	$node->safe_psql('app', $remedy);
	kill 'CONT', $receiver;
	$node->wait_for_catchup($standby);
	gone('replication slot retains WAL');

	# A synchronous standby that is not there: COMMIT would wait for ever.
	$node->safe_psql('app', "ALTER SYSTEM SET synchronous_standby_names = 'nobody'; SELECT pg_reload_conf()");
	setting_becomes('synchronous_standby_names', 'nobody');
	$remedy = provoked('synchronous standby missing', 'warning', qr/'nobody'/);
	gone('synchronous standby missing', before => $remedy);
	$node->safe_psql('app',
		"SET synchronous_commit = local; ALTER SYSTEM RESET synchronous_standby_names; SELECT pg_reload_conf()");
	setting_becomes('synchronous_standby_names', '');
	$standby->stop('immediate');
	$node->poll_query_until('app', 'SELECT count(*) = 0 FROM pg_stat_replication');
	remedied('replication slot retains WAL', (rows('replication slot retains WAL'))[0][2]);
}

# Replication of changes ------------------------------------------------------------------------

{
	foreach my $what ('TABLE session_summaries, files', 'TABLES IN SCHEMA public', 'ALL TABLES')
	{
		$node->safe_psql('app', qq{CREATE PUBLICATION "it's out" FOR $what});
		is(provoked('publication', 'info', qr/publication "it's out" publishes/), '', 'publication: it may stay');
		$node->safe_psql('app', q{DROP PUBLICATION "it's out"});
		gone('publication');
	}
}
{
	# The subscriber is another database of the same server: its slot must be there before.
	create_v15($node, 'subscriber', owner => 'app_owner', n => 0);
	$node->safe_psql('app', q{CREATE PUBLICATION sessions FOR TABLE session_summaries;
SELECT pg_create_logical_replication_slot('sessions', 'pgoutput')});
	$node->safe_psql('subscriber',
		'CREATE SUBSCRIPTION sessions CONNECTION ' . quote_text($node->connstr('app'))
		  . ' PUBLICATION sessions WITH (create_slot = false, copy_data = false)');
	$node->poll_query_until('app', "SELECT active FROM pg_replication_slots WHERE slot_name = 'sessions'");

	# There: a subscription that writes while it migrates.
	my @there = (database => 'subscriber');
	my $disable = provoked('subscription', 'warning',
		qr/subscription sessions writes to public.session_summaries: it is held up/, @there);

	# Here: a slot that feeds a subscriber. Its remedy is to be run on the subscriber.
	my $remedy = provoked('logical subscriber', 'warning',
		qr/slot sessions \(pgoutput, in use\) sends the changes/);
	$node->safe_psql('subscriber', $disable);
	gone('subscription', @there);
	$node->safe_psql('subscriber', $remedy);
	$node->safe_psql('subscriber', 'ALTER SUBSCRIPTION sessions ENABLE');

	# Migrated first, the subscriber takes what the migrated publisher sends.
	$node->safe_psql('app', 'SET client_min_messages = error; SELECT count(*) FROM cowrie_migrate_v16()');
	my $ip = $node->safe_psql('app', 'SELECT min(ip_address) FROM ip_inventory');
	$node->safe_psql('subscriber',
		"INSERT INTO ip_inventory (ip_address, first_seen, last_seen) VALUES ('$ip', now(), now())");
	$node->safe_psql('app', q{INSERT INTO session_summaries (session_id, source_ip, snapshot_country)
SELECT 'from publisher', min(ip_address), 'NL' FROM ip_inventory});
	$node->wait_for_catchup('sessions');
	is($node->safe_psql('subscriber',
			q{SELECT snapshot_country, source_ip IS NOT NULL FROM session_summaries WHERE session_id = 'from publisher'}),
		'NL|t', 'logical subscriber: after its remedy it takes what comes');
	$node->safe_psql('subscriber', 'ALTER SUBSCRIPTION sessions DISABLE');
	$node->safe_psql('subscriber', 'ALTER SUBSCRIPTION sessions SET (slot_name = NONE); DROP SUBSCRIPTION sessions');
	$node->poll_query_until('app', "SELECT NOT active FROM pg_replication_slots WHERE slot_name = 'sessions'");
	$node->safe_psql('app', q{DROP PUBLICATION sessions; SELECT pg_drop_replication_slot('sessions');
DELETE FROM session_summaries WHERE session_id = 'from publisher';
SET client_min_messages = error;
SELECT count(*) FROM cowrie_cleanup_v16()});
	gone('logical subscriber');
}

$preflight->nothing_left_out(Preflight::hazards_of_server());
$preflight->close;
$node->stop;
done_testing();
