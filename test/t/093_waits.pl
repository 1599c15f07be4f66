# What has changed while a call waited for a lock, or between two batches of an online migration: it is
# refused with the words with which it would have been refused before, or it makes no difference. Nobody's
# code runs as somebody else, no process ends by a signal.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use CowrieTest;
use Hostile;
use PostgreSQL::Test::Utils;
use Session;
use Test::More;

my $node = hostile_node('waits', 'wal_level = logical', 'log_statement = none');
my $quiet = q{SET client_min_messages = error; SET cowrie_migrate.lock_timeout = '20s'};
hostile_database($node, 't_v15', owner => 'app', n => 100);
$node->safe_psql('t_v15', attack_code('mallory')
	  . 'GRANT CREATE, USAGE ON SCHEMA public TO mallory; CREATE TABLE public.aside AS SELECT session_id, enrichment FROM session_summaries;'
	  . 'ALTER TABLE public.aside OWNER TO app; GRANT CREATE ON DATABASE t_v15 TO app; CREATE ROLE heir LOGIN; GRANT heir TO app;'
	  . 'GRANT CREATE, USAGE ON SCHEMA public TO heir');
$node->safe_psql('postgres', 'CREATE DATABASE t_v16 TEMPLATE t_v15 OWNER app; GRANT CREATE ON DATABASE t_v16 TO app');
$node->safe_psql('t_v16', "$quiet; SELECT count(*) FROM cowrie_migrate_v16()", extra_params => [ '-U', 'app' ]);

# The declared shape of the inventories, without their foreign keys: what mallory plants looks right.
my ($shape) = run_command([ 'pg_dump', '-s', '-x', '-O', '-t', 'ip_inventory', '-t', 'asn_inventory', '-d', $node->connstr('t_v16') ]);
$shape =~ s/^(?:\\|SET|SELECT|--).*$//mg;
$shape =~ s/ALTER TABLE ONLY public\.\w+\s+ADD CONSTRAINT fk_[^;]*;//g;
my $restore = q{DROP TABLE session_summaries CASCADE;
CREATE TABLE session_summaries (session_id varchar(64) NOT NULL CONSTRAINT pk_session_summaries PRIMARY KEY,
  first_event_at timestamptz, last_event_at timestamptz, event_count integer DEFAULT 0 NOT NULL,
  command_count integer DEFAULT 0 NOT NULL, file_downloads integer DEFAULT 0 NOT NULL, login_attempts integer DEFAULT 0 NOT NULL,
  vt_flagged boolean DEFAULT false NOT NULL, dshield_flagged boolean DEFAULT false NOT NULL, risk_score integer,
  matcher varchar(32), source_files json, enrichment json, created_at timestamptz DEFAULT now() NOT NULL,
  updated_at timestamptz DEFAULT now() NOT NULL, ssh_key_injections integer DEFAULT 0 NOT NULL, unique_ssh_keys integer DEFAULT 0 NOT NULL);
INSERT INTO session_summaries (session_id, enrichment) SELECT session_id, enrichment FROM aside};

# What => [by whom, SQL]. By app in the transaction that is waited for, by others in one of their own.
my %changes = (
	'inventories with a trigger' => [ 'mallory', "$shape; GRANT ALL ON public.ip_inventory, public.asn_inventory TO PUBLIC;
CREATE TRIGGER t BEFORE INSERT OR UPDATE ON public.ip_inventory FOR EACH ROW EXECUTE FUNCTION evil.trg('trigger made while it waited')" ],
	'a table with the name of the staging table' => [ 'mallory', q{CREATE TABLE public.cowrie_migrate_staging (session_id varchar(64));
GRANT ALL ON public.cowrie_migrate_staging TO PUBLIC} ],
	'raw_events of another' => [ 'app', q{DROP TABLE raw_events;} ],
	'a parent' => [ 'app', 'CREATE TABLE parent (session_id varchar(64) NOT NULL); ALTER TABLE session_summaries INHERIT parent' ],
	'a child' => [ 'app', 'CREATE TABLE child () INHERITS (session_summaries)' ],
	'a publication' => [ 'app', 'CREATE PUBLICATION p FOR TABLE session_summaries' ],
	'a publication without replica identity' => [ 'app', 'CREATE PUBLICATION p FOR TABLE session_summaries; ALTER TABLE session_summaries REPLICA IDENTITY NOTHING' ],
	'a rule' => [ 'app', 'CREATE RULE r AS ON UPDATE TO session_summaries DO INSTEAD NOTHING' ],
	'row security' => [ 'app', 'ALTER TABLE session_summaries ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY' ],
	'another owner' => [ 'app', 'ALTER TABLE session_summaries OWNER TO heir' ],
	'a restore' => [ 'app', $restore ],
	'a table that has gone' => [ 'app', 'DROP TABLE session_summaries CASCADE' ],
	'a view in its place' => [ 'app', 'ALTER TABLE session_summaries RENAME TO aside_2; CREATE VIEW session_summaries AS SELECT * FROM aside_2' ],
	'an unlogged table' => [ 'app', 'DROP TABLE password_session_usage, longtail_detection_sessions; ALTER TABLE session_summaries SET UNLOGGED' ],
	'times of another type' => [ 'app', 'ALTER TABLE session_summaries ALTER created_at DROP DEFAULT, ALTER created_at TYPE text' ],
	'documents of another type' => [ 'app', q{ALTER TABLE session_summaries ALTER enrichment TYPE bytea USING '\x00'} ],
	'documents as integers' => [ 'app', q{ALTER TABLE session_summaries ALTER enrichment TYPE integer USING 42} ],
	'keys as integers' => [ 'app', q{DROP TABLE password_session_usage, longtail_detection_sessions; ALTER TABLE session_summaries DROP CONSTRAINT pk_session_summaries;
ALTER TABLE session_summaries ALTER session_id TYPE integer USING 42} ],
	'payloads as integers' => [ 'app', 'ALTER TABLE raw_events ALTER payload TYPE integer USING 42' ],
	'no schema_state' => [ 'app', 'DROP TABLE schema_state' ],
	'schema_state as a view' => [ 'app', q{ALTER TABLE schema_state RENAME TO s; CREATE VIEW schema_state AS SELECT * FROM s} ],
	'another version' => [ 'app', q{UPDATE schema_state SET value = '14' WHERE key = 'schema_version'} ]);

my %calls = (
	migrate => [ 't_v15', 'SELECT count(*) FROM cowrie_migrate_v16()' ],
	repair => [ 't_v15', q{SELECT count(*) FROM cowrie_migrate_v16(repair => true, on_failure => 'keep')} ],
	cleanup => [ 't_v16', 'SELECT count(*) FROM cowrie_cleanup_v16()' ],
	preflight => [ 't_v15', q{SELECT count(*) FROM cowrie_preflight_v16()} ],
	checkpoint => [ 't_v16', 'SELECT count(*) FROM cowrie_checkpoint_v16()' ],
	'rejected values' => [ 't_v15', 'SELECT count(*) FROM cowrie_rejected_values()' ]);

sub fresh
{
	my ($template) = @_;
	copy_database($node, $template, 'waits', owner => 'app', anew => 1);
	$node->safe_psql('postgres', 'GRANT CREATE ON DATABASE waits TO app');
	return;
}

sub change
{
	my ($user, $sql, $session) = @_;
	$session && $user eq 'app' ? $session->run("SET client_min_messages = error; $sql")
	  : $node->safe_psql('waits', "SET client_min_messages = error; BEGIN; $sql; COMMIT", extra_params => [ '-U', $user ]);
	return;
}

# While a call waits ------------------------------------------------------------------------------

my $tried = 0;

# What holds of any outcome.
sub harmless
{
	my ($name, $answer) = @_;
	settle($node);
	$tried++;
	is(join("\n", gains($node)), '', "$name: nothing is gained");
	unlike($answer->{err}, qr/server closed the connection|connection to server was lost/, "$name: the server lives");
	isnt($answer->{state}, 'XX000', "$name: no internal error") or diag($answer->{err});
	return;
}

# The answer of a call that waited for a lock while something was changed.
sub waited
{
	my ($call, $what) = @_;
	my ($template, $statement) = @{ $calls{$call} };
	fresh($template);
	my $holder = Session->new($node, 'waits', user => 'app');
	$holder->run('BEGIN; LOCK TABLE session_summaries IN ACCESS EXCLUSIVE MODE');
	my $waiting = ask_later($node, 'waits', 'app', "$quiet; $statement");
	my $pid = $waiting->pid;
	my $watcher = Session->new($node, 'postgres');
	watch($watcher, "SELECT count(*) > 0 FROM pg_locks WHERE pid = $pid AND NOT granted AND locktype IN ('relation', 'object')");
	$watcher->close;
	change(@{ $changes{$what} }, $holder);
	$holder->run('COMMIT');
	$holder->close;
	return answer_of($waiting);
}

# Which call meets which change: all of them, or for each change two, so that every call has its turn.
my @some = sort keys %calls;
foreach my $what (sort keys %changes)
{
	push @some, shift @some;
	foreach my $call (grep { $what !~ /^inventories/ || $calls{$_}[0] eq 't_v15' } full_counts() || $what =~ /^(?:inventories|a restore)/ ? sort keys %calls : ('migrate', grep { $_ ne 'migrate' } @some[ 0, 1 ]))
	{
		my $name = "$call, that waited: $what";
		my $after = waited($call, $what);
		harmless($name, $after);
		# What only reads may have read; a table that has been dropped is named by whatever finds it.
		next if $call !~ /migrate|repair|cleanup/ || $what =~ /restore|gone|view in its place|^no schema_state/;
		next if $after->{state} eq '55000' && $after->{message} =~ /have been replaced during this call/;
		fresh($calls{$call}[0]);
		change(@{ $changes{$what} });
		my $before = ask($node, 'waits', 'app', "$quiet; $calls{$call}[1]");
		settle($node);
		is("$after->{state}: $after->{message}", "$before->{state}: $before->{message}", "$name: as if it had been so before")
		  or diag($before->{err}, $after->{err});
	}
}

# Between two batches -----------------------------------------------------------------------------

foreach my $what (sort keys %changes)
{
	my ($user, $sql) = @{ $changes{$what} };
	fresh('t_v15');
	my $running = ask_later($node, 'waits', 'app', "$quiet; CALL cowrie_migrate_v16_online(batch_size => 40, target_batch => '0', pause => '200 milliseconds')");
	my $here = Session->new($node, 'waits');
	watch($here, 'SELECT running AND batch > 0 FROM cowrie_migration_status');
	my ($status, $out, $err) = $node->psql('waits', "SET client_min_messages = error; SET lock_timeout = '20s'; BEGIN; $sql; COMMIT",
		extra_params => [ '-U', $user ]);
	# What the server refuses while the trigger of the migration is there cannot have happened.
	like($err, qr/^$|cannot (?:alter type|drop)|used in a trigger|already exists/, "online, between two batches: $what: done, or refused by the server");
	my $after = answer_of($running);
	my $name = "online, between two batches: $what";
	harmless($name, $after);
	if ($after->{err} !~ /connection to server was lost/)
	{
		is($here->run('SELECT running FROM cowrie_migration_status'), 'f', "$name: it has ended");
		$here->close;
	}
}
figure("changed while a call waited or paused: $tried tried");

server_lived($node, 'no process was ended by a signal');
$node->stop;
done_testing();
