# What the tests of the online mode share: copies of a database, calls that are interrupted, slowed or led to
# the end. Each of them works in one node.
package Online;

use strict;
use warnings;

use CowrieTest;
use Exporter 'import';
use IPC::Run ();
use Test::More ();

our @EXPORT = qw(work_in copy interrupted fail_at call finishes start_and_rest go_on);

my $node;

# The node that everything here is done in.
sub work_in
{
	($node) = @_;
	return;
}

# A copy of a database, of "origin" when none is named.
sub copy
{
	my ($database, $from) = @_;
	copy_database($node, $from // 'origin', $database);
	return;
}

# A copy of "origin" with a migration that was interrupted right before a step.
sub interrupted
{
	my ($database, $step) = @_;
	copy($database);
	my (undef, $stderr) = call($database, fail_at($step));
	Test::More::like($stderr, qr/injected failure at \Q$step\E/, "$database: interrupted");
	return;
}

# The statement after which a call fails right before a step.
sub fail_at
{
	my ($step) = @_;
	return "SET cowrie_migrate.fail_at = '$step'";
}

# Calls the migration after statements of the same session: (status, stderr). By default in batches that are
# small enough for many of them.
sub call
{
	my ($database, $before, $arguments) = @_;
	my $stderr = '';
	my $status = $node->psql($database,
		(defined $before ? "$before;\n" : '')
		  . 'CALL cowrie_migrate_v16_online(' . ($arguments // q{batch_size => 100, target_batch => '0'}) . ')', stderr => \$stderr);
	return ($status, $stderr);
}

# Goes on to the end: the result follows from the sessions as they are now. Returns what the call says.
sub finishes
{
	my ($database, $before) = @_;
	load_reference($node, $database);
	my ($status, $stderr) = call($database, $before);
	Test::More::is($status, 0, "$database: finishes") or Test::More::diag($stderr);
	Test::More::is(compare($node, $database), $no_difference, "$database: as the reference");
	Test::More::is($node->safe_psql($database, 'SELECT count(*) FROM cowrie_validate_schema()'), '0',
		"$database: no findings");
	Test::More::is($node->safe_psql($database, q{SELECT to_regclass('cowrie_migrate_queue') IS NULL}), 't',
		"$database: the queue is gone");
	return $stderr;
}

# Begins a migration that rests for long after its first batch, and waits until it rests: {handle, out, err}.
# What a test does next meets a run in the middle of its batches, however slow the machine is.
sub start_and_rest
{
	my ($database, $batch, @more) = @_;
	$batch //= 50;
	my $arguments = join ', ', @more, "batch_size => $batch", q{target_batch => '0'}, q{pause => '10 minutes'};
	my %run = (out => '', err => '');
	$run{handle} = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr($database), '-c',
			"CALL cowrie_migrate_v16_online($arguments)" ],
		'<', \undef, '>', \$run{out}, '2>', \$run{err});
	$node->poll_query_until($database,
		"SELECT count(*) = 1 FROM cowrie_migration_status WHERE running AND step = 'fill_columns' AND rows_done >= $batch")
	  or die "it does not begin: $run{err}";
	return \%run;
}

# Lets such a migration go on, in batches with short pauses.
sub go_on
{
	my ($database) = @_;
	Test::More::is($node->safe_psql($database, q{SELECT cowrie_pace(pause => '20 ms')}), 't', "$database: goes on");
	return;
}

1;
