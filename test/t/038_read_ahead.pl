# A rewrite whose documents are read ahead by a parallel worker gives what one without it gives: tables,
# proof, rejects, whatever the table looks like. What goes wrong in the worker goes wrong as it does
# without one, and leaves nothing behind.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use CowrieTest;
use PostgreSQL::Test::Utils;
use Session;
use Test::More;

# Every start of a worker is in the log; only our own reader is started for tables of this size.
my $node = start_node('ahead', 'log_min_messages = debug1', 'parallel_setup_cost = 1000000000');
my %mode = (
	alone => 'SET max_parallel_workers_per_gather = 0;',
	ahead => 'SET max_parallel_workers_per_gather = 2; SET min_parallel_table_scan_size = 0;');

sub readers_since
{
	my ($log_size) = @_;
	my $log = substr(slurp_file($node->logfile), $log_size);
	return scalar(() = $log =~ /starting background worker process "parallel worker for PID/g);
}

# Migrates a copy of a database; returns all that came of it and how many readers there were.
sub migrate_copy
{
	my ($template, $settings, $call) = @_;
	$call //= 'cowrie_migrate_v16()';
	copy_database($node, $template, 'copy', anew => 1);
	my $log_size = -s $node->logfile;
	my ($status, $steps, $errors) = $node->psql('copy', qq{
SET client_min_messages = error;
$settings
SELECT phase, step, status, rows, detail FROM $call;
SHOW cowrie_migrate.live_objects;
});
	my $readers = readers_since($log_size);
	return ("$status\n$steps\n$errors", $readers) if $status != 0;
	my $proof = $node->safe_psql('copy', q{
SELECT session_count, documents_fingerprint, times_fingerprint, settled_count, settled_documents, settled_times, rejects
FROM cowrie_migration_log WHERE session_count IS NOT NULL ORDER BY log_id});
	return (join("\n", $steps, $proof, data_hash($node, 'copy'), migrated_hash($node, 'copy')), $readers);
}

sub is_the_same
{
	my ($template, $least_readers, $name, $call) = @_;
	my ($alone, $none) = migrate_copy($template, $mode{alone}, $call);
	my ($ahead, $readers) = migrate_copy($template, $mode{ahead}, $call);
	is($none, 0, "$name: no reader when the settings allow none");
	cmp_ok($readers, '>=', $least_readers, "$name: $readers readers when they do");
	like($ahead, qr/^5\|set_version\|done/m, "$name: it succeeds");
	is($ahead, $alone, "$name: the same steps, proof, rejects, tables");
	my ($altered) = migrate_copy($template, "$mode{ahead} SET cowrie_migrate.rewrite = alter_table;", $call);
	s/; (?:heap only|by ALTER TABLE)\b.*$//m for $altered, $ahead;
	is($altered, $ahead, "$name: the same by ALTER TABLE");
	return;
}

# Dead rows at the beginning and at the end of the table, and in between; more than one portion.
my $disorder = q{
UPDATE session_summaries SET event_count = event_count + 1;
UPDATE session_summaries SET event_count = event_count - 1;
DELETE FROM password_session_usage;
DELETE FROM session_summaries WHERE session_id IN (SELECT session_id FROM session_summaries ORDER BY ctid DESC LIMIT 100);
BEGIN;
INSERT INTO session_summaries (session_id) SELECT 'rolled back ' || i FROM generate_series(1, 500) AS i;
ROLLBACK;
INSERT INTO session_summaries (session_id, first_event_at) VALUES ('without a document', '2025-01-01');
};

foreach my $type ('json', 'jsonb')
{
	create_v15($node, $type, n => 1500, doc_type => $type);
	load_reference($node, $type) if $type eq 'json';
	is_the_same($type, 1, $type);
	is(compare($node, 'copy'), $no_difference, "$type: as the reference") if $type eq 'json';
	$node->safe_psql($type, $disorder . join '', map { "UPDATE session_summaries SET matcher = '$_';" } 1 .. 3);
	is_the_same($type, 1, "$type, with dead rows");
}

# Raw events by a table of the earliest ones, where no index helps.
$node->safe_psql('json', q{
SELECT format('DROP INDEX %s', indexrelid::regclass) FROM pg_index
WHERE indrelid = 'raw_events'::regclass AND NOT indisprimary AND indkey[0] =
  (SELECT attnum FROM pg_attribute WHERE attrelid = indrelid AND attname = 'session_id') \gexec
});
is_the_same('json', 1, 'raw events without an index');
is_the_same('json', 1, 'without raw events', q{(SELECT set_config('cowrie_migrate.use_raw_events', 'off', false)) AS s, LATERAL cowrie_migrate_v16()});

# Some sessions have an address already, which is kept: the reader leaves them to the writer.
$node->safe_psql('postgres', 'CREATE DATABASE half TEMPLATE json');
$node->safe_psql('half', q{
ALTER TABLE session_summaries ADD COLUMN source_ip varchar(45);
UPDATE session_summaries SET source_ip = '198.51.100.' || event_count % 250 WHERE event_count % 3 = 0});
is_the_same('half', 1, 'a half-filled table, repaired', 'cowrie_migrate_v16(repair => true)');

# Columns of other types, before the document: while ALTER TABLE turns them into the declared ones, the
# catalog no longer tells where in a row the document is.
create_v15($node, 'other_types', n => 1500);
$node->safe_psql('other_types', q{
ALTER TABLE password_session_usage DROP CONSTRAINT fk_password_session_usage_session;
ALTER TABLE longtail_detection_sessions DROP CONSTRAINT fk_longtail_detection_sessions_session;
ALTER TABLE session_summaries RENAME TO former;
CREATE TABLE session_summaries AS
SELECT CASE WHEN event_count % 3 = 0 THEN '4134' END::text AS snapshot_asn, NULL::timestamp AS enrichment_at, * FROM former;
DROP TABLE former;
ALTER TABLE session_summaries ADD PRIMARY KEY (session_id)});
is_the_same('other_types', 0, 'columns of other types', 'cowrie_migrate_v16(repair => true)');

# Where there can be no reader it is done alone.
my $alone = (migrate_copy('json', $mode{alone}))[0] =~ s/^1\|add_columns\|.*\n//mr;
foreach my $case (
	[ 'no process is free', 'SET max_parallel_workers = 0' ],
	[ 'the table is small', q{SET min_parallel_table_scan_size = '1GB'} ],
	[ 'the table wants none', 'ALTER TABLE session_summaries SET (parallel_workers = 0)' ],
	[ 'a function of others sees the addresses', q{ALTER TABLE session_summaries ADD COLUMN source_ip varchar(45),
		ADD CONSTRAINT application CHECK (source_ip IS NULL OR source_ip <> '')} ])
{
	my ($name, $settings) = @$case;
	my ($result, $readers) =
	  migrate_copy('json', "$mode{ahead} $settings;", 'cowrie_migrate_v16(repair => true)');
	is($readers, 0, "$name: no reader");
	$_ = s/^1\|add_columns\|.*\n//mr =~ s/; (?:heap only|by ALTER TABLE)\b.*$//mr for $result, my $expected = $alone;
	is($result, $expected, "$name: the same");
}

# In one transaction with what was written before, and in a block that catches the failure.
$node->safe_psql('postgres', 'DROP DATABASE copy');
$node->safe_psql('postgres', 'CREATE DATABASE copy TEMPLATE json');
is($node->safe_psql('copy', qq{
SET client_min_messages = error;
$mode{ahead}
BEGIN;
INSERT INTO session_summaries (session_id, enrichment)
SELECT 'new ' || i, '{"session_metadata": {"source_ip": "203.0.113.9"}}'::json FROM generate_series(1, 300) AS i;
DELETE FROM session_summaries WHERE session_id LIKE 'new 1%';
DO \$\$
BEGIN
  PERFORM set_config('cowrie_migrate.fail_at', '2.load_asn_inventory', true);
  PERFORM cowrie_migrate_v16();
EXCEPTION WHEN OTHERS THEN
  PERFORM set_config('cowrie_migrate.fail_at', '', true);
END \$\$;
SELECT count(*) FROM information_schema.columns WHERE table_name = 'session_summaries' AND column_name = 'source_ip';
DO 'BEGIN PERFORM cowrie_migrate_v16(); END';
COMMIT;
SELECT count(*) FROM session_summaries WHERE source_ip = '203.0.113.9' AND session_id LIKE 'new%';
SELECT count(*) FROM cowrie_validate_schema();
SHOW cowrie_migrate.live_objects;
}), "0\n189\n0\n0", 'beside uncommitted rows, after a failure that was caught');

# Somebody adds a CHECK to every new table; what it calls cannot run while workers select the rows for it.
$node->safe_psql('postgres', 'CREATE DATABASE checked TEMPLATE json');
$node->safe_psql('checked', q{
CREATE FUNCTION is_fine(text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS
$$ BEGIN PERFORM 1 / 0; RETURN false; EXCEPTION WHEN division_by_zero THEN RETURN true; END $$;
CREATE FUNCTION check_new() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT FROM pg_event_trigger_ddl_commands() WHERE object_identity = 'public.ip_inventory') THEN
    ALTER TABLE public.ip_inventory ADD CONSTRAINT fine CHECK (public.is_fine(ip_address));
  END IF;
END $$;
CREATE EVENT TRIGGER check_new ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION check_new()});
my ($checked) = migrate_copy('checked',
	"$mode{ahead} SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0;");
like($checked, qr/^5\|set_version\|done/m, 'a CHECK of others on a new table: it succeeds');
is($node->safe_psql('copy', q{SELECT count(*) FROM pg_constraint WHERE conname = 'fine'}), '1', 'and is there');

# The reader is ended: the run fails and leaves nothing; the same session goes on.
create_v15($node, 'ended', n => 1500);
my $before = schema_dump($node, 'ended') . data_hash($node, 'ended');
my $session = Session->new($node, 'ended');
$session->run("SET client_min_messages = error; $mode{ahead}");
my $killer = Session->new($node, 'postgres');
$killer->begin(q{DO $$
DECLARE
  give_up timestamptz := clock_timestamp() + interval '60 s';
BEGIN
  LOOP
    PERFORM pg_stat_clear_snapshot();
    EXIT WHEN (SELECT bool_or(pg_terminate_backend(pid)) FROM pg_stat_activity
               WHERE backend_type = 'parallel worker' AND datname = 'ended') OR clock_timestamp() > give_up;
  END LOOP;
END $$});
my ($ended, $tries) = ('', 0);
until ($ended =~ /terminat/ || ++$tries > 300)
{
	$ended = $session->run(q{DO $$
DECLARE
  message text;
BEGIN
  PERFORM cowrie_migrate_v16();
  RAISE SQLSTATE 'UNDO1';
EXCEPTION
  WHEN SQLSTATE 'UNDO1' THEN NULL;
  WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS message = MESSAGE_TEXT;
    PERFORM set_config('test.ended', SQLSTATE || ' ' || message, false);
END $$; SELECT current_setting('test.ended', true)});
}
like($ended, qr/^57P01 terminating/, "a reader was ended after $tries runs: so is the run");
is(schema_dump($node, 'ended') . data_hash($node, 'ended'), $before, 'everything is as before');
is($session->run('SHOW cowrie_migrate.live_objects'), '0', 'nothing is left in the session');
$killer->close;

# Timeouts at any time.
my %met;
foreach my $milliseconds (1 .. 40)
{
	my $came = eval { $session->run(qq{SET statement_timeout = ${\ ($milliseconds * 5)}; DO \$\$
BEGIN
  PERFORM cowrie_migrate_v16();
  RAISE SQLSTATE 'UNDO1';
EXCEPTION
  WHEN SQLSTATE 'UNDO1' THEN PERFORM set_config('test.ended', 'done', false);
  WHEN query_canceled THEN PERFORM set_config('test.ended', SQLSTATE, false);
END \$\$; SET statement_timeout = 0; SELECT current_setting('test.ended')}) };
	# On a busy machine it may hit the statements around as well.
	$came //= $@ =~ /due to statement timeout/ ? '57014' : $@;
	foreach (1 .. 100)
	{
		last if eval { $session->run('SET statement_timeout = 0'); 1 };
	}
	$met{$came}++;
}
is_deeply([ grep { !/^(?:done|57014)$/ } keys %met ], [], 'timeouts and nothing else');
cmp_ok($met{57014} // 0, '>=', 5, 'of which there were ' . ($met{57014} // 0));
is(schema_dump($node, 'ended') . data_hash($node, 'ended'), $before, 'everything is as before');
is($session->run('SHOW cowrie_migrate.live_objects'), '0', 'nothing is left in the session');
my ($log_size) = (-s $node->logfile);
$session->run('SELECT count(*) FROM cowrie_migrate_v16()');
cmp_ok(readers_since($log_size), '>=', 1, 'the session goes on, with a reader');
is($session->run('SELECT count(*) FROM cowrie_validate_schema()'), '0', 'and succeeds');
$session->close;

# A damaged event, which only the filling meets: the same error, wherever it is met.
create_v15($node, 'damaged', n => 300);
$node->safe_psql('damaged', q{
INSERT INTO session_summaries (session_id) VALUES ('damaged');
INSERT INTO raw_events (source, session_id, event_timestamp, payload)
SELECT 'damaged', 'damaged', '2025-01-01', json_build_object('src_ip', '203.0.113.7', 'pad', string_agg(md5(i::text), ''))
FROM generate_series(1, 1000) AS i});
my $toast = $node->safe_psql('damaged', q{
SELECT pg_relation_filepath(reltoastrelid) FROM pg_class WHERE oid = 'raw_events'::regclass});
$node->safe_psql('damaged', 'CHECKPOINT');
$node->stop;
my $file = $node->data_dir . "/$toast";
my $size = -s $file;
cmp_ok($size, '>', 0, 'its payload is outside of the row');
open(my $out, '+<', $file) or die "$file: $!";
binmode $out;
print $out "\0" x $size;
close $out;
$node->start;
$before = schema_dump($node, 'damaged');
my %error;
foreach my $name ('alone', 'ahead')
{
	my ($status, $printed, $errors) = $node->psql('damaged', qq{
\\set VERBOSITY verbose
SET client_min_messages = error;
$mode{$name}
SELECT count(*) FROM cowrie_migrate_v16();
});
	is($status, 3, "a damaged event, $name: it fails");
	($error{$name}) = $errors =~ /ERROR: +(XX001: missing chunk number 0 for toast value) /;
	like($errors, qr/phase 1 \(session_columns\), step fill_columns/, 'and says where');
	is(schema_dump($node, 'damaged'), $before, 'and changes nothing');
}
is($error{ahead}, $error{alone}, 'by the same error');
ok(defined $error{alone}, 'which names the value');

$node->stop;
done_testing();
