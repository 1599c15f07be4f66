# What docs/RECOVERY.md opens with, followed as it stands: the status is looked at, the first row of its table
# that fits says what to run, and where that is refused the HINT does. From every state in which production
# databases were found, from runs that ended at any step and in any way, from a lock that somebody holds and a
# disk that is full, one command or two lead to a complete schema, with the data as it was.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use CowrieTest;
use File::Basename qw(basename);
use IPC::Run ();
use Online;
use PostgreSQL::Test::Utils;
use Session;
use Test::More;

my $node = start_node('first', 'restart_after_crash = on', 'autovacuum = off', 'max_prepared_transactions = 2');
work_in($node);
create_v15($node, 'origin', n => 300);

# The table of the section: [mode, outcome, command], in its order.
my $page = slurp_file("$FindBin::RealBin/../../docs/RECOVERY.md");
my ($section) = $page =~ /^## First: let it recover itself\n(.*?)^## /ms;
my ($table) = $section =~ /^\| `mode` \| `outcome` \|[^\n]*\n\|[-|]+\n((?:\|[^\n]*\n)+)/m;
my @rows;
foreach my $line (split /\n/, $table // '')
{
	my ($mode, $outcome, undef, $run) = $line =~ /^\| `?(\w+)`? \| `?([\w -]+?)`? \| (.*?) \| `([^`]+;)`/;
	ok(defined $run, "a row that says what to run: $line");
	push @rows, [ $mode, $outcome, $run ];
}
like($section =~ s/\s+/ /gr, qr/\*\*If that call is refused, follow its HINT, up to the first call of this extension that it names\.\*\*/,
	'and what to do when that is refused');

sub fits
{
	my ($expected, $seen) = @_;
	return $expected eq 'any' || $expected eq ($seen eq '' ? 'none' : $seen);
}

# What the status says to run.
sub command_for
{
	my ($database) = @_;
	my ($mode, $outcome, $waits) = split /\|/, $node->safe_psql($database, 'SELECT mode, outcome, waiting_for FROM cowrie_migration_status'), 3;
	my ($row) = grep { fits($_->[0], $mode) && fits($_->[1], $outcome) } @rows;
	return ("nothing fits $mode, $outcome", $mode, $outcome) unless $row;
	my $command = $row->[2];
	if ($command =~ /12345/)
	{
		my ($pid) = $waits =~ /held by process (\d+)/;
		my ($named) = $waits =~ /^((?:COMMIT|ROLLBACK) PREPARED '[^']*')/;
		$command = defined $pid ? $command =~ s/12345/$pid/r : $named // 'nothing is named';
	}
	return ($command, $mode, $outcome);
}

sub first_call_of_hint
{
	my ($stderr) = @_;
	my ($hint) = $stderr =~ /HINT:  (.*)/s;
	return ($hint // '') =~ /\b((?:SELECT \* FROM|CALL) cowrie_[^;]*;)/ ? $1 : "no call in: $stderr";
}

my ($followed, %taken);

# Follows the section. Options: refused (what an operator has just been told), running (a call that goes on by itself
# once it is let), mended (the cause was, between the first command and the second).
sub follow
{
	my ($name, $database, $facts, %options) = @_;
	my $before = $options{before} // data_hash($node, $database);
	my ($command, $mode, $outcome) = command_for($database);
	$command = first_call_of_hint($options{refused}) if $options{refused};
	is("$mode|$outcome", $facts, "$name: what the status says") if defined $facts;
	my $steps = 0;
	while ($steps < 2)
	{
		$steps++;
		my ($status, $stderr) = (0, '');
		$status = $node->psql($database, "SET client_min_messages = error;\n$command", stderr => \$stderr);
		last if $status == 0;
		$command = first_call_of_hint($stderr);
	}
	$options{running}{handle}->finish if $options{running};
	$taken{$steps}++;
	$followed++;
	is($node->safe_psql($database, 'SELECT object_name, problem FROM cowrie_validate_schema()'), '', "$name: complete after $steps")
	  or diag("the last command: $command");
	is($node->safe_psql($database, q{SELECT value FROM schema_state WHERE key = 'schema_version'}) >= 16, 1, "$name: version 16");
	is(data_hash($node, $database), $before, "$name: the data is as before");
	return;
}

# A call in the background: {handle, out, err}.
sub begin
{
	my ($database, @statements) = @_;
	my %run = (out => '', err => '');
	$run{handle} = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr($database), map { ('-c', $_) } @statements ],
		'<', \undef, '>', \$run{out}, '2>', \$run{err});
	return \%run;
}

sub status_says
{
	my ($database, $condition) = @_;
	$node->poll_query_until($database, "SELECT count(*) = 1 FROM cowrie_migration_status WHERE $condition") or die "$database: never $condition";
	return;
}

# Nothing has been done yet; and everything.
copy('version_15');
follow('version 15', 'version_15', '|');
follow('complete', 'version_15', 'atomic|done');

# The states that others have left, in a database in which the extension is new, as it is where it is called for
# help; and some where it has migrated before.
my @states = map { basename($_, '.sql') } glob "$FindBin::RealBin/../fixtures/states/*.sql";
cmp_ok(scalar @states, '>=', 13, 'states');
foreach my $i (0 .. $#states)
{
	my $state = $states[$i];
	copy($state);
	run_script($node, $state, "states/$state.sql", schema => 'public');
	my $known = $i % 4 == 0;
	$node->safe_psql($state, 'DROP EXTENSION cowrie_migrate; CREATE EXTENSION cowrie_migrate') unless $known;
	follow($state, $state, $known ? undef : '|');
}

# An online run that failed at a step; and whoever takes the atomic function for it is led back.
copy('complete');
call('complete', undef, '');
my @steps = split /\n/, $node->safe_psql('complete',
	q{SELECT phase || '.' || step FROM cowrie_migration_log WHERE step IS NOT NULL ORDER BY log_id});
cmp_ok(scalar @steps, '>', 20, 'steps');
foreach my $i (grep { $_ % 10 == 0 or full_counts() } 0 .. $#steps)
{
	my $database = "step_$i";
	interrupted($database, $steps[$i]);
	my $stderr = '';
	my $status = $node->psql($database, 'SELECT * FROM cowrie_migrate_v16()', stderr => \$stderr);
	like($stderr, qr/HINT:  Resume the unfinished online migration: run CALL cowrie_migrate_v16_online\(\);/,
		"$steps[$i]: the atomic function names the CALL")
	  if $status != 0;
	next if $status == 0;    # nothing had been made: it has migrated
	follow("online, $steps[$i]", $database, 'online|failed');
}

# An atomic one.
foreach my $step ('1.fill_columns', '3.load_ip_inventory', '5.set_version')
{
	my $database = "atomic_$step" =~ tr/./_/r;
	copy($database);
	$node->psql($database, fail_at($step) . '; SELECT * FROM cowrie_migrate_v16()');
	follow("atomic, $step", $database, 'atomic|failed');
}

# Somebody holds a lock: the session that does is named, and the run goes on.
foreach my $mode (qw(online atomic))
{
	my $database = "locked_$mode";
	copy($database);
	my $before = data_hash($node, $database);
	my $holder = Session->new($node, $database);
	$holder->run('BEGIN; SELECT count(*) FROM session_summaries');
	my $run = begin($database, 'SET cowrie_migrate.lock_timeout = 0',
		$mode eq 'online' ? 'CALL cowrie_migrate_v16_online()' : 'SELECT count(*) FROM cowrie_migrate_v16()');
	# online from the second attempt on: between the first one and its report the run does not wait
	my $attempt = $mode eq 'online' ? '.* attempt ' : '';
	status_says($database, "outcome = 'waiting' AND waiting_for ~ 'held by process$attempt'");
	follow("a lock, $mode", $database, "$mode|waiting", running => $run, before => $before);
	$holder->{psql}->kill_kill;
}
# It has given up meanwhile.
copy('gave_up');
{
	my $holder = Session->new($node, 'gave_up');
	$holder->run('BEGIN; SELECT count(*) FROM session_summaries');
	call('gave_up', 'SET cowrie_migrate.lock_attempts = 2');
	$holder->close;
	follow('a lock, given up', 'gave_up', 'online|failed');
}
# A prepared transaction holds the run.
copy('prepared');
$node->safe_psql('prepared', q{SET client_min_messages = error; BEGIN; SELECT count(*) FROM cowrie_migrate_v16(); PREPARE TRANSACTION 'm'});
follow('prepared', 'prepared', 'atomic|waiting', before => data_hash($node, 'origin'));

# Stopped, cancelled, terminated, killed.
my %ends = (
	stopped => [ 'SELECT cowrie_stop_migration()', 'stopped' ],
	cancelled => [ 'SELECT pg_cancel_backend(pid) FROM cowrie_migration_status', 'failed' ],
	terminated => [ 'SELECT pg_terminate_backend(pid) FROM cowrie_migration_status', 'died' ]);
foreach my $way (sort keys %ends)
{
	my $database = $way;
	copy($database);
	my $run = start_and_rest($database);
	$node->safe_psql($database, $ends{$way}[0]);
	$run->{handle}->finish;
	status_says($database, 'NOT running');
	follow("online, $way", $database, "online|$ends{$way}[1]");
}
foreach my $mode (qw(online atomic))
{
	my $database = "killed_$mode";
	copy($database);
	my $holder = Session->new($node, $database);
	my $run;
	if ($mode eq 'online')
	{
		$run = start_and_rest($database);
	}
	else
	{
		$holder->run('BEGIN; SELECT count(*) FROM session_summaries');
		$run = begin($database, 'SET cowrie_migrate.lock_timeout = 0', 'SELECT count(*) FROM cowrie_migrate_v16()');
		status_says($database, q{outcome = 'waiting'});
	}
	my $pid = $node->safe_psql($database, 'SELECT pid FROM cowrie_migration_status');
	$node->safe_psql($database, 'CHECKPOINT');    # the server has less to do after the crash
	kill_backend($node, $pid);
	$run->{handle}->finish;
	$holder->{psql}->kill_kill;
	follow("$mode, killed", $database, "$mode|died");
}

# Too little room: refused before anything has begun, online; the room has been made since.
foreach my $mode (qw(online atomic))
{
	my $database = "full_$mode";
	copy($database);
	my $stderr = '';
	$node->psql($database, q{SET cowrie_migrate.free_space = '1MB';}
		  . ($mode eq 'online' ? 'CALL cowrie_migrate_v16_online()' : 'SELECT * FROM cowrie_migrate_v16()'), stderr => \$stderr);
	like($stderr, qr/ERROR:  not enough free space for the migration/, "$mode: the disk is full");
	follow("$mode, a full disk", $database, $mode eq 'online' ? '|' : 'atomic|failed', $mode eq 'online' ? (refused => $stderr) : ());
	like($node->safe_psql($database, 'SELECT mode FROM cowrie_migration_status'), qr/^$mode$/, "$mode, a full disk: the same way");
}

# Undone by a cleanup.
copy('undone');
$node->safe_psql('undone', 'SET client_min_messages = error; SELECT count(*) FROM cowrie_migrate_v16(); SELECT count(*) FROM cowrie_cleanup_v16()');
follow('undone', 'undone', 'cleanup|undone');

is(join(' ', grep { $_ > 2 } keys %taken), '', 'never more than two commands');
figure("the first section of the guide: $followed situations, " . join(', ', map { "$taken{$_} by $_" . ($_ == 1 ? ' command' : ' commands') } sort keys %taken));
$node->stop;
done_testing();
