# What cowrie_enrichment_facts() reads is what PostgreSQL's own JSON operators find, document by
# document, in documents whose values are chosen independently of each other; json and jsonb alike.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use CowrieTest;
use Test::More;

my $documents = full_counts() ? 200_000 : 5_000;
my $node = start_node('documents');

create_v15($node, 'documents', n => 0);
load_reference($node, 'documents');
run_script($node, 'documents', 'documents.sql', n => $documents);

my $query = sub { return $node->safe_psql('documents', $_[0]); };

is($query->('SELECT count(*) FROM documents.actual'), $documents, "$documents documents were read");
is($query->('SELECT count(DISTINCT document::text) > count(*) * 0.98 FROM documents.generated'),
	't', 'hardly two are the same');

# At least so many per cent of the documents have a value: the comparison is not one of nothings.
my %least = (
	source_ip => 30,
	asn => 35,
	country => 25,
	ip_type => 20,
	ip_types => 20,
	organization => 50,
	registry => 20,
	is_scanner => 8,
	is_bogon => 8,
	enriched_at => 25);
foreach my $column (sort keys %least)
{
	is($query->("SELECT count(*) FROM documents.differences WHERE name = '$column'"),
		'0', "$column: no difference from the reference")
	  or diag($query->("SELECT i, left(expected, 100), left(actual, 100), left(document::text, 1500)
		FROM documents.differences WHERE name = '$column' ORDER BY length(document::text), i LIMIT 4"));
	my $share = $query->("SELECT percent FROM documents.shares WHERE name = '$column'");
	cmp_ok($share, '>=', $least{$column}, "$column: $share % of the documents have one");
	cmp_ok($share, '<', 99, "$column: and some have none");
}

# Every reason to reject a value was met, and of those of a whole document the one that json input lets pass: a
# string that holds an object.
is($query->("SELECT string_agg(DISTINCT reason, ' ' ORDER BY reason)
	FROM documents.actual, unnest(rejects) AS r (reason)"),
	'asn_invalid asn_out_of_range country_invalid document_unparsable enriched_at_invalid ip_invalid value_too_long',
	'values were rejected for every reason');

cmp_ok($query->('SELECT count(*) FROM documents.actual_jsonb'),
	'>', $documents / 4, 'many of the documents are read as jsonb too');
is($query->('SELECT count(*) FROM documents.jsonb_differences'),
	'0', 'jsonb gives the same facts and the same rejects')
  or diag($query->('SELECT i, json, jsonb, left(document::text, 1500) FROM documents.jsonb_differences
	ORDER BY length(document::text), i LIMIT 4'));
is($query->('SELECT count(*) FROM documents.generated WHERE NOT holdable') > $documents / 50,
	1, 'and others jsonb could not hold');

# No document at all.
is($query->('SELECT f FROM cowrie_enrichment_facts(NULL::json) AS f'),
	'(,,,,{},,,f,f,,{})', 'SQL NULL has no facts');
is($query->('SELECT f FROM cowrie_enrichment_facts(NULL::jsonb) AS f'),
	'(,,,,{},,,f,f,,{})', 'nor as jsonb');

$node->stop;
done_testing();
