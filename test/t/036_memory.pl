# The memory of the backend stays flat: a migration of ten times as many sessions grows it by less than
# 64 MB, and by hardly more than one of a tenth. With the server's own settings for sorting, which index
# builds use as far as they are allowed to.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use CowrieTest;
use IPC::Run;
use List::Util qw(max);
use PostgreSQL::Test::Utils;
use Test::More;

my ($few, $many) = full_counts() ? (20_000, 200_000) : (2000, 20_000);
my $node = start_node('memory', 'shared_buffers = 64MB');

# The private memory of a process, in kB.
sub private_memory
{
	my ($pid) = @_;
	my ($anonymous) = slurp_file("/proc/$pid/status") =~ /^RssAnon:\s+(\d+) kB/m;
	return $anonymous;
}

# The largest private memory of its parallel workers, in kB; 0: it has none now.
sub memory_of_workers
{
	my ($leader) = @_;
	my $most = 0;
	foreach my $process (glob '/proc/[0-9]*')
	{
		my ($title, $status) = map { my $text = ''; if (open my $file, '<', "$process/$_") { local $/ = undef; $text = <$file> // ''; } $text } qw(cmdline status);
		next unless $title =~ /parallel worker for PID $leader\b/;
		$most = max($most, $status =~ /^RssAnon:\s+(\d+) kB/m ? $1 : 0);
	}
	return $most;
}

# How much a call grows a session that has been used before, at most and in the end, in kB; and how large its
# workers become.
sub growth
{
	my ($database, $call) = @_;
	my ($in, $out, $err) = ('', '', '');
	my $timeout = IPC::Run::timeout(1200);
	my $psql = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr($database) ],
		'<', \$in, '>', \$out, '2>', \$err, $timeout);
	# caches of the catalog and of the plan are the server's own
	$in .= "SET client_min_messages = warning; SELECT count(*) FROM cowrie_migrate_v16(dry_run => true);"
	  . "SELECT 'pid', pg_backend_pid();\n";
	$psql->pump until $out =~ /^pid\|\d+$/m;
	my ($pid) = $out =~ /^pid\|(\d+)$/m;
	my $before = private_memory($pid);
	my ($most, $workers) = ($before, 0);
	$in .= "$call;\n\\echo DONE\n";
	my $done = IPC::Run::timer(0.01);
	until ($out =~ /^DONE$/m)
	{
		$psql->pump_nb;
		$most = max($most, private_memory($pid));
		$workers = max($workers, memory_of_workers($pid));
		Time::HiRes::usleep(5000);
	}
	my $after = private_memory($pid);
	$psql->finish;
	is($err, '', "$database: $call");
	return ($most - $before, $after - $before, $workers);
}

my %most;
foreach my $sessions ($few, $many)
{
	my $database = "sessions_$sessions";
	create_v15($node, $database, n => $sessions, pad => 2000);
	# three out of ten are looked up in raw_events
	$node->safe_psql($database, q{UPDATE session_summaries SET enrichment = '{}' WHERE session_id < '5'});
	foreach my $call ('SELECT count(*) FROM cowrie_migrate_v16()',
		'SELECT count(*) FROM cowrie_validate_schema()',
		'SELECT count(*) FROM cowrie_rejected_values(max_rows => NULL)',
		'SELECT count(*) FROM cowrie_cleanup_v16()')
	{
		my ($most, $after) = growth($database, $call);
		my ($function) = $call =~ /(cowrie_\w+)/;
		$most{$function}{$sessions} = $most;
		cmp_ok($most, '<', 64 * 1024, "$function of $sessions sessions: at most $most kB more, $after kB in the end");
	}
}
foreach my $function (sort keys %most)
{
	figure(sprintf 'memory of %s: %.1f MB more for %d sessions, %.1f MB for %d', $function,
		$most{$function}{$few} / 1024, $few, $most{$function}{$many} / 1024, $many);
}

# Another process reads ahead: what it has fetched for one session goes before the next one.
create_v15($node, 'payloads', n => 10);
$node->safe_psql('payloads', q[
INSERT INTO session_summaries (session_id) SELECT 'looked up ' || n FROM generate_series(1, 3000) AS n;
INSERT INTO raw_events (source, payload, session_id, event_timestamp)
SELECT 'sensor', json_build_object('src_ip', '198.51.100.7', 'pad', repeat('abcdefghij', 20000)), 'looked up ' || n, now()
FROM generate_series(1, 3000) AS n]);
my ($leader, undef, $worker) = growth('payloads', 'SET min_parallel_table_scan_size = 0; SELECT count(*) FROM cowrie_migrate_v16()');
cmp_ok($worker, '>', 0, 'payloads: another process reads ahead');
cmp_ok($worker, '<', 64 * 1024, "payloads: it has at most $worker kB");
cmp_ok($leader, '<', 64 * 1024, "payloads: at most $leader kB more");

$node->stop;
done_testing();
