# What packagers rely on: META.json by the PGXN Meta Spec 1.0.0, one version everywhere, and every file that
# a rule of packaging names. (make dist-check and make deb-check build the packages and use them.)
use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Temp qw(tempdir);
use JSON::PP;
use Test::More;

my $root = abs_path(dirname(__FILE__) . '/../..');

sub slurp
{
	my ($path) = @_;
	open my $file, '<:raw', $path =~ m,^/, ? $path : "$root/$path" or die "$path: $!\n";
	local $/;
	return scalar <$file>;
}

# Semantic versions, in the order of the spec: no leading zeros, an optional pre-release.
my $number = qr/(?:0|[1-9]\d*)/;
my $semver = qr/^$number\.$number\.$number(?:[-+]?[A-Za-z][-0-9A-Za-z.]*)?$/;
my $range = qr/^(?:(?:==|!=|<=|<|>=|>)?\s*$number\.$number\.$number\s*(?:,\s*|$))+$|^0$/;

# What the spec demands of a distribution's metadata: returns what is wrong.
sub wrong_in
{
	my ($meta) = @_;
	my @wrong;
	my $need = sub { my ($what, $ok) = @_; push @wrong, $what unless $ok; };
	my $text = sub { defined $_[0] && !ref $_[0] && $_[0] =~ /\S/ };
	my $texts = sub { my ($value) = @_; ref $value eq 'ARRAY' ? @$value && !grep { !$text->($_) } @$value : $text->($value) };

	my %known = map { $_ => 1 } qw(abstract maintainer license provides name version meta-spec
	  description generated_by tags no_index prereqs release_status resources);
	$need->("unknown key $_", $known{$_} || /^x_/i) for sort keys %$meta;
	$need->($_, $text->($meta->{$_})) for qw(abstract name version);
	$need->('name: a term of two characters or more', ($meta->{name} // '') =~ /^[^\x00-\x20\x7f\/\\]{2,}$/);
	$need->('version: a semantic version', ($meta->{version} // '') =~ $semver);
	$need->('maintainer', $texts->($meta->{maintainer}));
	if (ref $meta->{license} eq 'HASH')
	{
		$need->('license: URLs', %{ $meta->{license} } && !(grep { !/^\w+:\/\// } values %{ $meta->{license} }));
	}
	else
	{
		my %licenses = map { $_ => 1 } qw(agpl_3 apache_1_1 apache_2_0 artistic_1 artistic_2 bsd freebsd
		  gfdl_1_2 gfdl_1_3 gpl_1 gpl_2 gpl_3 lgpl_2_1 lgpl_3_0 mit mozilla_1_0 mozilla_1_1 openssl perl_5
		  postgresql qpl_1_0 ssleay sun zlib open_source restricted unrestricted unknown);
		my @named = ref $meta->{license} ? @{ $meta->{license} } : $meta->{license} // '';
		$need->('license', @named && !(grep { !$licenses{$_} } @named));
	}
	$need->('meta-spec: version 1.0.0', ($meta->{'meta-spec'}{version} // '') eq '1.0.0');

	my $provides = $meta->{provides};
	$need->('provides', ref $provides eq 'HASH' && %$provides);
	for my $name (sort keys %{ ref $provides eq 'HASH' ? $provides : {} })
	{
		my $extension = $provides->{$name};
		$need->("provides: file of $name", $text->($extension->{file}));
		$need->("provides: version of $name", ($extension->{version} // '') =~ $semver);
		for my $key (qw(file docfile))
		{
			next unless defined $extension->{$key};
			$need->("provides: $extension->{$key} is there", -f "$root/$extension->{$key}");
		}
	}

	$need->('release_status', ($meta->{release_status} // 'stable') =~ /^(?:stable|testing|unstable)$/);
	$need->($_, $texts->($meta->{$_} // 'none')) for qw(description generated_by tags);
	$need->('tags: of 255 characters at most', !(grep { length > 255 } @{ $meta->{tags} // [] }));
	my $prereqs = $meta->{prereqs} // {};
	for my $phase (sort keys %$prereqs)
	{
		$need->("prereqs: $phase", $phase =~ /^(?:configure|build|test|runtime|develop)$|^x_/i);
		for my $relation (sort keys %{ $prereqs->{$phase} })
		{
			$need->("prereqs: $phase $relation", $relation =~ /^(?:requires|recommends|suggests|conflicts)$|^x_/i);
			my $wanted = $prereqs->{$phase}{$relation};
			$need->("prereqs: range of $_", $wanted->{$_} =~ $range) for sort keys %$wanted;
		}
	}
	return @wrong;
}

my $meta = decode_json(slurp('META.json'));
is(join("\n", wrong_in($meta)), '', 'META.json is valid');

# The validation itself: each of these is noticed.
my %damage = (
	'without a name' => sub { delete $_[0]{name} },
	'without a maintainer' => sub { $_[0]{maintainer} = [] },
	'a version of two numbers' => sub { $_[0]{version} = '1.1' },
	'a license that is none' => sub { $_[0]{license} = 'free' },
	'nothing provided' => sub { $_[0]{provides} = {} },
	'a file that is not there' => sub { $_[0]{provides}{cowrie_migrate}{file} = 'sql/none.sql' },
	'another spec' => sub { $_[0]{'meta-spec'}{version} = '2.0.0' },
	'a key of its own' => sub { $_[0]{homepage} = 'none' },
	'a range that is none' => sub { $_[0]{prereqs}{runtime}{requires}{PostgreSQL} = '15' },
	'a status that is none' => sub { $_[0]{release_status} = 'done' });
for my $what (sort keys %damage)
{
	my $copy = decode_json(slurp('META.json'));
	$damage{$what}->($copy);
	isnt(join("\n", wrong_in($copy)), '', "noticed: $what");
}

# One version everywhere: that of the control file.
my ($version) = slurp('cowrie_migrate.control') =~ /^default_version = '([\d.]+)'$/m;
like($version, qr/^\d+\.\d+$/, "version $version");
is($meta->{version}, "$version.0", 'META.json');
is($meta->{provides}{cowrie_migrate}{version}, "$version.0", 'META.json, what is provided');
like(slurp('src/cowrie_migrate.cpp'), qr/\.version = "\Q$version\E"/, 'the library');
like(slurp("CHANGELOG.md"), qr/^# Changelog\n\n[^#]*^## \Q$version\E - (?:Unreleased|\d{4}-\d\d-\d\d)$/m, 'CHANGELOG.md');
like(slurp('docs/RECOVERY.md'), qr/^For `cowrie_migrate` \Q$version\E\./m, 'docs/RECOVERY.md');
like(slurp('debian/changelog'), qr/^cowrie-migrate \(\Q$version\E\.0-\d+\) /, 'debian/changelog');

# The server versions: the package for each that the source accepts, and no other.
my ($oldest) = slurp('src/pg/boundary/compat.hpp') =~ /PG_VERSION_NUM < (\d+)0000/;
is(slurp('debian/pgversions'), "$oldest+\n", 'debian/pgversions');
is($meta->{prereqs}{runtime}{requires}{PostgreSQL}, "$oldest.0.0", 'META.json, PostgreSQL');
(my $control = slurp('debian/control.in')) =~ s/PGVERSION/15/g;
is(slurp('debian/control'), $control, 'debian/control follows from control.in');

# The license is the same text twice.
my $words = sub { join ' ', grep { $_ ne '.' } split ' ', $_[0] };
my ($license) = slurp('LICENSE') =~ /(Permission to use.*)/s;
like($words->(slurp('debian/copyright')), qr/\Q@{[ $words->($license) ]}\E$/, 'debian/copyright');

# The checker of links (make lint) notices each kind of link that leads nowhere, and no other.
my ($directory, $page) = (tempdir(CLEANUP => 1));
open $page, '>', "$directory/page.md" or die;
print $page <<'PAGE';
# A `heading`, twice

[here](#a-heading-twice) [there](#a-heading-twice-1) [web](https://example.org/none#none) [self](page.md)

## A heading twice

`[no link](none)`

```text
[no link](none)
```

[file](none.md) [heading](#none) [elsewhere](page.md#none) `docs/NONE.md`
PAGE
close $page;
chdir $root;
my @complaints = map { s/^.*page\.md:(\d+)/$1/r } qx{"$^X" scripts/check-links.pl "$directory/page.md"};
is(join('', @complaints), <<'COMPLAINTS', 'links that lead nowhere');
13: there is no docs/NONE.md
13: there is no none.md
13: no heading for #none
13: no heading for page.md#none
COMPLAINTS

# The checker of words (make lint) notices a private word, also over the end of a line, and in prose only; that of wrapping
# notices a line that is too long and one that is too short.
open $page, '>', "$directory/page.md" or die;
print $page <<'PAGE';
# Mend it

Somebody holds a lock and is in
the way; `in the way` is code. A look-up is none. [the cause](https://example.org/mend)

| what | Tells |
|---|---|
| besides, by hand | `SELECT 1` |

```text
tells, in the way
```

- A list
  beside another.
PAGE
close $page;
SKIP:
{
	skip 'codespell is not installed', 1 if system('codespell --version >/dev/null 2>&1') != 0;
	@complaints = map { s/^.*?page\.md:(\d+): (.*?) ==>.*/$1 $2/sr . "\n" } qx{scripts/prose.sh "$directory/page.md"};
	is(join('', @complaints), <<'COMPLAINTS', 'private words');
1 Mend
3 in the way
6 Tells
8 by hand
14 beside
COMPLAINTS
}
sub wrapping
{
	my ($text) = @_;
	open my $file, '>', "$directory/wrapped.md" or die;
	print $file $text;
	close $file;
	my $said = qx{"$^X" scripts/wrap-markdown.pl --check "$directory/wrapped.md"};
	return $said =~ /wrapped\.md:(\d+):/ ? $1 : $said;
}
my $full = join ' ', ('nine char') x 10;
is(wrapping("# A\n\n$full\nnine char\n"), '', 'a paragraph that is full');
is(wrapping("# A\n\n$full nine\nchar\n"), 3, 'a line that is too long');
is(wrapping("# A\n\nshort\n$full\n"), 3, 'a line that is too short');
is(wrapping("# A\n\n- nine\n- char\n\n```text\n$full $full\n```\n| $full | $full |\n"), '', 'code and tables are as they are');
is(wrapping("$full 16. And\n"), 1, 'a line that is too long, with a number where it would be cut');
system($^X, 'scripts/wrap-markdown.pl', "$directory/wrapped.md");
unlike(slurp("$directory/wrapped.md"), qr/^16\./m, 'which does not become an item of a list');
is(wrapping(slurp("$directory/wrapped.md")), '', 'and what was wrapped is wrapped');

done_testing();
