# A psql session that stays open while the test goes on: its transactions, locks and snapshots are
# what another session meets.
package Session;

use strict;
use warnings;

use IPC::Run;

# Session->new($node, $database, user => ..., application => ...)
sub new
{
	my ($class, $node, $database, %options) = @_;
	my $connection = $node->connstr($database);
	$connection .= " user=$options{user}" if defined $options{user};
	$connection .= " application_name=$options{application}" if defined $options{application};
	my $self = bless { in => '', out => '', err => '', asked => 0, node => $node }, $class;
	# For each answer, not for all of them together: a session may stay open for long.
	$self->{patience} = IPC::Run::timeout(180);
	$self->{psql} = IPC::Run::start([ 'psql', '-XAtq', '-d', $connection ],
		'<', \$self->{in}, '>', \$self->{out}, '2>', \$self->{err}, $self->{patience});
	$self->{pid} = $self->run('SELECT pg_backend_pid()');
	return $self;
}

# Runs SQL to its end; returns what it prints. Dies when it fails.
sub run
{
	my ($self, $sql) = @_;
	my $end = 'end of ' . ++$self->{asked};
	$self->{out} = $self->{err} = '';
	$self->{in} .= "$sql\n;\n\\echo $end\n";
	$self->{patience}->start;
	$self->{psql}->pump until $self->{out} =~ /^$end$/m;
	die "$sql: $self->{err}" if $self->{err} =~ /ERROR|FATAL/;
	$self->{out} =~ s/\n?$end\n\z//;
	return $self->{out};
}

# Begins a statement and does not wait for its end.
sub begin
{
	my ($self, $sql) = @_;
	$self->{in} .= "$sql;\n";
	$self->{patience}->start;
	$self->{psql}->pump_nb;
	return;
}

sub pid
{
	my ($self) = @_;
	return $self->{pid};
}

# Ends the session, whatever it is doing, and waits until the server has forgotten it.
sub close
{
	my ($self) = @_;
	$self->{node}->safe_psql('postgres', "SELECT pg_terminate_backend($self->{pid})");
	$self->{psql}->kill_kill;
	$self->{node}->poll_query_until('postgres',
		"SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $self->{pid}")
	  or die "process $self->{pid} does not end";
	return;
}

1;
