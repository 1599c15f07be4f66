# Whoever calls: the new tables belong to the owner of session_summaries and carry its grants; a
# dump by that owner, who is no superuser, restores; nothing depends on the extension.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use CowrieTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_node('ownership');
my $schema = 'x\'y"z';
my $argument = quote_text($schema);
my $quoted = quote_name($schema);

$node->safe_psql('postgres', q{
CREATE ROLE app_owner LOGIN;
CREATE ROLE dba LOGIN;
GRANT app_owner TO dba;
CREATE ROLE analyst LOGIN;
CREATE ROLE lead LOGIN;
CREATE ROLE stranger LOGIN;
});

# Owner and grants of the migrated tables, a line each.
my $owners_and_grants = sub {
	my ($database) = @_;
	return $node->safe_psql($database, qq{
SELECT c.relname, pg_get_userbyid(c.relowner),
       (SELECT string_agg(concat_ws(':', coalesce(nullif(x.grantee, 0)::regrole::text, 'PUBLIC'),
                                    x.privilege_type, x.is_grantable), ' '
               ORDER BY x.grantee, x.privilege_type)
        FROM aclexplode(c.relacl) AS x WHERE x.grantee <> c.relowner)
FROM pg_class AS c
WHERE c.relnamespace = $argument\::regnamespace
AND c.relname IN ('session_summaries', 'asn_inventory', 'ip_inventory', 'ip_asn_history')
ORDER BY c.relname COLLATE "C"});
};

# regnamespace takes an identifier, not a name
$argument = quote_text(quote_name($schema));
my $call_argument = quote_text($schema);

foreach my $caller ('app_owner', 'dba', 'postgres')
{
	my $database = "called_by_$caller";
	create_v15($node, $database, owner => 'app_owner', schema => $schema, n => 400);
	$node->safe_psql($database, qq{
GRANT SELECT ON $quoted.session_summaries TO analyst;
GRANT SELECT, UPDATE ON $quoted.session_summaries TO lead WITH GRANT OPTION;
GRANT SELECT ON $quoted.session_summaries TO PUBLIC;
-- what new tables would get by themselves must not matter
ALTER DEFAULT PRIVILEGES FOR ROLE app_owner GRANT ALL ON TABLES TO stranger;
});
	load_reference($node, $database, $schema);
	my ($out, $err) = ('', '');
	my $status = $node->psql($database, "SELECT count(*) FROM cowrie_migrate_v16($call_argument)",
		stdout => \$out, stderr => \$err, extra_params => [ '-U', $caller ]);
	is($status, 0, "$caller migrates") or diag($err);
	is(compare($node, $database, $schema), $no_difference, "$caller: as the reference");
	my $grants = 'analyst:SELECT:f lead:SELECT:t lead:UPDATE:t';
	my @lines = split /\n/, $owners_and_grants->($database);
	is(scalar(@lines), 4, "$caller: four tables");
	foreach my $line (@lines)
	{
		my ($table, $owner, $acl) = split /\|/, $line, 3;
		is($owner, 'app_owner', "$caller: $table belongs to the owner");
		is(join(' ', sort split / /, $acl),
			join(' ', sort split(/ /, $grants), 'PUBLIC:SELECT:f'),
			"$caller: $table has the grants of session_summaries");
	}
	is($node->safe_psql($database,
			'SELECT DISTINCT run_by FROM cowrie_migration_log'),
		$caller, "$caller: the ledger names who called");
	like(
		($node->psql($database, "DELETE FROM cowrie_migration_log",
			extra_params => [ '-U', 'app_owner' ]))[2],
		qr/permission denied/,
		"$caller: the owner of the tables cannot edit the ledger");
}

# The owner of the tables creates the extension (it is trusted), migrates, dumps and restores.
$node->safe_psql('postgres', 'CREATE DATABASE dumped OWNER app_owner');
$node->safe_psql('dumped', 'CREATE EXTENSION cowrie_migrate',
	extra_params => [ '-U', 'app_owner' ]);
create_v15($node, 'dumped_data', owner => 'app_owner', schema => $schema, n => 10);
$node->safe_psql('postgres', 'DROP DATABASE dumped_data');
run_script($node, 'dumped', 'v15.sql', schema => $schema, user => 'app_owner');
run_script($node, 'dumped', 'sessions.sql', schema => $schema, user => 'app_owner', n => 400);
$node->safe_psql('dumped', "SELECT count(*) FROM cowrie_migrate_v16($call_argument)",
	extra_params => [ '-U', 'app_owner' ]);
my $state = sub {
	my ($database) = @_;
	return data_hash($node, $database, $schema) . "\n"
	  . $node->safe_psql($database, qq{
SELECT count(*), md5(string_agg(l::text, '' ORDER BY log_id)) FROM cowrie_migration_log AS l;
SELECT md5(string_agg(i::text, '' ORDER BY ip_address)) FROM $quoted.ip_inventory AS i;
SELECT count(*) FROM cowrie_validate_schema($call_argument);
});
};
my $before = $state->('dumped');
my $file = PostgreSQL::Test::Utils::tempdir() . '/dump';
$node->command_ok([ 'pg_dump', '-Fc', '-U', 'app_owner', '-f', $file, 'dumped' ],
	'the owner dumps');
$node->safe_psql('postgres', 'CREATE DATABASE restored OWNER app_owner');
$node->command_ok(
	[ 'pg_restore', '--exit-on-error', '-U', 'app_owner', '-d', 'restored', $file ],
	'the owner restores');
is($state->('restored'), $before, 'restored: same data, same ledger, no findings');
is($node->safe_psql('restored', "SELECT status FROM cowrie_migrate_v16($call_argument)"),
	'skipped', 'restored: complete');
$node->safe_psql('restored',
	"SELECT count(*) FROM cowrie_cleanup_v16($call_argument);"
	  . "SELECT count(*) FROM cowrie_migrate_v16($call_argument)",
	extra_params => [ '-U', 'app_owner' ]);
is($node->safe_psql('restored', 'SELECT count(DISTINCT run_id) FROM cowrie_migration_log'),
	'3', 'restored: the ledger goes on');

# Without the extension, by its owner, without CASCADE.
$node->safe_psql('restored', 'DROP EXTENSION cowrie_migrate',
	extra_params => [ '-U', 'app_owner' ]);
is($node->safe_psql('restored', qq{
INSERT INTO $quoted.ip_inventory (ip_address, first_seen, last_seen, enrichment)
VALUES ('2001:db8:ffff::1', now(), now(), '{"cymru": {"country": "se"}}');
SELECT geo_country, ip_types, is_scanner, is_bogon FROM $quoted.ip_inventory
WHERE ip_address = '2001:db8:ffff::1'}),
	'SE|{}|f|f', 'the tables work without the extension');

# An extension in a schema that the owner of the tables may not look into works: what statements call is in
# the internal schema. Where somebody has closed that one, the owner is told so.
create_v15($node, 'hidden', owner => 'app_owner', n => 10, extension => 0);
$node->safe_psql('hidden', q{CREATE SCHEMA tools; CREATE EXTENSION cowrie_migrate SCHEMA tools;
REVOKE USAGE ON SCHEMA cowrie_migrate_internal FROM PUBLIC});
my ($status, $out, $err) = $node->psql('hidden', 'SELECT * FROM tools.cowrie_migrate_v16()');
like($err, qr/role "app_owner" cannot use the extension/, 'no USAGE on the internal schema: refused');
like($err, qr/HINT:  Run GRANT USAGE ON SCHEMA "cowrie_migrate_internal" TO "app_owner";/, 'and how to mend it');
$node->safe_psql('hidden', q{GRANT USAGE ON SCHEMA "cowrie_migrate_internal" TO "app_owner";
SELECT count(*) FROM tools.cowrie_migrate_v16()});
is($node->safe_psql('hidden', 'SELECT count(*) FROM tools.cowrie_validate_schema()'),
	'0', 'an extension in a schema of its own migrates');

$node->stop;
done_testing();
