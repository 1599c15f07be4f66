# Tables of Citus are refused by every function, with what to do, and nothing has been touched; preflight calls
# them a blocker. Citus is no package of Debian: what is installed here under its name is a catalog like that of
# Citus (test/fixtures/extensions), in which the test lists tables that are in fact plain. So this proves that
# the catalog is asked, of the right extension, table by table, and what is said then; what such a table is like
# it does not.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use CowrieTest;
use Hostile;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = hostile_node('citus', 'autovacuum = off');
hostile_database($node, 'app', n => 200);
hostile_database($node, 'done', n => 200, migrated => 1);

sub list
{
	my ($database, $table, $method) = @_;
	$node->safe_psql($database, "DELETE FROM pg_dist_partition; INSERT INTO pg_dist_partition VALUES ('$table', '$method', 'session_id')");
	return;
}

my %calls = (
	migrate => 'SELECT count(*) FROM cowrie_migrate_v16()',
	'migrate, keep' => q{SELECT count(*) FROM cowrie_migrate_v16(on_failure => 'keep')},
	repair => 'SELECT count(*) FROM cowrie_migrate_v16(repair => true)',
	'dry run' => 'SELECT count(*) FROM cowrie_migrate_v16(dry_run => true)',
	online => 'CALL cowrie_migrate_v16_online()',
	cleanup => 'SELECT count(*) FROM cowrie_cleanup_v16()',
	'cleanup, forced' => 'SELECT count(*) FROM cowrie_cleanup_v16(force => true)',
	'cleanup, dry run' => 'SELECT count(*) FROM cowrie_cleanup_v16(dry_run => true)',
	validate => 'SELECT count(*) FROM cowrie_validate_schema()',
	'validate 15' => 'SELECT count(*) FROM cowrie_validate_schema(version => 15)',
	checkpoint => 'SELECT count(*) FROM cowrie_checkpoint_v16()',
	'rejected values' => 'SELECT count(*) FROM cowrie_rejected_values()');

# The extension alone, and relations that it does not list, are no reason.
$node->safe_psql($_, 'CREATE EXTENSION citus') foreach 'app', 'done';
list('app', 'password_session_usage', 'h');
is(ask($node, 'app', 'app', 'SELECT count(*) FROM cowrie_migrate_v16(dry_run => true)')->{state}, '', 'a table that is none of ours may be distributed');
is($node->safe_psql('app', q{SELECT string_agg(hazard, ', ') FROM cowrie_preflight_v16() WHERE severity = 'blocker'}), '', 'and is no blocker');

foreach my $database ('app', 'done')
{
	my $before = schema_dump($node, $database) . data_hash($node, $database);
	list($database, 'session_summaries', 'h');
	foreach my $name (sort keys %calls)
	{
		my $answer = ask($node, $database, 'app', $calls{$name});
		is("$answer->{state} $answer->{message}", '0A000 "public"."session_summaries" is a Citus table', "$database, $name: refused");
		like($answer->{detail}, qr/in shards.*\(method "h" in pg_dist_partition\)/s, "$database, $name: what it is");
		like($answer->{hint}, qr/SELECT undistribute_table\('"public"."session_summaries"', cascade_via_foreign_keys => true\)/,
			"$database, $name: what to do");
	}
	is(schema_dump($node, $database) . data_hash($node, $database), $before, "$database: nothing has been touched");
	is($node->safe_psql($database, 'SELECT count(*) FROM cowrie_migration_log WHERE phase IS NULL'), $database eq 'app' ? 0 : 1,
		"$database: no run was begun");
}
like(ask($node, 'app', 'app', $calls{online})->{hint}, qr/CALL cowrie_migrate_v16_online\(\)/, 'the HINT of the CALL names a CALL');

# Preflight: the blocker, and no figures of tables whose rows are elsewhere.
is($node->safe_psql('app', q{SELECT severity || '|' || hazard FROM cowrie_preflight_v16() WHERE severity <> 'info'}),
	'blocker|"public"."session_summaries" is a Citus table', 'preflight: a blocker');
is($node->safe_psql('app', q{SELECT count(*) FROM cowrie_preflight_v16() WHERE hazard IN ('duration', 'space for tables')}), 0, 'and no figures');

# Every other table, and raw events only where they are wanted.
foreach my $table ('schema_state', 'raw_events')
{
	list('app', $table, 'n');
	my $answer = ask($node, 'app', 'app', $calls{'dry run'});
	is($answer->{message}, qq{"public"."$table" is a Citus table}, "$table: refused");
	next if $table ne 'raw_events';
	like($answer->{hint}, qr/SET cowrie_migrate.use_raw_events = off;/, 'raw events can be done without');
	is(ask($node, 'app', 'app', "SET cowrie_migrate.use_raw_events = off; $calls{'dry run'}")->{state}, '', 'and then they are no reason');
}
foreach my $table ('asn_inventory', 'ip_inventory', 'ip_asn_history')
{
	list('done', $table, 'n');
	is(ask($node, 'done', 'app', $calls{validate})->{message}, qq{"public"."$table" is a Citus table}, "$table: refused");
}

# A table of that name that is not the catalog of the extension says nothing.
$node->safe_psql('app', q{ALTER EXTENSION citus DROP TABLE pg_catalog.pg_dist_partition});
list('app', 'session_summaries', 'h');
is(ask($node, 'app', 'app', $calls{'dry run'})->{state}, '', 'a table that is not of the extension is not asked');
$node->safe_psql('app', q{ALTER EXTENSION citus ADD TABLE pg_catalog.pg_dist_partition});

# Listed while the call waits for its locks: noticed when they are granted.
list('app', 'password_session_usage', 'h');
my $holder = Session->new($node, 'app');
$holder->run('BEGIN; LOCK TABLE schema_state');
my $waiting = ask_later($node, 'app', 'app', "SET cowrie_migrate.lock_timeout = '120s'; $calls{migrate}");
$node->poll_query_until('app', q{SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = 'schema_state'::regclass)});
list('app', 'session_summaries', 'h');
$holder->run('COMMIT');
is(answer_of($waiting)->{message}, '"public"."session_summaries" is a Citus table', 'listed while a call waits for its locks: refused');
$holder->close;

# What the HINT says lets the migration run; the rows are then copied by ALTER TABLE, which Citus would pass on.
my ($command) = ask($node, 'app', 'app', $calls{migrate})->{hint} =~ /run (SELECT .*?;)/;
$node->safe_psql('app', "GRANT ALL ON pg_dist_partition TO app; $command");
like($node->safe_psql('app', q{SET client_min_messages = error; SELECT detail FROM cowrie_migrate_v16() WHERE step = 'fill_columns'}, extra_params => [ '-U', 'app' ]),
	qr/by ALTER TABLE: extension citus may have distributed the table/, 'afterwards it migrates');

done_testing();
