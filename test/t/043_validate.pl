# Validate is safe at any time: it reads, takes no lock that anybody could feel, answers on a standby
# and to whoever may read the tables, and its catalog part takes milliseconds.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use CowrieTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = start_node('validated', 'wal_level = replica', 'max_wal_senders = 5');
create_v15($primary, 'app', n => 500);
$primary->safe_psql('app', 'CREATE ROLE reader LOGIN; GRANT pg_read_all_data TO reader');

my $findings = 'SELECT severity, object_type, object_name, problem, actual, loses_data'
  . ' FROM cowrie_validate_schema()';

# A sound version 15, and what is said of one that is not.
my $sound = 'SELECT severity, object_name, problem FROM cowrie_validate_schema(version => 15)';
is($primary->safe_psql('app', $sound), '', 'a sound version 15');
is($primary->safe_psql('app', "BEGIN; DROP INDEX ix_session_summaries_flags;"
		. " ALTER TABLE raw_events DROP CONSTRAINT raw_events_pkey;"
		. " ALTER TABLE session_summaries ADD COLUMN snapshot_asn integer; $sound; ROLLBACK"),
	"warning|ix_session_summaries_flags|missing\nerror|raw_events_pkey|missing\n"
	  . 'error|session_summaries.snapshot_asn|wrong',
	'an unsound version 15');

$primary->safe_psql('app', 'SELECT count(*) FROM cowrie_migrate_v16()');
is($primary->safe_psql('app', $findings), '', 'complete');

# Every kind of finding for which rows are read as well.
$primary->safe_psql('app', q{
ALTER TABLE session_summaries DROP CONSTRAINT snapshot_country_iso;
UPDATE session_summaries SET snapshot_country = 'us' WHERE snapshot_country = 'US';
ALTER TABLE asn_inventory ALTER COLUMN organization_name TYPE varchar(500),
  ALTER COLUMN enrichment TYPE json;
ALTER TABLE asn_inventory ALTER COLUMN rir_registry TYPE text;
UPDATE asn_inventory SET rir_registry = 'a registry of another name'
WHERE asn_number = (SELECT min(asn_number) FROM asn_inventory)});
my $expected = $primary->safe_psql('app', $findings);
like($expected, qr/snapshot_country_iso\|missing\|rows that violate it: [1-9]\d*\|t/, 'violations');
like($expected, qr/rir_registry\|wrong\|text; values that are not valid as character varying\(10\): 1\|t/,
	'values that do not fit');

# Locks.
is($primary->safe_psql('app', "BEGIN; SELECT count(*) > 0 FROM cowrie_validate_schema();"
		. " SELECT DISTINCT mode FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'relation';"
		. ' ROLLBACK'), "t\nAccessShareLock", 'ACCESS SHARE at most');
is($primary->safe_psql('app', "SET default_transaction_read_only = on; $findings"), $expected,
	'in a read-only transaction');
is($primary->safe_psql('app', $findings, extra_params => [ '-U', 'reader' ]), $expected,
	'as a role that may only read');

# The catalog part, without what the rows tell: the fastest of several, on a complete schema.
create_v15($primary, 'fast', n => 0);
$primary->safe_psql('fast', 'SELECT count(*) FROM cowrie_migrate_v16()');
my $times = $primary->safe_psql('fast', join '', "\\timing on\n",
	"SELECT count(*) FROM cowrie_validate_schema();\n" x 5);
my ($best) = sort { $a <=> $b } $times =~ /Time: ([\d.]+) ms/g;
note("catalog part of validate: $best ms");
ok(defined $best, 'timed');

# A standby.
$primary->backup('copy');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'copy', has_streaming => 1);
$standby->start;
$primary->wait_for_catchup($standby);
is($standby->safe_psql('app', $findings), $expected, 'on a standby');
is($standby->safe_psql('fast', $findings), '', 'a complete schema on a standby');
$standby->stop;

# What the rows stand in the way of is refused; the remedies decide, repair does the rest.
my ($out, $err) = ('', '');
$primary->psql('app', 'SELECT count(*) FROM cowrie_migrate_v16(repair => true)', stderr => \$err);
like($err, qr/ERROR:  repair would lose data/, 'refused');
$primary->safe_psql('app', 'SELECT remedy FROM cowrie_validate_schema() WHERE loses_data \gexec');
$primary->safe_psql('app', 'SELECT count(*) FROM cowrie_migrate_v16(repair => true)');
is($primary->safe_psql('app', $findings), '', 'mended');

$primary->stop;
done_testing();
