#!/usr/bin/perl
# Tells which links in the given Markdown files lead nowhere: files and directories that are not there,
# headings that no page has; and which names of files, written as `src/…`, are the name of none. Links
# into the web are not followed.
#
#   scripts/check-links.pl FILE...      FILE:LINE: what is wrong; the exit status tells whether anything is
use strict;
use warnings;

use File::Basename qw(dirname);

my ($wrong, %anchors) = (0);

sub lines_of
{
	my ($file) = @_;
	open my $handle, '<:encoding(UTF-8)', $file or die "$file: $!\n";
	my @lines = <$handle>;
	close $handle;
	my $fence = '';
	for (@lines)
	{
		if (/^\s*(```+|~~~+)/ && ($fence eq '' || index($1, $fence) == 0))
		{
			$fence = $fence eq '' ? $1 : '';
			$_ = "\n";
		}
		$_ = "\n" if $fence ne '';
	}
	return @lines;
}

# The anchors of a page, as GitHub makes them from its headings.
sub anchors_of
{
	my ($file) = @_;
	return $anchors{$file} if $anchors{$file};
	my (%seen, %found);
	for (lines_of($file))
	{
		$found{$1} = 1 while /<a\s+(?:name|id)="([^"]+)"/g;
		next unless /^#{1,6}\s+(.*?)\s*#*\s*$/;
		my $slug = lc $1;
		$slug =~ s/\[([^\]]*)\]\([^)]*\)/$1/g;
		$slug =~ s/[^\w\- ]//g;
		$slug =~ tr/ /-/;
		my $times = $seen{$slug}++;
		$found{ $times ? "$slug-$times" : $slug } = 1;
	}
	return $anchors{$file} = \%found;
}

for my $file (@ARGV)
{
	my $number = 0;
	for (lines_of($file))
	{
		$number++;
		my $complain = sub { print "$file:$number: $_[0]\n"; $wrong++ };
		while (/`((?:\.ci|bench|debian|docs|scripts|sql|src|test)\/[\w.\/-]*\w)`/g)
		{
			$complain->("there is no $1") if !-e $1 && !-e "$1.cpp" && !-e "$1.hpp";
		}
		s/`[^`]*`//g;
		my @targets;
		push @targets, $1 while /\]\(<?([^)\s>]+)>?(?:\s+"[^"]*")?\)/g;
		push @targets, $1 if /^\s*\[[^\]]+\]:\s+<?(\S+?)>?(?:\s|$)/;
		for my $target (@targets)
		{
			next if $target =~ m{^(?:https?://[\w.-]+|mailto:\S+@\S+)};
			my ($path, $anchor) = $target =~ /^([^#]*)(?:#(.*))?$/;
			my $page = $path eq '' ? $file : dirname($file) . "/$path";
			$page =~ s{^\./}{};
			1 while $page =~ s{[^/]+/\.\./}{};
			if (!-e $page) { $complain->("there is no $target"); }
			elsif (defined $anchor && !anchors_of($page)->{$anchor}) { $complain->("no heading for $target"); }
		}
	}
}
exit($wrong ? 1 : 0);
