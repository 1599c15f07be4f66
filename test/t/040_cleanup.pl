# From every state in which production databases were found: cleanup gives version 15, to the byte of
# a schema dump, and the data as it was; migrating then gives version 16. The same by the plain SQL
# file, without the extension. What is refused is refused with a way out that works.
use strict;
use warnings;

use Cwd qw(abs_path);
use FindBin;
use lib $FindBin::RealBin;

use CowrieTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $root = abs_path("$FindBin::RealBin/../..");
my $sessions = full_counts() ? 20_000 : 400;
my $node = start_node('cleanup');
my @states = map { m{([^/]+)\.sql$} } sort glob "$root/test/fixtures/states/*.sql";
cmp_ok(scalar @states, '>=', 10, 'states');

# A schema that needs quoting, on nobody's search_path.
my $schema = q{x'y"z};
my $prefix = quote_name($schema);
my $argument = 'target_schema => ' . quote_text($schema);

# Runs SQL; returns what it prints, and what it says beside.
sub attempt
{
	my ($database, $sql) = @_;
	my ($stdout, $stderr) = ('', '');
	my $status = $node->psql($database, $sql, stdout => \$stdout, stderr => \$stderr);
	return ($status, $stdout, $stderr);
}

# The schema dump, without what the application has added at a later version.
sub dump_of
{
	my ($database) = @_;
	$node->safe_psql($database,
		"ALTER TABLE $prefix.session_summaries DROP COLUMN IF EXISTS version17");
	return schema_dump($node, $database, $schema);
}

# Cleans up as an operator would: as is, and where that is refused, as the HINT says. Returns the
# refusals.
sub clean_up
{
	my ($database, $run) = @_;
	my @refusals;
	for my $round (1 .. 4)
	{
		my $force = grep { $_ ne '2BP01' } @refusals;
		my ($status, $stderr) = $run->($database, $force);
		return @refusals if $status == 0;
		my ($state) = $stderr =~ /^(?:psql:.*?)?ERROR: +(\w{5}): /m;
		push @refusals, $state // "no SQLSTATE: $stderr";
		last if ($state // '') !~ /^(?:2BP01|55000)$/;
		my ($hint) = $stderr =~ /^HINT: +(.*)$/m;
		if ($state eq '2BP01')
		{
			my ($drops) = $hint =~ /no longer needed: (.*)then run /;
			$node->safe_psql($database, $drops);
		}
	}
	return (@refusals, 'given up');
}

my %ways = (
	extension => sub {
		my ($database, $force) = @_;
		my $call = "cowrie_cleanup_v16($argument" . ($force ? ', force => true' : '') . ')';
		my ($status, undef, $stderr) =
		  attempt($database, "\\set VERBOSITY verbose\nSELECT count(*) FROM $call;");
		return ($status, $stderr);
	},
	script => sub {
		my ($database, $force) = @_;
		my ($stdout, $stderr);
		my $result = IPC::Run::run(
			[
				'psql', '-X', '-d', $node->connstr($database), '-v', "schema=$schema", '-v',
				'VERBOSITY=verbose', ($force ? ('-v', 'force=on') : ()), '-f',
				"$root/scripts/cleanup_v16_incomplete.sql"
			],
			'>', \$stdout, '2>', \$stderr);
		return ($result ? 0 : 1, $stderr);
	});

create_v15($node, 'v15', n => $sessions, schema => $schema);
my $v15 = schema_dump($node, 'v15', $schema);
my $data = data_hash($node, 'v15', $schema);
$node->stop;
$node->start; # nobody may be connected to a template

# An online migration that was interrupted, and is given up.
my %interrupted = (
	interrupted_early => '1.add_columns',
	interrupted_filling => '1.fill_columns',
	interrupted_late => '3.load_ip_inventory');

for my $state (@states, 'version15', 'complete', sort keys %interrupted)
{
	my $prepared = "state_$state";
	copy_database($node, 'v15', $prepared);
	if ($state eq 'complete')
	{
		$node->safe_psql($prepared, "SELECT count(*) FROM cowrie_migrate_v16($argument)");
	}
	elsif ($interrupted{$state})
	{
		my (undef, undef, $failure) = attempt($prepared,
			"SET cowrie_migrate.fail_at = '$interrupted{$state}';\nCALL cowrie_migrate_v16_online("
			  . quote_text($schema) . ', batch_size => 50);');
		like($failure, qr/injected failure at \Q$interrupted{$state}\E/, "$state: interrupted");
	}
	elsif ($state ne 'version15')
	{
		run_script($node, $prepared, "states/$state.sql", schema => $schema);
	}
	is(data_hash($node, $prepared, $schema), $data, "$state: the state leaves the data as it is");

	for my $way ('extension', 'script')
	{
		next if $way eq 'script' and $interrupted{$state}; # its trigger holds the extension

		my $database = "${way}_$state";
		my $name = "$state, by the $way";
		copy_database($node, $prepared, $database);
		$node->safe_psql($database, 'DROP EXTENSION cowrie_migrate') if $way eq 'script';

		my @refusals = clean_up($database, $ways{$way});
		note("$name: refused first with @refusals") if @refusals;
		unlike("@refusals", qr/given|SQLSTATE/, "$name: is cleaned up in the end");
		is("@refusals", '', "$name: nothing to refuse")
		  if $state =~ /^(?:version15|complete|interrupted.*)$/;
		is(dump_of($database), $v15, "$name: the schema of version 15");
		is(data_hash($node, $database, $schema), $data, "$name: data unchanged");

		# Once more: nothing to do.
		if ($way eq 'extension')
		{
			is( $node->safe_psql($database,
					"SELECT step, status FROM cowrie_cleanup_v16($argument)"),
				'cleanup|skipped', "$name: nothing to do the second time");
		}
		else
		{
			my ($status, $stderr) = $ways{script}->($database, 0);
			is($status, 0, "$name: the second time");
			like($stderr, qr/schema version 15, nothing to remove/, "$name: nothing to do");
			$node->safe_psql($database, 'CREATE EXTENSION cowrie_migrate');
		}

		$node->safe_psql($database, "SELECT count(*) FROM cowrie_migrate_v16($argument)");
		is($node->safe_psql($database, "SELECT count(*) FROM cowrie_validate_schema($argument)"),
			'0', "$name: migrated again, no findings");
		is(data_hash($node, $database, $schema), $data, "$name: migrated again, data unchanged");
		$node->safe_psql('postgres', "DROP DATABASE $database");
	}
	$node->safe_psql('postgres', "DROP DATABASE $prepared");
}

# As the owner of the tables, who is no superuser. A superuser is refused: a trigger of the owner's would run
# in its session, and SET ROLE is no cage for it.
for my $user ('postgres', 'keeper')
{
	my $database = "owned_$user";
	create_v15($node, $database, n => 50, owner => 'keeper');
	my $before = schema_dump($node, $database);
	$node->safe_psql($database, 'SELECT count(*) FROM cowrie_migrate_v16(); DROP EXTENSION cowrie_migrate;');
	$node->safe_psql($database, q{
CREATE TABLE who (name text);
CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS
  'BEGIN INSERT INTO public.who VALUES (current_user); RETURN new; END';
CREATE TRIGGER tell AFTER UPDATE ON schema_state FOR EACH ROW EXECUTE FUNCTION tell();
ALTER TABLE who OWNER TO keeper;
ALTER FUNCTION tell OWNER TO keeper;});
	my ($stdout, $stderr);
	my $migrated = schema_dump($node, $database);
	my $done = IPC::Run::run(
		[
			'psql', '-XU', $user, '-d', $node->connstr($database), '-v', 'VERBOSITY=verbose', '-f',
			"$root/scripts/cleanup_v16_incomplete.sql"
		],
		'>', \$stdout, '2>', \$stderr);
	if ($user eq 'postgres')
	{
		ok(!$done, "the script as $user");
		like($stderr, qr/42501: this script must be run by the owner of session_summaries, role "keeper"/, 'is refused');
		like($stderr, qr/HINT:  Log in as that role: psql -U keeper -d \Q$database\E -f/, 'and says how to run it');
		is($node->safe_psql($database, 'SELECT count(*) FROM who'), '0', 'nothing of the owner has run');
		is(schema_dump($node, $database), $migrated, 'nothing has changed');
		next;
	}
	ok($done, "the script as $user") or diag($stderr);
	is($node->safe_psql($database, 'SELECT DISTINCT name FROM who'), 'keeper', 'it acts as the owner');
	$node->safe_psql($database, 'DROP TABLE who; DROP FUNCTION tell CASCADE;');
	is(schema_dump($node, $database), $before, 'the schema of version 15');
}

# Enriched since: refused, and nothing has changed.
create_v15($node, 'enriched', n => 50);
$node->safe_psql('enriched', q{SELECT count(*) FROM cowrie_migrate_v16();
UPDATE ip_inventory SET enrichment_updated_at = now();});
my $enriched = schema_dump($node, 'enriched');
my ($status, $refusal) = $ways{script}->('enriched', 0);
cmp_ok($status, '!=', 0, 'refused: no such schema');
like($refusal, qr/42P01: table session_summaries does not exist/, 'names the cause');
$schema = 'public';
($status, $refusal) = $ways{script}->('enriched', 0);
cmp_ok($status, '!=', 0, 'refused: enriched by the application');
like($refusal, qr/55000: cleanup would lose .*DETAIL:  ip_inventory: \d+ rows enriched/s, 'counts them');
my ($save) = $refusal =~ /^HINT:  Save it, as in (.*;) and accept the loss with -v force=on/m;
is(schema_dump($node, 'enriched'), $enriched, 'nothing has changed');
$node->safe_psql('enriched', q{UPDATE schema_state SET value = '18' WHERE key = 'schema_version'});
($status, $refusal) = $ways{script}->('enriched', 0);
like($refusal, qr/55000: schema version 18 builds on version 17/, 'refused: a later version');
$node->safe_psql('enriched', $save);
($status, $refusal) = $ways{script}->('enriched', 1);
is($status, 0, 'forced');
cmp_ok($node->safe_psql('enriched', 'SELECT count(*) FROM saved_ip_inventory'), '>', 0, 'saved');
$node->safe_psql('enriched', q{UPDATE schema_state SET value = '14' WHERE key = 'schema_version'});
($status, $refusal) = $ways{script}->('enriched', 1);
like($refusal, qr/0A000: cannot return from schema version "14"/, 'refused: an earlier version');

$node->stop;
done_testing();
