# The queue that gives the batches of an online migration their order: sessions in the order of the disk, a
# row of each page at a time; found by their key, wherever the application moves them meanwhile; whatever
# becomes of the queue, no session is missed, and what has been filled is not written again.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use CowrieTest;
use Online;
use PostgreSQL::Test::Utils;
use Test::More;

my $sessions = 2_000;
my $node = start_node('queue');
work_in($node);
create_v15($node, 'origin', n => $sessions, pad => 1_000);
# In no order at all.
$node->safe_psql('origin', q{
CREATE INDEX shuffled ON session_summaries (md5(session_id || 'x'));
CLUSTER session_summaries USING shuffled;
DROP INDEX shuffled;
ANALYZE session_summaries});

# Its order -------------------------------------------------------------------------------------------

copy('listed');
call('listed', "SET cowrie_migrate.fail_at = '1.fill_columns'");
is($node->safe_psql('listed', q{SELECT status, rows FROM cowrie_migration_log WHERE step = 'queue_sessions'}), "done|$sessions", 'listed: the queue is a step');
is($node->safe_psql('listed', q{
SELECT count(*), bool_and(place = expected) FROM (
  SELECT q.place, row_number() OVER (ORDER BY (s.ctid::text::point)[1], (s.ctid::text::point)[0]) AS expected
  FROM cowrie_migrate_queue AS q JOIN session_summaries AS s ON s.session_id = q.session) AS t}),
	"$sessions|t", 'listed: every session once, the first row of each page, then the second of each');

# Moved by the application, by an UPDATE that the trigger does not see; and what it does see. ---------

copy('moved', 'listed');
$node->safe_psql('moved', q{
UPDATE session_summaries SET risk_score = risk_score + 1;
UPDATE session_summaries SET updated_at = now() WHERE event_count % 2 = 0});
is($node->safe_psql('moved', 'SELECT count(*) FROM cowrie_migrate_changes'), '0', 'moved: nobody has noted it');
$node->safe_psql('moved', q{
INSERT INTO session_summaries (session_id, first_event_at, last_event_at, enrichment)
SELECT 'new' || session_id, first_event_at, last_event_at, enrichment FROM session_summaries LIMIT 100;
UPDATE session_summaries SET session_id = 'renamed' || session_id WHERE session_id IN (
  SELECT session_id FROM session_summaries AS s WHERE session_id NOT LIKE 'new%'
  AND NOT EXISTS (SELECT FROM password_session_usage AS u WHERE u.session_id = s.session_id)
  AND NOT EXISTS (SELECT FROM longtail_detection_sessions AS u WHERE u.session_id = s.session_id) LIMIT 100);
DELETE FROM session_summaries WHERE session_id IN (
  SELECT session_id FROM session_summaries AS s WHERE session_id NOT LIKE 'new%' AND session_id NOT LIKE 'renamed%'
  AND NOT EXISTS (SELECT FROM password_session_usage AS u WHERE u.session_id = s.session_id)
  AND NOT EXISTS (SELECT FROM longtail_detection_sessions AS u WHERE u.session_id = s.session_id) LIMIT 100)});
finishes('moved', "SET cowrie_migrate.fail_at = ''");

# While it fills.
copy('moving');
load_reference($node, 'moving');
my $run = start_and_rest('moving');
go_on('moving');
$node->safe_psql('moving', 'UPDATE session_summaries SET risk_score = risk_score + 1') for 1 .. 3;
$run->{handle}->finish;
like($run->{err}, qr/phase 5 \(foreign_keys\) done/, 'moving: it goes on beside such an UPDATE') or diag($run->{err});
is(compare($node, 'moving'), $no_difference, 'moving: as the reference');

# Its plan, whatever the statistics say ---------------------------------------------------------------

copy('misled', 'listed');
$node->safe_psql('misled', q{
UPDATE pg_class SET reltuples = 1, relpages = 1 WHERE relname = 'session_summaries';
UPDATE pg_class SET reltuples = 1e8, relpages = 1000000 WHERE relname = 'cowrie_migrate_queue'});
my $told = finishes('misled', q{SET cowrie_migrate.fail_at = '';
LOAD 'auto_explain'; SET auto_explain.log_min_duration = 0; SET auto_explain.log_nested_statements = on;
SET auto_explain.log_level = notice});
my @plans = grep { /Update on session_summaries/ and /cowrie_migrate_queue/ } split /NOTICE:  duration/, $told;
cmp_ok(scalar @plans, '>=', $sessions / 100, scalar(@plans) . ' plans of batches seen');
my $by_key = qr/Nested Loop .*Index Scan using cowrie_migrate_queue_place_idx .*Index Cond: \(\(place > /s;
my $lookup = qr/Index Scan using pk_session_summaries .*Index Cond: \(\(session_id\)::text = \(q\.session\)::text\)/s;
@plans = grep { $_ !~ /$by_key.*$lookup/s } @plans;
is(scalar @plans, 0, 'misled: every batch looks its sessions up by their keys') or diag($plans[0]);

# A row of each page at a time finds the room of the one before in its page.
my $hot = q{SELECT n_tup_hot_upd::numeric / n_tup_upd FROM pg_stat_user_tables WHERE relname = 'session_summaries'};
copy('quiet');
is((call('quiet'))[0], 0, 'quiet: finishes');
$node->poll_query_until('quiet', "SELECT ($hot) > 0.5") or diag($node->safe_psql('quiet', $hot));
cmp_ok($node->safe_psql('quiet', $hot), '>', 0.5, 'quiet: most rows stay in their page, and in no index twice');

# Goes on by place -------------------------------------------------------------------------------------

copy('stopped');
$run = start_and_rest('stopped', 250);
is($node->safe_psql('stopped', 'SELECT cowrie_stop_migration()'), 't', 'stopped: it is asked to');
$run->{handle}->finish;
my ($place, $length) = split /\|/, $node->safe_psql('stopped',
	"SELECT position, resume ->> 'queue_length' FROM cowrie_migration_log WHERE phase IS NULL");
like($run->{err}, qr/after place $place of $sessions in the queue, $place sessions filled/, 'stopped: it says where');
is($length, $sessions, 'stopped: the ledger knows the queue');
$node->safe_psql('stopped', 'CREATE TABLE filled AS SELECT session_id, xmin::text AS written FROM session_summaries'
	. ' WHERE source_ip IS NOT NULL OR enrichment_at IS NOT NULL');

foreach my $case (
	[ 'emptied', 'TRUNCATE cowrie_migrate_queue' ],
	[ 'shortened', 'DELETE FROM cowrie_migrate_queue WHERE place > 1500' ],
	[ 'thinned', 'DELETE FROM cowrie_migrate_queue WHERE place % 100 = 7' ],
	[ 'removed', 'DROP TABLE cowrie_migrate_queue' ],
	[ 'replaced', q{CREATE TABLE other AS TABLE cowrie_migrate_queue; DROP TABLE cowrie_migrate_queue;
ALTER TABLE other RENAME TO cowrie_migrate_queue;
COMMENT ON TABLE cowrie_migrate_queue IS 'cowrie_migrate: sessions in the order in which an online migration fills them'} ],
	[ 'untouched', 'SELECT 1' ])
{
	my ($name, $damage) = @$case;
	copy($name, 'stopped');
	$node->safe_psql($name, $damage);
	$told = finishes($name);
	if ($name eq 'untouched')
	{
		like($told, qr/resuming the online migration after place $place of/, "$name: goes on where it was");
	}
	else
	{
		like($told, qr/resuming the online migration from the first session: the queue of sessions has been changed/,
			"$name: begins with the first session");
	}
	is($node->safe_psql($name, q{SELECT count(*) > 200, count(*) FILTER (WHERE written <> s.xmin::text)
FROM filled JOIN session_summaries AS s USING (session_id)}), 't|0', "$name: what was filled is not written again");
}

# A table that is somebody else's is not dropped.
copy('theirs', 'stopped');
$node->safe_psql('theirs', 'DROP TABLE cowrie_migrate_queue; CREATE TABLE cowrie_migrate_queue (mine integer)');
like((call('theirs'))[1], qr/relation "public"\."cowrie_migrate_queue" already exists.*HINT:  Rename it/s,
	'theirs: somebody else\'s table stays');
$node->safe_psql('theirs', 'ALTER TABLE cowrie_migrate_queue RENAME TO other_name');
finishes('theirs');

# While it fills --------------------------------------------------------------------------------------

foreach my $case (
	[ 'emptied_now', 'TRUNCATE cowrie_migrate_queue' ],
	[ 'thinned_now', 'DELETE FROM cowrie_migrate_queue WHERE place % 50 = 7' ],
	[ 'removed_now', 'DROP TABLE cowrie_migrate_queue' ])
{
	my ($name, $damage) = @$case;
	copy($name);
	$run = start_and_rest($name);
	$node->safe_psql($name, $damage);
	go_on($name);
	$run->{handle}->finish;
	like($run->{err}, qr/ERROR:  the queue of the online migration has been changed
DETAIL:  .*"cowrie_migrate_queue"\.
HINT:  .*CALL cowrie_migrate_v16_online\(\);/, "$name: it fails and says what to do");
	like(finishes($name), qr/the queue of sessions has been changed/, "$name: begins with the first session");
}

$node->stop;
done_testing();
