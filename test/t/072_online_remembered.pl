# What the ledger remembers of an unfinished online migration holds for the database that it remembers: by OID
# of the schema, of session_summaries and of the run's own objects. Where the table is another one, the run is over
# and a new one begins, and says so; where objects of the run are missing or have been changed, no session is
# missed; a schema that has been renamed is found again.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use CowrieTest;
use Online;
use PostgreSQL::Test::Utils;
use Session;
use Test::More;

my $node = start_node('remembered');
work_in($node);
create_v15($node, 'origin', n => 400);

my $loss = q{SELECT passed, measured FROM cowrie_checkpoint_v16() WHERE criterion = 'zero_data_loss'};

# Tables of version 15 restored beside the ledger -----------------------------------------------------

my $backup = $node->basedir . '/before.sql';
command_ok([ 'pg_dump', '-f', $backup, '--table=session_summaries', '--table=schema_state', '-d', $node->connstr('origin') ],
	'a backup of the tables');
sub restore
{
	my ($database, $work_tables) = @_;
	$node->safe_psql($database, 'DROP TABLE IF EXISTS session_summaries, schema_state, asn_inventory, ip_inventory,'
		  . ' ip_asn_history CASCADE');
	$node->safe_psql($database, 'DROP TABLE IF EXISTS cowrie_migrate_changes, cowrie_migrate_queue,'
		  . ' cowrie_migrate_delta, cowrie_migrate_staging CASCADE') if $work_tables eq 'gone';
	command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-f', $backup, '-d', $node->connstr($database) ],
		"$database: restored");
	# an older backup: some sessions are not in it
	$node->safe_psql($database, q{DELETE FROM session_summaries WHERE session_id LIKE '0%'});
	return;
}
my @restored = ([ '1.fill_columns', 'kept' ], [ '5.last_catch_up', 'gone' ], [ '1.queue_sessions', 'gone' ],
	[ '2.load_asn_inventory', 'kept' ], [ '5.cut_over', 'gone' ], [ '5.last_catch_up', 'kept' ]);
foreach my $case (@restored[ 0 .. (full_counts() ? $#restored : 1) ])
{
	my ($step, $work_tables) = @$case;
	foreach my $mode (qw(online atomic))
	{
		my $database = "$mode at $step, work tables $work_tables";
		interrupted($database, $step);
		restore($database, $work_tables);
		if ($mode eq 'online')
		{
			my $told = finishes($database, "SET cowrie_migrate.fail_at = ''");
			like($told, qr/NOTICE:  cannot resume the unfinished online migration, starting a new one
DETAIL:  The online migration that began with run 1 was for another session_summaries table, which has since been replaced or restored\./,
				"$database: says so");
			unlike($told, qr/resuming/, "$database: does not resume");
			is($node->safe_psql($database, q{SELECT detail FROM cowrie_migration_log WHERE step = 'begin_again'}),
				'The online migration that began with run 1 was for another session_summaries table, which has since'
				  . ' been replaced or restored.', "$database: the ledger says so");
		}
		else
		{
			is($node->safe_psql($database, 'SELECT count(*) > 20 FROM cowrie_migrate_v16()'), 't', "$database: migrates");
		}
		is($node->safe_psql($database, $loss), 't|no difference', "$database: compared with the run that counts");
	}
}

# In a copy of the database, where OIDs tell nothing, the tables do: nothing of the run is there.
interrupted('unfinished', '5.last_catch_up');
copy('copied', 'unfinished');
restore('copied', 'gone');
like(finishes('copied', "SET cowrie_migrate.fail_at = ''"), qr/NOTICE:  cannot resume the unfinished online migration, starting a new one/,
	'copied: a new run begins');
is($node->safe_psql('copied', $loss), 't|no difference', 'copied: compared with the run that counts');

# Work tables that somebody has dropped -----------------------------------------------------------------

my @tables = qw(staging delta changes queue);
my $number = 0;
foreach my $step (qw(1.fill_columns 5.catch_up 5.last_catch_up 1.queue_sessions 5.fill_rest 2.load_asn_inventory 5.cut_over
	4.idx_session_source_ip))
{
	foreach my $table (full_counts() ? @tables : $tables[ $number++ % @tables ])
	{
		my $database = "$table at $step";
		interrupted($database, $step);
		$node->safe_psql($database, q{
UPDATE session_summaries SET last_event_at = last_event_at + interval '1 day' WHERE session_id LIKE '1%'})
		  unless $step =~ /last_catch_up|fill_rest/;
		$node->safe_psql($database, "DROP TABLE IF EXISTS cowrie_migrate_$table CASCADE");
		finishes($database, "SET cowrie_migrate.fail_at = ''");
	}
}

# Keys of the queue that somebody has edited --------------------------------------------------------------

my $edit = q{UPDATE cowrie_migrate_queue SET session = 'x' || left(session, 60) WHERE place % 7 = 0};
interrupted('edited', '1.fill_columns');
$node->safe_psql('edited', $edit);
like(finishes('edited', "SET cowrie_migrate.fail_at = ''"),
	qr/from the first session: the queue of sessions has been changed/, 'edited: begins with the first session');
is($node->safe_psql('edited', $loss), 't|no difference', 'edited: no loss');

copy('edited_now');
my $run = start_and_rest('edited_now');
$node->safe_psql('edited_now', $edit);
go_on('edited_now');
$run->{handle}->finish;
like($run->{err}, qr/ERROR:  the queue of the online migration has been changed/, 'edited_now: it fails');
finishes('edited_now');
is($node->safe_psql('edited_now', $loss), 't|no difference', 'edited_now: no loss');

# A table of notes that is another one: what was noted is missing.
interrupted('renoted', '5.catch_up');
$node->safe_psql('renoted', q{
UPDATE session_summaries SET last_event_at = last_event_at + interval '1 day' WHERE session_id LIKE '1%';
CREATE TABLE other (LIKE cowrie_migrate_changes);
DO $$ BEGIN EXECUTE format('COMMENT ON TABLE other IS %L', obj_description('cowrie_migrate_changes'::regclass)); END $$;
DROP TABLE cowrie_migrate_changes;
ALTER TABLE other RENAME TO cowrie_migrate_changes});
like(finishes('renoted', "SET cowrie_migrate.fail_at = ''"), qr/from the first session/,
	'renoted: begins with the first session');

# A schema that is renamed ---------------------------------------------------------------------------------

create_v15($node, 'named', n => 400, schema => 'first');
foreach my $step ('1.fill_columns', '5.last_catch_up', full_counts() ? '3.load_ip_inventory' : ())
{
	my $database = "renamed at $step";
	copy($database, 'named');
	load_reference($node, $database, 'first');
	like((call($database, fail_at($step), "target_schema => 'first'"))[1], qr/injected/, "$database: interrupted");
	$node->safe_psql($database, 'ALTER SCHEMA first RENAME TO second; CREATE SCHEMA first');
	my ($status, $told) = call($database, "SET cowrie_migrate.fail_at = ''", "target_schema => 'second'");
	is($status, 0, "$database: finishes") or diag($told);
	like($told, qr/resuming the online migration/, "$database: resumes");
	is(compare($node, $database, 'second'), $no_difference, "$database: as the reference");
	$node->safe_psql($database, 'DROP SCHEMA first; ALTER SCHEMA second RENAME TO third');
	is($node->safe_psql($database, $loss =~ s/v16\(\)/v16('third')/r), 't|no difference', "$database: and the checkpoint");
	is($node->safe_psql($database, q{SELECT status FROM cowrie_cleanup_v16('third') WHERE step = 'set_version'}), 'done',
		"$database: and cleanup knows who wrote it");
}

# While it runs; the name is taken by another schema with tables of its own.
copy('renamed_now', 'named');
load_reference($node, 'renamed_now', 'first');
$run = start_and_rest('renamed_now', 50, q{'first'});
$node->safe_psql('renamed_now', 'ALTER SCHEMA first RENAME TO second');
run_script($node, 'renamed_now', 'v15.sql', schema => 'first');
go_on('renamed_now');
$run->{handle}->finish;
like($run->{err}, qr/ERROR:  schema "first" has been renamed during this call
DETAIL:  Its name is now "second"\.
HINT:  Repeat the call with target_schema => 'second'\./, 'renamed_now: says what to do');
my ($status, $told) = call('renamed_now', 'SELECT 1', "target_schema => 'second'");
is($status, 0, 'renamed_now: finishes') or diag($told);
like($told, qr/resuming the online migration after place/, 'renamed_now: resumes');
is(compare($node, 'renamed_now', 'second'), $no_difference, 'renamed_now: as the reference');
# A batch has looked at its queue already and waits for raw events when the schema gets another name.
copy('renamed_batch', 'named');
my $renaming = Session->new($node, 'renamed_batch');
$run = start_and_rest('renamed_batch', 50, q{'first'});
$renaming->run('BEGIN; LOCK TABLE first.raw_events');
go_on('renamed_batch');
$node->poll_query_until('renamed_batch', 'SELECT count(*) = 1 FROM pg_locks WHERE NOT granted') or die 'nobody waits';
$renaming->run('ALTER SCHEMA first RENAME TO second; COMMIT');
$run->{handle}->finish;
like($run->{err}, qr/ERROR:  schema "first" has been renamed during this call/, 'renamed_batch: says what has happened');
$renaming->close;
is((call('renamed_batch', 'SELECT 1', "target_schema => 'second'"))[0], 0, 'renamed_batch: finishes');

is($node->safe_psql('renamed_now', 'SELECT count(*) > 20 FROM cowrie_migrate_v16()' =~ s/\(\)$/('first')/r), 't',
	'renamed_now: the other one is migrated by itself');

# A session that writes has prepared its look-up of raw events when the schema gets another name, and another one
# this name: its raw events are somebody else's.
copy('renamed_writer', 'named');
(undef, $told) = call('renamed_writer', fail_at('3.load_ip_inventory'), q{'first'});
like($told, qr/injected failure/, 'renamed_writer: interrupted');
my $writer = Session->new($node, 'renamed_writer');
$writer->run(q[INSERT INTO first.raw_events (source, payload, session_id, event_timestamp)
SELECT 'sensor', json_build_object('src_ip', '198.51.100.' || n), 'renamed ' || n, now() FROM generate_series(1, 2) AS n]);
$writer->run(q{INSERT INTO first.session_summaries (session_id) VALUES ('renamed 1')});
$node->safe_psql('renamed_writer', q[ALTER SCHEMA first RENAME TO second; CREATE SCHEMA first;
CREATE TABLE first.raw_events AS SELECT * FROM second.raw_events;
UPDATE first.raw_events SET payload = '{"src_ip": "203.0.113.66"}' WHERE session_id LIKE 'renamed%']);
$writer->run(q{INSERT INTO second.session_summaries (session_id) VALUES ('renamed 2')});
is($writer->run(q{SELECT session_id, source_ip FROM second.session_summaries WHERE session_id LIKE 'renamed%' ORDER BY 1}),
	"renamed 1|198.51.100.1\nrenamed 2|198.51.100.2", 'renamed_writer: the raw events beside the sessions');
$writer->close;

$node->stop;
done_testing();
