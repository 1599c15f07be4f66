# A streaming standby replays a migration, a failure and a cleanup under wal_consistency_checking = all,
# is equal afterwards, and refuses to migrate. pg_dump and pg_restore before, in the middle (on_failure
# => 'keep') and after a migration: same data, same definitions, same ledger, and the next call goes on.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use CowrieTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $quiet = 'SET client_min_messages = warning;';
my $primary = start_node('primary', 'wal_level = replica', 'max_wal_senders = 5',
	'wal_consistency_checking = all', 'max_wal_size = 4GB');
create_v15($primary, 'v15', n => full_counts() ? 20_000 : 1000);
load_reference($primary, 'v15');
run_script($primary, 'v15', 'probe.sql');
$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;

# The same on both: catalog to the byte, rows, findings, ledger, status.
my $everything = q{
SELECT md5(probe.catalog() || probe.data('public') || probe.definitions('public'));
SELECT count(*) FROM cowrie_validate_schema();
SELECT md5(coalesce(string_agg(l::text, '' ORDER BY log_id), '')) FROM cowrie_migration_log AS l;
SELECT phase, step, last_sqlstate FROM cowrie_migration_status};
my @equal;
sub same_on_standby
{
	my ($title) = @_;
	$primary->wait_for_catchup($standby);
	my $same = is($standby->safe_psql('v15', $everything), $primary->safe_psql('v15', $everything),
		"standby: equal after $title");
	push @equal, $title if $same;
	return;
}

same_on_standby('nothing');
foreach my $function ('cowrie_migrate_v16', 'cowrie_cleanup_v16')
{
	my ($status, $out, $err) = $standby->psql('v15', "\\set VERBOSITY verbose\nSELECT * FROM $function()");
	like($err, qr/25006: cannot migrate on a standby server/, "standby: $function is refused");
	is(scalar(() = $err =~ /ERROR:/g), 1, 'with one error');
	like($err, qr/HINT:  Connect to the primary/, 'and where to go');
}
cmp_ok($standby->safe_psql('v15', q{SELECT count(*) FROM cowrie_migrate_v16(dry_run => true) WHERE status = 'planned'}),
	'>', 10, 'standby: the plan can be read');

$primary->psql('v15', "$quiet SET cowrie_migrate.fail_at = '4.idx_session_source_ip'; SELECT count(*) FROM cowrie_migrate_v16()");
same_on_standby('a run that failed');
$primary->safe_psql('v15', "$quiet SET cowrie_migrate.fail_at = '3.load_ip_inventory'; SELECT count(*) FROM cowrie_migrate_v16(on_failure => 'keep')");
same_on_standby('a phase that failed');
is($standby->safe_psql('v15', q{SELECT value FROM schema_state WHERE key = 'schema_subphase'}), '16.2',
	'standby: two phases are there');
$primary->safe_psql('v15', "$quiet SELECT count(*) FROM cowrie_migrate_v16()");
same_on_standby('the resumption');
is(compare($standby, 'v15'), $no_difference, 'standby: as the reference');
$primary->safe_psql('v15', "$quiet SELECT count(*) FROM cowrie_cleanup_v16()");
same_on_standby('a cleanup');
$primary->safe_psql('v15', "$quiet SELECT count(*) FROM cowrie_migrate_v16()");
same_on_standby('a migration');
unlike(slurp_file($standby->logfile), qr/inconsistent page|PANIC|FATAL:  (?!terminating connection)/,
	'standby: no inconsistent page');
figure('standby with wal_consistency_checking = all: equal after ' . @equal . ' of 6 steps, 0 inconsistent pages');
$standby->stop;

# Dumps: of the application's owner, who is no superuser, into a database of that owner.
my $state = q{
SELECT probe.data('public');
SELECT probe.definitions('public');
SELECT key, value FROM schema_state ORDER BY key;
SELECT count(*), md5(string_agg(l::text, '' ORDER BY log_id)) FROM cowrie_migration_log AS l};
my @restored;
foreach my $moment ('before', 'midway', 'after')
{
	my $database = "dumped_$moment";
	create_v15($primary, $database, owner => 'app_owner', n => 1000);
	load_reference($primary, $database);
	run_script($primary, $database, 'probe.sql');
	$primary->safe_psql($database,
		'GRANT USAGE ON SCHEMA reference, probe TO app_owner; GRANT SELECT ON ALL TABLES IN SCHEMA reference TO app_owner');
	if ($moment eq 'midway')
	{
		is($primary->safe_psql($database, "$quiet SET cowrie_migrate.fail_at = '3.idx_ip_geo_country'; SET ROLE app_owner;"
				. "SELECT phase FROM cowrie_migrate_v16(on_failure => 'keep') WHERE status = 'failed'"), '3', 'midway: kept');
	}
	elsif ($moment eq 'after')
	{
		$primary->safe_psql($database, "$quiet SET ROLE app_owner; SELECT count(*) FROM cowrie_migrate_v16()");
	}
	my $before = $primary->safe_psql($database, $state);
	my $file = PostgreSQL::Test::Utils::tempdir() . "/$moment";
	$primary->command_ok([ 'pg_dump', '-Fd', '-j', 2, '-f', $file, $database ], "$moment: dumped");
	$primary->safe_psql('postgres', "CREATE DATABASE restored_$moment OWNER app_owner");
	$primary->command_ok([ 'pg_restore', '--exit-on-error', '-j', 2, '-d', "restored_$moment", $file ],
		"$moment: restored");
	my $same = is($primary->safe_psql("restored_$moment", $state), $before, "$moment: all is there, the ledger too");
	my $runs = $primary->safe_psql("restored_$moment", 'SELECT count(DISTINCT run_id) FROM cowrie_migration_log');
	is($primary->safe_psql("restored_$moment", "$quiet SET ROLE app_owner; SELECT min(phase), min(status) FROM cowrie_migrate_v16()"),
		{ before => '1|done', midway => '3|done', after => '5|skipped' }->{$moment}, "$moment: the next call goes on");
	is($primary->safe_psql("restored_$moment", 'SELECT count(DISTINCT run_id) FROM cowrie_migration_log'),
		$runs + ($moment eq 'after' ? 0 : 1), "$moment: and so does the ledger");
	$same &&= is(compare($primary, "restored_$moment"), $no_difference, "$moment: as the reference");
	$same &&= is($primary->safe_psql("restored_$moment", 'SELECT count(*) FROM cowrie_validate_schema()'), '0', "$moment: complete");
	push @restored, $moment if $same;
}
figure('pg_dump and pg_restore: equal and then complete ' . join(', ', @restored) . ' the migration');

$primary->stop;
done_testing();
