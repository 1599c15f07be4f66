# Checkpoint: every criterion passes on a sound migration and fails on what it is there for; the proof
# that nothing was lost notices a byte, a session, an hour, and holds over resumptions, repairs,
# rewrites and dumps. During a migration the gate notices the same and takes everything back.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use CowrieTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_node('checkpoint', 'autovacuum = off');
my $quiet = 'SET client_min_messages = error;';
my $migrate = "$quiet SELECT count(*) FROM cowrie_migrate_v16();";

# Criteria that have not passed: "criterion: measured". SQL before it is undone afterwards.
sub failed
{
	my ($database, $damage, $user) = @_;
	return $node->safe_psql($database, 'BEGIN;' . ($damage // '') . ';'
		  . q{SELECT criterion || ': ' || coalesce(measured, 'not measured') FROM cowrie_checkpoint_v16() WHERE NOT passed;
ROLLBACK}, extra_params => [ '-U', $user // 'postgres' ]);
}

sub detail
{
	my ($database, $criterion, $before) = @_;
	return $node->safe_psql($database, 'BEGIN;' . ($before // '') . ';'
		  . 'SELECT detail FROM cowrie_checkpoint_v16() WHERE criterion = ' . quote_text($criterion) . '; ROLLBACK');
}

# A version 15 database whose documents are good: 1200 sessions of 100 IPs.
sub create_good
{
	my ($database, %options) = @_;
	create_v15($node, $database, n => 0, %options);
	$node->safe_psql($database, q{
INSERT INTO session_summaries (session_id, first_event_at, last_event_at, enrichment, created_at, updated_at)
SELECT 's' || i, '2024-01-01'::timestamptz + i * interval '1 hour', '2024-01-01'::timestamptz + i * interval '1 hour',
       format('{"dshield":{"ip":{"number":"192.0.2.%s","asn":"%s","asname":"AS NAME","ascountry":"NL"}},"pad":"%s"}',
              i % 100, 64500 + i % 10, repeat(md5(i::text), 80))::json, '2024-06-01', '2024-06-01'
FROM generate_series(1, 1200) AS i;
ANALYZE session_summaries}, extra_params => [ '-U', $options{owner} // 'postgres' ]);
	return;
}

create_good('good', owner => 'app_owner');

# Before: measured as far as can be, and no error.
my $unmigrated = failed('good', undef, 'app_owner');
like($unmigrated, qr/^schema_complete: \d\d differences$/m, 'version 15 is not complete');
like($unmigrated, qr/^ip_coverage: not measured$/m, 'nor can all be measured');
like(detail('good', 'ip_coverage'), qr/ip_inventory.* run SELECT \* FROM cowrie_migrate_v16\(\);/, 'which is said');

$node->safe_psql('good', $migrate, extra_params => [ '-U', 'app_owner' ]);
foreach my $user ('app_owner', 'postgres')
{
	is(failed('good', undef, $user), '', "$user: all criteria pass");
}
is($node->safe_psql('good', q{SELECT string_agg(criterion, ' ' ORDER BY n), count(*) FROM
(SELECT criterion, min(n) AS n FROM cowrie_checkpoint_v16() WITH ORDINALITY AS c (criterion, passed, measured, target, detail, n) GROUP BY criterion) AS each}),
	'ip_coverage api_call_reduction zero_data_loss query_performance schema_complete snapshot_coverage no_orphans constraints_validated|8',
	'the criteria of ADR-007');
is($node->safe_psql('good', q{SELECT count(*), bool_and(measured ~ '^(under 1 ms|\d+ ms)$'), bool_and(detail ~ '; plan: [A-Z][a-zA-Z ]+'), string_agg(DISTINCT target, ' ')
FROM cowrie_checkpoint_v16() WHERE criterion = 'query_performance'}), '7|t|t|< 10 s',
	'seven queries, each timed, with its plan');
is($node->safe_psql('good', q{SELECT measured FROM cowrie_checkpoint_v16() WHERE criterion IN ('ip_coverage', 'api_call_reduction', 'snapshot_coverage')}),
	"100.0 %\n91.6 %\n100.0 %", 'shares, as they are');

# What each criterion is there for --------------------------------------------------------------

my %damages = (
	'ip_coverage: 90.0 %' => q{UPDATE ip_inventory SET current_asn = NULL WHERE ip_address LIKE '%9'},
	'ip_coverage: 89.0 %' => q{UPDATE ip_inventory SET enrichment = '{}' WHERE ip_address ~ '9$|\.10$'},
	'api_call_reduction: 75.0 %' => q{INSERT INTO ip_inventory (ip_address, first_seen, last_seen, current_asn, enrichment)
SELECT '198.51.100.' || i, now(), now(), 64500, '{"maxmind": {"country": "NL"}}' FROM generate_series(1, 200) AS i},
	'schema_complete: 1 differences' => 'DROP INDEX idx_ip_geo_country',
	'snapshot_coverage: 94.0 %' => q{UPDATE session_summaries SET snapshot_country = NULL WHERE substr(session_id, 2)::int % 100 < 6},
	"no_orphans: 3 rows\nconstraints_validated: 8 of 9" => q{ALTER TABLE session_summaries DROP CONSTRAINT fk_session_source_ip;
UPDATE session_summaries SET source_ip = '203.0.113.1' WHERE session_id IN ('s1', 's2', 's3');
ALTER TABLE session_summaries ADD CONSTRAINT fk_session_source_ip FOREIGN KEY (source_ip) REFERENCES ip_inventory NOT VALID});
foreach my $failure (sort keys %damages)
{
	my $found = failed('good', $damages{$failure});
	# an invalid constraint is a difference of the schema, too
	$found =~ s/^schema_complete: 1 differences\n//m unless $failure =~ /^schema/;
	is($found, $failure, 'fails: ' . $failure =~ s/\n/, /gr);
}
like(detail('good', 'constraints_validated', $damages{"no_orphans: 3 rows\nconstraints_validated: 8 of 9"}),
	qr/fk_session_source_ip is not validated/, 'the constraint is named');
like(detail('good', 'schema_complete', 'DROP INDEX idx_ip_geo_country'), qr/idx_ip_geo_country missing/, 'the index is named');
# As the Python migration left it: columns and no snapshot at all.
like(failed('good', 'UPDATE session_summaries SET source_ip = NULL, snapshot_asn = NULL, snapshot_country = NULL'),
	qr/^snapshot_coverage: 0.0 %$/m, 'empty snapshots are no coverage');

# Nothing lost ----------------------------------------------------------------------------------

my %tampering = (
	'documents' => q{UPDATE session_summaries SET enrichment = overlay(enrichment::text placing 'X' from 120 for 1)::json WHERE session_id = 's700'},
	'count (1200 before, 1199 now), documents, times' => q{DELETE FROM session_summaries WHERE session_id = 's700'},
	'times' => q{UPDATE session_summaries SET last_event_at = last_event_at + interval '1 hour' WHERE session_id = 's700'},
);
foreach my $differs (sort keys %tampering)
{
	is(failed('good', $tampering{$differs}), "zero_data_loss: different: $differs", "notices: $differs");
}
is(failed('good', q{UPDATE session_summaries SET first_event_at = first_event_at + interval '1 microsecond' WHERE session_id = 's700'}),
	'zero_data_loss: different: times', 'notices a microsecond');
is(failed('good', q{UPDATE session_summaries SET enrichment = NULL WHERE session_id = 's700'}) =~ s/snapshot.*\n//r,
	'zero_data_loss: different: documents', 'notices a document that is gone');
is(failed('good', q{UPDATE session_summaries SET session_id = 's7000' WHERE session_id = 's700'}),
	'zero_data_loss: different: documents, times', 'notices a changed key');
like(detail('good', 'zero_data_loss', "$tampering{documents}; UPDATE session_summaries SET updated_at = now() WHERE session_id = 's700'"),
	qr/^compared with run \d+, over 1200 sessions .*; 1 of them have an updated_at after it$/, 'and how many the application has changed since');

# What is no loss: new sessions, other columns, other ways of storing and showing the same.
is(failed('good', q{INSERT INTO session_summaries (session_id) VALUES ('later'); UPDATE session_summaries SET risk_score = 7, updated_at = now()}),
	'', 'new sessions and other columns are no difference');
is(failed('good', q{SET timezone = 'Asia/Kathmandu'; SET datestyle = 'German'; SET search_path = public; SET extra_float_digits = 0}), '', 'nor is a time zone');
$node->safe_psql('good', 'ALTER TABLE session_summaries ALTER COLUMN enrichment SET STORAGE EXTERNAL');
$node->safe_psql('good', 'UPDATE session_summaries SET enrichment = (enrichment::text || repeat(\'\', 0))::json');
$node->safe_psql('good', 'VACUUM FULL session_summaries');
is(failed('good'), '', 'nor are documents that are stored in another way');

# A dump, restored by the owner, who is no superuser, still knows what there was.
$node->safe_psql('postgres', 'CREATE DATABASE restored OWNER app_owner');
my $file = $node->basedir . '/good.dump';
$node->command_ok([ 'pg_dump', '-Fc', '-f', $file, '-d', $node->connstr('good') ], 'dumped');
$node->command_ok([ 'pg_restore', '-U', 'app_owner', '--no-owner', '-d', $node->connstr('restored'), $file ], 'restored');
is(failed('restored', undef, 'app_owner'), '', 'after a dump and its restore all criteria pass');
is(failed('restored', $tampering{times}), 'zero_data_loss: different: times', 'and a change is noticed there');

# Databases of other kinds.
foreach my $kind ([ 'jsonb', 'timestamptz' ], [ 'json', 'timestamp' ])
{
	my $database = join '_', @$kind;
	create_v15($node, $database, n => 1000, doc_type => $kind->[0], event_type => $kind->[1]);
	$node->safe_psql($database, $migrate);
	# the sample is full of bad values
	is(failed($database), failed($database) =~ /^(ip_coverage: \S+ %)$/m ? $1 : '', "@$kind: nothing but what the sample lacks");
	is(failed($database, q{UPDATE session_summaries SET last_event_at = last_event_at + interval '1 hour'
WHERE session_id = (SELECT min(session_id) FROM session_summaries WHERE last_event_at IS NOT NULL)}) =~ s/^ip_coverage.*\n//r,
		'zero_data_loss: different: times', "@$kind: an hour is noticed");
}

# No sessions: all pass.
create_v15($node, 'empty', n => 0);
$node->safe_psql('empty', $migrate);
is(failed('empty'), '', 'no sessions: all criteria pass');
$node->safe_psql('empty', "SET client_min_messages = error; SELECT count(*) FROM cowrie_cleanup_v16()");
$node->safe_psql('empty', 'CALL cowrie_migrate_v16_online()');
is(failed('empty'), '', 'no sessions, online: all criteria pass');

# The ledger is gone with the extension: that nothing was lost cannot be told.
$node->safe_psql('restored', 'DROP EXTENSION cowrie_migrate; CREATE EXTENSION cowrie_migrate');
is(failed('restored'), 'zero_data_loss: not measured', 'without a ledger there is no proof');
like(detail('restored', 'zero_data_loss'), qr/the ledger has no run/, 'which is said');

# Several runs ----------------------------------------------------------------------------------

# A session of the far future is no reason to look at those that come after the run.
create_good('several', owner => 'app_owner');
$node->safe_psql('several', q{INSERT INTO session_summaries (session_id, created_at) VALUES ('future', '2100-01-01')});
$node->safe_psql('several', "$quiet SET cowrie_migrate.fail_at = '3.load_ip_inventory'; SELECT count(*) FROM cowrie_migrate_v16(on_failure => 'keep')");
my $halfway = failed('several');
unlike($halfway, qr/zero_data_loss/, 'halfway: nothing lost so far');
like($halfway, qr/^schema_complete/m, 'halfway: not complete');
$node->safe_psql('several', q{INSERT INTO session_summaries (session_id, created_at) VALUES ('meanwhile', now()), ('far', '2099-01-01')});
$node->safe_psql('several', $migrate);
is(failed('several'), '', 'resumed: all criteria pass');
like(detail('several', 'zero_data_loss'), qr/compared with run 1, over 1200 sessions/, 'resumed: the first run counts, and its sessions');
is(failed('several', $tampering{documents}), 'zero_data_loss: different: documents', 'resumed: a byte is noticed');

# Later the application goes on. A repair of an index does not look at the sessions; one that fills them is
# another migration, and proves for itself.
$node->safe_psql('several', q{UPDATE session_summaries SET enrichment = '{"maxmind": {"country": "DE"}}', updated_at = now() WHERE session_id = 's5';
DROP INDEX idx_ip_geo_country});
like(failed('several'), qr/zero_data_loss: different: documents/, 'what the application changes is a difference');
$node->safe_psql('several', "$quiet SELECT count(*) FROM cowrie_migrate_v16(repair => true)");
is(failed('several'), 'zero_data_loss: different: documents', 'an index repaired: compared with the run before');
$node->safe_psql('several', "$quiet ALTER TABLE session_summaries DROP COLUMN snapshot_ip_type;
SELECT count(*) FROM cowrie_migrate_v16(repair => true)");
is(failed('several'), '', 'repaired: compared with what there was before the repair');
is(failed('several', $tampering{times}), 'zero_data_loss: different: times', 'repaired: an hour is noticed');

# Back and forth.
$node->safe_psql('several', "$quiet SELECT count(*) FROM cowrie_cleanup_v16(force => true)");
unlike(detail('several', 'zero_data_loss'), qr/compared/, 'after a cleanup no run counts');
$node->safe_psql('several', q{DELETE FROM session_summaries WHERE session_id = 's6'});
$node->safe_psql('several', $migrate);
is(failed('several'), '', 'migrated again: compared with what there was before');
$node->safe_psql('several', "$quiet SELECT count(*) FROM cowrie_cleanup_v16(to_phase => 2, force => true)");
$node->safe_psql('several', q{DELETE FROM session_summaries WHERE session_id = 's7'});
$node->safe_psql('several', $migrate);
is(failed('several'), '', 'resumed after a cleanup of some phases');

# Too slow: no index may be used and nothing be hashed, so that every session is compared with every IP of
# the ASN. (The judgement itself is tested with a clock of its own.)
SKIP:
{
	skip 'query_performance over 10 s: takes a minute, only with full counts', 2 unless full_counts();
	create_v15($node, 'slow', n => 0);
	$node->safe_psql('slow', q{
INSERT INTO session_summaries (session_id, first_event_at, enrichment)
SELECT 's' || i, '2024-01-01'::timestamptz + i * interval '1 second',
       format('{"session_metadata":{"source_ip":"10.%s.%s.1"},"maxmind":{"asn":64500,"country":"NL"}}', i / 256 % 40, i % 256)::json
FROM generate_series(1, 60000) AS i});
	$node->safe_psql('slow', $migrate);
	my $settings = join ';', map { "SET enable_$_ = off" } qw(hashjoin mergejoin nestloop indexscan indexonlyscan bitmapscan memoize);
	my %passed = map { split /\|/ } split /\n/, $node->safe_psql('slow', "$settings; SET max_parallel_workers_per_gather = 0;"
		  . q{SELECT split_part(detail, ';', 1), passed::text || ' ' || measured || ' ' || target FROM cowrie_checkpoint_v16() WHERE criterion = 'query_performance'});
	my $slow = delete $passed{'snapshot against current ASN and country of the IPs of one ASN'};
	like($slow, qr/^false (?:[1-9]\d\.\d s|\d+ min \d\d s) < 10 s$/, 'a query over 10 s fails');
	is(join(', ', grep { $passed{$_} !~ /^true/ } sort keys %passed), '', 'and it alone');
	figure("query_performance: $slow");
}

# During a migration ----------------------------------------------------------------------------

# Something changes a session when an index of the sessions is made: after they were rewritten, before
# the gate looks.
create_good('tampered', owner => 'app_owner');
$node->safe_psql('tampered', q{
CREATE TABLE public.tampering (statement text);
CREATE FUNCTION public.tamper() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
DECLARE what text;
BEGIN
  IF EXISTS (SELECT FROM pg_event_trigger_ddl_commands() WHERE object_identity = 'public.idx_session_source_ip') THEN
    FOR what IN SELECT statement FROM tampering LOOP EXECUTE what; END LOOP;
  END IF;
END $$;
CREATE EVENT TRIGGER tampers ON ddl_command_end WHEN TAG IN ('CREATE INDEX') EXECUTE FUNCTION public.tamper()});
my $data = data_hash($node, 'tampered');
my $schema = schema_dump($node, 'tampered');
my %unseen_later = ('values of other columns' => q{UPDATE session_summaries SET matcher = 'other' WHERE session_id =
  (SELECT min(session_id) FROM session_summaries)});
foreach my $differs (keys %unseen_later, sort keys %tampering)
{
	$node->safe_psql('tampered', 'TRUNCATE tampering; INSERT INTO tampering VALUES ('
		  . quote_text($tampering{$differs} // $unseen_later{$differs}) . ')');
	my ($status, $out, $err) = $node->psql('tampered',
		"\\set VERBOSITY verbose\n$quiet SELECT count(*) FROM cowrie_migrate_v16()", extra_params => [ '-U', 'app_owner' ]);
	like($err, qr/XX001: zero-loss gate: sessions were lost or changed\nDETAIL:  Different from before the migration: \Q$differs\E\./,
		"the gate notices: $differs");
	like($err, qr/phase 5 \(foreign_keys\), step zero_loss_gate/, 'at its place');
	is(data_hash($node, 'tampered'), $data, 'everything is rolled back: data');
	is(schema_dump($node, 'tampered'), $schema, 'everything is rolled back: schema');
	is($node->safe_psql('tampered', 'SELECT phase, step, last_sqlstate FROM cowrie_migration_status'),
		'5|zero_loss_gate|XX001', 'and the status tells');
}

# With keep the same: what is lost must not be committed, be it noticed by the gate or when a later phase
# fails for another reason.
foreach my $fail_at ('', '5.verify')
{
	my ($status, $out, $err) = $node->psql('tampered', "\\set VERBOSITY verbose\n$quiet SET cowrie_migrate.fail_at = '$fail_at';"
		  . q{SELECT count(*) FROM cowrie_migrate_v16(on_failure => 'keep')});
	my $earlier = $fail_at ? " The run had failed before: injected failure at $fail_at." : '';
	like($err, qr/XX001: zero-loss gate: .*\nDETAIL:  Different from before the migration: times\.\Q$earlier\E\n.*step zero_loss_gate/s,
		"keep keeps no loss: $fail_at");
	is(data_hash($node, 'tampered') . schema_dump($node, 'tampered'), $data . $schema, 'everything is rolled back');
}
$node->safe_psql('tampered', 'DROP EVENT TRIGGER tampers');

# Between two runs the tables are unlocked: what is changed then is told when the migration resumes, and by
# the checkpoint.
my $victim = 700;
foreach my $differs (undef, sort keys %tampering)
{
	++$victim;    # one of them deletes it
	$node->safe_psql('tampered', "$quiet SET cowrie_migrate.fail_at = '4.create_ip_asn_history';"
		  . q{SELECT count(*) FROM cowrie_migrate_v16(on_failure => 'keep')});
	$node->safe_psql('tampered', $tampering{$differs} =~ s/s700/s$victim/r) if defined $differs;
	my ($status, $out, $err) =
	  $node->psql('tampered', 'SET client_min_messages = warning; SELECT count(*) FROM cowrie_migrate_v16()');
	if (defined $differs)
	{
		like($err, qr/WARNING:  sessions have changed since the migration began\nDETAIL:  Different from before run \d+ at .*: \Q$differs\E\. 0 of these sessions have an updated_at after that\.\nHINT:  .*cowrie_checkpoint_v16/,
			"told when it resumes: $differs");
		is(failed('tampered'), "zero_data_loss: different: $differs", 'and by the checkpoint');
	}
	else
	{
		is($err, '', 'nothing to tell when nothing has changed');
		is(failed('tampered'), '', 'resumed: all criteria pass');
	}
	$node->safe_psql('tampered', "$quiet SELECT count(*) FROM cowrie_cleanup_v16(force => true)");
}
$node->safe_psql('tampered', $migrate);
is(failed('tampered'), '', 'begun anew, it succeeds');

$node->stop;
done_testing();
