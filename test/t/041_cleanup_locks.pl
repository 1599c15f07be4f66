# Cleanup of many sessions rewrites no table and keeps readers out for less than a second: it counts
# under a weaker lock. The stronger one never ends in a deadlock.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use CowrieTest;
use IPC::Run;
use Test::More;

my $sessions = 100_000;
my $pad = full_counts() ? 4000 : 0;
my $node = start_node('cleanup_locks');
create_v15($node, 'many', n => $sessions, pad => $pad);

# A psql session of its own, fed with SQL; close() ends it and returns what it said.
sub session
{
	my (%of) = (in => '', out => '');
	$of{run} = IPC::Run::start(
		[ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=0', '-d', $node->connstr('many') ],
		'<', \$of{in}, '>&', \$of{out}, IPC::Run::timeout(120));
	return \%of;
}

sub say_to
{
	my ($session, $sql) = @_;
	$session->{in} .= "$sql\n";
	$session->{run}->pump_nb;
	return;
}

sub wait_for
{
	my ($session, $pattern) = @_;
	$session->{run}->pump until $session->{out} =~ $pattern;
	return;
}

sub end_session
{
	my ($session) = @_;
	$session->{run}->finish;
	return $session->{out};
}

# Reads the table again and again; says in the end for how long it was kept waiting at most.
$node->safe_psql('many', 'CREATE TABLE enough ()');
my $reading = <<'SQL';
DO $$
DECLARE
  begun timestamptz;
  longest interval := '0';
  reads bigint := 0;
BEGIN
  LOOP
    begun := clock_timestamp();
    PERFORM session_id FROM session_summaries LIMIT 1;
    longest := greatest(longest, clock_timestamp() - begun);
    reads := reads + 1;
    EXIT WHEN EXISTS (SELECT FROM enough);
    COMMIT;
    IF reads = 1 THEN
      RAISE WARNING 'reading';
    END IF;
    PERFORM pg_sleep(0.002);
  END LOOP;
  RAISE WARNING 'waited % ms at most, % reads', 1000 * extract(epoch FROM longest), reads;
END $$;
SQL

sub longest_wait_during
{
	my ($sql) = @_;
	my $reader = session();
	say_to($reader, $reading);
	wait_for($reader, qr/reading/);
	my $output = $node->safe_psql('many', $sql);
	$node->safe_psql('many', 'INSERT INTO enough DEFAULT VALUES');
	my ($ms, $reads) = end_session($reader) =~ /waited ([\d.]+) ms at most, (\d+) reads/;
	$node->safe_psql('many', 'DELETE FROM enough');
	cmp_ok($reads, '>', 10, 'the reader has been reading');
	return ($ms, $output);
}

$node->safe_psql('many', 'SELECT count(*) FROM cowrie_migrate_v16()');
my $data = data_hash($node, 'many');
my $files = q{SELECT relname, pg_relation_filenode(oid) FROM pg_class
  WHERE relname IN ('session_summaries', 'raw_events', 'pk_session_summaries',
                    'ix_session_summaries_first_event') ORDER BY 1};
my $before = $node->safe_psql('many', $files);

my ($ms, $seconds) = longest_wait_during(q{
SELECT clock_timestamp() AS begun \gset
SELECT count(*) FROM cowrie_cleanup_v16() \gset
SELECT extract(epoch FROM clock_timestamp() - :'begun')});
note("$sessions sessions, $pad bytes of bulk each: cleanup took $seconds s, "
	  . "readers waited $ms ms at most");
cmp_ok($ms, '<', 1000, 'readers wait less than a second');
cmp_ok($seconds, '<', 60, 'counting takes time in proportion to the sessions');
is($node->safe_psql('many', $files), $before, 'no table and no index is written anew');
is(data_hash($node, 'many'), $data, 'the data is as it was');
is($node->safe_psql('many', 'SELECT count(*) FROM cowrie_validate_schema(version => 15)'),
	'0', 'version 15');

# A transaction that has read, and writes while cleanup counts: it waits for us, and we for it. It is
# never caught in a deadlock; cleanup gives up when its time is over and says who it was.
$node->safe_psql('many', 'SELECT count(*) FROM cowrie_migrate_v16()');
my $writer = session();
say_to($writer, q{BEGIN; SELECT 'has read ' || pg_backend_pid() FROM session_summaries LIMIT 1;});
wait_for($writer, qr/has read (\d+)/);
my ($pid) = $writer->{out} =~ /has read (\d+)/;
my $cleaner = session();
say_to($cleaner, q{SET cowrie_migrate.lock_timeout = '4s'; SELECT count(*) FROM cowrie_cleanup_v16();});
$node->poll_query_until('many', q{SELECT count(*) > 0 FROM pg_locks
  WHERE relation = 'session_summaries'::regclass AND mode = 'ShareRowExclusiveLock' AND granted});
say_to($writer, q{INSERT INTO session_summaries (session_id) VALUES ('written meanwhile'); COMMIT;});
my $refusal = end_session($cleaner);
like($refusal, qr/ERROR:  could not obtain lock on "public"."session_summaries"/, 'cleanup gives up');
like($refusal, qr/process $pid /, 'and says for whom');
unlike(end_session($writer), qr/ERROR/, 'the writer is spared');
is( $node->safe_psql('many',
		q{SELECT count(*) FROM session_summaries WHERE session_id = 'written meanwhile'}),
	'1', 'what it wrote is there');
is($node->safe_psql('many', 'SELECT count(*) FROM cowrie_validate_schema()'),
	'0', 'nothing has been removed');

# A reader that goes in time is waited for.
my $reader = session();
say_to($reader, q{BEGIN; SELECT 'has read' FROM session_summaries LIMIT 1;});
wait_for($reader, qr/has read/);
$cleaner = session();
say_to($cleaner, q{SELECT count(*) FROM cowrie_cleanup_v16();});
$node->poll_query_until('many', q{SELECT step = 'lock_exclusively' FROM cowrie_migration_status});
say_to($reader, q{COMMIT;});
unlike(end_session($cleaner), qr/ERROR/, 'cleanup goes on when the reader has gone');
end_session($reader);
is($node->safe_psql('many', 'SELECT count(*) FROM cowrie_validate_schema(version => 15)'),
	'0', 'version 15');

$node->stop;
done_testing();
