#!/usr/bin/env bash
# The release, by the conventions of PGXN: build/NAME-VERSION.zip of what is committed, with the name and
# the version of META.json. Prints its path.
#
#   scripts/dist.sh check   also builds it where there is no git, installs it into a directory of its own,
#                           compares what is installed, and migrates a sample with it
set -euo pipefail
cd "$(dirname "$0")/.."

meta() {
  perl -MJSON::PP -e 'local $/; print decode_json(<STDIN>)->{shift @ARGV}' "$1" <META.json
}
release=$(meta name)-$(meta version)
mkdir -p build
archive=$PWD/build/$release.zip
git archive --format=zip --prefix="$release/" --output="$archive" HEAD
echo "$archive"
[ "${1:-}" = check ] || exit 0

scripts/install-packages.sh unzip
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
unzip -q "$archive" -d "$work"
cd "$work/$release"
PG_CONFIG=${PG_CONFIG:-/usr/lib/postgresql/${PG:-15}/bin/pg_config}
export PG_CONFIG

make -j"$(nproc)" PG_CONFIG="$PG_CONFIG" >"$work/build.log" 2>&1 || { tail -n 40 "$work/build.log" >&2; exit 1; }
make install PG_CONFIG="$PG_CONFIG" DESTDIR="$work/installed" >"$work/install.log" 2>&1 ||
  { cat "$work/install.log" >&2; exit 1; }
share=$("$PG_CONFIG" --sharedir)/extension
wanted=$({
  echo "$("$PG_CONFIG" --pkglibdir)/cowrie_migrate.so"
  echo "$share/cowrie_migrate.control"
  for script in sql/cowrie_migrate--*.sql; do echo "$share/$(basename "$script")"; done
} | sort)
found=$(cd "$work/installed" && find . -type f -printf '/%P\n' | sort)
if [ "$wanted" != "$found" ]; then
  echo 'installed is something else than it should be:' >&2
  diff <(echo "$wanted") <(echo "$found") >&2
  exit 1
fi
echo "installed: $(echo "$found" | wc -l) files, as they should be"
scripts/carry-over.sh dump "$work/dump"
echo "$release builds, installs and migrates without git"
