#!/usr/bin/env bash
# All tests, in a private server that is removed afterwards: GoogleTest, the same under ASan and
# UBSan, fuzzing, lint, pg_regress, isolation tests, TAP tests. The last line is `N passed, N failed`, and
# `, N skipped` where something was.
#
#   COWRIE_FULL=1     full counts, ten minutes of fuzzing, a report in test/reports
#   PARTS="unit tap"  only these parts: unit sanitized fuzz lint regress isolation tap
#   TAP="t/001*.pl"   only these TAP tests
#
# Logs stay in build/test-logs.
set -euo pipefail
cd "$(dirname "$0")/.."

parts=" ${PARTS:-unit sanitized fuzz lint regress isolation tap} "
fuzz_seconds=60
[ "${COWRIE_FULL:-}" != 1 ] || fuzz_seconds=600

scripts/install-packages.sh
# shellcheck source=scripts/private-server.sh
. scripts/private-server.sh

started=$SECONDS
logs=$PWD/build/test-logs
rm -rf "$logs"
mkdir -p "$logs"

# Adds up the numbers that a sed script prints from a log: count_of FILE SED-SCRIPT
count_of() {
  sed -nE "$2" "$1" | awk '{ n += $1 } END { print n + 0 }'
}

# Runs one part: part NAME COMMAND..., output to a log. Each tool says in its own words how many
# tests passed; a part that fails without naming a test counts as one failure.
part() {
  local name=$1 log=$logs/$1.log begun=$SECONDS status=0 passed=0 failed=0 skipped=0
  shift
  case $parts in *" $name "*) ;; *) return 0 ;; esac
  "$@" >"$log" 2>&1 || status=$?
  case $name in
    unit | sanitized)
      passed=$(count_of "$log" 's/^\[  PASSED  \] ([0-9]+) tests?.*/\1/p')
      failed=$(count_of "$log" 's/^\[  FAILED  \] ([0-9]+) tests?, .*/\1/p')
      ;;
    fuzz)
      [ "$status" -ne 0 ] || passed=1
      ;;
    lint) # a file that passes, fails or is skipped in one of the checks
      passed=$(count_of "$log" 's/^[a-z-]+ +([0-9]+) passed, [0-9]+ failed$/\1/p')
      failed=$(count_of "$log" 's|^[a-z-]+ +[0-9]+ passed, ([0-9]+) failed$|\1|p')
      skipped=$(count_of "$log" 's/^[a-z-]+ +skipped: .*/1/p')
      ;;
    regress | isolation) # "test x ... ok" up to PostgreSQL 15, "ok 1 - x" from 16
      passed=$(grep -cE '^(test)? +[^ ]+ +\.\.\. ok|^ok [0-9]' "$log" || true)
      failed=$(grep -cE '^(test)? +[^ ]+ +\.\.\. FAILED|^not ok [0-9]' "$log" || true)
      ;;
    tap) # -v shows every test, subtests indented
      skipped=$(grep -cE '^ok [0-9].* # skip' "$log" || true)
      passed=$(($(grep -cE '^ok [0-9]' "$log" || true) - skipped))
      failed=$(grep -E '^not ok [0-9]' "$log" | grep -cv '# TODO' || true)
      ;;
  esac
  if [ "$failed" -eq 0 ] && { [ "$status" -ne 0 ] || [ "$passed" -eq 0 ]; }; then
    failed=1
  fi
  echo "$name $passed $failed $((SECONDS - begun)) $skipped" >"$logs/$name.result"
  printf '%-10s %5d passed, %d failed (%d s)\n' "$name" "$passed" "$failed" $((SECONDS - begun))
  # what was skipped and why, and the figures that the tests have measured
  sed -nE 's/^ok [0-9].* # skip/skipped:/p; s/^([a-z-]+) +skipped: /skipped: \1: /p; s/^# figure: /  /p' "$log"
  [ "$failed" -eq 0 ] || show_failure "$name" "$log"
}

show_failure() {
  local diffs=$work/run/$1/regression.diffs
  echo "---- $1: the end of build/test-logs/$1.log"
  case $1 in
    tap)
      grep -E '^ *(not ok|#)|Result|Dubious|error' "$2" | tail -n 60
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

# The pure core, one build directory per flavour: cpp_build NAME TARGET CMAKE-OPTION...
cpp_build() {
  local name=$1 target=$2
  shift 2
  cmake -S . -B "build/$name" "$@" && cmake --build "build/$name" --target "$target"
}
cpp_program() {
  find "build/$1" -type f -name "$2" -perm -u+x -print -quit
}
unit() {
  cpp_build unit unit_tests -DCMAKE_BUILD_TYPE=RelWithDebInfo && "$(cpp_program unit unit_tests)"
}
sanitized() {
  cpp_build sanitized unit_tests -DSANITIZE=ON && "$(cpp_program sanitized unit_tests)"
}
fuzz() {
  mkdir -p "$work/corpus" "$work/crashes" &&
    cpp_build fuzz enrichment_fuzz -DFUZZ=ON -DCMAKE_CXX_COMPILER=clang++ &&
    "$(cpp_program fuzz enrichment_fuzz)" -max_total_time="$fuzz_seconds" -print_final_stats=1 \
      -timeout=10 -artifact_prefix="$logs/" "$work/corpus" test/fuzz/corpus
}
core_parts() {
  part unit unit
  part sanitized sanitized
  part fuzz fuzz
  part lint env LINT_JOBS=1 scripts/lint.sh
}

# The tests and what they read, where the server's user can reach it.
copy_tests() {
  mkdir -p "$work/run"
  cp -R test sql expected src docs scripts bench debian ./*.md LICENSE META.json Makefile ./*.control "$work/run/"
  mkdir -p "$work/run/regress" "$work/run/isolation" "$work/run/tap"
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
  as_server_user "$pg_tests/regress/pg_regress" --inputdir="$work/run" \
    --outputdir="$work/run/regress" --bindir="$bindir" --dbname=regression \
    --schedule="$work/run/test/regress_schedule"
}
isolation() {
  local specs
  mapfile -t specs < <(basename -a -s .spec test/specs/*.spec)
  as_server_user "$pg_tests/isolation/pg_isolation_regress" --inputdir="$work/run/test" \
    --outputdir="$work/run/isolation" --bindir="$bindir" --dbname=isolation_regression \
    "${specs[@]}"
}
# Two file systems of 64 MB for the tests of full disks. Only root may mount them; without them these
# tests are skipped, and say so.
small_disks=()
mount_small_disks() {
  local name disk
  [ -n "$server_user" ] || return 0
  for name in data wal; do
    disk=$work/small-$name
    mkdir "$disk"
    mount -t tmpfs -o "size=64m,mode=700,uid=$(id -u "$server_user")" tmpfs "$disk" || return 0
    small_disks+=("$disk")
  done
  export COWRIE_SMALL_DISKS=$work
}
unmount_small_disks() {
  local disk
  for disk in "${small_disks[@]}"; do
    umount -l "$disk" || true
  done
}
tap() {
  local tests
  # shellcheck disable=SC2086 # patterns, to be expanded
  mapfile -t tests < <(cd test && printf '%s\n' ${TAP:-t/*.pl})
  as_server_user env -u PGHOST -u PGUSER -u PGDATABASE -C "$work/run/test" PGPORT=65432 \
    PATH="$bindir:$PATH" TESTDIR="$work/run/tap" TESTDATADIR="$work/run/tap/data" \
    TESTLOGDIR="$work/run/tap/log" PG_REGRESS="$pg_tests/regress/pg_regress" TMPDIR="$work" \
    prove --verbose --timer -I "$pg_tests/perl" -I t "${tests[@]}"
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

core_pid=''
cleanup() {
  local status=$?
  trap - EXIT
  [ -z "$core_pid" ] || kill -- "-$core_pid" 2>/dev/null || true
  if [ -n "$work" ] && [ "$status" -ne 0 ]; then
    cp "$work/server.log" "$logs/" 2>/dev/null || true
    mkdir -p "$logs/tap"
    find "$work/run/tap" -path '*/log/*' -type f -exec cp -t "$logs/tap" {} + 2>/dev/null || true
  fi
  unmount_small_disks
  private_server_remove
  exit "$status"
}

private_server_create
trap cleanup EXIT
pg_tests=$(dirname "$("$PG_CONFIG" --pgxs)")/../test

# The core's parts on one core, the database's on the other; a process group of their own, so that
# they can be ended together.
set -m
core_parts </dev/null &
core_pid=$!
set +m

private_server_start
copy_tests
part regress regress
[ -z "$(find test/specs -name '*.spec' -print -quit 2>/dev/null)" ] || part isolation isolation
mount_small_disks
part tap tap

wait "$core_pid" || true
core_pid=''

passed=0 failed=0 skipped=0
for name in $parts; do
  if [ -f "$logs/$name.result" ]; then
    read -r _ part_passed part_failed _ part_skipped <"$logs/$name.result"
    passed=$((passed + part_passed))
    failed=$((failed + part_failed))
    skipped=$((skipped + part_skipped))
  elif [ "$name" != isolation ]; then
    echo "$name did not run"
    failed=$((failed + 1))
  fi
done
[ "${COWRIE_FULL:-}" != 1 ] || report "$passed" "$failed"
if [ "$skipped" -eq 0 ]; then
  echo "$passed passed, $failed failed"
else
  echo "$passed passed, $failed failed, $skipped skipped"
fi
[ "$failed" -eq 0 ]
