# Who is refused a function of version 16 is refused that of version 17 in the same words; and the arguments
# of both are the same.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use CowrieTest;
use Test::More;
use Versions;

my $node = start_node('refused17');
create_v15($node, 'app', owner => 'app_owner', n => 50);
$node->safe_psql('app', q{CREATE ROLE stranger LOGIN; CREATE ROLE reader LOGIN; CREATE DATABASE at_17 TEMPLATE app OWNER app_owner});
$node->safe_psql($_, 'GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader') foreach qw(app at_17);
$node->safe_psql('at_17', 'SELECT count(*) FROM cowrie_migrate_v17()', extra_params => [ '-U', 'app_owner' ]);

# The functions, from the catalog: name, kind and arguments of those of version 17 with their model of 16.
my @functions = split /\n/, $node->safe_psql('app', q{
SELECT n.proname, n.prokind, pg_get_function_arguments(n.oid) = pg_get_function_arguments(o.oid)
FROM pg_proc AS n JOIN pg_proc AS o ON o.proname = replace(n.proname, '_v17', '_v16') WHERE n.proname LIKE 'cowrie%\_v17%' ORDER BY 1});
is(scalar(@functions), 5, 'functions of version 17');
foreach my $line (@functions)
{
	my ($name, $kind, $same) = split /\|/, $line;
	is($same, $name =~ /cleanup/ ? 'f' : 't', "$name: the arguments of version 16's");
	(my $model = $name) =~ s/_v17/_v16/;
	foreach my $user (qw(stranger reader))
	{
		foreach my $with ('', 'dry_run => true', q{target_schema => 'nowhere'}, q{target_schema => 'pg_catalog'})
		{
			next if $with =~ /dry_run/ && $name !~ /migrate_v17$|cleanup/;
			my @refused = map {
				my $call = $kind eq 'p' ? "CALL $_($with)" : "SELECT count(*) FROM $_($with)";
				join ' ', refusal_of($node, $name =~ /cleanup/ ? 'at_17' : 'app', $call, '-U', $user)
			} $name, $model;
			s/_v17/_v16/g foreach @refused;
			if ($name =~ /cleanup/ && $with =~ /dry_run/ && $user eq 'reader')
			{
				# The plan of version 16 is refused by what stands on it.
				like($refused[0], qr/^not refused/, "$name($with) as $user");
				next;
			}
			is($refused[0], $refused[1], "$name($with) as $user: as for version 16");
		}
		my ($state) = refusal_of($node, 'app', $kind eq 'p' ? "CALL $name()" : "SELECT * FROM $name()", '-U', $user);
		is($state, '42501', "$name() as $user: insufficient privilege") if $name =~ /migrate|cleanup/;
	}
}

# Arguments that no call can work with.
foreach my $case ([ q{SELECT * FROM cowrie_migrate_v17(on_failure => 'sometimes')}, '22023' ],
	[ 'CALL cowrie_migrate_v17_online(batch_size => 0)', '22023' ], [ 'BEGIN; CALL cowrie_migrate_v17_online();', '25001' ],
	[ 'BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT * FROM cowrie_migrate_v17();', '25001' ],
	[ 'BEGIN READ ONLY; SELECT * FROM cowrie_cleanup_v17();', '25006' ])
{
	my ($sql, $expected) = @$case;
	my ($state, $message, $hint) = refusal_of($node, 'app', $sql, '-U', 'app_owner');
	is($state, $expected, $sql);
	unlike("$message $hint", qr/_v16/, 'speaks of version 17');
}

done_testing();
