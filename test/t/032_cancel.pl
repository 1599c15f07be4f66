# Cancels and statement timeouts at random times, and cancels while each kind of long work is under way: the
# error comes soon, the database is as before, nothing is left, the session goes on. Soon is less than a second
# of the backend's own work: on a clock it would be the load of the machine that decides.
#
# `make test` tries 15 of each, `make test-full` 200.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use CowrieTest;
use IPC::Run;
use List::Util qw(max);
use POSIX qw(sysconf _SC_CLK_TCK);
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $wanted = full_counts() ? 200 : 15;
my $seed = $ENV{COWRIE_SEED} // time;
srand($seed);
note("COWRIE_SEED=$seed");

my $node = start_node('cancel');
my $check = q{SELECT md5(probe.catalog() || probe.data('public')), probe.residue();
SHOW cowrie_migrate.live_objects;
};

# One psql for all runs in a database: tell() sends a script and returns what it printed.
my ($in, $out, $err) = ('', '', '');
my ($psql, $timeout, $pid);
sub connect_to
{
	my ($database) = @_;
	$psql->finish if $psql;
	($in, $out, $err) = ('', '', '');
	$psql = IPC::Run::start(
		[ 'psql', '-XAtq', '-d', $node->connstr($database) ],
		'<', \$in, '>', \$out, '2>', \$err, $timeout = IPC::Run::timeout(180));
	ask("LOAD 'cowrie_migrate'; SET client_min_messages = warning;");
	chomp($pid = ask('SELECT pg_backend_pid();'));
	return;
}

# How long the backend has worked (s): the time on processors in its own code and in the kernel's.
sub worked
{
	my ($fields) = slurp_file("/proc/$pid/stat") =~ /.*\) (.*)/s;
	my ($own, $kernel) = (split / /, $fields)[ 11, 12 ];
	return ($own + $kernel) / sysconf(_SC_CLK_TCK);
}

sub send_script
{
	my ($script) = @_;
	$out = '';
	$timeout->start(180); # for each script anew
	$in .= "$script\n\\echo END OF SCRIPT\n";
	$psql->pump_nb;
	return;
}

sub answer
{
	$psql->pump until $out =~ /^END OF SCRIPT$/m;
	return $out =~ s/END OF SCRIPT\n\z//r;
}

sub ask { send_script(@_); return answer() }

# A run that is rolled back in the end, whatever came of it; the time at which it ended.
my $run = q{BEGIN;
SELECT count(*) FROM cowrie_migrate_v16() \gset
\echo :SQLSTATE
\if :ERROR
ROLLBACK;
SELECT extract(epoch FROM clock_timestamp());
\else
SELECT extract(epoch FROM clock_timestamp());
ROLLBACK;
\endif
};

create_v15($node, 'v15', n => 2000);
run_script($node, 'v15', 'probe.sql');
connect_to('v15');

# How long a run takes.
my $began = time;
my ($state, $ended) = split /\n/, ask($run);
my $duration = $ended - $began;
my $before = ask($check);
is($state, '00000', sprintf('a run takes %.0f ms', $duration * 1000)) or diag($err);
like($before, qr/^\w{32}\|\n0\n$/, 'and leaves nothing');

# Interrupts runs by interrupt->(), which returns since when the error is awaited, until so many were
# interrupted; returns how long the backend has worked after it at most.
sub interrupted
{
	my ($title, $count, $interrupt) = @_;
	my ($tried, @late, @worked, @wrong) = (0);
	while (@late < $count && $tried++ < 20 * $count)
	{
		my $since = $interrupt->();
		my $worked = worked();
		my ($state, $ended) = split /\n/, answer();
		if ($state eq '57014' and defined $since)
		{
			push @late, $ended - $since;
			push @worked, worked() - $worked;
		}
		my $left = ask($check);
		push @wrong, "$state $left" if $left ne $before or $state !~ /^(?:57014|00000)$/;
	}
	is(scalar(@late), $count, "$title: interrupted $count times");
	is("@wrong", '', "$title: as before, nothing is left, the session goes on") or diag($err);
	figure(sprintf '%s: %d of %d, %d residues, %.0f ms late at worst',
		$title, scalar(@late), $count, scalar(@wrong), max(@late) * 1000);
	return max(@worked);
}

interrupted('statement_timeout at random times', $wanted,
	sub {
		my $limit = 1 + int(rand(1000 * $duration * 0.9));
		my $now = ask("SET statement_timeout = $limit; SELECT extract(epoch FROM clock_timestamp());");
		send_script($run . "\nRESET statement_timeout;");
		return $now + $limit / 1000;
	});

# What pg_cancel_backend() does.
interrupted('cancel at random times', $wanted,
	sub {
		send_script($run);
		usleep(rand(1e6 * $duration * 0.9));
		my $now = time;
		kill 'INT', $pid;
		return $now;
	});

# While each kind of long work is under way, in a table large enough to meet it there; without an index
# on the sessions of raw_events in the end, so that these are sorted first.
my $rows = full_counts() ? 100_000 : 20_000;
create_v15($node, 'large', n => $rows, pad => 2000);
run_script($node, 'large', 'probe.sql');
$node->safe_psql('large', q{
UPDATE session_summaries SET enrichment = '{}' WHERE session_id < '4';
INSERT INTO raw_events (source, payload, session_id, event_timestamp)
SELECT 'more', json_build_object('src_ip', '203.0.113.' || i % 200), session_id, now()
FROM session_summaries, generate_series(1, 3) AS i;
VACUUM ANALYZE raw_events;
CREATE FUNCTION probe.cancel_at(wanted_step text, rows_at_least bigint) RETURNS double precision
LANGUAGE plpgsql AS $$
DECLARE
  victim integer;
  since timestamptz;
  runs boolean;
  has_run boolean := false;
  is_there boolean;
BEGIN
  FOR i IN 1 .. 20000 LOOP
    SELECT pid, running, step = wanted_step AND rows_done >= rows_at_least INTO victim, runs, is_there
    FROM cowrie_migration_status;
    EXIT WHEN has_run AND NOT runs; -- too late
    has_run := runs;
    IF runs AND is_there THEN
      since := clock_timestamp();
      PERFORM pg_cancel_backend(victim);
      RETURN extract(epoch FROM since);
    END IF;
    PERFORM pg_sleep(0.001);
  END LOOP;
  RETURN NULL;
END
$$});
connect_to('large');
$before = ask($check);

sub cancel_at
{
	my ($step, $rows_at_least, $title) = @_;
	$title = "cancel in $step" . ($title // '');
	my $worked = interrupted($title, full_counts() ? 5 : 1,
		sub {
			send_script($run);
			return $node->safe_psql('large', "SELECT probe.cancel_at('$step', $rows_at_least)");
		});
	cmp_ok($worked, '<', 1, "$title: soon");
	return;
}

cancel_at('fill_columns', int($rows / 2), ', documents and raw events');
cancel_at('load_ip_inventory', 0);
cancel_at('idx_session_source_ip', 0);
cancel_at('analyze_session_summaries', 0);
cancel_at('validate_fk_session_source_ip', 0) if full_counts();
cancel_at('zero_loss_gate', 0);
ask('DROP INDEX ix_raw_events_session_id;');
$before = ask($check);
cancel_at('fill_columns', 0, ', sorting raw events');
cancel_at('fill_columns', int($rows / 2), ', raw events by table');

# A cancel is never kept, nor is the end of the backend.
my $kept = ask(q{SET cowrie_migrate.fail_at = '';
BEGIN;
SET LOCAL statement_timeout = '50ms';
SELECT count(*) FROM cowrie_migrate_v16(on_failure => 'keep') \gset
\echo :SQLSTATE
ROLLBACK;});
is($kept, "57014\n", 'keep: a statement timeout propagates');
is(ask($check), $before, 'keep: and leaves nothing');
send_script(q{SELECT count(*) FROM cowrie_migrate_v16(on_failure => 'keep');});
$node->poll_query_until('large', 'SELECT running AND phase >= 1 FROM cowrie_migration_status');
$node->safe_psql('large',
	'SELECT pg_terminate_backend(pid, 10000) FROM cowrie_migration_status WHERE running');
eval { $psql->finish };
like($err, qr/terminating connection due to administrator command/, 'keep: a shutdown propagates');
$psql = undef;
connect_to('large');
is(ask($check), $before, 'keep: and leaves nothing either');
$psql->finish;

$node->stop;
done_testing();
