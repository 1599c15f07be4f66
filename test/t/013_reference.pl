# docs/REFERENCE.md is what scripts/reference.sql makes of the catalog: no function, column or setting is missing
# there, and none has another description.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use CowrieTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $root = "$FindBin::RealBin/../..";
my $node = start_node('reference');
$node->safe_psql('postgres', 'CREATE EXTENSION cowrie_migrate');
my ($status, $page, $errors) = $node->psql('postgres', slurp_file("$root/scripts/reference.sql"));
is($status, 0, 'made from the catalog') or diag($errors);
$page =~ s/\s+\z//;
my $written = slurp_file("$root/docs/REFERENCE.md");
$written =~ s/\s+\z//;
my @page = split /\n/, $page;
my @written = split /\n/, $written;
is_deeply(\@written, \@page, 'docs/REFERENCE.md is up to date: make reference');

# It says something of everything.
my @functions = split /\n/, $node->safe_psql('postgres',
	q{SELECT DISTINCT proname FROM pg_proc WHERE proname LIKE 'cowrie\\_%' AND pronamespace = 'public'::regnamespace});
cmp_ok(scalar @functions, '>', 8, 'functions');
foreach my $function (@functions)
{
	like($page, qr/^(?:CALL )?$function\(.*\n```\n\n\w/m, "$function has a description");
}
unlike($page, qr/^\| `.*\|\s*\|$/m, 'every column and setting has a description');

done_testing();
