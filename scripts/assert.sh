#!/usr/bin/env bash
# The tests that need a server, in one that checks itself (see server-from-source.sh): its assertions hold, and
# what is still used after a cache has let it go is found, as the caches are emptied whenever they can be. Before
# that some tests of pg_regress with debug_discard_caches, with which every statement looks up everything again.
# The last line counts tests, and assertions that have failed, which are left in build/test-logs/reports.
#
#   PG=15, COWRIE_SERVERS=…         as for server-from-source.sh
#   PARTS=regress TAP="t/09*.pl"    as for test.sh
#   TESTS="migrate cleanup"         what runs with debug_discard_caches; nothing for none
set -euo pipefail
cd "$(dirname "$0")/.."

PG_CONFIG=$(scripts/server-from-source.sh assert | tail -n 1)
export PG_CONFIG

sample=${TESTS-objects documents}
status=0
if [ -n "$sample" ]; then
  echo "with debug_discard_caches = 1: $sample"
  PARTS=regress TESTS=$sample SETTINGS='debug_discard_caches = 1' scripts/test.sh || status=1
fi
unset TESTS
PARTS=${PARTS:-regress isolation tap} scripts/test.sh || status=1
[ "$status" -eq 0 ] || echo 'FAILED, see above'
exit "$status"
