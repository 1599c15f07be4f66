#!/usr/bin/env bash
# All tests, in a private server that is removed afterwards: GoogleTest, the same under ASan and
# UBSan, fuzzing, lint, pg_regress, isolation tests, TAP tests. The last line is `N passed, N failed`, and
# `, N skipped` where something was.
#
#   COWRIE_FULL=1     full counts, ten minutes of fuzzing, a report in test/reports
#   PARTS="unit tap"  only these parts: unit sanitized fuzz lint regress isolation tap
#   TAP="t/001*.pl"   only these TAP tests
#   TESTS="migrate"   only these tests of pg_regress
#   SETTINGS="a = 1"  a line for the configuration of the server of pg_regress and the isolation tests
#   JOBS=4            how many things are done at a time; two per core by default, as tests wait a lot
#
# The parts, and of the TAP tests each file, are jobs of a queue that several workers take from, so that all cores
# are busy until the end. Logs stay in build/test-logs.
set -euo pipefail
cd "$(dirname "$0")/.."

# shellcheck source=scripts/private-server.sh
. scripts/private-server.sh
scripts/install-packages.sh

parts=" ${PARTS:-unit sanitized fuzz lint regress isolation tap} "
fuzz_seconds=20
[ "${COWRIE_FULL:-}" != 1 ] || fuzz_seconds=300
workers=${JOBS:-$((2 * $(nproc)))}

started=$SECONDS
logs=$PWD/build/test-logs
rm -rf "$logs"
mkdir -p "$logs"

# Adds up the numbers that a sed script prints from a log: count_of FILE SED-SCRIPT
count_of() {
  sed -nE "$2" "$1" | awk '{ n += $1 } END { print n + 0 }'
}

wanted() { case $parts in *" $1 "*) ;; *) return 1 ;; esac; }

# Each tool says in its own words how many tests passed: passed_in, failed_in, skipped_in NAME LOG
passed_in() {
  case $1 in
    unit | sanitized) count_of "$2" 's/^\[  PASSED  \] ([0-9]+) tests?.*/\1/p' ;;
    fuzz) count_of "$2" 's/^fuzzed without a finding$/1/p' ;;
    # a file that passes, fails or is skipped in one of the checks
    lint) count_of "$2" 's/^[a-z-]+ +([0-9]+) passed, [0-9]+ failed$/\1/p' ;;
    # "test x ... ok" up to PostgreSQL 15, "ok 1 - x" from 16
    regress | isolation) count_of "$2" 's/^((test)? +[^ ]+ +\.\.\. ok|ok [0-9]).*/1/p' ;;
    # -v shows every test, subtests indented
    tap) count_of "$2" '/^ok [0-9].* # skip/d; s/^ok [0-9].*/1/p' ;;
  esac
}
failed_in() {
  case $1 in
    unit | sanitized) count_of "$2" 's/^\[  FAILED  \] ([0-9]+) tests?, .*/\1/p' ;;
    fuzz) echo 0 ;;
    lint) count_of "$2" 's/^[a-z-]+ +[0-9]+ passed, ([0-9]+) failed$/\1/p' ;;
    regress | isolation) count_of "$2" 's/^((test)? +[^ ]+ +\.\.\. FAILED|not ok [0-9]).*/1/p' ;;
    tap) count_of "$2" '/# TODO/d; s/^not ok [0-9].*/1/p' ;;
  esac
}
skipped_in() {
  case $1 in
    lint) count_of "$2" 's/^[a-z-]+ +skipped: .*/1/p' ;;
    tap) count_of "$2" 's/^ok [0-9].* # skip.*/1/p' ;;
    *) echo 0 ;;
  esac
}

# Runs one part: part NAME COMMAND..., output to a log.
part() {
  local name=$1 log=$logs/$1.log begun=$SECONDS status=0
  shift
  "$@" >"$log" 2>&1 || status=$?
  conclude "$name" "$status" $((SECONDS - begun))
}
# Counts what a part has logged, and says it in one line: conclude NAME STATUS SECONDS. A part that fails
# without naming a test counts as one failure.
conclude() {
  local name=$1 log=$logs/$1.log passed failed skipped
  passed=$(passed_in "$name" "$log")
  failed=$(failed_in "$name" "$log")
  skipped=$(skipped_in "$name" "$log")
  if [ "$failed" -eq 0 ] && { [ "$2" -ne 0 ] || [ "$passed" -eq 0 ]; }; then
    failed=1
  fi
  echo "$name $passed $failed $3 $skipped" >"$logs/$name.result"
  # workers speak one at a time
  {
    flock 9
    printf '%-10s %5d passed, %d failed (%d s)\n' "$name" "$passed" "$failed" "$3"
    # what was skipped and why, and the figures that the tests have measured
    sed -nE 's/^ok [0-9].* # skip/skipped:/p; s/^([a-z-]+) +skipped: /skipped: \1: /p; s/^# figure: /  /p' "$log"
    [ "$failed" -eq 0 ] || show_failure "$name" "$log"
  } 9>"$work/speaking"
}

show_failure() {
  local diffs=$work/run/$1/regression.diffs
  echo "---- $1: the end of build/test-logs/$1.log"
  case $1 in
    tap)
      grep -E '^ *(not ok|#)|Dubious|error' "$2" | grep -vE '^(ok |# (figure: |initializing ))' | tail -n 60
      find "$work/run/tap" -name 'regress_log_*' -exec grep -h -A 6 '^error running' {} +
      ;;
    *) tail -n 60 "$2" ;;
  esac || true
  if [ -s "$diffs" ]; then
    cp "$diffs" "$logs/$1.diffs"
    cp -R "$work/run/$1/results" "$logs/$1.results"
    head -n 200 "$diffs"
  fi
  echo '----'
}

# The pure core. What runs once is compiled for the extension and by clang with sanitizers: the unit tests
# are linked with either, the fuzz target with the latter. cpp_build NAME TARGET CMAKE-OPTION...
cpp_build() {
  local name=$1 target=$2
  shift 2
  (
    flock 8
    cmake -S . -B "build/$name" "$@" && cmake --build "build/$name" -j "$compile_jobs" --target "$target"
  ) 8>"build/$name.lock"
}
cpp_program() {
  find "build/$1" -type f -name "$2" -perm -u+x -print -quit
}
with_sanitizers=(-DSANITIZE=ON -DCMAKE_CXX_COMPILER=clang++)
unit() {
  cpp_build objects unit_tests -DCORE_OBJECTS=ON && "$(cpp_program objects unit_tests)"
}
# (Where memory was allocated, the sanitizer remembers for one frame: for the whole stack takes a fifth longer.)
sanitized() {
  cpp_build sanitized unit_tests "${with_sanitizers[@]}" &&
    ASAN_OPTIONS=malloc_context_size=1 "$(cpp_program sanitized unit_tests)"
}
fuzz() {
  mkdir -p "$work/corpus" "$work/crashes" &&
    cpp_build sanitized enrichment_fuzz "${with_sanitizers[@]}" &&
    "$(cpp_program sanitized enrichment_fuzz)" -max_total_time="$fuzz_seconds" -print_final_stats=1 \
      -timeout=10 -artifact_prefix="$logs/" "$work/corpus" test/fuzz/corpus &&
    echo 'fuzzed without a finding'
}
lint() {
  LINT_JOBS=$compile_jobs scripts/lint.sh
}

# The tests and what they read, where the server's user can reach it.
copy_tests() {
  mkdir -p "$work/run"
  # with the times of the files: make shall find the objects up to date
  cp -a test sql expected src docs scripts bench contrib debian ./*.md LICENSE META.json Makefile ./*.control "$work/run/"
  mkdir -p "$work/run"/{build,regress,isolation,tap,clusters}
  cp -a build/compiled-for build/src build/src.* "$work/run/build/"
  # those of the tests, never through a link to an installed one
  cp --remove-destination test/fixtures/extensions/* "$tree$("$PG_CONFIG" --sharedir)/extension/"
  [ -z "$server_user" ] || chown -R "$server_user" "$work/run"
}

regress() {
  local file name
  for file in sql/*.sql; do
    name=$(basename "$file" .sql)
    case $name in cowrie_migrate--*) continue ;; esac
    if ! grep -qE "^test:(.* )? *$name( |\$)" test/regress_schedule; then
      echo "$file is not in test/regress_schedule"
      return 1
    fi
  done
  # shellcheck disable=SC2086 # names, or one option
  as_server_user "$pg_tests/regress/pg_regress" --inputdir="$work/run" \
    --outputdir="$work/run/regress" --bindir="$bindir" --dbname=regression \
    ${TESTS:---schedule=$work/run/test/regress_schedule}
}
isolation() {
  local specs
  mapfile -t specs < <(basename -a -s .spec test/specs/*.spec)
  as_server_user "$pg_tests/isolation/pg_isolation_regress" --inputdir="$work/run/test" \
    --outputdir="$work/run/isolation" --bindir="$bindir" --dbname=isolation_regression \
    "${specs[@]}"
}
# File systems of 64 MB for the tests of full disks, one for each of them: they fill it, and run side by side. Only
# root may mount them; without them these tests are skipped, and say so.
mount_small_disks() {
  local name disk
  [ -n "$server_user" ] || return 0
  for name in resources wal rewrite capacity; do
    disk=$work/small-$name
    mkdir "$disk"
    mount -t tmpfs -o "size=64m,mode=700,uid=$(id -u "$server_user")" tmpfs "$disk" || return 0
  done
  export COWRIE_SMALL_DISKS=$work
}
tap_files() {
  # The longest first, as known or by what they have to say, so that all workers end at about the same time.
  local found
  # shellcheck disable=SC2086 # patterns, to be expanded
  found=$(cd test && ls -S ${TAP:-t/*.pl})
  grep -Fx "$found" test/tap_schedule || true
  grep -Fxvf test/tap_schedule <<<"$found" || true
}
tap_log() { echo "$logs/tap-files/$(basename "$1" .pl).log"; }
# One file of the TAP tests: its own directory, and ports that no other of them takes.
tap_file() {
  local status=0
  as_server_user env -u PGHOST -u PGUSER -u PGDATABASE -C "$work/run/test" PGPORT=65432 \
    PATH="$work/run/test/bin:$bindir:$PATH" COWRIE_CLUSTERS="$work/run/clusters" TESTDIR="$work/run/tap" TESTDATADIR="$work/run/tap/data" \
    TESTLOGDIR="$work/run/tap/log" PG_TEST_PORT_DIR="$work/run/tap/ports" \
    PG_REGRESS="$pg_tests/regress/pg_regress" TMPDIR="$work" \
    prove --norc --verbose --timer -I "$pg_tests/perl" -I t "$1" >"$(tap_log "$1")" 2>&1 || status=$?
  echo "$status" >"$(tap_log "$1").status"
}
# All of them together, in the order of their names.
conclude_tap() {
  local file status=0
  [ -d "$logs/tap-files" ] || return 0
  while read -r file; do
    cat "$(tap_log "$file")" || status=1
    [ "$(cat "$(tap_log "$file").status")" = 0 ] || { echo "# error: $file did not pass" && status=1; }
  done < <(tap_files | sort) >"$logs/tap.log" 2>&1
  conclude tap "$status" $(($(date +%s) - $(cat "$logs/tap-files/begun")))
}

report() {
  local file
  file=test/reports/$(date +%F).md
  mkdir -p test/reports
  {
    printf '# Test report, %s\n\n' "$(date -u '+%F %H:%M UTC')"
    printf 'make test-full: %s, %s, %d cores, %s, %d s.\n\n' "$("$PG_CONFIG" --version)" \
      "$(uname -sm)" "$(nproc)" "$(sed -n 's/^PRETTY_NAME="\(.*\)"/\1/p' /etc/os-release)" \
      $((SECONDS - started))
    printf '| part | passed | failed | seconds |\n|---|---|---|---|\n'
    cat "$logs"/*.result | awk '{ printf "| %s | %d | %d | %d |\n", $1, $2, $3, $4 }'
    printf '\n'
    sed -nE 's/^# figure: /- /p' "$logs/tap.log" 2>/dev/null || true
    printf '\n'
    sed -nE 's/^stat::number_of_executed_units: *([0-9]+)/Fuzzing executed \1 documents.\n/p' \
      "$logs/fuzz.log" 2>/dev/null || true
    printf '%d passed, %d failed\n' "$1" "$2"
  } >"$file"
  echo "report: $file"
}

# The queue: lines of what is to be done, taken from the top under a lock, the long ones first. (Fuzzing waits
# for what the sanitized tests compile, so it is not beside them.)
fill_queue() {
  local name
  for name in sanitized regress isolation lint unit fuzz; do
    if wanted "$name"; then echo "part $name $name"; fi
  done
  if wanted tap; then
    mkdir "$logs/tap-files"
    date +%s >"$logs/tap-files/begun"
    tap_files | sed 's/^/tap_file /'
  fi
}
next_job() {
  {
    flock 7
    head -n 1 "$work/queue"
    sed -i 1d "$work/queue"
  } 7>"$work/queue.lock"
}
# Takes jobs until there are none, or until the run that it belongs to is gone.
worker() {
  local job
  while [ "$(identity_of_process $$)" = "$(cat "$work/owner" 2>/dev/null)" ] && job=$(next_job) && [ -n "$job" ]; do
    # shellcheck disable=SC2086 # words
    $job || true
  done
}

worker_pids=()
cleanup() {
  local status=$? pid
  trap - EXIT
  for pid in "${worker_pids[@]}"; do
    kill -- "-$pid" 2>/dev/null || true
  done
  if [ -n "$work" ] && [ "$status" -ne 0 ]; then
    cp "$work/server.log" "$logs/" 2>/dev/null || true
    mkdir -p "$logs/tap"
    find "$work/run/tap" -path '*/log/*' -type f -exec cp -t "$logs/tap" {} + 2>/dev/null || true
  fi
  private_server_remove
  exit "$status"
}

compile_jobs=$(((workers + 3) / 4))
server_in_memory=yes
private_server_create
trap cleanup EXIT
pg_tests=$(dirname "$("$PG_CONFIG" --pgxs)")/../test
server_settings=("${SETTINGS:-}")
private_server_start
copy_tests
if wanted tap; then mount_small_disks; fi
fill_queue >"$work/queue"

# Each in a process group of its own, so that it can be ended with what it runs.
set -m
for ((number = 0; number < workers; number++)); do
  worker </dev/null &
  worker_pids+=("$!")
  identity_of_process "$!" >>"$work/groups"
done
set +m
for pid in "${worker_pids[@]}"; do
  wait "$pid" || true
done
worker_pids=()
conclude_tap

passed=0 failed=0 skipped=0
for name in $parts; do
  if [ -f "$logs/$name.result" ]; then
    read -r _ part_passed part_failed _ part_skipped <"$logs/$name.result"
    passed=$((passed + part_passed))
    failed=$((failed + part_failed))
    skipped=$((skipped + part_skipped))
  else
    echo "$name did not run"
    failed=$((failed + 1))
  fi
done
[ "${COWRIE_FULL:-}" != 1 ] || report "$passed" "$failed"
total="$passed passed, $failed failed"
[ "$skipped" -eq 0 ] || total+=", $skipped skipped"
reports=0
if private_server_makes_reports; then
  reports=$(private_server_reports "$logs/reports")
  [ "$reports" -eq 0 ] || head -n 40 "$logs"/reports/*
  total+=", $reports reports"
fi
echo "$total"
[ "$failed" -eq 0 ] && [ "$reports" -eq 0 ]
