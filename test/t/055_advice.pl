# What a preflight prints while a migration runs, after it was stopped and after a crash: it names nothing of
# the migration as somebody else's, a running migration is the one blocker, and every remedy that it prints,
# pasted as it is, leaves the run alive and loses no work. The other functions advise nobody to end it either.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use CowrieTest;
use IPC::Run ();
use Online;
use PostgreSQL::Test::Utils;
use Session;
use Test::More;

# Two workers read ahead, so that a run has processes of its own.
my $node = start_node('advice', 'max_worker_processes = 16', 'max_prepared_transactions = 2', 'restart_after_crash = on');
work_in($node);
create_v15($node, 'origin', owner => 'app_owner', n => 2000);
$node->safe_psql('origin', 'GRANT CREATE ON SCHEMA public TO app_owner');
my @as_owner = (extra_params => [ '-U', 'app_owner' ]);

# The rows of a preflight: [severity, hazard, detail, remedy].
sub preflight
{
	my ($database, @connect) = @_;
	my $out = $node->safe_psql($database, q{SET cowrie_migrate.lock_timeout = '100ms';
SELECT concat_ws('|', severity, hazard, coalesce(replace(detail, E'\n', ' '), ''), coalesce(remedy, ''))
FROM cowrie_preflight_v16()}, @connect);
	return map { [ split /\|/, $_, 4 ] } split /\n/, $out;
}

# Every command in the remedies of these rows, as somebody would paste it; returns them.
sub paste
{
	my ($database, @rows) = @_;
	my @commands;
	foreach my $row (@rows)
	{
		my $remedy = $row->[3] // '';
		$remedy =~ s/--.*//;
		push @commands, $1 while $remedy =~ /\b((?:SELECT|CALL|ALTER|DROP|CREATE|SET|VACUUM|ROLLBACK|GRANT)\b[^;]*;)/g;
	}
	foreach my $command (@commands)
	{
		my $stderr = '';
		$node->psql($database, $command, stderr => \$stderr, timeout => 120);
		note("pasted: $command $stderr");
	}
	return @commands;
}

# What every such preflight has in common.
sub harmless
{
	my ($what, $pids, @rows) = @_;
	my $all = join("\n", map { join '|', @$_ } @rows);
	foreach my $pid (@$pids)
	{
		unlike($all, qr/pg_(?:terminate|cancel)_backend\($pid\)/, "$what: nobody is advised to end process $pid");
	}
	unlike($all, qr/TRIGGER zz_cowrie|(?:DROP|RENAME|ALTER) \S* ?"?cowrie_migrate/, "$what: nor to touch its objects");
	return $all;
}

sub blockers
{
	return join(', ', map { $_->[1] } grep { $_->[0] eq 'blocker' } @_);
}

my $running = 'another migration is running in this database';

# In one transaction: the run, its workers and what it has locked.
{
	copy('atomic');
	load_reference($node, 'atomic');
	# It waits in its first step for a process that the test holds back: the run lock is taken, the tables are not.
	my $reader = Session->new($node, 'atomic', application => 'report');
	$reader->run('BEGIN; SELECT count(*) FROM session_summaries');
	my ($out, $err) = ('', '');
	my $run = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('atomic'), '-c',
			q{SET cowrie_migrate.lock_timeout = 0}, '-c', 'SELECT count(*) FROM cowrie_migrate_v16()' ],
		'<', \undef, '>', \$out, '2>', \$err);
	$node->poll_query_until('atomic', q{SELECT outcome = 'waiting' FROM cowrie_migration_status});
	my $pid = $node->safe_psql('atomic', 'SELECT pid FROM cowrie_migration_status');
	my @rows = preflight('atomic');
	harmless('waiting', [$pid], @rows);
	is(blockers(@rows), $running, 'waiting: the one blocker');
	like(join('|', map { $_->[1] } @rows), qr/idle in transaction/, 'waiting: who holds it up is still named');
	is(blockers(preflight('atomic', @as_owner)), $running, 'waiting: the one blocker, to the owner too');
	$reader->close;
	$run->finish;
	is($err =~ /ERROR/ ? $err : '', '', 'it finishes');
	is(compare($node, 'atomic'), $no_difference, 'as the reference');

	# In a transaction that is still open, its tables locked and changed.
	copy('held');
	my $session = Session->new($node, 'held');
	$session->run('SET client_min_messages = error; BEGIN; SELECT count(*) FROM cowrie_migrate_v16()');
	foreach my $who ([], \@as_owner)
	{
		@rows = preflight('held', @$who);
		harmless('in its transaction', [ $session->pid ], @rows);
		is(blockers(@rows), $running, 'in its transaction: the one blocker');
		my @pasted = paste('held', @rows);
		cmp_ok(scalar @pasted, '>', 0, 'in its transaction: something was pasted');
	}
	foreach my $look ('cowrie_validate_schema()', 'cowrie_checkpoint_v16()')
	{
		my ($status, undef, $stderr) = $node->psql('held', "SET cowrie_migrate.lock_timeout = '100ms'; SELECT * FROM $look");
		like($stderr, qr/\Q$running\E/, "in its transaction: $look says so");
		unlike($stderr, qr/terminate_backend/, "in its transaction: $look advises nobody to end it");
	}
	$session->run('COMMIT');
	is($node->safe_psql('held', 'SELECT count(*) FROM cowrie_validate_schema()'), '0', 'and it commits');
	$session->close;

	# The same, prepared: neither of the ways to end it is advised as somebody else's.
	copy('prepared');
	$node->safe_psql('prepared', q{SET client_min_messages = error;
BEGIN; SELECT count(*) FROM cowrie_migrate_v16(); PREPARE TRANSACTION 'migration'});
	@rows = preflight('prepared');
	is(join(', ', map { $_->[1] } grep { "@$_" =~ /ROLLBACK PREPARED/ and $_->[0] ne 'blocker' } @rows), '',
		'prepared: no remedy takes it back');
	is(blockers(@rows), $running, 'prepared: the one blocker');
	$node->safe_psql('prepared', q{COMMIT PREPARED 'migration'});
	is($node->safe_psql('prepared', 'SELECT count(*) FROM cowrie_validate_schema()'), '0', 'prepared: and committed');
}

# Parallel workers: they hold locks of the same tables, under numbers of their own.
{
	copy('parallel');
	my $session = Session->new($node, 'parallel');
	$session->run('BEGIN');
	$session->run(q{SET LOCAL client_min_messages = error; SELECT count(*) FROM cowrie_migrate_v16()});
	# As a run has them while it reads ahead or sorts: a query of the session that holds the run lock.
	$session->run(q{SET LOCAL parallel_setup_cost = 0; SET LOCAL parallel_tuple_cost = 0;
SET LOCAL enable_indexonlyscan = off; SET LOCAL parallel_leader_participation = off});
	$session->begin(q{SELECT count(*) FROM session_summaries WHERE pg_sleep(0.01) IS NULL});
	my $leader = $session->pid;
	ok($node->poll_query_until('parallel',
			"SELECT count(*) > 0 FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid) WHERE a.leader_pid = $leader AND l.locktype = 'relation'"),
		'parallel: workers hold locks');
	my $workers = $node->safe_psql('parallel', "SELECT pid FROM pg_stat_activity WHERE leader_pid = $leader");
	foreach my $who ([], \@as_owner)
	{
		my @rows = preflight('parallel', @$who);
		harmless('parallel', [ $leader, split /\n/, $workers ], @rows);
		is(blockers(@rows), $running, 'parallel: the one blocker');
		paste('parallel', @rows);
	}
	is($node->safe_psql('parallel', "SELECT count(*) FROM pg_stat_activity WHERE pid = $leader"), '1',
		'parallel: the run is alive');
	$session->run('COMMIT');
	is($node->safe_psql('parallel', 'SELECT count(*) FROM cowrie_validate_schema()'), '0', 'parallel: and commits');
	$session->close;
}

# Online: while it fills, while its background process waits, after a stop, after a crash.
sub of_unfinished
{
	my ($what, $database) = @_;
	my @rows = preflight($database);
	harmless($what, [], @rows);
	is(join(', ', map { $_->[1] } grep { $_->[1] eq 'trigger' } @rows), '', "$what: its trigger is nobody else's");
	my ($own) = grep { $_->[1] eq 'unfinished migration' } @rows;
	like($own ? $own->[2] : '', qr/trigger zz_cowrie_migrate_online on \S+session_summaries.*do not change them/,
		"$what: whose it is");
	is($own ? $own->[3] : '', 'CALL cowrie_migrate_v16_online();', "$what: the remedy goes on with it");
	is(blockers(@rows), 'incomplete v16 schema detected', "$what: not yet complete");
	my ($filled) = $node->safe_psql($database,
		'SELECT position FROM cowrie_migration_log WHERE phase IS NULL ORDER BY log_id DESC LIMIT 1');
	load_reference($node, $database);
	my $log = -s $node->logfile;
	my @pasted = paste($database, @rows);
	cmp_ok(scalar(grep { /^CALL/ } @pasted), '>', 0, "$what: the CALL was pasted");
	is($node->safe_psql($database, 'SELECT count(*) FROM cowrie_validate_schema()'), '0', "$what: that completes it");
	is(compare($node, $database), $no_difference, "$what: as the reference");
	is($node->safe_psql($database,
			q{SELECT bool_and((resume ->> 'trigger') = first_value) FROM (SELECT resume, first_value(resume ->> 'trigger')
			  OVER (ORDER BY log_id) FROM cowrie_migration_log WHERE phase IS NULL AND mode = 'online') AS runs}),
		't', "$what: no work was lost: the same trigger to the end");
	cmp_ok($filled, '>', 0, "$what: sessions had been filled");
	return;
}
{
	copy('online');
	my $run = start_and_rest('online');
	my $pid = $node->safe_psql('online', 'SELECT pid FROM cowrie_migration_status');
	my @rows = preflight('online');
	my $all = harmless('online', [$pid], @rows);
	is(blockers(@rows), $running, 'online: the one blocker');
	like($all, qr/unfinished migration\|.*belong to the running migration; do not change them/, 'online: whose the trigger is');
	paste('online', @rows);
	is($node->safe_psql('online', 'SELECT running, pid FROM cowrie_migration_status'), "t|$pid", 'online: the run is alive');
	is($node->safe_psql('online', 'SELECT cowrie_stop_migration()'), 't', 'stopped');
	$run->{handle}->finish;
	of_unfinished('after a stop', 'online');
}
{
	copy('worker');
	my $old = Session->new($node, 'worker');
	my $run = start_and_rest('worker');
	$old->run('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM session_summaries');
	go_on('worker');
	ok($node->poll_query_until('worker', q{SELECT count(*) = 1 FROM pg_stat_activity AS a JOIN pg_locks AS l USING (pid)
		WHERE a.backend_type = 'cowrie_migrate' AND NOT l.granted AND a.datname = current_database()}), 'background process: it waits');
	my $worker = $node->safe_psql('worker', q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'cowrie_migrate'});
	foreach my $who ([], \@as_owner)
	{
		my @rows = preflight('worker', @$who);
		harmless('background process', [ $worker, $node->safe_psql('worker', 'SELECT pid FROM cowrie_migration_status') ], @rows);
		is(blockers(@rows), $running, 'background process: the one blocker');
	}
	$old->close;
	$run->{handle}->finish;
	is($node->safe_psql('worker', 'SELECT count(*) FROM cowrie_validate_schema()'), '0', 'background process: and the run ends well');
}
{
	copy('killed');
	my $run = start_and_rest('killed');
	kill_backend($node, $node->safe_psql('killed', 'SELECT pid FROM cowrie_migration_status'));
	$run->{handle}->finish;
	of_unfinished('after a crash', 'killed');
}

# A table that somebody has planted is not to be given anything.
{
	copy('planted');
	$node->safe_psql('planted', q{CREATE ROLE planter; GRANT CREATE ON SCHEMA public TO planter; SET ROLE planter;
CREATE TABLE ip_inventory (ip_address varchar(45)); ALTER TABLE ip_inventory ENABLE ROW LEVEL SECURITY;
CREATE TABLE of_planter () INHERITS (ip_inventory)});
	my @rows = preflight('planted');
	is(blockers(@rows), '"public"."ip_inventory" does not belong to the owner of session_summaries',
		'planted: whose it is, and nothing else');
	unlike(join("\n", map { "@$_" } @rows), qr/GRANT/, 'planted: nothing is granted on it');
}

$node->stop;
done_testing();
