# Whoever calls the online migration is told of a CALL, whatever refuses it or fails: no HINT leads operators
# who must not stop their application to a lock. From every state in which production databases were found, at
# most two commands lead out: the CALL, and what the HINT of that says.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use CowrieTest;
use File::Basename qw(basename);
use Online;
use PostgreSQL::Test::Utils;
use Session;
use Test::More;

my $node = start_node('hints', 'restart_after_crash = on');
work_in($node);
create_v15($node, 'origin', n => 300);

# The HINT of a call that is refused. It names a CALL, and nothing that migrates under a lock but to say so.
sub hint
{
	my ($what, $stderr) = @_;
	my ($hint) = $stderr =~ /^(?:psql:\S+ )?HINT:  (.*?)(?=\n(?:CONTEXT|LINE|psql):|\n\z|\z)/ms;
	like($hint // '', qr/CALL cowrie_migrate_v16_online\(/, "$what: the HINT names a CALL") or diag($stderr);
	unlike($hint // '', qr/SELECT \* FROM cowrie_migrate_v16\(/, "$what: and not the one that locks");
	return $hint // '';
}

sub findings
{
	my ($database) = @_;
	return $node->safe_psql($database, 'SELECT object_name, problem FROM cowrie_validate_schema()');
}

# Refusals and failures, wherever they come from: [what, preparation, statement before, the CALL].
my @refusals = (
	[ 'a schema that is not there', '', undef, q{target_schema => 'nowhere'} ],
	[ 'no sessions', 'ALTER TABLE session_summaries RENAME TO other', undef, '' ],
	[ 'no version', q{DELETE FROM schema_state}, undef, '' ],
	[ 'no version table', q{DROP TABLE schema_state}, undef, '' ],
	[ 'an old version', q{UPDATE schema_state SET value = '14' WHERE key = 'schema_version'}, undef, '' ],
	[ 'a batch of nothing', '', undef, 'batch_size => 0' ],
	[ 'a negative pause', '', undef, q{pause => '-1 s'} ],
	[ 'read only', '', 'SET default_transaction_read_only = on', '' ],
	[ 'isolation', '', 'SET default_transaction_isolation = serializable', '' ],
	[ 'not the owner', 'CREATE ROLE stranger; GRANT USAGE ON SCHEMA public TO stranger', 'SET ROLE stranger', '' ],
	[ 'a rule', q{CREATE RULE r AS ON UPDATE TO session_summaries DO INSTEAD NOTHING}, undef, '' ],
	[ 'inheritance', q{CREATE TABLE heir () INHERITS (session_summaries)}, undef, '' ],
	[ 'a trigger', q{CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
		CREATE TRIGGER t BEFORE UPDATE ON session_summaries FOR EACH ROW EXECUTE FUNCTION f()}, undef, '' ],
	[ 'a name that is taken', 'CREATE TABLE cowrie_migrate_changes ()', undef, '' ],
	[ 'a planted table', 'CREATE ROLE planter; CREATE TABLE ip_inventory (); ALTER TABLE ip_inventory OWNER TO planter', undef, '' ],
	[ 'a full disk', '', q{SET cowrie_migrate.free_space = '1MB'}, '' ],
	[ 'a half-made inventory', 'CREATE TABLE ip_inventory (ip_address varchar(45) PRIMARY KEY)', undef, '' ],
	[ 'a failure', '', fail_at('3.load_ip_inventory'), '' ],
	[ 'a timeout', '', q{SET statement_timeout = '500ms'}, q{pause => '1 s', batch_size => 1} ]);
my $copied = 0;
foreach my $case (@refusals)
{
	my ($what, $preparation, $before, $arguments) = @$case;
	(my $database = $what) =~ tr/ /_/;
	# What is refused by settings or arguments changes nothing: these share one.
	my $shared = $preparation eq '' && $what !~ /^a (?:failure|timeout)$/;
	$database = 'unchanged' if $shared;
	copy($database) unless $shared && $copied++;
	$node->safe_psql($database, $preparation) if $preparation ne '';
	my ($status, $stderr) = call($database, $before, $arguments);
	isnt($status, 0, "$what: refused");
	hint($what, $stderr);
	$node->safe_psql($database, 'DROP OWNED BY planter; DROP ROLE planter') if $what eq 'a planted table';
	$node->safe_psql($database, 'DROP OWNED BY stranger; DROP ROLE stranger') if $what eq 'not the owner';
}
{
	my ($status, undef, $stderr) = (0);
	$node->psql('a_failure', 'BEGIN; CALL cowrie_migrate_v16_online();', stderr => \$stderr);
	hint('a transaction block', $stderr);
	my $session = Session->new($node, 'a_failure');
	$session->run('BEGIN; SELECT count(*) FROM cowrie_migrate_v16(repair => true)');
	hint('another run', (call('a_failure'))[1]);
	$session->run('ROLLBACK');
	$session->close;
}

# The production states: the CALL, and what its HINT says.
my @states = map { basename($_, '.sql') } glob "$FindBin::RealBin/../fixtures/states/*.sql";
cmp_ok(scalar @states, '>=', 13, 'states');
my ($steps_out, $by_lock) = (0, 0);
foreach my $state (@states)
{
	copy($state);
	run_script($node, $state, "states/$state.sql", schema => 'public');
	my $before = data_hash($node, $state);
	my ($status, $stderr) = call($state, undef, '');
	isnt($status, 0, "$state: refused") or next;
	my ($command) = hint($state, $stderr) =~ /(CALL cowrie_migrate_v16_online\([^;]*;)/;
	$status = $node->psql($state, $command // '', stderr => \$stderr);
	if ($status != 0)
	{
		# Types of columns of the sessions: nobody can change them beside writers. The HINT says so.
		like($stderr, qr/cannot change columns of session_summaries online/, "$state: only under a lock");
		$by_lock++;
		$node->safe_psql($state, 'SET client_min_messages = error; SELECT count(*) FROM cowrie_migrate_v16(repair => true)');
	}
	is(findings($state), '', "$state: complete after two commands");
	is(data_hash($node, $state), $before, "$state: the sessions as before");
}
cmp_ok($by_lock, '<', @states / 2, 'most states need no lock');

# A lock that somebody holds: the same CALL.
{
	copy('lock_wait');
	my (undef, $stderr) = call('lock_wait', fail_at('2.load_asn_inventory'));
	my $holder = Session->new($node, 'lock_wait');
	$holder->run('BEGIN; LOCK TABLE asn_inventory IN SHARE MODE');
	(undef, $stderr) = call('lock_wait', q{SET cowrie_migrate.lock_attempts = 3});
	hint('a lock wait', $stderr);
	$holder->close;
	is((call('lock_wait'))[0], 0, 'a lock wait: the CALL goes on');
	is(findings('lock_wait'), '', 'a lock wait: complete after one command');
}

# The page opens with that.
my $page = slurp_file("$FindBin::RealBin/../../docs/RECOVERY.md");
my ($first) = $page =~ /^## First: let it recover itself\n(.*?)^### /ms;
like($first, qr/mode` is `online`, call it again:\s+`CALL cowrie_migrate_v16_online\(\);`/, 'the first section leads to the CALL');

figure(scalar(@refusals) . ' refusals of the CALL, each with a HINT that names a CALL; '
	  . @states . " states, $by_lock of them only under a lock");
$node->stop;
done_testing();
