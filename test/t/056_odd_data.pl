# Tables that people have lived in: sessions without their key, keys wider than they were, other collations,
# times without an end, payloads of other types. Each is migrated, or refused with what preflight has said before.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use CowrieTest;
use Online;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_node('lived_in');
work_in($node);
create_v15($node, 'origin', n => 400);

# Migrates and compares with the reference, both ways; then back, and once more.
sub works
{
	my ($name, $change) = @_;
	foreach my $mode (qw(atomic online))
	{
		my $database = "$name, $mode";
		copy($database);
		$node->safe_psql($database, $change);
		load_reference($node, $database);
		is($node->safe_psql($database, q{SELECT hazard, detail FROM cowrie_preflight_v16() WHERE severity = 'blocker'}), '',
			"$database: nothing blocks");
		my ($status, $stderr) = (0, '');
		if ($mode eq 'online') { ($status, $stderr) = call($database, 'SELECT 1'); }
		else { $status = $node->psql($database, 'SELECT count(*) FROM cowrie_migrate_v16()', stderr => \$stderr); }
		is($status, 0, "$database: migrates") or diag($stderr);
		is(compare($node, $database), $no_difference, "$database: as the reference");
		$status = $node->psql($database, 'SELECT count(*) FROM cowrie_checkpoint_v16()', stderr => \$stderr);
		is($status, 0, "$database: the checkpoint measures") or diag($stderr);
		$status = $node->psql($database, 'SELECT count(*) FROM cowrie_cleanup_v16()', stderr => \$stderr);
		is($status, 0, "$database: cleanup") or diag($stderr);
	}
	return;
}

# Refused by every mode, and by preflight with the same words.
sub refused
{
	my ($name, $change, $message, $hint) = @_;
	copy($name);
	$node->safe_psql($name, $change);
	my $before = data_hash($node, $name);
	my $blockers = $node->safe_psql($name, q{SELECT hazard FROM cowrie_preflight_v16() WHERE severity = 'blocker'});
	like($blockers, $message, "$name: preflight says it");
	foreach my $call ('SELECT * FROM cowrie_migrate_v16()', 'CALL cowrie_migrate_v16_online()')
	{
		my $stderr = '';
		is($node->psql($name, $call, stderr => \$stderr), 3, "$name: $call is refused");
		like($stderr, $message, "$name: with its message");
		like($stderr, $hint, "$name: and what to do");
	}
	is(data_hash($node, $name), $before, "$name: nothing has changed");
	return;
}

refused('twice', q{
ALTER TABLE password_session_usage DROP CONSTRAINT fk_password_session_usage_session;
ALTER TABLE longtail_detection_sessions DROP CONSTRAINT fk_longtail_detection_sessions_session;
ALTER TABLE session_summaries DROP CONSTRAINT pk_session_summaries;
INSERT INTO session_summaries SELECT * FROM session_summaries ORDER BY session_id LIMIT 3},
	qr/session_summaries contains duplicate sessions/, qr/HINT:  List them with SELECT session_id, count\(\*\) FROM "public"\."session_summaries"/);

works('wide', q[
ALTER TABLE session_summaries ALTER COLUMN session_id TYPE varchar(100);
ALTER TABLE raw_events ALTER COLUMN session_id TYPE text;
INSERT INTO session_summaries (session_id, enrichment)
SELECT repeat('w', 90), enrichment FROM session_summaries WHERE enrichment::text LIKE '{%' ORDER BY session_id LIMIT 1]);

works('collation', 'ALTER TABLE raw_events ALTER COLUMN session_id TYPE varchar(64) COLLATE "C"');
works('collation, no index', 'ALTER TABLE raw_events ALTER COLUMN session_id TYPE varchar(64) COLLATE "C";'
	  . ' DROP INDEX ix_raw_events_session_id');

# What the retention of raw events has deleted stays in their index until a VACUUM.
works('deleted events', q[
UPDATE session_summaries SET enrichment = NULL;
INSERT INTO raw_events (source, source_offset, payload, session_id, event_type, event_timestamp)
SELECT source, source_offset + 1000000, payload, session_id, event_type, event_timestamp FROM raw_events, generate_series(1, 3);
DELETE FROM raw_events WHERE source_offset >= 1000000]);

works('infinite', q{
UPDATE session_summaries SET last_event_at = 'infinity' WHERE session_id IN (SELECT min(session_id) FROM session_summaries);
UPDATE session_summaries SET first_event_at = '-infinity' WHERE session_id IN (SELECT max(session_id) FROM session_summaries)});

$node->stop;
done_testing();
