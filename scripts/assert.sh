#!/usr/bin/env bash
# The tests that need a server, in servers that check themselves (see server-from-source.sh). Three runs:
#
#   discard   some tests of pg_regress, with debug_discard_caches: every statement looks up everything again
#   caches    pg_regress and the isolation tests, where the caches release what nobody uses at once: what is used
#             after that is found. Everything is several times slower, therefore no TAP tests
#   assert    all of them, TAP too, where the assertions of the server hold
#
# The last line counts tests, and assertions that have failed, in all runs. What a run leaves in build/test-logs
# is kept in build/assert-logs, the assertions in its folder "reports".
#
#   PG=15, COWRIE_SERVERS=…        as for server-from-source.sh
#   PARTS=tap TAP="t/09*.pl"       as for test.sh: a run in which nothing is left is left out
#   TESTS="migrate cleanup"        what the first run has; nothing for none
set -euo pipefail
cd "$(dirname "$0")/.."

parts=${PARTS:-regress isolation tap}
sample=${TESTS-objects documents}
unset TESTS
logs=build/assert-logs
rm -rf "$logs"
mkdir -p "$logs"

# run NAME SERVER [VARIABLE=VALUE]… -- PART…: those of the parts that are wanted
run() {
  local name=$1 server=$2 settings=() part chosen='' begun=$SECONDS
  shift 2
  while [ "$1" != -- ]; do settings+=("$1") && shift; done
  shift
  for part in "$@"; do
    case " $parts " in *" $part "*) chosen+=" $part" ;; esac
  done
  [ -n "$chosen" ] || return 0
  PG_CONFIG=$(scripts/server-from-source.sh "$server" | tail -n 1)
  echo "$name:$chosen"
  # it counts what has failed in its last line
  env PG_CONFIG="$PG_CONFIG" PARTS="$chosen" "${settings[@]}" scripts/test.sh 2>&1 | tee "$logs/$name.log" || true
  [ ! -d build/test-logs ] || mv build/test-logs "$logs/$name"
  echo "$name: $(tail -n 1 "$logs/$name.log") ($((SECONDS - begun)) s)"
}
[ -z "$sample" ] || run discard caches TESTS="$sample" SETTINGS='debug_discard_caches = 1' -- regress
run caches caches -- regress isolation
run assert assert -- regress isolation tap

# A run that does not end with its counts has failed.
for log in "$logs"/*.log; do
  tail -n 1 "$log" | grep -E '^[0-9]+ passed, [0-9]+ failed.*, [0-9]+ reports$' || echo '0 passed, 1 failed, 0 reports'
done | awk -F ', ' '
  { for (i = 1; i <= NF; i++) { split($i, field, " "); counted[field[2]] += field[1] } }
  END {
    printf "%d passed, %d failed", counted["passed"], counted["failed"]
    if (counted["skipped"]) printf ", %d skipped", counted["skipped"]
    printf ", %d reports\n", counted["reports"]
    exit counted["failed"] || counted["reports"] || !counted["passed"]
  }'
