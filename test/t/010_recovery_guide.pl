# The runbook and the sources agree: docs/RECOVERY.md explains every message that the extension can
# raise, with its SQLSTATE, and no message that it does not raise. Links in the documents resolve.
use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Find;
use File::Spec;
use FindBin;
use Test::More;

my $root = abs_path("$FindBin::RealBin/../..");

sub slurp
{
	my ($path) = @_;
	open my $file, '<:encoding(UTF-8)', $path or die "$path: $!";
	local $/;
	return scalar <$file>;
}

# Reading C++ ---------------------------------------------------------------------------------

my $literal = qr/R"(?<tag>\w*)\((?<raw>.*?)\)\g{tag}"|"(?<text>(?:[^"\\]|\\.)*)"/s;

# Removes comments, keeps strings and line breaks.
sub without_comments
{
	my ($source) = @_;
	$source =~ s{($literal|'(?:[^'\\]|\\.)+')|//[^\n]*|/\*.*?\*/}
		{ my $kept = $1; defined $kept ? $kept : "\n" x ($& =~ tr/\n//) }gse;
	return $source;
}

# The arguments of the call whose opening parenthesis is at this position.
sub arguments_at
{
	my ($source, $open) = @_;
	my ($depth, $current, @arguments) = (0, '');
	pos($source) = $open;
	while ($source =~ /\G($literal|'(?:[^'\\]|\\.)+'|.)/gs)
	{
		my $token = $1;
		if ($token =~ /^[(\[{]$/)
		{
			next if $depth++ == 0;
		}
		elsif ($token =~ /^[)\]}]$/)
		{
			last if --$depth == 0;
		}
		elsif ($token eq ',' and $depth == 1)
		{
			push @arguments, $current;
			$current = '';
			next;
		}
		$current .= $token;
	}
	push @arguments, $current;
	s/^\s+|\s+$//g for @arguments;
	return @arguments;
}

# An expression that builds a message: its literal parts, "<>" for every other part; undef when it
# has no literal part. For a format string, "<>" for every conversion.
sub message_of
{
	my ($expression, $is_format) = @_;
	my ($depth, $words, $other) = (0, '', 0);
	my $found = 0;
	# std::string("…") is what stands in it.
	$expression =~ s/\bstd::string\(($literal)\)/$1/g;
	while ($expression =~ /\G(?:($literal)|'(?:[^'\\]|\\.)+'|(.))/gs)
	{
		my ($token, $character) = ($1, $+{text} // $+{raw});
		my $single = $token ? undef : $&;
		if (defined $token and $depth == 0)
		{
			$words .= '<>' if $other;
			$other = 0;
			my $text = $character;
			$text =~ s/\\(["\\'])/$1/g;
			$text =~ s/\\n/\n/g;
			$words .= $text;
			$found = 1;
		}
		elsif (defined $single and $single =~ /^[(\[{]$/)
		{
			$depth++;
			$other = 1;
		}
		elsif (defined $single and $single =~ /^[)\]}]$/)
		{
			$depth--;
		}
		elsif (defined $single and $depth == 0 and $single =~ /^[\s+]$/)
		{
			next;
		}
		elsif ($depth == 0)
		{
			$other = 1;
		}
	}
	$words .= '<>' if $other;
	$words =~ s/%[-0-9.*]*l*[sduc]/<>/g if $is_format;
	return $found && $words =~ /[a-z]/ ? $words : undef;
}

my %state_of = (
	ERRCODE_UNDEFINED_TABLE => '42P01',
	ERRCODE_UNDEFINED_OBJECT => '42704',
	ERRCODE_INTERNAL_ERROR => 'XX000',
	ERRCODE_PROGRAM_LIMIT_EXCEEDED => '54000',
	ERRCODE_EXTERNAL_ROUTINE_EXCEPTION => '38000',
	ERRCODE_DATA_CORRUPTED => 'XX001',
	ERRCODE_DATATYPE_MISMATCH => '42804',
	ERRCODE_FEATURE_NOT_SUPPORTED => '0A000',
	ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE => '55000',
	ERRCODE_INSUFFICIENT_PRIVILEGE => '42501',
	ERRCODE_INVALID_PARAMETER_VALUE => '22023',
	ERRCODE_ACTIVE_SQL_TRANSACTION => '25001',
	ERRCODE_WARNING => '01000');
my $failures = slurp("$root/src/core/base/failure.hpp");
$state_of{"sqlstate::$1"} = $2
	while $failures =~ /constexpr const char \*(\w+) = "(\w{5})";/g;

# Every message of a source file: [message, SQLSTATE or undef, place]; what cannot be read in @$odd.
sub messages_in
{
	my ($name, $source, $odd) = @_;
	my @found;
	my $place = sub {
		my ($before) = @_;
		return "$name:" . (1 + ($before =~ tr/\n//));
	};
	my $keep = sub {
		my ($expression, $is_format, $state, $where) = @_;
		my $message = message_of($expression, $is_format);
		if (defined $message)
		{
			push @found, [ $message, $state, $where ];
		}
		else
		{
			push @$odd, "$where: $expression" unless $expression eq '"%s"';
		}
	};

	while ($source =~ /(?<![\w:~])Failure\(/g)
	{
		my $where = $place->($`);
		my ($state, $message) = arguments_at($source, pos($source) - 1);
		next if !defined $message or $state =~ /^std::string /; # the class itself
		$keep->($message, 0, $state =~ /^"(\w{5})"$/ ? $1 : $state_of{$state}, $where);
	}
	while ($source =~ /\berrmsg(?:_internal|_plural)?\(/g)
	{
		my ($before, $at) = ($`, pos($source) - 1);
		my ($code) = substr($before, -200) =~ /.*errcode\((\w+)\)/s;
		my ($format) = arguments_at($source, $at);
		$keep->($format, 1, $code ? $state_of{$code} : undef, $place->($before));
	}
	while ($source =~ /(?<!\w)elog\(\s*(?:ERROR|FATAL|WARNING)\s*,/g)
	{
		my $where = $place->($`);
		my (undef, $format) = arguments_at($source, index($source, '(', $-[0]));
		$keep->($format, 1, 'XX000', $where);
	}
	while ($source =~ /\bmonitor_?\.warning\(/g)
	{
		my $where = $place->($`);
		my ($message) = arguments_at($source, pos($source) - 1);
		$keep->($message, 0, '01000', $where);
	}
	while ($source =~ /\bmessage = ("(?:[^"\\]|\\.)*");/g)
	{
		$keep->($1, 0, undef, $place->($`));
	}
	return @found;
}

my (@messages, @odd);
find(
	{
		wanted => sub {
			return unless /\.(?:cpp|hpp|h)$/;
			my $name = File::Spec->abs2rel($_, $root);
			push @messages, messages_in($name, without_comments(slurp($_)), \@odd);
		},
		no_chdir => 1
	},
	"$root/src");
for my $path (glob "$root/sql/cowrie_migrate--*.sql")
{
	my ($script, $name) = (slurp($path), File::Spec->abs2rel($path, $root));
	push @messages, [ $1 =~ s/%/<>/gr, undef, $name ]
	  while $script =~ /\bRAISE\s+(?:EXCEPTION|WARNING)\s+'([^']+)'/g;
}

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
