#!/usr/bin/env bash
# A server compiled from the source package of PostgreSQL, for what Debian's own cannot do. The last line
# is its pg_config. Used by asan.sh and assert.sh; nothing outside its directory is written.
#
#   scripts/server-from-source.sh asan     with AddressSanitizer: pages and allocations have fences (test/asan)
#   scripts/server-from-source.sh assert   with assertions
#   scripts/server-from-source.sh caches   with assertions, and caches that release what nobody uses at once
#
#   PG=15               the major version, one that the release has a source package of
#   COWRIE_SERVERS=DIR  where servers are kept, build/ by default; the user of the server must reach it
#
# One that is there is not built again until this script, what it takes of test or the installed package
# changes. pg_cron is the installed one.
set -euo pipefail
cd "$(dirname "$0")/.."

# The server's makefiles make their headers at the top level only; called by make, they would not think they are.
unset MAKELEVEL MAKEFLAGS MFLAGS GNUMAKEFLAGS

kind=${1:-}
pg=${PG:-15}
servers=${COWRIE_SERVERS:-$PWD/build}
server=$servers/server-$pg-$kind
log=$server.log
installed=/usr/lib/postgresql/$pg/bin/pg_config
checkout=$PWD
common=(--without-icu --without-readline --with-lz4 --enable-tap-tests)
mapfile -t contrib < <(grep -v '^#' test/server_modules)

# The sanitizer's options are linked into the programs, as tests clear the environment. libstdc++ is loaded
# before the sanitizer looks for what throws exceptions: the extension, which brings it, comes later.
case $kind in
  asan)
    flags='-O1 -g -fno-omit-frame-pointer -fsanitize=address'
    settings=(CFLAGS="$flags" CXXFLAGS="$flags" CPPFLAGS="-DUSE_VALGRIND -DCLOBBER_FREED_MEMORY -I$server/asan"
      LDFLAGS_EX="-Wl,--push-state,--no-as-needed -lstdc++ -Wl,--pop-state $server/asan/options.o")
    ;;
  assert)
    settings=(--enable-cassert)
    ;;
  caches)
    settings=(--enable-cassert CPPFLAGS='-DRELCACHE_FORCE_RELEASE -DCATCACHE_FORCE_RELEASE')
    ;;
  *)
    echo "usage: $0 asan|assert|caches" >&2
    exit 2
    ;;
esac

PG=$pg scripts/install-packages.sh bison flex pkg-config liblz4-dev zlib1g-dev >&2
mkdir -p "$servers"
if [ "$(id -u)" -eq 0 ] && ! runuser -u postgres -- test -x "$servers"; then
  echo "the user postgres cannot reach $servers: COWRIE_SERVERS=/some/other/directory is where it can" >&2
  exit 1
fi
wanted=$(dpkg-query -W -f '${Version}' "postgresql-$pg"; cat "$checkout/scripts/server-from-source.sh" test/server_modules test/asan/options.c test/asan/valgrind/* | sha256sum)
if [ "$(cat "$server/built-for" 2>/dev/null)" = "$wanted" ]; then
  echo "$server/bin/pg_config"
  exit 0
fi

work=$(mktemp -d "$servers/source-$pg.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# The archives that apt is configured with, asked for sources, in lists of their own.
mkdir -p "$work/apt/parts" "$work/apt/lists/partial" "$work/apt/cache/archives/partial"
for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources; do
  [ ! -f "$file" ] ||
    sed -E 's/^deb(-src)?[[:space:]]/deb-src /; s/^Types:.*/Types: deb-src/' "$file" >"$work/apt/parts/${file##*/}"
done
apt_options=(-qq -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$work/apt/parts"
  -o Dir::State::lists="$work/apt/lists" -o Dir::Cache="$work/apt/cache" -o APT::Sandbox::User="$(id -un)")
# The newest that can be had: some mirrors have the lists of an archive, and not all its files.
get_source() {
  local version
  apt-get "${apt_options[@]}" update
  while read -r version; do
    if apt-get "${apt_options[@]}" --download-only source "postgresql-$pg=$version"; then
      # without Debian's patches, which install into the directories of the packages, whatever the prefix
      dpkg-source --skip-patches -x "postgresql-${pg}_$version.dsc" "$work/source"
      return
    fi
  done < <(apt-cache "${apt_options[@]}" showsrc --only-source "postgresql-$pg" | sed -n 's/^Version: //p' | sort -rV)
  echo "no source package postgresql-$pg in what apt is configured with"
  return 1
}

build() {
  local module elsewhere
  rm -rf "$server"
  mkdir -p "$server"
  cd "$work"
  get_source
  cp -R "$checkout/test/asan" "$server/"
  gcc -c -o "$server/asan/options.o" "$server/asan/options.c"
  cd "$work/source"
  ./configure --quiet --prefix="$server" "${common[@]}" "${settings[@]}"
  make -s -C "$work/source" -j"$(nproc)"
  # Into a directory of its own first: nothing is written where another server may be.
  make -s -C "$work/source" DESTDIR="$work/installed" install
  for module in "${contrib[@]}"; do
    make -s -C "$work/source/contrib/$module" DESTDIR="$work/installed" install
  done
  elsewhere=$(find "$work/installed" ! -type d ! -path "$work/installed$server/*")
  if [ -n "$elsewhere" ]; then
    printf 'not below its prefix:\n%s\n' "$elsewhere"
    return 1
  fi
  cp -a "$work/installed$server/." "$server/"
  # pg_cron as it is installed: it works in any server of the same major version
  cp "$("$installed" --pkglibdir)/pg_cron.so" "$("$server/bin/pg_config" --pkglibdir)/"
  cp "$("$installed" --sharedir)"/extension/pg_cron* "$("$server/bin/pg_config" --sharedir)/extension/"
}
echo "building PostgreSQL $pg from source ($kind), once: $log" >&2
# Waited for: as part of a condition it would go on after an error.
build >"$log" 2>&1 </dev/null &
status=0
wait "$!" || status=$?
if [ "$status" -ne 0 ]; then
  tail -n 40 "$log" >&2
  echo "PostgreSQL $pg does not build from source: $log" >&2
  exit 1
fi
echo "$wanted" >"$server/built-for"
echo "$server/bin/pg_config"
