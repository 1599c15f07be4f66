#!/usr/bin/perl
# Copies the prose of Markdown files for a checker of words: no code, no output, no targets of links. Each paragraph is
# one line, at the number of its first line, so that words are found that a line break divides.
#
#   scripts/prose.pl DIRECTORY FILE...      writes DIRECTORY/FILE
use strict;
use warnings;

use File::Basename qw(dirname);
use File::Path qw(make_path);

my $directory = shift @ARGV;
foreach my $file (@ARGV)
{
	open my $in, '<:encoding(UTF-8)', $file or die "$file: $!\n";
	chomp(my @lines = <$in>);
	close $in;

	my ($fence, $begin, @prose) = ('');
	foreach my $line (@lines)
	{
		my $text = $line =~ s/<!--.*?-->//gr;
		push @prose, '';
		if ($text =~ /^ *(```+|~~~+)/ && ($fence eq '' || $fence eq $1))
		{
			$fence = $fence eq '' ? $1 : '';
			undef $begin;
		}
		elsif ($fence ne '' || $text =~ /^\s*$/) { undef $begin; }
		elsif (defined $begin && $text !~ /^(?:#+ |\|| *(?:[-*+]|\d+[.)]) )/) { $prose[$begin] .= " $text"; }
		else
		{
			$begin = $#prose;
			$prose[$begin] = $text;
			undef $begin if $text =~ /^#+ |^\|/;
		}
	}
	foreach (@prose)
	{
		s/`[^`]*`/-/g;
		s/\]\([^)]*\)/]/g;
		s/ +/ /g;
	}
	make_path("$directory/" . dirname($file));
	open my $out, '>:encoding(UTF-8)', "$directory/$file" or die "$directory/$file: $!\n";
	print $out map { "$_\n" } @prose;
	close $out or die "$directory/$file: $!\n";
}
