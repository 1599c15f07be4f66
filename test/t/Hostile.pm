# What the hostile tests share: roles, the code that an attacker plants, and what tells whether it has
# gained anything. Planted code writes to the server's log, which a rollback does not take back.
package Hostile;

use strict;
use warnings;

use CowrieTest;
use Exporter 'import';
use PostgreSQL::Test::Utils;
use Session;
use Test::More;

our @EXPORT = qw(
  hostile_node hostile_database attack_code answer ask ask_later answer_of extension_schema internal_schema gains server_lived settle watch
);

# app owns the sessions, dba is a member of app, mallory attacks, carol has no rights at all. Two more have
# made the owners of the sessions members of themselves, for a role is not asked whether it wants to be a
# member: mafia by itself, as every role can before version 16, and gang by the role that has created it.
sub hostile_node
{
	my ($name, @settings) = @_;
	my $node = start_node($name, 'max_prepared_transactions = 5', 'restart_after_crash = on', @settings);
	$node->safe_psql('postgres', q{
CREATE ROLE app LOGIN; CREATE ROLE mallory LOGIN; CREATE ROLE dba LOGIN; CREATE ROLE carol LOGIN;
GRANT app TO dba;
CREATE ROLE mafia LOGIN; CREATE ROLE recruiter LOGIN CREATEROLE;
});
	$node->psql('postgres', 'GRANT mafia TO app, postgres', extra_params => [ '-U', 'mafia' ]);
	$node->safe_psql('postgres', 'CREATE ROLE gang LOGIN; GRANT gang TO app, postgres', extra_params => [ '-U', 'recruiter' ]);
	return $node;
}

# A database at version 15. Options: owner of the sessions (app), n sessions (200), migrated => 1,
# extension_owner (the superuser), database_owner (the owner of the sessions), fixture => {...}.
sub hostile_database
{
	my ($node, $database, %options) = @_;
	my $owner = $options{owner} // 'app';
	my $name = quote_name($database);
	my $database_owner = $options{database_owner} // $owner;
	$node->safe_psql('postgres', "DROP DATABASE IF EXISTS $name WITH (FORCE)");
	$node->safe_psql('postgres', "CREATE DATABASE $name OWNER $database_owner");
	$node->safe_psql($database, "GRANT ALL ON SCHEMA public TO $owner;");
	$node->safe_psql($database, 'CREATE EXTENSION cowrie_migrate',
		extra_params => [ '-U', $options{extension_owner} // 'postgres' ]);
	run_script($node, $database, 'v15.sql', user => $owner, %{ $options{fixture} // {} });
	run_script($node, $database, 'sessions.sql', user => $owner, n => $options{n} // 200,
		map { $_ => $options{fixture}{$_} } grep { $_ eq 'schema' } keys %{ $options{fixture} // {} });
	$node->safe_psql($database, 'SET client_min_messages = error; SELECT count(*) FROM cowrie_migrate_v16()',
		extra_params => [ '-U', $owner ]) if $options{migrated};
	return;
}

# What psql has printed, and the first error: state, message, detail, hint.
sub answer
{
	my ($out, $err) = @_;
	my %answer = (out => $out, err => $err, state => '', message => '', detail => '', hint => '');
	if ($err =~ /^.*?(?:ERROR|FATAL|PANIC):  ([0-9A-Z]{5}): (.*?)$(.*)/ms)
	{
		@answer{qw(state message)} = ($1, $2);
		my $rest = $3;
		($answer{detail}) = $rest =~ /^DETAIL:  (.*?)(?=^[A-Z]+:  |\z)/ms;
		($answer{hint}) = $rest =~ /^HINT:  (.*?)(?=^[A-Z]+:  |\z)/ms;
		$answer{$_} //= '' foreach qw(detail hint);
	}
	return \%answer;
}

# Runs SQL as a role; the rest of it goes on after an error.
sub ask
{
	my ($node, $database, $user, $sql) = @_;
	my ($out, $err) = ('', '');
	$node->psql($database, "\\set VERBOSITY verbose\n$sql",
		stdout => \$out, stderr => \$err, on_error_stop => 0, extra_params => [ '-U', $user ]);
	return answer($out, $err);
}

# The same in a session that stays open (see Session.pm): ask_later begins, answer_of waits for the end.
sub ask_later
{
	my ($node, $database, $user, $sql) = @_;
	my $session = Session->new($node, $database, user => $user);
	$session->{out} = $session->{err} = '';
	$session->{in} .= "\\set VERBOSITY verbose\n$sql;\n\\echo finished\n";
	$session->{psql}->pump_nb;
	return $session;
}

sub answer_of
{
	my ($session) = @_;
	my $ended = eval { $session->{psql}->pump until $session->{out} =~ /^finished$/m; 1 };
	my $answer = answer($session->{out}, $session->{err});
	$ended ? $session->close : $session->{psql}->kill_kill;
	return $answer;
}

sub extension_schema
{
	my ($node, $database) = @_;
	return $node->safe_psql($database,
		q{SELECT quote_ident(nspname) FROM pg_extension JOIN pg_namespace AS n ON n.oid = extnamespace WHERE extname = 'cowrie_migrate'});
}

# Where the functions are that statements call: a schema of their own since version 1.2.
sub internal_schema
{
	my ($node, $database) = @_;
	return $node->safe_psql($database, q{
SELECT DISTINCT quote_ident(n.nspname) FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
JOIN pg_depend AS d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
JOIN pg_extension AS e ON e.oid = d.refobjid AND e.extname = 'cowrie_migrate' WHERE p.proname = 'cowrie_assessment'});
}

# The code of an attacker, in a schema of hers; to be run as superuser, before she plants it. It gains
# something when it runs as a role that its author is no member of, be it that it finds itself so or that
# it gets there. evil.attack(what) is volatile; evil.imm, evil.imm_bool pretend to be immutable.
sub attack_code
{
	my ($author) = @_;
	return qq{
SET client_min_messages = error;
CREATE SCHEMA evil AUTHORIZATION $author;
GRANT ALL ON SCHEMA evil TO PUBLIC;
SET ROLE $author;
CREATE FUNCTION evil.gain(what text, way text) RETURNS boolean LANGUAGE plpgsql AS \$f\$
BEGIN
  IF pg_catalog.pg_has_role('$author', current_user, 'MEMBER') THEN
    RETURN false;
  END IF;
  RAISE LOG 'GAIN [%] % of $author as % in a session of % (%)', pg_catalog.current_setting('application_name'),
    what, current_user, session_user, way;
  RETURN true;
END \$f\$;
CREATE FUNCTION evil.damage() RETURNS void LANGUAGE plpgsql AS \$f\$
DECLARE
  attempt text;
BEGIN
  FOREACH attempt IN ARRAY ARRAY['ALTER ROLE $author SUPERUSER',
    pg_catalog.format('GRANT %I TO $author', current_user),
    pg_catalog.format('CREATE FUNCTION evil.%I(q text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS %L',
      'door_of_' || current_user, 'BEGIN EXECUTE q; END'),
    'COPY (SELECT 1) TO PROGRAM ''cat >/dev/null'''] LOOP
    BEGIN
      EXECUTE attempt;
      RAISE LOG 'DONE [%] %', pg_catalog.current_setting('application_name'), attempt;
    EXCEPTION WHEN OTHERS THEN
      NULL;
    END;
  END LOOP;
END \$f\$;
CREATE FUNCTION evil.attack(what text) RETURNS text LANGUAGE plpgsql AS \$f\$
DECLARE
  trick text;
BEGIN
  IF evil.gain(what, 'as it finds itself') THEN
    PERFORM evil.damage();
    RETURN what;
  END IF;
  FOREACH trick IN ARRAY ARRAY['SELECT pg_catalog.set_config(''role'', ''none'', true)', 'RESET ROLE',
    'SET SESSION AUTHORIZATION DEFAULT', 'SET ROLE postgres', 'SET SESSION AUTHORIZATION postgres'] LOOP
    BEGIN
      EXECUTE trick;
      IF evil.gain(what, trick) THEN
        PERFORM evil.damage();
        RETURN what;
      END IF;
    EXCEPTION WHEN OTHERS THEN
      NULL;
    END;
  END LOOP;
  -- what the session of the caller does next would find hers first
  PERFORM pg_catalog.set_config('search_path', 'evil, pg_catalog', false);
  RETURN what;
END \$f\$;
CREATE FUNCTION evil.attack_bool(what text) RETURNS boolean LANGUAGE plpgsql AS
\$f\$ BEGIN PERFORM evil.attack(what); RETURN true; END \$f\$;
CREATE FUNCTION evil.imm(what text) RETURNS text LANGUAGE plpgsql IMMUTABLE COST 0.0001 AS
\$f\$ BEGIN PERFORM evil.attack(what); RETURN what; END \$f\$;
CREATE FUNCTION evil.imm_bool(what text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE COST 0.0001 AS
\$f\$ BEGIN PERFORM evil.attack(what); RETURN true; END \$f\$;
CREATE FUNCTION evil.trg() RETURNS trigger LANGUAGE plpgsql AS \$f\$
BEGIN
  PERFORM evil.attack(TG_ARGV[0]);
  RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
END \$f\$;
RESET ROLE;
};
}

my %read_up_to;

# What the server's log has had since the last time, of planted code that gained something: a line each,
# every line once.
sub gains
{
	my ($node) = @_;
	my $file = $node->logfile;
	my $text = slurp_file($file, $read_up_to{$file} // 0);
	$read_up_to{$file} = -s $file;
	my %seen;
	my @found = grep { !$seen{$_}++ } map { /LOG:  ((?:GAIN|DONE) .*)/ ? $1 : () } split /\n/, $text;
	disarm($node) if @found;
	return @found;
}

# Takes away what an attacker has got, so that the next one is noticed.
sub disarm
{
	my ($node) = @_;
	settle($node);
	$node->safe_psql('postgres', q{SET client_min_messages = error;
ALTER ROLE mallory NOSUPERUSER; ALTER ROLE app NOSUPERUSER; ALTER ROLE mafia NOSUPERUSER; ALTER ROLE gang NOSUPERUSER;
REVOKE postgres, app, dba, carol FROM mallory, mafia, gang; REVOKE postgres, dba, mallory, carol FROM app});
	return;
}

# No process of the server has been ended by a signal since the node was started.
sub server_lived
{
	my ($node, $name) = @_;
	my @signals = grep { /was terminated by signal|PANIC:/ } split /\n/, slurp_file($node->logfile);
	is(join("\n", @signals), '', $name);
	return;
}

# Waits until a query, asked in a session that stays open, gives true.
sub watch
{
	my ($session, $query) = @_;
	for (1 .. 6000)
	{
		return if $session->run($query) eq 't';
		select(undef, undef, undef, 0.01);
	}
	die "never true: $query";
}

# Waits until the server takes connections again, if it has crashed.
sub settle
{
	my ($node) = @_;
	for (1 .. 300)
	{
		my ($status) = $node->psql('postgres', 'SELECT 1', stdout => \my $out, stderr => \my $err);
		return if $status == 0;
		select(undef, undef, undef, 0.1);
	}
	die 'the server does not come back';
}

1;
