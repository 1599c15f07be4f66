# The attack matrix: whatever is planted in whichever table, whoever calls whatever there is to call: nobody
# gains a right, and the server lives. A sample in which every value of every axis occurs; all of it with
# COWRIE_FULL=1.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use AttackMatrix;
use CowrieTest;
use Hostile;
use Test::More;

my $node = hostile_node('matrix', 'autovacuum = off');
my $matrix = AttackMatrix->new($node);
my ($groups, $sensible, $left_out) = AttackMatrix::chosen(full_counts());
my @groups = @$groups;

# The planted code works: where it runs as the caller, it is seen to.
$matrix->template('app', 'postgres', 'v15');
$node->safe_psql('postgres', 'CREATE DATABASE proof TEMPLATE t_app_postgres_v15');
$node->safe_psql('proof', attack_code('app'));
$node->safe_psql('proof', q{SELECT evil.imm('proof'); SELECT rolsuper FROM pg_roles WHERE rolname = 'app'});
like(join("\n", gains($node)), qr/^GAIN .* proof of app as postgres .*DONE .* ALTER ROLE app SUPERUSER/s, 'the planted code works');

$matrix->run_group(@$_) foreach @groups;

my %met;
foreach my $cell (map { @$_ } @groups)
{
	$met{$_}{ $cell->{$_} } = 1 foreach @AttackMatrix::axes;
}
foreach my $axis (@AttackMatrix::axes)
{
	my @not_met = grep { !$met{$axis}{$_} && $_ ne 'event trigger' } @{ $AttackMatrix::values{$axis} };
	is(join(', ', @not_met), '', "every $axis occurs");
}
is(join("\n", map { "$_: $matrix->{unplanted}{$_}" } sort keys %{ $matrix->{unplanted} }), '', 'every object was planted');
my @succeeded = map { "$_ | $matrix->{succeeded}{$_}" } sort keys %{ $matrix->{succeeded} };
is(join("\n", @succeeded), '', 'nobody gains anything');
server_lived($node, 'no process was ended by a signal');

my $total = $sensible;
$total += $_ foreach values %$left_out;
note("left out: $left_out->{$_}: $_") foreach sort keys %$left_out;
figure(sprintf 'attack matrix: %d tried, %d succeeded (of %d cells that make sense, of %d in all)',
	$matrix->{tried}, scalar(@succeeded), $sensible, $total);
$node->stop;
done_testing();
