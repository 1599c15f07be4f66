# What other sessions see: rows move while the rewrite runs, nothing is committed before the end,
# and after a crash of the server the status still tells where it was. A standby is told apart.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use CowrieTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $node = start_node('watching', 'restart_after_crash = on', 'wal_level = replica',
	'max_wal_senders = 5');
create_v15($node, 'watched', n => full_counts() ? 100_000 : 40_000);

# A second session that looks as often as it can while the first one migrates.
my $call = 'SELECT count(*) FROM cowrie_migrate_v16()';
my ($out, $err) = ('', '');
my $migration = IPC::Run::start(
	[ 'psql', '-XAtq', '-d', $node->connstr('watched'), '-c', $call ],
	'<', \undef, '>', \$out, '2>', \$err);
my (@rows_done, @percents, %phases);
my $running_seen = 0;
for (1 .. 600)
{
	my $line = $node->safe_psql('watched',
		'SELECT running, phase, step, rows_done, percent, pid IS NOT NULL FROM cowrie_migration_status');
	my ($running, $phase, $step, $rows, $percent) = split /\|/, $line;
	if ($running eq 't')
	{
		$running_seen++;
		push @rows_done, $rows;
		push @percents, $percent;
		$phases{$phase} = 1 if $phase ne '';
		is($node->safe_psql('watched', "SELECT value FROM schema_state WHERE key = 'schema_version'"
					. ' AND NOT EXISTS (SELECT FROM pg_locks WHERE NOT granted)'), '15',
			'nothing is committed before the end')
		  if $running_seen == 1;
	}
	last if $running_seen && $running eq 'f';
	usleep(20_000);
}
$migration->finish;
like($out, qr/^\d+$/, 'the migration succeeded') or diag($err);
cmp_ok($running_seen, '>', 3, "seen running $running_seen times");
my $monotonic = !grep { $rows_done[$_] < $rows_done[ $_ - 1 ] } 1 .. $#rows_done;
ok($monotonic, 'rows_done never goes back');
ok(!(grep { $percents[$_] < $percents[ $_ - 1 ] } 1 .. $#percents), 'percent never goes back');
my %distinct = map { $_ => 1 } @rows_done;
cmp_ok(scalar(keys %distinct), '>', 2, 'rows_done moves while rows are scanned');
cmp_ok(scalar(keys %phases), '>', 1, 'phases are seen: ' . join ', ', sort keys %phases);
is($node->safe_psql('watched',
		'SELECT running, step, percent, progress_bar, last_sqlstate FROM cowrie_migration_status'),
	'f|finished|100.0|####################|', 'finished');

# The percentages follow the plan, through all phases: what a run shows that fails at one step after the other.
create_v15($node, 'steps', n => 200);
my @failed_at = qw(1.fill_columns 2.load_asn_inventory 3.load_ip_inventory 3.ip_inventory_pkey
  4.load_ip_asn_history 4.idx_session_source_ip 4.idx_session_snapshot_asn 4.analyze_session_summaries 5.verify);
my @shown;
foreach my $step (@failed_at)
{
	$node->psql('steps', "SET cowrie_migrate.fail_at = '$step'; SELECT cowrie_migrate_v16()");
	push @shown, $node->safe_psql('steps', 'SELECT percent FROM cowrie_migration_status');
}
my @moved = grep { $shown[$_] > $shown[ $_ - 1 ] } 1 .. $#shown;
is(scalar @moved, $#shown, "percent moves from step to step: @shown");
cmp_ok($shown[0], '<', 5, 'the fill is the beginning');
cmp_ok($shown[-1], '>', 90, 'the last check is near the end');

# kill -9 in the middle: as before, and the status tells where.
create_v15($node, 'killed', n => 20_000);
my $hash = data_hash($node, 'killed');
my $dump = schema_dump($node, 'killed');
$migration = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('killed'), '-c', $call ],
	'<', \undef, '>', \$out, '2>', \$err);
my $pid = '';
for (1 .. 600)
{
	my $line = $node->safe_psql('killed',
		"SELECT pid FROM cowrie_migration_status WHERE running AND rows_done > 0");
	if ($line ne '') { $pid = $line; last; }
	usleep(10_000);
}
like($pid, qr/^\d+$/, 'the migration runs');
kill_backend($node, $pid);
$migration->finish;
like($node->safe_psql('killed', 'SELECT running, phase, step FROM cowrie_migration_status'),
	qr/^f\|[1-5]\|\w+$/, 'after kill -9 the status tells phase and step');
is(data_hash($node, 'killed'), $hash, 'data as before');
is(schema_dump($node, 'killed'), $dump, 'schema as before');
like($node->safe_psql('killed', 'SELECT count(*) FROM cowrie_migrate_v16()'), qr/^[1-9]/,
	'the next call migrates');
is($node->safe_psql('killed', 'SELECT count(*) FROM cowrie_validate_schema()'), '0', 'completely');

# A standby validates, and refuses to migrate.
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
$node->wait_for_catchup($standby);
is($standby->safe_psql('killed', 'SELECT count(*) FROM cowrie_validate_schema()'), '0',
	'validate runs on a standby');
is($standby->safe_psql('killed',
		q{SELECT count(*) FROM cowrie_checkpoint_v16() WHERE NOT passed AND criterion <> 'ip_coverage'}), '0',
	'so does the checkpoint');
my ($status, $stdout, $stderr) = $standby->psql('killed',
	'\set VERBOSITY verbose' . "\nSELECT * FROM cowrie_migrate_v16()");
like($stderr, qr/25006: cannot migrate on a standby server/, 'migrate on a standby is refused');
$standby->stop;
$node->stop;
done_testing();
