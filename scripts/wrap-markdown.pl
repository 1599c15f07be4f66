#!/usr/bin/perl
# Wraps the paragraphs of Markdown files at 100 columns. Headings, tables, comments and code blocks stay as they
# are, and so do short pieces of code within a line.
#
#   scripts/wrap-markdown.pl FILE...           rewrites the files
#   scripts/wrap-markdown.pl --check FILE...   changes nothing: FILE:LINE: the first line that is wrapped
#                                              otherwise; the exit status says whether there is one
use strict;
use warnings;

my $width = 100;
# Longer code may be broken at a space, as it would leave a line half empty.
my $unbroken = 60;

my $check = @ARGV && $ARGV[0] eq '--check' && shift @ARGV;
my $wrong = 0;

# Words that would begin a list or a heading if they began a line stay with the word before them.
sub pieces_of
{
	my ($text) = @_;
	$text =~ s/(`[^`]+`)/length $1 <= $unbroken ? $1 =~ s, ,\0,gr : $1/ge;
	$text =~ s/ (?=(?:[-+*>|]|#+|\d+[.)])(?: |$))/\0/g;
	return map { s/\0/ /gr } split /[ \n]+/, $text;
}

sub wrapped
{
	my ($first, $rest, $text) = @_;
	my (@lines, $line);
	foreach my $piece (pieces_of($text))
	{
		if (defined $line && length("$line $piece") <= $width) { $line .= " $piece"; }
		elsif (defined $line) { push @lines, $line; $line = "$rest$piece"; }
		else { $line = "$first$piece"; }
	}
	return (@lines, $line);
}

# The lines of a page, wrapped.
sub page
{
	my ($fence, @out, $paragraph) = ('');
	my $end = sub { push @out, wrapped(@$paragraph) if $paragraph; undef $paragraph };
	foreach my $line (@_)
	{
		if ($line =~ /^ *(```+|~~~+)/ && ($fence eq '' || $fence eq $1))
		{
			$end->();
			$fence = $fence eq '' ? $1 : '';
			push @out, $line;
		}
		elsif ($fence ne '' || $line =~ /^\s*(?:$|#+ |\||<!--|<\/?\w+[^>]*>\s*$|\[[^\]]+\]: )/)
		{
			$end->();
			push @out, $line;
		}
		elsif ($line =~ /^( *(?:[-*+]|\d+[.)]) +)(.*)/)
		{
			$end->();
			$paragraph = [ $1, ' ' x length $1, $2 ];
		}
		elsif ($paragraph) { $paragraph->[2] .= ' ' . ($line =~ s/^ +//r); }
		else
		{
			my ($indent, $text) = $line =~ /^( *)(.*)/;
			$paragraph = [ $indent, $indent, $text ];
		}
	}
	$end->();
	return @out;
}

foreach my $file (@ARGV)
{
	open my $in, '<:encoding(UTF-8)', $file or die "$file: $!\n";
	chomp(my @lines = <$in>);
	close $in;
	my @wrapped = page(@lines);
	my ($differs) = grep { ($lines[$_] // '') ne ($wrapped[$_] // '') } 0 .. (@lines > @wrapped ? $#lines : $#wrapped);
	next unless defined $differs;
	if ($check)
	{
		printf "%s:%d: not wrapped at %d columns: scripts/wrap-markdown.pl %s does it\n", $file, $differs + 1, $width, $file;
		$wrong = 1;
		next;
	}
	open my $out, '>:encoding(UTF-8)', $file or die "$file: $!\n";
	print $out map { "$_\n" } @wrapped;
	close $out or die "$file: $!\n";
}
exit $wrong;
