# Where it is built and started: whatever the environment of the caller says about other servers, builds and
# languages, scripts/demo.sh and scripts/test.sh work as ever; what a run that was killed has left is removed by
# the next one. The Makefile builds with clang against this server, and in a directory of its own.
use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use IPC::Run ();
use PostgreSQL::Test::Utils;
use Test::More;

my $root = abs_path(dirname(__FILE__) . '/../..');
my $directory = PostgreSQL::Test::Utils::tempdir_short();

# Runs a script of bash at the top of the sources: (status, everything it says).
sub bash
{
	my ($script, %environment) = @_;
	local %ENV = (%ENV, %environment);
	my $said = '';
	my $ok = IPC::Run::run([ 'bash', '-c', "cd '$root' && { $script\n}" ], '<', \undef, '>', \$said, '2>&1',
		IPC::Run::timeout(180));
	return ($?, $said);
}

# An environment in which everything is different --------------------------------------------------

my $home = "$directory/a home";
my $odd = "$directory/odd, \"directory\"";
mkdir $_ or die "$_: $!" foreach $home, $odd;
my %files = (
	'.psqlrc' => "\\echo the psqlrc of the caller\n\\quit\n",
	'psqlrc' => "\\echo the psqlrc of the caller\n\\quit\n",
	'.pgpass' => "*:*:*:*:wrong\n",
	'.proverc' => "--no-such-option\n",
	'.pg_service.conf' => "[elsewhere]\nhost=/nowhere\nport=5999\ndbname=elsewhere\n");
append_to_file("$home/$_", $files{$_}) foreach keys %files;
chmod 0644, "$home/.pgpass" or die "$home/.pgpass: $!";

my %hostile = (
	HOME => $home, TMPDIR => $odd,
	PGHOST => '/nowhere', PGHOSTADDR => '192.0.2.1', PGPORT => '5433', PGUSER => 'nobody',
	PGDATABASE => 'elsewhere', PGPASSWORD => 'wrong', PGPASSFILE => "$home/.pgpass",
	PGSERVICE => 'elsewhere', PGSERVICEFILE => "$home/.pg_service.conf", PGSYSCONFDIR => $home,
	PGOPTIONS => '-c default_transaction_read_only=on', PGSSLMODE => 'verify-full', PGREQUIREPEER => 'nobody',
	PGTZ => 'Asia/Kathmandu', PGDATESTYLE => 'SQL, DMY', PGCLIENTENCODING => 'LATIN1', PGAPPNAME => "it's \"mine\"",
	PGDATA => '/nowhere', PGCONNECT_TIMEOUT => '1', PGTARGETSESSIONATTRS => 'standby', PGGSSENCMODE => 'require',
	PG_COLOR => 'always', PG_TEST_EXTRA => 'kerberos', PG_REGRESS_DIFF_OPTS => '--no-such-option',
	PSQLRC => "$home/psqlrc", PSQL_PAGER => 'false', PAGER => 'false', COLUMNS => '20', POSIXLY_CORRECT => '1',
	LC_ALL => 'tr_TR.UTF-8', LANG => 'de_DE', LANGUAGE => 'de:fr', LC_NUMERIC => 'de_DE.UTF-8', TZ => 'Asia/Kathmandu',
	MAKEFLAGS => 'nRr -- CXX=false', MFLAGS => '-n', GNUMAKEFLAGS => '-k', MAKEFILES => "$home/.psqlrc", MAKELEVEL => '3',
	CFLAGS => '-flto -no-such-option', CXXFLAGS => '-D_GLIBCXX_ASSERTIONS -no-such-option', CPPFLAGS => '-DNDEBUG -no',
	LDFLAGS => '-Wl,-no-such-option', COPT => '-no-such-option', PROFILE => '-no-such-option', CC => 'false',
	CXX => 'false', DESTDIR => '/nowhere', CDPATH => '/:/usr', GREP_OPTIONS => '-v', HARNESS_OPTIONS => 'j9:c',
	PERL5OPT => '-MNoSuchModule', GIT_DIR => '/nowhere', GTEST_FILTER => '-*', ASAN_OPTIONS => 'no_such=1');

{
	my ($status, $said) = bash('umask 077; SESSIONS=300 scripts/demo.sh', %hostile);
	is($status, 0, 'demo.sh: works in a hostile environment') or diag($said);
	like($said, qr/^Countries|snapshots, immutable/m, 'demo.sh: to the end');
	unlike($said, qr/psqlrc of the caller|password file/, 'demo.sh: no file of the caller is read');

	($status, $said) = bash('umask 077; JOBS=1 PARTS=tap TAP=t/081*.pl scripts/test.sh', %hostile);
	is($status, 0, 'test.sh: works in a hostile environment') or diag($said);
	like($said, qr/^[1-9]\d* passed, 0 failed(, 0 reports)?$/m, 'test.sh: counts');

	# What an application of the caller sees in such a server is of no other's making.
	($status, $said) = bash(q{. scripts/private-server.sh; private_server_create && private_server_start &&
"$bindir/psql" -X -At -c "SELECT current_user, current_database(), current_setting('TimeZone'),
  current_setting('DateStyle'), current_setting('application_name'), current_setting('default_transaction_read_only'),
  current_setting('client_encoding'), current_setting('lc_messages')" && env | grep ^PG | sort | cut -d= -f1}, %hostile);
	is($status, 0, 'private-server.sh: works in a hostile environment') or diag($said);
	like($said, qr/^postgres\|postgres\|UTC\|ISO, MDY\|psql\|off\|UTF8\|C$/m, 'private-server.sh: defaults') or diag($said);
	# (PG, the major version to test, and the patience of its tests are kept where they were said.)
	is(join(' ', grep { !/^PG(_TEST_TIMEOUT_DEFAULT)?$/ } $said =~ /^(PG\w*)$/mg),
		'PGDATABASE PGHOST PGPASSFILE PGPORT PGSERVICEFILE PGSYSCONFDIR PGUSER PG_CONFIG',
		'private-server.sh: nothing else is said about servers');
}

# What is left by a run that was killed -------------------------------------------------------------

{
	my %here = (TMPDIR => $directory);
	my ($status, $said) = bash(q{. scripts/private-server.sh; private_server_create && private_server_start || exit
set -m; sleep 300 </dev/null >/dev/null 2>&1 & set +m
identity_of_process $! >>"$work/groups"
echo "left: $work $(head -n 1 "$work/data/postmaster.pid") $!"
kill -KILL $$}, %here);
	my ($work, $server, $sleeper) = $said =~ /^left: (\S+) (\d+) (\d+)$/m or die $said;
	ok(-d $work && kill(0, $server) && kill(0, $sleeper), 'killed: leaves a directory, a server and a process');

	($status, $said) = bash(q{. scripts/private-server.sh; private_server_create && echo "work: $work"
for process in } . "$server $sleeper" . q{; do echo "alive: $(identity_of_process "$process")"; done}, %here);
	is($status, 0, 'the next run works') or diag($said);
	like($said, qr/^removing \Q$work\E: the run that it belonged to was killed$/m, 'the next run says what it removes');
	ok(!-e $work, 'the directory is gone');
	is(join('|', $said =~ /^alive: (.*)$/mg), '|', 'the server and the process are gone');
	my ($own) = $said =~ /^work: (\S+)$/m;
	ok(!-e $own, 'and its own directory');

	# One that is still at work is left alone, and so is one that is to be kept.
	($status, $said) = bash(q{. scripts/private-server.sh; private_server_create; echo "first: $work"
bash -c '. scripts/private-server.sh; private_server_create'; ls -d "$work/owner"; private_server_keep
bash -c '. scripts/private-server.sh; private_server_create'; ls -d "$work"; private_server_remove}, %here);
	my ($first) = $said =~ /^first: (\S+)$/m;
	unlike($said, qr/^removing/m, 'a run that is at work: left alone');
	like($said, qr{^\Q$first\E/owner\n\Q$first\E$}m, 'a server that is kept: left alone');
}

# Other compilers, other directories ---------------------------------------------------------------

SKIP:
{
	skip 'no clang++ here', 2 if system('command -v clang++ >/dev/null') != 0;
	my ($status, $said) = bash("mkdir '$directory/clang' && make -C '$directory/clang' -f '$root/Makefile' CXX=clang++"
		  . ' build/src/pg/boundary.o build/src/core/base.o build/src.o');
	is($status, 0, 'CXX=clang++ with the flags of a server that gcc has built') or diag($said);
	unlike($said, qr/warning:/, 'without a warning');
}

# (To build all of it takes as long as all other tests of this file: what make would do is read, and two objects
# are built.)
{
	my $objects = "$directory/objects";
	my $make = "make -C '$objects' -f '$root/Makefile'";
	my ($status, $said) = bash("mkdir '$objects' && $make build/src.o build/src/core/base.o", CXX => 'g++');
	is($status, 0, 'a directory of its own: objects are built') or diag($said);
	ok(-s "$objects/build/src.o" && -s "$objects/build/src/core/base.o", 'a directory of its own: and are there');
	($status, $said) = bash("$make -n all install");
	is($status, 0, 'a directory of its own: all can be built and installed') or diag($said);
	my @sources = map { glob "$root/src/$_" } '*.cpp', 'api/*.cpp', 'core/*/*.cpp', 'pg/*/*.cpp';
	my %included = reverse $said =~ /^printf '#include "%s"\\n' (.*) >(\S+\.cpp)\.new$/mg;
	my %compiled = map { $_ => 1 } $said =~ /^\S+ .* -c .*-o \S+ (\S+\.cpp)$/mg;
	my @compiled = map { "$root/src/$_" } map { split ' ', $included{$_} } keys %compiled;
	is_deeply([ sort @compiled ], [ sort @sources ], 'a directory of its own: every source is compiled');
	my ($library) = $said =~ /^(\S+ .*-shared -o cowrie_migrate\.so .*)$/m;
	is(scalar(() = ($library // '') =~ m{\bbuild/src\S*\.o\b}g), scalar keys %compiled, 'a directory of its own: every object is linked');
	foreach my $file ('cowrie_migrate.control', 'sql/cowrie_migrate--1.0.sql', 'sql/cowrie_migrate--1.0--1.1.sql')
	{
		like($said, qr{install .*\Q$root/\E/?\Q$file\E}, "a directory of its own: $file is installed");
	}
}

done_testing();
