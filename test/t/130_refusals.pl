# Whatever a migration refuses, the preflight has said before, in the same words, and what is refused changes
# nothing: no row of the tables, no row of the catalog about them. Every message of the sources is either
# provoked here or left out for a reason that stands here; a new one is neither, and fails this test.
use strict;
use warnings;

use Cwd qw(abs_path);
use FindBin;
use lib $FindBin::RealBin;

use CowrieTest;
use Messages;
use Session;
use Test::More;

my $node = start_node('refusals', 'wal_level = logical', 'autovacuum = off', 'allow_in_place_tablespaces = on');
create_v15($node, 'app', n => 40);
$node->safe_psql('app', q{CREATE ROLE app LOGIN; CREATE ROLE mallory LOGIN; GRANT USAGE ON SCHEMA public TO mallory;
SET allow_in_place_tablespaces = on;});
$node->safe_psql('app', q{CREATE TABLESPACE narrow LOCATION ''});

# What is refused ----------------------------------------------------------------------------------

my $atomic = 'SELECT count(*) FROM public.cowrie_migrate_v16({schema})';
my $repair = 'SELECT count(*) FROM public.cowrie_migrate_v16({schema}, repair => true)';
my $online = 'CALL public.cowrie_migrate_v16_online({schema})';
my $online_repair = 'CALL public.cowrie_migrate_v16_online({schema}, repair => true)';
my $half = 'CREATE TABLE {s}.ip_inventory (ip_address varchar(45) PRIMARY KEY); ALTER TABLE {s}.ip_inventory OWNER TO app';

# Message as in the sources => cases: prepare (by a superuser, {s} is the schema), before (in the calling session), call,
# undo (what is not in the schema), user, schema; row: the preflight's row, where it is no blocker of that name.
my %cases = (
	'column <> of <> cannot be read' => [
		{ prepare => q{ALTER TABLE {s}.session_summaries ALTER COLUMN created_at DROP DEFAULT, ALTER COLUMN created_at TYPE text} },
		{ prepare => 'ALTER TABLE {s}.raw_events ALTER COLUMN payload TYPE text' },
		{ prepare => 'ALTER TABLE {s}.raw_events DROP COLUMN payload' },
		{ prepare => 'ALTER TABLE {s}.raw_events ALTER COLUMN payload TYPE text', call => $online },
	],
	'column <> of <> does not exist' => [ map { +{ prepare => "ALTER TABLE {s}.raw_events DROP COLUMN $_" } } qw(id session_id event_timestamp) ],
	'role "<>" cannot read raw_events' => [ { prepare => 'REVOKE SELECT ON {s}.raw_events FROM app' } ],
	'schema "<>" does not exist' => [ { schema => q{'nowhere'} } ],
	'table session_summaries does not exist' => [ { prepare => 'ALTER TABLE {s}.session_summaries RENAME TO other' } ],
	'the type of column <> of <> does not belong to the owner of session_summaries' =>
	  [ { prepare => 'CREATE DOMAIN {s}.d AS varchar(32); ALTER DOMAIN {s}.d OWNER TO mallory; ALTER TABLE {s}.session_summaries ALTER COLUMN matcher TYPE {s}.d' } ],
	'<> is not an ordinary table' =>
	  [ { prepare => 'ALTER TABLE {s}.raw_events RENAME TO other; CREATE VIEW {s}.raw_events AS TABLE {s}.other; ALTER VIEW {s}.raw_events OWNER TO app' } ],
	'<> does not belong to the owner of session_summaries' => [
		{ prepare => 'CREATE TABLE {s}.ip_inventory (ip_address text); ALTER TABLE {s}.ip_inventory OWNER TO mallory' },
		{ prepare => 'CREATE TABLE {s}.child () INHERITS ({s}.raw_events); ALTER TABLE {s}.child OWNER TO mallory' },
	],
	'rule "<>" on <> intercepts writes' => [ { prepare => 'CREATE RULE r AS ON UPDATE TO {s}.session_summaries DO INSTEAD NOTHING' } ],
	'<> takes part in inheritance' => [ { prepare => 'CREATE TABLE {s}.child () INHERITS ({s}.session_summaries); ALTER TABLE {s}.child OWNER TO app' } ],
	'row security on <> applies to role "<>"' => [ { prepare => 'ALTER TABLE {s}.session_summaries ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY' } ],
	'<> has no non-deferrable unique constraint on column "key"' => [ { prepare => 'ALTER TABLE {s}.schema_state DROP CONSTRAINT schema_state_pkey' } ],
	'<> has column "<>", which is NOT NULL and has no default' => [ { prepare => 'ALTER TABLE {s}.schema_state ADD COLUMN who text; UPDATE {s}.schema_state SET who = 1; ALTER TABLE {s}.schema_state ALTER COLUMN who SET NOT NULL' } ],
	'constraint <> on <> rejects what the migration writes' => [
		map { +{ prepare => $_ } } q{ALTER TABLE {s}.schema_state ADD CHECK (value ~ '^[0-9]+$')},
		'ALTER TABLE {s}.schema_state ADD UNIQUE (value)',
		'ALTER TABLE {s}.schema_state ADD c integer DEFAULT 1 CHECK (c > 0); ALTER TABLE {s}.schema_state ALTER c SET DEFAULT 0',
		'ALTER TABLE {s}.schema_state ADD c integer DEFAULT 1 CHECK (c IS NOT NULL); ALTER TABLE {s}.schema_state ALTER c DROP DEFAULT',
		q{CREATE FUNCTION {s}.known(text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$SELECT $1 = 'schema_version'$$; ALTER TABLE {s}.schema_state ADD CHECK ({s}.known(key))},
		'CREATE UNIQUE INDEX one_version ON {s}.schema_state (lower(value))',
		'ALTER TABLE {s}.schema_state ADD EXCLUDE ((1) WITH =)',
		q{CREATE TABLE {s}.known (key varchar(128) PRIMARY KEY); INSERT INTO {s}.known SELECT key FROM {s}.schema_state; ALTER TABLE {s}.schema_state ADD FOREIGN KEY (key) REFERENCES {s}.known},
		'ALTER TABLE {s}.schema_state DROP CONSTRAINT schema_state_pkey, ADD PRIMARY KEY (key), ADD CONSTRAINT u UNIQUE (key, value); CREATE TABLE {s}.notes (key varchar(128), value varchar(256), FOREIGN KEY (key, value) REFERENCES {s}.schema_state (key, value))',
	],
	'column <> of <> cannot hold what the migration writes' => [
		map { ref $_ ? $_ : +{ prepare => $_ } } 'ALTER TABLE {s}.schema_state ALTER COLUMN value TYPE integer USING value::integer',
		'ALTER TABLE {s}.schema_state ALTER COLUMN value TYPE varchar(2)', 'ALTER TABLE {s}.schema_state ALTER COLUMN key TYPE varchar(14)',
		q{CREATE DOMAIN {s}.whole AS varchar CHECK (value ~ '^[0-9]+$'); ALTER DOMAIN {s}.whole OWNER TO app; ALTER TABLE {s}.schema_state ALTER COLUMN value TYPE {s}.whole},
		q{CREATE DOMAIN {s}.d AS text NOT NULL; ALTER DOMAIN {s}.d OWNER TO app; ALTER TABLE {s}.schema_state ADD c {s}.d DEFAULT 'x'; ALTER TABLE {s}.schema_state ALTER c DROP DEFAULT},
		q{CREATE DOMAIN {s}.d AS text CHECK (VALUE IS NOT NULL); ALTER DOMAIN {s}.d OWNER TO app; ALTER TABLE {s}.schema_state ADD c {s}.d DEFAULT 'x'; ALTER TABLE {s}.schema_state ALTER c DROP DEFAULT},
		'ALTER TABLE {s}.schema_state ADD c integer GENERATED ALWAYS AS (value::integer) STORED',
		q{CREATE FUNCTION {s}.f() RETURNS integer LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'no'; END$$; ALTER TABLE {s}.schema_state ADD c integer; ALTER TABLE {s}.schema_state ALTER c SET DEFAULT {s}.f()},
		{ prepare => 'ALTER TABLE {s}.schema_state ADD c integer GENERATED ALWAYS AS (value::integer) STORED', call => $online },
	],
	'unique index <> is invalid' => [ map { +{ call => $_,
			prepare => q{CREATE UNIQUE INDEX twice ON {s}.session_summaries (session_id, created_at); UPDATE pg_index SET indisvalid = false WHERE indexrelid = '{s}.twice'::regclass} } } $atomic, $online ],
	'table <> has no room for new columns' => [ map { +{ call => $_,
			prepare => q{DO $do$ BEGIN
EXECUTE (SELECT 'ALTER TABLE {s}.session_summaries ' || string_agg('ADD COLUMN c' || i || ' boolean', ', ') FROM generate_series(1, 1580) AS i);
EXECUTE (SELECT 'ALTER TABLE {s}.session_summaries ' || string_agg('DROP COLUMN c' || i, ', ') FROM generate_series(1, 1580) AS i); END $do$} } } $atomic, $online ],
	'constraint <> on <> already exists' => [
		(map { +{ call => $_, prepare => 'ALTER TABLE {s}.session_summaries ADD CONSTRAINT fk_session_source_ip UNIQUE (session_id)' } } $atomic, $online),
		(map { +{ call => $_, prepare => "$half; ALTER TABLE {s}.session_summaries DROP CONSTRAINT session_summaries_pkey, ADD CONSTRAINT snapshot_country_iso PRIMARY KEY (session_id)" } } $repair, $online_repair),
	],
	'type <> already exists' => [ map { +{ prepare => "CREATE TYPE {s}.$_ AS ENUM ('a')" } } qw(ip_inventory cowrie_migrate_staging) ],
	'triggers on <> would fire for what the migration writes' => [
		{ prepare => q{CREATE FUNCTION {s}.f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
			CREATE TRIGGER t BEFORE UPDATE ON {s}.schema_state FOR EACH ROW EXECUTE FUNCTION {s}.f()} },
		{ prepare => q{CREATE FUNCTION {s}.f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''no''; END';
			CREATE TRIGGER t AFTER INSERT ON {s}.schema_state EXECUTE FUNCTION {s}.f()}, call => $online },
	],
	'<> is published without a replica identity' =>
	  [ { prepare => 'ALTER TABLE {s}.session_summaries REPLICA IDENTITY NOTHING; CREATE PUBLICATION p FOR TABLE {s}.session_summaries', undo => 'DROP PUBLICATION p' } ],
	'role "<>" cannot create tables in schema "<>"' => [ { prepare => 'REVOKE CREATE ON SCHEMA {s} FROM app' } ],
	'role "<>" cannot create tables in tablespace "<>"' => [ { before => 'SET default_tablespace = narrow' } ],
	'role "<>" lacks privileges on <>' => [ { prepare => 'REVOKE UPDATE ON {s}.session_summaries FROM app' } ],
	'role "<>" cannot execute the functions of the extension' => [ { prepare => 'REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA cowrie_migrate_internal FROM PUBLIC',
			undo => 'GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA cowrie_migrate_internal TO PUBLIC' } ],
	'role "<>" cannot use the extension' =>
	  [ { prepare => 'REVOKE USAGE ON SCHEMA cowrie_migrate_internal FROM PUBLIC', undo => 'GRANT USAGE ON SCHEMA cowrie_migrate_internal TO PUBLIC' } ],
	'extension "cowrie_migrate" is incomplete' => [ { prepare => 'ALTER TABLE public.cowrie_migration_log RENAME TO gone', undo => 'ALTER TABLE public.gone RENAME TO cowrie_migration_log' } ],
	'cannot migrate in a read-only transaction' => [ { before => 'SET default_transaction_read_only = on' } ],
	'cannot migrate in a REPEATABLE READ or SERIALIZABLE transaction' => [ { before => q{SET default_transaction_isolation = 'repeatable read'} } ],
	'<> is not an ordinary permanent table' => [ { prepare => 'ALTER TABLE {s}.session_summaries SET UNLOGGED' } ],
	'must be owner of <>' => [ { user => 'mallory' } ],
	'another migration is running in this database' => [ { busy => 1 } ],
	'not enough free space for the migration' => [ map { +{ before => 'SET cowrie_migrate.free_space = 0', call => $_ } } $atomic, $online ],
	'<> is published by name' => [ { prepare => 'CREATE PUBLICATION p FOR TABLE {s}.schema_state', undo => 'DROP PUBLICATION p' } ],
	'<> is published, and foreign keys refer to it' => [ { prepare => 'CREATE PUBLICATION p FOR TABLES IN SCHEMA {s}; CREATE TABLE {s}.notes (key varchar(128) REFERENCES {s}.schema_state)', undo => 'DROP PUBLICATION p' } ],
	'a subscription writes to the inventories' => [ {
			prepare => "$half; CREATE SUBSCRIPTION sub CONNECTION 'dbname=nowhere' PUBLICATION p WITH (connect = false);"
			  . q{INSERT INTO pg_subscription_rel SELECT oid, '{s}.ip_inventory'::regclass, 'r', NULL FROM pg_subscription},
			undo => q{DELETE FROM pg_subscription_rel; ALTER SUBSCRIPTION sub SET (slot_name = NONE); DROP SUBSCRIPTION sub}, call => $repair } ],
	'the schema version of schema "<>" is unknown' => [ map { +{ prepare => $_ } } 'DROP TABLE {s}.schema_state', 'DELETE FROM {s}.schema_state' ],
	'schema version <> is too old for this migration' => [ { prepare => 'UPDATE {s}.schema_state SET value = 14' } ],
	'incomplete v<> schema detected' => [ map { +{ prepare => $half, call => $_ } } $atomic, $online ],
	'other objects depend on columns of "<>" that must change' =>
	  [ { prepare => 'CREATE TABLE {s}.ip_inventory (ip_address inet PRIMARY KEY); ALTER TABLE {s}.ip_inventory OWNER TO app; CREATE VIEW {s}.v AS TABLE {s}.ip_inventory', call => $repair } ],
	'repair would lose data' =>
	  [ { prepare => q{CREATE TABLE {s}.ip_inventory (ip_address varchar(45)); ALTER TABLE {s}.ip_inventory OWNER TO app; INSERT INTO {s}.ip_inventory VALUES ('192.0.2.1'), ('192.0.2.1')}, call => $repair } ],
	'session_summaries contains duplicate sessions' => [ map { +{ prepare => 'ALTER TABLE {s}.session_summaries DROP CONSTRAINT session_summaries_pkey; INSERT INTO {s}.session_summaries SELECT * FROM {s}.session_summaries LIMIT 1', call => $_ } } $atomic, $online ],
	'other tables have columns of the row type of "<>"' => [
		{ prepare => 'CREATE TABLE {s}.old (r {s}.session_summaries)', before => 'SET cowrie_migrate.rewrite = alter_table' },
		{ prepare => 'ALTER TABLE {s}.session_summaries ADD COLUMN source_ip inet; CREATE TABLE {s}.old (r {s}.session_summaries)', before => 'SET cowrie_migrate.rewrite = alter_table', call => $repair },
	],
	'relation <> already exists' => [
		{ prepare => 'CREATE TABLE {s}.ip_inventory_pkey ()' },
		{ prepare => 'CREATE TABLE {s}.cowrie_migrate_staging ()' },
		{ prepare => "$half; CREATE TABLE {s}.asn_inventory_pkey ()", call => $repair },
		(map { +{ prepare => "CREATE TABLE {s}.$_ (word text)", call => $online, row => 'online migration' } } qw(cowrie_migrate_changes cowrie_migrate_queue cowrie_migrate_delta)),
	],
	'<> cannot be evaluated with the settings of the migration' => [ {
			# the function gets its fault afterwards: from 17 on no index is made with it
			prepare => q{CREATE FUNCTION {s}.f() RETURNS bigint IMMUTABLE LANGUAGE sql AS 'SELECT 1::bigint';
CREATE INDEX my_index ON {s}.session_summaries ((event_count + {s}.f()));
CREATE OR REPLACE FUNCTION {s}.f() RETURNS bigint IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT count(*) FROM {s}.schema_state) + twice(1); END';
CREATE FUNCTION {s}.twice(n integer) RETURNS integer IMMUTABLE LANGUAGE sql AS 'SELECT n * 2'; GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA {s} TO app} } ],
	'triggers or rules on session_summaries would fire for every batch' => [
		{ prepare => q{CREATE FUNCTION {s}.f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
			CREATE TRIGGER t BEFORE UPDATE ON {s}.session_summaries FOR EACH ROW EXECUTE FUNCTION {s}.f()}, call => $online, row => 'online migration' },
		{ prepare => q{CREATE TABLE {s}.ip_inventory_pkey (); CREATE FUNCTION {s}.f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
			CREATE TRIGGER t BEFORE UPDATE ON {s}.session_summaries FOR EACH ROW EXECUTE FUNCTION {s}.f()}, call => $online, row => 'online migration' },
	],
	'rows of session_summaries violate constraint "<>"' => [
		{ prepare => 'ALTER TABLE {s}.session_summaries ADD CHECK (event_count > 1000000) NOT VALID', call => $online, row => 'online migration' } ],
	'cannot change columns of session_summaries online' => [
		{ prepare => 'ALTER TABLE {s}.session_summaries ADD COLUMN source_ip inet', call => $online_repair, row => 'online migration' } ]);

# What no preflight can say, or no migration refuses -------------------------------------------------

my %left_out = (
	'of the call, not of the database: its arguments, or how it is called' => [
		q{on_failure must be 'abort' or 'keep'}, 'batch_size must be at least 1', '<> must not be negative', 'cut_over must be now or wait',
		'<>_online must be called as a single statement outside a transaction block',
		'<> is being used by active queries in this session', '<> has pending trigger events in this transaction',
		'to_phase must be between 0 and <>', 'schema version <> cannot be validated' ],
	'known only under the lock, or when it is not granted; the preflight names who holds one (conflicting lock)' => [
		'could not obtain lock on <>', 'could not obtain lock after <> attempts', '<> has been created during this call',
		'schema "<>" has been renamed during this call', 'the tables in schema "<>" have been replaced during this call',
		'a table of the migration was dropped concurrently' ],
	'known only when a process is asked for' => [
		'no background worker slot is free', 'background worker terminated before its statement finished',
		'statement is too long for the background worker' ],
	'of an extension that is not installed here: 110_citus.pl has a case, and what the preflight says' => ['<> is a Citus table'],
	'of partitions: 112_partitions_refused.pl has the cases, and what the preflight says' => [
		'<> is partitioned by column "<>", which the migration fills', 'partition <> of session_summaries has been attached during this call',
		'partition <> of session_summaries is being detached', 'partition <> of session_summaries is not an ordinary permanent table' ],
	'of a standby: 050_preflight.pl asks one' => ['cannot migrate on a standby server'],
	'of who only reads, a plan for instance; a migration says that the caller must act as the owner' =>
	  [ 'role "<>" cannot use schema "<>"', 'role "<>" cannot read <>' ],
	'reading it marks a run as interrupted, which a preflight must not' =>
	  ['position of the unfinished online migration is missing from the ledger'],
	'of somebody else in the middle of a run' => [
		'changes have been missed while sessions were migrated', 'the queue of the online migration has been changed',
		'work table <> of the migration is missing or has been changed',
		'zero-loss gate: session_summaries was modified by something else during a batch', 'zero-loss gate: sessions were lost or changed',
		'zero-loss gate: a batch changed a session that it should only fill', 'a row of "<>" has changed while it was copied',
		'documents cannot be read while a raw event is looked up',
		'cowrie_migrate could not look up a raw event: <>' ],
	'of a trigger that the operator has declared harmless' => ['could not record the schema version'],
	'proved at the end, whatever was refused before' => ['verification of phase <> failed'],
	'the plan takes the other way of writing the sessions, and says so' => [
		'column "<>" of "<>" cannot be filled', 'the heap of "<>" cannot be rewritten without its TOAST table',
		'a row of "<>" has a value in the TOAST table of another table', 'the new heap of "<>" could not be swapped in',
		'row is too big for a page' ],
	'of the cleanup, or of functions that are no migration' => [
		'phases 1 to <> are not complete', 'schema version <> builds on version <>',
		'other objects depend on objects that cleanup would drop', 'cleanup would lose data that cannot be rebuilt',
		'permission denied to <> the migration', 'cannot truncate a work table of an online migration',
		'cowrie_online_change can be called only by the trigger of an online migration',
		'functions that verify a batch can be called only by a migration', 'function returning a row called in context that cannot accept one',
		'this function must be called as part of an aggregate', 'an enrichment document must be of type json or jsonb',
		'invalid fingerprint state', q{format must be 'html' or 'markdown'}, 'no migration of schema "<>" is on record', 'the ledger has no run <> of this schema', 'unknown type of jsonb value', 'the migration of process <> runs in one transaction' ],
	'the extension is damaged: the preflight raises it as well' => ['sequence cowrie_progress_<> of extension cowrie_migrate does not exist'],
	'nobody has refused anything' => [
		'out of memory', 'unexpected exception: <>', 'injected failure at <>', 'unrecognized lock mode <>',
		'SPI could not look up raw events: <>', 'SPI could not prepare the look-up of raw events: <>',
		'SPI could not execute a statement: <>', 'could not roll back a subtransaction of cowrie_migrate' ]);
my %reason = map { my $why = $_; map { $_ => $why } @{ $left_out{$why} } } keys %left_out;

# Nothing is missing -------------------------------------------------------------------------------

my $root = abs_path("$FindBin::RealBin/../..");
my %raised = map { $_->[0] => 1 } grep { ($_->[1] // '') ne '01000' && $_->[2] =~ m{^src/} } messages_of($root, []);
is(join("\n", grep { !$cases{$_} && !$reason{$_} } sort keys %raised), '', 'every refusal has a case, or a reason to have none');
is(join("\n", grep { !$raised{$_} } sort(keys %cases, keys %reason)), '', 'no case of a refusal that the sources do not have');
is(join("\n", grep { $cases{$_} && $reason{$_} } sort keys %raised), '', 'no reason for what has a case');

# Each of them -------------------------------------------------------------------------------------

# All rows about the tables of a schema, and all of theirs: who wrote them, and where they are.
# (query_to_xml would need no function, but a server with libxml.)
$node->safe_psql('app', q{CREATE FUNCTION rows_of(regclass) RETURNS text LANGUAGE plpgsql AS $$
DECLARE found text;
BEGIN
  EXECUTE format('SELECT concat_ws('' '', count(*), sum(hashtext(xmin::text || ctid::text)::int8)) FROM %s', $1) INTO found;
  RETURN found;
END $$});
my $fingerprint = q{SET search_path = {s}, public;
WITH c AS (SELECT xmin, * FROM pg_class WHERE relnamespace = to_regnamespace('{s}')),
rows (of) AS (
  SELECT format('class %s %s %s %s', c.oid, c.xmin, relfilenode, relhassubclass) FROM c
  UNION ALL SELECT format('attribute %s %s %s', attrelid, attnum, a.xmin) FROM pg_attribute AS a JOIN c ON c.oid = attrelid
  UNION ALL SELECT format('index %s %s', indexrelid, i.xmin) FROM pg_index AS i JOIN c ON c.oid = indrelid
  UNION ALL SELECT format('constraint %s %s', k.oid, k.xmin) FROM pg_constraint AS k JOIN c ON c.oid = conrelid
  UNION ALL SELECT format('trigger %s %s', g.oid, g.xmin) FROM pg_trigger AS g JOIN c ON c.oid = tgrelid
  UNION ALL SELECT format('rows of %s: %s', c.oid, public.rows_of(c.oid))
  FROM c WHERE relkind = 'r')
SELECT count(*), md5(string_agg(of, ',' ORDER BY of)) FROM rows};

# The tables of version 15, as they are in the schema public, belong to the application.
my $tables = q{CREATE SCHEMA {s}; GRANT USAGE, CREATE ON SCHEMA {s} TO app; GRANT USAGE ON SCHEMA {s} TO mallory;
} . join "\n", map {; "CREATE TABLE {s}.$_ (LIKE public.$_ INCLUDING ALL); INSERT INTO {s}.$_ SELECT * FROM public.$_; ALTER TABLE {s}.$_ OWNER TO app;" }
  qw(session_summaries raw_events schema_state);

my $number = 0;
sub try_case
{
	my ($message, $case) = @_;
	my $schema = 'c' . ++$number;
	my $name = "$message ($number)";
	my $fill = sub { return ($_[0] // '') =~ s/\{s\}/$schema/gr };
	my $argument = $case->{schema} // "'$schema'";
	my $call = ($case->{call} // $atomic) =~ s/\{schema\}/$argument/r;
	my $before = $fill->(join ";\n", map { "SET $_" } 'client_min_messages = error', q{cowrie_migrate.lock_timeout = '200ms'}) . ";\n" . $fill->($case->{before});
	my $then = $node->safe_psql('app', join ";\n", map { $fill->($_) } 'SET client_min_messages = error', $tables, $case->{prepare} // '', $fingerprint);
	my $running;
	if ($case->{busy})
	{
		$node->safe_psql('app', $tables =~ s/\{s\}/busy/gr);
		$running = Session->new($node, 'app');
		$running->run(q{SET client_min_messages = error; BEGIN; SELECT count(*) FROM cowrie_migrate_v16('busy')});
	}
	my ($out, $err) = ('', '');
	$node->psql('app', qq{$before;
SELECT concat_ws('|', severity, hazard, split_part(detail, E'\\n', 1)) FROM public.cowrie_preflight_v16($argument);
$call}, stdout => \$out, stderr => \$err, on_error_stop => 0, extra_params => [ '-U', $case->{user} // 'app' ]);
	$running->close if $running;
	my $pattern = join '.+', map { quotemeta } split /<>/, $message, -1;
	like($err, qr/ERROR:  $pattern\n/, "$name: refused");
	my $words = $err =~ /ERROR:  ($pattern)\n/ ? $1 : '';
	my $row = defined $case->{row} ? qr/^warning\|\Q$case->{row}\E\|\Q$words\E: /m : qr/^blocker\|\Q$words\E\|/m;
	like($out, $row, "$name: the preflight has said so");
	is($node->safe_psql('app', $fill->($fingerprint)), $then, "$name: nothing has changed");
	$node->safe_psql('app', 'SET client_min_messages = error; ' . $fill->($case->{undo})) if $case->{undo};
	return;
}

foreach my $message (sort keys %cases)
{
	try_case($message, $_) foreach @{ $cases{$message} };
}

# What all these cases have in common migrates.
$node->safe_psql('app', ($tables =~ s/\{s\}/last/gr) . q{
-- columns that take care of themselves, those that only a write could ask included
CREATE DOMAIN last.d AS text DEFAULT 'x' NOT NULL; ALTER DOMAIN last.d OWNER TO app;
ALTER TABLE last.schema_state ADD number integer GENERATED ALWAYS AS IDENTITY CHECK (number > 0), ADD counted serial CHECK (counted > 0),
  ADD c last.d CHECK (c = 'x'), ADD size integer GENERATED ALWAYS AS (length(value)) STORED CHECK (size > 0),
  ADD CHECK (schema_state IS NOT NULL), ADD CHECK (tableoid <> 0);
SET client_min_messages = error; SELECT count(*) FROM cowrie_migrate_v16('last')});
is($node->safe_psql('app', q{SELECT count(*) FROM cowrie_validate_schema('last')}), '0', 'without all this it migrates');

figure(keys(%cases) . " refusals, $number cases, each announced by the preflight; " . keys(%reason) . ' other messages with a reason');
$node->stop;
done_testing();
