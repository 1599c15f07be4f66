# Capacity: what a preflight says of space and WAL is what the migration then takes, within a quarter;
# the free space is that of the file systems on which tablespaces and pg_wal really are; where it is
# not enough, nothing is begun.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use CowrieTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $quiet = 'SET client_min_messages = error;';

# The sizes that a preflight names, in bytes: the first of each row.
sub estimates
{
	my ($node, $database) = @_;
	return map { split /\|/ } split /\n/, $node->safe_psql($database,
		q{SELECT hazard, pg_size_bytes(substring(detail from 'about (\d+ \w+)')) FROM cowrie_preflight_v16()
WHERE hazard ~ '^space for'});
}

# The same, as it is afterwards.
sub taken
{
	my ($node, $database) = @_;
	# What stays where it is is not taken.
	my $kept = $node->safe_psql($database, q{
SELECT pg_table_size(oid) - pg_relation_size(oid) FROM pg_class WHERE oid = 'session_summaries'::regclass});
	my ($wal, $seconds) = split /\|/, $node->safe_psql($database, qq{$quiet
SELECT pg_current_wal_insert_lsn() AS before, clock_timestamp() AS begun \\gset
BEGIN;
SELECT count(*) AS steps FROM cowrie_migrate_v16() \\gset
COMMIT;
SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), :'before'),
       extract(epoch FROM clock_timestamp() - :'begun')});
	my ($tables, $indexes) = split /\|/, $node->safe_psql($database, q{
SELECT sum(pg_table_size(oid)), sum(pg_indexes_size(oid)) FROM pg_class
WHERE oid = ANY ('{session_summaries,asn_inventory,ip_inventory,ip_asn_history}'::regclass[])});
	my ($way) = $node->safe_psql($database, q{
SELECT detail FROM cowrie_migration_log WHERE step = 'fill_columns' AND status = 'done'}) =~ /(heap only|by ALTER TABLE)/;
	$tables -= $kept if $way eq 'heap only';
	return ('space for tables' => $tables, 'space for indexes' => $indexes,
		'space for WAL' => $wal, seconds => $seconds);
}

sub compare_with_reality
{
	my ($title, $node, $database, @quantities) = @_;
	my %foreseen = estimates($node, $database);
	my ($hours, $minutes, $seconds) = $node->safe_psql($database,
		q{SELECT detail FROM cowrie_preflight_v16() WHERE hazard = 'duration'}) =~ /about (\d+):(\d+):(\d+)/;
	my %real = taken($node, $database);
	foreach my $quantity (@quantities)
	{
		my $ratio = $foreseen{$quantity} / $real{$quantity};
		cmp_ok(abs($ratio - 1), '<=', 0.25, "$title: $quantity within a quarter")
		  or diag("$foreseen{$quantity} foreseen, $real{$quantity} taken");
		figure(sprintf '%s: %s %d foreseen, %d taken, ratio %.2f', $title, $quantity, $foreseen{$quantity}, $real{$quantity}, $ratio);
	}
	# A clock on a machine that does other things as well: only the order of magnitude.
	$seconds += 60 * $minutes + 3600 * $hours;
	cmp_ok($seconds, '>', $real{seconds} / 10, "$title: duration not far too short");
	cmp_ok($seconds, '<', $real{seconds} * 10 + 10, "$title: duration not far too long");
	figure(sprintf '%s: duration %d s foreseen, %.1f s taken', $title, $seconds, $real{seconds});
	return;
}

my @all = ('space for tables', 'space for indexes', 'space for WAL');
my $many = full_counts() ? 200_000 : 10_000;
my $some = full_counts() ? 20_000 : 8000;
my $node = start_node('capacity', 'wal_level = replica', 'autovacuum = off', 'full_page_writes = on');

create_v15($node, 'large', n => $many, pad => 4000);
compare_with_reality("$many sessions of 4 KB", $node, 'large', @all);
create_v15($node, 'copied', n => $some, pad => 1500);
$node->safe_psql('copied', 'ALTER DATABASE copied SET cowrie_migrate.rewrite = alter_table');
compare_with_reality("$some sessions of 1.5 KB, by ALTER TABLE", $node, 'copied', @all);
create_v15($node, 'small', n => $some);
compare_with_reality("$some sessions of 0.6 KB", $node, 'small', @all);
create_v15($node, 'jsonb', n => $some, pad => 1500, doc_type => 'jsonb', event_type => 'timestamp');
compare_with_reality("$some sessions, jsonb of 1.5 KB", $node, 'jsonb', @all);

# Half of the table is dead: it is not copied.
create_v15($node, 'bloated', n => $some, pad => 1500);
$node->safe_psql('bloated', 'UPDATE session_summaries SET risk_score = 1; ANALYZE session_summaries');
$node->poll_query_until('bloated', "SELECT pg_stat_get_dead_tuples('session_summaries'::regclass) > $some / 2");
compare_with_reality('half of it dead', $node, 'bloated', @all);

# Never analyzed: the number of sessions comes from the sample, too.
create_v15($node, 'fresh', n => 8000);
$node->safe_psql('fresh', q{UPDATE pg_class SET reltuples = -1, relpages = 0 WHERE relname = 'session_summaries';
DELETE FROM pg_statistic WHERE starelid = 'session_summaries'::regclass});
my ($sessions) = $node->safe_psql('fresh', q{SELECT detail FROM cowrie_preflight_v16() WHERE hazard = 'duration'}) =~ /for (\d+) sessions/;
cmp_ok(abs($sessions / 8000 - 1), '<', 0.15, 'sessions of a table that was never analyzed');

# None at all.
run_script($node, 'postgres', 'v15.sql');
$node->safe_psql('postgres', 'CREATE EXTENSION cowrie_migrate');
is($node->safe_psql('postgres', q{SELECT string_agg(hazard, ', ') FROM cowrie_preflight_v16() WHERE severity <> 'info'}),
	'', 'an empty table is no hazard');

# Online: what the table grows by, while nobody else removes its dead rows. The same refusal tells it.
foreach my $case ([ 'online_large', $many, 4000 ], [ 'online_small', $some, 0 ])
{
	my ($database, $count, $pad) = @$case;
	create_v15($node, $database, n => $count, pad => $pad);
	my $sizes = q{SELECT sum(pg_table_size(oid)), sum(pg_indexes_size(oid)) FROM pg_class WHERE relkind = 'r'
AND relname IN ('session_summaries', 'asn_inventory', 'ip_inventory', 'ip_asn_history')};
	my @before = split /\|/, $node->safe_psql($database, "VACUUM ANALYZE;\nCHECKPOINT;\n$sizes");
	my $err = '';
	$node->psql($database, "SET cowrie_migrate.free_space = '1MB';\nCALL cowrie_migrate_v16_online()", stderr => \$err);
	my ($tables, $indexes, $wal) = $err =~ /\(tables (\d+ \w+), indexes (\d+ \w+), temporary files \d+ \w+, WAL (\d+ \w+)\)/
	  or diag($err);
	($tables, $indexes, $wal) = split /\|/,
	  $node->safe_psql($database, "SELECT pg_size_bytes('$tables'), pg_size_bytes('$indexes'), pg_size_bytes('$wal')");
	my $start = $node->safe_psql($database, 'SELECT pg_current_wal_insert_lsn()');
	$node->safe_psql($database, "$quiet\nCALL cowrie_migrate_v16_online()");
	my @after = split /\|/, $node->safe_psql($database, $sizes);
	my %real = (tables => $after[0] - $before[0], indexes => $after[1] - $before[1],
		WAL => $node->safe_psql($database, "SELECT pg_current_wal_insert_lsn() - '$start'::pg_lsn"));
	my %foreseen = (tables => $tables, indexes => $indexes, WAL => $wal);
	foreach my $quantity (sort keys %real)
	{
		my $ratio = $foreseen{$quantity} / $real{$quantity};
		cmp_ok($ratio, '>', 0.75, "$database: enough $quantity foreseen");
		cmp_ok($ratio, '<', 2.5, "$database: not far too much $quantity foreseen");
		figure(sprintf '%s, %d sessions: %s %d foreseen, %d taken, ratio %.2f', $database, $count, $quantity,
			$foreseen{$quantity}, $real{$quantity}, $ratio);
	}
}

# wal_level minimal: what is made or rewritten in the transaction is not logged.
{
	my $minimal = start_node('minimal', 'wal_level = minimal', 'max_wal_senders = 0', 'autovacuum = off');
	create_v15($minimal, 'app', n => 20_000, pad => 1500);    # files above wal_skip_threshold
	my %foreseen = estimates($minimal, 'app');
	my %real = taken($minimal, 'app');
	cmp_ok($foreseen{'space for WAL'}, '<', 5_000_000, 'wal_level minimal: next to no WAL foreseen');
	cmp_ok($real{'space for WAL'}, '<', 5_000_000, 'wal_level minimal: next to no WAL written');
	cmp_ok(abs($foreseen{'space for WAL'} / $real{'space for WAL'} - 1), '<', 0.25, 'wal_level minimal: within a quarter');
	figure("wal_level minimal: WAL $foreseen{'space for WAL'} foreseen, $real{'space for WAL'} written");
	$minimal->stop;
}

# Free space ------------------------------------------------------------------------------------

# The rows on free space: [places, bytes free].
sub free_space
{
	my ($server, $database) = @_;
	return map { [ split /\|/ ] } split /\n/, $server->safe_psql($database, q{
SELECT (regexp_match(detail, 'file system of (.*) \('))[1], pg_size_bytes((regexp_match(detail, '(\d+ \w+) free'))[1])
FROM cowrie_preflight_v16() WHERE hazard = 'free space' AND detail LIKE 'in one transaction: %'});
}

sub available
{
	my ($directory) = @_;
	return (split ' ', (split /\n/, `df --output=avail -B1 "$directory"`)[1])[0];
}

sub near
{
	my ($bytes, $directory, $title) = @_;
	my $real = available($directory);
	cmp_ok(abs($bytes - $real), '<', 200_000_000 + $real / 20, "$title: as df says") or diag("$bytes, $real");
	return;
}

create_v15($node, 'space', n => 4000, pad => 1500);
my @rows = free_space($node, 'space');
is(scalar(@rows), 1, 'one file system, told once');
is($rows[0][0], 'tablespace "pg_default", pg_wal', 'with all that is on it');
near($rows[0][1], $node->data_dir, 'free space');

# pg_wal is a symbolic link to another file system.
SKIP:
{
	skip 'WAL on another file system: no writable /dev/shm that is one', 3
	  unless -w '/dev/shm' && (stat '/dev/shm')[0] != (stat $node->data_dir)[0];
	my $wal_directory = "/dev/shm/cowrie_capacity.$$";
	my $linked = PostgreSQL::Test::Cluster->new('linked');
	$linked->init(extra => [ '--encoding', 'UTF8', '--no-locale', '--waldir', $wal_directory, '--wal-segsize', 1 ]);
	$linked->append_conf('postgresql.conf', "fsync = off\nmin_wal_size = 2MB\nmax_wal_size = 64MB");
	$linked->start;
	create_v15($linked, 'app', n => 400);
	my %free = map { @$_ } free_space($linked, 'app');
	is(join(' ', sort keys %free), 'pg_wal tablespace "pg_default"', 'two file systems, told apart');
	near($free{'pg_wal'}, '/dev/shm', 'pg_wal behind a link');
	near($free{'tablespace "pg_default"'}, $linked->data_dir, 'the data directory');
	$linked->stop;
	system_or_bail('rm', '-rf', $wal_directory);
}

# Told what is there: with less than that, nothing is begun, in the words of the preflight.
{
	my $hash = data_hash($node, 'space') . schema_dump($node, 'space');
	my ($status, $out, $err) = $node->psql('space', q{SET cowrie_migrate.free_space = '1MB';
SELECT hazard || E'\nDETAIL:  ' || detail || E'\nHINT:  ' || remedy FROM cowrie_preflight_v16() WHERE severity = 'blocker' AND detail LIKE 'in one transaction: %';
SELECT * FROM cowrie_migrate_v16()});
	like($err, qr/ERROR:  not enough free space for the migration/, 'refused');
	my ($words) = $err =~ /ERROR:  (.*?)\nCONTEXT/s;
	is($out, $words, 'the blocker has the same words');
	is(data_hash($node, 'space') . schema_dump($node, 'space'), $hash, 'nothing is begun');
	my ($status2, $out2, $err2) = $node->psql('space', q{\set VERBOSITY verbose
SET cowrie_migrate.free_space = '1MB'; SELECT * FROM cowrie_migrate_v16()});
	like($err2, qr/53100: /, 'with SQLSTATE 53100');

	# Close to it is a warning, and the migration runs.
	my ($need) = $node->safe_psql('space', q{SELECT pg_size_bytes((regexp_match(detail, 'about (\d+ \w+) needed'))[1])
FROM cowrie_preflight_v16() WHERE hazard = 'free space' AND detail LIKE 'in one transaction: %'});
	my $close = int($need / 1048576 * 1.1) + 1;
	my ($severity, $remedy) = split /\|/, $node->safe_psql('space', "SET cowrie_migrate.free_space = '${close}MB';"
		  . q{SELECT severity, remedy FROM cowrie_preflight_v16() WHERE hazard = 'free space' AND detail LIKE 'in one transaction: %'});
	is($severity, 'warning', 'hardly enough is a warning');
	# what the remedies say, pasted
	my ($hint) = $err =~ /HINT:  .*(SET cowrie_migrate\.free_space = '100GB';)/;
	like($remedy, qr/^Free disk space on that file system.*ALTER TABLE \S*raw_events\S* SET TABLESPACE/, 'first what to free or to move');
	foreach my $pasted ($remedy =~ s/.*(SET cowrie)/$1/sr, $hint)
	{
		is($node->safe_psql('space', "SET cowrie_migrate.free_space = '1MB'; $pasted\n"
				  . q{SELECT string_agg(severity, ' ') FROM cowrie_preflight_v16() WHERE hazard ~ 'free space' AND detail LIKE 'in one transaction: %'}),
			'info', "gone with its remedy: $pasted");
	}
	is($node->safe_psql('space', "$quiet SET cowrie_migrate.free_space = '${close}MB'; SELECT count(*) > 30 FROM cowrie_migrate_v16()"),
		't', 'and the migration runs');

	# A row for each way of migrating, and a blocker only for the one that does not fit.
	create_v15($node, 'ways', n => 4000, pad => 6000);
	my %need = map { split /\|/ } split /\n/, $node->safe_psql('ways', q{
SELECT split_part(detail, ':', 1), pg_size_bytes((regexp_match(detail, 'about (\d+ \w+) needed'))[1])
FROM cowrie_preflight_v16() WHERE hazard = 'free space'});
	is(join(', ', sort keys %need), 'in one transaction, online', 'both ways are told of');
	my ($less, $more) = sort { $need{$a} <=> $need{$b} } keys %need;
	my $between = int(($need{$less} + $need{$more}) / 2 / 1024);
	is($node->safe_psql('ways', "SET cowrie_migrate.free_space = '${between}kB';" . q{
SELECT hazard, split_part(detail, ':', 1) FROM cowrie_preflight_v16()
WHERE severity = 'blocker' OR hazard = 'free space' ORDER BY 1}),
		"free space|$less\nnot enough free space for the migration|$more", "a blocker only for one: $more");
	my $call = $less eq 'online' ? 'CALL cowrie_migrate_v16_online()' : 'SELECT count(*) FROM cowrie_migrate_v16()';
	$node->safe_psql('ways', "$quiet SET cowrie_migrate.free_space = '${between}kB';\n$call");
	is($node->safe_psql('ways', 'SELECT count(*) FROM cowrie_validate_schema()'), '0', "the other one runs: $less");
}

# A real small disk: the table is in its tablespace. Moved to another one, it can be migrated.
SKIP:
{
	my $disks = $ENV{COWRIE_SMALL_DISKS} // '';
	skip 'small disk: only root may mount a small file system', 4 if $disks eq '';
	my $directory = "$disks/small-capacity/capacity";
	mkdir $directory or die "$directory: $!";
	$node->safe_psql('postgres', qq{CREATE TABLESPACE "small disk" LOCATION '$directory'});
	create_v15($node, 'cramped', n => 8000, pad => 4000);
	$node->safe_psql('cramped', 'ALTER TABLE session_summaries SET TABLESPACE "small disk"; CREATE TABLE ballast TABLESPACE "small disk" AS SELECT md5(i::text) FROM generate_series(1, 600000) AS i');
	my $detail = $node->safe_psql('cramped', q{SELECT detail FROM cowrie_preflight_v16() WHERE hazard = 'not enough free space for the migration' AND detail LIKE 'in one transaction: %'});
	like($detail, qr/needed on the file system of tablespace "small disk" \(tables \d+ \w+, indexes \d+ \w+\), \d+ \w+ free/, 'a small disk is a blocker');
	my ($free) = $detail =~ /(\d+ \w+) free/;
	near($node->safe_psql('cramped', "SELECT pg_size_bytes('" . ($free // 0) . "')"), "$disks/small-capacity", 'a small disk');
	my ($status, $out, $err) = $node->psql('cramped', 'SELECT * FROM cowrie_migrate_v16()');
	like($err, qr/not enough free space/, 'and refused');
	$node->safe_psql('cramped', 'ALTER TABLE session_summaries SET TABLESPACE pg_default');
	is($node->safe_psql('cramped', "$quiet SELECT count(*) > 30 FROM cowrie_migrate_v16()"), 't', 'moved, it is migrated');
	$node->safe_psql('postgres', 'DROP DATABASE cramped; DROP TABLESPACE "small disk"');
}

$node->stop;
done_testing();
