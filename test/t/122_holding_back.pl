# Each reason for an online migration to hold back, provoked for real: a standby whose replay is paused, a subscriber
# that waits for a lock, a slot that is left behind, an archiver that fails, busy sessions. It says why, writes nothing, and goes on once that is
# over. The caller is a plain role, which may not see what others do. The result is that of the reference.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use CowrieTest;
use IPC::Run ();
use PostgreSQL::Test::Cluster;
use Session;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('holding');
$node->init(allows_streaming => 'logical', extra => [ '--encoding', 'UTF8', '--no-locale' ]);
$node->append_conf('postgresql.conf', "fsync = off\narchive_mode = on\narchive_command = 'true'\nmax_wal_size = 1GB\n"
	  . "max_parallel_maintenance_workers = 0\nautovacuum = off");
$node->start;
create_v15($node, 'origin', owner => 'app_owner', n => 600);
load_reference($node, 'origin');
$node->safe_psql('postgres', "CREATE DATABASE $_ TEMPLATE origin OWNER app_owner") foreach qw(slot archiver sessions published);
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
$node->wait_for_catchup($standby);

# Starts the migration of a database as the owner of its tables.
sub start
{
	my ($database, $arguments) = @_;
	my %run = (err => '');
	$run{handle} = IPC::Run::start([ 'psql', '-XAtq', '-U', 'app_owner', '-d', $node->connstr($database), '-c',
			"CALL cowrie_migrate_v16_online($arguments)" ], '<', \undef, '2>', \$run{err});
	return \%run;
}

# Waits until it holds back; it does nothing then, and says why.
sub holds_back
{
	my ($database, $why) = @_;
	$node->poll_query_until($database, 'SELECT outcome FROM cowrie_migration_status', 'holding back')
	  or die "$database: it does not hold back";
	like($node->safe_psql($database, 'SELECT holding_back FROM cowrie_migration_status'), $why, "$database: holds back, and says why");
	my $steps = "SELECT count(*) FROM cowrie_migration_log WHERE step IS NOT NULL";
	my $before = $node->safe_psql($database, $steps);
	$node->poll_query_until($database, 'SELECT clock_timestamp() > (SELECT max(started_at) FROM cowrie_migration_log) + interval \'2 s\'') or die;
	is($node->safe_psql($database, $steps), $before, "$database: does nothing meanwhile");
	my $pid = $node->safe_psql($database, 'SELECT pid FROM cowrie_migration_status');
	is($node->safe_psql($database, "SELECT count(*) FROM pg_locks AS l JOIN pg_class AS c ON c.oid = l.relation WHERE l.pid = $pid AND c.relname = 'session_summaries'"),
		'0', "$database: holds no lock on the sessions");
	return;
}

sub comes_to_its_end
{
	my ($database, $run) = @_;
	ok($run->{handle}->finish, "$database: it goes on to the end") or diag($run->{err});
	like($run->{err}, qr/NOTICE:  the migration is holding back: .*NOTICE:  the migration continues/s, "$database: and has said so");
	is($node->safe_psql($database, 'SELECT outcome, holding_back IS NULL FROM cowrie_migration_status'), 'done|t', "$database: done");
	is(compare($node, $database), $no_difference, "$database: as the reference");
	is($node->safe_psql($database, q{SELECT count(*) > 0 FROM cowrie_migration_log WHERE detail LIKE '%held back for%'}), 't',
		"$database: the ledger has how long");
	return;
}

# Segments of WAL, each ended.
sub write_wal
{
	my ($segments) = @_;
	$node->safe_psql('postgres', 'CREATE TABLE IF NOT EXISTS filler (); SELECT pg_switch_wal(); ' x $segments);
	$node->safe_psql('postgres', q{SELECT pg_logical_emit_message(false, 'x', 'x'); SELECT pg_switch_wal()}) for 1 .. $segments;
	return;
}

# A standby whose replay is paused.
$standby->safe_psql('postgres', 'SELECT pg_wal_replay_pause()');
# (The run takes longer than the lag that it allows, so it meets it.)
my $run = start('origin', q{batch_size => 20, target_batch => '0', pause => '200 ms', max_lag => '800 ms'});
holds_back('origin', qr/^standby "\w+" \(process \d+\) lags \d+\.\d s, max_lag is 0\.8 s$/);
like($node->safe_psql('origin', 'SELECT holding_back FROM cowrie_migration_status', extra_params => [ '-U', 'app_owner' ]),
	qr/^standby "\w+" \(process \d+\) lags /, 'so does a role that may not see by how much it lags');
$standby->safe_psql('postgres', 'SELECT pg_wal_replay_resume()');
comes_to_its_end('origin', $run);
$standby->stop;

# A subscriber that waits for a lock.
$node->safe_psql($_, 'CREATE TABLE replicated (id integer PRIMARY KEY)') foreach 'published', 'postgres';
$node->safe_psql('published', $_) foreach 'CREATE PUBLICATION one_table FOR TABLE replicated',
  q{SELECT pg_create_logical_replication_slot('subscriber', 'pgoutput')};
my $publisher = quote_text($node->connstr('published') . ' application_name=subscriber');
$node->safe_psql('postgres', "CREATE SUBSCRIPTION subscriber CONNECTION $publisher PUBLICATION one_table WITH (create_slot = false)");
my $reader = Session->new($node, 'postgres');
$reader->run('BEGIN; LOCK TABLE replicated');
$node->safe_psql('published', 'INSERT INTO replicated VALUES (1)');
$run = start('published', q{batch_size => 20, target_batch => '0', pause => '200 ms', max_lag => '800 ms'});
holds_back('published', qr/^subscriber "\w+" \(process \d+\) lags \d+\.\d s, max_lag is 0\.8 s$/);
$reader->run('COMMIT');
comes_to_its_end('published', $run);
$reader->close;
$node->safe_psql('postgres', 'DROP SUBSCRIPTION subscriber');

# A slot that is left behind.
$node->safe_psql('postgres', q{SELECT pg_create_physical_replication_slot('left_behind', true)});
write_wal(3);
$run = start('slot', 'max_wal => 20000000');
holds_back('slot', qr/^replication slot "left_behind" keeps \d+ MB of WAL, max_wal is 19 MB$/);
$node->safe_psql('postgres', q{SELECT pg_drop_replication_slot('left_behind')});
comes_to_its_end('slot', $run);

# An archiver that fails.
$node->safe_psql('postgres', $_) foreach q{ALTER SYSTEM SET archive_command = 'false'}, 'SELECT pg_reload_conf()';
write_wal(3);
$run = start('archiver', 'max_wal => 20000000');
holds_back('archiver', qr/^\d+ MB of WAL wait for the archiver, max_wal is 19 MB$/);
$node->safe_psql('postgres', $_) foreach q{ALTER SYSTEM SET archive_command = 'true'}, 'SELECT pg_reload_conf()';
write_wal(1);
comes_to_its_end('archiver', $run);

# Busy sessions; the limit is taken away while it holds back.
my @busy = map { Session->new($node, 'postgres') } 1 .. 3;
$_->begin('SELECT pg_sleep(600)') foreach @busy;
$node->poll_query_until('postgres', q{SELECT count(*) = 3 FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%pg_sleep(600)%' AND pid <> pg_backend_pid()})
  or die 'they are not busy';
$run = start('sessions', 'max_active => 2');
holds_back('sessions', qr/^\d sessions are active, max_active is 2$/);
is($node->safe_psql('sessions', 'SELECT cowrie_pace(max_active => 0)'), 't', 'sessions: the limit is taken away');
comes_to_its_end('sessions', $run);
$_->close foreach @busy;

$node->stop;
done_testing();
