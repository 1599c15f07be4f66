# What a caller reads while a run goes: one NOTICE for each phase, which says what the phase did, and one for a
# step only where it rejects, skips or takes over a second. The rows and the ledger stay whole.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use CowrieTest;
use Test::More;

my $node = start_node('notices');
create_v15($node, 'app', n => 60);

# The NOTICEs of a call, without those of steps that were slow here; and what it returns.
sub notices_of
{
	my ($database, $call) = @_;
	my ($status, $out, $err) = $node->psql($database, "SET client_min_messages = notice;\n$call");
	is($status, 0, $call) or diag($err);
	my @notices = grep { !/: \w+ done in (?:\d+\.\d s|\d+ min|\d+ h)/ || /rejected:/ } $err =~ /^(?:psql:\S+ )?NOTICE:  (.*)$/mg;
	unlike($err, qr/\d\d:\d\d:\d\d\.\d|\d{5,} bytes/, 'no fraction of a time of day, and no bare bytes');
	s/ in (?:under 1 ms|\d+ ms|\d+\.\d s)/ in T/ foreach @notices;
	return ($out, @notices);
}

my %rejecting = (atomic => 'SELECT step FROM cowrie_migrate_v16()', online => 'CALL cowrie_migrate_v16_online()');
foreach my $mode (sort keys %rejecting)
{
	$node->safe_psql('postgres', "CREATE DATABASE $mode TEMPLATE app");
	my ($out, @notices) = notices_of($mode, $rejecting{$mode});
	my ($fill) = grep { /fill_columns done/ } @notices;
	like($fill // '', qr/^phase 1 \(session_columns\): fill_columns done in T, 60 rows \(rejected: \w+ \d+/,
		"$mode: the step that rejects values says so");
	is(join(', ', map { /^phase (\d) \(\w+\) done in T: \d+ steps(?:, \w+ \d+ rows)*$/ ? $1 : () } @notices), '1, 2, 3, 4, 5',
		"$mode: a NOTICE for each phase");
	is(scalar(@notices), 6, "$mode: and no other") or diag(join "\n", @notices);
	my $recorded = $node->safe_psql($mode, 'SELECT count(*) FROM cowrie_migration_log WHERE step IS NOT NULL');
	cmp_ok($recorded, '>', 30, "$mode: every step is in the ledger");
	is(scalar(split /\n/, $out), $recorded, "$mode: and in the rows") if $mode eq 'atomic';
	is($node->safe_psql($mode, q{SELECT count(*) FROM cowrie_migration_log
WHERE elapsed <> date_trunc('milliseconds', elapsed)}), '0', "$mode: times are whole milliseconds");
	($out, @notices) = notices_of($mode, $rejecting{$mode});
	is(join('; ', @notices), $mode eq 'online' ? 'schema version 16 is complete, nothing to do' : '', "$mode: once more");

	($out, @notices) = notices_of($mode, 'SELECT step FROM cowrie_cleanup_v16()');
	is(join(', ', map { /^phase (\d) \(\w+\) removed in T: \d+ steps?/ ? $1 : () } @notices), '5, 4, 3, 2, 1',
		"$mode: cleanup, a NOTICE for each phase");
	is($notices[-1], 'cleanup done in T: schema version 15', "$mode: and the state that it leaves");
	is(scalar(@notices), 6, "$mode: cleanup, and no other") or diag(join "\n", @notices);
}

$node->stop;
done_testing();
