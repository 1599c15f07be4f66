# Every interleaving of a writer with an online migration: a transaction that begins before step i and ends
# after step j, for all i <= j, for each kind of write, committed and rolled back, with the write at its beginning
# where no step in between has to wait for it, and at its end. The run is stopped at every boundary of its steps, and
# the next call resumes it. The result is what the reference computes from the sessions as they are in the
# end, and the checkpoint finds what was changed after a batch had read it, and nothing else.
#
# All with COWRIE_FULL=1, else a sample (COWRIE_SEED) in which the kinds are mixed. Writers have a session each and
# rows of their own, so that many of them take part in one run.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use CowrieTest;
use List::Util qw(shuffle);
use Online;
use Session;
use Test::More;

my $writers_per_run = 150;
my $sampled_runs = 3;
my $seed = $ENV{COWRIE_SEED} // 16;
srand($seed);
my $node = start_node('interleavings', 'autovacuum = off', 'max_connections = 200');
work_in($node);
$node->safe_psql('postgres', 'CREATE DATABASE origin');
$node->safe_psql('origin', 'CREATE EXTENSION cowrie_migrate');
run_script($node, 'origin', 'v15.sql');
$node->safe_psql('postgres', 'CREATE EXTENSION dblink');
my $socket = $node->host;
my $port = $node->port;

# What is written --------------------------------------------------------------------------------------

# Every case has an address and an ASN of its own, and a neighbour with the same ones; a second address of its
# own has a neighbour too. Half of the sessions whose document is changed have none before.
sub address { return sprintf '10.%d.%d.%d', $_[1], $_[0] / 250, 1 + $_[0] % 250 }
sub document
{
	my ($n, $asn, $word, $address) = @_;
	return sprintf q{'{"session_metadata": {"source_ip": "%s"}, "maxmind": {"asn": %d, "country": "SE", "asn_org": "%s"},
"enriched_at": "2024-05-01T00:00:00Z", "urlhaus": "%s"}'}, $address // address($n, 0), $asn + $n, $word, $word;
}
my $times = q{'2024-05-01 10:00Z', '2024-05-01 11:00Z'};
my $columns = 'session_summaries (session_id, first_event_at, last_event_at, enrichment)';

sub rows_before
{
	my ($case) = @_;
	my $n = $case->{n};
	my @rows = ([ "n$n", document($n, 1000, 'near') ], [ "m$n", document($n, 1000, 'other', address($n, 1)) ]);
	push @rows, [ "s$n", $case->{kind} eq 'document' && $n % 2 ? 'NULL' : document($n, 1000, 'one') ]
	  if $case->{kind} ne 'insert';
	return map { "INSERT INTO $columns VALUES ('$_->[0]', $times, $_->[1]);\n" } @rows;
}

my %write = (
	insert => sub { "INSERT INTO $columns VALUES ('s$_[0]', $times, " . document($_[0], 1000, 'one') . ')' },
	document => sub { 'UPDATE session_summaries SET enrichment = ' . document($_[0], 1000, 'two') . " WHERE session_id = 's$_[0]'" },
	times => sub { "UPDATE session_summaries SET first_event_at = first_event_at - interval '1 day', "
		  . "last_event_at = last_event_at + interval '1 day' WHERE session_id = 's$_[0]'" },
	key => sub { "UPDATE session_summaries SET session_id = 'k$_[0]' WHERE session_id = 's$_[0]'" },
	source_ip => sub { "UPDATE session_summaries SET source_ip = '" . address($_[0], 1) . "' WHERE session_id = 's$_[0]'" },
	delete => sub { "DELETE FROM session_summaries WHERE session_id = 's$_[0]'" },
	replace => sub { "DELETE FROM session_summaries WHERE session_id = 's$_[0]'; INSERT INTO $columns VALUES ('s$_[0]', $times, "
		  . document($_[0], 20000, 'new') . ')' });

# The steps, and the cases ---------------------------------------------------------------------------

copy('steps');
is((call('steps', 'SELECT 1'))[0], 0, 'a run to the end');
my @steps = split /\n/, $node->safe_psql('steps',
	q{SELECT phase || '.' || step FROM cowrie_migration_log WHERE step IS NOT NULL ORDER BY log_id});
my %at = map { $steps[$_] =~ /\.(.*)/ => $_ + 1 } 0 .. $#steps;
my ($columns_added, $queued, $filled, $cut_over) = @at{qw(add_columns queue_sessions fill_columns cut_over)};
cmp_ok(scalar @steps, '>', 40, scalar(@steps) . ' steps');

# Tells whether a step would wait for the transaction, once that has written: for its lock on the table, or on
# the row. What it does then is the matter of other tests.
sub waits
{
	my ($step, $kind) = @_;
	return $steps[ $step - 1 ] =~ /\.(add_columns|cut_over|idx_session_.*)$/
	  || ($kind ne 'insert' && $step == $filled);
}

# $moment: after which step it writes. An address can be set when there is a column for it.
my @cases;
foreach my $kind (sort keys %write)
{
	foreach my $i (1 .. @steps)
	{
		my $early = 1;
		foreach my $j ($i .. @steps)
		{
			$early &&= !waits($j, $kind);
			foreach my $moment ($early ? ($i - 1, $j) : $j)
			{
				next if $kind eq 'source_ip' and $moment < $columns_added;
				push @cases, map { { kind => $kind, i => $i, j => $j, moment => $moment, end => $_ } } qw(COMMIT ROLLBACK);
			}
		}
	}
}
my %runs;
push @{ $runs{ full_counts() ? $_->{kind} : 'mixed' } }, $_ foreach shuffle @cases;

# A run --------------------------------------------------------------------------------------------

my $dispatcher = Session->new($node, 'postgres');

# What the writers do between two steps: those that end, then those that begin.
sub act
{
	my ($database, $cases, $boundary) = @_;
	my $sql = '';
	foreach my $case (@$cases)
	{
		my ($n, $writes) = ($case->{n}, $case->{moment} == $boundary);
		my $exec = sub { "SELECT dblink_exec('w$n', " . quote_text($_[0]) . ");\n" };
		$sql .= $exec->($write{ $case->{kind} }->($n)) if $writes and $case->{j} == $boundary;
		$sql .= $exec->($case->{end}) . "SELECT dblink_disconnect('w$n');\n" if $case->{j} == $boundary;
	}
	foreach my $case (grep { $_->{i} == $boundary + 1 } @$cases)
	{
		my $n = $case->{n};
		$sql .= "SELECT dblink_connect('w$n', 'host=$socket port=$port user=postgres dbname=$database');\n"
		  . "SELECT dblink_exec('w$n', 'BEGIN');\n";
		$sql .= "SELECT dblink_exec('w$n', " . quote_text($write{ $case->{kind} }->($n)) . ");\n"
		  if $case->{moment} == $boundary;
	}
	$dispatcher->run($sql) if $sql ne '';
	return;
}

# The tables as they are now, as input of the reference: an address that was set alone is one that the
# document names first.
sub keep_state
{
	my ($database, $schema) = @_;
	$node->safe_psql($database, qq{
CREATE SCHEMA $schema;
CREATE TABLE $schema.raw_events AS TABLE public.raw_events;
CREATE TABLE $schema.session_summaries AS SELECT session_id, first_event_at, last_event_at, created_at,
  CASE WHEN source_ip LIKE '10.1.%' AND session_id LIKE 's%'
       THEN jsonb_set(enrichment::jsonb, '{session_metadata,source_ip}', to_jsonb(source_ip))::json
       ELSE enrichment END AS enrichment
FROM public.session_summaries});
	return;
}

sub run_with
{
	my ($database, $cases) = @_;
	$_->{n} = 0 foreach @$cases;
	my $n = 0;
	$_->{n} = ++$n foreach @$cases;
	copy($database);
	$node->safe_psql($database, join '', map { rows_before($_) } @$cases);
	act($database, $cases, 0);
	foreach my $boundary (1 .. @steps)
	{
		my ($status, $told) = call($database,
			$boundary < @steps ? fail_at($steps[$boundary]) : "SET cowrie_migrate.fail_at = ''");
		my $expected = $boundary < @steps ? qr/injected failure at \Q$steps[$boundary]\E/ : qr/phase 5 \(foreign_keys\) done/;
		unless ($told =~ $expected)
		{
			fail("$database: stops before $steps[$boundary % @steps]");
			diag($told);
		}
		keep_state($database, 'at_cut_over') if $boundary == $cut_over;
		act($database, $cases, $boundary);
	}
	keep_state($database, 'at_the_end');
	return;
}

# What was written before the cut-over is in the result. What comes after it is as what comes after the run: each
# row is as before it or as after it.
sub compare_run
{
	my ($database, $cases) = @_;
	my $later = grep { $_->{moment} >= $cut_over and $_->{end} eq 'COMMIT' } @$cases;
	load_reference($node, $database, 'at_the_end');
	return compare($node, $database) unless $later;
	$node->safe_psql($database, 'ALTER SCHEMA reference RENAME TO reference_end');
	load_reference($node, $database, 'at_cut_over');
	my $unfilled = join ', ', map { sprintf "'%s%d'", $_->{kind} eq 'key' ? 'k' : 's', $_->{n} }
	  grep { $_->{moment} >= $cut_over } @$cases;
	my @lines;
	my %columns = (
		sessions => 'session_id, source_ip, enrichment_at, snapshot_asn, snapshot_country, snapshot_ip_type',
		ip_inventory => 'ip_address, current_asn, first_seen, last_seen, session_count, enrichment, geo_country',
		asn_inventory => 'asn_number, organization_name, first_seen, last_seen, unique_ip_count, total_session_count, enrichment',
		ip_asn_history => 'ip_address, asn_number, observed_at, verification_source');
	foreach my $table (sort keys %columns)
	{
		my $actual = $table eq 'sessions' ? 'session_summaries' : $table;
		my $where = $table eq 'sessions' ? "WHERE NOT (session_id IN ($unfilled) AND source_ip IS NULL)" : '';
		my $list = $columns{$table};
		push @lines, "$table|" . $node->safe_psql($database, qq{
SELECT (SELECT count(*) FROM ((SELECT $list FROM reference.$table INTERSECT SELECT $list FROM reference_end.$table)
                              EXCEPT SELECT $list FROM public.$actual) AS d)
 || '|' || (SELECT count(*) FROM (SELECT $list FROM public.$actual $where
                              EXCEPT (SELECT $list FROM reference.$table UNION SELECT $list FROM reference_end.$table)) AS d)});
	}
	return join "\n", @lines;
}

# What the checkpoint finds: sessions that were there before the run and have been changed after their batch. A
# key that is in the queue, which does not see what has not been committed, is another one by then.
sub expected_verdict
{
	my ($cases) = @_;
	my (%differs, $count);
	foreach my $case (grep { $_->{end} eq 'COMMIT' } @$cases)
	{
		my $kind = $case->{kind};
		my $missed = $case->{j} >= $queued && $case->{moment} < $filled;
		next if $case->{moment} < $filled and not ($missed and $kind eq 'key');
		$differs{documents}++ if $kind =~ /document|key|delete|replace/;
		$differs{times}++ if $kind =~ /times|key|delete|replace/;
		$count -= 1 if $kind =~ /delete|replace/;
		$count += 1 if $missed;
	}
	my @parts = (defined $count && $count != 0 ? ("count $count") : (), grep { $differs{$_} } qw(documents times));
	return @parts ? join ', ', @parts : 'no difference';
}

sub verdict
{
	my ($database) = @_;
	my $measured = $node->safe_psql($database,
		q{SELECT measured FROM cowrie_checkpoint_v16() WHERE criterion = 'zero_data_loss'});
	$measured =~ s/^different: //;
	$measured =~ s/count \((\d+) before, (\d+) now\)/'count ' . ($2 - $1)/e;
	return $measured;
}

my ($done, $run) = (0, 0);
foreach my $kind (sort keys %runs)
{
	my @left = @{ $runs{$kind} };
	splice @left, $sampled_runs * $writers_per_run unless full_counts();
	while (my @some = splice @left, 0, $writers_per_run)
	{
		my $database = "${kind}_" . ++$run;
		run_with($database, \@some);
		my $differs = is(compare_run($database, \@some), $no_difference, "$database: as the reference");
		my $found = is(verdict($database), expected_verdict(\@some), "$database: what the checkpoint finds");
		my $errors = is($node->safe_psql($database,
				q{SELECT count(*) FROM cowrie_validate_schema() WHERE severity = 'error'}), '0', "$database: no error");
		$done += @some;
		next unless $differs and $found and $errors;
		$node->safe_psql('postgres', "DROP DATABASE $database");
	}
}
figure("writers beside an online migration: $done of " . scalar(@cases)
	  . ' interleavings (' . scalar(@steps) . " steps, seed $seed), all as the reference");

$node->stop;
done_testing();
