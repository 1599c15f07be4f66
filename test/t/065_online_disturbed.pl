# What operators and applications do to a database in the middle of an online migration: time limits,
# a client that is lost, a second call, DROP EXTENSION, ALTER TABLE, VACUUM FULL, TRUNCATE, an old
# snapshot, writers that know the new columns, deleted sessions. Each is refused, or harmless.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use CowrieTest;
use IPC::Run ();
use Online;
use PostgreSQL::Test::Utils;
use Session;
use Test::More;
use Time::HiRes qw(usleep);

my $node = start_node('disturbed', 'max_connections = 40');
work_in($node);
create_v15($node, 'origin', n => 800);
my $clean = schema_dump($node, 'origin');

# What fails: its message.
sub refused
{
	my ($database, $sql) = @_;
	my $stderr = '';
	isnt($node->psql($database, $sql, stderr => \$stderr), 0, "$database: refused: $sql");
	return $stderr;
}

sub end_of
{
	my ($run) = @_;
	$run->{handle}->finish;
	return $run->{err};
}

sub settled
{
	my ($database) = @_;
	$node->poll_query_until($database, 'SELECT NOT running FROM cowrie_migration_status')
	  or die 'it does not end';
	return;
}

# Limits of the session --------------------------------------------------------------------------

copy('limited');
my ($status, $stderr) = call('limited', fail_at('') . ";\nSET statement_timeout = '700ms'",
	"batch_size => 20, target_batch => '0', pause => '50 ms'");
isnt($status, 0, 'statement_timeout holds for the whole CALL');
like($stderr, qr/canceling statement due to statement timeout/, 'limited: cancelled by it');
# On a slow machine that may be before anything is begun.
my $begun = $node->safe_psql('limited', q{SELECT to_regclass('cowrie_migrate_changes') IS NOT NULL}) eq 't';
is($node->safe_psql('limited', 'SELECT status, sqlstate FROM cowrie_migration_log WHERE phase IS NULL'),
	$begun ? 'failed|57014' : '', 'limited: and the ledger knows');
finishes('limited', "SET idle_in_transaction_session_timeout = '1ms';\nSET idle_session_timeout = '1h'");

# A client that is gone -----------------------------------------------------------------------------

copy('lost');
my $run = start_and_rest('lost');
$run->{handle}->kill_kill(grace => 0);
go_on('lost');
settled('lost');
my $told = finishes('lost');
like($told, qr/resuming the online migration|is complete, nothing to do/, 'lost: goes on');

# A second call -------------------------------------------------------------------------------------

copy('twice');
$run = start_and_rest('twice');
($status, $stderr) = call('twice');
isnt($status, 0, 'twice: the second is refused');
like($stderr, qr/another migration is running in this database.*DETAIL:.*process \d+/s, 'twice: and told by whom');
like(refused('twice', 'SELECT count(*) FROM cowrie_migrate_v16()'),
	qr/another migration is running/, 'twice: so is the atomic one');
like(refused('twice', 'DROP EXTENSION cowrie_migrate'), qr/trigger zz_cowrie_migrate_online/,
	'twice: DROP EXTENSION is refused while it runs');
go_on('twice');
like(end_of($run), qr/phase 5 \(foreign_keys\) done/, 'twice: the first one does not mind');

# After the cut-over there is no trigger on the sessions any more, and still much to be done.
interrupted('dropped', '5.last_catch_up');
like(refused('dropped', 'DROP EXTENSION cowrie_migrate'),
	qr/zz_cowrie_migrate_online on table cowrie_migrate_changes.*HINT:/s, 'dropped: refused to the end');
like(refused('dropped', 'TRUNCATE cowrie_migrate_changes'),
	qr/cannot truncate a work table of an online migration.*HINT:  Finish it with CALL/s,
	'dropped: the notes cannot be truncated');
$node->safe_psql('dropped', 'DROP TABLE cowrie_migrate_changes');
finishes('dropped');
is(scalar($node->psql('dropped', q{DROP EXTENSION cowrie_migrate})), 0, 'dropped: then it can be');

# ALTER TABLE, VACUUM FULL, TRUNCATE -----------------------------------------------------------------

interrupted('altered', '2.load_asn_inventory');
like(refused('altered', 'ALTER TABLE session_summaries ALTER COLUMN enrichment TYPE jsonb'),
	qr/cannot alter type of a column used in a trigger definition/, 'altered: not what is being read');
$node->safe_psql('altered', q{
ALTER TABLE session_summaries ADD COLUMN note text DEFAULT 'x', ADD COLUMN drawn double precision DEFAULT random();
CREATE INDEX ON session_summaries (note);
UPDATE session_summaries SET note = 'y', last_event_at = last_event_at + interval '1 hour' WHERE event_count % 5 = 0});
like(finishes('altered'), qr/stage_documents done/, 'altered: a rewritten table is staged once more');

interrupted('vacuumed', '3.load_ip_inventory');
$node->safe_psql('vacuumed', q{UPDATE session_summaries SET last_event_at = last_event_at + interval '1 hour'
WHERE event_count % 3 = 0});
$node->safe_psql('vacuumed', 'VACUUM FULL');
finishes('vacuumed');
copy('vacuuming');
$run = start_and_rest('vacuuming', 20);
go_on('vacuuming');
for (1 .. 3)
{
	$node->safe_psql('vacuuming', 'VACUUM FULL session_summaries');
	$node->safe_psql('vacuuming', 'UPDATE session_summaries SET last_event_at = last_event_at WHERE event_count = 3');
}
$told = end_of($run);
like($told, qr/phase 5 \(foreign_keys\) done/, 'vacuuming: it goes on beside VACUUM FULL') or diag($told);
finishes('vacuuming');

# Row triggers do not see a TRUNCATE.
foreach my $step ('2.load_asn_inventory', '5.cut_over', '5.last_catch_up')
{
	my $name = 'truncated_' . $step =~ s/\W/_/gr;
	interrupted($name, $step);
	$node->safe_psql($name, q{
CREATE TABLE saved AS SELECT session_id, first_event_at, last_event_at, enrichment FROM session_summaries
ORDER BY session_id LIMIT 50;
TRUNCATE session_summaries CASCADE;
INSERT INTO session_summaries (session_id, first_event_at, last_event_at, enrichment) SELECT * FROM saved});
	finishes($name);
}

# A trigger that was switched off for a while -------------------------------------------------------

interrupted('switched', '4.idx_session_snapshot_asn');
$node->safe_psql('switched', q{
ALTER TABLE session_summaries DISABLE TRIGGER ALL;
DELETE FROM session_summaries AS s WHERE event_count % 4 = 1
  AND NOT EXISTS (SELECT FROM password_session_usage AS u WHERE u.session_id = s.session_id)
  AND NOT EXISTS (SELECT FROM longtail_detection_sessions AS u WHERE u.session_id = s.session_id);
ALTER TABLE session_summaries ENABLE TRIGGER ALL});
like(finishes('switched'), qr/from the first session: the trigger that records changes did not exist/,
	'switched: from the first session');

# What a replica applies fires no ordinary trigger.
interrupted('replicated', '4.idx_session_snapshot_asn');
$node->safe_psql('replicated', q{
SET session_replication_role = replica;
UPDATE session_summaries SET last_event_at = last_event_at + interval '2 days' WHERE event_count % 4 = 2;
INSERT INTO session_summaries (session_id, first_event_at, last_event_at, enrichment)
SELECT 'r' || session_id, first_event_at, last_event_at, enrichment FROM session_summaries WHERE event_count % 6 = 0});
finishes('replicated');

# An old snapshot holds up CREATE INDEX CONCURRENTLY -------------------------------------------------

interrupted('held', '4.idx_session_snapshot_asn');
my $reader = Session->new($node, 'held');
$reader->run('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM session_summaries');
$run = { out => '', err => '' };
$run->{handle} = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('held'), '-c',
		'CALL cowrie_migrate_v16_online()' ], '<', \undef, '>', \$run->{out}, '2>', \$run->{err});
$node->poll_query_until('held', q{SELECT count(*) > 0 FROM pg_stat_activity
WHERE query LIKE 'CREATE INDEX CONCURRENTLY%' AND wait_event_type = 'Lock'}) or die 'it does not wait';
like($node->safe_psql('held', 'SELECT step FROM cowrie_migration_status'), qr/^idx_session/, 'held: the status tells the step');
is($node->safe_psql('held', 'SELECT cowrie_stop_migration()'), 't', 'held: it can be stopped');
like(end_of($run), qr/WARNING:  the online migration has stopped on request/, 'held: and stops');
$node->safe_psql('held', q{UPDATE session_summaries SET risk_score = 1 WHERE event_count = 2});
$reader->close;
finishes('held');

# Writers that know the new columns -------------------------------------------------------------------

interrupted('knowing', '5.catch_up');
$node->safe_psql('knowing', q{
INSERT INTO session_summaries (session_id, first_event_at, last_event_at, source_ip, snapshot_asn, snapshot_country)
VALUES ('knows1', '2024-05-01Z', '2024-05-01Z', '203.0.113.7', 64777, 'SE');
UPDATE session_summaries SET source_ip = '203.0.113.77' WHERE session_id = (SELECT min(session_id)
  FROM session_summaries WHERE session_id <> 'knows1' AND source_ip IS NOT NULL)});
like(refused('knowing', q{INSERT INTO session_summaries (session_id, snapshot_country) VALUES ('knows2', 'xx')}),
	qr/violates check constraint "snapshot_country_iso"/, 'knowing: what version 16 forbids');
($status, $stderr) = call('knowing');
is($status, 0, 'knowing: finishes') or diag($stderr);
is($node->safe_psql('knowing', 'SELECT count(*) FROM cowrie_validate_schema()'), '0', 'knowing: no findings');
is($node->safe_psql('knowing', q{SELECT source_ip, snapshot_asn, snapshot_country, session_count, current_asn
FROM session_summaries JOIN ip_inventory ON ip_address = source_ip WHERE session_id = 'knows1'}),
	'203.0.113.7|64777|SE|1|64777', 'knowing: what it says is kept and derived from');
is($node->safe_psql('knowing', q{SELECT session_count FROM ip_inventory WHERE ip_address = '203.0.113.77'}), '1',
	'knowing: an address that only an UPDATE names has its row');

# Sessions that others refer to -----------------------------------------------------------------------

interrupted('deleted', '4.load_ip_asn_history');
like(refused('deleted', q{DELETE FROM session_summaries WHERE session_id = (SELECT min(session_id)
FROM password_session_usage)}), qr/violates foreign key constraint/, 'deleted: what is used is not');
$node->safe_psql('deleted', q{
DELETE FROM session_summaries AS s WHERE session_id IN (SELECT session_id FROM longtail_detection_sessions)
  AND NOT EXISTS (SELECT FROM password_session_usage AS u WHERE u.session_id = s.session_id)});
finishes('deleted');

# Free space --------------------------------------------------------------------------------------------

copy('cramped');
($status, $stderr) = call('cramped', "SET cowrie_migrate.free_space = '1MB'");
isnt($status, 0, 'cramped: refused');
like($stderr, qr/ERROR:  not enough free space for the migration
DETAIL:  online: about \d+ kB needed on the file system of tablespace "pg_default", pg_wal \(tables .*\), 1024 kB free
HINT:  .*run CALL cowrie_migrate_v16_online\(\);/, 'cramped: in the words of the atomic one');
is(schema_dump($node, 'cramped'), $clean, 'cramped: nothing is begun');
is($node->safe_psql('cramped', 'SELECT count(*) FROM cowrie_migration_log'), '0', 'cramped: not in the ledger either');
finishes('cramped');

$node->stop;
done_testing();
