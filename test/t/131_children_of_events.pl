# Raw events in children: an application's query reads the rows of a child, whether it is a partition, an
# heir or a foreign table, and so does the migration, with an index on session_id and without, at once and online. A
# child that belongs to somebody else is refused. And what runs at the migration's DDL: event triggers that
# find their names by the search_path.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use CowrieTest;
use Online;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_node('children', 'autovacuum = off');
work_in($node);
create_v15($node, 'origin', owner => 'app_owner', n => 300);
$node->safe_psql('postgres', 'CREATE ROLE mallory');
$node->safe_psql('origin', q{GRANT CREATE ON SCHEMA public TO app_owner; CREATE EXTENSION file_fdw; CREATE SERVER files FOREIGN DATA WRAPPER file_fdw});
my $file = $node->basedir . '/events.csv';

# Half of the events in a child, among them the earliest of some sessions and ids that the table has itself.
my $heir = q{CREATE TABLE raw_events_old () INHERITS (raw_events); ALTER TABLE raw_events_old OWNER TO app_owner;
WITH moved AS (DELETE FROM ONLY raw_events WHERE id % 2 = 0 RETURNING *) INSERT INTO raw_events_old SELECT * FROM moved;
UPDATE raw_events_old SET id = id - 1;};
my $foreign = qq{$heir COPY raw_events_old TO '$file' CSV;
DROP TABLE raw_events_old;
DO \$\$ BEGIN EXECUTE (SELECT format('CREATE FOREIGN TABLE raw_events_far (%s) INHERITS (raw_events) SERVER files OPTIONS (filename %L, format ''csv'')',
  string_agg(format('%I %s', attname, format_type(atttypid, atttypmod)), ', ' ORDER BY attnum), '$file')
  FROM pg_attribute WHERE attrelid = 'raw_events'::regclass AND attnum > 0 AND NOT attisdropped); END \$\$;
ALTER FOREIGN TABLE raw_events_far OWNER TO app_owner; GRANT pg_read_server_files TO app_owner;};
my $partitions = q{ALTER TABLE raw_events RENAME TO raw_events_flat; CREATE TABLE raw_events (LIKE raw_events_flat INCLUDING DEFAULTS) PARTITION BY RANGE (id);
CREATE TABLE raw_events_1 PARTITION OF raw_events FOR VALUES FROM (MINVALUE) TO (100); CREATE TABLE raw_events_2 PARTITION OF raw_events DEFAULT;
INSERT INTO raw_events SELECT * FROM raw_events_flat; CREATE INDEX ON raw_events (session_id);
ALTER TABLE raw_events OWNER TO app_owner; ALTER TABLE raw_events_1 OWNER TO app_owner; ALTER TABLE raw_events_2 OWNER TO app_owner;};

sub owner
{
	my ($database, $sql) = @_;
	my ($out, $err) = ('', '');
	my $status = $node->psql($database, "SET client_min_messages = error;\n$sql", stdout => \$out, stderr => \$err,
		extra_params => [ '-U', 'app_owner' ]);
	return ($status, $out, $err);
}

sub succeeds
{
	my ($database, $call, $name) = @_;
	my ($status, $out, $err) = owner($database, $call);
	is($status, 0, "$database: $name") or diag($err);
	return $out;
}

# [name, change, whether preflight misses an index]
my @shapes = (
	[ 'heir', "$heir CREATE INDEX ON raw_events_old (session_id)", 0 ],
	[ 'heir without index', $heir, 1 ],
	[ 'heir of heir', "$heir CREATE TABLE older () INHERITS (raw_events_old); ALTER TABLE older OWNER TO app_owner;"
		. 'WITH moved AS (DELETE FROM ONLY raw_events_old WHERE id % 3 = 0 RETURNING *) INSERT INTO older SELECT * FROM moved; DROP INDEX ix_raw_events_session_id', 1 ],
	[ 'foreign table', $foreign, 1 ],
	[ 'foreign table, no index', "$foreign DROP INDEX ix_raw_events_session_id", 1 ],
	[ 'partitions', $partitions, 0 ]);
foreach my $shape (@shapes)
{
	my ($name, $change, $no_index) = @$shape;
	copy($name);
	$node->safe_psql($name, $change);
	cmp_ok($node->safe_psql($name, q{SELECT count(*) FROM ONLY raw_events WHERE false UNION ALL SELECT count(*) FROM raw_events
WHERE tableoid <> 'raw_events'::regclass ORDER BY 1 DESC LIMIT 1}), '>', 10, "$name: children have events");
	load_reference($node, $name);
	my $events = $node->safe_psql($name, 'SELECT count(*), md5(string_agg(e::text, chr(10) ORDER BY e::text)) FROM raw_events AS e');
	my $hazards = succeeds($name, q{SELECT severity, hazard, remedy FROM cowrie_preflight_v16() WHERE severity = 'blocker' OR hazard = 'raw_events without index'}, 'preflight');
	like($hazards, $no_index ? qr/\Awarning\|raw_events without index\|[^\n]*\z/ : qr/\A\z/, "$name: what preflight says of the index");
	unlike($hazards, qr/INDEX CONCURRENTLY ON \S*raw_events_far/, "$name: no index on a foreign table");
	foreach my $mode (qw(atomic online))
	{
		succeeds($name, $mode eq 'atomic' ? 'SELECT count(*) FROM cowrie_migrate_v16()' : 'CALL cowrie_migrate_v16_online(batch_size => 50)', "$mode: migrates");
		is(compare($node, $name), $no_difference, "$name, $mode: as the reference, which reads children");
		is(succeeds($name, q{SELECT count(*) FROM cowrie_checkpoint_v16() WHERE measured IS NULL}, 'checkpoint'), '0', "$name, $mode: everything is measured");
		succeeds($name, 'SELECT count(*) FROM cowrie_rejected_values()', "$mode: rejected values");
		succeeds($name, 'SELECT count(*) FROM cowrie_cleanup_v16()', "$mode: cleanup finds nothing that would be lost");
	}
	is($node->safe_psql($name, 'SELECT count(*), md5(string_agg(e::text, chr(10) ORDER BY e::text)) FROM raw_events AS e'), $events, "$name: the events are as before");
	next unless $hazards =~ /(CREATE INDEX [^;]*;.*)/;
	$node->safe_psql($name, $_) foreach split /(?<=;) /, $1;
	my $left = succeeds($name, q{SELECT remedy FROM cowrie_preflight_v16() WHERE hazard = 'raw_events without index'}, 'preflight, later');
	is($left, '', "$name: the remedy makes the indexes");
}

# Of somebody else.
copy('planted');
$node->safe_psql('planted', "$heir ALTER TABLE raw_events_old OWNER TO mallory");
foreach my $call ('SELECT * FROM cowrie_migrate_v16()', 'CALL cowrie_migrate_v16_online()')
{
	my ($status, undef, $err) = owner('planted', $call);
	like($err, qr/ERROR:  "public"."raw_events_old" does not belong to the owner of session_summaries/, "a child of somebody else is refused: $call");
}

# Event triggers ---------------------------------------------------------------------------------

# The function finds its table by the search_path of whoever fires it: by that of a migration it does not.
my $noting = q{CREATE TABLE notes (tag text); ALTER TABLE notes OWNER TO app_owner;
CREATE FUNCTION note() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO notes VALUES (tg_tag); END $$;
};
my %events = (
	begin => 'CREATE EVENT TRIGGER noting ON ddl_command_start EXECUTE FUNCTION note()',
	end => 'CREATE EVENT TRIGGER noting ON ddl_command_end EXECUTE FUNCTION note()',
	drop => 'CREATE EVENT TRIGGER noting ON sql_drop EXECUTE FUNCTION note()',
	rewrite => 'CREATE EVENT TRIGGER noting ON table_rewrite EXECUTE FUNCTION note()');
foreach my $event (sort keys %events)
{
	my $database = "event $event";
	copy($database);
	my $before = data_hash($node, $database);
	$node->safe_psql($database, "$noting $events{$event}");
	my $remedy = succeeds($database, q{SELECT remedy FROM cowrie_preflight_v16() WHERE hazard = 'event trigger' AND severity = 'warning'
AND detail LIKE 'event trigger noting calls public.note at %, and resolves unqualified names in pg_catalog only'}, 'preflight names it');
	my ($call) = $event eq 'end' ? 'CALL cowrie_migrate_v16_online()' : 'SELECT count(*) FROM cowrie_migrate_v16()';
	my ($status, undef, $err) = owner($database, $call);
	# Nothing may be rewritten by ALTER TABLE, or dropped: then it does not fire.
	like($err, qr/relation "notes" does not exist/, "$database: the server's own words") if $status != 0;
	is(data_hash($node, $database), $before, "$database: the data is as before");
	my ($for_good) = $remedy =~ /(ALTER FUNCTION [^;]*;)/;
	is($for_good, 'ALTER FUNCTION public.note() SET search_path = public, pg_temp;', "$database: a remedy for good");
	$node->safe_psql($database, $for_good);
	succeeds($database, $call, 'with it, it migrates');
	is($node->safe_psql($database, 'SELECT count(*) FROM cowrie_validate_schema()'), '0', "$database: no findings");
	my $noted = $node->safe_psql($database, 'SELECT count(*) FROM notes');
	cmp_ok($noted, '>', 0, "$database: and the trigger has done its work") if $status != 0;
	my $left = succeeds($database, q{SELECT count(*) FROM cowrie_preflight_v16() WHERE detail LIKE '%resolves unqualified names%'}, 'preflight, later');
	is($left, '0', "$database: preflight says no more of its names");
}
# The other remedy: for the time being.
copy('disabled');
$node->safe_psql('disabled', "$noting $events{end}");
$node->safe_psql('disabled', succeeds('disabled', q{SELECT remedy FROM cowrie_preflight_v16() WHERE hazard = 'event trigger'}, 'preflight'));
succeeds('disabled', 'SELECT count(*) FROM cowrie_migrate_v16()', 'migrates while it is disabled');

figure(scalar(@shapes) . ' shapes of raw_events with children, at once and online, as the reference; ' . keys(%events) . ' events');
$node->stop;
done_testing();
