# The online migration of partitioned sessions: in every layout, interrupted at every kind of step, it gives what the
# plain table gives, to the hash of every tier, and the schema that the migration in one transaction gives. Beside a
# writer that moves sessions from one partition to another and writes to partitions by their names it gives what the
# reference computes. Partitions that are attached, detached or emptied meanwhile are followed. What a migration
# that is given up has left on single partitions goes.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use CowrieTest;
use IPC::Run ();
use Partitions;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Session;
use Test::More;

my $node = start_node('partitions_online', 'autovacuum = off', 'max_connections = 30');
my $quiet = 'SET client_min_messages = error;';
my $sessions = full_counts() ? 5000 : 300;
# A partition that a writer names.
my %leaf = (hash => 'cold.sessions_1', range => 'sessions_1', nested => 'sessions_2_0');

sub owner
{
	my ($database, $sql) = @_;
	return $node->safe_psql($database, "$quiet $sql", extra_params => [ '-U', 'app' ]);
}

sub copy
{
	my ($name, $template) = @_;
	$node->safe_psql('postgres', "DROP DATABASE IF EXISTS $name; CREATE DATABASE $name TEMPLATE $template OWNER app");
	return;
}

# (status, stderr) of a call, after statements of the same session. Who may make it fail is a superuser.
sub call
{
	my ($database, $before, $arguments) = @_;
	my $stderr = '';
	my $status = $node->psql($database, (defined $before ? "$before;\n" : '')
		  . 'CALL cowrie_migrate_v16_online(' . ($arguments // q{batch_size => 20, target_batch => '0'}) . ')',
		stderr => \$stderr, extra_params => [ '-U', defined $before ? 'postgres' : 'app' ]);
	return ($status, $stderr);
}

sub fails_at
{
	my ($database, $step) = @_;
	my (undef, $stderr) = call($database, "SET cowrie_migrate.fail_at = '$step'");
	like($stderr, qr/injected failure at \Q$step\E/, "$database: interrupted at $step");
	return;
}

sub criteria
{
	my ($database) = @_;
	return owner($database, q{SELECT criterion, passed, CASE criterion WHEN 'query_performance' THEN '' ELSE measured END FROM cowrie_checkpoint_v16()});
}

sub findings { return owner($_[0], "SELECT * FROM cowrie_validate_schema(version => $_[1])") }

# Nothing is left of the migration itself: work tables, triggers, and what only partitions have.
sub leftovers
{
	my ($database) = @_;
	return owner($database, q{SELECT relname FROM pg_class WHERE relname LIKE 'cowrie_migrate%' AND relkind = 'r'
UNION ALL SELECT tgname FROM pg_trigger WHERE tgname LIKE 'zz_cowrie%'
UNION ALL SELECT o.relname FROM pg_partition_tree('session_summaries') AS p JOIN pg_index AS i ON i.indrelid = p.relid
  JOIN pg_class AS o ON o.oid = i.indexrelid WHERE p.isleaf AND o.relname ~ '^idx_session.*_[0-9]+$'
UNION ALL SELECT conname FROM pg_partition_tree('session_summaries') AS p JOIN pg_constraint AS k ON k.conrelid = p.relid
  WHERE p.isleaf AND contype = 'f' AND conparentid = 0});
}

create_v15($node, 'before', owner => 'app', n => $sessions);
copy('before_timed', 'before');
owner('before_timed', 'UPDATE session_summaries SET first_event_at = COALESCE(first_event_at, last_event_at, created_at)');
my (%expected, %criteria);
foreach my $timed ('', '_timed')
{
	copy("plain$timed", "before$timed");
	owner("plain$timed", 'SELECT count(*) FROM cowrie_migrate_v16()');
	$expected{$timed} = migrated_hash($node, "plain$timed");
	$criteria{$timed} = criteria("plain$timed");
}

# Interrupted again and again ----------------------------------------------------------------------

my @steps = ('1.add_columns', '1.queue_sessions', '1.fill_columns', '3.load_ip_inventory', '4.idx_session_snapshot_asn', '4.idx_session_last_event_brin',
	'5.cut_over', '5.last_catch_up', '5.validate_fk_session_source_ip', '5.fk_session_source_ip', '5.fill_rest', '5.set_version');
my $first_step = 0;
foreach my $layout (layouts())
{
	my $timed = is_timed($layout) ? '_timed' : '';
	my $before = "before_$layout";
	copy($before, "before$timed");
	partition_sessions($node, $before, $layout, user => 'app');
	my $schema = schema_dump($node, $before);
	my $database = "quiet_$layout";
	copy($database, $before);
	my $data = data_hash($node, $database);
	is(owner($database, q{SELECT severity, hazard FROM cowrie_preflight_v16() WHERE severity <> 'info'}), '', "$layout: nothing in the way");
	fails_at($database, $steps[$_]) foreach grep { full_counts() || $_ % 3 == $first_step } 0 .. $#steps;
	++$first_step;
	my ($status, $stderr) = call($database);
	is($status, 0, "$layout: goes on to the end") or diag($stderr);
	is(migrated_hash($node, $database), $expected{$timed}, "$layout: every tier as of the plain table");
	is(data_hash($node, $database), $data, "$layout: nothing of version 15 changed");
	is(findings($database, 16), '', "$layout: validate finds nothing");
	is(criteria($database), $criteria{$timed}, "$layout: the checkpoint measures the same");
	is(leftovers($database), '', "$layout: nothing of the migration is left");
	copy('atomic', $before);
	owner('atomic', 'SELECT count(*) FROM cowrie_migrate_v16()');
	is(schema_dump($node, $database), schema_dump($node, 'atomic'), "$layout: the schema that one transaction makes");
	owner($database, 'SELECT count(*) FROM cowrie_cleanup_v16()');
	is(schema_dump($node, $database) . data_hash($node, $database), $schema . $data, "$layout: cleanup leaves version 15 as it was");
}
owner('quiet_hash', q{SELECT count(*) FROM cowrie_migrate_v16()});
is($node->psql('quiet_hash', 'CALL cowrie_migrate_v17_online()', extra_params => [ '-U', 'app' ]), 0, 'version 17 follows online');
is(findings('quiet_hash', 17) . leftovers('quiet_hash'), '', 'and is complete');

# Beside a writer ----------------------------------------------------------------------------------

my $dir = $node->basedir;
sub script
{
	my ($name, $sql) = @_;
	open my $file, '>', "$dir/$name.sql" or die "$name: $!";
	print $file $sql;
	close $file;
	return "$dir/$name.sql";
}

# What is moved goes to another partition by its time, or by its key where nobody refers to that.
sub start_writer
{
	my ($database, $layout) = @_;
	$node->safe_psql($database, q{
CREATE TABLE picks AS SELECT row_number() OVER (ORDER BY session_id)::integer AS i, session_id, enrichment,
  NOT EXISTS (SELECT FROM password_session_usage AS u WHERE u.session_id = s.session_id)
  AND NOT EXISTS (SELECT FROM longtail_detection_sessions AS u WHERE u.session_id = s.session_id)
  AND NOT EXISTS (SELECT FROM raw_events AS e WHERE e.session_id = s.session_id) AS free FROM session_summaries AS s;
ALTER TABLE picks ADD PRIMARY KEY (i);
CREATE TABLE writer_log (what text, session_id text);});
	my $move = is_timed($layout) ? q{first_event_at = first_event_at + CASE WHEN :i % 2 = 0 THEN interval '13 hours' ELSE - interval '5 hours' END}
	  : q{session_id = CASE WHEN p.free THEN CASE WHEN left(s.session_id, 2) = 'm-' THEN substr(s.session_id, 3) ELSE 'm-' || s.session_id END ELSE s.session_id END};
	my @scripts = (
		'-f', script("insert_$layout", q{
\set i random(1, :sessions)
WITH made AS (SELECT 'w' || replace(gen_random_uuid()::text, '-', '') AS id), logged AS (INSERT INTO writer_log SELECT 'insert', id FROM made)
INSERT INTO session_summaries (session_id, first_event_at, last_event_at, event_count, enrichment)
SELECT made.id, timestamptz '2024-01-01 12:00Z' + :i * interval '1 hour', timestamptz '2024-06-01', 3, p.enrichment FROM made, picks AS p WHERE p.i = :i;
}) . '@3',
		'-f', script("move_$layout", qq{
\\set i random(1, :sessions)
UPDATE session_summaries AS s SET $move, last_event_at = s.last_event_at + interval '1 second'
FROM picks AS p WHERE p.i = :i AND s.session_id IN (p.session_id, 'm-' || p.session_id);
}) . '@4',
		'-f', script("leaf_$layout", qq{
UPDATE $leaf{$layout} SET last_event_at = last_event_at + interval '1 second'
WHERE session_id = (SELECT session_id FROM $leaf{$layout} OFFSET random() * 20 LIMIT 1);
}) . '@2',
		'-f', script("delete_$layout", q{
\set i random(1, :sessions)
WITH gone AS (DELETE FROM session_summaries WHERE session_id = (SELECT session_id FROM picks WHERE i = :i AND free AND i % 3 = 0) RETURNING session_id)
INSERT INTO writer_log SELECT 'delete', session_id FROM gone;
}) . '@1');
	my %run = (out => '', err => '');
	$run{handle} = IPC::Run::start([ 'pgbench', '-n', '-c', 1, '-T', 600, '-R', 150, '-D', "sessions=$sessions", @scripts, $node->connstr($database) ],
		'<', \undef, '>', \$run{out}, '2>', \$run{err});
	$node->poll_query_until($database, 'SELECT count(*) > 5 FROM writer_log') or die "no writer writes: $run{err}";
	return \%run;
}

sub end_writer
{
	my ($run, $what) = @_;
	ok($run->{handle}->pumpable, "$what: the writer is still there");
	$run->{handle}->signal('TERM');
	$run->{handle}->finish;
	unlike($run->{err}, qr/error|aborted|fail/i, "$what: no write fails") or diag($run->{err});
	return;
}

# Begins a call in batches of few sessions, and waits until some are filled.
sub start_call
{
	my ($database) = @_;
	my %run = (out => '', err => '');
	$run{handle} = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr($database) . ' user=app', '-c',
			q{CALL cowrie_migrate_v16_online(batch_size => 15, target_batch => '0', pause => '50 ms')} ], '<', \undef, '>', \$run{out}, '2>', \$run{err});
	$node->poll_query_until($database, q{SELECT count(*) = 1 FROM cowrie_migration_status WHERE running AND step = 'fill_columns' AND rows_done > 40})
	  or die "it does not begin: $run{err}";
	return \%run;
}

sub is_right
{
	my ($database, $what) = @_;
	is(compare($node, $database), $no_difference, "$what: as the reference");
	is(findings($database, 16), '', "$what: validate finds nothing");
	is(leftovers($database), '', "$what: nothing of the migration is left");
	return;
}

foreach my $layout (layouts())
{
	my $database = "busy_$layout";
	copy($database, "before_$layout");
	my $writer = start_writer($database, $layout);
	my $run = start_call($database);
	is($node->safe_psql($database, 'SELECT cowrie_stop_migration()'), 't', "$layout: is told to stop in the middle");
	$run->{handle}->finish;
	like($run->{err}, qr/the online migration has stopped on request/, "$layout: and stops");
	fails_at($database, '5.cut_over');
	end_writer($writer, $layout);
	load_reference($node, $database);
	my ($status, $stderr) = call($database);
	is($status, 0, "$layout: the next call finishes") or diag($stderr);
	is_right($database, "$layout, beside a writer");
	is($node->safe_psql($database, q{
WITH expected AS (SELECT session_id FROM picks UNION ALL SELECT session_id FROM writer_log WHERE what = 'insert'
  EXCEPT ALL SELECT session_id FROM writer_log WHERE what = 'delete'),
found AS (SELECT regexp_replace(session_id, '^m-', '') AS session_id FROM session_summaries)
SELECT (SELECT count(*) FROM (SELECT session_id FROM expected EXCEPT ALL SELECT session_id FROM found) AS lost),
  (SELECT count(*) FROM (SELECT session_id FROM found EXCEPT ALL SELECT session_id FROM expected) AS added)}), '0|0', "$layout: none lost, none twice");

	# To the end beside a writer: what it writes after the cut-over is the application's to fill.
	next unless full_counts() || $layout eq 'hash';
	copy($database, "before_$layout");
	$writer = start_writer($database, $layout);
	($status, $stderr) = call($database);
	is($status, 0, "$layout: to the end beside a writer") or diag($stderr);
	end_writer($writer, "$layout, to the end");
	is(owner($database, q{SELECT * FROM cowrie_validate_schema() WHERE severity = 'error'}) . leftovers($database), '', "$layout: is complete");
	is($node->safe_psql($database, q{SELECT count(*) FROM session_summaries AS s WHERE source_ip IS NOT NULL
  AND NOT EXISTS (SELECT FROM ip_inventory AS i WHERE i.ip_address = s.source_ip)}), 0, "$layout: every address has its row");
}

# Partitions that come and go ----------------------------------------------------------------------

copy('moving', 'before_range');
my $run = start_call('moving');
my $operator = Session->new($node, 'moving', user => 'app');
$operator->run(q{
CREATE TABLE sessions_late (LIKE session_summaries INCLUDING DEFAULTS INCLUDING CONSTRAINTS);
INSERT INTO sessions_late (session_id, first_event_at, last_event_at, enrichment, created_at)
SELECT 'late-' || i, timestamptz '2035-01-01 00:00Z' + i * interval '1 hour', timestamptz '2035-02-01 00:00Z',
  json_build_object('session_metadata', json_build_object('source_ip', '198.51.100.' || i), 'maxmind', json_build_object('asn', 64500 + i, 'country', 'DE'),
    'enriched_at', '2035-02-01T00:00:00Z'), timestamptz '2035-02-01 00:00Z' FROM generate_series(1, 30) AS i;
ALTER TABLE session_summaries ATTACH PARTITION sessions_late FOR VALUES FROM ('2035-01-01 00:00Z') TO ('2036-01-01 00:00Z');
CREATE TABLE sessions_new PARTITION OF session_summaries FOR VALUES FROM ('2036-01-01 00:00Z') TO ('2037-01-01 00:00Z');
INSERT INTO session_summaries (session_id, first_event_at, last_event_at, enrichment, created_at)
SELECT 'new-' || i, timestamptz '2036-01-02 00:00Z', timestamptz '2036-01-02 00:00Z', json_build_object('session_metadata', json_build_object('source_ip', '192.0.2.' || i)),
  timestamptz '2036-01-02 00:00Z' FROM generate_series(1, 10) AS i;
ALTER TABLE session_summaries DETACH PARTITION sessions_2;
DROP TABLE sessions_2});
$operator->close;
$run->{handle}->finish;
unlike($run->{err}, qr/ERROR/, 'partitions come and go: the migration goes on');
like($run->{err}, qr/partition "public"\."$_" has been attached during this migration/, "and says that $_ has come") foreach 'sessions_late', 'sessions_new';
load_reference($node, 'moving');
is_right('moving', 'partitions come and go');
is(owner('moving', q{SELECT count(*) FROM sessions_late WHERE snapshot_country = 'DE' AND source_ip LIKE '198.51.100.%' AND enrichment_at IS NOT NULL}), 30,
	'the sessions of an attached partition are filled');
is(owner('moving', q{SELECT count(*) FROM sessions_new WHERE source_ip IS NOT NULL}), 10, 'those of a new one are');

# A partition that is emptied between two calls, and one that is attached again after it was changed alone.
copy('moving', 'before_range');
fails_at('moving', '5.cut_over');
$node->safe_psql('moving', q{TRUNCATE sessions_2; ALTER TABLE session_summaries DETACH PARTITION sessions_1;
DELETE FROM sessions_1 WHERE session_id IN (SELECT session_id FROM sessions_1 ORDER BY 1 LIMIT 9);
ALTER TABLE session_summaries ATTACH PARTITION sessions_1 FOR VALUES FROM ('2023-01-01 00:00Z') TO ('2024-01-02 00:00Z')});
load_reference($node, 'moving');
my ($status, $stderr) = call('moving');
is($status, 0, 'a partition emptied, one changed while it was none: goes on') or diag($stderr);
is_right('moving', 'a partition emptied, one changed while it was none');

# Somebody switches the trigger of one partition off.
copy('moving', 'before_hash');
fails_at('moving', '5.cut_over');
owner('moving', 'ALTER TABLE cold.sessions_1 DISABLE TRIGGER zz_cowrie_migrate_online');
(undef, $stderr) = call('moving');
like($stderr, qr/resuming the online migration from the first session: the trigger that records changes did not exist all the time/,
	'the trigger of one partition is missed');
is(findings('moving', 16) . leftovers('moving'), '', 'and all is looked at again');

# What only partitions have ------------------------------------------------------------------------

# The indexes of the partitions are there, and that of the whole cannot be made: a writer has it.
copy('with_indexes', 'before_hash');
fails_at('with_indexes', '4.idx_session_first_event_brin');
{
	my $writer = Session->new($node, 'with_indexes');
	$writer->run('BEGIN; LOCK TABLE ONLY session_summaries IN ROW EXCLUSIVE MODE');
	(undef, $stderr) = call('with_indexes', 'SET cowrie_migrate.lock_attempts = 1');
	like($stderr, qr/could not obtain lock after 1 attempts?.*process @{[ $writer->pid ]} /s, 'the index of the whole waits for a writer');
	$writer->close;
}
is($node->safe_psql('with_indexes', q{SELECT count(*) FROM pg_class WHERE relname ~ '^idx_session_first_event_brin_[0-9]+$'}), 4, 'every partition has its own');
copy('half', 'with_indexes');
my $kept = q{SELECT string_agg(indexrelid::text, ' ' ORDER BY indexrelid) FROM pg_index WHERE indrelid = 'sessions_0'::regclass AND indclass[0] IN
  (SELECT oid FROM pg_opclass WHERE opcmethod = (SELECT oid FROM pg_am WHERE amname = 'brin'))};
my $first = $node->safe_psql('half', $kept);
$node->safe_psql('half', q{UPDATE pg_index SET indisvalid = false WHERE indexrelid = (SELECT oid FROM pg_class WHERE relname ~ '^idx_session_first_event_brin_'
  AND oid <> ALL (SELECT indexrelid FROM pg_index WHERE indrelid = 'sessions_0'::regclass) LIMIT 1)});
($status, $stderr) = call('half');
is($status, 0, 'the next call takes them in') or diag($stderr);
like($node->safe_psql('half', $kept), qr/^\Q$first\E /, 'none is built twice');
is(findings('half', 16) . leftovers('half'), '', 'and one that was half-built is built again');

copy('with_keys', 'with_indexes');
fails_at('with_keys', '5.fk_session_source_ip');
foreach my $case ('with_indexes', 'with_keys')
{
	foreach my $end ('cleanup', 'one transaction', 'plain SQL')
	{
		copy('half', $case);
		isnt(leftovers('half'), '', "$case that partitions have alone, $end:");
		if ($end eq 'one transaction')
		{
			owner('half', 'SELECT count(*) FROM cowrie_migrate_v16(repair => true)');
			is(findings('half', 16) . leftovers('half'), '', 'the migration ends in one transaction');
			is(migrated_hash($node, 'half'), $expected{''}, 'with every tier as of the plain table');
			next;
		}
		copy('clean', 'before_hash');
		if ($end eq 'cleanup')
		{
			owner('half', 'SELECT count(*) FROM cowrie_cleanup_v16()');
		}
		else
		{
			$node->safe_psql('half', 'DROP EXTENSION cowrie_migrate CASCADE; DROP TABLE cowrie_migrate_changes, cowrie_migrate_queue, cowrie_migrate_delta');
			$node->safe_psql('clean', 'DROP EXTENSION cowrie_migrate');
			command_ok([ 'psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('half') . ' user=app', '-f',
				"$FindBin::RealBin/../../scripts/cleanup_v16_incomplete.sql" ], 'cleanup in plain SQL');
		}
		is(schema_dump($node, 'half'), schema_dump($node, 'clean'), 'version 15 as it was');
	}
}

# Refused ------------------------------------------------------------------------------------------

$node->safe_psql('clean', q{CREATE EXTENSION cowrie_migrate; SET ROLE app; CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER of_one BEFORE UPDATE ON cold.sessions_1 FOR EACH ROW EXECUTE FUNCTION nothing(); CREATE TRIGGER of_all AFTER UPDATE ON session_summaries FOR EACH ROW EXECUTE FUNCTION nothing()});
(undef, $stderr) = call('clean');
like($stderr, qr/triggers or rules on session_summaries would fire for every batch\nDETAIL:  trigger of_all\ntrigger of_one of cold\.sessions_1\nHINT:  [^\n]*"public"\."session_summaries" DISABLE/,
	'triggers of all and of one partition are refused, each once');

$node->stop;
done_testing();
