# Partitioned sessions: in every layout, by either way of rewriting (by both in make test-full), a migration gives what it gives for the plain
# table, to the hash of every tier; validate finds nothing, the checkpoint measures the same, cleanup leaves what
# was there, with the extension and without it, and what was kept half-way is resumed.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use CowrieTest;
use Partitions;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_node('partitions', 'autovacuum = off');
my $quiet = 'SET client_min_messages = error;';
my $sessions = full_counts() ? 5000 : 300;
# The way of rewriting that each layout is migrated by, where not by both.
my %way = (hash => 'auto', range => 'alter_table', nested => 'auto');

sub owner
{
	my ($database, $sql) = @_;
	return $node->safe_psql($database, "$quiet $sql", extra_params => [ '-U', 'app' ]);
}

sub copy
{
	my ($name, $template) = @_;
	copy_database($node, $template, $name, owner => 'app', anew => 1);
	return;
}

sub migrate
{
	my ($database, $settings) = @_;
	return owner($database, ($settings // '') . ';SELECT count(*) > 0 FROM cowrie_migrate_v16()');
}

# What the acceptance criteria say, without times, plans and runs.
sub criteria
{
	my ($database) = @_;
	return owner($database, q{SELECT criterion, passed, CASE criterion WHEN 'query_performance' THEN '' ELSE measured END
FROM cowrie_checkpoint_v16()});
}

sub findings { return owner($_[0], "SELECT * FROM cowrie_validate_schema(version => $_[1])") }

# The plain tables: one as it is, one in which every session has a time.
create_v15($node, 'before', owner => 'app', n => $sessions);
copy('before_timed', 'before');
owner('before_timed', 'UPDATE session_summaries SET first_event_at = COALESCE(first_event_at, last_event_at, created_at)');
my (%expected, %resumed, %criteria);

# Breaks off in phase 4, keeps what was done, and goes on after more sessions have come in.
sub resume
{
	my ($database) = @_;
	$node->safe_psql($database, qq{$quiet SET cowrie_migrate.fail_at = '4.idx_session_snapshot_asn';
SELECT count(*) FROM cowrie_migrate_v16(on_failure => 'keep')});
	is($node->safe_psql($database, q{SELECT value FROM schema_state WHERE key = 'schema_subphase'}), '16.3', "$database: kept up to phase 3");
	owner($database, q{INSERT INTO session_summaries (session_id, first_event_at, last_event_at, enrichment, created_at)
SELECT 'late-' || i, timestamptz '2024-01-02 11:00Z' + i * interval '1 hour', timestamptz '2024-02-01 00:00Z',
  json_build_object('session_metadata', json_build_object('source_ip', '198.51.100.' || i), 'maxmind', json_build_object('asn', 64500 + i, 'country', 'DE')),
  timestamptz '2024-02-01 00:00Z' FROM generate_series(1, 7) AS i});
	migrate($database);
	return migrated_hash($node, $database);
}

foreach my $timed ('', '_timed')
{
	copy("plain$timed", "before$timed");
	migrate("plain$timed");
	$expected{$timed} = migrated_hash($node, "plain$timed");
	$criteria{$timed} = criteria("plain$timed");
	copy("plain$timed", "before$timed");
	$resumed{$timed} = resume("plain$timed");
}

foreach my $layout (layouts())
{
	my $timed = is_timed($layout) ? '_timed' : '';
	my $before = "before_$layout";
	copy($before, "before$timed");
	partition_sessions($node, $before, $layout, user => 'app');
	is(findings($before, 15), '', "$layout: a sound version 15");
	is(owner($before, q{SELECT severity, hazard FROM cowrie_preflight_v16() WHERE severity <> 'info'}), '', "$layout: nothing in the way");
	is(owner($before, q{SELECT sum(bytes) > 100000 FROM (SELECT pg_size_bytes(substring(detail FROM 'about (\d+ \w+)')) AS bytes
FROM cowrie_preflight_v16() WHERE hazard = 'space for tables') AS s}), 't', "$layout: the space of all partitions is foreseen");
	my $schema = schema_dump($node, $before);
	foreach my $rewrite (full_counts() ? ('auto', 'alter_table') : $way{$layout})
	{
		my $name = "$layout, $rewrite";
		copy('part', $before);
		my $data = data_hash($node, 'part');
		my $set = "SET cowrie_migrate.rewrite = $rewrite";
		# with the sizes before anybody reads them: reading may add to the visibility map
		my ($detail, $size) = split /\n/, owner('part', "$set; SELECT detail FROM cowrie_migrate_v16() WHERE step = 'fill_columns';
SELECT sum(pg_table_size(relid)) FROM pg_partition_tree('session_summaries')");
		like($detail, $rewrite eq 'auto' ? qr/heap only, TOAST kept/ : qr/by ALTER TABLE/, "$name: the way it says");
		is(migrated_hash($node, 'part'), $expected{$timed}, "$name: every tier as of the plain table");
		is(data_hash($node, 'part'), $data, "$name: nothing of version 15 changed");
		is(findings('part', 16), '', "$name: validate finds nothing");
		is(criteria('part'), $criteria{$timed}, "$name: the checkpoint measures the same");
		is(owner('part', q{SELECT (evidence #>> '{after,sizes,session_summaries,heap}')::int8 + (evidence #>> '{after,sizes,session_summaries,toast}')::int8
FROM cowrie_migration_log WHERE evidence ? 'after'}), $size, "$name: the evidence has the sizes of all partitions");
		is(owner('part', q{SELECT step, status FROM cowrie_migrate_v16()}), 'verify|skipped', "$name: a second call has nothing to do");
		is(owner('part', q{SELECT count(*) FROM pg_class WHERE relname LIKE 'cowrie_migrate%' AND relkind = 'r'}), 0, "$name: no work table is left");
		is(owner('part', q{SELECT count(DISTINCT c.oid) FROM pg_constraint AS k CROSS JOIN pg_partition_tree('session_summaries') AS p
JOIN pg_constraint AS c ON c.conrelid = p.relid AND c.confrelid = 'ip_inventory'::regclass AND c.convalidated
WHERE k.conname = 'fk_session_source_ip' AND k.conrelid = 'session_summaries'::regclass}),
			owner('part', q{SELECT count(*) FROM pg_partition_tree('session_summaries')}), "$name: every partition has the foreign key, validated");
		owner('part', 'SELECT count(*) FROM cowrie_cleanup_v16()');
		is(schema_dump($node, 'part') . data_hash($node, 'part'), $schema . $data, "$name: cleanup leaves version 15 as it was");
		migrate('part', $set);
		is(migrated_hash($node, 'part'), $expected{$timed}, "$name: and the next migration gives the same");
	}

	next if $layout eq 'range' && !full_counts();

	# Without the extension.
	$node->safe_psql('part', 'DROP EXTENSION cowrie_migrate');
	command_ok([ 'psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('part') . ' user=app', '-f',
		"$FindBin::RealBin/../../scripts/cleanup_v16_incomplete.sql" ], "$layout: cleanup in plain SQL");
	copy('plain_before', $before);
	$node->safe_psql('plain_before', 'DROP EXTENSION cowrie_migrate');
	is(schema_dump($node, 'part'), schema_dump($node, 'plain_before'), "$layout: leaves version 15 as well");

	copy('part', $before);
	is(resume('part'), $resumed{$timed}, "$layout: a run that was kept is resumed, with the sessions that came in meanwhile");
	is(findings('part', 16), '', "$layout: and validate finds nothing");

	# A failure at any leaf takes everything back.
	copy('part', $before);
	my $data = data_hash($node, 'part');
	my $failed = 0;
	foreach my $step ('1.fill_columns', '4.idx_session_first_event_brin', '5.fk_session_source_ip')
	{
		my ($out, $err);
		$node->psql('part', "$quiet SET cowrie_migrate.fail_at = '$step'; SELECT count(*) FROM cowrie_migrate_v16()", stderr => \$err);
		++$failed if $err =~ /injected failure/;
	}
	is($failed, 3, "$layout: fails where it is told to");
	is(schema_dump($node, 'part') . data_hash($node, 'part'), $schema . $data, "$layout: and leaves everything as it was");
}

# A partitioned table that has no partition, and so no session.
copy('part', 'before_hash');
owner('part', 'DELETE FROM password_session_usage; DELETE FROM longtail_detection_sessions; DROP TABLE sessions_0, cold.sessions_1, sessions_2, sessions_3 CASCADE');
is(migrate('part'), 't', 'no partition: migrates');
is(findings('part', 16), '', 'no partition: validate finds nothing');
is(owner('part', 'SELECT bool_and(passed) FROM cowrie_checkpoint_v16()'), 't', 'no partition: the checkpoint passes');
owner('part', 'SELECT count(*) FROM cowrie_cleanup_v16()');
is(findings('part', 15), '', 'no partition: and back');

# A key that begins with another column: a session is found by reading all partitions, which is said.
copy('part', 'before_range');
owner('part', q{ALTER TABLE session_summaries DROP CONSTRAINT pk_session_summaries, ADD CONSTRAINT pk_session_summaries PRIMARY KEY (first_event_at, session_id)});
my $remedy = owner('part', q{SELECT remedy FROM cowrie_preflight_v16() WHERE hazard = 'session_summaries without index' AND severity = 'warning'});
is($remedy, 'CREATE INDEX ON public.session_summaries (session_id);', 'a key that begins with a time: preflight has a remedy');
copy('other', 'part');
migrate('part');
is(migrated_hash($node, 'part'), $expected{_timed}, 'a key that begins with a time: every tier as of the plain table');
owner('other', $remedy);
is(owner('other', q{SELECT count(*) FROM cowrie_preflight_v16() WHERE hazard = 'session_summaries without index'}), 0, 'its remedy helps');
migrate('other');
is(migrated_hash($node, 'other'), $expected{_timed}, 'and changes nothing of the result');

done_testing();
