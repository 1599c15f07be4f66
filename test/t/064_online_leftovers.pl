# What an interrupted online migration leaves, and every way on from there: the atomic migration, cleanup,
# a dropped and reinstalled extension, a lost trigger, a crash that empties the work tables. What stands in
# the way of an index: no free process, an invalid one of an earlier attempt. What repair does online.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use CowrieTest;
use Online;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_node('leftovers', 'restart_after_crash = on');
work_in($node);
create_v15($node, 'origin', n => 1_000);
load_reference($node, 'origin');
my $clean = schema_dump($node, 'origin');

sub complete
{
	my ($database, $what) = @_;
	is(compare($node, $database), $no_difference, "$what: as the reference");
	is($node->safe_psql($database, 'SELECT count(*) FROM cowrie_validate_schema()'), '0', "$what: no findings");
	is($node->safe_psql($database, q{SELECT count(*) FROM pg_trigger WHERE tgrelid = 'session_summaries'::regclass AND tgname LIKE '%cowrie%'}), '0',
		"$what: no trigger is left");
	is($node->safe_psql($database, q{SELECT count(*) FROM pg_class WHERE relname LIKE 'cowrie_migrate\_%'
		AND relkind = 'r'}), '0', "$what: no work table is left");
	is(scalar($node->psql($database, q{DROP EXTENSION cowrie_migrate})), 0, "$what: the extension can be dropped");
	return;
}

# Ways on from an interruption ---------------------------------------------------------------------

foreach my $step ('1.fill_columns', '2.load_asn_inventory', '4.idx_session_snapshot_asn', '5.set_version')
{
	my $name = $step =~ s/\W/_/gr;
	copy($name);
	my ($status, $failure) = call($name, fail_at($step));
	isnt($status, 0, "$step: interrupted");

	copy("atomic_$name", $name);
	my ($out, $err) = ('', '');
	$node->psql("atomic_$name", 'SELECT count(*) FROM cowrie_migrate_v16()', stderr => \$err);
	like($err, qr/incomplete v16 schema detected.*HINT:.*CALL cowrie_migrate_v16_online\(\);/s,
		"$step: the atomic migration names the way on");
	is($node->psql("atomic_$name", 'SELECT count(*) FROM cowrie_migrate_v16(repair => true)', stderr => \$err),
		0, "$step: repair finishes it at once") or diag($err);
	complete("atomic_$name", "$step, repaired");

	copy("cleaned_$name", $name);
	$node->safe_psql("cleaned_$name", 'SELECT count(*) FROM cowrie_cleanup_v16(force => true)');
	is(schema_dump($node, "cleaned_$name"), $clean, "$step: cleanup takes all of it away");
}

# A trigger that was not there all the time.
copy('untriggered', '2_load_asn_inventory');
$node->safe_psql('untriggered', q{
DROP TRIGGER zz_cowrie_migrate_online ON session_summaries;
INSERT INTO session_summaries (session_id, enrichment) SELECT '0first', enrichment FROM session_summaries
WHERE enrichment::text LIKE '%dshield%' ORDER BY session_id LIMIT 1;
UPDATE session_summaries SET last_event_at = last_event_at + interval '1 day' WHERE event_count % 7 = 0;
});
load_reference($node, 'untriggered');
my ($status, $notices) = call('untriggered');
is($status, 0, 'without its trigger: goes on') or diag($notices);
like($notices, qr/from the first session: the trigger that records changes did not exist all the time/,
	'without its trigger: from the beginning');
complete('untriggered', 'without its trigger');

# The extension dropped with CASCADE, against all advice.
copy('reinstalled', '2_load_asn_inventory');
$node->safe_psql('reinstalled', 'DROP EXTENSION cowrie_migrate CASCADE; CREATE EXTENSION cowrie_migrate');
($status, $notices) = call('reinstalled');
like($notices, qr/incomplete v16 schema detected/, 'reinstalled: nobody knows of it any more');
($status, $notices) = call('reinstalled', undef, 'repair => true');
is($status, 0, 'reinstalled: repaired online') or diag($notices);
complete('reinstalled', 'reinstalled');

# A crash empties the unlogged work tables.
copy('crashed', '2_load_asn_inventory');
$node->stop('immediate');
$node->start;
($status, $notices) = call('crashed');
is($status, 0, 'crashed: goes on') or diag($notices);
like($notices, qr/stage_documents done/, 'crashed: the sessions are staged once more');
complete('crashed', 'crashed');

# A relation with the name of a work table.
copy('taken');
$node->safe_psql('taken', 'CREATE TABLE cowrie_migrate_changes (mine integer)');
($status, $notices) = call('taken');
like($notices, qr/relation "public"\."cowrie_migrate_changes" already exists/, 'a table of that name is not touched');
$node->safe_psql('taken', 'DROP TABLE cowrie_migrate_changes');
is((call('taken'))[0], 0, 'without it the call succeeds');

# Without an index on raw_events.session_id.
copy('unindexed');
$node->safe_psql('unindexed', 'DROP INDEX ix_raw_events_session_id');
is((call('unindexed', fail_at('4.idx_session_source_ip')))[1] =~ /injected/ ? 1 : 0, 1, 'unindexed events: interrupted');
($status, $notices) = call('unindexed');
is($status, 0, 'unindexed events: goes on') or diag($notices);
complete('unindexed', 'unindexed events');

# Indexes --------------------------------------------------------------------------------------------

copy('invalid');
call('invalid', fail_at('4.idx_session_source_ip'));
$node->safe_psql('invalid', q{
CREATE INDEX idx_session_snapshot_asn ON session_summaries (snapshot_asn);
UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'idx_session_snapshot_asn'::regclass});
($status, $notices) = call('invalid');
is($status, 0, 'an invalid index of an earlier attempt is built anew') or diag($notices);
complete('invalid', 'invalid index');

$node->append_conf('postgresql.conf', 'max_worker_processes = 0');
$node->restart;
copy('workerless');
($status, $notices) = call('workerless');
isnt($status, 0, 'no process is free');
like($notices, qr/no background worker slot is free.*HINT:  Run it manually: (CREATE INDEX CONCURRENTLY [^;]*;)/s,
	'with the command to run by hand');
$node->safe_psql('workerless', $1) if $notices =~ /HINT:  Run it manually: (CREATE INDEX CONCURRENTLY [^;]*;)/;
# The others in the same way; their commands are what validate says.
$node->safe_psql('workerless', $_) for split /\n/, $node->safe_psql('workerless', q{
SELECT replace(remedy, 'CREATE INDEX', 'CREATE INDEX CONCURRENTLY') FROM cowrie_validate_schema()
WHERE object_type = 'index' AND remedy LIKE '%session_summaries%'});
($status, $notices) = call('workerless');
is($status, 0, 'by hand it goes on to the end') or diag($notices);
complete('workerless', 'by hand');
$node->append_conf('postgresql.conf', 'max_worker_processes = 8');
$node->restart;

# Repair, online -----------------------------------------------------------------------------------

foreach my $state ('orm_empty', 'version16_empty_snapshots', 'not_valid_foreign_keys', 'no_generated_columns')
{
	create_v15($node, "online_$state", n => 400);
	run_script($node, "online_$state", "states/$state.sql", schema => 'public');
	my $before = data_hash($node, "online_$state");
	copy("atomic_$state", "online_$state");
	($status, $notices) = call("online_$state");
	like($notices, qr/incomplete v16 schema detected/, "$state: refused without repair");
	($status, $notices) = call("online_$state", undef, 'repair => true');
	is($status, 0, "$state: repaired online") or diag($notices);
	is($node->safe_psql("online_$state", 'SELECT count(*) FROM cowrie_validate_schema()'), '0', "$state: no findings");
	is(data_hash($node, "online_$state"), $before, "$state: data unchanged");
	$node->safe_psql("atomic_$state", 'SELECT count(*) FROM cowrie_migrate_v16(repair => true)');
	is(migrated_hash($node, "online_$state"), migrated_hash($node, "atomic_$state"), "$state: the same rows as at once");
	is(schema_dump($node, "online_$state"), schema_dump($node, "atomic_$state"), "$state: the same schema");
}

$node->stop;
done_testing();
