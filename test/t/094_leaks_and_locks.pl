# Documents that leak, locks that anybody could take, hints that lose the schema, a CALL in a pipeline, what
# REVOKE and odd names do to the extension.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use CowrieTest;
use Hostile;
use IO::Socket::UNIX;
use PostgreSQL::Test::Utils;
use Session;
use Test::More;

my $node = hostile_node('leaks');
my $quiet = 'SET client_min_messages = error;';
my $secret = 'hunter2-xyz';
# A password is in a document, and the row that is made of it fails: that of the session, or that of its ASN.
my $document = qq{UPDATE session_summaries SET enrichment = '{"password_stats": {"secret": "$secret"},
"maxmind": {"asn": 64500, "asn_org": "$secret"}}' WHERE session_id = (SELECT min(session_id) FROM session_summaries);};
# (It holds as long as nobody has begun to migrate: a CHECK that rows violate at once is refused.)
my $session_fails = q{CREATE FUNCTION holds(document text) RETURNS boolean IMMUTABLE LANGUAGE sql
SET search_path = public, pg_temp AS $f$SELECT document !~ 'xyz' OR NOT EXISTS (SELECT FROM pg_attribute
  WHERE attrelid = 'session_summaries'::regclass AND attname = 'source_ip')$f$;
ALTER TABLE session_summaries ADD CONSTRAINT c CHECK (holds(enrichment::text));};
my $asn_fails = q{CREATE TABLE asn_inventory (asn_number integer PRIMARY KEY, organization_name text CHECK (organization_name !~ 'xyz'));};

# 6. Documents stay with those who may read them -------------------------------------------------

foreach (
	[ $session_fails, 'CALL cowrie_migrate_v16_online()' ],
	[ $asn_fails, 'CALL cowrie_migrate_v16_online(repair => true)' ],
	[ $asn_fails, 'SELECT * FROM cowrie_migrate_v16(repair => true)' ],
	[ $asn_fails, q{SELECT * FROM cowrie_migrate_v16(repair => true, on_failure => 'keep')} ])
{
	my ($trap, $mode) = @$_;
	hostile_database($node, 'leaks', n => 100);
	$node->safe_psql('leaks', "$document $trap", extra_params => [ '-U', 'app' ]);
	my $answer = ask($node, 'leaks', 'app', "SET client_min_messages = debug1; $mode");
	like("$answer->{out} $answer->{err}", qr/violates check constraint/, "$mode: fails");
	like(ask($node, 'leaks', 'carol', 'SELECT count(*) FROM session_summaries')->{message}, qr/permission denied/,
		'carol may not read the documents');
	# The server's own DETAIL names the row to whoever is allowed to look at it, and to nobody else.
	my $what = join "\n", map { ask($node, 'leaks', 'carol', "SET client_min_messages = debug1; SELECT row_to_json(x) FROM $_ AS x")->{out} }
	  qw(cowrie_migration_log cowrie_migration_status);
	isnt($what, '', "$mode: carol reads the ledger and the status");
	unlike($what, qr/\Q$secret\E/, "$mode: nothing of a document is in them");
	foreach my $call (map { "SELECT row_to_json(x) FROM $_ AS x" } 'cowrie_preflight_v16()', 'cowrie_checkpoint_v16()', 'cowrie_rejected_values()',
		'cowrie_validate_schema()', 'cowrie_migrate_v16()', 'cowrie_migrate_v16(dry_run => true)', 'cowrie_cleanup_v16()')
	{
		my $answer = ask($node, 'leaks', 'carol', "SET client_min_messages = debug1; $call");
		unlike("$answer->{out} $answer->{err}", qr/\Q$secret\E/, "after $mode: carol is told nothing of a document: $call");
	}
	my $call = ask($node, 'leaks', 'carol', 'SET client_min_messages = debug1; CALL cowrie_migrate_v16_online()');
	unlike($call->{err}, qr/\Q$secret\E/, "after $mode: carol is told nothing of a document: CALL");
	is($call->{state}, '42501', "after $mode: she is refused");
	$node->psql('leaks', "$quiet SELECT count(*) FROM cowrie_cleanup_v16(force => true)");
}

# A value that cannot be used is shown by cowrie_rejected_values to whoever may read the documents.
{
	hostile_database($node, 'leaks', n => 20);
	$node->safe_psql('leaks', qq{INSERT INTO session_summaries (session_id, enrichment)
VALUES ('a', '{"maxmind": {"asn": "$secret", "country": "$secret"}, "session_metadata": {"source_ip": "$secret"}}')});
	like(ask($node, 'leaks', 'app', 'SELECT * FROM cowrie_rejected_values()')->{out}, qr/\Q$secret\E/, 'the owner sees unusable values');
	my $answer = ask($node, 'leaks', 'carol', 'SELECT * FROM cowrie_rejected_values()');
	is($answer->{state}, '42501', 'others do not');
	ask($node, 'leaks', 'app', 'SELECT * FROM cowrie_migrate_v16()');
	unlike(ask($node, 'leaks', 'carol', 'SELECT * FROM cowrie_migration_log; SELECT * FROM cowrie_migration_status')->{out},
		qr/\Q$secret\E/, 'nor in the ledger');
}

# 7. The run lock is no lock that SQL can take ---------------------------------------------------

{
	hostile_database($node, 'locks', n => 100);
	my $mallory = Session->new($node, 'locks', user => 'mallory');
	$mallory->run('SELECT pg_advisory_lock(1129273170, 16)');
	my $status = ask($node, 'locks', 'carol', 'SELECT running FROM cowrie_migration_status')->{out};
	is($status, 'f', 'an advisory lock of somebody is no migration');
	my $migrates = ask($node, 'locks', 'app', "$quiet SELECT count(*) > 30 FROM cowrie_migrate_v16()");
	is($migrates->{out}, 't', 'and keeps none from running') or diag($migrates->{err});
	is(ask($node, 'locks', 'app', "$quiet CALL cowrie_migrate_v16_online()")->{state}, '', 'nor an online one');
	$mallory->close;
	# Neither every advisory lock nor every lock on what belongs to the extension that a role may take.
	my $answer = ask($node, 'locks', 'mallory', q{
BEGIN;
LOCK TABLE cowrie_migration_log IN ACCESS EXCLUSIVE MODE;
ROLLBACK;
BEGIN;
COMMENT ON EXTENSION cowrie_migrate IS 'mine';
ROLLBACK;
ALTER EXTENSION cowrie_migrate UPDATE;
DROP EXTENSION cowrie_migrate});
	is(scalar(() = $answer->{err} =~ /permission denied|must be owner/g), 4, 'others cannot lock what belongs to the extension')
	  or diag($answer->{err});
}

# A run in a prepared transaction: the status says so, and the refusal of the next.
{
	hostile_database($node, 'locks', n => 100);
	my $answer = ask($node, 'locks', 'app', "$quiet BEGIN; SELECT count(*) > 30 FROM cowrie_migrate_v16(); PREPARE TRANSACTION 'run'");
	my $prepared = $node->safe_psql('locks', q{SELECT count(*) FROM pg_prepared_xacts});
	if ($prepared)
	{
		my $status = ask($node, 'locks', 'carol', 'SELECT row_to_json(s) FROM cowrie_migration_status AS s')->{out};
		like($status, qr/"running":true/, 'a prepared run runs');
		like($status, qr/PREPARED 'run'/, 'and the status names the command that ends it');
		my $next = ask($node, 'locks', 'app', "$quiet SET cowrie_migrate.lock_timeout = '200ms'; SELECT count(*) FROM cowrie_migrate_v16()");
		is($next->{state}, '55P03', 'another run is refused');
		like("$next->{detail} $next->{hint}", qr/prepared transaction.*run/s, 'and told why');
		$node->safe_psql('locks', q{ROLLBACK PREPARED 'run'});
	}
	else
	{
		isnt($answer->{state}, '', 'PREPARE TRANSACTION is refused');
	}
	is(ask($node, 'locks', 'app', 'SELECT running FROM cowrie_migration_status')->{out}, 'f', 'afterwards nothing runs');
	is(ask($node, 'locks', 'app', "$quiet SELECT count(*) > 30 FROM cowrie_migrate_v16()")->{out}, 't', 'and the next run works');
}

# 8. Hints keep the schema ------------------------------------------------------------------------

{
	hostile_database($node, 'hints', n => 20, fixture => { schema => 'app "x"' });
	my $schema = q{target_schema => 'app "x"'};
	foreach (
		[ 'a bad on_failure', '', qq{SELECT * FROM cowrie_migrate_v16($schema, on_failure => 'sometimes')} ],
		[ 'REPEATABLE READ', 'BEGIN ISOLATION LEVEL REPEATABLE READ;', "SELECT * FROM cowrie_migrate_v16($schema)" ],
		[ 'SERIALIZABLE', 'BEGIN ISOLATION LEVEL SERIALIZABLE;', "SELECT * FROM cowrie_cleanup_v16($schema)" ],
		[ 'read-only', 'BEGIN READ ONLY;', "SELECT * FROM cowrie_migrate_v16($schema)" ],
		[ 'read-only', 'BEGIN READ ONLY;', "SELECT * FROM cowrie_cleanup_v16($schema)" ])
	{
		my ($what, $before, $call) = @$_;
		my $answer = ask($node, 'hints', 'app', "$before $call");
		isnt($answer->{state}, '', "$what: refused: $call");
		like($answer->{hint}, qr/cowrie_\w+\([^)]*'app "x"'/, "$what: the hint keeps the schema: $call") or diag($answer->{hint});
	}
	my $answer = ask($node, 'hints', 'app', "BEGIN; CALL cowrie_migrate_v16_online($schema)");
	like($answer->{hint}, qr/'app "x"'/, 'a CALL in a transaction: the hint keeps the schema');
}

# 8. A CALL behind an INSERT in a pipeline --------------------------------------------------------

# One message of the protocol: type, and its body.
sub message
{
	my ($type, $body) = @_;
	return $type . pack('N', 4 + length($body)) . $body;
}

# What comes back until the server is ready for the next: [type, body], ...
sub replies
{
	my ($socket) = @_;
	my @replies;
	while (1)
	{
		my ($head, $body) = ('', '');
		while (length($head) < 5) { sysread($socket, $head, 5 - length($head), length($head)) or return @replies; }
		my ($type, $length) = unpack('aN', $head);
		while (length($body) < $length - 4) { sysread($socket, $body, $length - 4 - length($body), length($body)) or return @replies; }
		push @replies, [ $type, $body ];
		return @replies if $type eq 'Z';
	}
}

sub in_a_pipeline
{
	my ($database, $user, @statements) = @_;
	my $socket = IO::Socket::UNIX->new(Peer => $node->host . '/.s.PGSQL.' . $node->port) or die "no connection: $!";
	my $start = pack('N', 196608) . "user\0$user\0database\0$database\0\0";
	syswrite($socket, pack('N', 4 + length($start)) . $start);
	replies($socket);
	syswrite($socket, join '', (map { message('P', "\0$_\0" . pack('n', 0)), message('B', "\0\0" . pack('nnn', 0, 0, 0)),
				message('E', "\0" . pack('N', 0)) } @statements), message('S', ''));
	my @errors = map { my %field = map { substr($_, 0, 1) => substr($_, 1) } split /\0/, $_->[1]; "$field{C}: $field{M}" }
	  grep { $_->[0] eq 'E' } replies($socket);
	syswrite($socket, message('X', ''));
	close($socket);
	return @errors;
}

{
	hostile_database($node, 'pipeline', n => 20);
	my $insert = q{INSERT INTO session_summaries (session_id) VALUES ('in a pipeline')};
	my @errors = in_a_pipeline('pipeline', 'app', $insert, 'CALL cowrie_migrate_v16_online()');
	like("@errors", qr/^(?:25001|25000|2D000|0A000)/, 'a CALL behind an INSERT in a pipeline is refused');
	is($node->safe_psql('pipeline', q{SELECT count(*) FROM session_summaries WHERE session_id = 'in a pipeline'}), '0',
		'and does not commit the INSERT');
	is($node->safe_psql('pipeline', q{SELECT value FROM schema_state WHERE key = 'schema_version'}), '15', 'nor migrate');
	@errors = in_a_pipeline('pipeline', 'app', 'CALL cowrie_migrate_v16_online()');
	is("@errors", '', 'a CALL by itself in the same protocol works');
	is($node->safe_psql('pipeline', q{SELECT value FROM schema_state WHERE key = 'schema_version'}), '16', 'and migrates');
}

# 8. Rights that are taken away, and odd names -------------------------------------------------------

{
	hostile_database($node, 'rights', n => 20);
	my $internal = internal_schema($node, 'rights');
	$node->safe_psql('rights', "REVOKE ALL ON ALL SEQUENCES IN SCHEMA $internal FROM PUBLIC; REVOKE ALL ON ALL SEQUENCES IN SCHEMA public FROM PUBLIC;"
		  . 'GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO app');
	foreach my $call ('SELECT cowrie_stop_migration()', 'CALL cowrie_migrate_v16_online()', 'SELECT count(*) FROM cowrie_checkpoint_v16()',
		'SELECT count(*) FROM cowrie_validate_schema()', 'SELECT count(*) FROM cowrie_preflight_v16()',
		'SELECT running FROM cowrie_migration_status', 'SELECT count(*) FROM cowrie_cleanup_v16(force => true)', 'SELECT count(*) FROM cowrie_migrate_v16()')
	{
		my $answer = ask($node, 'rights', 'app', "$quiet $call");
		is("$answer->{state}$answer->{message}", '', "without rights on the sequences: $call");
	}
}
foreach my $schema ('100%', '%s %I %L', q{it's "quoted"}, '$do$')
{
	my $name = quote_name($schema);
	$node->safe_psql('postgres', 'DROP DATABASE IF EXISTS names WITH (FORCE); CREATE DATABASE names');
	my $answer = ask($node, 'names', 'postgres', "CREATE SCHEMA $name; CREATE EXTENSION cowrie_migrate SCHEMA $name; SELECT running FROM $name.cowrie_migration_status");
	# The server itself refuses quotes, dollars and backslashes in the name of an extension's schema.
	if ($schema =~ /['"\$\\]/)
	{
		ok($answer->{out} eq 'f' || $answer->{state} =~ /^(?:22P02|22023|42602)$/, "CREATE EXTENSION in schema $schema: works, or is refused by the server")
		  or diag($answer->{err});
		next;
	}
	is("$answer->{out}$answer->{message}", 'f', "CREATE EXTENSION in schema $schema");
	run_script($node, 'names', 'v15.sql');
	is(ask($node, 'names', 'postgres', "$quiet SELECT count(*) > 30 FROM $name.cowrie_migrate_v16()")->{out}, 't', "and migrates");
	is(ask($node, 'names', 'postgres', "$quiet DROP EXTENSION cowrie_migrate")->{err}, '', "and goes");
	is($node->safe_psql('names', q{SELECT count(*) FROM pg_namespace WHERE nspname = 'cowrie_migrate_internal'}), '0', 'with its schema');
}
# Whoever has made the internal schema before has functions of his own in it: refused.
{
	hostile_database($node, 'names', owner => 'app', n => 10);
	$node->safe_psql('postgres', 'DROP DATABASE names WITH (FORCE); CREATE DATABASE names OWNER mallory');
	$node->safe_psql('names', 'CREATE SCHEMA cowrie_migrate_internal', extra_params => [ '-U', 'mallory' ]);
	my $answer = ask($node, 'names', 'postgres', 'CREATE EXTENSION cowrie_migrate');
	is($answer->{state}, '42P06', 'an internal schema of somebody else: CREATE EXTENSION is refused') or diag($answer->{err});
}

server_lived($node, 'no process was ended by a signal');
$node->stop;
done_testing();
