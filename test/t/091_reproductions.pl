# What hostile roles have found, each as it can be typed: values of types that nobody expects, code in the
# ledger and in tables beside those of a superuser, SET ROLE taken for a cage. Nothing of it gains anything,
# nothing ends the server.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use CowrieTest;
use Hostile;
use PostgreSQL::Test::Utils;
use Session;
use Test::More;

my $node = hostile_node('reproductions');
my $quiet = 'SET client_min_messages = error;';

# The server lives, nothing was gained; a call ended well or with an error of its own.
sub harmless
{
	my ($name, $answer) = @_;
	settle($node);
	is(join("\n", gains($node)), '', "$name: nothing is gained");
	return unless $answer;
	unlike($answer->{err}, qr/server closed the connection|connection to server was lost/, "$name: the server lives");
	isnt($answer->{state}, 'XX000', "$name: no internal error") or diag($answer->{err});
	return;
}

# 1. Values are not touched before their type is known ---------------------------------------------

my @payloads = (
	[ 'integer', '42' ],
	[ 'bigint', '4702111234474983745' ],
	[ 'uuid', q{'01034141-4141-4141-4141-414141414141'} ],
	[ 'uuid', q{'01014242-4242-4242-4242-424242424242'} ],
	[ 'text', q{'{}'} ],
	[ 'boolean', 'true' ],
	[ 'float8', '1.5' ],
	[ 'name', q{'x'} ]);
{
	hostile_database($node, 'types', n => 20);
	my $internal = internal_schema($node, 'types');
	my $number = 0;
	foreach (@payloads)
	{
		my ($type, $value) = @$_;
		my $name = "payload of type $type " . ++$number;
		my $answer = ask($node, 'types', 'carol', qq{
CREATE TEMP TABLE raw_events (id int, session_id varchar(64), event_timestamp timestamptz, payload $type);
INSERT INTO raw_events VALUES (1, 's', now(), $value);
SELECT $internal.cowrie_assessment(NULL::json, 's', NULL, NULL, NULL, NULL, 'pg_temp');
SELECT 'session lives'});
		harmless("$name, in a temporary table", $answer);
		like($answer->{out}, qr/session lives/, "$name: so does the session");
	}
}

# Every other column that is looked for by its name, with a type that is passed by value, or shorter.
foreach my $column ('id', 'session_id', 'event_timestamp')
{
	my $internal = internal_schema($node, 'types');
	foreach my $type ('uuid', 'boolean', 'float8', 'text', 'name', 'point', 'text[]')
	{
		my %types = (id => 'int', session_id => 'varchar(64)', event_timestamp => 'timestamptz', $column => $type);
		my %literal = (uuid => q{'01034141-4141-4141-4141-414141414141'}, boolean => 'true', float8 => '1.5',
			text => q{'s'}, name => q{'s'}, point => q{'(1,2)'}, 'text[]' => q{'{s}'},
			int => 1, 'varchar(64)' => q{'s'}, timestamptz => 'now()');
		my $answer = ask($node, 'types', 'carol', qq{
CREATE TEMP TABLE raw_events (id $types{id}, session_id $types{session_id}, event_timestamp $types{event_timestamp}, payload json);
INSERT INTO raw_events VALUES ($literal{$types{id}}, $literal{$types{session_id}}, $literal{$types{event_timestamp}}, '{"src_ip": "192.0.2.1"}');
SELECT $internal.cowrie_assessment(NULL::json, 's', NULL, NULL, NULL, NULL, 'pg_temp');
SELECT $internal.cowrie_assessment('{"session": {"192.0.2.1": {}, "192.0.2.2": {}}}'::json, 's', NULL, NULL, NULL, NULL, 'pg_temp');
SELECT 'session lives'});
		harmless("$column of type $type", $answer);
	}
}

# In tables of one's own, through everything that reads raw events. The trigger of an online migration
# that was stopped stays, and reads what raw_events has become.
{
	$node->safe_psql('types', 'CREATE SCHEMA m AUTHORIZATION mallory');
	run_script($node, 'types', 'v15.sql', user => 'mallory', schema => 'm');
	run_script($node, 'types', 'sessions.sql', user => 'mallory', schema => 'm', n => 200);
	my $online = Session->new($node, 'types', user => 'mallory');
	$online->begin(q{CALL cowrie_migrate_v16_online('m', batch_size => 20, target_batch => '0', pause => '1 second')});
	$node->poll_query_until('types', 'SELECT running AND batch > 0 FROM cowrie_migration_status')
	  or die 'no online run';
	my $stopped = $node->safe_psql('types', 'SELECT cowrie_stop_migration()');
	is($stopped, 't', 'an online migration is stopped in the middle');
	$node->poll_query_until('types', 'SELECT NOT running FROM cowrie_migration_status') or die 'does not stop';
	$online->close;
	my $made = $node->safe_psql('types', q{SELECT count(*) FROM pg_trigger WHERE tgname ~ 'cowrie'});
	cmp_ok($made, '>', 0, 'and has left its trigger');
	my $number = 0;
	foreach (@payloads)
	{
		my ($type, $value) = @$_;
		my $name = "own payload of type $type " . ++$number;
		my $sql = qq{SET search_path = m, public; SET client_min_messages = error;
DROP TABLE raw_events;
CREATE TABLE raw_events (id int, session_id varchar(64), event_timestamp timestamptz, payload $type);
CREATE INDEX ON raw_events (session_id);
INSERT INTO raw_events SELECT row_number() OVER (), session_id, now(), $value FROM session_summaries;
INSERT INTO raw_events VALUES (1000, 'new $number', now(), $value);
};
		my $answer = ask($node, 'types', 'mallory', qq{$sql
INSERT INTO session_summaries (session_id) VALUES ('new $number');
SELECT 'session lives'});
		harmless("$name, through the trigger", $answer);
		like($answer->{out}, qr/session lives/, "$name, through the trigger: so does the session");
	}
	$node->psql('types', "$quiet SELECT count(*) FROM cowrie_cleanup_v16('m', force => true)", extra_params => [ '-U', 'mallory' ]);
	foreach my $call ('cowrie_migrate_v16(%s)', 'cowrie_migrate_v16(%s, dry_run => true)', 'cowrie_preflight_v16(%s)',
		'cowrie_rejected_values(%s)', 'cowrie_validate_schema(%s, 15)')
	{
		foreach (@payloads[ 0, 2 .. 3, 4, 6 ])
		{
			my ($type, $value) = @$_;
			my $answer = ask($node, 'types', 'mallory', qq{SET search_path = m, public; SET client_min_messages = error;
DROP TABLE raw_events;
CREATE TABLE raw_events (id int, session_id varchar(64), event_timestamp timestamptz, payload $type);
CREATE INDEX ON raw_events (session_id);
INSERT INTO raw_events SELECT row_number() OVER (), session_id, now(), $value FROM session_summaries;
BEGIN;
SELECT count(*) FROM } . sprintf($call, q{'m'}) . qq{;
ROLLBACK;
SELECT 'session lives'});
			harmless("$call, payload of type $type", $answer);
			like($answer->{out}, qr/session lives/, "$call, payload of type $type: so does the session");
		}
	}
}

# 2. Reading the ledger runs nothing of its owner's as the reader ----------------------------------

# The extension is trusted: who owns the database owns the ledger.
sub planted_ledger
{
	my ($owner) = @_;
	hostile_database($node, 'ledger', owner => $owner, database_owner => 'mallory', extension_owner => 'mallory',
		migrated => 1);
	$node->safe_psql('ledger', attack_code('mallory'));
	$node->safe_psql('ledger', q{SET client_min_messages = error;
CREATE INDEX ON cowrie_migration_log ((evil.imm('index of the ledger')));
CREATE INDEX ON cowrie_migration_log (log_id) WHERE evil.imm_bool('predicate on the ledger')},
		extra_params => [ '-U', 'mallory' ]);
	return;
}
foreach my $owner ('postgres', 'mallory', 'app')
{
	planted_ledger($owner);
	foreach my $call ('SELECT cowrie_stop_migration()', 'SELECT * FROM cowrie_migration_status',
		'SELECT count(*) FROM cowrie_checkpoint_v16()', 'SELECT count(*) FROM cowrie_validate_schema()',
		'SELECT count(*) FROM cowrie_preflight_v16()', 'SELECT count(*) FROM cowrie_rejected_values()',
		'SELECT count(*) FROM cowrie_cleanup_v16(dry_run => true)', 'SELECT count(*) FROM cowrie_cleanup_v16()',
		'SELECT count(*) FROM cowrie_migrate_v16()', 'CALL cowrie_migrate_v16_online()')
	{
		foreach my $caller ('postgres', 'carol')
		{
			harmless("sessions of $owner, ledger of mallory: $call by $caller",
				ask($node, 'ledger', $caller, "$quiet $call"));
		}
	}
}

# 3. Tables beside those of a superuser ------------------------------------------------------------

# mallory may create tables where the sessions of a superuser are.
sub beside_a_superuser
{
	my ($plant, %options) = @_;
	hostile_database($node, 'beside', owner => 'postgres', %options);
	$node->safe_psql('beside', 'GRANT CREATE ON SCHEMA public TO mallory;' . attack_code('mallory'));
	$node->safe_psql('beside', $options{before}) if $options{before};
	$node->safe_psql('beside', "$quiet $plant", extra_params => [ '-U', 'mallory' ]);
	return;
}
my $planted_inventory = q{
CREATE TYPE public.mt AS ENUM ('a');
CREATE FUNCTION public.mt_text(public.mt) RETURNS text LANGUAGE plpgsql AS $$ BEGIN PERFORM evil.attack('cast'); RETURN 'x'; END $$;
CREATE CAST (public.mt AS text) WITH FUNCTION public.mt_text(public.mt);
CREATE TABLE public.ip_inventory (ip_address varchar(45) PRIMARY KEY, current_asn public.mt);
INSERT INTO public.ip_inventory VALUES ('192.0.2.1', 'a');
CREATE INDEX ON public.ip_inventory ((evil.imm('index of ip_inventory')));
CREATE TRIGGER t BEFORE INSERT ON public.ip_inventory FOR EACH ROW EXECUTE FUNCTION evil.trg('trigger of ip_inventory')};
my %planted = (
	ip_inventory => { plant => $planted_inventory },
	raw_events => { before => 'DROP TABLE raw_events', plant => q{
CREATE TABLE public.raw_events (id int, payload json, session_id varchar(64), event_timestamp timestamptz);
CREATE INDEX ON public.raw_events (session_id);
CREATE INDEX ON public.raw_events ((evil.imm('index of raw_events')))} },
	'a partitioned raw_events' => { before => 'DROP TABLE raw_events', plant => q{
CREATE TABLE public.raw_events (id int, payload json, session_id varchar(64), event_timestamp timestamptz) PARTITION BY RANGE (id);
CREATE TABLE public.raw_events_1 PARTITION OF public.raw_events DEFAULT;
CREATE INDEX ON public.raw_events_1 ((evil.imm('index of a partition')))} },
	'raw_events, a view' => { before => 'DROP TABLE raw_events', plant => q{
CREATE VIEW public.raw_events AS SELECT 1 AS id, '{}'::json AS payload, evil.attack('view')::varchar(64) AS session_id,
  now() AS event_timestamp} },
	schema_state => { before => 'DROP TABLE schema_state', plant => q{
CREATE TABLE public.schema_state (key varchar(128) PRIMARY KEY, value varchar(256) NOT NULL);
INSERT INTO public.schema_state VALUES ('schema_version', '15');
CREATE INDEX ON public.schema_state ((evil.imm('index of schema_state')));
CREATE TRIGGER t BEFORE INSERT OR UPDATE ON public.schema_state FOR EACH ROW EXECUTE FUNCTION evil.trg('trigger of schema_state')} });
foreach my $what (sort keys %planted)
{
	beside_a_superuser($planted{$what}{plant}, before => $planted{$what}{before});
	foreach my $call ('cowrie_validate_schema()', 'cowrie_validate_schema(version => 15)', 'cowrie_preflight_v16()',
		'cowrie_checkpoint_v16()', 'cowrie_rejected_values()', 'cowrie_migrate_v16(dry_run => true)',
		'cowrie_migrate_v16(dry_run => true, repair => true)', 'cowrie_cleanup_v16(dry_run => true)',
		'cowrie_cleanup_v16(force => true)', 'cowrie_migrate_v16()', 'cowrie_migrate_v16(repair => true)',
		q{cowrie_migrate_v16(repair => true, on_failure => 'keep')})
	{
		my $answer = ask($node, 'beside', 'postgres', "$quiet BEGIN; SELECT count(*) FROM $call; ROLLBACK");
		harmless("$what of mallory's beside sessions of a superuser: $call", $answer);
		next if $call =~ /preflight/ || ($call =~ /15/ && $what eq 'ip_inventory');
		is($answer->{state}, $what =~ /view/ ? '42809' : '42501', "$what of mallory's: refused: $call")
		  or diag($answer->{out}, $answer->{err});
	}
	my $answer = ask($node, 'beside', 'postgres', "$quiet SELECT hazard FROM cowrie_preflight_v16() WHERE severity = 'blocker'");
	like($answer->{out}, qr/belong to|is not an ordinary table/, "$what of mallory's: a blocker of preflight");
	$answer = ask($node, 'beside', 'postgres', "$quiet CALL cowrie_migrate_v16_online(repair => true)");
	harmless("$what of mallory's beside sessions of a superuser: online", $answer);
	isnt($answer->{state}, '', "$what of mallory's: refused: online");
}

# A role that has made the owner of the sessions a member of itself is none the more trusted.
foreach (map { my $role = $_; map { [ $role, $_ ] } 'app', 'postgres' } 'mafia', 'gang')
{
	my ($role, $owner) = @$_;
	hostile_database($node, 'beside', owner => $owner);
	$node->safe_psql('beside', attack_code($role) . "GRANT CREATE ON SCHEMA public TO $role");
	$node->safe_psql('beside', "$quiet $planted_inventory", extra_params => [ '-U', $role ]);
	foreach my $call ('cowrie_validate_schema()', 'cowrie_migrate_v16(dry_run => true, repair => true)', 'cowrie_migrate_v16(repair => true)')
	{
		my $answer = ask($node, 'beside', $owner, "$quiet BEGIN; SELECT count(*) FROM $call; ROLLBACK");
		harmless("ip_inventory of $role, of which $owner was made a member: $call", $answer);
		is($answer->{state}, '42501', "ip_inventory of $role, of which $owner was made a member: refused: $call");
	}
}

# 5. SET ROLE is no cage: the plain SQL cleanup run by a superuser -----------------------------------

{
	hostile_database($node, 'script', owner => 'app', extension_owner => 'app', migrated => 1);
	$node->safe_psql('script', 'DROP EXTENSION cowrie_migrate;' . attack_code('app'));
	$node->safe_psql('script', q{SET client_min_messages = error;
CREATE TRIGGER evil BEFORE UPDATE OR DELETE ON schema_state FOR EACH ROW EXECUTE FUNCTION evil.trg('trigger of schema_state')},
		extra_params => [ '-U', 'app' ]);
	my $script = "$FindBin::RealBin/../../scripts/cleanup_v16_incomplete.sql";
	my $answer = ask($node, 'script', 'postgres', "\\i '$script'");
	harmless('the plain SQL cleanup, run by a superuser', $answer);
	is($answer->{state}, '42501', 'which is refused');
	like($answer->{hint}, qr/psql .*-U .?app/, 'with the command to run');
	$answer = ask($node, 'script', 'app', "\\i '$script'");
	harmless('the plain SQL cleanup, run by the owner', $answer);
	is($node->safe_psql('script', q{SELECT value FROM schema_state WHERE key = 'schema_version'}), '15', 'which works');
}

server_lived($node, 'no process was ended by a signal');
$node->stop;
done_testing();
