# What the owner of the ledger and of the progress sequences can do to them, what an unfinished online
# migration then believes, code that calls the extension while the extension is at work, and names that are
# made to be pasted. Each call ends in a result or a clean error; nothing is gained.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use CowrieTest;
use Hostile;
use PostgreSQL::Test::Utils;
use Session;
use Test::More;

my $node = hostile_node('owners', 'autovacuum = off');
my $quiet = 'SET client_min_messages = error;';
my $tried = 0;

# mallory owns the database and the extension, app the sessions. In one template a migration is complete, in
# another an online one was stopped in the middle.
foreach my $name ('complete', 'stopped')
{
	hostile_database($node, "t_$name", n => 100, database_owner => 'mallory', extension_owner => 'mallory', migrated => $name eq 'complete');
	$node->safe_psql("t_$name", attack_code('mallory'));
}
{
	my $online = ask_later($node, 't_stopped', 'app', q{CALL cowrie_migrate_v16_online(batch_size => 20, target_batch => '0', pause => '300 milliseconds')});
	my $watcher = Session->new($node, 't_stopped');
	watch($watcher, 'SELECT running AND batch > 1 FROM cowrie_migration_status');
	is($watcher->run('SELECT cowrie_stop_migration()'), 't', 'an online migration is stopped');
	answer_of($online);
	is($watcher->run(q{SELECT value FROM schema_state WHERE key = 'schema_version'}), '15', 'in the middle');
	$watcher->close;
}

sub fresh
{
	my ($template) = @_;
	copy_database($node, $template, 'owners', owner => 'mallory', anew => 1);
	return;
}

# Calls in one session, each in a transaction of its own; what is true of them all.
sub harmless
{
	my ($name, $caller, @calls) = @_;
	$tried += @calls;
	my $answer = ask($node, 'owners', $caller,
		"$quiet SET cowrie_migrate.lock_timeout = '1s'; SET statement_timeout = '60s'; SET cowrie_migrate.harmless_triggers = 't';\n" . join '', map { "\\echo $_\n$_;\n" } @calls);
	settle($node);
	my @wrong = gains($node);
	push @wrong, $answer->{err} if $answer->{err} =~ /server closed the connection|connection to server was lost|ERROR:  XX/;
	is(join("\n", @wrong), '', "$name: " . scalar(@calls) . " calls by $caller");
	return;
}
my @reading = ('SELECT * FROM cowrie_migration_status', 'SELECT cowrie_stop_migration()', 'SELECT count(*) FROM cowrie_validate_schema()',
	'SELECT count(*) FROM cowrie_checkpoint_v16()', 'SELECT count(*) FROM cowrie_preflight_v16()');
my @changing = ('SELECT count(*) FROM cowrie_cleanup_v16()', 'SELECT count(*) FROM cowrie_cleanup_v16(force => true)',
	'SELECT count(*) FROM cowrie_migrate_v16(repair => true)', q{SELECT count(*) FROM cowrie_migrate_v16(repair => true, on_failure => 'keep')},
	'CALL cowrie_migrate_v16_online(repair => true)');

# The ledger in every other shape ------------------------------------------------------------------

my @columns = split /\n/, $node->safe_psql('t_complete', q{SELECT attname FROM pg_attribute
WHERE attrelid = 'cowrie_migration_log'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum});
my @shapes = (
	'ALTER TABLE cowrie_migration_log RENAME TO aside; CREATE VIEW cowrie_migration_log AS SELECT * FROM aside',
	'ALTER TABLE cowrie_migration_log RENAME TO aside; CREATE TABLE cowrie_migration_log (LIKE aside) PARTITION BY HASH (log_id)',
	'ALTER TABLE cowrie_migration_log RENAME TO aside; CREATE TABLE cowrie_migration_log ()',
	'ALTER TABLE cowrie_migration_log RENAME TO aside; CREATE SEQUENCE cowrie_migration_log',
	'ALTER TABLE cowrie_migration_log RENAME TO aside; CREATE TYPE cowrie_migration_log AS (run_id bigint)',
	'ALTER TABLE cowrie_migration_log RENAME TO aside',
	'CREATE RULE r AS ON INSERT TO cowrie_migration_log DO INSTEAD NOTHING',
	'CREATE RULE r AS ON UPDATE TO cowrie_migration_log DO INSTEAD SELECT evil.attack($$rule$$), 1',
	'CREATE FUNCTION evil.swallow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE TRIGGER t BEFORE INSERT ON cowrie_migration_log FOR EACH ROW EXECUTE FUNCTION evil.swallow()',
	'CREATE FUNCTION evil.other() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.log_id := -NEW.log_id; NEW.run_id := 0; RETURN NEW; END $$;
CREATE TRIGGER t BEFORE INSERT OR UPDATE ON cowrie_migration_log FOR EACH ROW EXECUTE FUNCTION evil.other()',
	'ALTER TABLE cowrie_migration_log ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY',
	q{UPDATE cowrie_migration_log SET started_at = 'infinity', finished_at = '-infinity', settled_count = -1, settled_documents = 'x', settled_times = '',
documents_fingerprint = repeat('f', 100), times_fingerprint = '-1', session_count = -9223372036854775808},
	q{UPDATE cowrie_migration_log SET target_schema = E'\x01"', mode = 'x', status = 'y', rejects = '[1, 2]', resume = '"text"', position = 'x', message = repeat('ä', 100000)},
	q{INSERT INTO cowrie_migration_log (run_id, target_schema, mode, status, started_at, run_by, resume) OVERRIDING USER VALUE
SELECT 1, 'public', 'online', 'running', now(), 'app', '{"first_run": 1}' FROM generate_series(1, 50)});
foreach my $i (0 .. $#columns)
{
	my $column = $columns[$i];
	my @each = ("ALTER TABLE cowrie_migration_log DROP COLUMN $column CASCADE",
		"ALTER TABLE cowrie_migration_log ALTER $column DROP IDENTITY IF EXISTS; ALTER TABLE cowrie_migration_log ALTER $column TYPE uuid USING gen_random_uuid()",
		"ALTER TABLE cowrie_migration_log ALTER $column DROP IDENTITY IF EXISTS; ALTER TABLE cowrie_migration_log ALTER $column TYPE text USING 'x' || ctid",
		"ALTER TABLE cowrie_migration_log ALTER $column DROP IDENTITY IF EXISTS; ALTER TABLE cowrie_migration_log ALTER $column DROP NOT NULL; UPDATE cowrie_migration_log SET $column = NULL");
	# "log_id" is the key
	@each = map { "ALTER TABLE cowrie_migration_log DROP CONSTRAINT cowrie_migration_log_pkey; $_" } @each if $column eq 'log_id';
	push @shapes, full_counts() ? @each : $each[ $i % @each ];
}
my $refused = 0;
foreach my $i (0 .. $#shapes)
{
	my $template = $i % 2 ? 't_stopped' : 't_complete';
	fresh($template);
	my $planted = ask($node, 'owners', 'mallory', "$quiet BEGIN; $shapes[$i]; COMMIT");
	$refused++ if $planted->{state} ne '';
	my $name = 'the ledger: ' . ($shapes[$i] =~ s/\s+/ /gr);
	harmless($name, 'app', @reading, @changing[ $i % 2 ? (4, 1) : (0 .. 4) ]);
	harmless($name, 'postgres', @reading[ 0, 1 ]) if $i < 14;
}

cmp_ok($refused, '<', @shapes / 10, 'nearly all of them can be made');

# The progress sequences -----------------------------------------------------------------------------

my $internal = internal_schema($node, 't_complete');
my @sequences = split /\n/, $node->safe_psql('t_complete', q{SELECT relname FROM pg_class WHERE relname ~ '^cowrie_progress_' AND relkind = 'S' ORDER BY 1});
foreach my $i (0 .. $#sequences)
{
	my $sequence = "$internal.$sequences[$i]";
	my @each = ("ALTER SEQUENCE $sequence RENAME TO gone", "ALTER SEQUENCE $sequence MINVALUE 0 MAXVALUE 1 START 0 RESTART 0",
		"ALTER SEQUENCE $sequence AS smallint", "SELECT setval('$sequence', 9223372036854775807)");
	foreach my $sql (full_counts() ? @each : $i % 3 == 0 ? $each[ $i / 3 % @each ] : ())
	{
		fresh('t_complete');
		my $err = (ask($node, 'owners', 'mallory', "$quiet $sql"))->{err};
		# what she may not do changes nothing
		harmless("the sequences: $sql" . ($err eq '' ? '' : ' (refused)'), 'app', @reading[ 0, 1 ], @changing[ 0, 2 ]);
	}
}

# What an online migration believes of its past ---------------------------------------------------------

my @hostile_json = ('null', '"x"', '[]', '-1', '0', '9223372036854775807', '1e30', '1.5', 'true', '{"a": 1}', '""',
	q{"0); SELECT evil.attack('resume'); --"}, q{"1::regclass"});
foreach my $key ('first_run', 'origin', 'trigger', 'completes', 'queue', 'queue_length', 'position')
{
	my @all = map { my $json = $_; $key eq 'position' ? "SET position = trim('\"' FROM " . quote_text($json) . ')'
		  : "SET resume = jsonb_set(resume, '{$key}', " . quote_text($json) . '::jsonb)' } @hostile_json;
	foreach my $set (full_counts() ? @all : @all[ map { 3 * $_ + (length($key) % 3) } 0 .. 3 ])
	{
		fresh('t_stopped');
		$node->safe_psql('owners', "UPDATE cowrie_migration_log $set WHERE phase IS NULL", extra_params => [ '-U', 'mallory' ]);
		harmless("an unfinished run: $set", 'app', 'CALL cowrie_migrate_v16_online()', 'SELECT count(*) FROM cowrie_cleanup_v16(force => true)');
	}
}

# The extension, called while it is at work -----------------------------------------------------------

{
	my @calls = (@reading, @changing[ 0 .. 3 ], 'SELECT count(*) FROM cowrie_rejected_values()', 'CALL cowrie_migrate_v16_online()',
		q{SELECT cowrie_enrichment_facts('{"maxmind": {"asn": 1}}'::json)},
		"SELECT $internal.cowrie_assessment(enrichment, session_id, NULL, NULL, NULL, NULL, 'public') FROM session_summaries",
		"SELECT $internal.cowrie_fingerprint(session_id, enrichment, NULL, NULL, true) FROM session_summaries",
		"SELECT $internal.cowrie_fill_source_ip('{}'::json, 'q', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)",
		q{DROP EXTENSION cowrie_migrate}, 'ALTER TABLE session_summaries DISABLE TRIGGER ALL', 'TRUNCATE schema_state');
	my $reenter = 'CREATE SCHEMA IF NOT EXISTS re; CREATE FUNCTION re.enter(what text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $f$
BEGIN PERFORM re.again(what); RETURN what; END $f$;
CREATE FUNCTION re.enter_bool(what text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $f$ BEGIN PERFORM re.again(what); RETURN true; END $f$;
CREATE FUNCTION re.enter_trg() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN PERFORM re.again(TG_ARGV[0]); RETURN NEW; END $f$;
CREATE FUNCTION re.again(what text) RETURNS void LANGUAGE plpgsql AS $f$
DECLARE
  call text;
  count integer := coalesce(nullif(current_setting($$re.count$$, true), $$$$), $$0$$);
BEGIN
  IF coalesce(current_setting($$re.depth$$, true), $$$$) <> $$$$ OR count > 2 THEN
    RETURN;
  END IF;
  PERFORM set_config($$re.count$$, (count + 1)::text, false), set_config($$re.depth$$, $$1$$, true);
  PERFORM set_config($$search_path$$, $$public$$, true);
  FOREACH call IN ARRAY $$' . '{' . join(',', map { '"' . s/(["\\])/\\$1/gr . '"' } @calls) . '}' . q{$$::text[] LOOP
    BEGIN
      EXECUTE call;
    EXCEPTION WHEN OTHERS THEN
      IF SQLSTATE LIKE $$XX%$$ THEN RAISE LOG $$GAIN [%] REENTER % in %: %$$, current_setting($$application_name$$), call, what, SQLERRM; END IF;
    END;
  END LOOP;
  PERFORM set_config($$re.depth$$, $$$$, true);
END $f$;};
	my %places = (
		'a trigger on schema_state' => q{CREATE TRIGGER t BEFORE INSERT OR UPDATE OR DELETE ON schema_state FOR EACH ROW EXECUTE FUNCTION re.enter_trg('schema_state')},
		'an index on session_summaries' => q{CREATE INDEX ON session_summaries ((re.enter(matcher::text)))},
		'a constant index on raw_events' => q{CREATE INDEX ON raw_events ((re.enter('constant')))},
		'a check on session_summaries' => q{ALTER TABLE session_summaries ADD CHECK (re.enter_bool('check'))},
		'an empty inventory with a check' => q{DROP TABLE IF EXISTS ip_asn_history; CREATE TABLE IF NOT EXISTS asn_inventory (asn_number integer PRIMARY KEY);
ALTER TABLE asn_inventory ADD CHECK (re.enter_bool('inventory'))},
		'a trigger on session_summaries' => q{CREATE TRIGGER t AFTER UPDATE ON session_summaries FOR EACH ROW EXECUTE FUNCTION re.enter_trg('sessions')});
	foreach my $place (sort keys %places)
	{
		foreach my $template ('t_stopped', 't_complete')
		{
			fresh($template);
			$node->safe_psql('owners', 'GRANT CREATE ON DATABASE owners TO app');
			my $plant = ask($node, 'owners', 'app', "$quiet $reenter $places{$place}");
			is($plant->{state}, '', "called while at work, from $place: planted") or diag($plant->{err});
			gains($node);
			harmless("called while at work, from $place", 'app', @reading, @changing[ 4, 1, 2 ], 'SELECT count(*) FROM cowrie_rejected_values()');
		}
	}
}

# Names that are made to be pasted ------------------------------------------------------------------------

{
	my $trap = q{"x""; SELECT evil.attack('a name'); --"};
	hostile_database($node, 'owners', n => 30, migrated => 1);
	$node->safe_psql('owners', attack_code('app') . 'GRANT CREATE ON DATABASE owners TO app');
	$node->safe_psql('owners', "$quiet CREATE VIEW $trap AS SELECT source_ip FROM session_summaries; ALTER TABLE ip_inventory ADD CONSTRAINT $trap CHECK (geo_country <> 'QQ');
CREATE TABLE child_of (x varchar(45) CONSTRAINT $trap REFERENCES ip_inventory); CREATE STATISTICS public.$trap ON current_asn, geo_country FROM ip_inventory;
CREATE TRIGGER $trap BEFORE UPDATE OF source_ip ON session_summaries FOR EACH ROW EXECUTE FUNCTION evil.trg('trigger');
ALTER TABLE asn_inventory RENAME CONSTRAINT asn_number_positive TO $trap; CREATE SCHEMA $trap; CREATE TYPE $trap.$trap AS ENUM ('a');
ALTER TABLE ip_asn_history ALTER verification_source TYPE $trap.$trap USING 'a'; DROP INDEX idx_asn_org_name",
		extra_params => [ '-U', 'app' ]);
	gains($node);
	my @texts;
	foreach my $call (q{SELECT remedy FROM cowrie_validate_schema()}, q{SELECT remedy FROM cowrie_preflight_v16()}, 'SELECT * FROM cowrie_cleanup_v16()',
		'SELECT * FROM cowrie_migrate_v16(repair => true)', 'SELECT * FROM cowrie_cleanup_v16(to_phase => 2)')
	{
		my $answer = ask($node, 'owners', 'app', "$quiet $call");
		push @texts, split(/\n/, $answer->{out}), $answer->{hint} =~ s/^Run //r;
	}
	push @texts, map { /(?:Run|run) (.*;)/ ? $1 : () } @texts;
	my %statements = map { $_ => 1 } grep { /;/ } @texts;
	cmp_ok(scalar(keys %statements), '>', 0, 'remedies with hostile names');
	ask($node, 'owners', 'postgres', "SET application_name = 'pasted'; BEGIN; $_ ROLLBACK") foreach sort keys %statements;
	is(join("\n", grep { /a name/ } gains($node)), '', 'a remedy that is pasted runs no name');
	$tried += keys %statements;
}

# Settings that the owner of the database gives to every session ------------------------------------------

{
	my $schema = q{a\\'); SELECT evil.attack('a setting'); --"};
	hostile_database($node, 'owners', n => 100, fixture => { schema => $schema });
	$node->safe_psql('postgres', 'ALTER DATABASE owners OWNER TO mallory');
	load_reference($node, 'owners', $schema);
	$node->safe_psql('owners', attack_code('mallory'));
	my %settings = (standard_conforming_strings => 'off', escape_string_warning => 'off', backslash_quote => 'on', transform_null_equals => 'on',
		quote_all_identifiers => 'on', datestyle => 'SQL, DMY', intervalstyle => 'iso_8601', timezone => 'Asia/Kathmandu', bytea_output => 'escape',
		extra_float_digits => '-15', array_nulls => 'off', search_path => 'evil, public', row_security => 'off', check_function_bodies => 'off',
		constraint_exclusion => 'on', enable_seqscan => 'off', enable_indexscan => 'off', plan_cache_mode => 'force_generic_plan', jit => 'on',
		work_mem => '64kB', statement_timeout => '0', synchronize_seqscans => 'on', default_statistics_target => '1');
	my %known = map { $_ => 1 } split /\n/, $node->safe_psql('postgres', 'SELECT name FROM pg_settings');
	delete @settings{ grep { !$known{$_} } keys %settings };    # 19 has no escape_string_warning
	delete $settings{standard_conforming_strings} if $node->safe_psql('postgres', 'SHOW server_version_num') >= 190000;
	$node->safe_psql('owners', join('', map { "ALTER DATABASE owners SET $_ = '$settings{$_}';" } sort keys %settings)
		  =~ s/'evil, public'/evil, public/r, extra_params => [ '-U', 'mallory' ]);
	is($node->safe_psql('owners', "SELECT string_agg(name, ' ' ORDER BY name) FROM pg_settings WHERE source = 'database' AND name = ANY ('{"
				. join(',', keys %settings) . "}')"),
		join(' ', sort keys %settings), 'the settings of a hostile database');
	my $named = 'E' . quote_text($schema =~ s/\\/\\\\/gr);
	foreach my $call ("public.cowrie_preflight_v16($named)", "public.cowrie_migrate_v16($named)", "public.cowrie_checkpoint_v16($named)")
	{
		my $answer = ask($node, 'owners', 'app', "$quiet SELECT count(*) > 5 FROM $call");
		is($answer->{out}, 't', "with hostile settings: $call") or diag($answer->{err});
	}
	is(ask($node, 'owners', 'app', "$quiet SELECT count(*) FROM public.cowrie_validate_schema($named)")->{out}, '0', 'with hostile settings: no findings');
	$node->safe_psql('postgres', 'ALTER DATABASE owners RESET ALL');
	is(compare($node, 'owners', $schema), $no_difference, 'with hostile settings: as the reference');
	is(join("\n", gains($node)), '', 'with hostile settings: nothing is gained');
}

# What the version violates is evaluated as the owner of the tables, whoever asks for a preflight. ------

foreach my $way ('CHECK', 'domain')
{
	hostile_database($node, 'owners', n => 20);
	my $check = "CASE WHEN current_user = 'app' THEN true ELSE query_to_xml('SELECT rolpassword FROM pg_authid', true, true, '') IS NULL END";
	$node->safe_psql('owners', $way eq 'CHECK'
		? "ALTER TABLE schema_state ADD CONSTRAINT odd CHECK (key <> '' AND $check) NOT VALID"
		: "CREATE DOMAIN odd AS varchar(256) CHECK (VALUE <> '' AND $check); ALTER TABLE schema_state ALTER COLUMN value TYPE odd",
		extra_params => [ '-U', 'app' ]);
	foreach my $call (q{SELECT count(*) FROM cowrie_preflight_v16() WHERE severity = 'blocker'},
		'SELECT sign(count(*)) - 1 FROM cowrie_migrate_v16(dry_run => true)', 'SELECT sign(count(*)) - 1 FROM cowrie_migrate_v16()')
	{
		my $answer = ask($node, 'owners', 'postgres', "$quiet $call");
		is($answer->{out}, '0', "$way of schema_state, asked by a superuser: $call") or diag($answer->{err});
		++$tried;
	}
}

figure("hostile owners: $tried calls");
server_lived($node, 'no process was ended by a signal');
$node->stop;
done_testing();
