# Resources that run out: data disk, WAL disk, temporary files, memory. A clean error, or a clean recovery
# of the server; the database is as before; with room again, the next call completes.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use CowrieTest;
use IPC::Run;
use List::Util qw(min);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $quiet = 'SET client_min_messages = warning;';
my $call = 'SELECT count(*) > 0 FROM cowrie_migrate_v16()';
my $state = q{SELECT md5(probe.catalog() || probe.data('public')), probe.residue()};

# Runs a migration in a session of its own, which goes on after an error: the SQLSTATE, what the session
# holds on to, and its errors. A run that succeeds is rolled back.
sub attempt
{
	my ($node, $database, $settings) = @_;
	my ($out, $err) = ('', '');
	$node->psql(
		$database, qq{LOAD 'cowrie_migrate';
$quiet
$settings
BEGIN;
$call;
\\echo STATE :SQLSTATE
ROLLBACK;
SHOW cowrie_migrate.live_objects;
SELECT 'goes on';}, stdout => \$out, stderr => \$err, on_error_stop => 0);
	my ($sqlstate) = $out =~ /^STATE (\w+)$/m;
	my ($left) = $out =~ /^STATE .*?\n(.*)\z/ms;
	return ($sqlstate // 'lost', $left // '', $err);
}

# Tries several amounts of something, from too little to enough: all that failed did so with one of these
# SQLSTATEs, with one error, and left the database as before.
sub try_amounts
{
	my ($title, $expected, $unit, $amounts, $node, $database, $attempt) = @_;
	my (%results, @wrong);
	my $before = $node->safe_psql($database, $state);
	foreach my $amount (@$amounts)
	{
		my ($sqlstate, $session, $err) = $attempt->($amount);
		my $left = $node->safe_psql($database, $state);
		$results{$sqlstate}++;
		my $errors = () = $err =~ /^psql:.*?(?:ERROR|FATAL|PANIC):  /mg;
		push @wrong, "$amount $unit: $sqlstate $session $left $err"
		  if ($sqlstate ne '00000' and $sqlstate !~ $expected)
		  or $session ne "0\ngoes on"
		  or $left ne $before
		  or $errors != ($sqlstate eq '00000' ? 0 : 1);
	}
	is("@wrong", '', "$title: a clean error, as before");
	my $failures = @$amounts - ($results{'00000'} // 0);
	cmp_ok($failures, '>', 0, "$title: it did run out");
	cmp_ok($results{'00000'} // 0, '>', 0, "$title: with enough it succeeds");
	figure("$title: " . @$amounts . " amounts, " . join(', ', map { "$results{$_} x $_" } sort keys %results)
		  . ", $failures failures as before");
	return;
}

sub steps
{
	my ($few) = @_;
	my $count = full_counts() ? 20 : $few;
	return map { $_ / $count } 0 .. $count;
}

sub complete
{
	my ($title, $node, $database) = @_;
	$node->safe_psql($database, "$quiet $call");
	is(compare($node, $database), $no_difference, "$title: then it reaches the reference");
	is($node->safe_psql($database, 'SELECT count(*) FROM cowrie_validate_schema()'), '0',
		"$title: and is complete");
	return;
}

my $node = start_node('resources');
create_v15($node, 'v15', n => 3000, pad => 1000);
load_reference($node, 'v15');
run_script($node, 'v15', 'probe.sql');

# Temporary files.
{
	$node->safe_psql('postgres', 'CREATE DATABASE temporary TEMPLATE v15');
	my $small = "SET work_mem = '64kB'; SET maintenance_work_mem = '1MB'; SET hash_mem_multiplier = 1;";
	# as the application would have it after years: more than fits into memory of this size
	$node->safe_psql('temporary', 'VACUUM ANALYZE');
	my (undef, undef, $said) = attempt($node, 'temporary', "$small SET log_temp_files = 0; SET client_min_messages = log;");
	my $most = 0;
	$most += $_ for map { int($_ / 1024) } $said =~ /temporary file: path \S+, size (\d+)/g;
	cmp_ok($most, '>', 0, "a run writes $most kB of temporary files");
	try_amounts('temp_file_limit', qr/^53400$/, 'kB', [ map { int($_ * $most) } steps(4) ],
		$node, 'temporary', sub { attempt($node, 'temporary', "$small SET temp_file_limit = '$_[0]kB';") });
	complete('temp_file_limit', $node, 'temporary');
}

# Memory: the address space that ulimit -v leaves to each process. One document is large.
SKIP:
{
	skip 'no prlimit to limit memory with', 5 if system('prlimit --version >/dev/null 2>&1') != 0;
	$node->safe_psql('postgres', 'CREATE DATABASE memory TEMPLATE v15');
	# a document that says nothing of use: the reference stays what it is
	$node->safe_psql('memory', q{
INSERT INTO session_summaries (session_id, enrichment, created_at)
SELECT 'large', json_build_object('more', string_agg(md5(i::text), ' ')), '2024-01-01 00:00:00+00'
FROM generate_series(1, 500000) AS i;
INSERT INTO reference.sessions SELECT 'large', NULL, created_at FROM session_summaries WHERE session_id = 'large'});
	my ($postmaster) = slurp_file($node->data_dir . '/postmaster.pid') =~ /^(\d+)/;

	# What a session needs by itself, and at most.
	my ($out, $err, $in) = ('', '', '');
	my $psql = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('memory') ],
		'<', \$in, '>', \$out, '2>', \$err, IPC::Run::timeout(180));
	$in .= "LOAD 'cowrie_migrate'; $state;\nSELECT pg_backend_pid();\n";
	$psql->pump until $out =~ /^\d+$/m;
	my ($pid) = $out =~ /^(\d+)$/m;
	my ($least) = slurp_file("/proc/$pid/status") =~ /^VmPeak:\s+(\d+)/m;
	$in .= "BEGIN; $call;\nROLLBACK;\n\\echo DONE\n";
	$psql->pump until $out =~ /^DONE$/m;
	my ($most) = slurp_file("/proc/$pid/status") =~ /^VmPeak:\s+(\d+)/m;
	$psql->finish;
	cmp_ok($most - $least, '>', 20_000, "a run needs $least kB and up to $most kB");
	my $limit = sub { system_or_bail('prlimit', '--pid', $postmaster, "--as=$_[0]:") };
	try_amounts('ulimit -v', qr/^53200$/, 'kB',
		[ map { int($least + $_ * 1.05 * ($most - $least)) } steps(5) ], $node, 'memory',
		sub {
			my ($amount) = @_;
			$limit->($amount * 1024);
			# parallel workers would each need the same
			my @result = attempt($node, 'memory', 'SET max_parallel_workers_per_gather = 0; SET max_parallel_maintenance_workers = 0;');
			$limit->('unlimited');
			return @result;
		});
	complete('ulimit -v', $node, 'memory');
}

# Disks: file systems of 64 MB that scripts/test.sh has mounted.
my $disks = $ENV{COWRIE_SMALL_DISKS} // '';

# Fills a disk but for so many kB.
sub leave
{
	my ($disk, $kilobytes) = @_;
	unlink "$disk/ballast";
	my ($available) = (split ' ', (split /\n/, `df --output=avail -k "$disk"`)[1]);
	my $size = $available - $kilobytes;
	system_or_bail('fallocate', '-l', $size * 1024, "$disk/ballast") if $size > 0;
	return;
}

SKIP:
{
	skip 'full data disk: only root may mount a small file system to fill', 9 if $disks eq '';
	my $disk = "$disks/small-resources";
	mkdir "$disk/space" or die "$disk/space: $!";
	$node->safe_psql('postgres', "CREATE TABLESPACE small LOCATION '$disk/space'");
	$node->safe_psql('postgres', 'CREATE DATABASE small TEMPLATE v15 TABLESPACE small');
	# Asked how much it needs the server would say that; here it is told a wonder.
	my $believe = "SET cowrie_migrate.free_space = '1TB';";
	my $size = $node->safe_psql('small',
		q{SELECT sum(pg_total_relation_size(oid)) / 1024 FROM pg_class WHERE relname = 'session_summaries'});
	foreach my $title ('data disk full', 'data disk almost full, refused')
	{
		try_amounts($title, qr/^53100$/, 'kB', [ map { int($_ * $size * 3) } steps(5) ], $node, 'small',
			sub {
				$node->safe_psql('small', 'CHECKPOINT'); # files of the previous attempt go now
				leave($disk, $_[0]);
				my @result = attempt($node, 'small', $title =~ /refused/ ? '' : $believe);
				unlink "$disk/ballast";
				return @result;
			});
	}
	# With keep, the phase that did not fit is rolled back. The ledger says so, in some pages.
	$node->safe_psql('small', 'CHECKPOINT');
	leave($disk, 128);
	like($node->safe_psql('small', "SET client_min_messages = error; $believe SELECT phase, status FROM cowrie_migrate_v16(on_failure => 'keep') WHERE status = 'failed'"),
		qr/^1\|failed$/, 'data disk full: keep returns the failed phase');
	unlink "$disk/ballast";
	complete('data disk full', $node, 'small');
}
$node->stop;

SKIP:
{
	skip 'full WAL disk: only root may mount a small file system to fill', 4 if $disks eq '';
	my $disk = "$disks/small-wal";
	my $wal = PostgreSQL::Test::Cluster->new('wal');
	$wal->init(extra => [ '--encoding', 'UTF8', '--no-locale', '--wal-segsize', 1, '--waldir', "$disk/wal" ]);
	$wal->append_conf('postgresql.conf', join "\n", 'fsync = on', 'restart_after_crash = on',
		'max_wal_size = 10GB', 'min_wal_size = 2MB', 'checkpoint_timeout = 1h', 'wal_recycle = off', 'shared_buffers = 64MB', '');
	$wal->start;
	create_v15($wal, 'v15', n => 3000, pad => 1000);
	load_reference($wal, 'v15');
	my $data = data_hash($wal, 'v15');
	my $dump = schema_dump($wal, 'v15');
	my @amounts = map { $_ * 1024 } full_counts() ? 1 .. 8 : (1, 3);
	my (@wrong, $crashed);
	foreach my $amount (@amounts)
	{
		$wal->safe_psql('v15', 'CHECKPOINT; SELECT pg_switch_wal(); CHECKPOINT');
		leave($disk, $amount);
		my ($out, $err) = ('', '');
		my $status = $wal->psql('v15', "$quiet $call", stdout => \$out, stderr => \$err);
		$crashed++ if $status != 0;
		# Room again; the server comes back by itself, or does not before there is room.
		unlink "$disk/ballast";
		$wal->stop('immediate', fail_ok => 1);
		$wal->start;
		my $committed = $wal->safe_psql('v15', q{SELECT value FROM schema_state WHERE key = 'schema_version'}) eq '16';
		$wal->safe_psql('v15', "$quiet SELECT count(*) FROM cowrie_cleanup_v16()") if $committed;
		push @wrong, "$amount kB: $err"
		  if data_hash($wal, 'v15') ne $data or schema_dump($wal, 'v15') ne $dump;
	}
	is("@wrong", '', 'WAL disk full: recovered, as before');
	cmp_ok($crashed // 0, '>', 0, 'WAL disk full: it did run out');
	figure('WAL disk full: ' . @amounts . ' amounts, ' . ($crashed // 0)
		  . ' crashes of the server, ' . (@amounts - @wrong) . ' recovered as before');
	complete('WAL disk full', $wal, 'v15');
	$wal->stop;
}

done_testing();
