# The report: valid HTML and Markdown in which nothing that anybody has written is markup; for those who may
# read the tables; and what it tells is what the ledger and the tables say.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use CowrieTest;
use Online;
use Report;
use Test::More;

my $node = start_node('report', 'autovacuum = off', 'restart_after_crash = on');
work_in($node);
report_on($node);

# What anybody may write ------------------------------------------------------------------------

my @evil = ('<script>alert(1)</script>', '</td></table><img src=x onerror=alert(1)>', "\" onclick='x' `b` ``c`` | d \\| e",
	'[a](javascript:x) ![b](http://evil.example/c.png) <https://evil.example> www.evil.example', '*a* _b_ ~~c~~ &amp; &#60;',
	"U&'\\202Egnp.exe \\2066 \\05E9\\05DC\\05D5\\05DD'", "E'line\\nline\\ttab\\x1b[31m\\x07'");
my @names = map { /^[EU]&?'/ ? $_ : quote_text($_) } @evil;
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
my $message = join ' ', @evil[ 0 .. 4 ];
migrate('evil', 'SET evil.message = ' . quote_text($message), quote_text($schema) . ", on_failure => 'keep'");
$words = sound('hostile message', report('evil', $argument));
like($words, qr/Failed; the phases before it remain.*\Q$message\E SQLSTATE EV1L0 .*recovery guide has a section for this message/, 'the message, its SQLSTATE and where to read on');
sound_markdown('hostile message', report('evil', "'markdown', $argument"));

# What it tells ---------------------------------------------------------------------------------

create_v15($node, 'origin', owner => 'app_owner', n => 400);
$node->safe_psql('origin', 'GRANT CREATE ON SCHEMA public TO app_owner');

copy('none');
is(refused('none', ''), q{psql:<stdin>:2: ERROR:  55000: no migration of schema "public" is on record
DETAIL:  Neither the ledger nor the status view has any run.
HINT:  Check the database with SELECT * FROM cowrie_preflight_v16(); and migrate with SELECT * FROM cowrie_migrate_v16();},
	'no run at all');
is(refused('none', "'pdf'"), q{psql:<stdin>:2: ERROR:  22023: format must be 'html' or 'markdown'
DETAIL:  It is "pdf".
HINT:  Run SELECT cowrie_migration_report(format => 'markdown');}, 'an unknown format');

copy('atomic');
# with a size before anybody reads it: reading may add to the visibility map
my (undef, $size) = split /\n/, $node->safe_psql('atomic', "$quiet SELECT count(*) FROM cowrie_migrate_v16();
SELECT pg_size_pretty(pg_total_relation_size('ip_inventory'))", extra_params => [ '-U', 'app_owner' ]);
my $ledger = $node->safe_psql('atomic', 'TABLE cowrie_migration_log');
my ($before) = report('atomic', undef, 'app_owner');
$words = sound('atomic', $before);
like($words, qr/Migration of schema public .*Completed; \d criter.* Run 1 in database atomic : atomic, called by role app_owner , began [-0-9]{10} [:0-9]{8} UTC, ended/, 'who and when');
like($words, qr/Call cowrie_migrate_v16\(dry_run => false, on_failure => 'abort', repair => false\) /,
	'the function and its arguments');
like($words, qr/ cowrie_migrate 1\.2 PostgreSQL 1\d(?:\.|rc|beta|devel)\S* /, 'versions');
like($words, qr/ cowrie_migrate\.lock_timeout 5s .* work_mem 4MB /, 'settings');
like($words, qr/Phase 1: session_columns .*Phase 5: foreign_keys .* zero_loss_gate count, documents and times are unchanged .{1,3} done 400 /, 'phases and steps');
my ($documents, $times) = split /\|/, $node->safe_psql('atomic', 'SELECT settled_documents, settled_times FROM cowrie_migration_log WHERE settled_count = 400');
like($words, qr/Sessions 400 400 .{1,3} equal Documents $documents $documents .{1,3} equal Event times $times $times .{1,3} equal/, 'the sums, before and now');
like($words, qr/Coverage Of 400 sessions, .* source_ip no column (\d+) \((9\d\.\d) %\) /, 'coverage, before and now');
my $first = $node->safe_psql('atomic', q{SELECT string_agg(quote_literal(session_id), ', ' ORDER BY session_id) FROM
(SELECT session_id FROM (SELECT DISTINCT session_id COLLATE "C" AS session_id FROM cowrie_rejected_values() WHERE reason = 'asn_invalid') AS r ORDER BY 1 LIMIT 3) AS e});
my $count = $node->safe_psql('atomic', q{SELECT rejects ->> 'asn_invalid' FROM cowrie_migration_log WHERE rejects IS NOT NULL});
like($words, qr/ asn_invalid $count \Q$first\E /, 'rejected values, with the first three sessions');
like($words, qr/Findings None: the schema equals the declaration of version 16\. /, 'no findings');
like($words, qr/ ip_inventory - $size \+$size /, 'sizes, before and after');
cmp_ok($node->safe_psql('atomic', q{SELECT (evidence #>> '{before,sizes,session_summaries,heap}')::int8 / 1024 FROM cowrie_migration_log WHERE evidence IS NOT NULL}),
	'>', 100, 'that of the sessions was recorded before');
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
DETAIL:  Its latest runs are 1.
HINT:  Run SELECT cowrie_migration_report();}, 'an unknown run');

# Later: a session is changed, an index dropped; then it is all taken back.
$node->safe_psql('atomic', q{UPDATE session_summaries SET first_event_at = first_event_at + interval '1 hour' WHERE session_id = (SELECT min(session_id) FROM session_summaries)});
like(sound('changed since', report('atomic')), qr/Completed; sessions have changed since .* Event times $times \w+ .{1,3} different /, 'what has changed since');
$node->safe_psql('atomic', 'DROP INDEX idx_ip_geo_country');
like(sound('drifted', report('atomic')), qr/Completed; 2 differences from the declaration now .* idx_ip_geo_country .{1,3} error missing .* CREATE INDEX /, 'findings and their remedy')
  or diag($node->safe_psql('atomic', 'SELECT * FROM cowrie_validate_schema()'));
$node->safe_psql('atomic', "$quiet SELECT count(*) FROM cowrie_cleanup_v16(force => true)");
my $cleanup = $node->safe_psql('atomic', q{SELECT max(run_id) FROM cowrie_migration_log WHERE mode = 'cleanup'});
like(sound('cleanup', report('atomic')), qr/Cleanup of schema public .*Completed Run $cleanup .* set_version schema version 15 /, 'a cleanup');
like(sound('taken back', report('atomic', 'run_id => 1')), qr/Completed, then undone by run $cleanup .*The schema is at version 15/, 'a run that was taken back');

# Who may ---------------------------------------------------------------------------------------

$node->safe_psql('postgres', 'CREATE ROLE reader LOGIN; CREATE ROLE member LOGIN; GRANT app_owner TO member; CREATE ROLE nobody_special LOGIN');
copy('rights', 'atomic');
like(refused('rights', '', 'nobody_special'), qr/ERROR:  42501: role "nobody_special" cannot read .*\nDETAIL:  .*\nHINT:  Run GRANT SELECT/, 'who may not read the tables gets none');
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
