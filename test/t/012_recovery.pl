# Whoever follows docs/RECOVERY.md, and nothing else, gets out of every state in which production
# databases were found: by the section about that state, by the way forwards and the way back that the
# guide opens with, step by step, and in plain SQL without the extension. Each way ends in a
# database in which validate finds nothing, with the sessions and raw events that were there before.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use CowrieTest;
use Documents;
use File::Basename qw(basename);
use PostgreSQL::Test::Utils;
use Test::More;

my @states = map { basename($_, '.sql') } glob "$FindBin::RealBin/../fixtures/states/*.sql";
cmp_ok(scalar @states, '>=', 13, 'states');

# The guide: its sections as stories; a story begins with a comment that names a database. What is
# only shown is compared by 011_documented_commands.pl.
my (%stories, %section_of);
foreach my $block (blocks_of('docs/RECOVERY.md'))
{
	my ($section, $on) = @$block{qw(section on)};
	push @{ $stories{$section} }, [] if defined $on or !$stories{$section};
	$section_of{$1} = $section
	  if $block->{chapter} eq 'What the Python migration leaves behind'
	  and defined $on and $on =~ /^state (\w+)$/;
	push @{ $stories{$section}[-1] }, $block if $block->{language} =~ /^(?:sql|sh)$/;
}
is(join(' ', sort keys %section_of), join(' ', sort @states), 'every state has its section');

$Documents::sessions = 300;
my $node = start_server('recovery');
my $directory = PostgreSQL::Test::Utils::tempdir_short();
symlink "$FindBin::RealBin/../../scripts", "$directory/scripts" or die $!;

# Follows a story: undef, or the first thing that went wrong.
sub follow
{
	my ($section, $number) = @_;
	my $story = $stories{$section}[ $number // 0 ] // die "no such section: $section";
	die "nothing to run: $section" unless @$story;
	foreach my $block (@$story)
	{
		my $wrong = run_block($node, $directory, $block);
		return "RECOVERY.md:$block->{line}: $wrong" if defined $wrong;
	}
	return undef;
}

sub findings
{
	my ($version) = @_;
	return $node->safe_psql('mydb',
		"SELECT object_name, problem, actual FROM cowrie_validate_schema(version => $version)",
		extra_params => [ '-U', 'app_owner' ]);
}

sub recorded
{
	return $node->safe_psql('mydb', q{SELECT value FROM schema_state WHERE key = 'schema_version'});
}

# The states for which the longer ways are gone, too, where not all are.
my %long = map { $_ => 1 } qw(no_generated_columns plain_ip_types version17_empty_snapshots);

my $ways = 0;
foreach my $state (@states)
{
	my $mended = sub {
		my ($way, $wrong, $before) = @_;
		is($wrong, undef, "$state, $way");
		$ways += is(findings(16), '', "$state, $way: no findings");
		is(data_hash($node, 'mydb'), $before, "$state, $way: sessions and raw events as before");
	};
	my $begin = sub {
		fresh_database($node, "state $state");
		unlink glob "$directory/*.dump";
		return data_hash($node, 'mydb');
	};

	# The section about the state.
	my $before = $begin->();
	isnt(findings(16), '', "$state: findings at first");
	$mended->("'$section_of{$state}'", follow($section_of{$state}), $before);

	# The first section: look, run it again, be refused, go forwards.
	$begin->();
	like(follow('3. Run it again'), qr/ERROR:  incomplete v16 schema detected.*repair => true/s, "$state: refused");
	$mended->('forwards', follow('Forwards: complete it'), $before);

	next unless $long{$state} or full_counts();

	# The way back, if need be with the loss accepted; and again forwards.
	$begin->();
	my $wrong = follow('Back: to version 15');
	if (defined $wrong and $wrong =~ /ERROR:  other objects depend on objects that cleanup would drop/)
	{
		$wrong = follow('Back: to version 15', 1) // follow('Back: to version 15');
	}
	if (defined $wrong)
	{
		like($wrong, qr/ERROR:  (?:cleanup would lose data that cannot be rebuilt|schema version 17 builds on)/,
			"$state: the way back is refused for a reason that the guide has");
		$wrong = follow('Back: to version 15', 2);
	}
	is($wrong, undef, "$state, back");
	$ways += is(findings(15), '', "$state, back: no findings");
	is(recorded(), 15, "$state, back: version 15");
	$mended->('back and forwards', follow('3. Run it again'), $before);

	# Step by step.
	$begin->();
	$mended->('step by step', follow('Step by step'), $before);
	ok(-s "$directory/before_repair.dump", "$state, step by step: a dump");

	# Without the extension.
	$begin->();
	$node->safe_psql('mydb', 'DROP EXTENSION cowrie_migrate');
	is(follow('Look, without the extension'), undef, "$state, in plain SQL: the look");
	$wrong = follow('Back, without the extension');
	if (defined $wrong)
	{
		like($wrong, qr/other objects depend|force=on/, "$state, in plain SQL: refused, and the hint has the way");
		$wrong = follow('When the script refuses', $wrong =~ /other objects depend/ ? 0 : 1);
	}
	is($wrong, undef, "$state, in plain SQL");
	$node->safe_psql('mydb', 'CREATE EXTENSION cowrie_migrate', extra_params => [ '-U', 'app_owner' ]);
	$ways += is(findings(15), '', "$state, in plain SQL: no findings");
	is(recorded(), 15, "$state, in plain SQL: version 15");
	is(data_hash($node, 'mydb'), $before, "$state, in plain SQL: sessions and raw events as before");
}

# The generated columns by hand: what the extension would have made, but for the record.
fresh_database($node, 'state no_generated_columns');
is(follow($section_of{no_generated_columns}, 1), undef, 'generated columns by hand');
is(findings(16), 'schema_subphase|missing|', 'as declared');

figure("$ways ways out of " . @states . ' states, by the guide alone: no findings at the end');
$node->stop;
done_testing();
