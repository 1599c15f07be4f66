# The rewrite that copies the heap and leaves TOAST where it is gives what ALTER TABLE gives, whatever the
# table holds, and leaves a table of which amcheck and pg_visibility say nothing, whose rows and chunks
# go when they are deleted: rolled back, beside own work, after crashes, on a standby, prepared, decoded,
# with every wal_level, on a disk that is full.
#
# `make test` takes a sample, `make test-full` more sessions and more points of crashes.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use CowrieTest;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Session;
use Test::More;
use Time::HiRes qw(time usleep);

my $quiet = 'SET client_min_messages = error;';
my $call = 'SELECT count(*) FROM cowrie_migrate_v16();';
my $way = q{SELECT detail FROM cowrie_migrate_v16() WHERE step = 'fill_columns';};
my $sessions = full_counts() ? 4000 : 200;
my $points = full_counts() ? 20 : 1;

sub new_node
{
	my ($name, %options) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);
	$node->init(extra => [ '--encoding', 'UTF8', '--no-locale', '--data-checksums' ], %{ $options{init} // {} });
	$node->append_conf('postgresql.conf',
		join "\n", 'shared_buffers = 64MB', 'max_wal_size = 4GB', 'min_parallel_table_scan_size = 0',
		'max_parallel_maintenance_workers = 0', 'autovacuum = off', 'max_prepared_transactions = 5',
		@{ $options{settings} // [] }, '');
	$node->start;
	return $node;
}

sub nasty
{
	my ($node, $database, $fillfactor) = @_;
	create_v15($node, $database, n => $sessions);
	run_script($node, $database, 'nasty.sql', fillfactor => $fillfactor);
	$node->safe_psql($database, 'CREATE EXTENSION amcheck; CREATE EXTENSION pg_visibility');
	return;
}

sub copy_of
{
	my ($node, $template, $name) = @_;
	$node->safe_psql('postgres', "DROP DATABASE IF EXISTS $name");
	$node->safe_psql('postgres', "CREATE DATABASE $name TEMPLATE $template");
	return $name;
}

# Everything that must not depend on the way: the columns of every tier, the user's own columns.
sub all_of
{
	my ($node, $database) = @_;
	return data_hash($node, $database)
	  . "\n" . migrated_hash($node, $database)
	  . "\n" . $node->safe_psql($database, q{
SELECT md5(string_agg(ROW(session_id, note, bulk, missing, late)::text, '' ORDER BY session_id COLLATE "C"))
FROM session_summaries});
}

# What the server's own checks find wrong; empty: nothing. Works on a standby, too. (From 19 on
# queries that only read set the map, too, so that pg_class has what it was at some VACUUM or ANALYZE.)
my $written = q{(SELECT oid, relname, reltoastrelid, relallvisible FROM pg_class WHERE relkind = 'r'
  AND relname IN ('session_summaries', 'asn_inventory', 'ip_inventory', 'ip_asn_history')) AS w};
my $check = qq{
SELECT 'heap', relname, v::text FROM $written, LATERAL verify_heapam(oid, check_toast => true) AS v;
SELECT 'toast', relname, v::text FROM $written, LATERAL verify_heapam(reltoastrelid) AS v WHERE reltoastrelid <> 0;
SELECT 'visible', relname, t_ctid FROM $written, LATERAL pg_check_visible(oid);
SELECT 'frozen', relname, t_ctid FROM $written, LATERAL pg_check_frozen(oid);
SELECT 'map', relname, s.*, relallvisible FROM $written, LATERAL pg_visibility_map_summary(oid) AS s
WHERE relallvisible <> s.all_visible AND current_setting('server_version_num')::integer < 190000;
DO \$\$
DECLARE
  each regclass;
BEGIN
  FOR each IN SELECT i.indexrelid::regclass FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
    WHERE c.relam = 403 AND i.indrelid IN (SELECT unnest(ARRAY[oid, reltoastrelid]) FROM $written)
  LOOP
    IF pg_is_in_recovery() THEN
      PERFORM bt_index_check(each, heapallindexed => true);
    ELSE
      PERFORM bt_index_parent_check(each, heapallindexed => true, rootdescend => true);
    END IF;
  END LOOP;
END \$\$};

sub wrong_in
{
	my ($node, $database) = @_;
	my ($out, $err) = ('', '');
	$node->psql($database, $check, stdout => \$out, stderr => \$err);
	return "$out$err";
}

# The same, and then every row is deleted: nothing may stay, in the heap or in TOAST.
sub is_sound
{
	my ($node, $database, $title) = @_;
	is(wrong_in($node, $database), '', "$title: amcheck and pg_visibility find nothing");
	is($node->safe_psql($database, q{
SELECT count(*) FROM pg_attribute WHERE attrelid = 'session_summaries'::regclass AND atthasmissing}),
		'0', "$title: every row has all columns");
	$node->safe_psql($database, q{
DELETE FROM password_session_usage;
DELETE FROM longtail_detection_sessions;
DELETE FROM session_summaries});
	$node->safe_psql($database, 'VACUUM session_summaries');
	is($node->safe_psql($database, q{
SELECT pg_relation_size(oid), pg_relation_size(reltoastrelid) FROM pg_class WHERE oid = 'session_summaries'::regclass}),
		'0|0', "$title: after DELETE and VACUUM nothing is left in the files");
	return;
}

my $node = new_node('rewrite', init => { allows_streaming => 'logical' },
	settings => [ 'wal_level = logical' ]);

# Both ways, on tables of every shape.
foreach my $fillfactor (10, 100)
{
	my $title = "fillfactor $fillfactor";
	nasty($node, "nasty$fillfactor", $fillfactor);
	like($node->safe_psql("nasty$fillfactor", q{
CREATE EXTENSION pageinspect;
SELECT count(*) FILTER (WHERE t_infomask & 4096 <> 0) > 0, count(*) FILTER (WHERE t_infomask2 & 16384 <> 0) > 0,
  count(*) FILTER (WHERE t_infomask & 4 <> 0) > 0
FROM generate_series(0, pg_relation_size('session_summaries') / 8192 - 1) AS block,
LATERAL heap_page_items(get_raw_page('session_summaries', block::integer))}), qr/t\|t\|t/,
		"$title: there are multixacts, chains and values in TOAST");
	my %got;
	foreach my $rewrite ('auto', 'alter_table')
	{
		my $database = copy_of($node, "nasty$fillfactor", $rewrite);
		my $detail = $node->safe_psql($database, "$quiet SET cowrie_migrate.rewrite = $rewrite; $way");
		like($detail, $rewrite eq 'auto' ? qr/; heap only, TOAST kept$/
			: qr/; by ALTER TABLE: cowrie_migrate\.rewrite is alter_table$/, "$title, $rewrite: says how");
		$got{$rewrite} = all_of($node, $database) . "\n" . $node->safe_psql($database, q{
SELECT session_count, documents_fingerprint, times_fingerprint, settled_documents, rejects
FROM cowrie_migration_log WHERE session_count IS NOT NULL}) . schema_dump($node, $database);
		is($node->safe_psql($database, 'SELECT count(*) FROM cowrie_validate_schema()'), '0', "$title, $rewrite: complete");
	}
	is($got{auto}, $got{alter_table}, "$title: both ways give the same rows, proof and definitions");
	# (From 16 on the server may add pages at the end that no row came to.)
	is($node->safe_psql('auto', "SELECT count(*) > 0, bool_and(all_visible AND all_frozen) FROM $_ AS t"
				. " JOIN pg_visibility_map('$_') AS v ON v.blkno = (t.ctid::text::point)[0]"), 't|t',
		"$title: every page of $_ is visible to all and frozen")
	  foreach qw(session_summaries asn_inventory ip_inventory ip_asn_history);
	is_sound($node, 'auto', $title);
}
my $template = 'nasty100';
my $reference = do {
	copy_of($node, $template, 'reference');
	$node->safe_psql('reference', "$quiet SET cowrie_migrate.rewrite = alter_table; $call");
	all_of($node, 'reference');
};

# The statistics of the new file, and its transaction numbers.
copy_of($node, $template, 'catalog');
$node->safe_psql('catalog', "$quiet VACUUM FREEZE session_summaries; $call");
is($node->safe_psql('catalog', q{
SELECT relpages = pg_relation_size(oid) / 8192, reltuples = (SELECT count(*) FROM session_summaries),
  relallvisible = relpages, age(relfrozenxid) < 1000, mxid_age(relminmxid) < 1000
FROM pg_class WHERE oid = 'session_summaries'::regclass}), 't|t|t|t|t', 'the row of pg_class fits the file');

# Why the heap cannot be copied alone.
foreach my $case (
	[ 'event trigger forbid_it', q{
CREATE FUNCTION rewritten() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM set_config('test.rewritten', 'yes', false); END $$;
CREATE EVENT TRIGGER forbid_it ON table_rewrite EXECUTE FUNCTION rewritten()} ],
	[ 'column "snapshot_asn" is of type bigint', 'ALTER TABLE session_summaries ADD COLUMN snapshot_asn bigint' ],
	[ 'column "snapshot_ip_types" has values from an earlier attempt', 'ALTER TABLE session_summaries ADD COLUMN snapshot_ip_types text[]' ],
	[ 'constraint own checks a column that is filled',
		'ALTER TABLE session_summaries ADD COLUMN source_ip varchar(45), ADD CONSTRAINT own CHECK (length(source_ip) < 100)' ],
	[ 'constraint own checks a column that is filled', q{
CREATE TABLE countries (code varchar(2) PRIMARY KEY);
INSERT INTO countries SELECT chr(a) || chr(b) FROM generate_series(65, 90) AS a CROSS JOIN generate_series(65, 90) AS b;
ALTER TABLE session_summaries ADD COLUMN snapshot_country varchar(2), ADD CONSTRAINT own FOREIGN KEY (snapshot_country) REFERENCES countries} ])
{
	my ($reason, $setup) = @$case;
	copy_of($node, $template, 'other');
	$node->safe_psql('other', $setup);
	my ($status, $out, $err) = $node->psql('other', "$quiet " . $way =~ s/\(\)/(repair => true)/r);
	like("$out$err", qr/; by ALTER TABLE: \Q$reason\E$/, "by ALTER TABLE: $reason");
}

# Foreign keys: what they forbid stays out; a declared one is no reason to copy everything.
{
	copy_of($node, $template, 'other');
	$node->safe_psql('other', 'CREATE TABLE countries (code varchar(2) PRIMARY KEY);
ALTER TABLE session_summaries ADD COLUMN snapshot_country varchar(2), ADD CONSTRAINT own FOREIGN KEY (snapshot_country) REFERENCES countries');
	my $before = data_hash($node, 'other') . schema_dump($node, 'other');
	my ($status, $out, $err) = $node->psql('other', "\\set VERBOSITY verbose\n$quiet " . $call =~ s/\(\)/(repair => true)/r);
	like($err, qr/23503: .*violates foreign key constraint "own"/, 'a foreign key that the filled columns violate: an error');
	is(data_hash($node, 'other') . schema_dump($node, 'other'), $before, 'and everything is as before');

	copy_of($node, $template, 'other');
	$node->safe_psql('other', 'CREATE TABLE ip_inventory (ip_address varchar(45) PRIMARY KEY);
ALTER TABLE session_summaries ADD COLUMN source_ip varchar(45), ADD FOREIGN KEY (source_ip) REFERENCES ip_inventory');
	($status, $out, $err) = $node->psql('other', "$quiet " . $way =~ s/\(\)/(repair => true)/r);
	like("$out$err", qr/heap only, TOAST kept/, 'the declared foreign key: heap only');
}

# Rolled back, to a savepoint, and in a transaction that has written itself.
my $own_work = q{
INSERT INTO session_summaries (session_id, enrichment, created_at, updated_at) SELECT 'own ' || i, json_build_object('maxmind',
  json_build_object('asn', 65000), 'noise', (SELECT string_agg(md5(i || '.' || j), '') FROM generate_series(1, 200) AS j)), '2024-01-01', '2024-01-01'
FROM generate_series(1, 30) AS i;
UPDATE session_summaries SET login_attempts = login_attempts + 1 WHERE session_id LIKE 'own 1%' OR event_count % 5 = 0;
DELETE FROM session_summaries WHERE session_id LIKE 'own 2%' OR session_id LIKE 'pglz 1%';
SAVEPOINT undone;
UPDATE session_summaries SET login_attempts = -5, enrichment = '{"undone": 1}';
ROLLBACK TO undone;
RELEASE undone;};
{
	copy_of($node, $template, 'work');
	my $before = data_hash($node, 'work') . schema_dump($node, 'work');
	my $file = $node->safe_psql('work', q{SELECT pg_relation_filenode('session_summaries')});
	$node->safe_psql('work', "$quiet BEGIN; $call ROLLBACK");
	is(data_hash($node, 'work') . schema_dump($node, 'work'), $before, 'ROLLBACK: as before');
	is($node->safe_psql('work', q{SELECT pg_relation_filenode('session_summaries')}), $file, 'ROLLBACK: the old file');
	is(wrong_in($node, 'work'), '', 'ROLLBACK: amcheck and pg_visibility find nothing');
	my %got;
	foreach my $rewrite ('auto', 'alter_table')
	{
		copy_of($node, $template, 'work');
		my $session = Session->new($node, 'work');
		$session->run("$quiet SET cowrie_migrate.rewrite = $rewrite; BEGIN;$own_work SAVEPOINT first; $call ROLLBACK TO first; $call");
		my $seen = $session->run(q{SELECT count(*), count(source_ip) FROM session_summaries WHERE session_id LIKE 'own%'});
		$session->run(q{DELETE FROM session_summaries WHERE session_id LIKE 'own 3%'; COMMIT});
		$session->close;
		$got{$rewrite} = "$seen\n" . all_of($node, 'work');
		is_sound($node, 'work', 'own work in the transaction') if $rewrite eq 'auto';
	}
	is($got{auto}, $got{alter_table}, 'own work in the transaction, and a savepoint: both ways give the same');
}

# A snapshot from before sees what had committed before it; by ALTER TABLE it sees nothing.
{
	my %seen;
	foreach my $rewrite ('auto', 'alter_table')
	{
		copy_of($node, $template, 'old_snapshot');
		my $old = Session->new($node, 'old_snapshot');
		$old->run('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM schema_metadata');
		$node->safe_psql('old_snapshot', "$quiet SET cowrie_migrate.rewrite = $rewrite; $call");
		$seen{$rewrite} = $old->run('SELECT count(*), sum(length(enrichment::text)) > 0 FROM session_summaries');
		$old->close;
	}
	is($seen{auto}, $node->safe_psql($template, 'SELECT count(*), true FROM session_summaries') =~ s/\|t$/|t/r,
		'an old snapshot sees all rows and their documents');
	is($seen{alter_table}, '0|', 'where ALTER TABLE has rewritten it sees none');
	is(wrong_in($node, 'old_snapshot'), '', 'and nothing is wrong');
}
# What the old snapshot does not see yet is not frozen.
{
	copy_of($node, $template, 'younger');
	my $old = Session->new($node, 'younger');
	$old->run('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM schema_metadata');
	my $count = $node->safe_psql('younger', 'SELECT count(*) FROM session_summaries');
	$node->safe_psql('younger', q{UPDATE session_summaries SET login_attempts = 9 WHERE session_id LIKE 'threshold%'});
	my $younger = $node->safe_psql('younger', q{SELECT count(*) FROM session_summaries WHERE session_id LIKE 'threshold%'});
	$node->safe_psql('younger', "$quiet $call");
	is($old->run('SELECT count(*) FROM session_summaries'), $count - $younger, 'an old snapshot does not see younger rows');
	$old->close;
	is_sound($node, 'younger', 'younger rows');
}

# Logical decoding: no row of the rewrite, and an update afterwards leaves the document unchanged in TOAST.
{
	copy_of($node, $template, 'decoded');
	$node->safe_psql('decoded', q{SELECT pg_create_logical_replication_slot('decoded', 'test_decoding')});
	$node->safe_psql('decoded', "$quiet $call");
	is($node->safe_psql('decoded', q{
SELECT count(*) FROM pg_logical_slot_get_changes('decoded', NULL, NULL) WHERE data ~ '^table (public\.session_summaries|pg_toast)'}),
		'0', 'test_decoding shows no row of the rewrite');
	$node->safe_psql('decoded', q{UPDATE session_summaries SET risk_score = 7 WHERE session_id LIKE 'huge%'});
	is($node->safe_psql('decoded', q{
SELECT count(*) FROM pg_logical_slot_get_changes('decoded', NULL, NULL) WHERE data ~ 'UPDATE.*enrichment\[json\]:unchanged-toast-datum'}),
		'2', 'and afterwards updates as ever');
	$node->safe_psql('decoded', q{SELECT pg_drop_replication_slot('decoded')});
}

# Prepared, and the server crashes before it is committed.
{
	copy_of($node, $template, 'prepared');
	$node->safe_psql('prepared', "$quiet BEGIN; $call PREPARE TRANSACTION 'rewrite'");
	$node->stop('immediate');
	$node->start;
	is($node->safe_psql('prepared', q{SELECT count(*) FROM pg_prepared_xacts}), '1', 'a prepared migration survives a crash');
	$node->safe_psql('prepared', q{COMMIT PREPARED 'rewrite'});
	is(all_of($node, 'prepared'), $reference, 'COMMIT PREPARED: as the other way');
	is_sound($node, 'prepared', 'COMMIT PREPARED');
	copy_of($node, $template, 'prepared');
	$node->safe_psql('prepared', "$quiet BEGIN; $call PREPARE TRANSACTION 'rewrite'");
	$node->stop('immediate');
	$node->start;
	$node->safe_psql('prepared', q{ROLLBACK PREPARED 'rewrite'});
	is(data_hash($node, 'prepared'), data_hash($node, $template), 'ROLLBACK PREPARED: as before');
	is(wrong_in($node, 'prepared'), '', 'ROLLBACK PREPARED: amcheck and pg_visibility find nothing');
}

# A standby replays it with every page compared, and is the primary afterwards.
{
	copy_of($node, $template, 'replayed');
	$node->safe_psql('postgres', q{ALTER SYSTEM SET wal_consistency_checking = 'all'});
	$node->reload;
	$node->backup('base');
	my $standby = PostgreSQL::Test::Cluster->new('rewrite_standby');
	$standby->init_from_backup($node, 'base', has_streaming => 1);
	$standby->start;
	$node->safe_psql('replayed', "$quiet $call");
	$node->wait_for_catchup($standby);
	is(all_of($standby, 'replayed'), $reference, 'standby: as the other way');
	is(wrong_in($standby, 'replayed'), '', 'standby: amcheck and pg_visibility find nothing');
	$standby->promote;
	is_sound($standby, 'replayed', 'promoted standby');
	$standby->stop;
	$node->safe_psql('postgres', 'ALTER SYSTEM RESET wal_consistency_checking');
	$node->reload;
}

# Crashes: during the rewrite, and right after the commit, before any checkpoint.
sub crash
{
	my ($server, $database, $kind) = @_;
	$kind eq 'immediate stop' ? $server->stop('immediate') : kill_postmaster($server, 1);
	$server->start;
	return;
}

sub crash_right_after
{
	my ($server, $source, $title, $kind) = @_;
	copy_of($server, $source, 'crashed');
	$server->safe_psql('crashed', 'CHECKPOINT');
	$server->safe_psql('crashed', "$quiet $call");
	crash($server, 'crashed', $kind);
	is(all_of($server, 'crashed'), $reference, "$title, $kind right after the commit: as the other way");
	is_sound($server, 'crashed', "$title, $kind right after the commit");
	return;
}

sub crash_during
{
	my ($server, $source, $title, $kind, $duration) = @_;
	my (@wrong, %version);
	foreach my $point (1 .. $points)
	{
		copy_of($server, $source, 'crashed');
		my ($out, $err) = ('', '');
		my $migration = IPC::Run::start([ 'psql', '-XAtq', '-d', $server->connstr('crashed'), '-c', "$quiet $call" ],
			'<', \undef, '>', \$out, '2>', \$err);
		usleep(1e6 * $duration * ($point - 0.5) / $points);
		crash($server, 'crashed', $kind);
		$migration->finish;
		my $version = $server->safe_psql('crashed', q{SELECT value FROM schema_state WHERE key = 'schema_version'});
		$version{$version}++;
		my $whole = $version eq '15' ? data_hash($server, 'crashed') eq data_hash($server, $source)
		  : all_of($server, 'crashed') eq $reference;
		my $found = wrong_in($server, 'crashed');
		push @wrong, "point $point: version $version, $found" if !$whole or $found ne '';
	}
	is("@wrong", '', "$title, $kind during the rewrite: as before, or done");
	figure("$title, $kind during the rewrite: $points points, " . join(', ', map { "$version{$_} at version $_" } sort keys %version));
	return;
}

sub duration_of
{
	my ($server, $source) = @_;
	copy_of($server, $source, 'timed');
	my $begun = time;
	$server->safe_psql('timed', "$quiet $call");
	return time - $begun;
}

my $duration = duration_of($node, $template);
foreach my $kind (full_counts() ? ('immediate stop', 'kill -9') : 'kill -9')
{
	crash_during($node, $template, 'wal_level logical', $kind, $duration);
	crash_right_after($node, $template, 'wal_level logical', $kind);
}

# A full disk while the new file is written; another tablespace.
my $disks = $ENV{COWRIE_SMALL_DISKS} // '';
SKIP:
{
	skip 'full data disk: only root may mount a small file system to fill', 6 if $disks eq '';
	my $space = "$disks/small-rewrite/rewrite";
	mkdir $space or die "$space: $!";
	$node->safe_psql('postgres', "CREATE TABLESPACE rewrite LOCATION '$space'");
	copy_of($node, $template, 'small');
	$node->safe_psql('small', 'ALTER TABLE session_summaries SET TABLESPACE rewrite');
	$node->safe_psql('small', 'CHECKPOINT');
	my $files = sub { join ' ', sort map { chomp; "$_ " . -s $_ } `find "$space" -type f` };
	my $before = $files->();
	my $free = (split ' ', (split /\n/, `df --output=avail -k "$space"`)[1])[0];
	system_or_bail('fallocate', '-l', ($free - 200) * 1024, "$disks/small-rewrite/ballast");
	my ($status, $out, $err) = $node->psql('small',
		"\\set VERBOSITY verbose\n$quiet SET cowrie_migrate.free_space = '1TB'; $call");
	like($err, qr/53100: could not extend file/, 'disk full: the error of the server');
	like($err, qr/step fill_columns/, 'disk full: while the new file is written');
	$node->safe_psql('small', 'CHECKPOINT');
	is($files->(), $before, 'disk full: no file is left');
	is(data_hash($node, 'small'), data_hash($node, $template), 'disk full: as before');
	unlink "$disks/small-rewrite/ballast";
	$node->safe_psql('small', "$quiet $call");
	is(all_of($node, 'small'), $reference, 'other tablespace: as the other way');
	is(wrong_in($node, 'small'), '', 'other tablespace: amcheck and pg_visibility find nothing');
	$node->safe_psql('postgres', 'DROP DATABASE small');
	$node->safe_psql('postgres', 'DROP TABLESPACE rewrite');
	rmdir $space;
}
$node->stop;

# Without WAL: small files are logged at the commit, large ones are synced.
{
	my $minimal = new_node('rewrite_minimal',
		settings => [ 'wal_level = minimal', 'max_wal_senders = 0' ]);
	nasty($minimal, $template, 100);
	copy_of($minimal, $template, 'reference');
	$minimal->safe_psql('reference', "$quiet SET cowrie_migrate.rewrite = alter_table; $call");
	$reference = all_of($minimal, 'reference');
	my $took = duration_of($minimal, $template);
	foreach my $threshold ('0', '1GB')
	{
		$minimal->safe_psql('postgres', "ALTER SYSTEM SET wal_skip_threshold = '$threshold'");
		$minimal->reload;
		my $title = "wal_level minimal, wal_skip_threshold $threshold";
		my $kind = $threshold eq '0' ? 'kill -9' : 'immediate stop';
		crash_right_after($minimal, $template, $title, $kind);
		crash_during($minimal, $template, $title, $kind, $took) if full_counts();
	}
	$minimal->stop;
}

done_testing();
