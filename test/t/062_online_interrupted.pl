# An online migration that is killed, cancelled, terminated or asked to stop, at random moments: the
# ledger shows how far it came, the next call goes on from there and says so, and the result is the
# reference's. The status moves forward all the time, ends at 100 %, and after kill -9 tells where it was.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use CowrieTest;
use IPC::Run ();
use Session;
use Test::More;
use Time::HiRes qw(time usleep);

my $rounds = full_counts() ? 30 : 8;
my $seed = $ENV{COWRIE_SEED} // 16;
srand($seed);
my $node = start_node('interrupted', 'restart_after_crash = on');
create_v15($node, 'origin', n => 2_000);
load_reference($node, 'origin');
my $data = data_hash($node, 'origin');

my $call = "CALL cowrie_migrate_v16_online(batch_size => 40, target_batch => '0', pause => '20 ms')";

sub start_migration
{
	my ($database) = @_;
	my %run = (out => '', err => '');
	$run{handle} = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr($database), '-c', $call ],
		'<', \undef, '>', \$run{out}, '2>', \$run{err});
	return \%run;
}

# The backend that migrates, once there is one; '' when it has ended already.
sub backend
{
	my ($database, $run) = @_;
	for (1 .. 500)
	{
		my $pid = $node->safe_psql($database,
			'SELECT pid FROM cowrie_migration_status WHERE running AND step IS NOT NULL');
		return $pid if $pid ne '';
		return '' unless $run->{handle}->pumpable;
		usleep(5_000);
	}
	return '';
}

# Beforehand, how long it takes and what the status says meanwhile -----------------------------------

$node->safe_psql('postgres', 'CREATE DATABASE watched TEMPLATE origin');
my $watcher = Session->new($node, 'watched');
my $begun = time;
my $run = start_migration('watched');
my (@rows, @percents, %steps);
while ($run->{handle}->pumpable)
{
	my $line = $watcher->run('SELECT rows_done, percent, phase, step, mode, batch,'
		. ' progress_bar, run_by FROM cowrie_migration_status WHERE running AND step IS NOT NULL');
	if ($line ne '')
	{
		my ($done, $percent, $phase, $step, $mode, $batch, $bar, $who) = split /\|/, $line;
		push @rows, $done;
		push @percents, $percent;
		$steps{"$phase.$step"} = 1;
		is("$mode|$who", 'online|postgres', 'the status tells mode and caller') if @rows == 1;
	}
	$run->{handle}->pump_nb;
	usleep(10_000);
}
$run->{handle}->finish;
$watcher->close;
my $takes = time - $begun;
cmp_ok(scalar @rows, '>', 10, scalar(@rows) . ' looks at the status');
ok(!(grep { $rows[$_] < $rows[ $_ - 1 ] } 1 .. $#rows), 'rows never go back');
ok(!(grep { $percents[$_] < $percents[ $_ - 1 ] } 1 .. $#percents), 'percent never goes back');
my %moved = map { $_ => 1 } @rows;
cmp_ok(scalar keys %moved, '>', 4, 'rows move from batch to batch');
cmp_ok(scalar keys %steps, '>', 4, 'steps are seen');
is($node->safe_psql('watched', 'SELECT running, mode, step, percent, progress_bar, last_sqlstate, last_message'
			. ' FROM cowrie_migration_status'), 'f|online|finished|100.0|####################||',
	'it ends at 100 %');
is($node->safe_psql('watched', 'SELECT rows_done = rows_total AND rows_done = 2000 FROM cowrie_migration_status'),
	't', 'with all rows');

# At random moments ------------------------------------------------------------------------------

my %count;
my @actions = qw(kill cancel terminate stop);
for my $round (1 .. $rounds)
{
	my $action = $actions[ $round % @actions ];
	my $database = "round_$round";
	copy_database($node, 'origin', $database);
	$run = start_migration($database);
	my $pid = backend($database, $run);
	usleep(rand($takes) * 600_000);
	if ($pid ne '')
	{
		if ($action eq 'kill') { kill 'KILL', $pid; }
		elsif ($action eq 'cancel') { $node->psql($database, "SELECT pg_cancel_backend($pid)"); }
		elsif ($action eq 'terminate') { $node->psql($database, "SELECT pg_terminate_backend($pid)"); }
		else { $node->psql($database, 'SELECT cowrie_stop_migration()'); }
	}
	$run->{handle}->finish;
	$node->poll_query_until($database, 'SELECT NOT running FROM cowrie_migration_status')
	  or die 'it does not come back';

	my ($subphase, $status, $position, $rows) = split /\|/, $node->safe_psql($database,
		q{SELECT (SELECT value FROM schema_state WHERE key = 'schema_subphase'), status, position, rows
		  FROM cowrie_migration_log WHERE phase IS NULL ORDER BY log_id DESC LIMIT 1});
	if (defined $status and $status ne 'done')
	{
		$count{$action}++;
		my %expected = (kill => 'running', terminate => 'running', cancel => 'failed', stop => 'stopped');
		is($status, $expected{$action}, "round $round, $action: the ledger says $status");
		like($node->safe_psql($database, 'SELECT phase, step FROM cowrie_migration_status'),
			qr/^\d\|\w+$/, "round $round, $action: the status tells phase and step");
		is($node->safe_psql($database, 'SELECT last_sqlstate FROM cowrie_migration_status'), '57014',
			"round $round: the status tells of the cancel") if $action eq 'cancel';
	}
	my ($out, $notices) = ('', '');
	is($node->psql($database, $call, stdout => \$out, stderr => \$notices), 0,
		"round $round, $action: the next call finishes") or diag($notices);
	if (defined $status and $status ne 'done')
	{
		like($notices, qr/NOTICE:  resuming the online migration/, "round $round, $action: it resumes");
		like($notices, qr/resuming the online migration after place $position of 2000 in the queue, $rows sessions filled/,
			"round $round, $action: where the ledger says") if $position ne '' and $subphase eq ''
		  and $notices !~ /after all sessions were filled/;
	}
	is(compare($node, $database), $no_difference, "round $round, $action: as the reference");
	is($node->safe_psql($database, 'SELECT count(*) FROM cowrie_validate_schema()'), '0',
		"round $round, $action: no findings");
	is(data_hash($node, $database), $data, "round $round, $action: data unchanged");
	is($node->safe_psql($database, q{SELECT count(*) FROM pg_class WHERE relname LIKE 'cowrie_migrate\_%'
			AND relkind = 'r'}), '0', "round $round, $action: no work table is left");
	$node->safe_psql('postgres', "DROP DATABASE $database");
}
my $interrupted = 0;
$interrupted += $_ for values %count;
cmp_ok($interrupted, '>=', $rounds / 2, "$interrupted of $rounds were interrupted in the middle");
figure("online, interrupted at $interrupted random points of $rounds tried (seed $seed): "
	  . join(', ', map { "$_ $count{$_}" } sort keys %count) . '; all resumed, all as the reference');

# Who may stop it ---------------------------------------------------------------------------------

$node->safe_psql('postgres', 'CREATE ROLE stranger LOGIN');
$node->safe_psql('postgres', 'CREATE DATABASE stopping TEMPLATE origin');
$run = start_migration('stopping');
backend('stopping', $run);
my $stderr = '';
$node->psql('stopping', 'SELECT cowrie_stop_migration()', stderr => \$stderr,
	extra_params => [ '-U', 'stranger' ]);
like($stderr, qr/permission denied to stop the migration/, 'a stranger may not stop it');
is($node->safe_psql('stopping', 'SELECT cowrie_stop_migration()'), 't', 'a superuser may');
$run->{handle}->finish;
like($run->{err}, qr/WARNING:  the online migration has stopped on request/, 'it stops, and says so');
is($node->safe_psql('stopping', 'SELECT cowrie_stop_migration()'), 'f', 'nothing to stop any more');

$node->stop;
done_testing();
