#!/usr/bin/env bash
# Compiles the pure core for 64-bit ARM with Debian's cross compiler. Nothing is linked or run: it
# shows that the core assumes nothing of x86.
set -euo pipefail
cd "$(dirname "$0")/.."

compiler=aarch64-linux-gnu-g++
command -v "$compiler" >/dev/null ||
  { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends g++-aarch64-linux-gnu >/dev/null; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# The two libraries as headers only: the rest of the host's headers is not the target's.
for header in simdjson.h xxhash.h xxh3.h; do
  [ ! -f "/usr/include/$header" ] || cp "/usr/include/$header" "$work/"
done
count=0
for source in src/core/*/*.cpp; do
  "$compiler" -std=c++17 -O2 -Wall -Wextra -Werror -isystem "$work" -Isrc -c "$source" -o "$work/object.o"
  count=$((count + 1))
done
echo "$("$compiler" -dumpmachine), $("$compiler" -dumpversion): $count files of the core compiled"
