# Every statement of the extension can fail: cowrie_migrate.fail_at raises at each of them in turn.
# With `abort` the database is as before, to the byte of its catalog; with `keep` it is as after phase
# k, the same as when cleanup returns to the end of phase k. The next call reaches the reference, and
# nothing is left: no object, lock, setting, role or C++ object. One error for each failure.
#
# `make test` tries a sample of the statements, `make test-full` each of them.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use CowrieTest;
use List::Util qw(min);
use Test::More;

my $node = start_node('every_statement');
my $quiet = 'SET client_min_messages = warning;';

# A database as the reference tells what it must become, and copies of it.
create_v15($node, 'v15', n => 200);
load_reference($node, 'v15');
run_script($node, 'v15', 'probe.sql');

sub copy_of
{
	my ($source, $name, $script) = @_;
	copy_database($node, $source, $name);
	$node->safe_psql($name, $quiet . $script) if $script;
	return $name;
}

# Runs a script in one session that goes on after errors: what it printed, and its errors.
sub session
{
	my ($database, $script) = @_;
	my ($out, $err) = ('', '');
	$node->psql(
		$database, "LOAD 'cowrie_migrate';\n$quiet\n$script",
		stdout => \$out,
		stderr => \$err,
		on_error_stop => 0);
	return ($out, $err);
}

# The numbers to try out of 1 .. n: all, or some that are spread evenly, with the first and the last.
sub sample
{
	my ($n, $wanted) = @_;
	return 1 .. $n if full_counts();
	$wanted = min($wanted, $n);
	my %chosen = ($n - 1 => 1, map { 1 + int(($n - 1) * $_ / ($wanted - 1)) => 1 } 0 .. $wanted - 1);
	return sort { $a <=> $b } keys %chosen;
}

my $hash_of_dump = q{pg_dump --schema-only --schema public -d "$DATABASE" | grep -v '^.\(un\)\?restrict' | md5sum};

# What a call that succeeds leads to, without keeping it; and how many statements it takes.
sub dry_count
{
	my ($database, $call) = @_;
	my ($out, $err) = session($database, qq{
BEGIN;
SELECT count(*) > 0 FROM $call;
SHOW cowrie_migrate.statements;
SELECT md5(probe.definitions('public') || probe.data('public'));
ROLLBACK;});
	my ($done, $statements, $state) = split /\n/, $out;
	is($done, 't', "$database: $call succeeds") or diag($err);
	return ($statements, $state);
}

# abort: fails at statement n, is as before, succeeds when called again.
sub abort_at_every_statement
{
	my ($title, $database, $call, $wanted, $compare) = @_;
	my ($statements, $state) = dry_count($database, $call);
	my @numbers = sample($statements, $wanted);
	local $ENV{DATABASE} = $database;
	my $before = qq{SELECT md5(probe.catalog() || probe.data('public')), probe.residue();
SHOW cowrie_migrate.live_objects;
\\echo `$hash_of_dump`
};
	my $script = "\\echo BEFORE\n$before";
	foreach my $n (@numbers)
	{
		$script .= qq{
\\echo FAILED $n
SET cowrie_migrate.fail_at = '#$n';
SELECT * FROM $call;
\\echo :SQLSTATE
RESET cowrie_migrate.fail_at;
$before
\\echo AGAIN $n
BEGIN;
SELECT count(*) > 0 FROM $call;
SELECT md5(probe.definitions('public') || probe.data('public'));
} . ($compare ? "\\i $CowrieTest::fixtures/compare.sql\n" : '') . qq{
ROLLBACK;
SHOW cowrie_migrate.live_objects;
};
	}
	my ($out, $err) = session($database, $script);
	my (%failed, %again, $unchanged);
	$out .= "\n";
	while ($out =~ /^(BEFORE|FAILED|AGAIN)(?: (\d+))?\n(.*?)(?=^(?:BEFORE|FAILED|AGAIN)|\z)/msg)
	{
		if ($1 eq 'BEFORE') { $unchanged = $3 }
		elsif ($1 eq 'FAILED') { $failed{$2} = $3 }
		else { $again{$2} = $3 }
	}
	like($unchanged // '', qr/^\w{32}\|\n0\n\w{32} /, "$title: nothing is held before");
	# An expression that cannot be evaluated is a refusal (55000), whatever the reason.
	my @changed = grep { ($failed{$_} // '') !~ /\A(?:38000|55000)\n\Q$unchanged\E\z/ } @numbers;
	my $reached = "t\n$state\n" . ($compare ? "$no_difference\n" : '') . "0\n";
	my @missed = grep { ($again{$_} // '') ne $reached } @numbers;
	is("@changed", '', "$title: as before after each failure")
	  or diag("expected 38000\n$unchanged\nfound $failed{$changed[0]}\n$err");
	is("@missed", '', "$title: the next call succeeds") or diag("expected $reached\nfound $again{$missed[0]}\n$err");
	is(scalar(() = $err =~ /^psql:.*ERROR: .*$/mg), scalar(@numbers), "$title: one error each");
	figure(sprintf '%s, abort: failed at %d of %d statements; %d as before, %d next calls complete',
		$title, scalar(@numbers), $statements, @numbers - @changed, @numbers - @missed);
	return ($statements, $state);
}

# From version 15, abort.
my ($statements, $complete) = abort_at_every_statement('migrate', copy_of('v15', 'aborted'),
	'cowrie_migrate_v16()', 14, 1);
cmp_ok($statements, '>', 100, "a migration takes $statements statements");

# The states after each phase, by way of cleanup.
copy_of('v15', 'phases', 'SELECT count(*) FROM cowrie_migrate_v16()');
my @after_phase;
foreach my $phase (reverse 1 .. 4)
{
	$after_phase[$phase] = $node->safe_psql('phases', qq{$quiet
SELECT 1 FROM (SELECT count(*) FROM cowrie_cleanup_v16(to_phase => $phase)) AS done;
SELECT md5(probe.definitions('public') || probe.data('public'))}) =~ s/^1\n//r;
}
$after_phase[0] = $node->safe_psql('v15', q{SELECT md5(probe.definitions('public') || probe.data('public'))});
is(scalar(keys %{ { map { $_ => 1 } @after_phase, $complete } }), 6, 'six different states');

# keep: either the call fails as a whole, outside of all phases, and the database is as before; or
# the phase comes back as failed, and the database is as after the phase before it.
{
	my @numbers = sample($statements, 14);
	my $script = '';
	foreach my $n (@numbers)
	{
		$script .= qq{
\\echo KEPT $n
BEGIN;
SAVEPOINT start;
SET LOCAL cowrie_migrate.fail_at = '#$n';
SELECT coalesce(max(phase) FILTER (WHERE status = 'failed'), 0) AS failed FROM cowrie_migrate_v16(on_failure => 'keep') \\gset
\\if :ERROR
  \\echo error
  ROLLBACK TO start;
\\else
  \\echo :failed
\\endif
SET LOCAL cowrie_migrate.fail_at = '';
SELECT md5(probe.definitions('public') || probe.data('public'));
SELECT count(*) FROM pg_class WHERE relname ~ '^cowrie_migrate_';
SELECT count(*) > 0 FROM cowrie_migrate_v16();
SELECT md5(probe.definitions('public') || probe.data('public'));
\\i $CowrieTest::fixtures/compare.sql
ROLLBACK;
SHOW cowrie_migrate.live_objects;
SELECT probe.residue();
};
	}
	my ($out, $err) = session(copy_of('v15', 'kept'), $script);
	my (@wrong, %failures);
	$out .= "\n";
	while ($out =~ /^KEPT (\d+)\n(\w+)\n(.*?)(?=^KEPT|\z)/msg)
	{
		my ($n, $failed, $rest) = ($1, $2, $3);
		my $phase = $failed eq 'error' ? 0 : $failed - 1;
		$failures{$failed}++;
		push @wrong, "$n ($failed): $rest"
		  if $rest ne "$after_phase[$phase]\n0\nt\n$complete\n$no_difference\n0\n\n";
	}
	is("@wrong", '', 'keep: after phase k, the next call resumes and reaches the reference');
	my $tried = 0;
	$tried += $_ for values %failures;
	is($tried, scalar(@numbers), 'keep: each was tried');
	is(scalar(() = $err =~ /^psql:.*ERROR: .*$/mg), $failures{error} // 0, 'keep: one error each');
	is(scalar(() = $err =~ /WARNING:  phase \d \(\w+\) failed at step \w+: injected failure at statement \d+$/mg),
		$tried - ($failures{error} // 0), 'keep: else one warning each');
	figure(sprintf 'migrate, keep: failed at %d of %d statements; %s; %d resumed to the reference',
		$tried, $statements,
		join(', ', map { ($_ eq 'error' ? 'as before (outside all phases)' : "phase $_ rolled back") . " $failures{$_}" }
			  sort keys %failures),
		$tried - @wrong);
}

# keep, committed, in a new session each time: by place.
{
	my ($kept, $expected) = (0, 0);
	foreach my $place ([ 1, 'fill_columns' ], [ 2, 'verify' ], [ 3, 'load_ip_inventory' ],
		[ 4, 'analyze_ip_inventory' ], [ 5, 'zero_loss_gate' ])
	{
		my ($phase, $step) = @$place;
		my $database = copy_of('v15', "committed_$phase");
		is($node->safe_psql($database, qq{$quiet
SET cowrie_migrate.fail_at = '$phase.$step';
SELECT phase, step, status FROM cowrie_migrate_v16(on_failure => 'keep') WHERE status = 'failed'}),
			"$phase|$step|failed", "keep, committed: $phase.$step comes back as a row");
		my $same = is(
			$node->safe_psql($database, q{SELECT md5(probe.definitions('public') || probe.data('public'))}),
			$after_phase[ $phase - 1 ], 'as after the phase before');
		is($node->safe_psql($database,
				"SELECT phase, sqlstate FROM cowrie_migration_log WHERE step = '$step' AND status = 'failed'"),
			"$phase|38000", 'and is in the ledger');
		is($node->safe_psql($database, "$quiet SELECT min(phase) FROM cowrie_migrate_v16()"),
			$phase, "a new session resumes at phase $phase");
		$same &&= is(compare($node, $database), $no_difference, 'and reaches the reference');
		$kept++ if $same;
		$expected++;
	}
	figure("migrate, keep, committed: $kept of $expected as after the phase before, then complete");
}

# The other ways: a resumption with sessions that came meanwhile, a repair, a cleanup.
abort_at_every_statement('resume', copy_of('v15', 'resumed', q{
SELECT count(*) FROM cowrie_migrate_v16();
SELECT count(*) FROM cowrie_cleanup_v16(to_phase => 2);
UPDATE session_summaries SET source_ip = NULL, enrichment_at = NULL, snapshot_asn = NULL,
  snapshot_country = NULL, snapshot_ip_type = NULL WHERE session_id < '3'}),
	'cowrie_migrate_v16()', 5, 1);
abort_at_every_statement('repair', copy_of('v15', 'repaired', q{
SELECT count(*) FROM cowrie_migrate_v16();
ALTER TABLE ip_inventory DROP COLUMN geo_country;
DROP INDEX idx_asn_type;
ALTER TABLE session_summaries DROP CONSTRAINT fk_session_source_ip;
UPDATE session_summaries SET source_ip = NULL, enrichment_at = NULL, snapshot_asn = NULL,
  snapshot_country = NULL, snapshot_ip_type = NULL;
DELETE FROM schema_state WHERE key = 'schema_subphase'}),
	'cowrie_migrate_v16(repair => true)', 5, 1);
abort_at_every_statement('cleanup', copy_of('v15', 'cleaned', 'SELECT count(*) FROM cowrie_migrate_v16()'),
	'cowrie_cleanup_v16()', 5, 0);

$node->stop;
done_testing();
