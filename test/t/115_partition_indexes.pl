# The indexes of partitions, built by several processes of which each builds whole ones: amcheck finds nothing in
# them and they have their sizes, at once, rolled back, in a transaction with own work, after crashes, on a
# standby, with wal_level minimal; an index that needs more than that is the server's to build; an index
# that the rows violate is an error, in whichever process.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use CowrieTest;
use Partitions;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $quiet = 'SET client_min_messages = error;';
my $call = 'SELECT count(*) FROM cowrie_migrate_v16();';
my $sessions = full_counts() ? 20000 : 600;
my $indexes = q{(SELECT c.oid, c.relname, c.relpages, c.reltuples, i.indrelid, pg_get_expr(i.indpred, i.indrelid) AS predicate
  FROM pg_partition_tree('session_summaries') AS p JOIN pg_index AS i ON i.indrelid = p.relid
  JOIN pg_class AS c ON c.oid = i.indexrelid WHERE c.relkind = 'i' AND c.relam = 403) AS x};

sub new_node
{
	my ($name, %options) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);
	$node->init(extra => [ '--encoding', 'UTF8', '--no-locale', '--data-checksums' ], %{ $options{init} // {} });
	$node->append_conf('postgresql.conf', join "\n", 'autovacuum = off', 'max_wal_size = 4GB', 'min_parallel_table_scan_size = 0',
		'max_parallel_maintenance_workers = 2', @{ $options{settings} // [] }, '');
	$node->start;
	create_v15($node, 'before', n => $sessions);
	partition_sessions($node, 'before', 'hash');
	$node->safe_psql('before', "CREATE EXTENSION amcheck; ALTER TABLE sessions_0 ADD CONSTRAINT own UNIQUE (created_at, session_id) DEFERRABLE");
	return $node;
}

sub copy
{
	my ($node, $name) = @_;
	copy_database($node, 'before', $name, anew => 1);
	return $name;
}

# Migrates; returns what the server said of building indexes while the columns were filled.
sub built
{
	my ($node, $database, $settings) = @_;
	my ($out, $err) = ('', '');
	$node->psql($database, "SET client_min_messages = debug1; SET cowrie_migrate.fail_at = '2.create_asn_inventory'; "
		  . ($settings // '') . ";SELECT count(*) FROM cowrie_migrate_v16(on_failure => 'keep')", stderr => \$err);
	like($err, qr/injected failure/, "$database: phase 1 is done");
	my @said = $err =~ /(building \d+ indexes, each in one of \d+ processes|building index "[^"]+" on table "(?:sessions_\d)" \w+)/g;
	return join "\n", @said;
}

# What is wrong with the B-trees of the partitions, and with their sizes unless nobody has asked for them
# yet; empty: nothing. Works on a standby, too.
sub wrong_in
{
	my ($node, $database, %options) = @_;
	my ($out, $err) = ('', '');
	my $sized = $options{unsized} ? 'false' : 'true';
	$node->psql($database, qq{
DO \$\$
DECLARE
  each record;
  counted bigint;
BEGIN
  FOR each IN SELECT * FROM $indexes LOOP
    EXECUTE format('SELECT count(*) FROM %s', each.indrelid::regclass) INTO counted;
    IF $sized AND (each.relpages <> pg_relation_size(each.oid) / 8192 OR each.predicate IS NULL AND each.reltuples <> counted) THEN
      RAISE NOTICE '% has % pages, % rows of %', each.relname, each.relpages, each.reltuples, counted;
    END IF;
    IF pg_is_in_recovery() THEN
      PERFORM bt_index_check(each.oid, heapallindexed => true);
    ELSE
      PERFORM bt_index_parent_check(each.oid, heapallindexed => true, rootdescend => true);
    END IF;
  END LOOP;
END \$\$;
SELECT relname, 'twice' FROM $indexes GROUP BY 1, 2, indrelid HAVING count(*) > 1;}, stdout => \$out, stderr => \$err);
	return "$out$err";
}

# Everything that a migration makes.
sub made_in { return migrated_hash(@_) . data_hash(@_) . schema_dump(@_) }

# What it makes where the server builds all indexes.
sub reference_of
{
	my ($node) = @_;
	copy($node, 'reference');
	$node->safe_psql('reference', "$quiet SET max_parallel_maintenance_workers = 0; $call");
	return made_in($node, 'reference');
}

my $node = new_node('partition_indexes', init => { allows_streaming => 1 });
my $reference = reference_of($node);
my $before = data_hash($node, 'before') . schema_dump($node, 'before');

sub is_complete
{
	my ($server, $database, $title) = @_;
	is(made_in($server, $database), $reference, "$title: as by the server alone");
	is(wrong_in($server, $database), '', "$title: amcheck finds nothing, and every index has its size");
	is($server->safe_psql($database, 'SELECT count(*) FROM cowrie_validate_schema()'), '0', "$title: complete")
	  unless $server->safe_psql($database, 'SELECT pg_is_in_recovery()') eq 't';
	return;
}

# Five indexes of four partitions, and one more.
copy($node, 'together');
is(built($node, 'together'), 'building 21 indexes, each in one of 3 processes', 'all are built together');
is(wrong_in($node, 'together'), '', 'phase 1: amcheck finds nothing, and every index has its size');
$node->safe_psql('together', "$quiet $call");
is_complete($node, 'together', 'resumed');

# No worker is to be had: this process builds them all.
copy($node, 'alone');
$node->safe_psql('alone', "$quiet SET max_parallel_workers = 0; $call");
is_complete($node, 'alone', 'without workers');

# None wanted, or too little work.
foreach my $setting ('max_parallel_maintenance_workers = 0', "min_parallel_table_scan_size = '1GB'")
{
	copy($node, 'server');
	my $said = built($node, 'server', "SET $setting");
	unlike($said, qr/each in one of/, "$setting: by the server");
	is(() = $said =~ /building index/g, 21, "$setting: every one");
}

# What the server does more for: an expression, a predicate, a type that is not the server's own, an exclusion
# constraint, BRIN, an index that is not valid.
foreach my $case (
	[ 'an expression', 'CREATE INDEX odd ON sessions_2 (lower(session_id))' ],
	[ 'a predicate', 'CREATE INDEX odd ON sessions_2 (risk_score) WHERE risk_score > 10' ],
	[ 'a type', q{CREATE TYPE mood AS ENUM ('good', 'bad'); ALTER TABLE session_summaries ADD COLUMN mood mood; CREATE INDEX odd ON sessions_2 (mood)} ],
	[ 'a domain', q{CREATE DOMAIN short AS text; ALTER TABLE session_summaries ADD COLUMN mood short; CREATE INDEX odd ON sessions_2 (mood)} ],
	[ 'an exclusion constraint', 'ALTER TABLE sessions_2 ADD CONSTRAINT odd EXCLUDE USING btree (session_id WITH =)' ],
	[ 'BRIN', 'CREATE INDEX odd ON sessions_2 USING brin (created_at)' ],
	[ 'an index that is not valid', q{CREATE INDEX odd ON sessions_2 (risk_score); UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'odd'::regclass} ])
{
	my ($what, $setup) = @$case;
	copy($node, 'odd');
	$node->safe_psql('odd', "$quiet $setup");
	my $said = built($node, 'odd');
	like($said, qr/^building 16 indexes, each in one of 3 processes/, "$what: three partitions together");
	is(() = $said =~ /building index "[^"]+" on table "sessions_2"/g, 6, "$what: the fourth by the server");
	is($node->safe_psql('odd', q{SELECT indisvalid FROM pg_index WHERE indexrelid = 'odd'::regclass}), 't', "$what: valid");
	is(wrong_in($node, 'odd'), '', "$what: amcheck finds nothing");
}

# Rows that the index forbids: the error of the server, and everything is as before.
my $files = "SELECT string_agg(pg_relation_filenode(oid)::text, ',' ORDER BY oid) FROM $indexes";
foreach my $case (
	[ 'a unique index', q{CREATE INDEX odd ON sessions_3 (vt_flagged); UPDATE pg_index SET indisunique = true WHERE indexrelid = 'odd'::regclass},
		'23505', qr/could not create unique index "odd"/, qr/Key \(vt_flagged\)=\(.*\) is duplicated/ ],
	[ 'an exclusion constraint on a column that is filled', q{ALTER TABLE session_summaries ADD COLUMN snapshot_asn integer;
		ALTER TABLE sessions_3 ADD CONSTRAINT odd EXCLUDE USING btree (snapshot_asn WITH =)},
		'23P01', qr/could not create exclusion constraint "odd"/, qr/Key \(snapshot_asn\)=\(\d+\) conflicts with key/ ])
{
	my ($what, $setup, $state, $message, $detail) = @$case;
	copy($node, 'violated');
	$node->safe_psql('violated', $setup);
	my ($data, $files_before, $err) = (data_hash($node, 'violated'), $node->safe_psql('violated', $files), '');
	$node->psql('violated', "\\set VERBOSITY verbose\n$quiet " . $call =~ s/\(\)/(repair => true)/r, stderr => \$err);
	like($err, qr/$state: .*$message/, "rows that $what forbids: the error of the server");
	like($err, qr/DETAIL: .*$detail/, 'with its detail');
	is(data_hash($node, 'violated') . $node->safe_psql('violated', $files), $data . $files_before, 'and everything is as before');
}

# In a transaction that has written itself, after a savepoint and a ROLLBACK TO.
copy($node, 'own');
$node->safe_psql('own', qq{$quiet BEGIN;
INSERT INTO session_summaries (session_id, enrichment, created_at, updated_at) SELECT 'own ' || i, '{}', '2024-01-01', '2024-01-01' FROM generate_series(1, 50) AS i;
UPDATE session_summaries SET login_attempts = 7 WHERE session_id LIKE '%3%';
SAVEPOINT one; $call ROLLBACK TO one; $call COMMIT});
is(wrong_in($node, 'own'), '', 'own work in the transaction: amcheck finds nothing');
is($node->safe_psql('own', q{SELECT count(*) FROM session_summaries WHERE session_id LIKE 'own %'}), 50, 'and it is there');
copy($node, 'back');
$node->safe_psql('back', "$quiet BEGIN; $call ROLLBACK");
is(data_hash($node, 'back') . schema_dump($node, 'back') . wrong_in($node, 'back', unsized => 1), $before, 'ROLLBACK: as before');

# A standby, and a crash right after the commit.
{
	copy($node, 'replayed');
	$node->safe_psql('postgres', q{ALTER SYSTEM SET wal_consistency_checking = 'all'});
	$node->reload;
	$node->backup('base');
	my $standby = PostgreSQL::Test::Cluster->new('partition_indexes_standby');
	$standby->init_from_backup($node, 'base', has_streaming => 1);
	$standby->start;
	$node->safe_psql('replayed', "CHECKPOINT");
	$node->safe_psql('replayed', "$quiet $call");
	$node->wait_for_catchup($standby);
	is_complete($standby, 'replayed', 'standby');
	$standby->stop;
	$node->stop('immediate');
	$node->start;
	is_complete($node, 'replayed', 'after a crash');
}

# Rows that old snapshots see may be removed: such a snapshot must not read the new indexes.
if ($node->safe_psql('postgres', 'SHOW server_version_num') < 170000)
{
	$node->append_conf('postgresql.conf', 'old_snapshot_threshold = 1h');
	$node->restart;
	copy($node, 'pruned');
	unlike(built($node, 'pruned'), qr/each in one of/, 'old_snapshot_threshold: by the server');
	is($node->safe_psql('pruned', "SELECT count(*) FROM $indexes JOIN pg_index AS i ON i.indexrelid = x.oid WHERE NOT i.indcheckxmin"),
		'0', 'and old snapshots do not use the indexes');
}
$node->stop;

# Without WAL: small files are logged at the commit, large ones are synced.
my $minimal = new_node('partition_indexes_minimal', settings => [ 'wal_level = minimal', 'max_wal_senders = 0' ]);
$reference = reference_of($minimal);
foreach my $threshold ('0', '1GB')
{
	$minimal->safe_psql('postgres', "ALTER SYSTEM SET wal_skip_threshold = '$threshold'");
	$minimal->reload;
	copy($minimal, 'crashed');
	$minimal->safe_psql('crashed', 'CHECKPOINT');
	$minimal->safe_psql('crashed', "$quiet $call");
	$minimal->stop('immediate');
	$minimal->start;
	is_complete($minimal, 'crashed', "wal_level minimal, wal_skip_threshold $threshold, after a crash");
}
$minimal->stop;
done_testing();
