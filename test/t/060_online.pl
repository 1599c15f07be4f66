# The online migration on a database that nobody writes: it gives what the independent reference
# computes and exactly the database that the atomic migration gives; it refuses what is no bare CALL;
# whatever step it fails in, the next call goes on from there.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use CowrieTest;
use Test::More;

my $node = start_node('online');

# Runs SQL in one session, statement by statement: (status, stdout, stderr).
sub session
{
	my ($database, $sql, @options) = @_;
	my ($stdout, $stderr) = ('', '');
	my $status = $node->psql($database, $sql, stdout => \$stdout, stderr => \$stderr,
		extra_params => \@options);
	return ($status, $stdout, $stderr);
}

# As the atomic migration does it, in every kind of database -------------------------------------

my @variants = (
	{ name => 'json_timestamptz', zone => 'America/New_York', n => 10_000 },
	{ name => 'json_timestamp', event_type => 'timestamp', zone => 'Asia/Kathmandu' },
	{ name => 'jsonb_timestamptz', doc_type => 'jsonb', column_order => 'reversed' },
	{ name => 'owned', owner => 'o\'wn"er', schema => 'x\'y"z', zone => 'America/New_York' });

foreach my $variant (@variants)
{
	my %options = %$variant;
	my $database = delete $options{name};
	my $zone = delete $options{zone} // 'UTC';
	my $schema = $options{schema} // 'public';
	my $sessions = delete $options{n} // 3_000;
	$sessions = 100_000 if full_counts();
	my $argument = exists $options{schema} ? quote_text($schema) : '';
	my @user = defined $options{owner} ? ('-U', $options{owner}) : ();

	create_v15($node, $database, n => $sessions, %options);
	copy_database($node, $database, "atomic_$database");
	load_reference($node, $database, $schema);
	my $data = data_hash($node, $database, $schema);

	my ($status, undef, $stderr) =
	  session($database, "SET timezone = '$zone'; CALL cowrie_migrate_v16_online($argument);", @user);
	is($status, 0, "$database: the call succeeds") or diag($stderr);
	is(compare($node, $database, $schema), $no_difference, "$database: as the reference");
	is(data_hash($node, $database, $schema), $data, "$database: data unchanged");
	is($node->safe_psql($database, "SELECT count(*) FROM cowrie_validate_schema($argument)"),
		'0', "$database: no findings");

	($status, undef, $stderr) = session("atomic_$database",
		"SET timezone = '$zone'; SELECT count(*) FROM cowrie_migrate_v16($argument);", @user);
	is($status, 0, "$database: the atomic migration succeeds") or diag($stderr);
	is(schema_dump($node, $database, $schema), schema_dump($node, "atomic_$database", $schema),
		"$database: the same schema as the atomic migration makes");
	is(migrated_hash($node, $database, $schema),
		migrated_hash($node, "atomic_$database", $schema),
		"$database: the same rows as the atomic migration makes");
	figure("online and at once, $sessions sessions, $database: the same schema dump and the same data hash");
	$node->safe_psql('postgres', 'DROP DATABASE ' . quote_name($_))
	  for $database, "atomic_$database";
}

# Nothing but a bare CALL -------------------------------------------------------------------------

create_v15($node, 'refused', n => 200);
my $before = schema_dump($node, 'refused');
$node->safe_psql('refused', 'CREATE PROCEDURE around() LANGUAGE plpgsql'
	. ' AS $$ BEGIN CALL cowrie_migrate_v16_online(); END $$');
my $refusal = 'ERROR:  25001: cowrie_migrate_v16_online must be called as a single statement outside a transaction block';
my $hint = 'HINT:  Run only CALL cowrie_migrate_v16_online\(\);';
my %wrong = (
	'a transaction block' => [ '-c', 'BEGIN', '-c', 'CALL cowrie_migrate_v16_online()' ],
	'a string of several statements' => [ '-c', 'SET timezone = UTC; CALL cowrie_migrate_v16_online()' ],
	'a DO block' => [ '-c', 'DO $$ BEGIN CALL cowrie_migrate_v16_online(); END $$' ],
	'a DO block with a handler' => [ '-c',
		'DO $$ BEGIN BEGIN CALL cowrie_migrate_v16_online(); EXCEPTION WHEN division_by_zero THEN NULL; END; END $$' ],
	'another procedure' => [ '-c', 'CALL around()' ]);
foreach my $case (sort keys %wrong)
{
	my (undef, undef, $stderr) = session('refused', '', '-v', 'VERBOSITY=verbose', @{ $wrong{$case} });
	like($stderr, qr/^\Q$refusal\E$/m, "refused in $case");
	like($stderr, qr/^$hint/m, "with a hint in $case");
}
my (undef, undef, $isolation) = session('refused',
	"SET default_transaction_isolation = 'repeatable read';\nCALL cowrie_migrate_v16_online();");
like($isolation, qr/cannot migrate in a REPEATABLE READ.*HINT:  Run SET default_transaction_isolation/s,
	'refused in another isolation level');
for my $argument ('batch_size => 0', "pause => '-1 s'")
{
	my (undef, undef, $stderr) = session('refused', "CALL cowrie_migrate_v16_online($argument)");
	like($stderr, qr/ERROR:  \S+ must .*HINT:  Omit it: CALL/s, "refused: $argument");
}
$node->safe_psql('refused', 'CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql'
	. ' AS $$ BEGIN NEW.updated_at = now(); RETURN NEW; END $$;'
	. ' CREATE TRIGGER touch BEFORE UPDATE ON session_summaries FOR EACH ROW EXECUTE FUNCTION touch()');
my (undef, undef, $trigger) = session('refused', 'CALL cowrie_migrate_v16_online()');
like($trigger, qr/triggers or rules on session_summaries would fire.*DETAIL:  trigger touch/s,
	'refused: a BEFORE UPDATE row trigger');
$node->safe_psql('refused', 'DROP TRIGGER touch ON session_summaries; DROP FUNCTION touch();'
	. ' DROP PROCEDURE around()');
is(schema_dump($node, 'refused'), $before, 'refusals change nothing');
is($node->safe_psql('refused', 'SELECT count(*) FROM cowrie_migration_log'), '0', 'nor does the ledger');
is($node->safe_psql('refused', 'SELECT cowrie_stop_migration()'), 'f', 'nothing to stop');

# A failure in any step -----------------------------------------------------------------------

load_reference($node, 'refused');
my $data = data_hash($node, 'refused');
my ($status, undef, $stderr) = session('refused', 'CALL cowrie_migrate_v16_online(batch_size => 50)');
is($status, 0, 'migrates in batches of 50') or diag($stderr);
my @steps = split /\n/, $node->safe_psql('refused',
	"SELECT phase || '.' || step FROM cowrie_migration_log WHERE step IS NOT NULL GROUP BY phase, step ORDER BY min(log_id)");
cmp_ok(scalar @steps, '>', 30, scalar(@steps) . ' steps');
my $dump = schema_dump($node, 'refused');

my $every = full_counts() ? 1 : 4;
my @chosen = grep { full_counts() || $_ % $every == 0 || $steps[$_] =~ /add_columns|fill_columns|cut_over|load_ip_inv/ } 0 .. $#steps;
foreach my $step (@steps[@chosen])
{
	$node->safe_psql('refused', 'SELECT count(*) FROM cowrie_cleanup_v16()');
	my (undef, undef, $failure) = session('refused',
		"SET cowrie_migrate.fail_at = '$step';\nCALL cowrie_migrate_v16_online(batch_size => 50);\nSELECT 1;");
	like($failure, qr/ERROR:  injected failure at \Q$step\E/, "fails at $step");
	like($node->safe_psql('refused', 'SELECT running, last_sqlstate FROM cowrie_migration_status'),
		qr/^f\|38000$/, "$step: the status tells the SQLSTATE");
	like($node->safe_psql('refused', "SELECT status, sqlstate, message FROM cowrie_migration_log"
			. ' WHERE phase IS NULL ORDER BY log_id DESC LIMIT 1'),
		qr/^failed\|38000\|injected failure at \Q$step\E$/, "$step: the ledger has it");
	my ($resumed, undef, $notices) = session('refused', 'CALL cowrie_migrate_v16_online(batch_size => 50)');
	is($resumed, 0, "$step: resumes") or diag($notices);
	like($notices, qr/NOTICE:  resuming the online migration/, "$step: says so");
	is(compare($node, 'refused'), $no_difference, "$step: as the reference");
	is(schema_dump($node, 'refused'), $dump, "$step: the same schema");
}
is(data_hash($node, 'refused'), $data, 'data unchanged by all of it');

$node->stop;
done_testing();
