# An extension of an older version works with the library of this one, and is brought up to it by
# ALTER EXTENSION ... UPDATE: then nothing tells it from a new one, and nothing it had recorded is gone.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use CowrieTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_node('upgrade');
my $newest = $node->safe_psql('postgres',
	q{SELECT default_version FROM pg_available_extensions WHERE name = 'cowrie_migrate'});

# There is a way from every version to this one, and none that skips a script.
is($node->safe_psql('postgres', qq{
SELECT source, path FROM pg_extension_update_paths('cowrie_migrate')
WHERE target = '$newest' AND source <> target ORDER BY 1}), "1.0|1.0--1.1--$newest\n1.1|1.1--$newest", 'update paths');

# Everything that belongs to the extension, with all that a user can tell of it.
my $members = q{
SET search_path = pg_catalog;
WITH members AS (
  SELECT d.classid, d.objid FROM pg_depend AS d JOIN pg_extension AS e
    ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e'
  WHERE e.extname = 'cowrie_migrate')
SELECT pg_describe_object(classid, objid, 0), obj_description(objid, classid::regclass::name),
  (SELECT to_jsonb(p) - '{oid,pronamespace,prorettype,proargtypes,proallargtypes,proargdefaults,proowner}'::text[] || jsonb_build_object(
     'owner', proowner::regrole, 'arguments', pg_get_function_arguments(oid), 'result', pg_get_function_result(oid))
   FROM pg_proc AS p WHERE classid = 'pg_proc'::regclass AND oid = objid),
  (SELECT (to_jsonb(a) - '{aggfnoid,aggtransfn}'::text[])::text FROM pg_aggregate AS a
   WHERE classid = 'pg_proc'::regclass AND aggfnoid = objid),
  (SELECT jsonb_build_object('kind', relkind, 'owner', relowner::regrole, 'privileges', relacl::text, 'view',
     CASE WHEN relkind = 'v' THEN pg_get_viewdef(oid) END, 'options', reloptions)
   FROM pg_class WHERE classid = 'pg_class'::regclass AND oid = objid),
  (SELECT jsonb_agg(jsonb_build_array(attnum, attname, format_type(atttypid, atttypmod), attnotnull, attidentity,
     col_description(attrelid, attnum)) ORDER BY attnum)
   FROM pg_attribute WHERE attrelid = CASE WHEN classid = 'pg_class'::regclass THEN objid
     ELSE (SELECT typrelid FROM pg_type WHERE classid = 'pg_type'::regclass AND oid = objid) END AND attnum > 0),
  (SELECT jsonb_agg(pg_get_indexdef(indexrelid) ORDER BY 1) FROM pg_index
   WHERE classid = 'pg_class'::regclass AND indrelid = objid)
FROM members ORDER BY 1;
SELECT ARRAY(SELECT oid::regclass FROM unnest(extconfig) AS c (oid) ORDER BY 1), extcondition,
  extowner::regrole, extnamespace::regnamespace, extrelocatable, extversion
FROM pg_extension WHERE extname = 'cowrie_migrate';
};

# But for the column that came with 1.2.
my $ledger = q{SELECT count(*), md5(string_agg((to_jsonb(l) - 'evidence')::text, '' ORDER BY log_id)) FROM cowrie_migration_log AS l};
my $versions = 'SELECT DISTINCT extension_version FROM cowrie_migration_log ORDER BY 1';

sub findings
{
	my ($database) = @_;
	return $node->safe_psql($database, 'SELECT count(*) FROM cowrie_validate_schema()');
}

for my $role (qw(postgres app))
{
	my $psql = sub {
		my ($database, $sql) = @_;
		return $node->safe_psql($database, $sql,
			extra_params => $role eq 'app' ? [ '-U', 'app' ] : []);
	};
	my %owner = $role eq 'app' ? (owner => 'app') : ();
	my ($fresh, $updated) = ("fresh_$role", "updated_$role");
	create_v15($node, $fresh, n => 10, extension => 0, %owner);
	$psql->($fresh, 'CREATE EXTENSION cowrie_migrate');

	create_v15($node, $updated, n => 500, extension => 0, %owner);
	load_reference($node, $updated);
	$psql->($updated, q{CREATE EXTENSION cowrie_migrate VERSION '1.0'});
	isnt($psql->($updated, $members), $psql->($fresh, $members), "$role: version 1.0 is another one");

	# The library is this version's, the objects are the old ones: everything works.
	like($psql->($updated, 'SELECT count(*) FROM cowrie_migrate_v16()'), qr/^[1-9]/, "$role: 1.0 migrates");
	is(compare($node, $updated), $no_difference, "$role: completely");
	is($psql->($updated, $versions), '1.0', "$role: and records its version");
	$psql->($updated, q{
CREATE VIEW watched AS SELECT running, phase, step, percent FROM cowrie_migration_status;
SELECT count(*) FROM cowrie_cleanup_v16(force => true)});

	my $recorded = $psql->($updated, $ledger);
	my ($status, $stdout, $stderr) = $node->psql($updated, "\\set VERBOSITY verbose\nALTER EXTENSION cowrie_migrate UPDATE",
		extra_params => $role eq 'app' ? [ '-U', 'app' ] : []);
	like($stderr, qr/ERROR:  2BP01: .*view public\.watched depends on view/s,
		"$role: a view over the status is not dropped, but named");
	is($psql->($updated, q{SELECT extversion FROM pg_extension WHERE extname = 'cowrie_migrate'}), '1.0',
		"$role: nothing is updated then");
	is($psql->($updated, 'SELECT count(*) FROM watched'), '1', "$role: and the view works");
	$psql->($updated, 'DROP VIEW watched; ALTER EXTENSION cowrie_migrate UPDATE');
	is($psql->($updated, $members), $psql->($fresh, $members), "$role: updated, it is as a new one");
	is($psql->($updated, $ledger), $recorded, "$role: the ledger is kept");
	like($psql->($updated, 'SELECT count(*) FROM cowrie_migrate_v16()'), qr/^[1-9]/, "$role: it migrates");
	is(findings($updated), '0', "$role: completely");
	is($psql->($updated, $versions), "1.0\n$newest", "$role: and records the new version");
	is($psql->($updated, 'SELECT run_by, last_message FROM cowrie_migration_status'), "$role|",
		"$role: the status tells who ran it");
	$psql->($updated, 'DROP EXTENSION cowrie_migrate');
}

# What 1.0 began online, the new version goes on with.
create_v15($node, 'begun', n => 500, extension => 0);
load_reference($node, 'begun');
$node->safe_psql('begun', q{CREATE EXTENSION cowrie_migrate VERSION '1.0'});
my ($status, $stdout, $stderr) = $node->psql('begun',
	q{SET cowrie_migrate.fail_at = '3.load_ip_inventory'; CALL cowrie_migrate_v16_online(batch_size => 100)});
like($stderr, qr/ERROR/, '1.0 is interrupted online');
my $done = $node->safe_psql('begun', q{SELECT count(*) FROM cowrie_migration_log WHERE status = 'done'});
cmp_ok($done, '>', 0, "after $done steps");
$node->safe_psql('begun', 'ALTER EXTENSION cowrie_migrate UPDATE');
$node->safe_psql('begun', 'CALL cowrie_migrate_v16_online(batch_size => 100)');
is(findings('begun'), '0', 'the next version completes it');
is(compare($node, 'begun'), $no_difference, 'with the data that were to be derived');

# A dump of a database with 1.0 is restored with the version of the server it comes to.
create_v15($node, 'dumped', n => 100, extension => 0);
$node->safe_psql('dumped', q{CREATE EXTENSION cowrie_migrate VERSION '1.0'; SELECT count(*) FROM cowrie_migrate_v16()});
$node->safe_psql('postgres', 'CREATE DATABASE restored');
my $file = "$PostgreSQL::Test::Utils::tmp_check/dumped.sql";
$node->command_ok([ 'pg_dump', '-f', $file, '-d', $node->connstr('dumped') ], 'pg_dump');
$node->command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-f', $file, '-d', $node->connstr('restored') ],
	'restored');
is($node->safe_psql('restored', q{SELECT extversion FROM pg_extension WHERE extname = 'cowrie_migrate'}),
	$newest, 'as the newest version');
is($node->safe_psql('restored', $ledger), $node->safe_psql('dumped', $ledger), 'with its ledger');
is($node->safe_psql('restored', 'SELECT step, status FROM cowrie_migrate_v16()'), 'verify|skipped',
	'and nothing to do');

$node->stop;
done_testing();
