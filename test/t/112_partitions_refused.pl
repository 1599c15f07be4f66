# Partitions that are refused, each with what to do, and preflight says so before: foreign and unlogged ones, one
# that is being detached, one of another owner, a key that a run would fill. Locks are taken
# on every partition, and what is in the way of one is named. Cleanup names what hangs on a partition alone.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use CowrieTest;
use Hostile;
use Partitions;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Session;
use Test::More;

my $node = hostile_node('refused', 'autovacuum = off');
hostile_database($node, 'template_hash', n => 200);
partition_sessions($node, 'template_hash', 'hash', user => 'app');
$node->safe_psql('template_hash', attack_code('mallory'));

my $migrate = 'SELECT count(*) FROM cowrie_migrate_v16()';
my $quiet = 'SET client_min_messages = error;';

sub fresh
{
	copy_database($node, 'template_hash', 'part', owner => 'app', anew => 1);
	return;
}
sub app { return ask($node, 'part', 'app', "$quiet $_[0]") }
sub super { return $node->safe_psql('part', $_[0]) }
sub blockers
{
	return $node->safe_psql('part', q{SELECT hazard FROM cowrie_preflight_v16() WHERE severity = 'blocker'}, extra_params => [ '-U', 'app' ]);
}

# Refused by a migration, with these words; preflight has the same; what the HINT says (or this) mends it.
sub refused
{
	my ($state, $message, $hint, $mend) = @_;
	my $answer = app($migrate);
	is("$answer->{state} $answer->{message}", "$state $message", "refused: $message");
	like($answer->{hint}, $hint, 'with what to do');
	like(blockers(), qr/^\Q$message\E$/m, 'and preflight says so');
	is(super('SELECT count(*) FROM cowrie_migration_log WHERE phase IS NULL'), 0, 'no run was begun');
	if (!defined $mend)
	{
		($mend) = $answer->{hint} =~ /run (ALTER TABLE .*;)/i;
	}
	super($mend) if $mend ne '';
	return $answer;
}
sub migrates
{
	my ($name) = @_;
	my $answer = app($migrate);
	is($answer->{err}, '', "$name: then it migrates");
	is(app('SELECT * FROM cowrie_validate_schema()')->{out}, '', "$name: and validate finds nothing");
	return;
}

# Kinds.
fresh();
super('ALTER TABLE password_session_usage DROP CONSTRAINT fk_password_session_usage_session;'
	  . 'ALTER TABLE longtail_detection_sessions DROP CONSTRAINT fk_longtail_detection_sessions_session; ALTER TABLE cold.sessions_1 SET UNLOGGED');
refused('42809', 'partition "cold"."sessions_1" of session_summaries is not an ordinary permanent table', qr/SET LOGGED/);
is(blockers(), '', 'logged again');
super(q{ALTER TABLE session_summaries DROP CONSTRAINT pk_session_summaries; ALTER TABLE session_summaries DETACH PARTITION sessions_2;
CREATE FOREIGN DATA WRAPPER nowhere; CREATE SERVER nowhere FOREIGN DATA WRAPPER nowhere; GRANT USAGE ON FOREIGN SERVER nowhere TO app;
SET ROLE app; CREATE FOREIGN TABLE far_away PARTITION OF session_summaries FOR VALUES WITH (MODULUS 4, REMAINDER 2) SERVER nowhere});
my $answer = refused('42809', 'partition "public"."far_away" of session_summaries is not an ordinary permanent table', qr/DETACH PARTITION "public"."far_away"/);
like($answer->{detail}, qr/It is a foreign table/, 'what it is');
foreach my $call ('SELECT * FROM cowrie_validate_schema()', 'SELECT * FROM cowrie_cleanup_v16()')
{
	super(q{ALTER TABLE session_summaries ATTACH PARTITION far_away FOR VALUES WITH (MODULUS 4, REMAINDER 2)}) if $call =~ /validate/;
	is(app($call)->{state}, '42809', "refused by $call, too");
}
super(q{ALTER TABLE session_summaries DETACH PARTITION far_away; ALTER TABLE session_summaries ATTACH PARTITION sessions_2 FOR VALUES WITH (MODULUS 4, REMAINDER 2);
ALTER TABLE session_summaries ADD CONSTRAINT pk_session_summaries PRIMARY KEY (session_id)});
migrates('ordinary partitions');

# Being detached.
fresh();
super('ALTER TABLE password_session_usage DROP CONSTRAINT fk_password_session_usage_session;'
	  . 'ALTER TABLE longtail_detection_sessions DROP CONSTRAINT fk_longtail_detection_sessions_session');
{
	my $reader = Session->new($node, 'part', user => 'app');
	$reader->run('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM session_summaries');
	my $detaching = Session->new($node, 'part', user => 'app');
	$detaching->begin('ALTER TABLE session_summaries DETACH PARTITION sessions_2 CONCURRENTLY');
	$node->poll_query_until('part', 'SELECT EXISTS (SELECT FROM pg_inherits WHERE inhdetachpending)') or die 'nothing is being detached';
	$detaching->close;
	$reader->close;
}
refused('55000', 'partition public.sessions_2 of session_summaries is being detached', qr/DETACH PARTITION public.sessions_2 FINALIZE;/);
migrates('detached');

# Owners: whoever is not to be trusted, and whoever it may not act as.
my %alike = (migrate => $migrate, dry => 'SELECT count(*) FROM cowrie_migrate_v16(dry_run => true)',
	repair => 'SELECT count(*) FROM cowrie_migrate_v16(repair => true)', online => 'CALL cowrie_migrate_v16_online()',
	cleanup => 'SELECT count(*) FROM cowrie_cleanup_v16()', validate => 'SELECT count(*) FROM cowrie_validate_schema()',
	checkpoint => 'SELECT count(*) FROM cowrie_checkpoint_v16()');
foreach my $owner ('mallory', 'postgres', 'gang')
{
	fresh();
	super("GRANT ALL ON SCHEMA public, cold TO $owner; ALTER TABLE cold.sessions_1 OWNER TO $owner");
	$node->safe_psql('part', q{CREATE INDEX ON cold.sessions_1 (evil.imm('index of a partition ' || session_id));
CREATE TRIGGER evil BEFORE UPDATE OR INSERT ON cold.sessions_1 FOR EACH ROW EXECUTE FUNCTION evil.trg('trigger of a partition')},
		extra_params => [ '-U', 'mallory' ]) if $owner eq 'mallory';
	gains($node);
	foreach my $call (sort keys %alike)
	{
		my $answer = app($alike{$call});
		is("$answer->{state} $answer->{message}", '42501 "cold"."sessions_1" does not belong to the owner of session_summaries',
			"a partition of $owner: $call is refused");
	}
	like(blockers(), qr/^"cold"."sessions_1" does not belong/m, "a partition of $owner: preflight says so");
	is(join("\n", gains($node)), '', "a partition of $owner: nothing is gained");
}
super('ALTER TABLE cold.sessions_1 OWNER TO app');
migrates('a partition of the same owner');

# The schema of a partition must take its indexes.
fresh();
super('ALTER SCHEMA cold OWNER TO postgres; GRANT USAGE ON SCHEMA cold TO app');
refused('42501', 'role "app" cannot create tables in schema "cold"', qr/GRANT USAGE, CREATE ON SCHEMA "cold" TO "app";/,
	'GRANT USAGE, CREATE ON SCHEMA "cold" TO "app"');
migrates('the schema of a partition');

# A key that would be filled.
fresh();
super(q{SET ROLE app; DROP TABLE session_summaries CASCADE; CREATE SCHEMA IF NOT EXISTS cold;
CREATE TABLE session_summaries (session_id varchar(64) NOT NULL, first_event_at timestamptz, last_event_at timestamptz, event_count integer NOT NULL,
  command_count integer NOT NULL, file_downloads integer NOT NULL, login_attempts integer NOT NULL, vt_flagged boolean NOT NULL,
  dshield_flagged boolean NOT NULL, risk_score integer, matcher varchar(32), source_files json, enrichment json, created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL, ssh_key_injections integer NOT NULL, unique_ssh_keys integer NOT NULL, snapshot_country varchar(2))
  PARTITION BY LIST (lower(snapshot_country));
CREATE TABLE everywhere PARTITION OF session_summaries DEFAULT});
$answer = app('SELECT count(*) FROM cowrie_migrate_v16(repair => true)');
is("$answer->{state} $answer->{message}", '0A000 public.session_summaries is partitioned by column "snapshot_country", which the migration fills', 'a key that is filled');
like(blockers(), qr/is partitioned by column "snapshot_country"/, 'and preflight says so');

# Locks: one partition is enough, and it is named.
fresh();
{
	my $reader = Session->new($node, 'part', user => 'app');
	$reader->run('BEGIN; SELECT count(*) FROM cold.sessions_1');
	$answer = app("SET cowrie_migrate.lock_timeout = '100ms'; $migrate");
	is("$answer->{state} $answer->{message}", '55P03 could not obtain lock on "cold"."sessions_1"', 'a reader of one partition');
	like($answer->{detail}, qr/process @{[ $reader->pid ]} of user app holds AccessShareLock/, 'who it is');
	like($node->safe_psql('part', q{SELECT detail FROM cowrie_preflight_v16() WHERE hazard = 'conflicting lock'}),
		qr/process @{[ $reader->pid ]} .* holds AccessShareLock on cold.sessions_1/, 'preflight names the lock');
	$reader->run('ROLLBACK');

	# A writer that holds one partition and wants the whole table is not caught in a deadlock.
	$reader->run(q{BEGIN; UPDATE cold.sessions_1 SET risk_score = 1});
	my $waiting = ask_later($node, 'part', 'app', "$quiet SET cowrie_migrate.lock_timeout = '120s'; $migrate");
	$node->poll_query_until('part', q{SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock')}) or die 'it does not wait';
	is($reader->run(q{UPDATE session_summaries SET risk_score = 2 WHERE session_id IN (SELECT min(session_id) FROM sessions_0); SELECT 'done'; COMMIT}), 'done',
		'a writer goes on while the migration waits for one partition');
	is(answer_of($waiting)->{err}, '', 'and the migration continues after it');
	$reader->close;
}
$answer = app('BEGIN; DECLARE one CURSOR FOR SELECT * FROM sessions_0; FETCH one; SELECT count(*) FROM cowrie_cleanup_v16(); ROLLBACK');
is("$answer->{state} $answer->{message}", '55006 "public"."sessions_0" is being used by active queries in this session', 'a cursor on one partition');

# Attached while the call waits.
fresh();
{
	my $holder = Session->new($node, 'part');
	$holder->run(q{DELETE FROM password_session_usage; DELETE FROM longtail_detection_sessions; ALTER TABLE session_summaries DETACH PARTITION sessions_2;
BEGIN; LOCK TABLE schema_state IN ROW EXCLUSIVE MODE});
	my $waiting = ask_later($node, 'part', 'app', "$quiet SET cowrie_migrate.lock_timeout = '120s'; $migrate");
	$node->poll_query_until('part', q{SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = 'schema_state'::regclass)}) or die 'it does not wait';
	my $other = Session->new($node, 'part');
	$other->run('ALTER TABLE session_summaries ATTACH PARTITION sessions_2 FOR VALUES WITH (MODULUS 4, REMAINDER 2)');
	$holder->run('COMMIT');
	my $answer = answer_of($waiting);
	is("$answer->{state} $answer->{message}", '55000 partition "public"."sessions_2" of session_summaries has been attached during this call',
		'a partition that is attached while a call waits for its locks is noticed');
	$_->close foreach $holder, $other;
	is(app($migrate)->{err}, '', 'the next call migrates it as well');
	is(super('SELECT count(*) > 0 AND bool_and(enrichment_at IS NOT NULL) FROM sessions_2 WHERE enrichment::text LIKE \'%enriched_at%\''), 't', 'its sessions are filled');
	is(app('SELECT * FROM cowrie_validate_schema()')->{out}, '', 'and validate finds nothing');
}

# What hangs on one partition alone stops a cleanup.
super(q{CREATE VIEW of_one AS SELECT source_ip FROM sessions_0; CREATE INDEX of_one_index ON cold.sessions_1 (snapshot_asn, risk_score);
ALTER TABLE sessions_3 ADD CONSTRAINT of_one_check CHECK (snapshot_asn > 0)});
$answer = app('SELECT count(*) FROM cowrie_cleanup_v16()');
is($answer->{state}, '2BP01', 'what hangs on one partition stops a cleanup');
is(join("\n", sort split /\n/, $answer->{detail}), join("\n", 'constraint of_one_check on table public.sessions_3', 'index cold.of_one_index', 'view public.of_one'),
	'all of it is named, and nothing else');
super('DROP VIEW of_one; DROP INDEX cold.of_one_index; ALTER TABLE sessions_3 DROP CONSTRAINT of_one_check');
is(app('SELECT count(*) > 0 FROM cowrie_cleanup_v16()')->{out}, 't', 'without it, it cleans up');
is(app('SELECT * FROM cowrie_validate_schema(version => 15)')->{out}, '', 'back at version 15');

done_testing();
