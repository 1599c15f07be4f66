#!/usr/bin/env bash
# The extension, all of it, compiled with AddressSanitizer, in a server compiled with it (see
# server-from-source.sh): pg_regress, the isolation tests, the hostile ones, those that handle documents and
# those of the copy of the heap. The last line counts tests and reports; any report is a failure, and is left
# in build/test-logs/reports.
#
# First deliberate errors of functions made for that must be seen, or nothing else counts: behind an
# allocation of malloc, behind one of palloc, in an allocation that has ended, in a page that is not pinned.
#
#   PG=15, COWRIE_SERVERS=…      as for server-from-source.sh
#   TAP="t/09*.pl" PARTS=tap     as for test.sh
set -euo pipefail
cd "$(dirname "$0")/.."

PG_CONFIG=$(scripts/server-from-source.sh asan | tail -n 1)
export PG_CONFIG

# In a process of its own: this server goes before the tests begin.
(
  # shellcheck source=scripts/private-server.sh
  . scripts/private-server.sh
  private_server_create
  private_server_start
  cp test/asan/deliberate.c "$work/"
  # shellcheck disable=SC2046 # flags are words
  gcc $("$PG_CONFIG" --cflags) -O0 -fPIC -shared -I"$("$PG_CONFIG" --includedir-server)" \
    -o "$work/deliberate.so" "$work/deliberate.c"
  chmod a+r "$work/deliberate.so"
  seen=0
  for error in malloc palloc freed unpinned; do
    until "$bindir/psql" -XAtq -c 'SELECT 1' >/dev/null 2>&1; do sleep 0.2; done
    "$bindir/psql" -XAtq -c "CREATE FUNCTION deliberate_$error() RETURNS void AS '$work/deliberate.so' LANGUAGE c" \
      -c "SELECT deliberate_$error()" >"$work/deliberate.log" 2>&1 || true
    seen=$((seen + 1))
    if [ "$(private_server_reports "$work/seen")" -ne "$seen" ] ||
      ! grep -q "ERROR: AddressSanitizer: .*" "$work/seen"/* || ! grep -q "in deliberate_$error " "$work/seen"/*; then
      cat "$work/deliberate.log" "$work/server.log" >&2
      echo "the deliberate error ($error) was not seen: the sanitizer does not work here" >&2
      exit 1
    fi
  done
  echo "deliberate errors seen: $seen of $seen"
)

export PARTS=${PARTS:-regress isolation tap}
export TAP=${TAP:-t/02*.pl t/038*.pl t/045*.pl t/054*.pl t/09*.pl}
scripts/test.sh
