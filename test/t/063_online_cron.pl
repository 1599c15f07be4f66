# A real pg_cron runs the jobs of docs/CRON.md: what succeeds is recorded as succeeded, what fails as
# failed with our message and a ledger row, overlapping runs are refused, wrong wrapping too; missed
# ticks find a finished migration in no time; the jobs take themselves away. (Jobs that run when the server
# starts: nobody waits for a minute.)
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use CowrieTest;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => 'pg_cron is not installed' unless has_pg_cron();

# The jobs, as the page has them: name => command.
my $page = slurp_file("$FindBin::RealBin/../../docs/CRON.md");
my %job;
while ($page =~ /cron\.schedule\('(\w+)', '[^']+',\s*\$(\w*)\$(.*?)\$\2\$\);/gs)
{
	$job{$1} = $3;
}
is(join(' ', sort keys %job), 'cowrie_cut_over cowrie_done cowrie_migrate cowrie_migrate_at_once cowrie_night cowrie_stop cowrie_validate',
	'the jobs of docs/CRON.md');

my $node = start_node('cron', 'max_worker_processes = 20');
create_v15($node, 'app', owner => 'app_owner', n => 600);
$node->safe_psql('postgres', 'CREATE DATABASE copy TEMPLATE app');
load_reference($node, 'app');
# Only now: its launcher stays connected, and a database in use cannot be copied.
$node->append_conf('postgresql.conf', "shared_preload_libraries = pg_cron\n"
	  . "cron.database_name = 'app'\ncron.host = '" . $node->host . "'");
$node->restart;
$node->safe_psql('app', 'CREATE EXTENSION pg_cron');
# The jobs are those of a role without superuser, with what the page grants it and nothing else.
my ($grants) = $page =~ /```sql\n((?:GRANT [^;]*;\n)+)```/;
$node->safe_psql('app', $grants);
my @as_owner = (extra_params => [ '-U', 'app_owner' ]);
is($node->safe_psql('app', 'SELECT current_setting(q) FROM (VALUES (\'is_superuser\')) AS v (q)', @as_owner), 'off',
	'the role that schedules is no superuser');

# Schedules these jobs (name => command) for a start of the server, and starts it.
sub start_jobs
{
	my (%jobs) = @_;
	$node->safe_psql('app', 'DELETE FROM cron.job; TRUNCATE cron.job_run_details');
	$node->safe_psql('app', "SELECT cron.schedule('$_', '\@reboot', \$job\$$jobs{$_}\$job\$)", @as_owner)
	  for sort keys %jobs;
	my $names = $node->safe_psql('app', 'SELECT jobid, jobname FROM cron.job');
	$node->restart;
	return map { split /\|/ } split /\n/, $names;
}

# The same, and waits until they have run. Returns name => [status, message, milliseconds].
sub run_jobs
{
	my %name = start_jobs(@_);
	my $wanted = scalar keys %name;
	$node->poll_query_until('app', qq{SELECT count(*) = $wanted FROM cron.job_run_details
		WHERE status IN ('failed', 'succeeded')}) or die 'the jobs do not run';
	my %result;
	foreach my $line (split /\n/, $node->safe_psql('app', q{
SELECT jobid, status, replace(return_message, E'\n', ' '),
       1000 * extract(epoch FROM end_time - start_time) FROM cron.job_run_details}))
	{
		my ($id, @rest) = split /\|/, $line;
		$result{ $name{$id} } = \@rest;
	}
	return %result;
}

sub version { return $node->safe_psql('app', q{SELECT value FROM schema_state WHERE key = 'schema_version'}) }

foreach my $mode ('off', 'on')
{
	my $how = $mode eq 'on' ? 'background workers' : 'libpq';
	$node->append_conf('postgresql.conf', "cron.use_background_workers = $mode");

	# A deliberate failure, then the same job again.
	$node->safe_psql('app', q{ALTER DATABASE app SET cowrie_migrate.fail_at = '3.load_ip_inventory'});
	my %result = run_jobs(cowrie_migrate => $job{cowrie_migrate});
	is($result{cowrie_migrate}[0], 'failed', "$how: a failure is recorded as failed");
	like($result{cowrie_migrate}[1], qr/injected failure at 3\.load_ip_inventory/, "$how: with its message")
	  if $mode eq 'off';
	is($node->safe_psql('app', q{SELECT status, sqlstate, message FROM cowrie_migration_log
		WHERE phase IS NULL ORDER BY log_id DESC LIMIT 1}),
		'failed|38000|injected failure at 3.load_ip_inventory', "$how: the ledger has it, committed");
	is(version(), '15', "$how: still version 15");
	%result = run_jobs(cowrie_validate => $job{cowrie_validate});
	is($result{cowrie_validate}[0], 'failed', "$how: the nightly check tells of an unfinished migration");

	$node->safe_psql('app', 'ALTER DATABASE app RESET cowrie_migrate.fail_at');
	%result = run_jobs(cowrie_migrate => $job{cowrie_migrate});
	is($result{cowrie_migrate}[0], 'succeeded', "$how: the next tick finishes")
	  or diag($result{cowrie_migrate}[1]);
	is(version(), '16', "$how: version 16");
	is(compare($node, 'app'), $no_difference, "$how: as the reference");

	# Missed ticks, back to back; the check; and they take themselves away.
	%result = run_jobs((map { ("tick_$_" => $job{cowrie_migrate}) } 1 .. 3),
		cowrie_validate => $job{cowrie_validate}, cowrie_stop => $job{cowrie_stop});
	# Ticks at the same moment may find each other's lock: refused, not queued.
	my @ticks = map { $result{"tick_$_"} } 1 .. 3;
	ok(!(grep { $_->[0] ne 'succeeded' and ($mode eq 'off' and $_->[1] !~ /another migration is running/) } @ticks),
		"$how: ticks of a finished migration succeed or are told of each other");
	ok((grep { $_->[0] eq 'succeeded' } @ticks) > 0, "$how: at least one of them succeeds");
	is($result{cowrie_validate}[0], 'succeeded', "$how: the nightly check finds nothing");
	is($result{cowrie_stop}[0], 'succeeded', "$how: nothing to stop is no failure");
	%result = run_jobs(map { $_ => $job{$_} } qw(cowrie_migrate cowrie_stop cowrie_done));
	is($node->safe_psql('app', 'SELECT count(*) FROM cron.job'), '0', "$how: the jobs have gone");

	# Wrong wrapping.
	$node->safe_psql('app', 'SELECT count(*) FROM cowrie_cleanup_v16()');
	%result = run_jobs(
		several => 'SET timezone = UTC; CALL cowrie_migrate_v16_online()',
		block => 'BEGIN; CALL cowrie_migrate_v16_online(); COMMIT',
		do_block => 'DO $d$ BEGIN CALL cowrie_migrate_v16_online(); END $d$');
	foreach my $case (sort keys %result)
	{
		is($result{$case}[0], 'failed', "$how: $case is refused");
		like($result{$case}[1], qr/must be called as a single statement outside a transaction block/, "$how: $case, with our message")
		  if $mode eq 'off';
	}
	is(version(), '15', "$how: nothing was done");

	# Two at the same time: one wins, the other is told who.
	%result = run_jobs(one => q{CALL cowrie_migrate_v16_online(batch_size => 20, target_batch => '0', pause => '20 ms')},
		other => q{CALL cowrie_migrate_v16_online(batch_size => 20, target_batch => '0', pause => '20 ms')});
	is(join(' ', sort map { $_->[0] } values %result), 'failed succeeded', "$how: of two at a time one is refused");
	is(compare($node, 'app'), $no_difference, "$how: the other gives the reference");
	$node->safe_psql('app', 'SELECT count(*) FROM cowrie_cleanup_v16()');

	%result = run_jobs(cowrie_migrate_at_once => $job{cowrie_migrate_at_once});
	is($result{cowrie_migrate_at_once}[0], 'succeeded', "$how: at once, too");
	is(compare($node, 'app'), $no_difference, "$how: as the reference");
	$node->safe_psql('app', 'SELECT count(*) FROM cowrie_cleanup_v16()') if $mode eq 'off';
}

# The night's job waits for the cut-over until it is stopped; a later one cuts over.
$node->safe_psql('app', 'SELECT count(*) FROM cowrie_cleanup_v16()');
start_jobs(cowrie_night => $job{cowrie_night});
$node->poll_query_until('app', 'SELECT outcome FROM cowrie_migration_status', 'waiting for cut-over')
  or die 'the job does not wait';
is(version(), '15', 'by night: not cut over');
is($node->safe_psql('app', $job{cowrie_stop}, @as_owner), 't', 'by night: stopped');
$node->poll_query_until('app', q{SELECT count(*) = 1 FROM cron.job_run_details WHERE status = 'succeeded'}) or die 'it does not end';
is($node->safe_psql('app', q{SELECT status, detail FROM cowrie_migration_log WHERE phase IS NULL ORDER BY log_id DESC LIMIT 1}),
	'stopped|cowrie_migrate phase 5 (foreign_keys), step wait_for_cut_over', 'by night: the ledger says so');
{
	my %result = run_jobs(cowrie_cut_over => $job{cowrie_cut_over});
	is($result{cowrie_cut_over}[0], 'succeeded', 'by day: it succeeds') or diag($result{cowrie_cut_over}[1]);
}
is(version(), '16', 'by day: version 16');
is(compare($node, 'app'), $no_difference, 'by day: as the reference');

# A real tick of the clock on a finished migration.
$node->safe_psql('app', 'TRUNCATE cron.job_run_details; DELETE FROM cron.job');
$node->safe_psql('app', qq{SELECT cron.schedule('tick', '* * * * *', \$job\$$job{cowrie_migrate}\$job\$)}, @as_owner);
$node->poll_query_until('app', q{SELECT count(*) > 0 FROM cron.job_run_details
	WHERE status IN ('failed', 'succeeded')}) or die 'no tick';
is($node->safe_psql('app', q{SELECT DISTINCT status FROM cron.job_run_details
	WHERE status IN ('failed', 'succeeded')}), 'succeeded', 'a tick of the clock succeeds');
cmp_ok($node->safe_psql('app', q{SELECT max(1000 * extract(epoch FROM end_time - start_time))
	FROM cron.job_run_details}), '<', 2_000, 'in no time');

$node->stop;
done_testing();
