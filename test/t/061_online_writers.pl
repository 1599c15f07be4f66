# The online migration while the application writes: eight clients insert, change and delete sessions
# all the time. No write fails, none is lost or done twice, none waits long for the migration, and the
# result is what the reference computes from the sessions as they are in the end.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use CowrieTest;
use IPC::Run ();
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $sessions = full_counts() ? 100_000 : 6_000;
my $clients = 8;
my $rate = full_counts() ? 0 : 600; # writes per second; 0: as many as there can be
# What a writer waits for a lock is what the server logs, not what a busy machine makes of it.
my $node = start_node('writers', 'log_lock_waits = on', 'log_statement = none', 'deadlock_timeout = 10ms',
	"log_line_prefix = '%m [%p] %q%a '", 'max_connections = 50');

my $dir = $node->basedir;
sub script
{
	my ($name, $sql) = @_;
	my $path = "$dir/$name.sql";
	open my $file, '>', $path or die "$path: $!";
	print $file $sql;
	close $file;
	return $path;
}

# Writers know nothing of version 16. A session comes with its events, as in the application; its
# document is that of some other session. Documents that come later name no address, so that they do
# not contradict the one that the raw event gave.
my @scripts = (
	'-f', script('insert', q{
\set i random(1, :sessions)
\set day random(0, 400)
BEGIN;
WITH made AS (SELECT 'w' || replace(gen_random_uuid()::text, '-', '') AS id),
events AS (INSERT INTO raw_events (source, payload, session_id, event_type, event_timestamp)
  SELECT 'writer', json_build_object('src_ip', format('203.0.%s.%s', :day % 100, :i % 250)), id,
         'cowrie.session.connect', timestamptz '2024-06-01' + :day * interval '1 hour' FROM made),
logged AS (INSERT INTO writer_log SELECT 'insert', id FROM made)
INSERT INTO session_summaries (session_id, first_event_at, last_event_at, event_count, enrichment)
SELECT made.id, timestamptz '2024-06-01' + :day * interval '1 hour',
       timestamptz '2024-06-01' + :day * interval '1 hour' + interval '5 minutes', 3, p.enrichment
FROM made, picks AS p WHERE p.i = :i;
COMMIT;
}) . '@4',
	'-f', script('update', q{
\set i random(1, :sessions)
UPDATE session_summaries SET event_count = event_count + 1, updated_at = now(),
  last_event_at = last_event_at + interval '1 second'
WHERE session_id = (SELECT session_id FROM picks WHERE i = :i);
}) . '@4',
	'-f', script('count', q{
\set i random(1, :sessions)
UPDATE session_summaries SET command_count = command_count + 1
WHERE session_id = (SELECT session_id FROM picks WHERE i = :i);
}) . '@2',
	'-f', script('enrich', q{
\set i random(1, :sessions)
\set asn random(1, 5)
UPDATE session_summaries
SET enrichment = json_build_object('maxmind', json_build_object('asn', 4000 + :asn, 'country', 'SE'))
WHERE session_id = (SELECT session_id FROM picks WHERE i = :i)
  AND (enrichment IS NULL OR enrichment::text = 'null');
}) . '@1',
	'-f', script('delete', q{
\set i random(1, :sessions)
BEGIN;
WITH gone AS (DELETE FROM session_summaries
  WHERE session_id = (SELECT session_id FROM picks WHERE i = :i AND deletable) RETURNING session_id)
INSERT INTO writer_log SELECT 'delete', session_id FROM gone;
COMMIT;
}) . '@1');

sub prepare
{
	my ($database) = @_;
	create_v15($node, $database, n => $sessions);
	$node->safe_psql($database, q{
CREATE TABLE picks AS SELECT row_number() OVER (ORDER BY session_id)::integer AS i, session_id, enrichment,
  NOT EXISTS (SELECT FROM password_session_usage AS u WHERE u.session_id = s.session_id)
    AND row_number() OVER (ORDER BY session_id) % 3 = 0 AS deletable
FROM session_summaries AS s;
ALTER TABLE picks ADD PRIMARY KEY (i);
CREATE TABLE writer_log (what text, session_id text);
ANALYZE picks;
});
	return;
}

sub start_writers
{
	my ($database, $seconds) = @_;
	my %run = (out => '', err => '', log => "$dir/$database.pgbench");
	$run{handle} = IPC::Run::start(
		[ 'pgbench', '-n', '-c', $clients, '-j', 2, '-T', $seconds, '-D', "sessions=$sessions",
			'-M', 'prepared', ($rate ? ('-R', $rate) : ()), '--log', "--log-prefix=$run{log}", @scripts, $node->connstr($database) . ' application_name=writer' ],
		'<', \undef, '>', \$run{out}, '2>', \$run{err});
	$node->poll_query_until($database, 'SELECT count(*) > 20 FROM writer_log') or die 'no writer writes';
	return \%run;
}

# Ends the writers, and looks at what became of them. (A job in the background ignores INT.)
sub end_writers
{
	my ($run, $what) = @_;
	$run->{handle}->signal('TERM') if $run->{handle}->pumpable;
	$run->{handle}->finish;
	unlike($run->{err}, qr/error|aborted|fail/i, "$what: no write fails") or diag($run->{err});
	my ($count, $longest) = (0, 0);
	foreach my $path (glob "$run->{log}*")
	{
		open my $file, '<', $path or die "$path: $!";
		while (<$file>)
		{
			my (undef, undef, $latency, undef, undef, undef, $late) = split;
			$latency -= $late || 0; # what a throttled one began too late
			$count++;
			$longest = $latency if $latency > $longest;
		}
	}
	cmp_ok($count, '>', full_counts() ? 5_000 : 200, "$what: $count transactions of $clients writers");
	return ($count, $longest / 1000);
}

# Every lock that anybody but the migration waited for, in milliseconds, as the server logged it.
sub longest_wait
{
	my ($from) = @_;
	my $log = slurp_file($node->logfile, $from);
	my $longest = 0;
	while ($log =~ / writer LOG:  process \d+ acquired \S+ on .* after ([\d.]+) ms/g)
	{
		$longest = $1 if $1 > $longest;
	}
	return $longest;
}

# In batches that no writer has to wait for longer than for a moment.
sub migration
{
	my ($database, $setting) = @_;
	my ($stdout, $stderr) = ('', '');
	my $status = $node->psql($database,
		($setting ? "SET cowrie_migrate.fail_at = '$setting';\n" : '') . q{CALL cowrie_migrate_v16_online(batch_size => 100, target_batch => '80 ms');},
		stdout => \$stdout, stderr => \$stderr);
	return ($status, $stderr);
}

# None lost, none twice: what was there, and what the writers say they have inserted and deleted.
sub none_lost
{
	my ($database, $what) = @_;
	is($node->safe_psql($database, q{
WITH expected AS (
  SELECT session_id FROM picks UNION ALL SELECT session_id FROM writer_log WHERE what = 'insert'
  EXCEPT ALL SELECT session_id FROM writer_log WHERE what = 'delete')
SELECT (SELECT count(*) FROM (SELECT session_id FROM expected EXCEPT ALL
                              SELECT session_id FROM session_summaries) AS lost),
       (SELECT count(*) FROM (SELECT session_id FROM session_summaries EXCEPT ALL
                              SELECT session_id FROM expected) AS added)
}), '0|0', "$what: no session lost, none there twice");
	return;
}

# Writers up to the moment in which the trigger goes; then the result must be exact ------------------

prepare('exact');
my $from = -s $node->logfile;
my $writers = start_writers('exact', 600);
my ($status, $stderr) = migration('exact', '5.cut_over');
isnt($status, 0, 'stopped right before the trigger goes');
like($stderr, qr/injected failure at 5\.cut_over/, 'by the injected failure');
my ($count, $longest) = end_writers($writers, 'exact');
$node->safe_psql('exact', 'DROP TABLE IF EXISTS nothing');
load_reference($node, 'exact');
($status, $stderr) = migration('exact');
is($status, 0, 'the next call finishes') or diag($stderr);
none_lost('exact', 'exact');
is(compare($node, 'exact'), $no_difference, 'the result is that of the reference');
is($node->safe_psql('exact', 'SELECT count(*) FROM cowrie_validate_schema()'), '0', 'no findings');
is($node->safe_psql('exact', q{SELECT count(*) FROM pg_trigger WHERE tgrelid = 'session_summaries'::regclass AND tgname LIKE '%cowrie%'}), '0',
	'the trigger is gone');

# Writers all the time -----------------------------------------------------------------------------

prepare('busy');
$node->safe_psql('busy', 'VACUUM ANALYZE');
my $baseline = start_writers('busy', 3);
$baseline->{handle}->finish;
my (undef, $longest_alone) = end_writers($baseline, 'without a migration');
unlink glob "$baseline->{log}*";
$from = -s $node->logfile;
$writers = start_writers('busy', 600);
($status, $stderr) = migration('busy');
is($status, 0, 'migrates beside the writers') or diag($stderr);
usleep(1_000_000);
($count, $longest) = end_writers($writers, 'busy');
none_lost('busy', 'busy');
is($node->safe_psql('busy', 'SELECT count(*) FROM cowrie_validate_schema() WHERE severity = \'error\''),
	'0', 'nothing is wrong');
is($node->safe_psql('busy', q{
SELECT count(*) FROM session_summaries AS s WHERE source_ip IS NOT NULL
  AND NOT EXISTS (SELECT FROM ip_inventory AS i WHERE i.ip_address = s.source_ip)}), '0',
	'every address has its row');
# Later writes are the application's to fill. Whatever was there when the trigger went is filled.
is($node->safe_psql('busy', q{
SELECT count(*) FROM session_summaries AS s, LATERAL cowrie_enrichment_facts(s.enrichment) AS f
WHERE s.created_at < (SELECT started_at FROM cowrie_migration_log WHERE step = 'cut_over')
  AND s.updated_at = s.created_at AND s.source_ip IS NULL AND f.source_ip IS NOT NULL}), '0',
	'no session that came before the end is unfilled');

my $wait = longest_wait($from);
my $held = $node->safe_psql('busy', q{
SELECT max((regexp_match(detail, 'lock held for ([\d.]+) ms'))[1]::numeric) FROM cowrie_migration_log});
cmp_ok($wait, '<', 250, 'no writer waits for a lock for a quarter of a second');
cmp_ok($held, '<', 250, 'no strong lock is held for a quarter of a second');
figure("online with $clients writers, $sessions sessions: $count writes, 0 errors, 0 lost, 0 twice");
figure(sprintf 'longest wait of a writer for a lock %.1f ms; longest write %.0f ms (%.0f ms without a'
	  . ' migration); longest strong lock %.1f ms', $wait, $longest, $longest_alone, $held);

# A snapshot once taken --------------------------------------------------------------------------

create_v15($node, 'immutable', n => 300);
migration('immutable', '2.create_asn_inventory');
my $facts = q{SELECT source_ip, enrichment_at, snapshot_asn, snapshot_country, snapshot_ip_type
  FROM session_summaries WHERE session_id = 'new'};
$node->safe_psql('immutable', q{
CREATE ROLE writer LOGIN;
GRANT SELECT, INSERT, UPDATE, DELETE ON session_summaries TO writer;
});
my $as_writer = sub {
	$node->safe_psql('immutable', shift, extra_params => [ '-U', 'writer' ]);
};
$as_writer->(q{INSERT INTO session_summaries (session_id, first_event_at, last_event_at, enrichment) VALUES
  ('new', '2024-05-01Z', '2024-05-01Z', '{"dshield":{"ip":{"number":"198.51.100.7","asn":64500}},"enriched_at":"2024-05-02T00:00:00Z"}')});
my $taken = $node->safe_psql('immutable', $facts);
is($taken, '198.51.100.7|2024-05-02 00:00:00+00|64500||', 'a role without any other right is served');
$as_writer->(q{UPDATE session_summaries SET enrichment =
  '{"maxmind":{"country":"NL","asn":1},"session_metadata":{"source_ip":"198.51.100.9"}}' WHERE session_id = 'new'});
is($node->safe_psql('immutable', $facts), $taken, 'a snapshot is not overwritten, and not completed');
($status, $stderr) = migration('immutable');
is($node->safe_psql('immutable', $facts), $taken, 'nor when the migration continues');
is($node->safe_psql('immutable',
		q{SELECT count(*) FROM ip_inventory WHERE ip_address = '198.51.100.7'}), '1', 'its address is there');
is($node->safe_psql('immutable', q{SELECT count(*) FROM asn_inventory WHERE asn_number = 64500}), '1',
	'its ASN is there');
my ($code, undef, $dropping) = (0, '', '');
create_v15($node, 'dropping', n => 100);
migration('dropping', '3.create_ip_inventory');
$code = $node->psql('dropping', 'DROP EXTENSION cowrie_migrate', stderr => \$dropping);
isnt($code, 0, 'DROP EXTENSION is refused while an online migration has not ended');
like($dropping, qr/trigger zz_cowrie_migrate_online.*HINT:/s, 'with the trigger in the detail, and a hint');
like($node->safe_psql('dropping', q{SELECT count(*) FROM cowrie_cleanup_v16()}), qr/^[1-9]/, 'cleanup gives it up');
is($node->safe_psql('dropping', q{SELECT count(*) FROM pg_class WHERE relname LIKE 'cowrie_migrate%' AND relkind = 'r'}),
	'0', 'and leaves no work table');
is(scalar($node->psql('dropping', q{DROP EXTENSION cowrie_migrate})), 0, 'then DROP EXTENSION succeeds');

$node->stop;
done_testing();
