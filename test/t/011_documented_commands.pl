# What the documents tell the reader to run is run: every fenced block, against a private server, its
# output compared where it is shown. A block that cannot be run says why; how many there are of which
# kind is printed. The convention is in docs/DEVELOPING.md.
use strict;
use warnings;

use Cwd qw(abs_path);
use FindBin;
use lib $FindBin::RealBin;

use CowrieTest;
use Documents;
use PostgreSQL::Test::Utils;
use Test::More;

my $root = "$FindBin::RealBin/../..";

# The comparison lets nothing pass but what is declared.
ok(same_output("count\n-----\n 3\n(1 row)\n", " count \n-------\n     3\n(1 row)\n\n"), 'widths');
ok(!same_output("count\n-----\n 3\n(1 row)\n", " count \n-------\n     4\n(1 row)\n"), 'numbers');
ok(same_output("a\n...\nb\n", "a\nx\ny\nb\n"), 'lines left out');
ok(!same_output("a\n...\nb\n", "a\nERROR:  x\nb\n"), 'an error is not left out');
ok(!same_output('', "a\n"), 'output that is not shown');
ok(same_output("NOTICE: done, 3 rows ...\n", "NOTICE:  done, 3 rows (rejected: 7)\n"), 'the rest of a line');

my $node = start_server('documents');

# Where the blocks of a section write their files, and find the scripts.
sub new_directory
{
	my $directory = PostgreSQL::Test::Utils::tempdir_short();
	symlink abs_path("$root/scripts"), "$directory/scripts" or die $!;
	return $directory;
}
my $directory = new_directory();

# And a wrong command is found.
{
	fresh_database($node, 'version 15');
	my $wrong = sub { return run_block($node, $directory, { language => $_[0], text => $_[1] }) };
	like($wrong->('sql', "SELECT * FROM cowrie_migrate_v99();\n"), qr/does not exist/, 'a wrong statement');
	like($wrong->('sql', "SELECT 1;\nSELECT * FROM cowrie_validate_schema(v => 1);\nSELECT 1;\n"),
		qr/does not exist/, 'a wrong argument');
	like($wrong->('sh', "pg_dump --no-such-option mydb\n"), qr/option/, 'a wrong option');
	like($wrong->('sh', "false | true\n"), qr/^$/, 'a failure in a pipe');
	like($wrong->('console', "mydb=> SELECT 1 AS n;\n n\n---\n 2\n(1 row)\n"), qr/--- shown/, 'wrong output');
	like($wrong->('console', "mydb=> SELECT 1 AS n;\n n\n---\n 1\n(1 row)\n\nmydb=> SELECT x;\n...\n"),
		qr/column "x" does not exist/, 'a wrong statement in a console');
	like($wrong->('console', "\$ echo a\nb\n"), qr/--- shown/, 'wrong output of a program');
	is($wrong->('console', "mydb=> SELECT 1 AS n;\n n\n---\n 1\n(1 row)\n\nmydb=> SHOW\nmydb-> enable_sort;\n enable_sort\n-------------\n on\n(1 row)\n"),
		undef, 'and a right one passes');
}

my (%count, @not_run);
foreach my $document (documents())
{
	my ($place, $fixture) = ('', '');
	foreach my $block (blocks_of($document))
	{
		my $name = "$document:$block->{line} ($block->{section})";
		my $language = $block->{language};
		if ($language eq 'text')
		{
			$count{'drawings and listings'}++;
			next;
		}
		if ($language !~ /^(?:sql|sh|console)$/)
		{
			fail("$name: is sql, sh, console or text");
			next;
		}
		if (defined $block->{'not run'})
		{
			push @not_run, "$name: $block->{'not run'}";
			# What can be said of it all the same: the targets and scripts that it names are there.
			foreach my $line (split /\n/, $block->{text})
			{
				ok(-e "$root/$1", "$name: $1") while $line =~ m{(?<![\w/])((?:scripts|test|docs|src)/[\w/.]+\w)}g;
				next unless $line =~ /^(?:\w+=(?:"[^"]*"|\S+) )*make((?: \w[\w-]*)+)/;
				is(system("make -C '$root' -n $1 >/dev/null 2>&1"), 0, "$name: make$1");
			}
			next;
		}
		# A section begins with a new database, at version 15 if nothing is said.
		my $new_section = $place ne $block->{section};
		$fixture = $block->{on} // ($new_section ? 'version 15' : $fixture);
		$place = $block->{section};
	  SKIP:
		{
			skip "$name: pg_cron is not installed", 1 if $fixture eq 'pg_cron' and !has_pg_cron();
			fresh_database($node, $fixture) if $new_section or defined $block->{on};
			$directory = new_directory() if $new_section;
			$count{$language}++;
			my $wrong = run_block($node, $directory, $block);
			is($wrong, undef, $name);
		}
	}
}

cmp_ok($count{$_} // 0, '>', 0, "blocks of $_: " . ($count{$_} // 0)) foreach qw(sql sh console);
figure('documented blocks run: '
	  . join(', ', map { "$count{$_} $_" } sort keys %count)
	  . '; not run: ' . @not_run);
figure("not run: $_") foreach @not_run;

# Statements within the text, mostly of RECOVERY.md, are tried, too, at version 15 and at 16, and taken
# back. They may fail by a name that the text has invented, or where only another situation has what they
# are for; but they are no syntax error, and name no column, function or argument that is not there.
my $invented = qr/"(?:app|other|parent|old_sessions|fast|extensions|owner_role|your_role|name|its name|divert)"/;
my %elsewhere = (
	'ALTER VIEW raw_events RENAME TO events_view;' => 'is not a view',
	q{INSERT INTO schema_state VALUES ('schema_version', '15');} => 'duplicate key',
	'CREATE EXTENSION cowrie_migrate;' => 'already exists',
	'SELECT pg_wal_replay_resume();' => 'recovery is not in progress');
my (%statement, @with_gaps);
foreach my $document (documents())
{
	foreach my $found (statements_of($document))
	{
		my ($line, $statement) = @$found;
		if ($statement =~ /[<…]\w|…/)
		{
			push @with_gaps, "$document:$line: $statement";
			next;
		}
		# No process of this server.
		$statement =~ s/\b12345\b/999999999/g;
		$statement{$statement} //= "$document:$line";
	}
}
my @statements = sort keys %statement;
cmp_ok(scalar @statements, '>', 80, 'statements within the text');
my %error;
foreach my $version (15, 16)
{
	fresh_database($node, "version $version");
	my @errors = errors_of($node, $directory, @statements);
	push @{ $error{ $statements[$_] } }, $errors[$_] foreach 0 .. $#statements;
}
foreach my $statement (@statements)
{
	my $expected = $elsewhere{$statement};
	my @unexpected = grep { $_ ne '' and $_ !~ $invented and !(defined $expected and /$expected/) } @{ $error{$statement} };
	cmp_ok(scalar @unexpected, '<', 2, "$statement{$statement}: $statement") or diag(join "\n", @unexpected);
}
my @wrong = errors_of($node, $directory, 'SELEC 1;', 'SELECT nothing();', '\\d nothing', 'SELECT 1;', 'VACUUM nothing;');
is(join(' ', map { $_ eq '' ? 0 : 1 } @wrong), '1 1 1 0 1', 'and wrong ones are found');
figure('statements within the text tried: ' . @statements . '; with gaps, not tried: ' . @with_gaps);
note($_) foreach @with_gaps;

$node->stop;

# What the pages name as a place in the sources is there: `Suite.Name` in `file`, `Class::function` in `file`.
my $places = 0;
foreach my $document (documents())
{
	my $text = slurp_file("$root/$document");
	while ($text =~ /`(\w+)(\.|::)(\w+)`\s+in\s+`([\w\/.]+\.cpp)`/g)
	{
		my ($first, $between, $second, $file) = ($1, $2, $3, $4);
		my $wanted = $between eq '.' ? qr/^TEST\w*\($first, $second\)/m : qr/\b$first\b.*\b$second\(/s;
		like(slurp_file("$root/$file"), $wanted, "$document: $first$between$second in $file");
		$places++;
	}
}
cmp_ok($places, '>=', 4, 'places in the sources');
done_testing();
