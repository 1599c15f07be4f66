# cut_over => 'wait': everything up to the cut-over is done beside a writer, then the migration waits, holds
# nothing and catches up now and then; killed, it waits again; when somebody allows it, it comes to its end.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use CowrieTest;
use IPC::Run ();
use Session;
use Test::More;

my $node = start_node('cut_over', 'restart_after_crash = on');
create_v15($node, 'app', n => 1_500);
my $writer = Session->new($node, 'app');

sub status { return $node->safe_psql('app', "SELECT $_[0] FROM cowrie_migration_status") }

sub becomes
{
	my ($outcome) = @_;
	$node->poll_query_until('app', "SELECT outcome FROM cowrie_migration_status", $outcome)
	  or die "it does not become $outcome: " . status('outcome, step, last_message');
	return;
}

sub start
{
	my %run = (err => '');
	$run{handle} = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('app'), '-c',
			q{CALL cowrie_migrate_v16_online(cut_over => 'wait')} ], '<', \undef, '2>', \$run{err});
	return \%run;
}

my $written = 0;
sub write_sessions
{
	my ($count) = @_;
	my $from = $written + 1;
	$written += $count;
	$writer->run(qq{INSERT INTO session_summaries (session_id, first_event_at, last_event_at, enrichment)
SELECT 'late-' || i, now(), now(), format('{"maxmind": {"asn": %s, "country": "NL"}, "session_metadata": {"source_ip": "198.51.100.%s"}}',
  64500 + i % 9, i % 250)::json FROM generate_series($from, $written) AS i});
	return;
}

my ($stderr) = ('');
$node->psql('app', q{CALL cowrie_migrate_v16_online(cut_over => 'soon')}, stderr => \$stderr);
like($stderr, qr/ERROR:  cut_over must be now or wait.*HINT:  Omit it: CALL/s, 'refused: another time');

my $run = start();
becomes('waiting for cut-over');
is(status('running, phase, step, waiting_for, holding_back IS NULL'),
	't|5|wait_for_cut_over|SELECT cowrie_allow_cut_over();|t', 'the status says what it waits for');
is($node->safe_psql('app', q{SELECT value FROM schema_state WHERE key = 'schema_subphase'}), '16.4', 'all but the last phase is done');
is($node->safe_psql('app', q{SELECT count(*) FROM pg_trigger WHERE tgrelid = 'session_summaries'::regclass AND tgname LIKE '%cowrie%'}), '1',
	'the trigger is there');
my $pid = status('pid');
my $held = 0;
for (1 .. 20)
{
	write_sessions(1);
	$held += $node->safe_psql('app', qq{SELECT count(*) FROM pg_locks AS l JOIN pg_class AS c ON c.oid = l.relation
WHERE l.pid = $pid AND c.relname IN ('session_summaries', 'ip_inventory', 'asn_inventory', 'ip_asn_history') AND l.mode NOT IN ('AccessShareLock', 'RowExclusiveLock')});
}
is($held, 0, 'no lock that is in a writer\'s way');

# More than may be left: it is caught up while it waits.
write_sessions(400);
$node->poll_query_until('app', 'SELECT count(*) <= 200 FROM cowrie_migrate_changes') or die 'it does not catch up';
is(status('outcome'), 'waiting for cut-over', 'and goes on waiting');

# Killed: the next call waits again, whatever had been allowed to the one before.
kill_backend($node, $pid);
$run->{handle}->finish;
$writer = Session->new($node, 'app');
becomes('died');
is($node->safe_psql('app', 'SELECT cowrie_allow_cut_over()'), 'f', 'nobody waits: nothing is allowed');
write_sessions(50);
$run = start();
becomes('waiting for cut-over');
is($node->safe_psql('app', q{SELECT count(*) FROM cowrie_migration_log WHERE step = 'cut_over'}), '0', 'it has not cut over');

# Stopped out of it; and paused while it waits.
is($node->safe_psql('app', 'SELECT cowrie_stop_migration()'), 't', 'asked to stop');
ok($run->{handle}->finish, 'it stops');
is($node->safe_psql('app', q{SELECT status, detail FROM cowrie_migration_log WHERE phase IS NULL ORDER BY log_id DESC LIMIT 1}),
	'stopped|cowrie_migrate phase 5 (foreign_keys), step wait_for_cut_over', 'the ledger says where');
$run = start();
becomes('waiting for cut-over');
is($node->safe_psql('app', 'SELECT cowrie_pause_migration()'), 't', 'asked to pause');
becomes('paused');
is($node->safe_psql('app', 'SELECT cowrie_resume_migration()'), 't', 'and to go on');
becomes('waiting for cut-over');

write_sessions(20);
load_reference($node, 'app');
is($node->safe_psql('app', 'SELECT cowrie_allow_cut_over()'), 't', 'allowed');
ok($run->{handle}->finish, 'it comes to its end') or diag($run->{err});
like($run->{err}, qr/NOTICE:  the migration is waiting for permission to cut over/, 'and has said what it waited for');
is(status('outcome, waiting_for IS NULL'), 'done|t', 'done');
is(compare($node, 'app'), $no_difference, 'as the reference');
is($node->safe_psql('app', 'SELECT count(*) FROM cowrie_validate_schema()'), '0', 'no findings');
is($node->safe_psql('app', q{SELECT count(*) FROM session_summaries WHERE session_id LIKE 'late-%' AND source_ip IS NOT NULL}), $written,
	'what came while it waited is there');

$writer->close;
$node->stop;
done_testing();
