# The runbook and the sources agree: docs/RECOVERY.md explains every message that the extension can
# raise, with its SQLSTATE, and no message that it does not raise. Links in the documents resolve.
use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Spec;
use FindBin;
use lib $FindBin::RealBin;
use Messages;
use Test::More;

my $root = abs_path("$FindBin::RealBin/../..");

my @odd;
my @messages = messages_of($root, \@odd);

# The extraction itself: nothing is missed, and what it reads is what the server prints.
my @unexpected = grep { !/text_or_empty\(caught->message\)/ } @odd;
is("@unexpected", '', 'every message has words of its own');
cmp_ok(scalar @messages, '>=', 35, 'messages in the sources');

my %raised;
push @{ $raised{ $_->[0] } }, $_ for @messages;
for my $known (
	'incomplete v<> schema detected',
	'repair would lose data',
	'must be able to act as the owner of <>',
	'schema "<>" does not exist',
	'schema version <> is too old for this migration',
	'to_phase must be between 0 and <>',
	'could not lock <> in time',
	'verification of phase <> failed',
	'zero-loss gate: sessions were lost or changed',
	'another migration is running in this database',
	'<> is being used by active queries in this session',
	'sequence cowrie_progress_<> of extension cowrie_migrate is missing',
	'skipping index "<>": column "<>" is missing',
	'unexpected exception: <>',
	'out of memory')
{
	ok($raised{$known}, "found in the sources: $known") or diag(join "\n", sort keys %raised);
}

# As the server prints them: the refusals in the expected output that are the extension's own are
# among those found. (The server's own errors stand there too.)
my %pattern;
for my $message (keys %raised)
{
	$pattern{$message} = join '.*', map { quotemeta } split /<>/, $message, -1;
}
my %printed;
for my $path (glob "$root/expected/*.out")
{
	my $output = slurp($path);
	while ($output =~ /^(?:[0-9A-Z]{5}|ERROR): +(.*)$/mg)
	{
		my $line = $1;
		$printed{$_} = 1 for grep { $line =~ /^$pattern{$_}$/ } keys %pattern;
	}
}
cmp_ok(scalar keys %printed, '>=', 15, 'messages in the expected output that are found in the sources')
  or diag(join "\n", sort keys %printed);

# The guide -------------------------------------------------------------------------------------

my $guide = slurp("$root/docs/RECOVERY.md");
my ($chapter) = $guide =~ /^## Messages of the extension\n(.*?)(?=^## |\z)/ms;
ok($chapter, 'the guide has a chapter of messages');

# A section has the same parts in the same order: what it means, what to do, how to know that it is done and, where
# that takes more than a few lines, why.
my $longest = 45;

sub parts_are_in_order
{
	my ($heading, $section) = @_;
	my @names = $section =~ /^\*\*([A-Z][a-z ]+):\*\* /mg;
	like(join(', ', @names), qr/^Meaning, Do, Done when(?:, Why)?$/, "the parts of: $heading");
	unlike($section, qr/^(?!\*\*)\S[^\n]*\n.*^\*\*Meaning:/ms, "nothing stands before them: $heading");
	my ($meaning) = $section =~ /^\*\*Meaning:\*\* (.*?)(?=^$)/ms;
	my @words = split ' ', $meaning // '';
	cmp_ok(scalar @words, '<=', $longest, "no longer than $longest words is what it means, the rest is why: $heading");
	my ($done) = $section =~ /^\*\*Done when:\*\* (.*?)(?=^$)/ms;
	like($done // '', qr/\w/, "when it is done: $heading");
	return;
}

# The sections of a chapter: [[headings], text]. Headings that follow one another share their text.
sub sections_of
{
	my ($title) = @_;
	my ($text) = $guide =~ /^## \Q$title\E\n(.*?)(?=^## |\z)/ms;
	my (@found, @headings);
	for my $section (split /^(?=#{3,4} )/m, $text // '')
	{
		next unless $section =~ s/^#{3,4} (.*)\n//;
		push @headings, $1;
		next unless $section =~ /\S/;
		push @found, [ [@headings], $section ];
		@headings = ();
	}
	is("@headings", '', "$title: no heading without a text");
	return @found;
}

# The entries: message => text. A heading in backticks is a message; under "Internal errors" a list
# item that begins with one is.
my %entry;
for my $found (sections_of('Messages of the extension'))
{
	my ($headings, $section) = @$found;
	if ($headings->[0] eq 'Internal errors')
	{
		while ($section =~ /^- `([^`]+)`(.*(?:\n  .*)*)/mg)
		{
			my ($message, $text) = ($1, $2);
			$entry{ $message =~ s/<[^>]*>/<>/gr } = $text;
		}
		next;
	}
	parts_are_in_order($headings->[0], $section);
	for my $heading (@$headings)
	{
		my ($message) = $heading =~ /^`(.*)`$/;
		ok(defined $message || $heading =~ /^Notice: /, "a section is a message, or the internal ones: $heading");
		next unless defined $message;
		$message =~ s/<[^>]*>/<>/g;
		ok(!exists $entry{$message}, "one section: $heading");
		$entry{$message} = $section;
	}
}
for my $title ('What a preflight reports', 'The acceptance criteria', 'What the Python migration leaves behind')
{
	parts_are_in_order($_->[0][0], $_->[1]) for sections_of($title);
}

# The entry of a message: its own words, or more of them where the message begins with a variable.
my %explained;
for my $message (sort keys %raised)
{
	my $places = join ', ', map { $_->[2] } @{ $raised{$message} };
	my ($name) = grep { $_ eq $message } keys %entry;
	($name) = grep { /^$pattern{$message}$/ } sort keys %entry unless defined $name;
	ok(defined $name, "explained: $message") or diag("raised in $places");
	next unless defined $name;
	$explained{$name} = 1;
	my ($state) = $entry{$name} =~ /SQLSTATE `(\w{5})`/;
	ok($state, "has an SQLSTATE: $message");
	for my $raise (@{ $raised{$message} })
	{
		is($state, $raise->[1], "its SQLSTATE: $message ($raise->[2])")
			if defined $state and defined $raise->[1];
	}
}
for my $name (sort keys %entry)
{
	ok($explained{$name}, "is still raised: $name");
}

# Reject reasons, steps and phases that the guide names exist; and every reject reason is named.
my $enrichment = slurp("$root/src/core/document/enrichment.hpp");
my ($reasons) = $enrichment =~ /enum class RejectReason[^{]*\{(.*?)\}/s;
for my $reason (without_comments($reasons) =~ /(\w+)/g)
{
	like($guide, qr/`$reason`/, "names the reject reason $reason");
}

# Every hazard and every criterion has its section, and what to run.
my ($names) = slurp("$root/src/core/survey/hazard.hpp") =~ /namespace hazards \{(.*?)\n\}/s;
my @hazards = map { s/\\\\/\\/gr } $names =~ /= "([^"]+)";/g;
my @criteria = slurp("$root/src/core/survey/checkpoint.cpp") =~ /measure\("(\w+)"/g;
cmp_ok(scalar @hazards, '>=', 30, 'hazards in the sources');
is(scalar @criteria, 8, 'criteria in the sources');
my %headed = map { my $text = $_->[1]; map { $_ => $text } @{ $_->[0] } }
  map { sections_of($_) } 'Messages of the extension', 'What a preflight reports', 'The acceptance criteria';
for my $name (@hazards, @criteria)
{
	like($headed{"`$name`"} // '', qr/^\*\*Do:\*\* /m, "the guide says what to do: $name");
}

# The first page leads to every chapter.
my ($first) = $guide =~ /^(.*?)^## /ms;
for my $title ($guide =~ /^## (.*)$/mg)
{
	my ($anchor) = keys %{ anchors("## $title\n") };
	like($first, qr/\(#\Q$anchor\E\)/, "the first page leads to: $title");
}

# Links -----------------------------------------------------------------------------------------

# The anchors of a document, as its headings give them.
sub anchors
{
	my ($text) = @_;
	$text =~ s/^```.*?^```$//msg;
	my %anchors;
	while ($text =~ /^#+ (.*)$/mg)
	{
		my $slug = lc $1;
		$slug =~ s/[^\w\- ]//g;
		$slug =~ tr/ /-/;
		$anchors{$slug} = 1;
	}
	return \%anchors;
}

for my $path ("$root/README.md", "$root/CONTRIBUTING.md", glob("$root/docs/*.md"))
{
	my $name = File::Spec->abs2rel($path, $root);
	my $text = slurp($path);
	my $prose = $text =~ s/^```.*?^```$//msgr;
	while ($prose =~ /\]\(([^)\s]+)\)/g)
	{
		my $link = $1;
		next if $link =~ /^\w+:/;
		my ($file, $anchor) = split /#/, $link, 2;
		my $target = length $file ? dirname($path) . "/$file" : $path;
		ok(-e $target, "$name: $link") or next;
		ok(anchors(slurp($target))->{$anchor}, "$name: $link, the heading")
			if defined $anchor;
	}
}

# From the README every page is one step away, so that an answer is at most two.
my $readme = slurp("$root/README.md");
for my $path ("$root/CONTRIBUTING.md", "$root/CHANGELOG.md", glob("$root/docs/*.md"))
{
	my $name = File::Spec->abs2rel($path, $root);
	like($readme, qr/\]\(\Q$name\E[#)]/, "README.md leads to $name");
}

done_testing();
