#!/usr/bin/env perl
# The map of the sources: which wing (folder) includes which, read from the #include lines.
#
#   scripts/map.pl           draws docs/map.svg
#   scripts/map.pl --check   says FILE:LINE of what breaks a rule, and whether docs/map.svg is stale
#
# The rules, for `make lint`: a wing includes only the wings that %may lists for it, so that no include
# runs upwards and there is no circle; an exception is a single header. A file has at most 400 lines, a
# function 60, a wing 15 modules. X.cpp in src/core implements X.hpp and includes it first.
use strict;
use warnings;
use File::Basename qw(dirname);

chdir dirname(__FILE__) . '/..' or die $!;
my $picture = 'docs/map.svg';
my ($most_lines, $most_function_lines, $most_modules) = (400, 60, 15);

# The wings, each with the question it answers and its column in the picture.
my @core_below_plan = qw(core/base core/document core/schema core/ports core/sql);
my %wings = (
	'core/base'     => ['what everybody needs', 1],
	'core/document' => ['what does one document say?', 1],
	'core/schema'   => ['what is each version?', 3],
	'core/ports'    => ['the only way out', 2],
	'core/sql'      => ['the statements, as text', 2],
	'core/plan'     => ['what is to do?', 2],
	'core/inspect'  => ['what is there?', 2],
	'core/run'      => ['in one transaction', 2],
	'core/survey'   => ['before and after', 0],
	'core/online'   => ['while others write', 2],
	'core/report'   => ['the evidence, as a page', 0],
	'pg/boundary'   => ['errors, memory, SPI', 4],
	'pg/catalog'    => ['target, refusals, catalog', 6],
	'pg/ledger'     => ['ledger and progress', 4],
	'pg/reading'    => ['documents and events', 6],
	'pg/rewrite'    => ['the heap rewrite', 8],
	'pg/database'   => ['the ports, implemented', 6],
	'pg/online'     => ['sessions and a worker', 5],
	'api'           => ['the SQL functions', 2],
	'tools'         => ['programs for building', 0]);
my %may = (
	'core/base'     => [],
	'core/document' => ['core/base'],
	'core/schema'   => ['core/base'],
	'core/ports'    => [qw(core/base core/document core/schema)],
	'core/sql'      => [qw(core/base core/document core/schema core/ports)],
	'core/plan'     => [@core_below_plan],
	'core/inspect'  => [@core_below_plan, 'core/plan'],
	'core/run'      => [@core_below_plan, qw(core/plan core/inspect)],
	'core/survey'   => [@core_below_plan, qw(core/plan core/inspect)],
	'core/online'   => [@core_below_plan, qw(core/plan core/inspect core/run)],
	'core/report'   => [@core_below_plan, qw(core/plan core/inspect core/survey)],
	'pg/boundary'   => [@core_below_plan],
	'pg/catalog'    => [@core_below_plan, 'pg/boundary'],
	'pg/ledger'     => [@core_below_plan, qw(pg/boundary pg/catalog core/plan/step_names.hpp)],
	'pg/reading'    => [@core_below_plan, qw(pg/boundary pg/catalog pg/ledger)],
	'pg/rewrite'    => [@core_below_plan, qw(pg/boundary pg/catalog pg/ledger pg/reading)],
	'pg/database'   => [@core_below_plan, qw(pg/boundary pg/catalog pg/ledger pg/reading pg/rewrite)],
	'pg/online'     => [@core_below_plan, qw(pg/boundary pg/catalog pg/ledger pg/reading pg/rewrite pg/database)],
	'api'           => [grep { $_ ne 'tools' && $_ ne 'api' } keys %wings],
	'tools'         => [qw(core/base core/schema core/ports core/sql)]);
# What is never included although its wing is.
my %never = ('core/online' => qr{^core/run/(atomic_\w+|cleanup|dry_run|losses)\.hpp$});
# Where there is no Database: these wings only decide, or only write text.
my %without_database = map { $_ => 1 } qw(core/base core/document core/schema core/sql core/plan);

my (@findings, %arrows, %modules);
sub finding { my ($file, $line, $text) = @_; push @findings, "$file:$line: $text"; return; }
sub wing_of { return $_[0] =~ m{^(?:src/)?(core/\w+|pg/\w+|api|tools)/} ? $1 : undef; }

sub read_functions {    # the functions of a file, as clang-format indents them: [line, length, name]
	my @lines = @_;
	my @functions;
	for my $i (0 .. $#lines)
	{
		next unless $lines[$i] =~ /\{$/;
		my $from = $i;
		--$from while $from > 0 && $lines[ $from - 1 ] !~ m{[;{}:]$|^\s*$|^\s*(?://|/?\*|#)};
		my ($indent) = $lines[$from] =~ /^( *)/;
		my $head = join ' ', @lines[ $from .. $i ];
		next if $head !~ /\(/ || ($head =~ tr/(//) != ($head =~ tr/)//) || $head =~ /^\s*(?:if|for|while|switch|else|do|try|catch|return|\}|namespace|enum)\b/;
		my ($end) = grep { $lines[$_] =~ /^$indent\}/ } $i + 1 .. $#lines;
		push @functions, [ $from + 1, $end - $from + 1, $head =~ /([\w:~]+)\(/ ? $1 : '?' ] if defined $end;
	}
	return @functions;
}

chomp(my @files = -e '.git' ? `git ls-files --cached --others --exclude-standard src` : `find src -type f`);
for my $file (sort grep { /\.(?:cpp|hpp|h)$/ && -f } @files)
{
	open my $in, '<', $file or die "$file: $!";
	chomp(my @lines = <$in>);
	close $in;
	my $wing = wing_of($file);
	finding($file, $most_lines, "more than $most_lines lines") if @lines > $most_lines;
	$_->[1] > $most_function_lines && finding($file, $_->[0], "$_->[2] has $_->[1] lines, more than $most_function_lines")
	  for read_functions(@lines);
	next unless defined $wing;    # the module's own file, which may include all
	finding($file, 1, "the wing $wing is not in scripts/map.pl: say what it may include") && next unless $wings{$wing};
	(my $module = $file) =~ s/\.\w+$//;
	$modules{$wing}{$module} = 1;

	my $first = 1;
	for my $i (0 .. $#lines)
	{
		finding($file, $i + 1, "$wing has no Database")
		  if $without_database{$wing} && $lines[$i] =~ /\bDatabase\s*&/;
		next unless $lines[$i] =~ /^#include "([^"]+)"/;
		my $included = $1;
		finding($file, $i + 1, "it implements its own header, and includes that first")
		  if $first && $file =~ m{^src/(core/.*)\.cpp$} && $included ne "$1.hpp";
		$first = 0;
		my $to = wing_of("$included/") // wing_of($included);
		next if !defined $to || $to eq $wing;
		finding($file, $i + 1, "$wing does not include $included")
		  if !(grep { $_ eq $to || $_ eq $included } @{ $may{$wing} }) || ($never{$wing} && $included =~ $never{$wing});
		$arrows{$wing}{$to}++;
	}
}
for my $wing (sort keys %modules)
{
	my $count = keys %{ $modules{$wing} };
	finding("src/$wing", 1, "$count modules in one wing, more than $most_modules") if $count > $most_modules;
}

# A wing stands one floor above the highest that it includes; one that stands on itself is in a circle.
my (%floor, %open);
sub floor_of {
	my $wing = shift;
	return $floor{$wing} if defined $floor{$wing};
	if ($open{$wing}++) { finding("src/$wing", 1, 'is in a circle of wings'); return 0; }
	my $floor = 0;
	for my $below (sort keys %{ $arrows{$wing} })
	{
		my $next = floor_of($below) + 1;
		$floor = $next if $next > $floor;
	}
	return $floor{$wing} = $floor;
}
floor_of($_) for sort keys %modules;

sub reaches {    # whether a wing includes another one by way of others
	my ($from, $to, $seen) = (@_, {});
	for my $next (sort keys %{ $arrows{$from} })
	{
		next if $seen->{$next}++;
		return 1 if $next eq $to || reaches($next, $to, $seen);
	}
	return 0;
}

sub svg {
	my ($width, $height, $column, $row, $margin) = (164, 40, 92, 74, 20);
	my ($top) = sort { $b <=> $a } values %floor;
	my %at = map {
		$_ => [ $margin + $wings{$_}[1] * $column + $width / 2, $margin + ($top - $floor{$_}) * $row + $height / 2 ]
	} keys %modules;
	my ($right) = sort { $b <=> $a } map { $_->[0] } values %at;
	my @out = (
		sprintf('<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif">',
			$right + $width / 2 + $margin, $margin * 2 + $top * $row + $height),
		'<title>The wings of src and what they include: scripts/map.pl draws it</title>',
		'<defs><marker id="tip" markerWidth="8" markerHeight="8" refX="7" refY="4" orient="auto">'
		  . '<path d="M0 0 L8 4 L0 8 z" fill="#777"/></marker></defs>',
		'<rect width="100%" height="100%" fill="#fff"/>');
	for my $from (sort keys %arrows)
	{
		for my $to (sort keys %{ $arrows{$from} })
		{
			# What follows from two other arrows is not drawn.
			next if grep { $_ ne $to && reaches($_, $to) } keys %{ $arrows{$from} };
			my ($x1, $y1, $x2, $y2) = (@{ $at{$from} }, @{ $at{$to} });
			($y1, $y2) = ($y1 + $height / 2, $y2 - $height / 2 - 1);
			push @out, sprintf '<path d="M%d %d C%d %d %d %d %d %d" fill="none" stroke="#777" marker-end="url(#tip)"/>',
			  $x1, $y1, $x1, $y1 + 24, $x2, $y2 - 24, $x2, $y2;
		}
	}
	for my $wing (sort keys %modules)
	{
		my ($x, $y) = @{ $at{$wing} };
		my $fill = $wing =~ /^core/ ? '#e8f0e4' : $wing =~ /^pg/ ? '#e4ecf4' : '#f4ece0';
		push @out, sprintf(
			'<rect x="%d" y="%d" width="%d" height="%d" rx="5" fill="%s" stroke="#999"/>',
			$x - $width / 2, $y - $height / 2, $width, $height, $fill),
		  sprintf('<text x="%d" y="%d" text-anchor="middle" font-size="14">%s</text>', $x, $y - 3, $wing),
		  sprintf('<text x="%d" y="%d" text-anchor="middle" font-size="11" fill="#444">%s</text>', $x, $y + 13, $wings{$wing}[0]);
	}
	return join("\n", @out, '</svg>') . "\n";
}

my $drawn = svg();
if (!@ARGV)
{
	open my $out, '>', $picture or die "$picture: $!";
	print {$out} $drawn;
	close $out or die $!;
	print "$picture: ", scalar(keys %modules), ' wings, ', scalar(map { keys %$_ } values %arrows), " arrows between them\n";
}
else
{
	my $kept = -e $picture ? do { local (@ARGV, $/) = ($picture); <> } : '';
	finding($picture, 1, 'is stale: make map') if $kept ne $drawn;
}
print "$_\n" for @findings;
exit(@findings ? 1 : 0);
