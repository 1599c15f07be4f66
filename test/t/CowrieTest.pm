# What the TAP tests share: a node with the extension, a v15 database with sessions, the comparison
# with the reference, hashes and dumps that tell whether anything else changed.
package CowrieTest;

use strict;
use warnings;

use Cwd qw(abs_path);
use Exporter 'import';
use File::Basename qw(dirname);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More ();
use Time::HiRes qw(usleep);

our @EXPORT = qw(
  full_counts start_node create_v15 copy_database run_script load_reference compare data_hash migrated_hash
  schema_dump quote_name quote_text figure kill_backend kill_postmaster has_pg_cron
);

our $fixtures = abs_path(dirname(__FILE__) . '/../fixtures');

# True when the long variants are asked for (make test-full).
sub full_counts
{
	return ($ENV{COWRIE_FULL} // '') eq '1';
}

# Whether the server that is tested has pg_cron installed; a new release of the server may be without for a while.
sub has_pg_cron
{
	my $directory = `pg_config --sharedir`;
	chomp $directory;
	return -e "$directory/extension/pg_cron.control";
}

# Starts a server; further lines for postgresql.conf as arguments. Documents of the smallest tables are
# read ahead by a parallel worker, as those of large ones are everywhere.
sub start_node
{
	my ($name, @settings) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);
	$node->init(extra => [ '--encoding', 'UTF8', '--no-locale' ]);
	$node->append_conf('postgresql.conf',
		join("\n", 'fsync = off', 'full_page_writes = off', 'jit = off', 'shared_buffers = 256MB', 'max_wal_size = 1GB',
			'min_parallel_table_scan_size = 0', 'max_parallel_maintenance_workers = 0', @settings, ''));
	$node->start;
	return $node;
}

# Kills a backend, and waits until the server has recovered from that. (To ask it by psql would fail: a
# connection that is refused closes the pipe that the query is written to.)
sub kill_backend
{
	my ($node, $pid) = @_;
	my $log_size = -s $node->logfile;
	kill 'KILL', $pid;
	$node->wait_for_log(qr/database system is ready to accept connections/, $log_size);
	return;
}

# Kills the postmaster, its children with it where that is asked for, and waits until their numbers are free:
# before that no other server starts there.
sub kill_postmaster
{
	my ($node, $with_children) = @_;
	my ($postmaster) = slurp_file($node->data_dir . '/postmaster.pid') =~ /^(\d+)/;
	my @children = split ' ', `ps -o pid= --ppid $postmaster`;
	$node->kill9;
	kill 'KILL', @children if $with_children;
	for (1 .. 600)
	{
		return if !grep { kill 0, $_ } $postmaster, @children;
		usleep(50_000);
	}
	die 'processes of the dead postmaster remain';
}

# A figure that scripts/test.sh repeats at the end: how many of how many, how long at worst.
sub figure
{
	my ($text) = @_;
	Test::More::diag("figure: $text");
	return;
}

# An SQL identifier, an SQL literal.
sub quote_name
{
	my ($name) = @_;
	$name =~ s/"/""/g;
	return qq{"$name"};
}

sub quote_text
{
	my ($text) = @_;
	$text =~ s/'/''/g;
	return "'$text'";
}

# Runs a fixture script with psql variables: run_script($node, $db, 'v15.sql', n => 10, ...).
# The variable "user" is the role to connect as. Returns what the script prints; dies when it fails.
sub run_script
{
	my ($node, $database, $script, %variables) = @_;
	my $user = delete $variables{user};
	my @options = map { ('-v', "$_=$variables{$_}") } sort keys %variables;
	push @options, ('-U', $user) if defined $user;
	my ($stdout, $stderr);
	my $status = $node->psql(
		$database, "\\i '$fixtures/$script'",
		stdout => \$stdout,
		stderr => \$stderr,
		on_error_die => 1,
		extra_params => \@options);
	return $stdout;
}

# Creates a database at version 15 with sessions and the extension. Options: those of the fixtures
# (schema, doc_type, event_type, column_order, n, pad), owner (a role, created if it does not exist;
# owns the tables and the database, not the extension), extension => 0 for none, clean => 1 for sessions as a
# honeypot collects them, without those that are hard to read.
sub create_v15
{
	my ($node, $database, %options) = @_;
	my $owner = delete $options{owner};
	my $extension = delete $options{extension} // 1;
	my $sessions = delete $options{n};
	my $pad = delete $options{pad};
	my $script = delete $options{clean} ? '../../bench/sql/data.sql' : 'sessions.sql';

	if (defined $owner)
	{
		my $role = quote_name($owner);
		my $exists = $node->safe_psql('postgres',
			'SELECT count(*) FROM pg_roles WHERE rolname = ' . quote_text($owner));
		$node->safe_psql('postgres', "CREATE ROLE $role LOGIN") unless $exists;
		$node->safe_psql('postgres',
			'CREATE DATABASE ' . quote_name($database) . " OWNER $role");
		$options{user} = $owner;
	}
	else
	{
		$node->safe_psql('postgres', 'CREATE DATABASE ' . quote_name($database));
	}
	$node->safe_psql($database, 'CREATE EXTENSION cowrie_migrate') if $extension;
	run_script($node, $database, 'v15.sql', %options);

	my %fill = map { $_ => $options{$_} } grep { exists $options{$_} } qw(schema user);
	$fill{n} = $sessions if defined $sessions;
	$fill{pad} = $pad if defined $pad;
	run_script($node, $database, $script, %fill);
	return;
}

# A copy of a database, file by file, which is quicker than through the WAL. Options: owner, anew => 1 for one that
# may be there.
sub copy_database
{
	my ($node, $from, $to, %options) = @_;
	my $name = quote_name($to);
	my $sql = $options{anew} ? "DROP DATABASE IF EXISTS $name WITH (FORCE);\n" : '';
	$sql .= "CREATE DATABASE $name TEMPLATE " . quote_name($from) . ' STRATEGY file_copy';
	$sql .= ' OWNER ' . quote_name($options{owner}) if defined $options{owner};
	$node->safe_psql('postgres', "SET client_min_messages = error;\n$sql");
	return;
}

# Computes what the migration must give; to be called on the v15 database.
sub load_reference
{
	my ($node, $database, $schema) = @_;
	run_script($node, $database, 'reference.sql', schema => $schema // 'public');
	return;
}

# Compares the migrated schema with the reference: one line "table|missing|unexpected" per table.
sub compare
{
	my ($node, $database, $schema) = @_;
	return run_script($node, $database, 'compare.sql', schema => $schema // 'public');
}

# What compare() returns when nothing differs.
our $no_difference = join("\n",
	map { "$_|0|0" } qw(asn_inventory ip_asn_history ip_inventory sessions));
push @EXPORT, '$no_difference';

# A hash of every v15 column of session_summaries and raw_events, documents as text.
sub data_hash
{
	my ($node, $database, $schema) = @_;
	my $prefix = quote_name($schema // 'public');
	my $summaries = join ', ', map { "$_\:\:text" } qw(
	  session_id first_event_at last_event_at event_count command_count file_downloads
	  login_attempts vt_flagged dshield_flagged risk_score matcher source_files enrichment created_at
	  updated_at ssh_key_injections unique_ssh_keys);
	return $node->safe_psql($database, qq{
SET timezone = 'UTC';
SELECT count(*), md5(string_agg(md5(ROW($summaries)::text), '' ORDER BY session_id COLLATE "C"))
FROM $prefix.session_summaries;
SELECT count(*), md5(string_agg(md5(e::text), '' ORDER BY id)) FROM $prefix.raw_events AS e;
});
}

# A hash of every column that version 16 adds, and of every row of its tables, but for the times at
# which the rows themselves were made.
sub migrated_hash
{
	my ($node, $database, $schema) = @_;
	my $prefix = quote_name($schema // 'public');
	return $node->safe_psql($database, qq{
SET timezone = 'UTC';
SELECT count(*), md5(string_agg(md5(ROW(session_id, source_ip, enrichment_at, snapshot_asn,
  snapshot_country, snapshot_ip_type)::text), '' ORDER BY session_id COLLATE "C"))
FROM $prefix.session_summaries;
} . join '', map { qq{
SELECT '$_', count(*), md5(string_agg(row, '' ORDER BY row COLLATE "C"))
FROM (SELECT (to_jsonb(t) - 'created_at' - 'updated_at')::text AS row FROM $prefix.$_ AS t) AS rows;
} } qw(asn_inventory ip_inventory ip_asn_history));
}

# The definition of everything in the schema, as pg_dump writes it, without what differs from run to
# run; the rows of schema_state with it.
sub schema_dump
{
	my ($node, $database, $schema) = @_;
	my $pattern = quote_name($schema // 'public');
	my ($dump, $errors) = run_command(
		[ 'pg_dump', '--schema-only', '--schema', $pattern, '-d', $node->connstr($database) ]);
	die "pg_dump: $errors" if $dump eq '';
	# pg_dump's protection against hostile dumps has a random key
	$dump =~ s/^\\(un)?restrict .*$//mg;
	my $state = $node->safe_psql($database,
		"SELECT key, value FROM $pattern.schema_state ORDER BY key");
	return "$dump\n$state\n";
}

1;
