# The report: valid HTML and Markdown about runs of every kind, in which nothing that anybody has written is
# markup; for those who may read the tables; and what it tells is what the ledger and the tables say.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use CowrieTest;
use Digest::SHA qw(sha256_base64);
use IPC::Run ();
use Online;
use PostgreSQL::Test::Utils;
use Session;
use Test::More;

my $node = start_node('report', 'autovacuum = off', 'restart_after_crash = on');
work_in($node);
my $quiet = 'SET client_min_messages = error;';
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

# What anybody may write ------------------------------------------------------------------------

my @evil = ('<script>alert(1)</script>', '</td></table><img src=x onerror=alert(1)>', "\" onclick='x' `b` ``c`` | d \\| e",
	'[a](javascript:x) ![b](http://evil.example/c.png) <https://evil.example> www.evil.example', '*a* _b_ ~~c~~ &amp; &#60;',
	"U&'\\202Egnp.exe \\2066 \\05E9\\05DC\\05D5\\05DD'", "E'line\\nline\\ttab\\x1b[31m\\x07'");
my @names = map { /^[UE]&?'/ ? $_ : quote_text($_) } @evil;
my $role = 'r"><b>`|';
my $schema = 's\'"<i>|`';
create_v15($node, 'evil', n => 0, owner => $role, schema => $schema);
my $path = quote_name($schema);
$node->safe_psql('evil', "SET search_path = $path;" . join '', map { qq{
INSERT INTO session_summaries (session_id, first_event_at, enrichment)
SELECT left(id || n, 64), '2024-01-01',
  json_build_object('session_metadata', json_build_object('source_ip', '192.0.2.' || n), 'maxmind', json_build_object('asn', 64500 + n, 'asn_org', org, 'country', 'NL'),
    'cymru', json_build_object('asn_org', org, 'country', org, 'registry', org))
FROM (SELECT $names[$_] AS org, $names[$_] AS id, $_ AS n) AS e;
INSERT INTO session_summaries (session_id, enrichment) SELECT left($_ || id, 64), json_build_object('maxmind', json_build_object('asn', id, 'country', id))
FROM (SELECT $names[$_] AS id) AS e;
} } 0 .. $#names);
my $argument = 'target_schema => ' . quote_text($schema);
$node->safe_psql('evil', "$quiet SELECT count(*) FROM cowrie_migrate_v16(" . quote_text($schema) . ')', extra_params => [ '-U', $role ]);
my $words = sound('hostile values', report('evil', $argument, $role));
sound_markdown('hostile values', report('evil', "'markdown', $argument", $role));
foreach my $evil (@evil[ 0 .. 4 ], $role, $schema)
{
	like($words, qr/\Q$evil\E/, "shown as it is: $evil");
}
like($words, qr/U\+202Egnp\.exe U\+2066 \x{5E9}\x{5DC}\x{5D5}\x{5DD}/, 'what changes the direction of text is shown by its number');
like($words, qr/lineU\+000AlineU\+0009tabU\+001B\[31mU\+0007/, 'and so are controls');

# A message of others, of a phase that failed and was rolled back while those before it were kept.
$node->safe_psql('evil', "$quiet SELECT count(*) FROM cowrie_cleanup_v16(" . quote_text($schema) . ')', extra_params => [ '-U', $role ]);
$node->safe_psql('evil', q{
CREATE FUNCTION public.fails() RETURNS event_trigger LANGUAGE plpgsql AS $$BEGIN
  IF current_setting('evil.message', true) <> '' THEN RAISE EXCEPTION '%', current_setting('evil.message') USING ERRCODE = 'EV1L0'; END IF; END$$;
CREATE EVENT TRIGGER fails ON ddl_command_end WHEN TAG IN ('CREATE INDEX') EXECUTE FUNCTION public.fails()});
foreach my $evil (@evil[ 0 .. 3 ])
{
	migrate('evil', 'SET evil.message = ' . quote_text($evil), quote_text($schema) . ", on_failure => 'keep'");
	$words = sound("message $evil", report('evil', $argument));
	like($words, qr/Failed; the phases before are kept.*\Q$evil\E SQLSTATE EV1L0 .*docs\/RECOVERY\.md/, 'the message, its SQLSTATE and where to read on');
	sound_markdown("message $evil", report('evil', "'markdown', $argument"));
}

# Runs of every kind ----------------------------------------------------------------------------

create_v15($node, 'origin', owner => 'app_owner', n => 400);
$node->safe_psql('origin', 'GRANT CREATE ON SCHEMA public TO app_owner');

copy('none');
is(refused('none', ''), q{psql:<stdin>:2: ERROR:  55000: no migration of schema "public" is on record
DETAIL:  Neither the ledger nor the status view tells of any run.
HINT:  See what a migration would do with SELECT * FROM cowrie_preflight_v16(); and migrate with SELECT * FROM cowrie_migrate_v16();},
	'no run at all');
is(refused('none', "'pdf'"), q{psql:<stdin>:2: ERROR:  22023: format must be 'html' or 'markdown'
DETAIL:  It is "pdf".
HINT:  Run SELECT cowrie_migration_report(format => 'markdown');}, 'an unknown format');

copy('atomic');
$node->safe_psql('atomic', "$quiet SELECT count(*) FROM cowrie_migrate_v16()", extra_params => [ '-U', 'app_owner' ]);
my $ledger = $node->safe_psql('atomic', 'TABLE cowrie_migration_log');
my ($before) = report('atomic', undef, 'app_owner');
$words = sound('atomic', $before);
like($words, qr/Migration of schema public .*Completed; \d criter.* Run 1 in database atomic : atomic, called by role app_owner , began [-0-9]{10} [:0-9]{8} UTC, ended/, 'who and when');
like($words, qr/Called with dry_run => false, on_failure => 'abort', repair => false /, 'its arguments');
like($words, qr/ cowrie_migrate 1\.2 PostgreSQL 1\d\.\d/, 'versions');
like($words, qr/ cowrie_migrate\.lock_timeout 5s .* work_mem 4MB /, 'settings');
like($words, qr/Phase 1: session_columns .*Phase 5: foreign_keys .* zero_loss_gate count, documents and times are as before .{1,3} done 400 /, 'phases and steps');
my ($documents, $times) = split /\|/, $node->safe_psql('atomic', 'SELECT settled_documents, settled_times FROM cowrie_migration_log WHERE settled_count = 400');
like($words, qr/Sessions 400 400 .{1,3} equal Documents $documents $documents .{1,3} equal Event times $times $times .{1,3} equal/, 'the sums, before and now');
like($words, qr/Coverage Of 400 sessions, .* source_ip no column (\d+) \((9\d\.\d) %\) /, 'coverage, before and now');
my $first = $node->safe_psql('atomic', q{SELECT string_agg(quote_literal(session_id), ', ' ORDER BY session_id) FROM
(SELECT session_id FROM (SELECT DISTINCT session_id COLLATE "C" AS session_id FROM cowrie_rejected_values() WHERE reason = 'asn_invalid') AS r ORDER BY 1 LIMIT 3) AS e});
my $count = $node->safe_psql('atomic', q{SELECT rejects ->> 'asn_invalid' FROM cowrie_migration_log WHERE rejects IS NOT NULL});
like($words, qr/ asn_invalid $count \Q$first\E /, 'rejected values, with the first three sessions');
like($words, qr/Findings None: the schema is what the declaration of version 16 says/, 'no findings');
my @sizes = split /\|/, $node->safe_psql('atomic', q{SELECT pg_total_relation_size('ip_inventory') / 1024, (evidence #>> '{before,sizes,session_summaries,heap}')::int8 / 1024
FROM cowrie_migration_log WHERE evidence IS NOT NULL});
like($words, qr/ ip_inventory - $sizes[0]\.0 kB \+$sizes[0]\.0 kB /, 'sizes, before and after');
cmp_ok($sizes[1], '>', 100, 'that of the sessions was recorded before');
my ($asn, $asn_sessions) = split /\|/, $node->safe_psql('atomic', 'SELECT asn_number, total_session_count FROM asn_inventory ORDER BY 2 DESC, 1 LIMIT 1');
like($words, qr/Networks AS Organisation Country Addresses Sessions $asn .*? $asn_sessions /, 'networks');
my ($country, $country_sessions) = split /\|/, $node->safe_psql('atomic',
	'SELECT snapshot_country, count(*) FROM session_summaries WHERE snapshot_country IS NOT NULL GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 1');
like($words, qr/Countries Country Addresses Sessions $country \d+ $country_sessions /, 'countries');
my @criteria = split /\n/, $node->safe_psql('atomic', q{SELECT criterion || CASE WHEN passed THEN ' pass' ELSE ' fail' END FROM cowrie_checkpoint_v16()});
my @shown = map { m{<code>(\w+)</code>.*;? (pass|fail)</td>} ? "$1 $2" : () } $before =~ m{<tr>(.*?)</tr>}g;
is(join("\n", @shown), join("\n", @criteria), 'the criteria, as the checkpoint measures them');
sound_markdown('atomic', report('atomic', "'markdown'"));
is($node->safe_psql('atomic', 'TABLE cowrie_migration_log'), $ledger, 'nothing is written');
is($node->safe_psql('atomic', q{BEGIN READ ONLY; SELECT length(cowrie_migration_report()) > 10000;
SELECT count(*) FROM pg_locks AS l JOIN pg_class AS c ON c.oid = l.relation WHERE c.relname = 'session_summaries' AND l.pid = pg_backend_pid(); COMMIT;
SHOW cowrie_migrate.live_objects}), "t\n0\n0", 'in a read-only transaction, and no lock is kept');
is(refused('atomic', 'run_id => 77'), q{psql:<stdin>:2: ERROR:  42704: the ledger has no run 77 of this schema
DETAIL:  The latest it has are 1.
HINT:  For the latest run SELECT cowrie_migration_report();}, 'an unknown run');

# Later: a session is changed, an index dropped; then it is all taken back.
$node->safe_psql('atomic', q{UPDATE session_summaries SET first_event_at = first_event_at + interval '1 hour' WHERE session_id = (SELECT min(session_id) FROM session_summaries)});
like(sound('changed since', report('atomic')), qr/Completed; sessions have changed since .* Event times $times \w+ .{1,3} different /, 'what has changed since');
$node->safe_psql('atomic', 'DROP INDEX idx_ip_geo_country');
like(sound('drifted', report('atomic')), qr/Completed; 2 differences from the declaration now .* idx_ip_geo_country .{1,3} error missing .* CREATE INDEX /, 'findings and their remedy')
  or diag($node->safe_psql('atomic', 'SELECT * FROM cowrie_validate_schema()'));
$node->safe_psql('atomic', "$quiet SELECT count(*) FROM cowrie_cleanup_v16(force => true)");
my $cleanup = $node->safe_psql('atomic', q{SELECT max(run_id) FROM cowrie_migration_log WHERE mode = 'cleanup'});
like(sound('cleanup', report('atomic')), qr/Cleanup of schema public .*Completed Run $cleanup .* set_version schema version 15 /, 'a cleanup');
like(sound('taken back', report('atomic', 'run_id => 1')), qr/Completed, and taken back by run $cleanup .*The schema is at version 15/, 'a run that was taken back');

# Kept, then resumed.
copy('kept');
migrate('kept', q{SET cowrie_migrate.fail_at = '3.load_ip_inventory'}, q{on_failure => 'keep'});
like(sound('kept', report('kept')), qr/Failed; the phases before are kept .*injected failure at 3\.load_ip_inventory SQLSTATE \w{5} , .*step load_ip_inventory.* SELECT \* FROM cowrie_migrate_v16\(\); .* create_ip_inventory .{1,3} rolled_back /, 'kept');
migrate('kept');
like(sound('resumed', report('kept')), qr/Completed.* the migration took 2 calls.*Calls of this migration|Completed.* the migration took 2 calls/, 'resumed: two calls');
is($node->safe_psql('kept', q{SELECT count(*) FROM cowrie_migration_log WHERE evidence #> '{before,filled,sessions}' IS NOT NULL}), '0', 'sessions are counted by no run that begins at version 15 or resumes');

# Rolled back: it has left no record but the status.
copy('aborted');
migrate('aborted', q{SET cowrie_migrate.fail_at = '4.create_ip_asn_history'});
like(sound('aborted', report('aborted')), qr/Failed, everything was rolled back .*no record in the ledger SQLSTATE \w{5} , in phase 4, step create_ip_asn_history .*server's log.*docs\/RECOVERY\.md.* SELECT \* FROM cowrie_migrate_v16\(\);/, 'aborted');
migrate('aborted');
like(sound('done after that', report('aborted')), qr/Completed.* Run \d+ in database aborted/, 'and then done');

# Repaired: some sessions had values before.
copy('repaired');
$node->safe_psql('repaired', "$quiet SELECT count(*) FROM cowrie_migrate_v16(); UPDATE session_summaries SET snapshot_country = NULL;
UPDATE schema_state SET value = '16.3' WHERE key = 'schema_subphase'; DROP INDEX idx_asn_type; SELECT count(*) FROM cowrie_migrate_v16(repair => true)");
like(sound('repaired', report('repaired')), qr/Called with .* repair => true .* snapshot_asn [1-9]\d* \(\d+\.\d %\) [1-9]\d* \(\d+\.\d %\) snapshot_country 0 \(0\.0 %\) /, 'repaired: coverage before');

# Online: done; stopped by a failure and resumed; killed.
copy('online');
my ($status, $err) = call('online', fail_at('3.load_ip_inventory'));
like(sound('online, failed', report('online')), qr/Failed; what it had committed is kept .* CALL cowrie_migrate_v16_online\(\); .*batch_size => 100, pause => '00:00:00'/, 'online: failed');
call('online');
like(sound('online', report('online')), qr/Completed.* : online, .* the migration took 2 calls\. .*Run \d+ Phase 1.* Run \d+ Phase/, 'online: done in two calls');
sound_markdown('online', report('online', "'markdown'"));

copy('killed');
my $run = start_slowly('killed');
like(sound('running', report('killed')), qr/ Running .*The next|Running Run \d+ in database killed : online/, 'online: while it runs');
kill_backend($node, $node->safe_psql('killed', 'SELECT pid FROM cowrie_migration_status'));
like(sound('killed', report('killed')), qr/Its process ended without a word; what it had committed is kept/, 'killed');

# A run that has not committed: its tables are not waited for.
copy('open');
my $session = Session->new($node, 'open');
$session->run("$quiet BEGIN; SELECT count(*) FROM cowrie_migrate_v16()");
like(sound('not committed', report('open')), qr/Running .*its tables cannot be read before it ends.*This could not be measured: a run is going on/, 'while a run is open');
$session->run('ROLLBACK');
like(sound('rolled back', report('open')), qr/Rolled back .*its transaction was rolled back/, 'rolled back by its caller');
$session->close;

# Who may ---------------------------------------------------------------------------------------

$node->safe_psql('postgres', 'CREATE ROLE reader LOGIN; CREATE ROLE member LOGIN; GRANT app_owner TO member; CREATE ROLE nobody_special LOGIN');
copy('rights', 'kept');
like(refused('rights', '', 'nobody_special'), qr/ERROR:  42501: role "nobody_special" may not read .*\nDETAIL:  .*\nHINT:  Run GRANT SELECT/, 'who may not read the tables gets none');
$node->safe_psql('rights', 'GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader');
foreach my $user ('reader', 'member')
{
	like(report('rights', '', $user), qr/^<!DOCTYPE html>/, "who may does: $user");
}

# Another encoding: the page is ASCII whatever it is, Markdown is in that of the database.
$node->safe_psql('postgres', q{CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'});
$node->safe_psql('latin', 'CREATE EXTENSION cowrie_migrate');
run_script($node, 'latin', 'v15.sql');
$node->safe_psql('latin', qq{SET client_encoding = 'UTF8'; INSERT INTO session_summaries (session_id, first_event_at, enrichment) VALUES ('s1', '2024-01-01',
'{"session_metadata": {"source_ip": "192.0.2.1"}, "maxmind": {"asn": 64500, "country": "DE", "asn_org": "M\xc3\xbcller"}}'); $quiet SELECT count(*) FROM cowrie_migrate_v16()});
like(sound('LATIN1', report('latin')), qr/64500 M\x{FC}ller 1 1/, 'a database in LATIN1');
is($node->safe_psql('latin', q{SELECT cowrie_migration_report('markdown') ~ U&'M\00FCller'}), 't', 'the same in Markdown');

$node->stop;
done_testing();
