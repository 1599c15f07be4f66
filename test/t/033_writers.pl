# Writers that know nothing of version 16 go on during migrations and cleanups: they wait, and nothing
# else. Each writes in its own transaction what it has written, some of them lock the tables in another
# order than the migration does. No row is lost or doubled, no writer and no run meets an error.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use CowrieTest;
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;

my $seconds = full_counts() ? 60 : 8;
my $node = start_node('writers');
create_v15($node, 'original', n => full_counts() ? 20_000 : 3000);
load_reference($node, 'original');

# A twin, with a journal of the writers.
$node->safe_psql('postgres', 'CREATE DATABASE twin TEMPLATE original');
$node->safe_psql('twin', q{
INSERT INTO schema_state VALUES ('heartbeat', '0');
CREATE TABLE journal (session_id varchar(64) NOT NULL, kind text NOT NULL);
CREATE SEQUENCE writers;
CREATE TABLE known AS SELECT row_number() OVER () AS number, session_id FROM session_summaries;
CREATE INDEX ON known (number);
CREATE TABLE counted AS SELECT session_id, event_count FROM session_summaries;
});
my $sessions = $node->safe_psql('twin', 'SELECT count(*) FROM session_summaries');
my $events = $node->safe_psql('twin', 'SELECT count(*) FROM raw_events');

my $scripts = PostgreSQL::Test::Utils::tempdir();
my %script = (
	insert => q{
BEGIN;
WITH made AS (
  INSERT INTO session_summaries (session_id, first_event_at, enrichment)
  VALUES ('w' || nextval('writers'), now(), '{"dshield": {"ip": {"number": "198.51.100.9", "asn": 64500}}}')
  RETURNING session_id)
INSERT INTO journal SELECT session_id, 'insert' FROM made;
END;
},
	update => qq{
\\set number random(1, $sessions)
BEGIN;
WITH made AS (
  UPDATE session_summaries SET event_count = event_count + 1, updated_at = now()
  WHERE session_id = (SELECT session_id FROM known WHERE number = :number) RETURNING session_id)
INSERT INTO journal SELECT session_id, 'update' FROM made;
END;
},
	other_order => q{
BEGIN;
UPDATE schema_state SET value = (value::integer + 1)::text WHERE key = 'heartbeat';
WITH made AS (
  INSERT INTO raw_events (source, payload, session_id, event_timestamp)
  VALUES ('writer', '{"src_ip": "198.51.100.10"}', 'w' || nextval('writers'), now())
  RETURNING session_id),
also AS (INSERT INTO session_summaries (session_id) SELECT session_id FROM made RETURNING session_id)
INSERT INTO journal SELECT session_id, 'event' FROM also;
END;
});
append_to_file("$scripts/$_.sql", $script{$_}) foreach keys %script;

# A thread for each client: pgbench prepares a statement synchronously, and while that waits for a lock
# it leaves the thread's other clients in the middle of their transactions.
my ($out, $err) = ('', '');
my $pgbench = IPC::Run::start(
	[ 'pgbench', '-n', '-c', 6, '-j', 6, '-T', $seconds, '-M', 'prepared',
		(map { ('-f', "$scripts/$_.sql") } sort keys %script), $node->connstr('twin') ],
	'<', \undef, '>', \$out, '2>', \$err);

# To and fro for as long as they write.
my ($migrated, $cleaned, @failed) = (0, 0);
while ($pgbench->pumpable)
{
	foreach my $function ('cowrie_migrate_v16', 'cowrie_cleanup_v16')
	{
		my ($said, $complained) = ('', '');
		my $status = $node->psql('twin', qq{
SET client_min_messages = warning;
SET cowrie_migrate.lock_timeout = '60s';
SELECT count(*) > 0 FROM $function()}, stdout => \$said, stderr => \$complained);
		push @failed, "$function: $complained" if $status != 0 or $said ne 't';
		$function =~ /migrate/ ? $migrated++ : $cleaned++;
	}
	$pgbench->pump_nb;
}
my $succeeded = $pgbench->finish;
ok($succeeded, 'pgbench succeeds');
is("@failed", '', 'every run succeeds');
my ($transactions) = $out =~ /number of transactions actually processed: (\d+)/;
my ($errors) = $out =~ /number of failed transactions: (\d+)/;
is($errors, 0, 'no transaction of a writer failed');
unlike($err, qr/error|aborted/i, 'no writer complained') or diag($err);
cmp_ok($migrated, '>', 1, 'more than one migration met writers');

# Everything that was written is there, once.
my $difference = $node->safe_psql('twin', q{
WITH written AS (SELECT session_id FROM journal WHERE kind <> 'update'),
expected AS (
  SELECT k.session_id, c.event_count + (SELECT count(*) FROM journal AS j
                                        WHERE j.session_id = k.session_id AND j.kind = 'update') AS event_count
  FROM known AS k JOIN counted AS c USING (session_id)
  UNION ALL SELECT session_id, 0 FROM written),
found AS (SELECT session_id, event_count FROM session_summaries)
SELECT (SELECT count(*) FROM (TABLE expected EXCEPT ALL TABLE found) AS lost),
       (SELECT count(*) FROM (TABLE found EXCEPT ALL TABLE expected) AS added)});
is($difference, '0|0', 'no session lost, doubled or changed');
my $written = $node->safe_psql('twin', 'SELECT count(*) FROM journal');
is($written, $transactions, 'each transaction has written');
is($node->safe_psql('twin', qq{SELECT count(*) - $events -
  (SELECT count(*) FROM journal WHERE kind = 'event') FROM raw_events}), '0', 'no raw event lost or doubled');
is($node->safe_psql('twin', q{SELECT value::integer - (SELECT count(*) FROM journal WHERE kind = 'event')
  FROM schema_state WHERE key = 'heartbeat'}), '0', 'no other row of schema_state changed');
$node->safe_psql('twin', 'SELECT pg_stat_force_next_flush()');
is($node->safe_psql('twin', 'SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()'),
	'0', 'no deadlock');

# Alone again, it ends as a database without writers does, and knows the new sessions.
is($node->safe_psql('twin', q{SET client_min_messages = warning;
SELECT count(*) > 0 FROM cowrie_migrate_v16();
SELECT count(*) FROM cowrie_validate_schema();
SELECT count(*) FROM session_summaries WHERE session_id IN (SELECT session_id FROM journal
WHERE kind <> 'update') AND source_ip NOT IN ('198.51.100.9', '198.51.100.10')}), "t\n0\n0", 'then complete');
figure("writers: $transactions transactions of 6 clients in $seconds s beside $migrated migrations and"
	  . " $cleaned cleanups; $difference lost|added, $errors errors, 0 deadlocks");

$node->stop;
done_testing();
