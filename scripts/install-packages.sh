#!/usr/bin/env bash
# Installs what building and testing need on Debian and Ubuntu, and only what is missing: when
# everything is there it returns at once, without network and without root.
#
#   PG=15                                  the major version of the PostgreSQL packages
#   scripts/install-packages.sh unzip      further packages, for what not everybody needs
#
# Never creates, starts or stops a database cluster.
set -euo pipefail

pg=${PG:-15}
packages=(
  build-essential cmake
  libsimdjson-dev libxxhash-dev libgtest-dev
  clang llvm libclang-rt-dev clang-format clang-tidy
  "postgresql-$pg" "postgresql-server-dev-$pg" "postgresql-$pg-cron"
  perl libipc-run-perl
  shellcheck codespell ruby-mdl valgrind
  tidy cmark-gfm
  "$@"
)
# Of these some releases have none: another package brings the files, nobody needs them there, or, pg_cron, it
# is not there yet, and its tests are skipped.
optional=" libclang-rt-dev clang-tidy ruby-mdl tidy cmark-gfm postgresql-$pg-cron "

installed() {
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

if ! command -v dpkg-query >/dev/null; then
  echo 'not a Debian or Ubuntu system: see CONTRIBUTING.md for what must be installed' >&2
  exit 0 # whatever is missing shows when it is used
fi

missing=()
for package in "${packages[@]}"; do
  installed "$package" || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

known() {
  # no pipe: grep -q would end it early, and pipefail call that a failure
  local policy
  policy=$(apt-cache policy "$1" 2>/dev/null)
  [[ $policy =~ Candidate:\ [^\(] ]]
}
# What is wanted of the missing: not what is optional and the release does not have. Nothing: done.
leave_out_unknown() {
  local package
  wanted=()
  for package in "${missing[@]}"; do
    case $optional in
      *" $package "*) known "$package" || continue ;;
    esac
    wanted+=("$package")
  done
  [ ${#wanted[@]} -gt 0 ] || exit 0
}

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo >/dev/null; then
    leave_out_unknown
    echo "missing packages: ${wanted[*]}" >&2
    echo "install them as root: apt-get install ${wanted[*]}" >&2
    exit 1
  fi
  as_root=(sudo)
fi
apt_get() {
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 "$@"
}

echo "installing: ${missing[*]}"
for package in "${missing[@]}"; do
  if ! known "$package"; then
    apt_get update
    break
  fi
done
leave_out_unknown

# The server package creates and starts a cluster "main" when it is first installed. Forbid that
# for as long as this script runs.
if ! installed "postgresql-$pg"; then
  drop_ins=/etc/postgresql-common/createcluster.d
  drop_in=$drop_ins/zz-cowrie-migrate.conf
  created_drop_ins=no
  remove_drop_in() {
    "${as_root[@]}" rm -f "$drop_in"
    [ "$created_drop_ins" = no ] || "${as_root[@]}" rmdir --ignore-fail-on-non-empty "$drop_ins"
  }
  installed postgresql-common || apt_get install -y --no-install-recommends postgresql-common >/dev/null ||
    { apt_get update && apt_get install -y --no-install-recommends postgresql-common >/dev/null; }
  trap remove_drop_in EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  if [ ! -d "$drop_ins" ]; then
    "${as_root[@]}" mkdir -p "$drop_ins"
    created_drop_ins=yes
  fi
  echo 'create_main_cluster = false' | "${as_root[@]}" tee "$drop_in" >/dev/null
fi

# Package lists that are old name files that the mirror has no more: then update, and once again.
apt_get install -y --no-install-recommends "${wanted[@]}" >/dev/null ||
  { apt_get update && apt_get install -y --no-install-recommends "${wanted[@]}" >/dev/null; }
