# Forged arguments: for every type that a function of the extension takes, values that nobody expects; and
# the calls that are made of them. A call ends in a result or in an error of its own, and is rolled back.
package Forged;

use strict;
use warnings;

use CowrieTest;
use Exporter 'import';

our @EXPORT = qw(forge_schema functions_of calls_of odd_calls own_aggregates trigger_calls);

# SQL expressions by type. The first is an ordinary one, which the other arguments have meanwhile.
my @documents = (
	q{'{"maxmind": {"asn": 64500, "country": "NL"}, "session_metadata": {"source_ip": "192.0.2.7"}}'},
	'NULL', q{'null'}, q{'{}'}, q{'[]'}, q{'""'}, q{'42'}, q{'1e400'}, q{'{"session": {"192.0.2.1": {}, "192.0.2.2": {}}}'},
	q{'{"maxmind": {"asn": 1e308, "country": ["N", "L"]}, "dshield": [], "cymru": "x", "spur": {"client": {"types": {"a": 1}}}}'},
	q{'{"dshield": {"ip": {"number": "1.2.3.4/33", "asn": -9223372036854775808, "ascountry": ""}}}'},
	q{'{"enriched_at": "-infinity", "spur": [null, null, null, [[]]], "greynoise": {"noise": "maybe"}}'},
	q{'{"enriched_at": "294277-01-01T00:00:00Z"}'}, q{'{"enriched_at": "0000-00-00T99:99:99+99:99"}'},
	q{'{"a": 1, "a": {"b": [1, 2, 3]}, "session": {"": {"": {}}}, "session_metadata": {"source_ip": "::ffff:1.2.3.4%eth0"}}'},
	q{('{"maxmind": {"asn_org": "' || repeat('x', 1100000) || '"}}')}, q{(repeat('[', 5000) || repeat(']', 5000))},
	q{(repeat('{"session":', 3000) || '1' || repeat('}', 3000))},
	q{('{' || (SELECT string_agg(format('"k%s": {"country": "NL"}', i), ', ') FROM generate_series(1, 3000) AS i) || '}')},
	q{('{"spur": {"client": {"types": [' || rtrim(repeat('"VPN",', 5000), ',') || ']}}}')},
	q{('{"cymru": {"asn": ' || repeat('9', 2000) || '}}')});
my @json_only = (q{'{"maxmind": {"asn_org": "a\u0000b"}, "k\u0000": "\ud83d"}'}, q{'{"session": {"\u0000": {"maxmind": {"asn": 1}}}}'});
my @texts = (q{'192.0.2.7'}, 'NULL', q{''}, q{' '}, q{'x'}, q{'::'}, q{'fe80::1%1'}, q{'999.999.999.999'}, q{'pg_temp'}, q{'m'}, q{'pg_catalog'},
	q{'"; DROP TABLE m.session_summaries; --'}, q{'%s%n%I'}, q{E'\\\\'}, q{E'\x01\x7f'}, q{U&'\+01F600'}, q{repeat('x', 1000000)}, q{repeat('ä', 70)},
	q{'VPN'}, q{'NL'}, q{'sometimes'}, q{'16.99'});
our %values = (
	json => [ map({ "$_\::json" } @documents, @json_only) ],
	jsonb => [ map({ "$_\::jsonb" } @documents) ],
	text => [ map({ "$_\::text" } @texts) ],
	varchar => [ map({ "$_\::varchar" } @texts) ],
	name => [ map({ "$_\::name" } q{'m'}, 'NULL', q{''}, q{'public'}, q{'pg_catalog'}, q{'pg_toast'}, q{'pg_temp'}, q{'information_schema'}, q{'no such'},
			q{'cowrie_migrate_internal'}, q{'odd'}, q{repeat('x', 200)}, q{'"m"'}, q{E'\x01'}) ],
	integer => [ map { "$_\::integer" } '1', 'NULL', '0', '(-1)', '2147483647', '(-2147483648)', '16', '15', '17', '64500', '1000000' ],
	bigint => [ map { "$_\::bigint" } '1', 'NULL', '0', '(-1)', '9223372036854775807', '(-9223372036854775808)', '4294967296' ],
	boolean => [ 'false', 'NULL::boolean', 'true' ],
	'timestamp with time zone' => [ map { "$_\::timestamptz" } 'now()', 'NULL', q{'infinity'}, q{'-infinity'}, q{'4713-01-01 BC'}, q{'294276-12-31 23:59:59.999999'},
		q{'epoch'}, q{'2000-01-01'} ],
	interval => [ map { "$_\::interval" } q{'0'}, 'NULL', q{'-1 day'}, q{'178000000 years'}, q{'-178000000 years'}, q{'1 microsecond'}, q{'1 month -30 days'} ],
	'text[]' => [ map { "$_\::text[]" } q{'{VPN,TOR}'}, 'NULL', q{'{}'}, q{'{NULL}'}, q{'{{a,b},{c,d}}'}, q{'[5:6]={VPN,TOR}'}, q{'{"",NULL,""}'},
		q{array_fill('MOBILE'::text, ARRAY[20000])}, q{ARRAY[repeat('x', 1000000)]}, q{array_fill(NULL::text, ARRAY[3, 3, 3])} ],
	bytea => [ map { "$_\::bytea" } q{'\x'}, 'NULL', q{'\x00'}, (map { qq{decode(repeat('ff', $_), 'hex')} } 1, 8, 15, 16, 17, 47, 48, 96, 1000),
		(map { qq{decode(repeat('00', $_), 'hex')} } 8, 16, 48, 96, 1000), q{decode(repeat('7f', 24), 'hex')} ],
	internal => ['NULL'],
	trigger => []);
$values{'character varying'} = $values{varchar};

# The schema of the calls: forge.call() runs one and notes how it has ended.
sub forge_schema
{
	return q{
CREATE SCHEMA forge;
GRANT ALL ON SCHEMA forge TO PUBLIC;
CREATE TABLE forge.outcome (id bigint GENERATED ALWAYS AS IDENTITY, who name, what text, state text, message text, statement text);
GRANT ALL ON forge.outcome TO PUBLIC;
CREATE FUNCTION forge.call(what text, statement text) RETURNS void LANGUAGE plpgsql AS $f$
DECLARE
  state text := '00000';
  message text;
BEGIN
  BEGIN
    EXECUTE statement;
    RAISE EXCEPTION USING ERRCODE = 'CM000', MESSAGE = 'rolled back';
  EXCEPTION WHEN SQLSTATE 'CM000' THEN
    NULL;
  WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT;
  END;
  INSERT INTO forge.outcome (who, what, state, message, statement) VALUES (current_user, what, state, left(message, 500), left(statement, 2000));
END $f$};
}

# Every function of the extension, in whichever schema: [name, kind, argument types, ...].
sub functions_of
{
	my ($node, $database) = @_;
	return map { [ split /\|/, $_, -1 ] } split /\n/, $node->safe_psql($database, q{
SELECT format('%I.%I', n.nspname, p.proname), p.prokind,
  (SELECT string_agg(format_type(a.type, NULL), ';' ORDER BY a.position) FROM unnest(p.proargtypes) WITH ORDINALITY AS a (type, position)),
  p.prorettype = 'trigger'::regtype
FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
JOIN pg_depend AS d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
JOIN pg_extension AS e ON d.refclassid = 'pg_extension'::regclass AND e.oid = d.refobjid AND e.extname = 'cowrie_migrate'
ORDER BY 1, 3});
}

sub call_of
{
	my ($name, $kind, @arguments) = @_;
	my $call = "$name(" . join(', ', @arguments) . ')';
	return "CALL $call" if $kind eq 'p';
	return "SELECT $call FROM generate_series(1, 3)" if $kind eq 'a';
	return "SELECT * FROM $call";
}

# All calls of a function: everything in each argument, NULL in all, and mixtures, always the same.
sub calls_of
{
	my ($function, $mixtures) = @_;
	my ($name, $kind, $arguments, $trigger) = @$function;
	my @types = split /;/, $arguments;
	my @choices = map { $values{$_} or die "no values of type $_ for $name" } @types;
	return (call_of($name, $kind)) unless @types;
	my @calls = (call_of($name, $kind, map { $_ eq 'internal' ? 'NULL' : "NULL::$_" } @types));
	foreach my $i (0 .. $#types)
	{
		foreach my $value (@{ $choices[$i] })
		{
			push @calls, call_of($name, $kind, map { $_ == $i ? $value : $choices[$_][0] } 0 .. $#types);
		}
	}
	return @calls if grep { $_ eq 'internal' } @types;
	push @calls, call_of($name, $kind, map { $_->[ int(rand(@$_)) ] } @choices) foreach 1 .. $mixtures;
	return @calls;
}

# The same functions where they are not usually called: as arguments of one another, in indexes and
# generated columns, in functions of one's own, aggregates over windows and in parallel.
sub odd_calls
{
	my ($internal) = @_;
	my $rows = q{(VALUES ('{}'::json, 's'), (NULL, NULL), ('{"session": {"192.0.2.1": {}, "192.0.2.2": {}}}', 'a'), ('{"maxmind": {"asn": "x"}}', '')) AS v (d, s)};
	my $assessment = "$internal.cowrie_assessment(d, s, NULL, NULL, NULL, now(), %s)";
	my $fingerprint = "$internal.%s(s, d, now(), NULL, %s)";
	return (
		(map { 'SELECT ' . sprintf($assessment, $_) . " FROM $rows" } q{'m'}, q{'pg_temp'}, 'NULL', q{s}, q{'odd'}, q{'no such'}),
		(map { 'SELECT ' . sprintf($assessment, q{'m'}) . " $_ FROM $rows" } 'OVER ()', 'OVER (ORDER BY s)', 'OVER (ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING)',
			q{FILTER (WHERE s = 'a')}),
		(map { my $f = $_; map { 'SELECT ' . sprintf($fingerprint, $f, 'true') . " $_ FROM $rows" } '', 'OVER ()', 'OVER (ORDER BY s)',
				'OVER (ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING EXCLUDE CURRENT ROW)' } qw(cowrie_fingerprint cowrie_kept_fingerprint)),
		"SELECT $internal.cowrie_fingerprint(DISTINCT s, d::jsonb, now(), NULL, true) FROM $rows",
		"SELECT s, $internal.cowrie_fingerprint(s, d, NULL, NULL, NULL) FROM $rows GROUP BY GROUPING SETS ((s), ())",
		(map { "SELECT $internal.cowrie_latest(s, $_, s) $_[1] FROM $rows" } 'now()', 'NULL', q{'infinity'}, q{'-infinity'}),
		"SELECT $internal.cowrie_latest(repeat(s, 100000), now(), s) OVER (ORDER BY s DESC) FROM $rows",
		"SELECT * FROM $rows WHERE $internal.cowrie_needs_event(d) ORDER BY $internal.cowrie_provider_data(d, s)",
		"CREATE TABLE odd_index (d json, s varchar); INSERT INTO odd_index SELECT d, s FROM $rows;
CREATE INDEX ON odd_index (($internal.cowrie_as_jsonb(d))); CREATE INDEX ON odd_index (s) WHERE $internal.cowrie_unfit_for_jsonb(d); DROP TABLE odd_index",
		"CREATE TABLE odd_generated (d json, j jsonb GENERATED ALWAYS AS ($internal.cowrie_as_jsonb(d)) STORED); INSERT INTO odd_generated SELECT d FROM $rows",
		"CREATE FUNCTION pg_temp.wrapped(json) RETURNS jsonb LANGUAGE sql AS 'SELECT $internal.cowrie_provider_data(\$1, NULL)'; SELECT pg_temp.wrapped(d) FROM $rows",
		"CREATE FUNCTION pg_temp.nested(d json) RETURNS void LANGUAGE plpgsql AS \$\$ BEGIN PERFORM $internal.cowrie_assessment(d, 'x', NULL, NULL, NULL, NULL, 'm'); EXCEPTION WHEN OTHERS THEN NULL; END \$\$;
SELECT pg_temp.nested(d), $internal.cowrie_fill_source_ip(d, s::varchar, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL) FROM $rows",
		"SELECT set_config(name, 'on', true) FROM pg_settings WHERE name IN ('force_parallel_mode', 'debug_parallel_query'); SET LOCAL parallel_setup_cost = 0; SELECT $internal.cowrie_fingerprint(session_id, enrichment, first_event_at, last_event_at, true) FROM m.session_summaries",
		"SET LOCAL max_parallel_workers_per_gather = 2; SET LOCAL parallel_setup_cost = 0; SET LOCAL parallel_tuple_cost = 0; SET LOCAL min_parallel_table_scan_size = 0;
SELECT $internal.cowrie_assessment(enrichment, session_id, NULL, NULL, NULL, NULL, 'm') FROM m.session_summaries");
}

# Aggregates of one's own made of the parts of the extension's: every part with every other.
sub own_aggregates
{
	my (@functions) = @_;
	my @transitions = grep { $_->[2] =~ /^internal;(?!internal$)/ && $_->[0] !~ /deserialize/ } @functions;
	my @results = grep { $_->[0] =~ /_result$/ } @functions;
	my @combines = grep { $_->[0] =~ /_combine$/ } @functions;
	my @serials = grep { $_->[0] =~ /_serialize$/ } @functions;
	my @calls;
	foreach my $transition (@transitions)
	{
		my (undef, @types) = split /;/, $transition->[2];
		my $arguments = join ', ', @types;
		my $values = join ', ', map { $values{$_}[0] } @types;
		foreach my $result (@results)
		{
			push @calls, "CREATE AGGREGATE pg_temp.own ($arguments) (SFUNC = $transition->[0], STYPE = internal, FINALFUNC = $result->[0]);
SELECT pg_temp.own($values) FROM generate_series(1, 3)";
		}
		foreach my $i (0 .. $#combines)
		{
			my $deserial = $serials[$i][0] =~ s/_serialize/_deserialize/r;
			push @calls, "CREATE AGGREGATE pg_temp.own ($arguments) (SFUNC = $transition->[0], STYPE = internal, COMBINEFUNC = $combines[$i][0],
SERIALFUNC = $serials[$i][0], DESERIALFUNC = $deserial, PARALLEL = SAFE); SELECT pg_temp.own($values) FROM generate_series(1, 3)";
		}
	}
	return @calls;
}

# The trigger function on tables of one's own, of every kind and shape.
sub trigger_calls
{
	my ($function) = @_;
	my @shapes = ('session_id varchar(64), enrichment json, source_ip varchar(45), enrichment_at timestamptz, created_at timestamptz, last_event_at timestamptz, snapshot_asn integer, snapshot_country varchar(2), snapshot_ip_type text',
		'session_id integer, enrichment integer, source_ip integer, enrichment_at integer, created_at integer, snapshot_asn text, snapshot_country uuid, snapshot_ip_type name',
		'session_id text, enrichment jsonb, source_ip text, enrichment_at timestamptz, created_at boolean, last_event_at float8, snapshot_asn bigint, snapshot_country point, snapshot_ip_type varchar(1)',
		'session_id varchar(2) NOT NULL, enrichment json, source_ip varchar(3), enrichment_at timestamptz GENERATED ALWAYS AS (NULL) STORED',
		'x integer', '', 'session_id varchar[], enrichment json[], source_ip text[], enrichment_at timestamptz[]');
	my @calls;
	foreach my $shape (@shapes)
	{
		foreach my $when ('BEFORE INSERT OR UPDATE OR DELETE ON t FOR EACH ROW', 'AFTER INSERT OR UPDATE OR DELETE ON t FOR EACH ROW',
			'BEFORE INSERT OR DELETE ON t FOR EACH STATEMENT', 'BEFORE TRUNCATE ON t FOR EACH STATEMENT')
		{
			foreach my $arguments ('', q{'on'}, q{'', 'b', 'c'})
			{
				my $insert = $shape =~ /session_id (?:varchar|text)\b(?!\[)/
				  ? q{INSERT INTO t (session_id, enrichment) VALUES ('ab', '{"session": {"192.0.2.1": {}, "192.0.2.2": {}}}'); UPDATE t SET session_id = 'cd', enrichment = '{"dshield": {"ip": {"number": "192.0.2.77"}}}';}
				  : 'INSERT INTO t DEFAULT VALUES;';
				push @calls, "CREATE TABLE t ($shape); CREATE TABLE cowrie_migrate_changes (session_id varchar(64)); $insert
CREATE TRIGGER g $when EXECUTE FUNCTION $function($arguments); ALTER TABLE t ADD COLUMN gone integer; ALTER TABLE t DROP COLUMN gone;
$insert DELETE FROM t; TRUNCATE t";
			}
		}
	}
	push @calls, map { "CREATE TABLE t (session_id varchar(64), enrichment json); CREATE TABLE cowrie_migrate_changes ($_);
CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION $function(); INSERT INTO t VALUES ('a', '{}')" }
	  'session_id integer', 'a integer, b integer', '', 'session_id varchar(1)', 'session_id varchar(64) NOT NULL CHECK (false)', 'x varchar GENERATED ALWAYS AS (NULL) STORED';
	return @calls;
}

1;
