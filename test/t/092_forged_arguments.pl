# Every function of the extension, in every schema, with arguments that nobody expects, by a role that owns
# a schema of its own: thousands of calls, each of which ends in a result or in a clean error. The server
# lives, in the same process.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use CowrieTest;
use Forged;
use Hostile;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $node = hostile_node('forged');
hostile_database($node, 'forged', n => 40);
$node->safe_psql('forged', forge_schema() . '; CREATE SCHEMA m AUTHORIZATION mallory; CREATE SCHEMA odd AUTHORIZATION mallory;'
	  . 'CREATE SCHEMA own AUTHORIZATION mallory');
run_script($node, 'forged', 'v15.sql', user => 'mallory', schema => 'm');
run_script($node, 'forged', 'sessions.sql', user => 'mallory', schema => 'm', n => 40);
$node->safe_psql('forged', q{CREATE VIEW odd.session_summaries AS SELECT * FROM m.session_summaries;
CREATE TABLE odd.raw_events (id uuid, session_id integer, event_timestamp text, payload point);
INSERT INTO odd.raw_events VALUES ('01034141-4141-4141-4141-414141414141', 1, 'x', '(1,2)')}, extra_params => [ '-U', 'mallory' ]);
my $internal = internal_schema($node, 'forged');
my $before = data_hash($node, 'forged', 'm');
my $started = $node->safe_psql('forged', 'SELECT pg_postmaster_start_time()');
my $begun = time;

# Runs calls under a name, as a role, in one session; all of them are noted.
my $made = 0;
my %left;
sub forge
{
	my ($what, $user, @calls) = @_;
	my $sql = "SET client_min_messages = error; SET search_path = own, m, public, pg_temp; SET statement_timeout = '60s';\n"
	  . join('', map { 'SELECT forge.call(' . quote_text($what) . ', ' . quote_text($_) . ") \\g /dev/null\n" } @calls)
	  . "SELECT FROM public.cowrie_enrichment_facts('{}'::json) \\g /dev/null\nSHOW cowrie_migrate.live_objects";
	my ($out, $err) = ('', '');
	$node->psql('forged', $sql, stdout => \$out, stderr => \$err, on_error_stop => 0, extra_params => [ '-U', $user ]);
	$made += @calls;
	$left{"$what: $out objects"} = 1 if $out ne '0';
	if ($err ne '')
	{
		fail("$what by $user: every call is noted");
		diag(substr($err, 0, 1000));
		settle($node);
	}
	return;
}

srand(16);
my @functions = functions_of($node, 'forged');
cmp_ok(scalar(@functions), '>', 40, 'the functions of the extension');
foreach my $function (@functions)
{
	my $changing = $function->[0] =~ /cowrie_(?:migrate_v\d|cleanup)/;
	my @calls = calls_of($function, $changing ? 15 : full_counts() ? 400 : 40);
	forge("$function->[0]($function->[2])", 'mallory', @calls);
	forge("$function->[0]($function->[2])", 'carol', @calls[ 0 .. ($#calls < 4 ? $#calls : 4) ]);
}
forge('in odd places', 'mallory', odd_calls($internal));
forge('own aggregates', 'mallory', own_aggregates(@functions));
my ($trigger) = grep { $_->[3] eq 't' } @functions;
forge('own triggers', 'mallory', trigger_calls($trigger->[0]));

# A procedure that commits is called by itself only: here with arguments that are refused, or that end soon.
{
	my $sql = join '', map { my $size = $_; map { "CALL cowrie_migrate_v16_online('m', NULL, $size, $_);\n" } @{ $Forged::values{interval} }[ 0 .. 2, 4 ] }
	  @{ $Forged::values{integer} };
	my ($out, $err) = ('', '');
	$node->psql('forged', "\\set VERBOSITY verbose\nSET client_min_messages = error;\n$sql", stdout => \$out, stderr => \$err,
		on_error_stop => 0, extra_params => [ '-U', 'mallory' ]);
	my @states = $err =~ /ERROR:  (\w{5}):/g;
	$made += () = $sql =~ /CALL/g;
	is(scalar(grep { $_ eq 'XX000' } @states), 0, 'CALL with forged arguments: no internal error');
	unlike($err, qr/server closed/, 'and the server lives');
	$node->safe_psql('forged', q{SET client_min_messages = error; SELECT count(*) FROM cowrie_cleanup_v17('m', force => true);
SELECT count(*) FROM cowrie_cleanup_v16('m', force => true)},
		extra_params => [ '-U', 'mallory' ]);
}

my $noted = $node->safe_psql('forged', 'SELECT count(*) FROM forge.outcome');
cmp_ok($made, '>=', 4000, 'at least 4000 calls');
is($node->safe_psql('forged', q{SELECT DISTINCT what || ': ' || message || ': ' || left(statement, 300) FROM forge.outcome WHERE state LIKE 'XX%' LIMIT 20}),
	'', 'no internal error');
is($node->safe_psql('forged', q{SELECT DISTINCT what || ': ' || message FROM forge.outcome WHERE message ~ '^C\+\+ exception|std::|basic_string|vector' LIMIT 20}),
	'', 'no error in the words of the library of C++');
cmp_ok($node->safe_psql('forged', q{SELECT count(*) FROM forge.outcome WHERE state = '00000'}), '>', 1000, 'many calls give a result');
is($node->safe_psql('forged', q{SELECT count(*) FROM forge.outcome WHERE what = 'own aggregates' AND state = '00000'}), '0',
	'nobody makes an aggregate of the parts of ours');
is($node->safe_psql('forged', q{SELECT count(*) FROM forge.outcome WHERE what = 'own triggers' AND state = '00000'}) > 0 ? 1 : 0, 1,
	'the trigger runs on tables of others');
is($node->safe_psql('forged', 'SELECT pg_postmaster_start_time()'), $started, 'the server has not been started again');
is(join(', ', sort keys %left), '', 'no object is left in any session');
is(data_hash($node, 'forged', 'm'), $before, 'the sessions are as they were');
server_lived($node, 'no process was ended by a signal');
figure(sprintf 'forged arguments: %d calls of %d functions in %.0f s: %s', $made, scalar(@functions), time - $begun,
	$node->safe_psql('forged', q{SELECT string_agg(n || ' ' || state, ', ' ORDER BY n DESC) FROM
(SELECT state, count(*) AS n FROM forge.outcome GROUP BY state ORDER BY n DESC LIMIT 12) AS s}));
$node->stop;
done_testing();
