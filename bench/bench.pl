# Measures the migration beside its floors and peers, interleaved; run.sh has made the server.
#
#   perl bench.pl WORK RESULTS ROUNDS SCALE... [-- CONTENDER...]
#
# Every run gets a fresh copy of the database of its scale. Writes all medians as CSV:
# scale,contender,measure,median,lowest,highest. Judges nothing: it fails only when a statement does.
use strict;
use warnings;

use File::Basename qw(dirname);
use File::Spec;
use List::Util qw(max min);
use Time::HiRes qw(sleep);

my $sql = File::Spec->rel2abs(dirname(__FILE__)) . '/sql';
my $fixtures = "$sql/../../test/fixtures";
my ($work, $results, $rounds, @scales) = @ARGV;
my @wanted;
if (my ($end) = grep { $scales[$_] eq '--' } 0 .. $#scales)
{
	@wanted = splice(@scales, $end);
	shift @wanted;
}
my $bindir = $ENV{BINDIR};
my @shape = split ' ', $ENV{BENCH_SHAPE} // '';
my $clean = !grep { /^dirty=/ } @shape;    # else the operators of plain SQL raise errors
my %samples;    # scale => contender => measure => [values]

sub note { my ($scale, $contender, $measure, $value) = @_;
	push @{ $samples{$scale}{$contender}{$measure} }, $value; return; }
sub say_now { print STDERR "@_\n"; return; }

#--------------------------------------------------------------------------------------------------
# psql
#--------------------------------------------------------------------------------------------------

sub psql
{
	my ($database, @arguments) = @_;
	return ("$bindir/psql", '-X', '-q', '-At', '-v', 'ON_ERROR_STOP=1', '-v', "tables=$work/tables.ddl",
		'-v', "keys=$work/keys.ddl", '-d', $database, @arguments);
}

sub query
{
	my ($database, $statement) = @_;
	open(my $out, '-|', psql($database, '-c', $statement)) or die "psql: $!";
	my @lines = <$out>;
	close($out) or die "failed in $database: $statement\n";
	chomp @lines;
	return wantarray ? @lines : $lines[0];
}

sub run_file
{
	my ($database, $file, @variables) = @_;
	system(psql($database, (map { ('-v', $_) } @variables), '-f', $file)) == 0
	  or die "$file failed in $database\n";
	return;
}

# Bytes of all files of a directory; a file may go while we look.
sub bytes_in
{
	my ($directory) = @_;
	my $bytes = 0;
	opendir(my $files, $directory) or return 0;
	$bytes += -s "$directory/$_" // 0 foreach readdir $files;
	closedir $files;
	return $bytes;
}

sub directory_of
{
	my ($database) = @_;
	return query($database, q{
SELECT current_setting('data_directory') || '/base/' || oid FROM pg_database WHERE datname = current_database()});
}

# Runs a script in a session of its own; returns milliseconds of its statements, WAL bytes, the
# most memory of its own that the backend had (what is shared does not count), and the most bytes by
# which the files of the database grew.
sub timed
{
	my ($database, $file) = @_;
	my $script = "$work/timed.sql";
	my $log = "$work/timed.log";
	open(my $out, '>', $script) or die "$script: $!";
	print $out "SELECT 'pid ' || pg_backend_pid();\n",
	  "SELECT 'wal ' || (pg_current_wal_insert_lsn() - '0/0');\n",
	  "\\timing on\n\\i $file\n\\timing off\n",
	  "SELECT 'wal ' || (pg_current_wal_insert_lsn() - '0/0');\n";
	close $out;
	my $directory = directory_of($database);
	my ($size, $look, $grown) = (bytes_in($directory), 0, 0);
	my $child = fork() // die "fork: $!";
	if (!$child)
	{
		open(STDOUT, '>', $log) or die "$log: $!";
		exec(psql($database, '-f', $script)) or die "psql: $!";
	}
	my ($backend, $memory, $ended) = (undef, 0, 0);
	until ($ended)
	{
		sleep 0.05;
		$ended = waitpid($child, 1);    # WNOHANG
		$backend //= (slurp($log) =~ /^pid (\d+)$/m)[0];
		next unless $backend;
		my ($anonymous) = slurp("/proc/$backend/status") =~ /^RssAnon:\s+(\d+) kB/m;
		$memory = max($memory, $anonymous // 0);
		$grown = max($grown, bytes_in($directory) - $size) if $look++ % 2 == 0;
	}
	die "$file failed in $database\n" if $? != 0;
	my $printed = slurp($log);
	my @wal = $printed =~ /^wal (\d+)$/mg;
	my $milliseconds = 0;
	$milliseconds += $1 while $printed =~ /^Time: ([\d.]+) ms/mg;
	return ($milliseconds, $wal[1] - $wal[0], $memory * 1024, $grown);
}

sub slurp
{
	my ($file) = @_;
	open(my $in, '<', $file) or return '';
	local $/ = undef;
	return scalar(<$in>) // '';
}

#--------------------------------------------------------------------------------------------------
# Databases
#--------------------------------------------------------------------------------------------------

sub create_copy
{
	my ($template) = @_;
	query('postgres', 'DROP DATABASE IF EXISTS copy') if query('postgres',
		"SELECT count(*) FROM pg_database WHERE datname = 'copy'");
	query('postgres', "CREATE DATABASE copy TEMPLATE $template STRATEGY file_copy");
	query('postgres', 'CHECKPOINT');
	return;
}

# heap and TOAST, and the indexes, of the sessions
sub sizes
{
	my ($database) = @_;
	return split /\|/, query($database, q{
SELECT pg_relation_size(oid) + COALESCE(pg_total_relation_size(NULLIF(reltoastrelid, 0)), 0),
       pg_relation_size(oid), pg_indexes_size(oid), pg_total_relation_size(oid)
FROM pg_class WHERE oid = 'session_summaries'::regclass});
}

sub note_sizes
{
	my ($scale, $contender) = @_;
	my ($table, $heap, $indexes, $total) = sizes('copy');
	note($scale, $contender, 'table_bytes', $table);
	note($scale, $contender, 'heap_bytes', $heap);
	note($scale, $contender, 'toast_bytes', $table - $heap);
	note($scale, $contender, 'index_bytes', $indexes);
	my $written = $total + query('copy', q{
SELECT COALESCE(sum(pg_total_relation_size(oid)), 0) FROM pg_class
WHERE relkind = 'r' AND relname IN ('asn_inventory', 'ip_inventory', 'ip_asn_history')});
	note($scale, $contender, 'written_bytes', $written);
	return;
}

sub note_run
{
	my ($scale, $contender, $file) = @_;
	my ($milliseconds, $wal, $memory, $grown) = timed('copy', $file);
	note($scale, $contender, 'milliseconds', $milliseconds);
	note($scale, $contender, 'wal_bytes', $wal);
	note($scale, $contender, 'memory_bytes', $memory);
	note($scale, $contender, 'extra_bytes', $grown);
	note($scale, $contender, 'temp_bytes',
		query('copy', "SELECT temp_bytes FROM pg_stat_database WHERE datname = 'copy'"));
	return;
}

# What is left to be done after the commit, in this order.
sub note_aftermath
{
	my ($scale, $contender) = @_;
	foreach my $work (qw(first_scan vacuum checkpoint))
	{
		my ($milliseconds) = timed('copy', "$sql/$work.sql");
		note($scale, $contender, "${work}_milliseconds", $milliseconds);
	}
	return;
}

my @contenders = qw(rewrite read plain atomic alter_table online batched python);
@contenders = grep { my $name = $_; grep { $_ eq $name } @wanted } @contenders if @wanted;
# The atomic migration of sessions in so many partitions, where that is asked for: partitions_16
push @contenders, grep { /^partitions_\d+$/ } @wanted;

# What is done in many transactions leaves dead rows: autovacuum is at work meanwhile, without delay in
# looking for them.
sub autovacuum
{
	my ($on) = @_;
	query('postgres', 'ALTER SYSTEM SET autovacuum = ' . ($on ? 'on' : 'off'));
	query('postgres', "ALTER SYSTEM SET autovacuum_naptime = '1s'");
	query('postgres', 'SELECT pg_reload_conf()');
	return;
}

# Phases and the larger steps, out of the ledger.
sub note_phases
{
	my ($scale, $contender) = @_;
	foreach (query('copy', q{
SELECT phase, EXTRACT(epoch FROM elapsed) * 1000 FROM cowrie_migration_log
WHERE phase IS NOT NULL AND step IS NULL AND status = 'done'}))
	{
		my ($phase, $milliseconds) = split /\|/;
		note($scale, $contender, "phase_${phase}_milliseconds", $milliseconds);
	}
	foreach (query('copy', q{
SELECT step, EXTRACT(epoch FROM elapsed) * 1000 FROM cowrie_migration_log
WHERE step IN ('fill_columns', 'load_asn_inventory', 'load_ip_inventory', 'load_ip_asn_history',
               'zero_loss_gate') AND status = 'done'}))
	{
		my ($step, $milliseconds) = split /\|/;
		note($scale, $contender, "step_${step}_milliseconds", $milliseconds);
	}
	return;
}

sub measure
{
	my ($scale, $contender) = @_;
	create_copy("bench_$scale");
	my $in_batches = $contender eq 'online' || $contender eq 'batched';
	autovacuum(1) if $in_batches;
	if ($contender =~ /^partitions_(\d+)$/)
	{
		run_file('copy', "$sql/partitioned.sql", "partitions=$1");
		query('copy', 'CHECKPOINT');
		note_run($scale, $contender, "$sql/atomic.sql");
		return note_phases($scale, $contender);
	}
	note_run($scale, $contender, "$sql/$contender.sql");
	note_sizes($scale, $contender);
	autovacuum(0) if $in_batches;
	note_aftermath($scale, $contender) if $contender =~ /^(?:rewrite|atomic|alter_table)$/;
	note_phases($scale, $contender) if $contender =~ /^(?:atomic|alter_table|online)$/;
	if ($contender eq 'atomic')
	{
		# Recording happens inside the rewrite: what it adds is the hashing of what is fetched anyway. The
		# difference of two scans is small beside either: the fastest of three, the first fills the caches.
		my %fastest;
		foreach my $scan (('fetching', 'recording') x 3)
		{
			my ($milliseconds) = timed('copy', "$sql/$scan.sql");
			$fastest{$scan} = min($milliseconds, $fastest{$scan} // $milliseconds);
		}
		note($scale, $contender, 'step_recording_milliseconds',
			max(0, $fastest{recording} - $fastest{fetching}));
		foreach (1 .. 2) { timed('copy', "$sql/queries_snapshot.sql"); }    # fill the caches
		note($scale, 'queries_snapshot', 'milliseconds', (timed('copy', "$sql/queries_snapshot.sql"))[0]);
		note($scale, 'indexes', 'milliseconds', (timed('copy', "$sql/indexes.sql"))[0]);
	}
	return;
}

# How far the status view is off when it foresees the end: a run of its own, because watching costs. Of the
# whole duration in percent, where the view shows a quarter, a half and three quarters.
sub watch
{
	my ($scale, $contender) = @_;
	create_copy("bench_$scale");
	autovacuum(1) if $contender eq 'online';
	my $seen = "$work/seen.log";
	my $child = fork() // die "fork: $!";
	if (!$child)
	{
		open(STDOUT, '>', $seen) or die "$seen: $!";
		exec(psql('copy', '-f', "$sql/watch.sql")) or die "psql: $!";
	}
	my ($milliseconds) = timed('copy', "$sql/$contender.sql");
	kill 'TERM', $child;
	waitpid($child, 0);
	autovacuum(0) if $contender eq 'online';
	my @samples = grep { @$_ == 3 } map { [ split /\|/ ] } split /\n/, slurp($seen);
	foreach my $percent (25, 50, 75)
	{
		my ($at) = grep { $_->[1] >= $percent && $_->[2] ne '' } @samples;
		note($scale, $contender, "eta_error_at_$percent", ($at->[0] + $at->[2]) * 100_000 / $milliseconds - 100)
		  if $at;
	}
	return;
}

#--------------------------------------------------------------------------------------------------
# All of it
#--------------------------------------------------------------------------------------------------

# The DDL of version 16, out of the extension's own declaration.
query('postgres', 'CREATE DATABASE declared');
query('declared', 'CREATE EXTENSION cowrie_migrate');
run_file('declared', "$fixtures/v15.sql");
query('declared', 'SET client_min_messages = warning; SELECT count(*) FROM cowrie_migrate_v16()');
foreach my $part (qw(tables keys))
{
	system("'$bindir/psql' -X -q -At -d declared -f '$sql/declared_$part.sql' -o '$work/$part.ddl'") == 0
	  or die "declared_$part.sql failed\n";
}

foreach my $scale (@scales)
{
	say_now("Creating $scale sessions ...");
	query('postgres', "CREATE DATABASE bench_$scale");
	query("bench_$scale", 'CREATE EXTENSION cowrie_migrate');
	run_file("bench_$scale", "$fixtures/v15.sql");
	run_file("bench_$scale", "$sql/data.sql", "n=$scale");
	run_file("bench_$scale", "$sql/shape.sql", @shape) if @shape;
	my ($table, $heap, $indexes) = sizes("bench_$scale");
	note($scale, 'before', 'table_bytes', $table);
	note($scale, 'before', 'heap_bytes', $heap);
	note($scale, 'before', 'index_bytes', $indexes);
	note($scale, 'before', 'document_bytes',
		query("bench_$scale", 'SELECT round(avg(length(enrichment::text))) FROM session_summaries'));

	create_copy("bench_$scale");
	run_file('copy', "$sql/readable.sql");
	foreach my $round (0 .. $rounds)
	{
		foreach my $reader (qw(text facts), $clean ? 'operators' : ())
		{
			my ($milliseconds) = timed('copy', "$sql/$reader.sql");
			note($scale, $reader, 'milliseconds', $milliseconds) if $round > 0;    # 0 fills the caches
		}
	}
	foreach my $round ($clean ? 1 .. $rounds : ())
	{
		timed('copy', "$sql/queries_json.sql") if $round == 1;
		note($scale, 'queries_json', 'milliseconds', (timed('copy', "$sql/queries_json.sql"))[0]);
	}

	foreach my $round (1 .. $rounds)
	{
		foreach my $contender (@contenders)
		{
			measure($scale, $contender);
			say_now(sprintf 'round %d of %d, %d sessions, %s: %.1f s', $round, $rounds, $scale, $contender,
				$samples{$scale}{$contender}{milliseconds}[-1] / 1000);
		}
	}
	foreach my $contender (grep { /^(?:atomic|online)$/ } (@contenders) x $rounds)
	{
		watch($scale, $contender);
	}
	query('postgres', 'DROP DATABASE copy');
	query('postgres', "DROP DATABASE bench_$scale");
}

open(my $csv, '>', $results) or die "$results: $!";
print $csv "scale,contender,measure,median,lowest,highest\n";
foreach my $scale (@scales)
{
	foreach my $contender (sort keys %{ $samples{$scale} })
	{
		foreach my $measure (sort keys %{ $samples{$scale}{$contender} })
		{
			my @sorted = sort { $a <=> $b } @{ $samples{$scale}{$contender}{$measure} };
			my $middle = ($sorted[$#sorted / 2] + $sorted[ @sorted / 2 ]) / 2;
			printf $csv "%d,%s,%s,%.0f,%.0f,%.0f\n", $scale, $contender, $measure, $middle, $sorted[0],
			  $sorted[-1];
		}
	}
}
close $csv;
