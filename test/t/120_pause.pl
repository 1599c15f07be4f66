# An online migration that is paused beside writers: it holds no lock on a table and no snapshot, writes
# nothing, outlasts its process, and goes on when it is resumed; whose order it is; another pace while it runs.
# The result is that of the reference.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use CowrieTest;
use IPC::Run ();
use Online;
use Session;
use Test::More;
use Time::HiRes qw(time usleep);

my $node = start_node('pause');
work_in($node);
create_v15($node, 'app', owner => 'app_owner', n => 2_000);
$node->safe_psql('app', 'CREATE ROLE stranger LOGIN; CREATE ROLE caller LOGIN IN ROLE app_owner');
my $status = Session->new($node, 'app');

sub status { return $status->run("SELECT $_[0] FROM cowrie_migration_status") }

sub becomes
{
	my ($outcome) = @_;
	$node->poll_query_until('app', "SELECT outcome FROM cowrie_migration_status", $outcome)
	  or die "it does not become $outcome: " . status('outcome, step, last_message');
	return;
}

sub start
{
	my ($arguments) = @_;
	my %run = (err => '');
	$run{handle} = IPC::Run::start([ 'psql', '-XAtq', '-U', 'caller', '-d', $node->connstr('app'), '-c',
			"CALL cowrie_migrate_v16_online($arguments)" ], '<', \undef, '2>', \$run{err});
	return \%run;
}

sub as
{
	my ($role, $sql) = @_;
	my ($out, $err) = ('', '');
	$node->psql('app', $sql, stdout => \$out, stderr => \$err, extra_params => [ '-U', $role ]);
	return $out . $err;
}

# Nothing to give orders to ------------------------------------------------------------------------

my @orders = ('cowrie_pause_migration()', 'cowrie_resume_migration()', 'cowrie_allow_cut_over()', 'cowrie_pace(pause => \'1 s\')');
is(as('stranger', "SELECT $_"), 'f', "$_: nothing runs") foreach @orders;
foreach my $wrong ('batch_size => 0', "pause => '-1 s'", "target_batch => '-1 s'", "max_lag => '-1 day'", 'max_wal => -1', 'max_active => -1')
{
	like(as('app_owner', "SELECT cowrie_pace($wrong)"), qr/ERROR:  \w+ must .*HINT:  Omit it to leave it unchanged/s, "refused: $wrong");
	like(as('app_owner', "CALL cowrie_migrate_v16_online($wrong)"), qr/ERROR:  \w+ must .*HINT:  Omit it: CALL/s, "a call with it, too");
}

# A pause --------------------------------------------------------------------------------------------

my $slowly = "batch_size => 40, target_batch => '0', pause => '20 ms'";
my $run = start($slowly);
$node->poll_query_until('app', "SELECT running AND step = 'fill_columns' AND rows_done > 100 FROM cowrie_migration_status")
  or die "it does not begin: $run->{err}";
like(as('stranger', "SELECT $_"), qr/ERROR:  permission denied to [\w -]+ the migration/, "$_: not for a stranger") foreach @orders;
is(as('app_owner', 'SELECT cowrie_pause_migration()'), 't', 'the owner of the tables pauses it');
becomes('paused');
is(status('running, step, holding_back'), 't|fill_columns|paused; continue with SELECT cowrie_resume_migration();', 'the status says so');
my $pid = status('pid');
my $before = status('rows_done, batch');

# Writers for three seconds; meanwhile what the run holds is looked at again and again.
my $writer = Session->new($node, 'app', user => 'app_owner');
my ($looked, $written, $locks, $snapshots, $longest) = (0, 0, 0, 0, 0);
my ($locked_before, $held_before) = (0, 0);
my $until = time + 3;
while (time < $until)
{
	my $begun = time;
	++$written;
	$writer->run("INSERT INTO session_summaries (session_id, first_event_at, last_event_at, enrichment) VALUES ('paused-$written', now(), now(),"
		  . qq{ '{"maxmind": {"asn": 64500, "country": "NL"}, "session_metadata": {"source_ip": "192.0.2.$written"}}')}) if $written < 255;
	$writer->run("UPDATE session_summaries SET risk_score = risk_score + 1 WHERE session_id = (SELECT session_id FROM session_summaries ORDER BY session_id OFFSET $written LIMIT 1)");
	$longest = time - $begun if time - $begun > $longest;
	my ($relations, $others, $snapshot) = split /\|/, $status->run(qq{
SELECT count(*) FILTER (WHERE l.relation IS NOT NULL AND c.relkind <> 'S'),
       count(*) FILTER (WHERE l.locktype NOT IN ('relation', 'virtualxid') AND l.classid IS DISTINCT FROM 'pg_extension'::regclass),
       (SELECT (backend_xmin IS NOT NULL OR backend_xid IS NOT NULL)::int FROM pg_stat_activity WHERE pid = $pid)
FROM pg_locks AS l LEFT JOIN pg_class AS c ON c.oid = l.relation WHERE l.pid = $pid});
	++$looked;
	$locks += $relations;
	# What passes between two looks is not held.
	++$snapshots if $held_before && $snapshot + $others > 0;
	$held_before = $snapshot + $others;
	usleep(20_000);
}
cmp_ok($looked, '>', 20, "looked $looked times");
is($locks, 0, 'no lock on a table');
is($snapshots, 0, 'no snapshot is held');
is($status->run(qq{SELECT count(*) FROM pg_locks WHERE pid = $pid AND locktype = 'object' AND granted}), '1', 'but the run lock');
is(status('rows_done, batch'), $before, 'nothing is filled meanwhile');
is($status->run(q{SELECT count(*) > 0 FROM session_summaries WHERE session_id LIKE 'paused-%' AND source_ip IS NULL}), 'f',
	'what comes meanwhile is filled by the trigger');

# It outlasts the process.
$status->run("SELECT pg_terminate_backend($pid)");
$run->{handle}->finish;
becomes('died');
like(status('holding_back'), qr/^paused;/, 'the process has ended, the pause has not');
$run = start($slowly);
becomes('paused');
is(status('batch IS NULL'), 't', 'the next call pauses before its first batch');
is(as('stranger', 'SELECT running FROM cowrie_migration_status'), 't', 'everybody sees that');
like(as('stranger', 'SELECT cowrie_resume_migration()'), qr/permission denied to resume the migration/, 'but not everybody resumes it');

# Another pace, ordered while it is paused; and it is resumed.
load_reference($node, 'app');
is(as('caller', q{SELECT cowrie_pace(batch_size => 500, pause => '0')}), 't', 'another pace');
is(as('caller', 'SELECT cowrie_resume_migration()'), 't', 'the caller resumes it');
is(as('caller', 'SELECT cowrie_resume_migration()'), 'f', 'once');
ok($run->{handle}->finish, 'it comes to its end') or diag($run->{err});
like($run->{err}, qr/NOTICE:  the migration is holding back: paused.*NOTICE:  the migration continues/s, 'and has said what it did');
is($node->safe_psql('app', q{SELECT count(*) FROM cowrie_migration_log WHERE step = 'fill_columns' OR detail LIKE '%held back for%'}) > 0 ? 1 : 0, 1,
	'the ledger knows of the wait');
cmp_ok(status('batch'), '<', 10, 'in large batches');
is(status('outcome, holding_back IS NULL'), 'done|t', 'done');
is($node->safe_psql('app', q{SELECT count(*) FROM cowrie_validate_schema()}), '0', 'no findings');
is(compare($node, 'app'), $no_difference, 'as the reference');
is($node->safe_psql('app', q{SELECT count(*) FROM ip_inventory WHERE ip_address LIKE '192.0.2.%'}) >= 20 ? 1 : 0, 1, 'those of the writers, too');
figure(sprintf 'paused for 3 s: looked %d times, %d locks on tables, %d snapshots; longest write %.0f ms', $looked, $locks, $snapshots, 1000 * $longest);

# Paused, given up, migrated anew: the pause was that of the other migration.
$node->safe_psql('app', 'SELECT count(*) FROM cowrie_cleanup_v16(force => true)');
$run = start($slowly);
$node->poll_query_until('app', "SELECT running AND rows_done > 100 FROM cowrie_migration_status") or die $run->{err};
is(as('caller', 'SELECT cowrie_pause_migration()'), 't', 'paused again');
becomes('paused');
is(as('caller', 'SELECT cowrie_stop_migration()'), 't', 'and stopped out of the pause');
$run->{handle}->finish;
becomes('stopped');
$node->safe_psql('app', 'SELECT count(*) FROM cowrie_cleanup_v16()');
is(status('holding_back IS NULL'), 't', 'a cleanup ends the pause, too');
load_reference($node, 'app');
my ($failed, $err) = call('app');
is($failed, 0, 'the next migration runs') or diag($err);
is(compare($node, 'app'), $no_difference, 'as the reference');

$status->close;
$writer->close;
$node->stop;
done_testing();
