# Preflight and checkpoint among the hostile: look-alikes of everything they call, documents of many
# megabytes; and a cancel while workers read documents, which leaves nothing behind.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use CowrieTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Session;
use Test::More;
use Time::HiRes qw(time usleep);

my $node = start_node('hostile', 'autovacuum = off');
create_v15($node, 'app', owner => 'app_owner', n => 200);
my $quiet = 'SET client_min_messages = error;';

sub answers
{
	my ($database) = @_;
	return $node->safe_psql($database, q{SET search_path = evil, public, pg_catalog;
SELECT severity, hazard, regexp_replace(detail, '\d+', 'N', 'g') FROM public.cowrie_preflight_v16()
WHERE hazard !~ '^space|duration|free space|connected';
SELECT criterion, passed, pg_catalog.regexp_replace(detail, '; plan:.*|up to its start.*', '') FROM public.cowrie_checkpoint_v16()});
}

# Look-alikes -----------------------------------------------------------------------------------

{
	my $quiet_answers = answers('app');
	# What the owner of the tables has planted raises when it is called, and says as whom.
	$node->safe_psql('app', 'GRANT ALL ON DATABASE app TO app_owner');
	$node->safe_psql('app', q{
CREATE SCHEMA evil;
CREATE FUNCTION evil.trap(what text) RETURNS boolean LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'trapped: % as %', what, current_user; END $$;
CREATE FUNCTION evil.format(text, VARIADIC text[]) RETURNS text LANGUAGE plpgsql AS $$ BEGIN PERFORM evil.trap('format'); END $$;
CREATE FUNCTION evil.equal(text, text) RETURNS boolean LANGUAGE sql AS $$ SELECT evil.trap('=') $$;
CREATE OPERATOR evil.= (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.equal);
CREATE FUNCTION evil.equal(name, text) RETURNS boolean LANGUAGE sql AS $$ SELECT evil.trap('=') $$;
CREATE OPERATOR evil.= (LEFTARG = name, RIGHTARG = text, FUNCTION = evil.equal);
CREATE FUNCTION evil.pg_backend_pid() RETURNS integer LANGUAGE sql AS $$ SELECT evil.trap('pid')::integer $$;
CREATE FUNCTION evil.clock_timestamp() RETURNS timestamptz LANGUAGE plpgsql AS $$ BEGIN PERFORM evil.trap('clock'); END $$;
CREATE FUNCTION evil.pg_relation_size(oid) RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN PERFORM evil.trap('size'); END $$;
CREATE FUNCTION evil.cowrie_enrichment_facts(json) RETURNS public.cowrie_facts LANGUAGE plpgsql AS $$ BEGIN PERFORM evil.trap('facts'); END $$;
CREATE FUNCTION evil.quote_ident(text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN PERFORM evil.trap('quote'); END $$;
} . join('', map { "CREATE VIEW evil.$_ AS SELECT evil.trap('$_') AS pid;\n" }
			qw(pg_stat_activity pg_locks pg_class pg_namespace pg_trigger pg_replication_slots pg_stat_replication
			pg_settings pg_index session_summaries_ cowrie_migration_log schema_state raw_events ip_inventory)),
		extra_params => [ '-U', 'app_owner' ]);
	my ($status, $out, $err) = $node->psql('app', 'SET search_path = evil, pg_catalog; SELECT * FROM pg_locks');
	like($err, qr/trapped: pg_locks as postgres/, 'the traps work');
	is(answers('app'), $quiet_answers, 'nothing that is planted on the search_path is called');

	# What the tables themselves call runs as their owner, not as the superuser who looks.
	$node->safe_psql('app', q{
CREATE TABLE public.seen (who text);
GRANT ALL ON public.seen TO PUBLIC;
CREATE FUNCTION evil.spy(json) RETURNS boolean LANGUAGE plpgsql IMMUTABLE COST 0.0001 AS
$$ BEGIN IF pg_catalog.current_setting('is_superuser') = 'on' AND current_user = 'postgres' THEN
   RAISE EXCEPTION 'trapped: policy as %', current_user; END IF; RETURN true; END $$;
CREATE INDEX spying ON public.session_summaries ((evil.spy(enrichment)::text)) WHERE evil.spy(enrichment)},
		extra_params => [ '-U', 'app_owner' ]);
	unlike(answers('app'), qr/trapped/, 'nor does an index of the owner run as a superuser');
	$node->safe_psql('app', 'DROP SCHEMA evil CASCADE; DROP TABLE public.seen');
}

# Documents of many megabytes -------------------------------------------------------------------

{
	# One of a hundred megabytes, a dozen of twenty; they compress well.
	$node->safe_psql('app', q{
ALTER TABLE session_summaries ALTER enrichment SET COMPRESSION pglz;
INSERT INTO session_summaries (session_id, enrichment)
SELECT 'large ' || mb, ('{"maxmind": {"asn": 64500, "country": "NL"}, "pad": "' || repeat('x', mb * 1000000)
                        || '", "session_metadata": {"source_ip": "192.0.2.7"}}')::json
FROM unnest(ARRAY[100, 20]) AS mb;
INSERT INTO session_summaries (session_id, enrichment)
SELECT 'copy ' || i, enrichment FROM session_summaries, generate_series(1, 12) AS i WHERE session_id = 'large 20';
ANALYZE session_summaries});
	my $begun = time;
	my $coverage = $node->safe_psql('app', q{SELECT detail FROM cowrie_preflight_v16() WHERE hazard = 'expected coverage'});
	like($coverage, qr/^of 214 sessions 20\d have a document, 21\d \(/, 'large documents are read');
	figure(sprintf 'preflight: 13 documents of 20 MB and one of 100 MB in %.1f s', time - $begun);
}

# (A single document is read without a pause.)
$node->safe_psql('app', q{DELETE FROM session_summaries WHERE session_id = 'large 100'});

# Cancelled -------------------------------------------------------------------------------------

foreach my $function ('cowrie_preflight_v16', 'cowrie_checkpoint_v16')
{
	$node->safe_psql('app', "$quiet SELECT count(*) FROM cowrie_migrate_v16()") if $function =~ /checkpoint/;
	my $session = Session->new($node, 'app');
	my $pid = $session->pid;
	$session->run('SET max_parallel_workers_per_gather = 2; SET min_parallel_table_scan_size = 0;'
		  . 'SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0');
	# The workers read for a fraction of a second: a session that is open already looks for them.
	my $watcher = Session->new($node, 'app');
	$session->begin("SELECT count(*) FROM $function()");
	my $seen = 0;
	for (1 .. 5000)
	{
		$session->{psql}->pump_nb;
		$seen = $watcher->run("SELECT count(*) FROM pg_stat_activity WHERE leader_pid = $pid");
		last if $seen;
		usleep(2_000);
	}
	$seen or die 'no worker reads';
	my $begun = time;
	$watcher->run("SELECT pg_cancel_backend($pid)");
	$node->poll_query_until('app', "SELECT state = 'idle' FROM pg_stat_activity WHERE pid = $pid");
	my $took = time - $begun;
	$watcher->close;
	cmp_ok($took, '<', full_counts() ? 1 : 3, "$function: a cancel is heard while workers read");
	figure(sprintf '%s: cancelled in %.2f s', $function, $took);
	$session->{psql}->pump until $session->{err} =~ /canceling statement due to user request/;
	like($session->{err}, qr{ERROR:  canceling statement due to user request}, "$function: with the error of a cancel");
	is($session->run('SHOW cowrie_migrate.live_objects'), '0', "$function: no object is left");
	is($node->safe_psql('app', qq{SELECT (SELECT count(*) FROM pg_locks WHERE pid = $pid AND locktype <> 'virtualxid'),
(SELECT count(*) FROM pg_stat_activity WHERE leader_pid = $pid),
(SELECT count(*) FROM pg_class WHERE relpersistence <> 'p' OR relname ~ '^cowrie_migrate_'),
(SELECT count(*) FROM pg_prepared_xacts), (SELECT running FROM cowrie_migration_status)}),
		'0|0|0|0|f', "$function: no lock, no worker, no table");
	# a statement that is cancelled by its own timeout
	my ($status, $out, $err) = $node->psql('app', "\\set VERBOSITY verbose\nSET statement_timeout = '50ms'; SELECT * FROM $function()");
	like($err, qr/57014: canceling statement due to statement timeout/, "$function: a timeout is no row");
	cmp_ok($session->run("SELECT count(*) FROM $function()"), '>', 5, "$function: and the next call works");
	$session->close;
}

$node->stop;
done_testing();
