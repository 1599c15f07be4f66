# What an attacker can put into a document, and what no provider should ever send: each is read or
# rejected, none of it stops a migration, the backend survives it, and nothing is lost.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use CowrieTest;
use Test::More;

my $node = start_node('hostile');
my $megabytes = full_counts() ? 100 : 60;

# An SQL expression for a document with a provider that says who the session is, address
# 20.9.0.<number> and AS<number>, and further members.
sub document
{
	my ($number, $members) = @_;
	return qq{'{"dshield":{"ip":{"number":"20.9.0.$number","asn":$number}},$members}'};
}

# A database of the given encoding and document type with ordinary sessions in it.
sub create_database
{
	my ($name, $encoding, $type) = @_;
	$node->safe_psql('postgres',
		"CREATE DATABASE $name TEMPLATE template0 ENCODING '$encoding' LC_COLLATE 'C' LC_CTYPE 'C'");
	$node->safe_psql($name, 'CREATE EXTENSION cowrie_migrate');
	run_script($node, $name, 'v15.sql', doc_type => $type);
	run_script($node, $name, 'sessions.sql', n => 400);
	return;
}

# Hostile sessions: a name, an SQL expression for the document as text, and what is to be read from
# it as address|ASN|organisation|rejects.
sub survives
{
	my ($name, $type, @documents) = @_;
	foreach my $document (@documents)
	{
		my ($id, $expression) = @$document;
		$node->safe_psql($name, qq{
INSERT INTO session_summaries (session_id, first_event_at, last_event_at, enrichment)
SELECT '$id', '2025-01-01 00:00Z', '2025-01-01 00:01Z', ($expression)::$type});
	}
	my $before = data_hash_of($name);

	# All in one session: whoever dies on a document, dies in front of us.
	my $facts = join("\n", map {
		qq{SELECT '$_->[0]', (f).source_ip, (f).asn, left((f).organization, 10), (f).rejects
		FROM (SELECT cowrie_enrichment_facts(enrichment) AS f FROM session_summaries
		      WHERE session_id = '$_->[0]' OFFSET 0) AS s;}
	} @documents);
	my ($stdout, $stderr) = ('', '');
	my $status = $node->psql($name, qq{
SET client_min_messages = warning;
CREATE TEMP TABLE backend AS SELECT pg_backend_pid() AS pid;
$facts
SELECT 'gate', status FROM cowrie_migrate_v16() WHERE step = 'zero_loss_gate';
SELECT 'same backend', pid = pg_backend_pid() FROM backend;
SELECT 'findings', count(*), string_agg(format('%s: %s, %s', object_name, problem, actual), '; ')
FROM cowrie_validate_schema();
SELECT 'inventory', count(*) FROM ip_inventory
WHERE jsonb_typeof(enrichment) IS DISTINCT FROM 'object' OR geo_country IS NULL
   OR ip_types IS NULL OR is_scanner IS NULL OR is_bogon IS NULL;
}, stdout => \$stdout, stderr => \$stderr);
	is($status, 0, "$name: migrated with hostile documents") or diag(substr($stderr, 0, 2000));
	my %seen = map { my ($key, $value) = split /\|/, $_, 2; ($key => $value) } split /\n/, $stdout;
	is($seen{$_->[0]}, $_->[2], "$name: facts of $_->[0]") foreach @documents;
	is($seen{gate}, 'done', "$name: the zero-loss gate was passed");
	is($seen{'same backend'}, 't', "$name: the backend survived");
	is($seen{findings}, '0|', "$name: no findings");
	is($seen{inventory}, '0', "$name: every inventory row is valid, its generated columns too");
	is(data_hash_of($name), $before, "$name: nothing lost, nothing changed");

	# What the documents said stands in the columns and in the inventories.
	foreach my $document (@documents)
	{
		my ($id, $expression, $expected) = @$document;
		my ($ip, $asn) = split /\|/, $expected;
		is($node->safe_psql($name, "SELECT source_ip, snapshot_asn, enrichment_at IS NOT NULL
			FROM session_summaries WHERE session_id = '$id'"), "$ip|$asn|t", "$name: columns of $id");
		next if $ip eq '';
		is($node->safe_psql($name, "SELECT count(*) FROM ip_inventory WHERE ip_address = '$ip'"),
			'1', "$name: $id is in the inventory");
	}
	return;
}

# Rows and stored documents. jsonb is compared as it is stored: as text a few numbers fill gigabytes.
sub data_hash_of
{
	my ($name) = @_;
	return $node->safe_psql($name, q{
SELECT count(*), md5(string_agg(session_id || ' ' || md5(CASE pg_typeof(enrichment)
         WHEN 'jsonb'::regtype THEN jsonb_hash_extended(enrichment::jsonb, 0)::text
         ELSE enrichment::text END), ',' ORDER BY session_id COLLATE "C"))
FROM session_summaries}) if $name eq 'hostile_jsonb';
	return $node->safe_psql($name, q{
SELECT count(*), md5(string_agg(session_id || ' ' || md5(enrichment::text), ','
                                ORDER BY session_id COLLATE "C"))
FROM session_summaries});
}

#--------------------------------------------------------------------------------------------------
# json: everything its input lets through
#--------------------------------------------------------------------------------------------------

create_database('hostile_json', 'UTF8', 'json');

# The deepest nesting that json input accepts with the default stack, found by halving.
$node->safe_psql('hostile_json', q{
CREATE FUNCTION deepest() RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
  accepted integer := 1;
  refused integer := 10000000;
  tried integer;
BEGIN
  WHILE refused - accepted > 1 LOOP
    tried := (accepted + refused) / 2;
    BEGIN
      PERFORM (repeat('[', tried) || repeat(']', tried))::json;
      accepted := tried;
    EXCEPTION WHEN statement_too_complex THEN
      refused := tried;
    END;
  END LOOP;
  -- a document has a level of its own; a few less for a stack that is used a little more
  RETURN accepted - 100;
END $$});
my $deepest = $node->safe_psql('hostile_json', 'SELECT deepest()');
cmp_ok($deepest, '>', 1000, "json input takes a nesting of $deepest");

# Documents that cannot be cast to jsonb: those of sessions.sql.
my $unholdable = q{SELECT count(*) FROM session_summaries
WHERE regexp_replace(enrichment::text, '\\\\\\\\', '', 'g') ~* '\\\\u(0000|d[89a-f]..)'};
my $held = $node->safe_psql('hostile_json', $unholdable);

my $million = 1_000_000;
my @json = (
	[ 'nul', document(1, '"password_stats":{"passwords":["a\u0000b","\u0000"]}'), '20.9.0.1|1||{}' ],
	[ 'lone', document(2, '"password_stats":{"passwords":["\ud83d","\udc00\ud800x"]}'), '20.9.0.2|2||{}' ],
	[ 'nul read', document(3, '"maxmind":{"asn":"3\u0000","asn_org":"a\u0000b\ud800","country":"\u0000"}'),
		"20.9.0.3|3|a\xEF\xBF\xBDb\xEF\xBF\xBD|{asn_invalid,country_invalid}" ],
	[ 'ten megabytes', document(4, q{"maxmind":{"asn_org":"' || repeat('x', 10000000) || '"}}),
		'20.9.0.4|4||{value_too_long}' ],
	[ 'long password', document(5, qq{"password_stats":["' || repeat('\\ud800', $megabytes * 1000000 / 6) || '"]}),
		'20.9.0.5|5||{}' ],
	[ 'repeated keys', document(6, qq{' || repeat('"a":1,', $million) || '"b":2}), '20.9.0.6|6||{}' ],
	[ 'repeated provider', document(7, qq{' || repeat('"maxmind":{"asn":9},', $million) || '"maxmind":{"asn":7}}),
		'20.9.0.7|7||{}' ],
	[ 'session keys', qq{(SELECT '{"session":{' || string_agg(format('"20.%s.%s.%s":{"maxmind":{"asn":%s}}',
		10 + i / 65536, i / 256 % 256, i % 256, 1 + i), ',' ORDER BY i) || '}}'
		FROM generate_series(0, $million - 1) AS i)}, '20.10.0.0|1||{}' ],
	[ 'names as keys', qq{(SELECT '{"session":{' || string_agg(format('"host %s":{}', i), ',' ORDER BY i)
		|| ',"20.9.0.9":{"maxmind":{"asn":9}}}}' FROM generate_series(1, $million) AS i)}, '20.9.0.9|9||{}' ],
	[ 'deep', document(10, qq{"deep":' || repeat('[', $deepest) || repeat(']', $deepest) || '}),
		'|||{document_too_deep}' ],
	[ 'deep objects', document(11, qq{"deep":' || repeat('{"a":', 1100) || '1' || repeat('}', 1100) || '}),
		'|||{document_too_deep}' ],
	[ 'rather deep', document(12, q{"deep":' || repeat('[', 900) || repeat(']', 900) || '}),
		'20.9.0.12|12||{}' ],
	[ 'numbers', document(13, '"maxmind":{"asn":1e131071},"cymru":{"asn":1e999999,"prefix":-1e999999}'),
		'20.9.0.13|13||{asn_out_of_range,asn_out_of_range}' ],
	[ 'small numbers', document(14, '"greynoise":{"noise":1e-999999,"x":[1e131071,1e131072,1e-16384,0e999999999999]}'),
		'20.9.0.14|14||{}' ],
	[ 'many numbers', document(15, q{"urlhaus":[' || repeat('1e131071,', 5000) || '1]}), '20.9.0.15|15||{}' ],
	# jsonb input needs 32 bytes of memory for each of these, in one piece: more than it can have
	[ 'large list', document(16, q{"urlhaus":[' || repeat('1,', 17000000) || '1]}), '20.9.0.16|16||{value_too_long}' ],
	[ 'large list that fits', document(17, q{"urlhaus":[' || repeat('1,', 8000000) || '1]}), '20.9.0.17|17||{}' ]);
# more than jsonb can hold
push @json, [ 'too much for jsonb', document(18,
	q{"a":"' || repeat('a', 140000000) || '","b":"' || repeat('b', 140000000) || '"}), '20.9.0.18|18||{value_too_long}' ]
  if full_counts();
survives('hostile_json', 'json', @json);

my $nuls = $node->safe_psql('hostile_json', $unholdable);
cmp_ok($held, '>', 0, "sessions.sql has $held documents that jsonb cannot hold");
cmp_ok($nuls, '>=', $held + 3, "and after the migration $nuls are counted");
is($node->safe_psql('hostile_json', q{
SELECT enrichment #>> '{maxmind,asn_org}' = U&'a\FFFDb\FFFD' FROM ip_inventory
WHERE ip_address = '20.9.0.3'}), 't', 'the inventory has U+FFFD in their place');
is($node->safe_psql('hostile_json', q{
SELECT length(enrichment #>> '{maxmind,asn_org}') FROM ip_inventory WHERE ip_address = '20.9.0.4'}),
	'10000000', 'and a text of ten megabytes as it was');
is($node->safe_psql('hostile_json', q{
SELECT string_agg(ip_address || ' ' || (enrichment ? 'urlhaus')::text, ', ' ORDER BY ip_address)
FROM ip_inventory WHERE ip_address IN ('20.9.0.16', '20.9.0.17')}),
	'20.9.0.16 false, 20.9.0.17 true', 'but nothing that jsonb may be unable to hold');

#--------------------------------------------------------------------------------------------------
# jsonb: short to store, gigabytes as text
#--------------------------------------------------------------------------------------------------

create_database('hostile_jsonb', 'UTF8', 'jsonb');
my @jsonb = (
	[ 'many numbers', document(1, q{"urlhaus":[' || repeat('1e131071,', 5000) || '1]}), '20.9.0.1|1||{}' ],
	[ 'large numbers', document(2, '"maxmind":{"asn":1e131071},"cymru":{"asn":-1e131071}'),
		'20.9.0.2|2||{asn_out_of_range,asn_out_of_range}' ],
	[ 'long', document(3, q{"maxmind":{"asn_org":"' || repeat('x', 10000000) || '"}}),
		'20.9.0.3|3||{value_too_long}' ],
	[ 'deep', document(4, q{"deep":' || repeat('[', 1100) || repeat(']', 1100) || '}),
		'|||{document_too_deep}' ]);
# as text more than the server's gigabyte
push @jsonb, [ 'control characters', q{jsonb_build_object('a', repeat(chr(1), 180000000))}, '|||{document_unparsable}' ]
  if full_counts();
survives('hostile_jsonb', 'jsonb', @jsonb);

#--------------------------------------------------------------------------------------------------
# Encodings
#--------------------------------------------------------------------------------------------------

create_database('hostile_ascii', 'SQL_ASCII', 'json');
survives('hostile_ascii', 'json',
	[ 'no UTF-8', q{convert_from('\x7b226e223a22fffe80227d'::bytea, 'SQL_ASCII')}, '|||{document_unparsable}' ],
	[ 'cut short', q{convert_from('\x7b2264736869656c64223a7b226970223a7b226e756d626572223a22312e322e332e34222c2261736e223a372c2261736e616d65223a22e4b8227d7d7d'::bytea, 'SQL_ASCII')},
		'|||{document_unparsable}' ],
	[ 'UTF-8', document(1, q{"maxmind":{"asn_org":"' || convert_from('\xe4b8ad'::bytea, 'SQL_ASCII') || '\u4e2d"}}),
		"20.9.0.1|1|\xE4\xB8\xAD\xE4\xB8\xAD|{}" ]);

{
	local $ENV{PGCLIENTENCODING} = 'UTF8';
	create_database('hostile_latin', 'LATIN1', 'json');
	survives('hostile_latin', 'json',
		[ 'beyond LATIN1', document(1, '"maxmind":{"asn_org":"\u4e2d\u00e9x\ud83d\ude00","c\u6587":"\u6587","n":"\u0000"}'),
			"20.9.0.1|1|?\xC3\xA9x?|{}" ],
		[ 'within LATIN1', document(2, qq{"maxmind":{"asn_org":"\xC3\x89\xC3\xA9"}}),
			"20.9.0.2|2|\xC3\x89\xC3\xA9|{}" ],
		[ 'wrong country', document(3, '"maxmind":{"country":"\u4e2d\u6587"}'), '20.9.0.3|3||{country_invalid}' ]);
}

#--------------------------------------------------------------------------------------------------
# Rejects are counted alike in the ledger, in the status and in the list
#--------------------------------------------------------------------------------------------------

create_v15($node, 'rejects', n => 2000);
$node->safe_psql('rejects', 'SELECT count(*) FROM cowrie_migrate_v16()');
my $listed = $node->safe_psql('rejects', q{
SELECT jsonb_object_agg(reason, n)
FROM (SELECT reason, count(*) AS n FROM cowrie_rejected_values(NULL, 1000000) GROUP BY reason) AS r});
like($listed, qr/"asn_invalid": [1-9]/, 'values were rejected');
like($listed, qr/"country_invalid": [1-9]/, 'of several kinds');
is($node->safe_psql('rejects', q{
SELECT rejects FROM cowrie_migration_log WHERE step IS NULL AND phase IS NULL}),
	$listed, 'the ledger counts what cowrie_rejected_values() lists');
is($node->safe_psql('rejects', 'SELECT rejects FROM cowrie_migration_status'),
	$listed, 'the status as well');
is($node->safe_psql('rejects', 'SELECT count(*) FROM cowrie_rejected_values(NULL, 3)'),
	'3', 'the list ends where it is told to');

$node->stop;
done_testing();
