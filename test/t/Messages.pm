# Reads the sources for the messages that the extension can raise, each with its SQLSTATE and its place.
package Messages;

use strict;
use warnings;

use Exporter 'import';
use File::Find;
use File::Spec;
use FindBin;

our @EXPORT = qw(slurp without_comments messages_of);

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
my $failures = slurp("$FindBin::RealBin/../../src/core/base/failure.hpp");
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
		next if $before =~ /\bereport\(\s*DEBUG\d,\s*\($/;    # for developers, who ask for it
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

# Every message of the sources and the install scripts; what cannot be read in @$odd.
sub messages_of
{
	my ($root, $odd) = @_;
	my @messages;
	find(
		{
			wanted => sub {
				return unless /\.(?:cpp|hpp|h)$/;
				my $name = File::Spec->abs2rel($_, $root);
				push @messages, messages_in($name, without_comments(slurp($_)), $odd);
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
	return @messages;
}

1;
