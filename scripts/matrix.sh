#!/usr/bin/env bash
# Builds and tests the extension on every Debian release that carries a supported server, each in a
# minimal root of its own, with that release's compiler and libraries. As root, on Debian.
#
#   scripts/matrix.sh              all of them
#   PG=17 scripts/matrix.sh        one
#   PG_CONFIG=/path/bin/pg_config scripts/matrix.sh   a server that is installed here, of any supported version,
#                                  with the tools of this machine; says what its installation lacks
#   ASSERT=1 scripts/matrix.sh     make assert in place of make test: servers compiled with assertions
#   PARTS="unit regress" TAP=…     as for scripts/test.sh
#   DEBIAN_MIRROR=…                where debootstrap gets the packages; its own default otherwise
#   MATRIX_JOBS="nice -n 10"       what to put in front of the tests
#
# The roots are kept in build/matrix, compiled servers in them: a second run starts with the tests. A version
# whose tests have all passed at this commit is not tested again (remove build/matrix/passed to do so).
# Uncommitted changes are not tested. The last lines are one per version; the exit status tells whether all have passed.
set -euo pipefail
cd "$(dirname "$0")/.."

# A server that is named by its pg_config: what the tests need of it, looked for first.
test_installation() {
  local pgxs missing=() name file result
  pgxs=$(dirname "$("$PG_CONFIG" --pgxs)")/../..
  while IFS=: read -r name file; do
    [ -e "$file" ] || missing+=("$name ($(realpath -m "$file"))")
  done <<EOF
server headers:$("$PG_CONFIG" --includedir-server)/postgres.h
the server:$("$PG_CONFIG" --bindir)/postgres
psql:$("$PG_CONFIG" --bindir)/psql
PGXS:$("$PG_CONFIG" --pgxs)
pg_regress:$pgxs/src/test/regress/pg_regress
the isolation tester:$pgxs/src/test/isolation/pg_isolation_regress
the Perl modules of its tests:$pgxs/src/test/perl/PostgreSQL/Test/Cluster.pm
$(grep -v '^#' test/server_modules | sed "s:.*:&\:$("$PG_CONFIG" --pkglibdir)/&.so:")
EOF
  if [ ${#missing[@]} -gt 0 ]; then
    printf '%s lacks what the tests need:\n' "$("$PG_CONFIG" --version)"
    printf '  %s\n' "${missing[@]}"
    return 1
  fi
  result=0
  "scripts/$what.sh" | tee build/named-server.log || result=1
  echo "$("$PG_CONFIG" --version), $PG_CONFIG: $(tail -n 1 build/named-server.log)"
  return "$result"
}
what='test'
[ "${ASSERT:-}" != 1 ] || what=assert
if [ -n "${PG_CONFIG:-}" ]; then
  [ -x "$PG_CONFIG" ] || { echo "PG_CONFIG: no such program: $PG_CONFIG" >&2; exit 2; }
  mkdir -p build
  test_installation
  exit
fi

# The server versions and the releases that carry them.
declare -A release=([15]=bookworm [17]=trixie [18]=sid [19]=experimental)
versions_known=(15 17 18 19)
versions=("${versions_known[@]}")
if [ -n "${PG:-}" ]; then
  if [ -z "${release[$PG]:-}" ]; then
    echo "no Debian release carries PostgreSQL $PG; known: ${versions_known[*]}" >&2
    exit 2
  fi
  versions=("$PG")
fi
# shellcheck source=scripts/debian-root.sh
. scripts/debian-root.sh

matrix=$PWD/build/matrix
commit=$(git rev-parse HEAD)
mkdir -p "$matrix/passed"

test_version() {
  local pg=$1 suite=${release[$1]} root log passed result carried
  root=$matrix/$suite
  log=$matrix/$pg-$what.log
  passed=$matrix/passed/$pg-$what-$commit
  if [ -f "$passed" ]; then
    echo "PostgreSQL $pg, $suite: $(cat "$passed") (before, at this commit)"
    return 0
  fi
  make_root "$suite" "$root" || { echo "PostgreSQL $pg, $suite: no root"; return 1; }
  rm -rf "$root/srv/cowrie_migrate"
  mkdir -p "$root/srv/cowrie_migrate"
  git archive "$commit" | tar -x -C "$root/srv/cowrie_migrate"
  cp --remove-destination /etc/resolv.conf "$root/etc/resolv.conf"
  # The lists of a release that is still moving expire sooner than some mirrors follow.
  echo 'Acquire::Check-Valid-Until "false";' >"$root/etc/apt/apt.conf.d/99matrix"
  if ! in_checkout "$root" "$pg" ${PARTS:+PARTS="$PARTS"} ${TAP:+TAP="$TAP"} \
    COWRIE_SERVERS=/srv/servers -- make "$what" >"$log" 2>&1; then
    echo "PostgreSQL $pg, $suite: FAILED: $(grep -E '^[0-9]+ passed, [0-9]+ failed' "$log" | tail -n 1), see ${log#"$PWD/"}"
    return 1
  fi
  result=$(tail -n 1 "$log")
  if [ "$what" = test ]; then
    carried=$(carry_over "$pg" "$root" 2>>"$log") || {
      echo "PostgreSQL $pg, $suite: $result; FAILED: a migrated database does not carry over, see ${log#"$PWD/"}"
      return 1
    }
    result="$result; $carried"
  fi
  [ -n "${PARTS:-}${TAP:-}" ] || echo "$result" >"$passed"
  echo "PostgreSQL $pg, $suite: $result"
}

# Runs a command in the copy of the checkout: in_checkout ROOT PG [VARIABLE=VALUE ...] -- COMMAND ...
in_checkout() {
  local root=$1 pg=$2
  shift 2
  local variables=()
  while [ "$1" != -- ]; do
    variables+=("$1")
    shift
  done
  shift
  # make and git are what a checkout needs before it can install the rest
  # shellcheck disable=SC2016,SC2086 # expanded inside; the jobs are words
  in_root "$root" PG="$pg" "${variables[@]}" bash -c '
    set -e
    apt-get -qq update
    DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends make git >/dev/null
    cd /srv/cowrie_migrate
    [ -d .git ] || { git -c init.defaultBranch=main init -q . && git add -A; }
    exec "$@"
  ' bash ${MATRIX_JOBS:-} "$@"
}

# The oldest version dumps a migrated database, the others restore it.
carry_over() {
  local pg=$1 root=$2 dump=$matrix/migrated.dump
  if [ "$pg" = "${versions_known[0]}" ]; then
    in_checkout "$root" "$pg" -- scripts/carry-over.sh dump /srv/migrated.dump >&2
    mv "$root/srv/migrated.dump" "$dump"
    echo 'migrated database dumped'
  elif [ -f "$dump" ]; then
    cp "$dump" "$root/srv/"
    in_checkout "$root" "$pg" -- scripts/carry-over.sh restore /srv/migrated.dump >&2
    echo "database of ${versions_known[0]} restored, no findings"
  else
    echo "no dump of ${versions_known[0]} to restore yet"
  fi
}

status=0
lines=()
for version in "${versions[@]}"; do
  line=$(test_version "$version") || status=1
  lines+=("$line")
  echo "$line"
done
if [ ${#versions[@]} -gt 1 ]; then
  printf '\nSummary\n'
  printf '%s\n' "${lines[@]}"
fi
exit "$status"
