# What the status and the ledger say of a run that waits for a lock that somebody else holds, and of each way in
# which a run can end.
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

my $node = start_node('outcomes', 'max_prepared_transactions = 2', 'restart_after_crash = on');
work_in($node);
create_v15($node, 'origin', owner => 'app_owner', n => 1000);
$node->safe_psql('origin', 'GRANT CREATE ON SCHEMA public TO app_owner');

sub outcome
{
	my ($database) = @_;
	return $node->safe_psql($database, 'SELECT outcome FROM cowrie_migration_status');
}

# A session that holds a lock, and a call that does not get it: {handle, out, err}.
sub blocked
{
	my ($database, $call, @before) = @_;
	my $holder = Session->new($node, $database, application => 'report');
	$holder->run('BEGIN; SELECT count(*) FROM session_summaries');
	my %run = (out => '', err => '', holder => $holder);
	$run{handle} = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr($database), (map { ('-c', $_) } @before, $call) ],
		'<', \undef, '>', \$run{out}, '2>', \$run{err});
	return \%run;
}

copy('fresh');
is(outcome('fresh'), '', 'no run yet: no outcome');

# Waiting, online: in short attempts, so that most of the time nothing is to be seen in pg_locks.
{
	copy('waits');
	my $run = blocked('waits', 'CALL cowrie_migrate_v16_online()');
	my $pid = $run->{holder}->pid;
	ok($node->poll_query_until('waits', q{SELECT waiting_for ~ 'attempt [2-9]' FROM cowrie_migration_status}),
		'online: it says what it waits for');
	my $row = '';
	# As somebody without rights sees it, and as a superuser does.
	$node->safe_psql('waits', 'CREATE ROLE onlooker LOGIN');
	like($node->safe_psql('waits', 'SELECT running, mode, step, outcome, waiting_for FROM cowrie_migration_status'),
		qr/^t\|online\|add_columns\|waiting\|(?:public\.)?session_summaries, held by process $pid \(\w+, idle in transaction, since [-0-9: +]+\), attempt \d+ of 100$/,
		'online: the table, who holds it, and which attempt it is');
	like($node->safe_psql('waits', 'SELECT outcome, waiting_for FROM cowrie_migration_status',
			extra_params => [ '-U', 'onlooker' ]),
		qr/^waiting\|(?:public\.)?session_summaries, held by process $pid /, 'online: to everybody');
	like((call('waits'))[1], qr/another migration is running in this database/,
		'online: it is still the one run, however often it has tried');
	$run->{holder}->close;
	$run->{handle}->finish;
	is(outcome('waits'), 'done', 'online: once the lock is free it ends well');
	is($node->safe_psql('waits', 'SELECT waiting_for FROM cowrie_migration_status'), '', 'and waits for nothing');
	is(finishes_nothing('waits'), '', 'nothing is left to do');
}

sub finishes_nothing
{
	my ($database) = @_;
	return $node->safe_psql($database, 'SELECT object_name FROM cowrie_validate_schema()');
}

# It gives up: the ledger keeps who it was.
{
	copy('gives_up');
	my (undef, $stderr) = call('gives_up', fail_at('2.load_asn_inventory'));
	like($stderr, qr/injected/, 'interrupted after the sessions were filled');
	my $holder = Session->new($node, 'gives_up', application => 'report', user => 'app_owner');
	$holder->run('BEGIN; LOCK TABLE asn_inventory IN SHARE MODE');
	my $pid = $holder->pid;
	($stderr) = (call('gives_up', q{SET cowrie_migrate.lock_attempts = 4}))[1];
	like($stderr, qr/ERROR:  could not obtain lock after 4 attempts/, 'it gives up, after as many attempts as were asked for');
	is(outcome('gives_up'), 'failed', 'gave up: failed');
	like($node->safe_psql('gives_up', q{SELECT detail FROM cowrie_migration_log WHERE phase IS NULL ORDER BY log_id DESC LIMIT 1}),
		qr/process $pid of user \w+ holds ShareLock on asn_inventory \(state idle in transaction/,
		'the row of the run names process, user and state');
	like($node->safe_psql('gives_up', q{SELECT detail FROM cowrie_migration_log WHERE phase IS NOT NULL ORDER BY log_id DESC LIMIT 1}),
		qr/process $pid of user/, 'so does that of the step');
	$holder->close;
	is((call('gives_up'))[0], 0, 'and the next call goes on');
	is(outcome('gives_up'), 'done', 'done');
}

# In one transaction.
{
	copy('atomic');
	my $run = blocked('atomic', 'SELECT count(*) FROM cowrie_migrate_v16()', 'SET cowrie_migrate.lock_timeout = 0');
	my $pid = $run->{holder}->pid;
	ok($node->poll_query_until('atomic', q{SELECT outcome = 'waiting' FROM cowrie_migration_status}), 'atomic: waiting');
	like($node->safe_psql('atomic', 'SELECT waiting_for FROM cowrie_migration_status'),
		qr/session_summaries, held by process $pid \(\w+, idle in transaction, since/, 'atomic: for whom');
	# Cancelled while it waits.
	$node->safe_psql('atomic', 'SELECT pg_cancel_backend(pid) FROM cowrie_migration_status');
	$run->{handle}->finish;
	is(outcome('atomic'), 'failed', 'cancelled: failed');
	is($node->safe_psql('atomic', 'SELECT last_sqlstate FROM cowrie_migration_status'), '57014', 'with its SQLSTATE');
	like($node->safe_psql('atomic', 'SELECT last_message FROM cowrie_migration_status'),
		qr/^SQLSTATE 57014 at step lock_tables; everything was rolled back\. The message is in /, 'and where its message is');
	$run->{holder}->close;

	my $session = Session->new($node, 'atomic');
	$session->run('SET client_min_messages = error; BEGIN; SELECT count(*) FROM cowrie_migrate_v16()');
	is(outcome('atomic'), 'running', 'not committed yet: running');
	my ($said, $told) = ('', '');
	$node->psql('atomic', q{SET cowrie_migrate.lock_timeout = '100ms'; SELECT * FROM cowrie_rejected_values()}, stdout => \$said, stderr => \$told);
	like($told, qr/ERROR:  another migration is running in this database\nDETAIL: .*\nHINT:  Watch it with SELECT \* FROM cowrie_migration_status;/,
		'rejected values, meanwhile: what runs, and what to do');
	$session->run('ROLLBACK');
	is($node->safe_psql('atomic', 'SELECT outcome, percent FROM cowrie_migration_status'), 'undone|0.0', 'rolled back by the caller: undone');
	$session->run('BEGIN; SELECT count(*) FROM cowrie_migrate_v16(); COMMIT');
	is($node->safe_psql('atomic', 'SELECT outcome, percent FROM cowrie_migration_status'), 'done|100.0', 'committed: done');
	$session->run('SELECT count(*) FROM cowrie_cleanup_v16()');
	is($node->safe_psql('atomic', 'SELECT mode, outcome, percent FROM cowrie_migration_status'), 'cleanup|undone|0.0',
		'after a cleanup: undone');
	$session->run(q{BEGIN; SELECT count(*) FROM cowrie_migrate_v16(); PREPARE TRANSACTION 'm'});
	is($node->safe_psql('atomic', 'SELECT outcome, waiting_for FROM cowrie_migration_status'),
		q{waiting|COMMIT PREPARED 'm' or ROLLBACK PREPARED 'm'}, 'prepared: it waits for that');
	$session->run(q{COMMIT PREPARED 'm'});
	is(outcome('atomic'), 'done', 'committed: done');
	$session->close;
}

# Failed, stopped, died.
{
	interrupted('failed', '3.load_ip_inventory');
	is(outcome('failed'), 'failed', 'online: failed');
	is((call('failed'))[0], 0, 'resumed');
	is(outcome('failed'), 'done', 'online: done');

	copy('stopped');
	my $run = start_and_rest('stopped');
	is(outcome('stopped'), 'running', 'online: running');
	$node->safe_psql('stopped', 'SELECT cowrie_stop_migration()');
	$run->{handle}->finish;
	is($node->safe_psql('stopped', 'SELECT outcome, last_sqlstate FROM cowrie_migration_status'), 'stopped|', 'online: stopped');
	is($node->safe_psql('stopped', q{SELECT status FROM cowrie_migration_log WHERE phase IS NULL ORDER BY log_id DESC LIMIT 1}),
		'stopped', 'as the ledger has it');

	copy('terminated');
	$run = start_and_rest('terminated');
	my $pid = $node->safe_psql('terminated', 'SELECT pid FROM cowrie_migration_status');
	$node->safe_psql('terminated', "SELECT pg_terminate_backend($pid)");
	$run->{handle}->finish;
	$node->poll_query_until('terminated', 'SELECT NOT running FROM cowrie_migration_status');
	is(outcome('terminated'), 'died', 'terminated: died');

	copy('killed');
	$run = start_and_rest('killed');
	kill_backend($node, $node->safe_psql('killed', 'SELECT pid FROM cowrie_migration_status'));
	$run->{handle}->finish;
	is(outcome('killed'), 'died', 'killed: died');
	is((call('killed'))[0], 0, 'resumed');
	is(outcome('killed'), 'done', 'done');
}

$node->stop;
done_testing();
