# Reads the documents and runs what they tell the reader to run: their sections, their fenced blocks
# with the comments before them, the databases on which they are run, the comparison of what comes
# out with what is shown. The convention is described in docs/DEVELOPING.md.
package Documents;

use strict;
use warnings;

use Cwd qw(abs_path);
use CowrieTest;
use Exporter 'import';
use File::Basename qw(basename dirname);
use File::Spec;
use PostgreSQL::Test::Utils;
use Test::More ();

our @EXPORT = qw(
  documents blocks_of statements_of start_server fresh_database run_block errors_of same_output
);

my $root = abs_path(dirname(__FILE__) . '/../..');
my $states = "$root/test/fixtures/states";

# The documents, in the order in which a stranger reads them.
sub documents
{
	my @paths = ("$root/README.md", glob("$root/docs/*.md"), "$root/CONTRIBUTING.md");
	return map { File::Spec->abs2rel($_, $root) } @paths;
}

# Reading ----------------------------------------------------------------------------------------

my %comment_words = map { $_ => 1 } ('on', 'as', 'not run');

# The fenced blocks of a document, in order, as hashes: document, chapter and section (its headings),
# line, language, text, and the comments before it: on, as, 'not run'. Dies when a comment does not belong
# to a block, or a block does not end.
sub blocks_of
{
	my ($document) = @_;
	my (@blocks, $block, %comments, $indent);
	my ($chapter, $section) = ('', '');
	my $number = 0;
	foreach my $line (split /\n/, slurp_file("$root/$document"))
	{
		$number++;
		if ($block)
		{
			if ($line =~ /^\Q$indent\E```\s*$/)
			{
				push @blocks, $block;
				undef $block;
				next;
			}
			$line =~ s/^\Q$indent\E//;
			$block->{text} .= "$line\n";
		}
		elsif ($line =~ /^( *)```(\S*)/)
		{
			$indent = $1;
			$block = { document => $document, chapter => $chapter, section => $section, line => $number,
				language => $2, text => '', %comments };
			%comments = ();
		}
		elsif ($line =~ /^ *<!-- ([a-z ]+): (.*\S) -->$/)
		{
			die "$document:$number: no such comment: $1\n" unless $comment_words{$1};
			$comments{$1} = $2;
		}
		elsif ($line =~ /\S/)
		{
			die "$document:$number: a comment that is followed by no block\n" if %comments;
			$section = $1 if $line =~ /^#+ (.*)/;
			$chapter = $1 if $line =~ /^##? (.*)/;
		}
	}
	die "$document: a block that does not end\n" if $block;
	return @blocks;
}

# The statements that stand within the text of a document, as `SELECT …;` or `\d name`: [line, statement].
sub statements_of
{
	my ($document) = @_;
	my $text = slurp_file("$root/$document");
	$text =~ s/^( *)```.*?^\1```$/"\n" x ($& =~ tr,\n,,)/msge;
	my @statements;
	while ($text =~ /`([A-Z][^`]*;|\\(?:d[a-z]*\+?|copy)(?: [^`]*)?)`/g)
	{
		my ($statement, $before) = ($1, $`);
		push @statements, [ 1 + ($before =~ tr/\n//), $statement =~ s/\s+/ /gr ];
	}
	return @statements;
}

# The server and its databases ---------------------------------------------------------------------

# A server on which the documents are run. The operator is app_owner, the owner of the database and of
# the tables, no superuser.
sub start_server
{
	my ($name) = @_;
	my $node = start_node($name, q{timezone = 'UTC'}, 'wal_level = replica',
		q{cron.database_name = 'mydb'}, 'max_worker_processes = 20');
	$node->safe_psql('postgres', 'CREATE ROLE app_owner LOGIN CREATEDB');
	return $node;
}

# Runs statements as the operator, or as somebody else.
sub prepare
{
	my ($node, $database, $sql, $user) = @_;
	return $node->safe_psql($database, $sql, extra_params => [ '-U', $user // 'app_owner' ]);
}

# What a comment `<!-- on: … -->` may name: what is done to a database at version 15.
my %fixture = (
	'version 15' => sub { },
	'version 15 without the extension' => sub { prepare(@_, 'DROP EXTENSION cowrie_migrate') },
	'version 16' => sub { prepare(@_, 'SELECT count(*) FROM cowrie_migrate_v16()') },
	'version 16 and the loss of an index' => sub {
		prepare(@_, 'SELECT count(*) FROM cowrie_migrate_v16(); DROP INDEX idx_ip_geo_country');
	},
	'phases 1 and 2' => sub {
		prepare(@_, 'SELECT count(*) FROM cowrie_migrate_v16();'
			  . ' SELECT count(*) FROM cowrie_cleanup_v16(to_phase => 2)');
	},
	'a failed migration' =>
	  sub { fail_call(@_, '3.load_ip_inventory', 'SELECT count(*) FROM cowrie_migrate_v16()') },
	'an interrupted online migration' =>
	  sub { fail_call(@_, '3.load_ip_inventory', 'CALL cowrie_migrate_v16_online()') },
	'pg_cron' => sub {
		prepare(@_, q{CREATE EXTENSION pg_cron;
			GRANT USAGE ON SCHEMA cron TO app_owner; GRANT SELECT ON cron.job_run_details TO app_owner},
			'postgres');
	});

# A call that fails at a place.
sub fail_call
{
	my ($node, $database, $place, $call) = @_;
	my $quoted = quote_name($database);
	prepare($node, 'postgres', "ALTER DATABASE $quoted SET cowrie_migrate.fail_at = '$place'", 'postgres');
	my $status = $node->psql($database, $call, stderr => \my $errors,
		extra_params => [ '-U', 'app_owner' ]);
	die "$call does not fail" if $status == 0;
	prepare($node, 'postgres', "ALTER DATABASE $quoted RESET cowrie_migrate.fail_at", 'postgres');
	return;
}

# How many sessions a database has.
our $sessions = 2000;

# A database of its own for each fixture, from which "mydb" is copied. (pg_cron lives in one database
# only, that is "mydb" itself.)
my (%template, $templates);

sub template_of
{
	my ($node, $name) = @_;
	return $template{$name} if $template{$name};
	my $database = 'fixture ' . ++$templates;
	if ($name eq 'version 15' or $name eq 'clean sessions')
	{
		create_v15($node, $database, owner => 'app_owner', n => $sessions, extension => 0,
			clean => $name eq 'clean sessions');
		prepare($node, $database, 'CREATE EXTENSION cowrie_migrate');
	}
	else
	{
		copy_database($node, template_of($node, 'version 15'), $database, owner => 'app_owner');
		my $state = $name =~ /^state (\w+)$/ ? "$states/$1.sql" : undef;
		if (defined $state)
		{
			# Only a superuser can write to the catalog.
			my $user =
			  slurp_file($state) =~ /only a superuser may/ ? 'postgres' : 'app_owner';
			run_script($node, $database, 'states/' . basename($state), schema => 'public', user => $user);
		}
		else
		{
			my $make = $fixture{$name} or die "no such fixture: $name\n";
			$make->($node, $database);
		}
	}
	return $template{$name} = $database;
}

# Makes "mydb" anew, and drops what other blocks have made. pg_cron is loaded only while it is wanted: its
# launcher is connected to the database, which then cannot be renamed.
my $with_cron = 0;

sub fresh_database
{
	my ($node, $name) = @_;
	if ($with_cron != ($name eq 'pg_cron'))
	{
		$with_cron = $name eq 'pg_cron';
		$node->append_conf('postgresql.conf',
			"shared_preload_libraries = '" . ($with_cron ? 'pg_cron' : '') . "'");
		$node->restart;
	}
	$node->safe_psql('postgres', q{
SELECT format('DROP DATABASE %I WITH (FORCE)', d.datname) FROM pg_database AS d
WHERE d.datdba = 'app_owner'::regrole AND d.datname NOT LIKE 'fixture %' \gexec});
	if ($name eq 'pg_cron')
	{
		copy_database($node, template_of($node, 'version 15'), 'mydb', owner => 'app_owner');
		$fixture{$name}->($node, 'mydb');
	}
	else
	{
		copy_database($node, template_of($node, $name), 'mydb', owner => 'app_owner');
	}
	return;
}

# Running ------------------------------------------------------------------------------------------

# Runs a program in the directory, as the role, with text for its standard input; returns its exit
# status and all that it printed, in the order in which it was printed.
sub run_program
{
	my ($node, $directory, $role, $input, @command) = @_;
	local $ENV{PGHOST} = $node->host;
	local $ENV{PGPORT} = $node->port;
	local $ENV{PGUSER} = $role;
	local $ENV{PGTZ} = 'UTC';
	delete local @ENV{qw(PGDATABASE PGAPPNAME)};
	my $output = '';
	IPC::Run::run([ @command ], '<', \$input, '>', \$output, '2>&1',
		init => sub { chdir $directory or die "$directory: $!" }, IPC::Run::timeout(120));
	return ($? >> 8, $output);
}

# psql, its output line by line among its notices.
my @shell = ('bash', '-euo', 'pipefail', '-c');
my @psql = ('stdbuf', '-oL', 'psql', '-X', '-q', '-P', 'pager=off', '-d', 'mydb');

# Runs a block in a directory; returns undef, or what is wrong with it.
sub run_block
{
	my ($node, $directory, $block) = @_;
	my $role = ($block->{as} // 'owner') eq 'superuser' ? 'postgres' : 'app_owner';
	my $text = $block->{text};
	if ($block->{language} ne 'console')
	{
		my ($status, $output) =
		  $block->{language} eq 'sql'
		  ? run_program($node, $directory, $role, $text, @psql, '-v', 'ON_ERROR_STOP=1')
		  : run_program($node, $directory, $role, '', @shell, $text);
		$block->{output} = $output;
		return $status == 0 ? undef : $output;
	}
	my @commands = eval { commands_of($text) };
	eval { run_commands($node, $directory, $role, @commands); 1 } or return $@ if @commands;
	return $@ if !@commands;
	foreach my $command (@commands)
	{
		next if same_output($command->{shown}, $command->{output});
		return "$command->{command}\n--- shown:\n$command->{shown}--- printed:\n$command->{output}";
	}
	return undef;
}

# The commands of a console block: behind the prompts "$ " of a shell or "mydb=> " of psql; with the lines
# that are shown after them. Dies when it cannot be read.
sub commands_of
{
	my ($text) = @_;
	my @commands;
	foreach my $line (split /\n/, $text)
	{
		if ($line =~ /^(\$|mydb=\*?[>#]) ?(.*)$/)
		{
			push @commands, { shell => $1 eq '$', command => $2, shown => '' };
			next;
		}
		die "before the first command: $line\n" unless @commands;
		if ($line =~ /^(?:>|mydb[-('"\$]\*?[>#]) ?(.*)$/)
		{
			$commands[-1]{command} .= "\n$1";
		}
		else
		{
			$commands[-1]{shown} .= "$line\n";
		}
	}
	die "no command\n" unless @commands;
	return @commands;
}

# Runs the commands of a console block and adds what each of them prints. One psql runs all of a block:
# settings and transactions last.
sub run_commands
{
	my ($node, $directory, $role, @commands) = @_;
	if ($commands[0]{shell})
	{
		foreach my $command (@commands)
		{
			(my $status, $command->{output}) =
			  run_program($node, $directory, $role, '', @shell, $command->{command});
			die "$command->{command}\n$command->{output}" if $status != 0;
		}
		return;
	}
	my $end = 'end of this command';
	my $input = join '', "\\set QUIET off\n", map { "$_->{command}\n\\echo $end\n" } @commands;
	my (undef, $output) = run_program($node, $directory, $role, $input, @psql);
	my @outputs = split /^$end\n/m, $output, -1;
	die "$output\nnot every command ended\n" if @outputs != @commands + 1;
	$commands[$_]{output} = $outputs[$_] foreach 0 .. $#commands;
	return;
}

# Runs statements one by one as a superuser, each in a transaction that is rolled back, or, where that is not
# possible, by itself. Returns the error of each, or ''.
sub errors_of
{
	my ($node, $directory, @statements) = @_;
	my $alone = qr/^(?:VACUUM|CALL|CREATE INDEX CONCURRENTLY|(?:COMMIT|ROLLBACK) PREPARED|BEGIN|ALTER SUBSCRIPTION)/;
	my @commands = map {
		{ shell => 0, command => /$alone/ ? $_ : "BEGIN;\n$_\nROLLBACK;" }
	} @statements;
	run_commands($node, $directory, 'postgres', @commands);
	return map { $_->{output} =~ /^(?:ERROR|FATAL|invalid|Did not find any relation|\\).*/m ? $& : '' } @commands;
}

# Comparing ----------------------------------------------------------------------------------------

# What differs from run to run, and what is compared in its place. Nothing else is let pass.
my @varies = (
	[ qr/\d{4}-\d\d-\d\d \d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:[+-]\d\d)?/, 'a moment' ],
	[ qr/\b\d\d:\d\d:\d\d(?:\.\d+)?/, 'a time' ],
	[ qr/\bTime: [\d.]+ ms(?: \([\d:.]+\))?/, 'Time: a time' ],
	[ qr/(?:\bunder )?\b\d+(?:\.\d+)? (?:bytes|kB|MB|GB|s|ms)\b/, 'an amount' ],
	[ qr/\b(?:process|pid) \d+/, 'a process' ],
	[ qr/[ \t]+/, ' ' ],        # the width of columns
	[ qr/-[-+]{2,}/, '---' ],
	[ qr/^ | $/m, '' ]);

sub comparable
{
	my ($text) = @_;
	foreach my $rule (@varies)
	{
		my ($pattern, $word) = @$rule;
		$text =~ s/$pattern/$word/g;
	}
	$text =~ s/^\n+|\n+\z//g;
	return "$text\n";
}

# Whether the lines that are shown are those that were printed. A line "..." stands for any lines but
# errors and warnings, "..." at the end of a line for the rest of it.
sub same_output
{
	my ($shown, $printed) = @_;
	my $pattern = '';
	foreach my $line (split /\n/, comparable($shown))
	{
		if ($line eq '...')
		{
			$pattern .= '(?:(?!ERROR|FATAL|PANIC|WARNING)[^\n]*\n)*?';
			next;
		}
		my $rest = $line =~ s/\.\.\.$// ? '[^\n]*' : '';
		$pattern .= quotemeta($line) . "$rest\n";
	}
	return comparable($printed) =~ /\A$pattern\z/;
}

1;
