#!/usr/bin/env bash
# One pass of pg_regress with the whole server under valgrind's memcheck. Fails when an error arises in
# our code: when a function of ours is among the innermost frames. What arises in the server alone is
# counted and left in build/valgrind.
#
# First a deliberate error of a function made for that must be seen, or nothing else counts.
#
#   TESTS="migrate failure"   only these tests
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/install-packages.sh
# shellcheck source=scripts/private-server.sh
. scripts/private-server.sh
private_server_create
private_server_start
as_server_user "$bindir/pg_ctl" -D "$work/data" -w -s stop
pg_tests=$(dirname "$("$PG_CONFIG" --pgxs)")/../test
logs=$work/valgrind
as_server_user mkdir "$logs"
cp test/valgrind/server.supp "$work/server.supp"
chmod a+r "$work/server.supp"

as_server_user valgrind --quiet --trace-children=yes --num-callers=30 --leak-check=no \
  --error-markers=BEGIN,END --suppressions="$work/server.supp" --log-file="$logs/%p.log" \
  "$bindir/postgres" -D "$work/data" >"$work/server.log" 2>&1 &
server=$!
until "$bindir/pg_isready" -q; do
  if ! kill -0 "$server" 2>/dev/null; then
    cat "$work/server.log" "$logs"/*.log >&2
    echo 'the server does not start under valgrind' >&2
    exit 1
  fi
  sleep 1
done
psql=("$bindir/psql" -XAtq -v ON_ERROR_STOP=1)
"${psql[@]}" -c 'SELECT 1' >/dev/null

# Blocks of errors, one after another, of which one of the five innermost frames matches a pattern.
errors_of() {
  # without the directories of objects: the name of ours may stand there
  sed 's| (in [^)]*/| (in |' "$logs"/*.log | awk -v pattern="$1" '
    / BEGIN$/ { block = ""; frames = 0; hit = 0 }
    { block = block $0 "\n" }
    /(at|by) 0x/ { if (++frames <= 5 && $0 ~ pattern) hit = 1 }
    / END$/ { if (hit) printf "%s\n", block; block = "" }'
}
count_errors() { errors_of "$1" | grep -c ' BEGIN$' || true; }

cat >"$work/selfcheck.c" <<'C'
#include "postgres.h"
#include "fmgr.h"
#include <stdlib.h>
PG_MODULE_MAGIC;
PG_FUNCTION_INFO_V1(selfcheck);
Datum selfcheck(PG_FUNCTION_ARGS) {
  volatile char *four = malloc(4);
  four[4] = 'x';
  free((void *) four);
  PG_RETURN_VOID();
}
C
gcc -g -O0 -fPIC -shared -I"$("$PG_CONFIG" --includedir-server)" -o "$work/selfcheck.so" "$work/selfcheck.c"
chmod a+r "$work/selfcheck.so"
"${psql[@]}" -c "CREATE FUNCTION selfcheck() RETURNS void AS '$work/selfcheck.so' LANGUAGE c" \
  -c 'SELECT selfcheck()' -c 'DROP FUNCTION selfcheck' >/dev/null
sleep 1
if [ "$(count_errors selfcheck)" -eq 0 ]; then
  echo 'the deliberate error was not seen: valgrind does not work here' >&2
  exit 1
fi

mkdir -p "$work/run/regress"
cp -R test sql expected "$work/run/"
[ -z "$server_user" ] || chown -R "$server_user" "$work/run"
status=0
if [ -n "${TESTS:-}" ]; then
  # shellcheck disable=SC2206 # a list of words
  schedule=($TESTS)
else
  schedule=(--schedule="$work/run/test/regress_schedule")
fi
as_server_user "$pg_tests/regress/pg_regress" --inputdir="$work/run" --outputdir="$work/run/regress" \
  --bindir="$bindir" --dbname=regression "${schedule[@]}" || status=$?
as_server_user "$bindir/pg_ctl" -D "$work/data" -w -s -t 300 stop || true

mkdir -p build/valgrind
errors_of . >build/valgrind/all.log
errors_of cowrie >build/valgrind/ours.log
ours=$(count_errors cowrie)
echo "valgrind: $(count_errors .) errors in the server and its libraries, the deliberate one among them; $ours in our code"
if [ "$ours" -gt 0 ]; then
  head -n 60 build/valgrind/ours.log
  status=1
fi
[ "$status" -eq 0 ] || cp "$work/run/regress/regression.diffs" build/valgrind/ 2>/dev/null || true
exit "$status"
