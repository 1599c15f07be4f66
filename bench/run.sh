#!/usr/bin/env bash
# Measures in a private server, with deterministic data, and prints ratios (medians of interleaved
# runs): reading facts against the floor of decompressing and against plain SQL operators, and the
# migration against rewriting the bare table. It judges nothing: it fails only when a statement does.
#
#   BENCH_SESSIONS=20000  how many sessions
#
# The same numbers go to bench/results/<date>.csv.
set -euo pipefail
cd "$(dirname "$0")/.."

sessions=${BENCH_SESSIONS:-20000}
runs=5
rewrites=3

scripts/install-packages.sh
# shellcheck source=scripts/private-server.sh
. scripts/private-server.sh

results=$PWD/bench/results
queries=$PWD/bench
server_settings=('autovacuum = off' 'checkpoint_timeout = 1h' 'max_parallel_workers_per_gather = 0')
times=''

sql() {
  "$bindir/psql" -X -q -At -v ON_ERROR_STOP=1 "$@"
}

# Runs a script and notes its milliseconds under a name: measure NAME DATABASE FILE
measure() {
  local printed
  printed=$(sql -d "$2" -c '\timing on' -f "$queries/$3")
  awk -v name="$1" '/^Time: / { sum += $2 } END { if (NR == 0) exit 1; print name, sum }' \
    <<<"$printed" >>"$times"
}
median() {
  awk -v name="$1" '$1 == name { print $2 }' "$times" | sort -g |
    awk '{ t[NR] = $1 } END { print NR % 2 ? t[(NR + 1) / 2] : (t[NR / 2] + t[NR / 2 + 1]) / 2 }'
}
divide() {
  awk -v a="$1" -v b="$2" -v digits="$3" 'BEGIN { printf "%.*f", digits, a / b }'
}

private_server_create
private_server_start
times=$work/times
: >"$times"

echo "Creating $sessions sessions ..."
"$bindir/createdb" bench
sql -d bench -v n="$sessions" -v pad=4000 -c 'CREATE EXTENSION cowrie_migrate' \
  -f test/fixtures/v15.sql -f test/fixtures/sessions.sql
sql -d bench -f bench/readable.sql -c 'VACUUM ANALYZE'
sql -d bench -f bench/sizes.sql
documents=$(sql -d bench -c 'SELECT count(*) FROM readable')

echo "Reading documents, $runs runs each ..."
for ((run = 0; run <= runs; ++run)); do
  for name in facts floor operators; do
    measure "$name" bench "$name.sql"
  done
  # the first round only fills the caches
  [ "$run" -gt 0 ] || : >"$times"
done

echo "Migrating copies of the database, $rewrites runs ..."
for ((run = 0; run < rewrites; ++run)); do
  for name in migration rewrite; do
    "$bindir/createdb" -T bench copy
    sql -d copy -c CHECKPOINT
    measure "$name" copy "$name.sql"
    "$bindir/dropdb" copy
  done
done

facts=$(median facts) floor=$(median floor) operators=$(median operators)
migration=$(median migration) rewrite=$(median rewrite)
{
  printf 'measure,milliseconds,against,milliseconds,ratio,target\n'
  printf 'facts,%s,text,%s,%s,1.5\n' "$facts" "$floor" "$(divide "$facts" "$floor" 2)"
  printf 'facts,%s,operators,%s,%s,0.125\n' "$facts" "$operators" "$(divide "$facts" "$operators" 3)"
  printf 'migration,%s,VACUUM FULL,%s,%s,\n' "$migration" "$rewrite" \
    "$(divide "$migration" "$rewrite" 2)"
} >"$work/results.csv"
mkdir -p "$results"
cp "$work/results.csv" "$results/$(date +%F).csv"

printf '\n'
awk -F, '{ printf "%-10s %12s  %-12s %12s %7s  %s\n", $1, $2, $3, $4, $5, $6 }' "$work/results.csv"
printf '\n%s documents per second (one process), %s, %s\n' \
  "$(divide "$((documents * 1000))" "$facts" 0)" "$("$PG_CONFIG" --version)" "$(uname -sm)"
