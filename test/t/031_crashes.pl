# Every process can die: kill -9 of the backend, `pg_ctl stop -m immediate`, kill -9 of the postmaster
# (its backends go on until they notice, and may commit) and of all processes of the server, at points
# spread over the whole run, with fsync on. After recovery the database is as before, or the
# run had committed; pg_amcheck finds nothing; the next call reaches the reference.
#
# `make test` tries one point of each kind, `make test-full` 20 of each.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use CowrieTest;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $points = full_counts() ? 20 : 1;
my $node = start_node('crashes', 'fsync = on', 'restart_after_crash = on', 'shared_buffers = 64MB');
create_v15($node, 'v15', n => 8000);
load_reference($node, 'v15');
my $data = data_hash($node, 'v15');
my $dump = schema_dump($node, 'v15');

my $call = 'SELECT count(*) FROM cowrie_migrate_v16()';

sub fresh_copy
{
	my ($name) = @_;
	copy_database($node, 'v15', $name, anew => 1);
	return;
}

# Starts a migration in a process of its own; returns when it runs.
my ($out, $err);
sub start_migration
{
	my ($database) = @_;
	($out, $err) = ('', '');
	my $migration = IPC::Run::start(
		[ 'psql', '-XAtq', '-d', $node->connstr($database), '-c', $call ],
		'<', \undef, '>', \$out, '2>', \$err);
	for (1 .. 500)
	{
		my $pid = $node->safe_psql($database,
			'SELECT pid FROM cowrie_migration_status WHERE running');
		return ($migration, $pid) if $pid ne '';
		usleep(5_000);
	}
	die 'the migration does not start';
}

# How long an undisturbed run takes, from the moment in which it is seen to run.
fresh_copy('timed');
my ($timed) = start_migration('timed');
my $began = time;
$timed->finish;
my $duration = time - $began;
like($out, qr/^\d+$/, sprintf('undisturbed: %.1f s', $duration));
is(compare($node, 'timed'), $no_difference, 'as the reference');

my %kill = (
	'kill -9 of the backend' => sub { kill_backend($node, $_[0]) },
	'immediate stop' => sub { $node->stop('immediate') },
	'kill -9 of the postmaster' => sub { kill_postmaster($node, 0) },
	'kill -9 of all processes' => sub { kill_postmaster($node, 1) });

foreach my $kind (sort keys %kill)
{
	my (%places, @wrong);
	my ($before, $after) = (0, 0);
	foreach my $point (1 .. $points)
	{
		# On a machine that does other things as well it may be quicker this time: then again, and sooner.
		my ($migration, $pid);
		for (my $delay = 1e6 * $duration * ($point - 0.5) / $points;; $delay /= 2)
		{
			fresh_copy('crashed');
			($migration, $pid) = start_migration('crashed');
			usleep($delay);
			last if kill 0, $pid;
			$migration->finish;
		}
		$kill{$kind}->($pid);
		$migration->finish;
		$node->start if $kind ne 'kill -9 of the backend';
		my $place = $node->safe_psql('crashed',
			'SELECT phase, step FROM cowrie_migration_status WHERE NOT running');
		$places{$place}++;
		my $version = $node->safe_psql('crashed',
			q{SELECT value FROM schema_state WHERE key = 'schema_version'});
		my $whole = data_hash($node, 'crashed') eq $data;
		if ($version eq '15')
		{
			$before++;
			$whole &&= schema_dump($node, 'crashed') eq $dump;
		}
		else
		{
			$after++;
			$whole &&= compare($node, 'crashed') eq $no_difference;
		}
		my ($said, $complained) = run_command(
			[ 'pg_amcheck', '--install-missing', '--heapallindexed', '--parent-check', '-h', $node->host,
				'-p', $node->port, 'crashed' ]);
		$whole &&= $said eq '' && $complained eq '';
		my $again = $node->safe_psql('crashed', "SET client_min_messages = warning; $call");
		$whole &&= $again >= 1
		  && compare($node, 'crashed') eq $no_difference
		  && data_hash($node, 'crashed') eq $data
		  && $node->safe_psql('crashed', 'SELECT count(*) FROM cowrie_validate_schema()') eq '0';
		push @wrong, "point $point ($place): version $version, amcheck: $said$complained" unless $whole;
	}
	is("@wrong", '', "$kind: as before or after, pg_amcheck clean, the next call completes");
	is($before + $after, $points, "$kind: $points points");
	cmp_ok($before, '>', 0, "$kind: some came before the commit")
	  if $kind ne 'kill -9 of the postmaster';
	figure(sprintf '%s at %d points of %.1f s: %d as before, %d committed; %d clean and then complete; at %s',
		$kind, $points, $duration, $before, $after, $points - @wrong,
		join(', ', map { s/\|/./r } sort keys %places));
}

# What a kill in the middle of the rewrite leaves on disk, the guide's query finds.
{
	my $guide = slurp_file("$CowrieTest::fixtures/../../docs/RECOVERY.md");
	my ($query) = $guide =~ /^  (SELECT d\.name, .*?; ) *--[^\n]*\n *```/ms;
	($query) = $guide =~ /(SELECT d\.name, \(pg_stat_file.*?> 0;)/s unless defined $query;
	ok($query, 'the guide has a query for files that were left');
	fresh_copy('orphaned');
	$node->safe_psql('orphaned', 'CHECKPOINT');
	is($node->safe_psql('orphaned', $query), '', 'no such file before');
	my ($migration, $pid) = start_migration('orphaned');
	$node->poll_query_until('orphaned', 'SELECT rows_done > 2000 FROM cowrie_migration_status')
	  or die 'no progress';
	kill_backend($node, $pid);
	$migration->finish;
	$node->safe_psql('orphaned', 'CHECKPOINT');
	my $left = $node->safe_psql('orphaned', $query);
	like($left, qr/^\d+\|\d+/, 'after kill -9 in the rewrite: found by the query');
	figure('kill -9 in the rewrite: the guide finds ' . (() = $left =~ /^\d+\|/mg) . ' files on disk');
}

$node->stop;
done_testing();
