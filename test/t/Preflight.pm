# What the tests of the preflight share: asking it, pasting its remedies, and keeping count of both, so
# that no hazard is left out. It is asked in sessions that stay open: connecting takes longer than
# asking.
package Preflight;

use strict;
use warnings;

use CowrieTest;
use FindBin;
use PostgreSQL::Test::Utils;
use Session;
use Test::More;

our $patient = "SET cowrie_migrate.lock_timeout = '100ms'";    # "long" is a second then

# Preflight->new($node, $database)
sub new
{
	my ($class, $node, $database) = @_;
	return bless { node => $node, database => $database, sessions => {}, reported => {}, remedied => {} }, $class;
}

# Runs SQL as the user of the options; "fresh" in a new session, which begins with the settings of its
# role and database.
sub run
{
	my ($self, $sql, %options) = @_;
	my $user = $options{user} // 'postgres';
	my $database = $options{database} // $self->{database};
	return $self->{node}->safe_psql($database, $sql, extra_params => [ '-U', $user ])
	  if $options{fresh} || $database ne $self->{database};
	my $session = $self->{sessions}{$user} //= Session->new($self->{node}, $database, user => $user);
	return $session->run("$sql;\nRESET ALL");
}

# Ends the sessions that have been kept.
sub close
{
	my ($self) = @_;
	$_->close foreach values %{ $self->{sessions} };
	$self->{sessions} = {};
	return;
}

# Rows of a hazard: [severity, detail, remedy]; all hazards without a name. Options: those of run(), and
# before: statements of the same session.
sub rows
{
	my ($self, $hazard, %options) = @_;
	my $condition = defined $hazard ? 'hazard = ' . quote_text($hazard) : 'true';
	my $out = $self->run(($options{before} // '') . qq{;
SELECT severity || '|' || coalesce(replace(detail, E'\\n', ' '), '') || '|' || coalesce(remedy, '')
FROM cowrie_preflight_v16() WHERE $condition}, %options);
	return map { [ split /\|/, $_, 3 ] } split /\n/, $out;
}

# What speaks against migrating, a line each.
sub objections
{
	my ($self, %options) = @_;
	return $self->run(
		q{SELECT severity, hazard, detail FROM cowrie_preflight_v16() WHERE severity <> 'info'}, %options);
}

# The first row of a hazard is as expected. Returns its remedy.
sub provoked
{
	my ($self, $hazard, $severity, $facts, %options) = @_;
	my @rows = $self->rows($hazard, %options);
	is(scalar(@rows), $options{rows} // 1, "$hazard: reported") or diag(explain(\@rows));
	return '' unless @rows;
	my ($found_severity, $detail, $remedy) = @{ $rows[0] };
	is($found_severity, $severity, "$hazard: $severity");
	like($detail, $facts, "$hazard: its facts");
	$self->{reported}{$hazard} = 1;
	$self->{needs_remedy}{$hazard} = 1 if $remedy ne '';
	return $remedy;
}

sub gone
{
	my ($self, $hazard, %options) = @_;
	is(scalar($self->rows($hazard, %options)), 0, "$hazard: gone after its remedy");
	$self->{remedied}{$hazard} = 1;
	return;
}

# Pastes a remedy, as superuser in a session of its own; nothing is left of the hazard.
sub remedied
{
	my ($self, $hazard, $remedy, %options) = @_;
	like($remedy, qr/;/, "$hazard: a remedy that can be pasted");
	$self->{node}->safe_psql($self->{database}, $remedy);
	$self->gone($hazard, %options);
	return;
}

# A remedy that takes nothing away, but tells something or is for later, has been pasted.
sub pasted
{
	my ($self, $hazard) = @_;
	$self->{remedied}{$hazard} = 1;
	return;
}

# The blocker has the words of the refusal: message, detail and hint. Returns them.
sub same_as_refusal
{
	my ($self, $message, %options) = @_;
	my $before = "$patient;" . ($options{before} // '');
	my @connect = (extra_params => [ '-U', $options{user} // 'postgres' ]);
	my ($status, $out, $err) = $self->{node}->psql($options{database} // $self->{database},
		"$before; SELECT * FROM cowrie_migrate_v16()", @connect);
	$err =~ s/^.*?(?=ERROR: )//s;
	my $row = $self->run("$before;"
		  . q{SELECT E'ERROR:  ' || hazard || E'\nDETAIL:  ' || detail || E'\nHINT:  ' || remedy
FROM cowrie_preflight_v16() WHERE severity = 'blocker' AND hazard = } . quote_text($message), %options);
	like($row, qr/ERROR:  \Q$message\E/, "blocker: $message") or diag($err);
	is($row, $err =~ s/\nCONTEXT:.*//sr, "the migration refuses with the same words: $message");
	return $row;
}

# The same; and the command in its hint, pasted by a superuser, takes the blocker away.
sub remedied_refusal
{
	my ($self, $message, $command, %options) = @_;
	my $row = $self->same_as_refusal($message, user => 'app_owner', %options);
	like($row, qr/HINT: .*\Q$command\E/, "blocker: $message: its remedy");
	$self->{node}->safe_psql($self->{database}, $command);
	$self->no_blocker($message, %options);
	return;
}

sub no_blocker
{
	my ($self, $message, %options) = @_;
	is(scalar($self->rows($message, user => 'app_owner', %options)), 0, "blocker gone: $message");
	return;
}

# The hint of this blocker ends with a call that migrates. Pasted by the owner, it does.
sub remedied_by_migrating
{
	my ($self, $message, $command, %options) = @_;
	my $row = $self->same_as_refusal($message, user => 'app_owner', %options);
	like($row, qr/HINT: .*\Q$command\E/, "blocker: $message: its remedy");
	$self->run(($options{before} // '') . "; SET client_min_messages = error; $command", user => 'app_owner', fresh => 1);
	is($self->run('SELECT value FROM schema_state WHERE key = ' . quote_text('schema_version')), '16',
		"and has migrated: $message");
	$self->run('SET search_path = public, hidden; SET client_min_messages = error;'
		  . 'SELECT count(*) FROM cowrie_cleanup_v16(force => true)');
	return;
}

# With all remedies in place the owner's migration runs. (It is rolled back.)
sub migrates
{
	my ($self, $after, %options) = @_;
	is($self->run(($options{before} // '')
			  . q{; SET client_min_messages = error; BEGIN; SELECT count(*) > 30 FROM cowrie_migrate_v16(); ROLLBACK},
			user => 'app_owner'), 't', "the migration runs: $after");
	return;
}

# The names of hazards, as the source has them.
sub all_hazards
{
	my $source = slurp_file("$FindBin::RealBin/../../src/core/survey/hazard.hpp");
	my ($names) = $source =~ /namespace hazards \{(.*?)\}/s;
	return map { s/\\\\/\\/r } $names =~ /= "(.*?)";/g;
}

# At the end: all of these have been reported, and every remedy that was given has been pasted.
sub nothing_left_out
{
	my ($self, @hazards) = @_;
	is(join(', ', grep { !$self->{reported}{$_} } @hazards), '', 'every hazard has been provoked');
	is(join(', ', grep { !$self->{remedied}{$_} } sort keys %{ $self->{needs_remedy} }),
		'', 'every remedy has been pasted');
	return;
}

# Those that come from the server and its other sessions, which one of the tests provokes; the other
# one has the rest.
sub hazards_of_server
{
	return ('conflicting lock', 'idle in transaction', 'long transaction', 'REPEATABLE READ transaction',
		'prepared transaction', 'connected sessions', 'not visible', 'replication slot retains WAL',
		'standby lags', 'synchronous standby missing', 'WAL archiving fails', 'publication',
		'logical subscriber', 'subscription');
}

1;
