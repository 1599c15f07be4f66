# Version 17 on all ways that lead to it: from 15 and from 16, at once and online, by the application's own
# migration; back to 16 and to 15, by the extension and by the plain SQL script, and up again. All ways end
# in the same schema, with the rows that the reference computes.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use Cwd qw(abs_path);
use CowrieTest;
use IPC::Run ();
use Test::More;
use Versions;

my $node = start_node('version17');
my $script = abs_path("$FindBin::RealBin/../../scripts/cleanup_v16_incomplete.sql");
create_v15($node, 'v15', n => 300);
my $v15 = schema_dump($node, 'v15');
my $data = data_hash($node, 'v15');
load_reference($node, 'v15');

sub copy
{
	my ($from, $to) = @_;
	copy_database($node, $from, $to);
	return;
}

sub steps_of
{
	my ($database, $call) = @_;
	return $node->safe_psql($database,
		"SELECT string_agg(phase || ' ' || step || ' ' || status || coalesce(' ' || detail, ''), E'\\n') FROM $call");
}

sub file_of_sessions
{
	my ($database) = @_;
	return $node->safe_psql($database, q{SELECT pg_relation_filenode('session_summaries')});
}

# The ways up -----------------------------------------------------------------------------------------

copy('v15', 'v16');
$node->safe_psql('v16', 'SELECT count(*) FROM cowrie_migrate_v16()');
my $v16 = schema_dump($node, 'v16');
my @added = added_objects($node, 'v16');
is(scalar(grep { $_->{kind} eq 'column' } @added), 3, 'version 17 adds three columns');
is(scalar(grep { $_->{kind} eq 'index' } @added), 3, 'and three indexes');
my %way = (
	at_once_from_15 => [ 'v15', 'SELECT count(*) FROM cowrie_migrate_v17()' ],
	at_once_from_16 => [ 'v16', 'SELECT count(*) FROM cowrie_migrate_v17()' ],
	online_from_15 => [ 'v15', 'CALL cowrie_migrate_v17_online(batch_size => 100)' ],
	online_from_16 => [ 'v16', 'CALL cowrie_migrate_v17_online()' ]);
my $v17;
foreach my $database (sort keys %way)
{
	my ($from, $call) = @{ $way{$database} };
	copy($from, $database);
	my $file = file_of_sessions($database);
	$node->safe_psql($database, $call);
	my $dump = schema_dump($node, $database);
	$v17 //= $dump;
	is($dump, $v17, "$database: the same schema");
	is(state_of($node, $database), '17 17.2', "$database: what is recorded");
	is(compare($node, $database), $no_difference, "$database: the rows are the reference's");
	is(data_hash($node, $database), $data, "$database: nothing of version 15 has changed");
	is(file_of_sessions($database), $file, "$database: the sessions are not rewritten")
	  if $database ne 'at_once_from_15';
	is($node->safe_psql($database, 'SELECT count(*) FROM cowrie_validate_schema(version => 17)'), 0,
		"$database: validate finds nothing");
	is($node->safe_psql($database, q{SELECT string_agg(criterion, ', ') FROM cowrie_checkpoint_v17() WHERE NOT passed}),
		'ip_coverage', "$database: the checkpoint, on these sessions");
	is(steps_of($database, 'cowrie_migrate_v17()'), '7 verify skipped schema version 17 is complete, nothing to do',
		"$database: nothing to do");
	is(steps_of($database, 'cowrie_migrate_v16()'), '5 verify skipped schema version 16 is complete, nothing to do',
		"$database: version 16 is complete, too");
	is($node->safe_psql($database, 'SELECT hazard FROM cowrie_preflight_v17()'), 'nothing to do', "$database: nor for preflight");
	is(schema_dump($node, $database), $v17, "$database: and nothing was done");
}
my $steps = $node->safe_psql('at_once_from_15', q{SELECT string_agg(step, ' ' ORDER BY log_id) FROM cowrie_migration_log
WHERE step IN ('fill_columns', 'zero_loss_gate', 'verify', 'set_version')});
is($steps, 'fill_columns verify zero_loss_gate set_version', 'from 15: one rewrite, one verification, one proof');

# What else is known of it ------------------------------------------------------------------------------

is($node->safe_psql('v16', q{SELECT count(*) FROM cowrie_preflight_v17() WHERE severity = 'blocker'}), 0,
	'preflight on version 16 finds no blocker');
is($node->safe_psql('v16', q{SELECT count(*) FROM cowrie_preflight_v17() WHERE hazard IN ('duration', 'space for tables', 'expected coverage')}),
	0, 'and speaks of no rewrite');
is($node->safe_psql('v16', q{SELECT string_agg(DISTINCT phase || ' ' || status, ', ') FROM cowrie_migrate_v17(dry_run => true)}),
	'6 planned, 7 planned', 'the plan from 16 has the phases of version 17 alone');
is(schema_dump($node, 'v16'), $v16, 'and does nothing');
is($node->safe_psql('at_once_from_15', 'SELECT phase, step, outcome FROM cowrie_migration_status'), '7|finished|done',
	'the status after a run');

# The ways back -----------------------------------------------------------------------------------------

# The cleanup, and the script: the rest of its call.
my %back = (
	extension => sub {
		my ($database, $version, $force) = @_;
		my $forced = $force ? 'force => true' : '';
		my ($state) = refusal_of($node, $database, "SELECT count(*) FROM cowrie_cleanup_v17($forced);"
			  . ($version == 15 ? 'SELECT count(*) FROM cowrie_cleanup_v16();' : ''));
		return $state;
	},
	script => sub {
		my ($database, $version, $force) = @_;
		IPC::Run::run([ 'psql', '-X', '-d', $node->connstr($database), '-v', 'VERBOSITY=verbose', '-v', "version=$version",
				($force ? ('-v', 'force=on') : ()), '-f', $script ], '>', \my $stdout, '2>', \my $stderr);
		return $stderr =~ /ERROR:  (\w{5})/ ? $1 : 'not refused';
	});
foreach my $how (sort keys %back)
{
	my $database = "back_by_$how";
	copy('at_once_from_15', $database);
	is($back{$how}->($database, 16), 'not refused', "$how: back to 16");
	is(schema_dump($node, $database), $v16, "$how: the schema of version 16");
	is($node->safe_psql($database, q{SELECT passed FROM cowrie_checkpoint_v16() WHERE criterion = 'zero_data_loss'}), 't',
		"$how: what was proved is still known");
	is($back{$how}->($database, 16), 'not refused', "$how: nothing more to remove");
	is($back{$how}->($database, 15), 'not refused', "$how: back to 15");
	is(schema_dump($node, $database) =~ s/CREATE SCHEMA reference.*//r, $v15, "$how: the schema of version 15");
	$node->safe_psql($database, 'SELECT count(*) FROM cowrie_migrate_v17()');
	is(schema_dump($node, $database), $v17, "$how: up again");
	is(compare($node, $database), $no_difference, "$how: with the same rows");

	$node->safe_psql($database, value_of_the_application(@added));
	is($back{$how}->($database, 16), '55000', "$how: a value of the application's stops it");
	is(schema_dump($node, $database), $v17, "$how: nothing is removed");
	is($back{$how}->($database, 16, 'force'), 'not refused', "$how: unless that is wanted");
	is(schema_dump($node, $database), $v16, "$how: it is gone");
}
copy('at_once_from_15', 'all_at_once');
is($back{script}->('all_at_once', 15), 'not refused', 'the script goes back from 17 to 15 at once');
is(schema_dump($node, 'all_at_once'), $v15, 'to the schema of version 15');
is($back{script}->('all_at_once', 17), '22023', 'and knows no way to 17');

# The application -----------------------------------------------------------------------------------------

copy('v16', 'application');
$node->safe_psql('application', application_upgrade(@added));
is(state_of($node, 'application'), '17 16.5', 'the application has gone on to 17 by itself');
my $by_application = schema_dump($node, 'application');
is($node->safe_psql('application', 'SELECT count(*) FROM cowrie_validate_schema(version => 17)'), 0, 'that is version 17');
is($node->safe_psql('application', 'SELECT count(*) FROM cowrie_validate_schema()'), 0, 'and version 16 is complete');
is(steps_of('application', 'cowrie_migrate_v17()'), '7 verify skipped schema version 17 is complete, nothing to do', 'nothing to do');
$node->psql('application', 'CALL cowrie_migrate_v17_online()', stderr => \my $notices);
like($notices, qr/schema version 17 is complete, nothing to do/, 'nor online');
is(steps_of('application', 'cowrie_migrate_v16()'), '5 verify skipped schema version 16 is complete, nothing to do',
	'nor for version 16');
is(schema_dump($node, 'application'), $by_application, 'and nothing was done');
$node->safe_psql('application', 'SELECT count(*) FROM cowrie_cleanup_v17()');
is(schema_dump($node, 'application'), $v16, 'cleanup knows its names');

# A later one.
copy('at_once_from_15', 'later');
$node->safe_psql('later', q{UPDATE schema_state SET value = '18' WHERE key = 'schema_version'});
is(steps_of('later', 'cowrie_migrate_v17()'), '7 verify skipped schema version 17 is complete, nothing to do', 'a database at 18');
is(state_of($node, 'later'), '18 17.2', 'stays there');
my @refusal = refusal_of($node, 'later', 'SELECT * FROM cowrie_cleanup_v17()');
is($refusal[0], '55000', 'cleanup refuses it');
is($refusal[1], 'schema version 18 builds on version 17', 'and says why');
like($refusal[2], qr/cowrie_cleanup_v17\(force => true\)/, 'and how it can be done');
is($back{script}->('later', 16), '55000', 'the script, too');
$node->safe_psql('later', 'SELECT count(*) FROM cowrie_cleanup_v17(force => true)');
is(schema_dump($node, 'later'), $v16, 'by force');
@refusal = refusal_of($node, 'at_once_from_16', 'SELECT * FROM cowrie_cleanup_v16()');
is($refusal[1], 'schema version 17 builds on version 16', 'the cleanup of version 16 refuses version 17');
like($refusal[2], qr/cowrie_cleanup_v17\(\)/, 'and names what comes first');

# Validate knows which version is meant.
is($node->safe_psql('at_once_from_16', q{
SELECT count(*) || ' ' || count(*) FILTER (WHERE remedy LIKE '%cleanup_v17%') FROM cowrie_validate_schema(version => 15)}),
	$node->safe_psql('at_once_from_16', q{SELECT count(*) + } . (@added + 1) . q{ || ' ' || } . (@added + 1)
		. q{ FROM cowrie_validate_schema(version => 15) WHERE remedy NOT LIKE '%cleanup_v17%'}),
	'validate against version 15 names the cleanup of each version');
@refusal = refusal_of($node, 'v16', 'SELECT * FROM cowrie_validate_schema(version => 18)');
is("@refusal[0, 1]", '22023 schema version 18 cannot be validated', 'version 18 is not known');

done_testing();
