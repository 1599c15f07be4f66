# The report about runs that did not simply come to their end: kept, aborted, repaired, online, killed, open.
use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use CowrieTest;
use Online;
use Report;
use Session;
use Test::More;

my $node = start_node('reported', 'autovacuum = off', 'restart_after_crash = on');
work_in($node);
report_on($node);

create_v15($node, 'origin', owner => 'app_owner', n => 400);
$node->safe_psql('origin', 'GRANT CREATE ON SCHEMA public TO app_owner');

# Kept, then resumed.
copy('kept');
migrate('kept', q{SET cowrie_migrate.fail_at = '3.load_ip_inventory'}, q{on_failure => 'keep'});
like(sound('kept', report('kept')), qr/Failed; the phases before it remain .*injected failure at 3\.load_ip_inventory SQLSTATE \w{5} , .*step load_ip_inventory.* SELECT \* FROM cowrie_migrate_v16\(\); .* create_ip_inventory .{1,3} rolled_back /, 'kept');
migrate('kept');
like(sound('resumed', report('kept')), qr/Completed.* the migration took 2 calls.*Calls of this migration|Completed.* the migration took 2 calls/, 'resumed: two calls');
is($node->safe_psql('kept', q{SELECT count(*) FROM cowrie_migration_log WHERE evidence #> '{before,filled,sessions}' IS NOT NULL}), '0', 'sessions are counted by no run that begins at version 15 or resumes');

# Rolled back: it has left no record but the status.
copy('aborted');
migrate('aborted', q{SET cowrie_migrate.fail_at = '4.create_ip_asn_history'});
like(sound('aborted', report('aborted')), qr/Failed, everything was rolled back .*no record in the ledger SQLSTATE \w{5} , in phase 4, step create_ip_asn_history .*server log .*the recovery guide .* SELECT \* FROM cowrie_migrate_v16\(\);/, 'aborted');
migrate('aborted');
like(sound('done after that', report('aborted')), qr/Completed.* Run \d+ in database aborted/, 'and then done');

# Repaired: some sessions had values before.
copy('repaired');
$node->safe_psql('repaired', "$quiet SELECT count(*) FROM cowrie_migrate_v16(); UPDATE session_summaries SET snapshot_country = NULL;
UPDATE schema_state SET value = '16.3' WHERE key = 'schema_subphase'; DROP INDEX idx_asn_type; SELECT count(*) FROM cowrie_migrate_v16(repair => true)");
like(sound('repaired', report('repaired')), qr/Call cowrie_migrate_v16\(.* repair => true\) .* snapshot_asn [1-9]\d* \(\d+\.\d %\) [1-9]\d* \(\d+\.\d %\) snapshot_country 0 \(0\.0 %\) /, 'repaired: coverage before');

# Online: done; stopped by a failure and resumed; killed.
copy('online');
my ($status, $err) = call('online', fail_at('3.load_ip_inventory'));
like(sound('online, failed', report('online')), qr/Failed; what it had committed remains .* CALL cowrie_migrate_v16_online\(\); .*batch_size => 100, .*pause => '00:00:00'/, 'online: failed');
call('online');
like(sound('online', report('online')), qr/Completed.* : online, .* the migration took 2 calls\. .*Run \d+ Phase 1.* Run \d+ Phase/, 'online: done in two calls');
sound_markdown('online', report('online', "'markdown'"));

copy('killed');
my $run = start_and_rest('killed');
like(sound('running', report('killed')), qr/ Running .*The next|Running Run \d+ in database killed : online/, 'online: while it runs');
kill_backend($node, $node->safe_psql('killed', 'SELECT pid FROM cowrie_migration_status'));
like(sound('killed', report('killed')), qr/Its process ended without an error message; what it had committed remains/, 'killed');

# A run that has not committed: its tables are not waited for.
copy('open');
my $session = Session->new($node, 'open');
$session->run("$quiet BEGIN; SELECT count(*) FROM cowrie_migrate_v16()");
like(sound('not committed', report('open')), qr/Running .*its tables cannot be read before it ends.*This could not be measured: a run is in progress/, 'while a run is open');
$session->run('ROLLBACK');
like(sound('rolled back', report('open')), qr/Rolled back .*its transaction was rolled back/, 'rolled back by its caller');
$session->close;

$node->stop;
done_testing();
