# Partitioned sessions in the states in which production databases were found: repair gives what it gives for the
# plain table in the same state, to the hash of every tier, and a second repair has nothing to do.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use CowrieTest;
use File::Basename qw(basename);
use Partitions;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_node('repaired', 'autovacuum = off');
# Rows without a parent are in a partitioned table only where there is no foreign key at all.
my $fixtures = "$FindBin::RealBin/../fixtures";
my @all = grep { $_ ne 'not_valid_foreign_keys' } map { basename($_, '.sql') } glob "$fixtures/states/*.sql";
my @states = full_counts() ? @all : qw(half_filled invalid_index list_of_types version16_empty_snapshots);
is(scalar(grep { my $state = $_; grep { $_ eq $state } @all } @states), scalar @states, 'states that there are');
my @layouts = full_counts() ? layouts() : ('hash');

create_v15($node, 'before', owner => 'app', n => full_counts() ? 1000 : 200);
$node->safe_psql('before', 'UPDATE session_summaries SET first_event_at = COALESCE(first_event_at, last_event_at, created_at)');
foreach my $layout (@layouts)
{
	copy_database($node, 'before', "before_$layout", owner => 'app');
	partition_sessions($node, "before_$layout", $layout, user => 'app');
}

# A database in a state, repaired: the hash of its tiers.
sub repaired
{
	my ($name, $template, $state) = @_;
	copy_database($node, $template, 'mydb', owner => 'app', anew => 1);
	# A partitioned table takes no foreign key NOT VALID. Who makes an index INVALID writes to the catalog.
	(my $script = slurp_file("$fixtures/states/$state.sql")) =~ s/ NOT VALID;/;/g;
	$node->safe_psql('mydb', $script,
		extra_params => [ '-v', 'schema=public', '-U', $state eq 'invalid_index' ? 'postgres' : 'app' ]);
	my $data = data_hash($node, 'mydb');
	my @owner = (extra_params => [ '-U', 'app' ]);
	my $findings = 'SELECT object_name, problem, actual FROM cowrie_validate_schema()';
	isnt($node->safe_psql('mydb', $findings, @owner), '', "$name: findings at first");
	my ($out, $err);
	$node->psql('mydb', 'SET client_min_messages = error; SELECT count(*) FROM cowrie_migrate_v16(repair => true)', stdout => \$out, stderr => \$err, @owner);
	is($err, '', "$name: repaired");
	is($node->safe_psql('mydb', $findings, @owner), '', "$name: no findings afterwards");
	is(data_hash($node, 'mydb'), $data, "$name: sessions and raw events as before");
	is($node->safe_psql('mydb', 'SELECT step, status FROM cowrie_migrate_v16(repair => true)', @owner), 'verify|skipped', "$name: a second repair has nothing to do");
	return migrated_hash($node, 'mydb');
}

foreach my $state (@states)
{
	my $expected = repaired("$state, plain", 'before', $state);
	is(repaired("$state, $_", "before_$_", $state), $expected, "$state, $_: as the plain table") foreach @layouts;
}

done_testing();
