# The application on the result: what its ORM and its loader do is played with their statements, as the
# owner of the tables, who is no superuser; with the extension, and again after it has been dropped. What
# docs/COMPATIBILITY.md says is done or refused is done or refused.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use CowrieTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_node('application', q{timezone = 'UTC'});
create_v15($node, 'app', owner => 'app_owner', n => 600);

sub app
{
	my ($sql) = @_;
	return $node->safe_psql('app', $sql, extra_params => [ '-U', 'app_owner' ]);
}

# The SQLSTATE with which a statement is refused.
sub refused
{
	my ($sql) = @_;
	$node->psql('app', "\\set VERBOSITY sqlstate\n$sql", stderr => \my $errors,
		extra_params => [ '-U', 'app_owner' ]);
	return $errors =~ /ERROR:  (\w{5})/ ? $1 : 'not refused';
}

is(app('SELECT usesuper FROM pg_user WHERE usename = current_user'), 'f', 'no superuser');
app('SELECT count(*) FROM cowrie_migrate_v16()');
is(app(q{SELECT value::integer FROM schema_state WHERE key = 'schema_version'}), 16,
	'the version that the application reads');

# SQLAlchemy's type JSON sends a parameter with a cast to json, whatever the column is.
my $provider = q{CAST('{"maxmind": {"country": "%s", "asn": %d, "asn_org": "%s"},
  "spur": {"client": {"types": ["VPN", "DATACENTER"]}}, "greynoise": {"noise": %s}}' AS JSON)};

sub workflow
{
	my ($title, $number) = @_;
	my $new_ip = "198.51.100.$number";
	my $new_asn = 64000 + $number;
	my $sessions = app('SELECT count(*) FROM session_summaries');

	# A session from an address that is known: read it, write the session with its snapshot, count it.
	my ($known, $asn, $country, $count) = split /\|/, app(q{
SELECT ip_address, current_asn, geo_country, session_count FROM ip_inventory
WHERE current_asn IS NOT NULL AND geo_country <> 'XX' ORDER BY session_count DESC, ip_address LIMIT 1});
	app(qq{BEGIN;
INSERT INTO session_summaries (session_id, first_event_at, last_event_at, event_count, enrichment, source_ip,
  enrichment_at, snapshot_asn, snapshot_country, snapshot_ip_type)
SELECT 'known-$number', '2024-03-05 10:00+00', '2024-03-05 10:05+00', 3, CAST('{"dshield": {}}' AS JSON),
  ip_address, now(), current_asn, geo_country, ip_types[1] FROM ip_inventory WHERE ip_address = '$known';
UPDATE ip_inventory SET session_count = session_count + 1, last_seen = greatest(last_seen, '2024-03-05 10:05+00'),
  updated_at = now() WHERE ip_address = '$known';
COMMIT});
	is(app("SELECT session_count FROM ip_inventory WHERE ip_address = '$known'"), $count + 1,
		"$title: a session from a known address");

	# A session from an address and an ASN that are new: first the ASN, then the address, then the session.
	is(app("BEGIN; SELECT * FROM asn_inventory WHERE asn_number = $new_asn FOR UPDATE; COMMIT"), '',
		"$title: the ASN is looked up under a lock");
	my $document = sprintf $provider, 'de', $new_asn, 'Example', 'true';
	app(qq{BEGIN;
INSERT INTO asn_inventory (asn_number, organization_name, organization_country, rir_registry, first_seen, last_seen,
  unique_ip_count, total_session_count, enrichment)
VALUES ($new_asn, 'Example', 'DE', 'RIPE', now(), now(), 0, 0, CAST('{}' AS JSON));
INSERT INTO ip_inventory (ip_address, current_asn, asn_last_verified, first_seen, last_seen, session_count,
  enrichment, enrichment_updated_at, enrichment_version)
VALUES ('$new_ip', $new_asn, now(), now(), now(), 1, $document, now(), '2.2');
INSERT INTO ip_asn_history (ip_address, asn_number, verification_source) VALUES ('$new_ip', $new_asn, 'maxmind');
INSERT INTO session_summaries (session_id, first_event_at, last_event_at, enrichment, source_ip, enrichment_at,
  snapshot_asn, snapshot_country, snapshot_ip_type)
VALUES ('new-$number', now(), now(), CAST('{}' AS JSON), '$new_ip', now(), $new_asn, 'DE', 'VPN');
UPDATE asn_inventory SET unique_ip_count = unique_ip_count + 1, total_session_count = total_session_count + 1,
  last_seen = now(), updated_at = now() WHERE asn_number = $new_asn;
COMMIT});
	is(app("SELECT geo_country, ip_types, is_scanner, is_bogon FROM ip_inventory WHERE ip_address = '$new_ip'"),
		'DE|{VPN,DATACENTER}|t|f', "$title: a new address, its generated columns");

	# The address moves to another ASN: the inventory follows, the history has both, snapshots stay.
	app(qq{BEGIN;
SELECT 1 FROM asn_inventory WHERE asn_number = $asn FOR UPDATE;
UPDATE ip_inventory SET current_asn = $asn, asn_last_verified = now(), updated_at = now()
WHERE ip_address = '$new_ip';
INSERT INTO ip_asn_history (ip_address, asn_number, verification_source) VALUES ('$new_ip', $asn, 'cymru');
COMMIT});
	is(app("SELECT string_agg(asn_number::text, ' ' ORDER BY observed_at) FROM ip_asn_history"
			  . " WHERE ip_address = '$new_ip'"), "$new_asn $asn", "$title: an address that moves, its history");
	is(app(qq{SELECT s.snapshot_asn, i.current_asn FROM session_summaries AS s
JOIN ip_inventory AS i ON i.ip_address = s.source_ip WHERE s.session_id = 'new-$number'}), "$new_asn|$asn",
		"$title: then and now");

	# Addresses that are due for a refresh: all that the migration has made, the busiest first.
	my $stale = q{SELECT ip_address FROM ip_inventory
WHERE enrichment_updated_at IS NULL OR enrichment_updated_at < now() - interval '30 days'
ORDER BY session_count DESC, ip_address};
	my @due = split /\n/, app($stale);
	is(scalar(@due), app('SELECT count(*) FROM ip_inventory') - app(
			'SELECT count(*) FROM ip_inventory WHERE enrichment_updated_at IS NOT NULL'), "$title: stale addresses");
	my $refreshed = $due[0];
	my $fresh = sprintf $provider, 'Germany', 64999, 'x', '"maybe"';
	app(qq{UPDATE ip_inventory SET enrichment = $fresh, enrichment_updated_at = now(), enrichment_version = '2.2',
updated_at = now() WHERE ip_address = '$refreshed'});
	is(app("SELECT geo_country, is_scanner FROM ip_inventory WHERE ip_address = '$refreshed'"), 'XX|f',
		"$title: a refresh with values that no provider should send");
	isnt((split /\n/, app($stale))[0], $refreshed, "$title: it is stale no more");

	# Snapshots are asked without a join; they are those of the time of attack.
	is(app(qq{SELECT count(*) FROM session_summaries WHERE snapshot_country = '$country'
AND first_event_at >= '2024-03-01' AND first_event_at < '2024-04-01'}), app(qq{
SELECT count(*) FROM session_summaries WHERE snapshot_country = '$country'
AND to_char(first_event_at, 'YYYY-MM') = '2024-03'}), "$title: one country, one month");
	is(app(qq{SELECT snapshot_asn, snapshot_country FROM session_summaries WHERE session_id = 'known-$number'}),
		"$asn|$country", "$title: the snapshot of the session");

	# What the keys and checks are for.
	my $session = sub { return "INSERT INTO session_summaries (session_id, $_[0]) VALUES ('x$number', $_[1])" };
	is(refused($session->('source_ip', q{'198.51.100.255'})), '23503', "$title: a session before its address");
	is(refused("UPDATE ip_inventory SET current_asn = 4199999 WHERE ip_address = '$new_ip'"), '23503',
		"$title: an address before its ASN");
	is(refused("DELETE FROM ip_inventory WHERE ip_address = '$new_ip'"), '23503', "$title: an address in use");
	is(refused("DELETE FROM asn_inventory WHERE asn_number = $asn"), '23503', "$title: an ASN in use");
	is(refused($session->('snapshot_country', q{'de'})), '23514', "$title: a country in small letters");
	is(refused('INSERT INTO asn_inventory (first_seen, last_seen) VALUES (now(), now())'), '23502',
		"$title: an ASN without its number");
	is(refused(q{UPDATE ip_inventory SET enrichment = CAST('{"note": "\u0000"}' AS JSON)}), '22P05',
		"$title: what jsonb cannot hold");
	is(refused("UPDATE ip_inventory SET geo_country = 'DE'"), '428C9', "$title: a generated column is not written");

	# A loader that knows nothing of version 16.
	app("INSERT INTO session_summaries (session_id, first_event_at, enrichment)"
		  . " VALUES ('old-$number', now(), CAST('null' AS JSON))");
	is(app('SELECT count(*) FROM session_summaries'), $sessions + 3, "$title: three sessions more");
	return;
}

workflow('with the extension', 1);

# A session of the old loader that could have a snapshot: a warning, and repair fills it.
app(q{INSERT INTO session_summaries (session_id, first_event_at, enrichment)
VALUES ('later', now(), CAST('{"dshield": {"ip": {"number": "192.0.2.7", "asn": 64500}}}' AS JSON))});
is(app('SELECT severity, object_name, actual FROM cowrie_validate_schema()'),
	'warning|session_summaries|1 of 604 sessions without', 'the old loader: a warning');
is(app('SELECT status, detail FROM cowrie_migrate_v16()'), 'skipped|schema version 16 is complete, nothing to do',
	'and nothing to migrate');
app('SELECT count(*) FROM cowrie_migrate_v16(repair => true)');
is(app(q{SELECT source_ip, snapshot_asn FROM session_summaries WHERE session_id = 'later'}), '192.0.2.7|64500',
	'repair fills it');
is(app('SELECT count(*) FROM cowrie_validate_schema()'), '0', 'no findings');
is(app(q{SELECT enrichment_updated_at IS NOT NULL, session_count FROM ip_inventory
WHERE ip_address = '198.51.100.1'}), 't|1', 'and leaves what the application has written');

# The way back would now lose what the application has written, and says how much.
$node->psql('app', 'SELECT count(*) FROM cowrie_cleanup_v16()', stderr => \my $errors,
	extra_params => [ '-U', 'app_owner' ]);
like($errors, qr/cleanup would lose data that cannot be rebuilt.*rows? enriched by the application/s,
	'the way back counts what it would cost');

$node->safe_psql('app', 'DROP EXTENSION cowrie_migrate');
workflow('without the extension', 2);

$node->stop;
done_testing();
