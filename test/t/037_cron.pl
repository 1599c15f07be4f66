# A pg_cron job whose migration fails is recorded as failed, with one error; the next job works, and when
# the cause is mended so does the same job. (Jobs that run when the server starts: nobody waits.)
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use CowrieTest;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => 'pg_cron is not installed' unless has_pg_cron();

my $node = start_node('cron', 'shared_preload_libraries = pg_cron', q{cron.database_name = 'postgres'},
	'cron.use_background_workers = on', 'max_worker_processes = 16');
$node->safe_psql('postgres', 'CREATE EXTENSION pg_cron');
foreach my $database ('failing', 'fine')
{
	create_v15($node, $database, n => 200);
	load_reference($node, $database);
}
$node->safe_psql('postgres', q{ALTER DATABASE failing SET cowrie_migrate.fail_at = '3.idx_ip_geo_country'});
my $before = data_hash($node, 'failing') . schema_dump($node, 'failing');
foreach my $database ('failing', 'fine')
{
	$node->safe_psql('postgres', qq{
SELECT cron.schedule('$database', '\@reboot', 'SELECT count(*) FROM cowrie_migrate_v16()');
UPDATE cron.job SET database = '$database' WHERE jobname = '$database'});
}

# Starts the server, and waits for both jobs to have run: what was recorded, and the errors in the log
# (without the scheduler's report of them).
sub run_jobs
{
	my $log_size = -s $node->logfile;
	$node->safe_psql('postgres', 'TRUNCATE cron.job_run_details');
	$node->restart;
	$node->poll_query_until('postgres', q{SELECT count(*) = 2 FROM cron.job_run_details
		WHERE status IN ('failed', 'succeeded')}) or die 'the jobs do not run';
	my $result = $node->safe_psql('postgres', q{SELECT database, status FROM cron.job_run_details ORDER BY 1});
	my $log = substr(slurp_file($node->logfile), $log_size);
	return ($result, $log, scalar(() = $log =~ /\] (?:\S+ )?ERROR:  /g));
}

my ($result, $log, $errors) = run_jobs();
is($result, "failing|failed\nfine|succeeded", 'one job failed, the other succeeded');
is($errors, 1, 'with one error');
like($log, qr/ERROR: +injected failure at 3\.idx_ip_geo_country/, 'the one that was to be expected');
like($log, qr/cowrie_migrate phase 3 \(ip_inventory\), step idx_ip_geo_country/, 'with its place');
is(data_hash($node, 'failing') . schema_dump($node, 'failing'), $before, 'as before');
is(compare($node, 'fine'), $no_difference, 'the other: as the reference');

$node->safe_psql('postgres', 'ALTER DATABASE failing RESET cowrie_migrate.fail_at');
($result, $log, $errors) = run_jobs();
is($result, "failing|succeeded\nfine|succeeded", 'the cause is mended: both succeed');
is($errors, 0, 'without an error');
is(compare($node, 'failing'), $no_difference, 'as the reference');
is($node->safe_psql('fine', q{SELECT count(DISTINCT run_id) FROM cowrie_migration_log}), '1',
	'a complete database is left alone');

figure("pg_cron: the failing job recorded as failed with 1 error, the other succeeded; mended, both do");

$node->stop;
done_testing();
