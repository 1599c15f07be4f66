#!/usr/bin/env bash
# The extension compiled with AddressSanitizer and UndefinedBehaviorSanitizer, in a server that has their
# libraries loaded before everything else: pg_regress and the hostile tests (TAP="t/09*.pl"). The last line
# is `asan: N tests, R reports`; a report is left in build/asan/reports.
#
# First a deliberate error of a function made for that must be seen, or nothing else counts. The server
# itself is not instrumented: of its memory, only what comes from malloc by itself has a fence.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/install-packages.sh
# shellcheck source=scripts/private-server.sh
. scripts/private-server.sh

# Its own copy of the sources, so that the objects here and those of `make` do not replace one another.
copy=$PWD/build/asan
mkdir -p "$copy/src" "$copy/sql"
find "$copy/src" "$copy/sql" -type f ! -name '*.o' ! -name '*.d' -delete # what has been removed here
find Makefile ./*.control sql src -type f ! -name '*.o' ! -name '*.d' -exec cp -p --parents -t "$copy" {} +
repository=$copy
sanitize='-fsanitize=address,undefined\ -fno-sanitize=vptr\ -fno-omit-frame-pointer'
export MAKEFLAGS="CXX=g++\\ $sanitize CC=gcc\\ $sanitize"
private_server_create
unset MAKEFLAGS

reports=$work/reports
as_server_user mkdir "$reports"
# A leak is no error of a process that exits; a backend's stack is its own, and the server measures it.
mv "$bindir/postgres" "$bindir/postgres.real"
cat >"$bindir/postgres" <<WRAPPER
#!/bin/sh
export LD_PRELOAD='$(gcc -print-file-name=libasan.so) $(gcc -print-file-name=libubsan.so) $(gcc -print-file-name=libstdc++.so.6)'
export ASAN_OPTIONS=detect_leaks=0:detect_stack_use_after_return=0:abort_on_error=1:log_path=$reports/asan
export UBSAN_OPTIONS=print_stacktrace=1:log_path=$reports/ubsan
exec '$bindir/postgres.real' "\$@"
WRAPPER
chmod a+x "$bindir/postgres"
private_server_start

count_reports() { cat "$reports"/* 2>/dev/null | grep -cE 'ERROR: AddressSanitizer|runtime error:' || true; }

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
gcc -g -O0 -fPIC -shared -fsanitize=address -I"$("$PG_CONFIG" --includedir-server)" \
  -o "$work/selfcheck.so" "$work/selfcheck.c"
chmod a+r "$work/selfcheck.so"
"$bindir/psql" -XAtq -c "CREATE FUNCTION selfcheck() RETURNS void AS '$work/selfcheck.so' LANGUAGE c" \
  -c 'SELECT selfcheck()' >"$work/selfcheck.log" 2>&1 || true
if [ "$(count_reports)" -ne 1 ]; then
  cat "$work/selfcheck.log" "$work/server.log" >&2
  echo 'the deliberate error was not seen: the sanitizer does not work here' >&2
  exit 1
fi
until "$bindir/pg_isready" -q; do sleep 0.2; done
"$bindir/psql" -XAtq -c 'DROP FUNCTION selfcheck'
rm "$reports"/*

# The tests and what they read, where the server's user can reach it.
pg_tests=$(dirname "$("$PG_CONFIG" --pgxs)")/../test
mkdir -p "$work/run/regress" "$work/run/tap"
cp -R test sql expected src scripts Makefile ./*.control "$work/run/"
[ -z "$server_user" ] || chown -R "$server_user" "$work/run"
mkdir -p build/asan/logs
status=0
as_server_user "$pg_tests/regress/pg_regress" --inputdir="$work/run" --outputdir="$work/run/regress" \
  --bindir="$bindir" --dbname=regression --schedule="$work/run/test/regress_schedule" \
  >build/asan/logs/regress.log 2>&1 || status=1
as_server_user "$bindir/pg_ctl" -D "$work/data" -w -s -t 300 stop
mapfile -t tests < <(cd test && eval "printf '%s\n' ${TAP:-t/09*.pl}")
as_server_user env -u PGHOST -u PGUSER -u PGDATABASE -C "$work/run/test" PGPORT=65433 \
  PATH="$bindir:$PATH" TESTDIR="$work/run/tap" TESTDATADIR="$work/run/tap/data" \
  TESTLOGDIR="$work/run/tap/log" PG_REGRESS="$pg_tests/regress/pg_regress" TMPDIR="$work" \
  prove --verbose --timer -I "$pg_tests/perl" -I t "${tests[@]}" >build/asan/logs/tap.log 2>&1 || status=1

passed=$(cat build/asan/logs/*.log | grep -cE '^(test)? +[^ ]+ +\.\.\. ok|^ok [0-9]' || true)
found=$(count_reports)
rm -rf build/asan/reports
[ "$found" -eq 0 ] || cp -R "$reports" build/asan/reports
[ ! -s "$work/run/regress/regression.diffs" ] || cp "$work/run/regress/regression.diffs" build/asan/logs/
grep -hE '^not ok|^# figure|FAILED' build/asan/logs/*.log || true
[ "$status" -eq 0 ] || echo 'some tests failed: see build/asan/logs'
echo "asan: $passed tests, $found reports"
[ "$found" -eq 0 ] && [ "$status" -eq 0 ]
