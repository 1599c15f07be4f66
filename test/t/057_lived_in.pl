# Databases that people have lived in: what belongs to users and hangs on the tables of a migration. Each
# case works, or is refused before anything changes, in words that the preflight has announced, with a
# remedy that can be pasted.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use CowrieTest;
use IPC::Run ();
use Online;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_node('lived_in');
work_in($node);
create_v15($node, 'origin', owner => 'app_owner', n => 200);
$node->safe_psql('postgres', 'CREATE ROLE analyst');
$node->safe_psql('origin', 'GRANT ALL ON SCHEMA public TO app_owner');

my $quiet = 'SET client_min_messages = error';

# Runs SQL as the owner of the tables: (status, out, err).
sub run
{
	my ($database, $sql) = @_;
	my ($out, $err) = ('', '');
	my $status = $node->psql($database, "$quiet;\n$sql", stdout => \$out, stderr => \$err,
		extra_params => [ '-U', 'app_owner' ]);
	return ($status, $out, $err);
}

sub succeeds
{
	my ($database, $sql, $name) = @_;
	my ($status, $out, $err) = run($database, $sql);
	is($status, 0, $name) or diag($err);
	return $out;
}

sub version
{
	my ($database) = @_;
	return $node->safe_psql($database, q{SELECT value FROM schema_state WHERE key = 'schema_version'});
}

# A new copy of "origin" in which something has been done.
sub lived_in
{
	my ($database, $sql) = @_;
	copy($database);
	$node->safe_psql($database, "SET ROLE app_owner;\n$sql");
	return;
}

# Refused by this statement with this message; the preflight says the same before, as a blocker or, where
# only the online mode refuses, as a warning; nothing changes; the first command of the hint is pasted, if
# asked for, and then it is not refused.
sub refused
{
	my ($database, $statement, $message, %options) = @_;
	my $before = schema_dump($node, $database);
	my $announced = succeeds($database, q{SELECT severity || ': ' || hazard || ': ' || detail FROM cowrie_preflight_v16()
WHERE severity <> 'info'}, "$database: preflight");
	my ($status, undef, $err) = run($database, $statement);
	isnt($status, 0, "$database: refused");
	like($err, qr/ERROR:  \Q$message\E/, "$database: its message");
	like($err, qr/DETAIL:  ./, "$database: its facts");
	my $severity = $options{online} ? 'warning: online migration' : 'blocker';
	like($announced, qr/^\Q$severity: $message\E/m, "$database: announced");
	is(schema_dump($node, $database), $before, "$database: nothing has changed");
	return unless $options{remedy};
	my ($remedy) = $err =~ /HINT:  .*?($options{remedy})/s;
	ok(defined $remedy, "$database: a remedy") or return diag($err);
	my ($session) = $remedy =~ /^(SET cowrie_migrate[^;]*;)/;
	succeeds($database, $remedy, "$database: the remedy can be pasted") unless $session;
	succeeds($database, ($session // '') . $statement, "$database: and takes the refusal away");
	is(version($database), '16', "$database: at version 16");
	return;
}

my $at_once = 'SELECT count(*) FROM cowrie_migrate_v16()';
my $online = 'CALL cowrie_migrate_v16_online(batch_size => 50)';

# Triggers and checks in the online mode ---------------------------------------------------------

my $audit = q{
CREATE TABLE audit (op text, session_id text);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN INSERT INTO public.audit VALUES (TG_OP, NEW.session_id); RETURN NULL; END $$;
CREATE TRIGGER audit AFTER UPDATE ON session_summaries FOR EACH ROW EXECUTE FUNCTION note();
};
my $would_fire = 'triggers or rules on session_summaries would fire for every batch';

lived_in('after_update', $audit);
refused('after_update', $online, $would_fire, online => 1);
succeeds('after_update', "SET cowrie_migrate.harmless_triggers = 'other, audit'; $online",
	'a trigger that the operator declares harmless may fire');
is($node->safe_psql('after_update', 'SELECT count(*) = count(DISTINCT session_id), count(*) > 100 FROM audit'),
	't|t', 'once for every session that is written');
is(version('after_update'), '16', 'and the migration ends');

lived_in('after_statement', $audit . q{DROP TRIGGER audit ON session_summaries;
CREATE OR REPLACE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE TRIGGER audit AFTER UPDATE ON session_summaries FOR EACH STATEMENT EXECUTE FUNCTION note();});
refused('after_statement', $online, $would_fire, online => 1);

lived_in('other_columns', $audit . q{DROP TRIGGER audit ON session_summaries;
CREATE TRIGGER audit AFTER UPDATE OF risk_score ON session_summaries FOR EACH ROW EXECUTE FUNCTION note();});
succeeds('other_columns', $online, 'a trigger for other columns never fires');
is($node->safe_psql('other_columns', 'SELECT count(*) FROM audit'), '0', 'it has not');

# One that does harm, although it was declared harmless.
lived_in('harmful', q{
CREATE FUNCTION harm() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF pg_trigger_depth() < 2 THEN
    UPDATE public.session_summaries SET event_count = event_count + 1 WHERE session_id = NEW.session_id;
  END IF;
  RETURN NULL; END $$;
CREATE TRIGGER harm AFTER UPDATE ON session_summaries FOR EACH ROW EXECUTE FUNCTION harm();});
my $hash = data_hash($node, 'harmful');
my (undef, undef, $said) = run('harmful', "SET cowrie_migrate.harmless_triggers = 'harm'; $online");
like($said, qr/ERROR:  zero-loss gate: session_summaries was modified by something else during a batch/,
	'what a trigger writes beside the batch is found');
is(data_hash($node, 'harmful'), $hash, 'and rolled back: every column of version 15 is as before');

# The columns that are no document and no event time are proved, too: by a trigger that comes while it runs.
lived_in('columns', '');
$node->safe_psql('columns', q{
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN NEW.event_count := NEW.event_count + 1; RETURN NEW; END $$;
CREATE FUNCTION plant() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
  IF tg_tag = 'CREATE TABLE AS' THEN
    CREATE TRIGGER touch BEFORE UPDATE ON public.session_summaries FOR EACH ROW EXECUTE FUNCTION public.touch();
  END IF; END $$;
CREATE EVENT TRIGGER plant ON ddl_command_end EXECUTE FUNCTION plant();
});
$hash = data_hash($node, 'columns');
my $changed = '';
$node->psql('columns', "$quiet; $online", stderr => \$changed);
like($changed, qr/ERROR:  zero-loss gate: a batch changed a session that it should only fill/,
	'a counter that changes with the batch is found');
is(data_hash($node, 'columns'), $hash, 'and every column of version 15 is as before');

lived_in('violated', 'UPDATE session_summaries SET risk_score = 95 WHERE session_id IN'
	  . ' (SELECT session_id FROM session_summaries LIMIT 7);'
	  . 'ALTER TABLE session_summaries ADD CONSTRAINT sane CHECK (risk_score < 90) NOT VALID');
refused('violated', $online, 'rows of session_summaries violate constraint "sane"', online => 1,
	remedy => qr/ALTER TABLE \S+ DROP CONSTRAINT "sane";/);
lived_in('violated_at_once', 'UPDATE session_summaries SET risk_score = 95;'
	  . 'ALTER TABLE session_summaries ADD CONSTRAINT sane CHECK (risk_score < 90) NOT VALID');
succeeds('violated_at_once', $at_once, 'at once no row is updated, and the constraint refuses none');

# Deferred constraints ---------------------------------------------------------------------------

my $later = q{
CREATE TABLE seen (session_id text);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN INSERT INTO public.seen VALUES (NEW.session_id); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER later AFTER UPDATE ON session_summaries DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW EXECUTE FUNCTION note();
};
lived_in('deferred', $later);
succeeds('deferred', "SET cowrie_migrate.harmless_triggers = 'later'; $online", 'a deferred trigger fires at once');
is($node->safe_psql('deferred', 'SELECT count(*) > 100 FROM seen'), 't', 'it has');

lived_in('deferred_key', 'CREATE TABLE notes (key varchar(128) REFERENCES schema_state DEFERRABLE INITIALLY DEFERRED)');
succeeds('deferred_key', $at_once, 'a deferred key refers to schema_state: at once');
succeeds('deferred_key', 'SELECT count(*) FROM cowrie_cleanup_v16()', 'and cleanup');
succeeds('deferred_key', $online, 'and online');

copy('deferred_history');
succeeds('deferred_history', $at_once, 'a complete version 16');
my $again = succeeds('deferred_history', q{
DELETE FROM schema_state WHERE key = 'schema_subphase';
ALTER TABLE ip_asn_history ADD CONSTRAINT history_ip_fk FOREIGN KEY (ip_address) REFERENCES ip_inventory (ip_address)
  DEFERRABLE INITIALLY DEFERRED;
DELETE FROM ip_asn_history WHERE asn_number IN (SELECT asn_number FROM ip_asn_history LIMIT 3);
BEGIN;
SELECT count(*) > 5 FROM cowrie_migrate_v16(repair => true);
INSERT INTO ip_asn_history (ip_address, asn_number) VALUES ('203.0.113.99', 1);
INSERT INTO ip_inventory (ip_address, first_seen, last_seen) VALUES ('203.0.113.99', now(), now());
COMMIT;
SELECT value FROM schema_state WHERE key = 'schema_version'}, 'repaired with a deferred key on the history');
is($again, "t\n16", 'and afterwards it is deferred again');

# Names without schema ---------------------------------------------------------------------------

# From 17 on the server evaluates such an index under no search_path at all, and does not build this one.
if ($node->safe_psql('postgres', 'SHOW server_version_num') < 170000)
{
	lived_in('unqualified', q{
CREATE TABLE factors (f integer); INSERT INTO factors VALUES (2);
CREATE FUNCTION factor(n integer) RETURNS integer IMMUTABLE LANGUAGE plpgsql AS
$$ BEGIN RETURN n * (SELECT max(f) FROM factors); END $$;
CREATE INDEX by_factor ON session_summaries (factor(event_count));});
	refused('unqualified', $at_once, 'index public.by_factor cannot be evaluated with the settings of the migration',
		remedy => qr/ALTER FUNCTION [^;]*;/);
}
lived_in('unqualified_check', q{
CREATE FUNCTION fine(n integer) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS
$$ BEGIN RETURN n >= (SELECT min(relpages) FROM pg_class) AND EXISTS (SELECT FROM schema_state); END $$;
ALTER TABLE session_summaries ADD CONSTRAINT fine CHECK (fine(event_count));});
refused('unqualified_check', $online, 'constraint "fine" cannot be evaluated with the settings of the migration',
	online => 1, remedy => qr/ALTER FUNCTION [^;]*;/);

# What hangs on a column that repair replaces ----------------------------------------------------

my $hanging = q{
COMMENT ON COLUMN ip_inventory.%1$s IS 'see wiki';
ALTER TABLE ip_inventory ALTER COLUMN %1$s SET STATISTICS 500;
ALTER TABLE ip_inventory ALTER COLUMN %1$s SET (n_distinct = -0.5);
GRANT SELECT (ip_address, %1$s) ON ip_inventory TO analyst WITH GRANT OPTION;
CREATE INDEX my_index ON ip_inventory (%1$s);
COMMENT ON INDEX my_index IS 'mine';
CREATE UNIQUE INDEX my_unique ON ip_inventory (%1$s, ip_address) WHERE session_count >= 0;
ALTER TABLE ip_inventory ADD CONSTRAINT my_check CHECK (%1$s IS NOT NULL) NOT VALID;
CREATE STATISTICS my_statistics ON current_asn, %1$s FROM ip_inventory;
ALTER STATISTICS my_statistics SET STATISTICS 77;
};
my $hangs = q{
SELECT indexdef FROM pg_indexes WHERE indexname LIKE 'my_%' UNION ALL
SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname LIKE 'my_%' UNION ALL
SELECT pg_get_statisticsobjdef(oid) || stxstattarget FROM pg_statistic_ext UNION ALL
SELECT obj_description('my_index'::regclass) UNION ALL
SELECT format('%s|%s|%s|%s', attname, attstattarget, attacl, col_description(attrelid, attnum))
  || (SELECT string_agg(o, ',') FROM unnest(attoptions) AS o WHERE o LIKE 'n_distinct%')
FROM pg_attribute WHERE attrelid = 'ip_inventory'::regclass AND NOT attisdropped
  AND (attstattarget = 500 OR attacl IS NOT NULL)
ORDER BY 1};
my %damage = (
	ip_types => q{ALTER TABLE ip_inventory ADD COLUMN plain text[] DEFAULT '{}'; UPDATE ip_inventory SET plain = ip_types;
ALTER TABLE ip_inventory DROP COLUMN ip_types; ALTER TABLE ip_inventory RENAME COLUMN plain TO ip_types;},
	is_scanner => q{ALTER TABLE ip_inventory DROP COLUMN is_scanner; ALTER TABLE ip_inventory ADD COLUMN is_scanner
boolean GENERATED ALWAYS AS (COALESCE((enrichment #>> '{greynoise,noise}') = 'true', false)) STORED;},
);
foreach my $column (sort keys %damage)
{
	foreach my $mode ($at_once, 'CALL cowrie_migrate_v16_online()')
	{
		my $database = "hanging_$column" . ($mode =~ /CALL/ ? '_online' : '');
		copy($database);
		succeeds($database, "$at_once; $damage{$column}; DELETE FROM schema_state WHERE key = 'schema_subphase';"
			  . sprintf($hanging, $column), "$database: lived in");
		my $before = $node->safe_psql($database, $hangs);
		like(succeeds($database, q{SELECT detail FROM cowrie_migrate_v16(repair => true, dry_run => true)
WHERE step = 'repair_ip_inventory'}, "$database: dry run"), qr/carried over: .*index my_index/, "$database: the dry run says so");
		succeeds($database, $mode =~ s/\(\)/(repair => true)/r, "$database: repaired");
		is($node->safe_psql($database, $hangs), $before, "$database: everything that hung on it still does");
		is(succeeds($database, 'SELECT count(*) FROM cowrie_validate_schema()', "$database: validate"), '0',
			"$database: no findings");
	}
}
copy('hanging_view');
succeeds('hanging_view', "$at_once; $damage{is_scanner}; DELETE FROM schema_state WHERE key = 'schema_subphase';"
	  . 'CREATE VIEW scanners AS SELECT ip_address FROM ip_inventory WHERE is_scanner', 'a view depends on the column');
refused('hanging_view', 'SELECT count(*) FROM cowrie_migrate_v16(repair => true)',
	'other objects depend on columns of "ip_inventory" that must change');
copy('foreign_inet');
succeeds('foreign_inet', "$at_once; DELETE FROM schema_state WHERE key = 'schema_subphase';" . q{
ALTER TABLE session_summaries DROP CONSTRAINT fk_session_source_ip;
ALTER TABLE ip_inventory ALTER COLUMN ip_address TYPE inet USING ip_address::inet;
CREATE TABLE watched (ip inet REFERENCES ip_inventory (ip_address));}, 'a foreign key of the user to an address of type inet');
refused('foreign_inet', 'SELECT count(*) FROM cowrie_migrate_v16(repair => true)',
	'other objects depend on columns of "ip_inventory" that must change');

# Row types --------------------------------------------------------------------------------------

my $row_type = q{CREATE SCHEMA repack; CREATE TABLE repack.log_16500 (id serial, "row" public.session_summaries);
CREATE DOMAIN old_row AS session_summaries; CREATE TABLE more (rows old_row[])};
copy('row_type');
$node->safe_psql('row_type', $row_type);
succeeds('row_type', $at_once, 'a table with columns of the row type: the heap is copied');
copy('row_type_altered');
$node->safe_psql('row_type_altered', $row_type . q{;ALTER DATABASE row_type_altered SET cowrie_migrate.rewrite = alter_table});
refused('row_type_altered', $at_once, 'other tables have columns of the row type of "session_summaries"');
copy('row_type_online');
$node->safe_psql('row_type_online', $row_type);
succeeds('row_type_online', $online, 'and online');

# schema_state -----------------------------------------------------------------------------------

my $drop_key = 'ALTER TABLE schema_state DROP CONSTRAINT schema_state_pkey';
my %states = (
	no_key => [ $drop_key, '"public"."schema_state" has no non-deferrable unique constraint on column "key"',
		qr/ALTER TABLE [^;]*ADD PRIMARY KEY \(key\);/ ],
	deferrable_key => [ "$drop_key; ALTER TABLE schema_state ADD PRIMARY KEY (key) DEFERRABLE INITIALLY DEFERRED",
		'"public"."schema_state" has no non-deferrable unique constraint on column "key"',
		qr/ALTER TABLE [^;]*ADD PRIMARY KEY \(key\);/ ],
	checked => [ q{ALTER TABLE schema_state ADD CONSTRAINT whole CHECK (value ~ '^\d+$')},
		'constraint "whole" on "public"."schema_state" rejects what the migration writes', qr/ALTER TABLE [^;]*;/ ],
	one_more => [ q{ALTER TABLE schema_state ADD COLUMN who text; UPDATE schema_state SET who = 'me';
ALTER TABLE schema_state ALTER COLUMN who SET NOT NULL},
		'"public"."schema_state" has column "who", which is NOT NULL and has no default', qr/ALTER TABLE [^;]*;/ ],
);
foreach my $state (sort keys %states)
{
	my ($sql, $message, $remedy) = @{ $states{$state} };
	lived_in("state_$state", $sql);
	refused("state_$state", $state eq 'no_key' ? $online : $at_once, $message, remedy => $remedy);
}
lived_in('state_unique', "$drop_key; CREATE UNIQUE INDEX ON schema_state (key)");
succeeds('state_unique', $at_once, 'a unique index is as good as a key');

# The run lock -----------------------------------------------------------------------------------

# An attempt that gets no lock is rolled back; the run goes on, and keeps others out all the time.
copy('locked');
my ($in, $out, $errors) = ("BEGIN; SELECT count(*) FROM (SELECT FROM session_summaries FOR UPDATE) AS s;\n", '', '');
my $holder = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('locked') ], '<', \$in, '>', \$out, '2>', \$errors);
IPC::Run::pump($holder) until $out =~ /\d/;
my %run = (out => '', err => '');
$run{handle} = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('locked'), '-c', $quiet, '-c', $online ],
	'<', \undef, '>', \$run{out}, '2>', \$run{err});
$node->poll_query_until('locked', q{SELECT running AND step = 'add_columns' FROM cowrie_migration_status})
  or die "it does not begin: $run{err}";
my %answers;
$answers{ $node->safe_psql('locked', 'SELECT pg_sleep(0.05)::text || running FROM cowrie_migration_status') }++ for 1 .. 10;
is(join(', ', sort keys %answers), 'true', 'the run lock stays while no lock can be had');
my (undef, undef, $other) = run('locked', $at_once);
like($other, qr/another migration is running in this database/, 'and a second run is refused');
$in = "ROLLBACK;\n\\q\n";
IPC::Run::finish($holder);
IPC::Run::finish($run{handle});
is($run{err}, '', 'then the first one ends');
is(version('locked'), '16', 'at version 16');

$node->stop;
done_testing();
