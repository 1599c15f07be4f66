# What the tests of reports share: a report, what is wrong with it, and its words.
package Report;

use strict;
use warnings;

use Digest::SHA qw(sha256_base64);
use Exporter 'import';
use IPC::Run ();
use Test::More;

our @EXPORT = qw(report_on report sound sound_markdown migrate refused $quiet);
our $quiet = 'SET client_min_messages = error;';
my $node;

# The node that everything here is done in.
sub report_on
{
	($node) = @_;
	return;
}

my ($tidy, $cmark) = map { my $program = $_; (grep { -x } map { "$_/$program" } split /:/, $ENV{PATH})[0] } qw(tidy cmark-gfm);

# What a report is made of, and nothing else: no script, no form, no link but to its own sections.
my %known = map { $_ => 1 } qw(html head meta title style body header nav ul li a main section h1 h2 p strong code
  span bdi b dl dt dd div table thead tbody tr th td svg rect footer);

sub report
{
	my ($database, $arguments, $user) = @_;
	return $node->safe_psql($database, 'SELECT cowrie_migration_report(' . ($arguments // '') . ')',
		extra_params => [ '-U', $user // 'postgres' ]);
}

sub filtered
{
	my ($text, @command) = @_;
	my ($out, $err) = ('', '');
	IPC::Run::run(\@command, '<', \$text, '>', \$out, '2>', \$err);
	return ($out, $err);
}

# The words of a page, as a reader sees them.
sub words
{
	my ($html) = @_;
	$html =~ s{<style>.*?</style>}{}s;
	$html =~ s/<[^>]*>/ /g;
	$html =~ s/&#(\d+);/chr $1/ge;
	$html =~ s/&lt;/</g, $html =~ s/&gt;/>/g, $html =~ s/&quot;/"/g, $html =~ s/&amp;/&/g;
	return $html =~ s/\s+/ /gr;
}

# Is this a report as it should be?
sub sound
{
	my ($name, $html) = @_;
	like($html, qr/\A<!DOCTYPE html>\n.*<\/html>\s*\z/s, "$name: a whole page");
	unlike($html, qr/[^\n -~]/, "$name: ASCII");
	my %tags = map { lc($_) => 1 } $html =~ m{<(?!!)/?([^\s>/]+)}g;
	is(join(' ', grep { !$known{$_} } sort keys %tags), '', "$name: no other tags");
	unlike($html, qr/<[^>]*\s(?:on\w+=|style=|src=|srcset=|href="(?!#))/i, "$name: no handler, no style and no reference of its own");
	my %seen;
	is(join(' ', grep { $seen{$_}++ } $html =~ /\bid="([^"]*)"/g), '', "$name: every id once");
	is(join(' ', grep { !$seen{$_} } $html =~ /href="#([^"]*)"/g), '', "$name: every link leads somewhere");
	my ($policy) = $html =~ /<meta http-equiv="Content-Security-Policy" content="([^"]*)">/;
	my ($style) = $html =~ m{<style>(.*?)</style>}s;
	my $hash = sha256_base64($style) . '=';
	is($policy, "default-src 'none'; style-src 'sha256-$hash'; base-uri 'none'; form-action 'none'", "$name: the policy knows the style");
	SKIP:
	{
		skip 'tidy is not installed', 1 unless $tidy;
		is((filtered($html, $tidy, '-q', '-e'))[1], '', "$name: valid HTML");
	}
	return words($html);
}

# The same for Markdown: what a reader of it makes of the text has our tags only.
sub sound_markdown
{
	my ($name, $markdown) = @_;
	unlike($markdown, qr/[\x00-\x09\x0b-\x1f\x7f]/, "$name: no control characters");
	SKIP:
	{
		skip 'cmark-gfm is not installed', 3 unless $cmark;
		my ($html, $err) = filtered($markdown, $cmark, '--unsafe', '-e', 'table', '-e', 'autolink', '-e', 'strikethrough');
		my %tags = map { lc($_) => 1 } $html =~ m{<(?!!)/?([^\s>/]+)}g;
		is(join(' ', sort keys %tags), join(' ', sort grep { $tags{$_} } qw(blockquote code h1 h2 hr li p strong table tbody td th thead tr ul)),
			"$name: no other tags");
		unlike($html, qr/<!--|<a |<img|<del/, "$name: no link, no picture, no comment");
		my %columns;
		my @uneven;
		foreach my $table ($html =~ m{<table>(.*?)</table>}gs)
		{
			my ($first, @others) = map { my $cells = () = m{</t[hd]>}g; $cells } $table =~ m{<tr>(.*?)</tr>}gs;
			push @uneven, $table if grep { $_ != $first } @others;
		}
		is("@uneven", '', "$name: every row has its cells");
	}
	return;
}

sub migrate
{
	my ($database, $before, $arguments) = @_;
	my $err = '';
	$node->psql($database, "$quiet " . ($before // '') . '; SELECT count(*) FROM cowrie_migrate_v16(' . ($arguments // '') . ')', stderr => \$err);
	return $err;
}

sub refused
{
	my ($database, $arguments, $user) = @_;
	my $err = '';
	$node->psql($database, "\\set VERBOSITY verbose\nSELECT cowrie_migration_report($arguments)", stderr => \$err, extra_params => [ '-U', $user // 'postgres' ]);
	$err =~ s/^LOCATION.*\n?//m;
	$err =~ s/\s+\z//;
	return $err;
}

1;
