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
	'must be owner of <>',
	'schema "<>" does not exist',
	'schema version <> is too old for this migration',
	'to_phase must be between 0 and <>',
	'could not obtain lock on <>',
	'verification of phase <> failed',
	'zero-loss gate: sessions were lost or changed',
	'another migration is running in this database',
	'<> is being used by active queries in this session',
	'sequence cowrie_progress_<> of extension cowrie_migrate does not exist',
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

# Its entries: message => text. A heading in backticks is a message; under "Internal errors" a list
# item that begins with one is.
my %entry;
for my $section (split /^(?=### )/m, $chapter // '')
{
	next unless $section =~ s/^### (.*)\n//;
	my $heading = $1;
	if ($heading =~ /^`(.*)`$/)
	{
		my $message = $1 =~ s/<[^>]*>/<>/gr;
		ok(!exists $entry{$message}, "one section: $heading");
		$entry{$message} = $section;
		like($section, qr/^\*\*Run:\*\*/m, "says what to run: $heading");
		like($section, qr/^\*\*Worked when:\*\*/m, "says how to know that it worked: $heading");
	}
	else
	{
		is($heading, 'Internal errors', 'a section is a message, or the internal ones');
		while ($section =~ /^- `([^`]+)`([^\n]*)/mg)
		{
			my ($message, $text) = ($1, $2);
			$entry{ $message =~ s/<[^>]*>/<>/gr } = $text;
		}
	}
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
for my $name (@hazards, @criteria)
{
	my ($section) = $guide =~ /^### `\Q$name\E`\n(.*?)(?=^#)/ms;
	like($section // '', qr/\*\*Run:\*\*/, "the guide tells what to run: $name");
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

done_testing();
