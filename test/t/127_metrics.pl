# contrib/prometheus for real: the exporter of Debian asks the queries as a role without superuser, a Prometheus
# scrapes it, and the rules fire on a run that fails and on a schema that drifts. (What takes minutes is promtool's.)
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use CowrieTest;
use HTTP::Tiny;
use IPC::Run ();
use JSON::PP qw(decode_json);
use Online;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my %program;
foreach my $name (qw(prometheus-postgres-exporter prometheus promtool))
{
	($program{$name}) = grep { -x } map { "$_/$name" } split /:/, $ENV{PATH};
	plan skip_all => "$name is not installed" unless $program{$name};
}
my $files = "$FindBin::RealBin/../../contrib/prometheus";
my ($out, $err) = run_command([ $program{promtool}, 'check', 'rules', "$files/alerts.yaml" ]);
like($out . $err, qr/SUCCESS: 5 rules found/, 'the rules are rules');
($out, $err) = run_command([ $program{promtool}, 'test', 'rules', "$files/alerts_test.yaml" ]);
like($out . $err, qr/SUCCESS\s*\z/, 'and fire when they should');

my $node = start_node('metrics', 'autovacuum = off');
work_in($node);
create_v15($node, 'app', owner => 'app_owner', n => 300);
my $page = slurp_file("$FindBin::RealBin/../../docs/CRON.md");
my ($role, $grants) = $page =~ /```sql\n(CREATE ROLE prometheus [^;]*;)\n```.*?```sql\n((?:(?:GRANT|ALTER ROLE) [^;]*;\n)+)```/s;
ok($role && $grants, 'docs/CRON.md has the role and its grants');
$node->safe_psql('app', $role);

my %running;
END
{
	my $status = $?;
	$_->kill_kill foreach values %running;
	$? = $status;
}
my %port = map { $_ => PostgreSQL::Test::Cluster::get_free_port() } qw(exporter prometheus);
my $http = HTTP::Tiny->new(timeout => 20, no_proxy => ['127.0.0.1']);

# Starts a program and waits until its port answers.
sub start
{
	my ($name, $path, @command) = @_;
	$running{$name}->kill_kill if $running{$name};
	$running{$name} = IPC::Run::start(\@command, '<', \undef, '>', "$PostgreSQL::Test::Utils::tmp_check/$name.log", '2>&1');
	for (1 .. 600)
	{
		return if $http->get("http://127.0.0.1:$port{$name}$path")->{success};
		usleep(100_000);
	}
	die "$name does not answer";
}

# A new exporter: what an old one has been told an hour ago, it has forgotten.
sub start_exporter
{
	# Settings of libpq that its driver does not know end it.
	local %ENV = map { $_ => $ENV{$_} } grep { !/^PG/ } keys %ENV;
	$ENV{DATA_SOURCE_NAME} = 'user=prometheus dbname=app sslmode=disable host=' . $node->host . ' port=' . $node->port;
	start('exporter', '/', $program{'prometheus-postgres-exporter'}, "--extend.query-path=$files/queries.yaml",
		"--web.listen-address=127.0.0.1:$port{exporter}", '--disable-default-metrics', '--disable-settings-metrics');
	return;
}

# All our metrics, without the label that names the server: 'name{labels}' => value.
sub metrics
{
	my $text = $http->get("http://127.0.0.1:$port{exporter}/metrics")->{content};
	my %value;
	while ($text =~ /^((?:cowrie_|pg_exporter_last_scrape_error)\w*)(?:\{([^}]*)\})? (\S+)$/mg)
	{
		my ($name, $labels, $value) = ($1, $2 // '', $3);
		$labels = join ',', grep { !/^server=/ } $labels =~ /\w+="(?:[^"\\]|\\.)*"/g;
		$value{"$name\{$labels}"} = $value;
	}
	is($value{'pg_exporter_last_scrape_error{}'}, '0', 'the exporter has no error');
	return \%value;
}

sub outcomes
{
	my ($metrics) = @_;
	return join ' ', map { /outcome="(\w+)"/ } grep { /^cowrie_migration_latest_outcome_is/ && $metrics->{$_} == 1 } sort keys %$metrics;
}

start_exporter();
my $metrics = metrics();
is($metrics->{'cowrie_migration_running{datname="app"}'}, '0', 'nothing runs');
is(outcomes($metrics), '', 'and nothing has run');
is(scalar(grep { /^cowrie_migration_ledger|^cowrie_schema/ } keys %$metrics), 0, 'the ledger is empty');

$node->safe_psql('app', 'SET client_min_messages = error; SELECT count(*) FROM cowrie_migrate_v16()', extra_params => [ '-U', 'app_owner' ]);
start_exporter();
$metrics = metrics();
is(outcomes($metrics), 'done', 'done');
is($metrics->{'cowrie_migration_percent{datname="app"}'}, '100', 'all of it');
is($metrics->{'cowrie_migration_rows_done{datname="app"}'}, '300', 'all sessions');
is($metrics->{'cowrie_migration_ledger_runs{datname="app",mode="atomic",schema="public",status="done"}'}, '1', 'one run');
my $rejected = $node->safe_psql('app', q{SELECT sum(value::int8) FROM cowrie_migration_log, jsonb_each_text(rejects)});
is($metrics->{'cowrie_migration_ledger_rejected_values{datname="app",mode="atomic",schema="public",status="done"}'}, $rejected, 'its rejected values');
is(scalar(grep { /^cowrie_schema/ } keys %$metrics), 0, 'who may not read the tables learns nothing of them, without an error');
$node->safe_psql('app', $grants);
start_exporter();
$metrics = metrics();
is($metrics->{'cowrie_schema_findings{datname="app",schema="public",severity="error"}'}, '0', 'who may, learns that nothing is wrong');

# A Prometheus, every second.
my $config = "$PostgreSQL::Test::Utils::tmp_check/prometheus.yml";
append_to_file($config, qq(global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}
rule_files: ["$files/alerts.yaml"]
scrape_configs: [{job_name: cowrie, static_configs: [{targets: ["127.0.0.1:$port{exporter}"]}]}]
));
start('prometheus', '/-/ready', $program{prometheus}, "--config.file=$config",
	"--storage.tsdb.path=$PostgreSQL::Test::Utils::tmp_check/prometheus", "--web.listen-address=127.0.0.1:$port{prometheus}");

sub fires
{
	my ($alert) = @_;
	for (1 .. 600)
	{
		my $answer = decode_json($http->get("http://127.0.0.1:$port{prometheus}/api/v1/alerts")->{content});
		my ($found) = grep { $_->{labels}{alertname} eq $alert && $_->{state} eq 'firing' } @{ $answer->{data}{alerts} };
		return $found if $found;
		usleep(100_000);
	}
	return {};
}

# A schema that drifts; then a run that fails.
$node->safe_psql('app', 'DROP INDEX idx_ip_geo_country');
start_exporter();
cmp_ok(metrics()->{'cowrie_schema_findings{datname="app",schema="public",severity="error"}'}, '>', 0, 'a finding');
like(fires('CowrieSchemaErrors')->{annotations}{description} // '', qr/^\d errors: SELECT \* FROM cowrie_validate_schema\('public'\);$/, 'the alert for it');
$node->safe_psql('app', 'SET client_min_messages = error; SELECT count(*) FROM cowrie_cleanup_v16(force => true)');
is(outcomes(metrics()), 'undone', 'a cleanup');
$node->psql('app', q{SET client_min_messages = error; SET cowrie_migrate.fail_at = '3.load_ip_inventory'; SELECT count(*) FROM cowrie_migrate_v16()});
is(outcomes(metrics()), 'failed', 'a run that fails, and has left no row');
like(fires('CowrieMigrationFailed')->{annotations}{description} // '', qr/^Mode atomic, step load_ip_inventory, SQLSTATE 38000\./, 'the alert for it says where and why');

# One that runs, beside an exporter that keeps asking.
my $run = start_and_rest('app');
$metrics = metrics();
is($metrics->{'cowrie_migration_running{datname="app"}'}, '1', 'a run that goes on');
is($metrics->{'cowrie_migration_holding_back{datname="app"}'}, '0', 'it does not hold back');
cmp_ok($metrics->{'cowrie_migration_silent_seconds{datname="app"}'}, '<', 60, 'it gives signs of life');
$node->safe_psql('app', 'SELECT cowrie_stop_migration()');
$run->{handle}->finish;
is(outcomes(metrics()), 'stopped', 'stopped');

$_->kill_kill foreach values %running;
%running = ();
$node->stop;
done_testing();
