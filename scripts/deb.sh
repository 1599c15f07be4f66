#!/usr/bin/env bash
# Debian packages of the release, one per server version that is installed: build/deb/*.deb.
#
#   scripts/deb.sh check   also installs one in a minimal Debian of its own, creates the extension there
#                          before anything else is installed, then runs the package's autopkgtest; as root
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/install-packages.sh unzip debhelper fakeroot postgresql-server-dev-all
deb=$PWD/build/deb
archive=$(scripts/dist.sh | tail -n 1)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unzip -q "$archive" -d "$work"
source=$work/$(basename "$archive" .zip)
mkdir -p "$deb"
rm -f "$deb"/*.deb "$deb"/*.buildinfo "$deb"/*.changes

# The control file names the servers of the release for which it was written last.
(cd "$source" && PG_UPDATECONTROL=yes DEB_BUILD_OPTIONS="parallel=$(nproc)" \
  dpkg-buildpackage -us -uc -b) >"$deb/build.log" 2>&1 || { tail -n 40 "$deb/build.log" >&2; exit 1; }
cp "$work"/*.deb "$deb/"
packages=()
for package in "$deb"/*.deb; do
  case $package in *-dbgsym_*) continue ;; esac
  packages+=("$package")
  echo "$package"
done
[ "${1:-}" = check ] || exit 0

# shellcheck source=scripts/debian-root.sh
. scripts/debian-root.sh
suite=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
root=$deb/$suite
make_root "$suite" "$root"
rm -rf "$root/srv/deb"
mkdir -p "$root/srv/deb"
cp "${packages[@]}" "$root/srv/deb/"
unzip -q "$archive" -d "$root/srv/deb/"
mv "$root/srv/deb/$(basename "$source")" "$root/srv/deb/source"
cp --remove-destination /etc/resolv.conf "$root/etc/resolv.conf"
# A package demands at least the server that it was built with: that of the security updates, perhaps.
[ "$suite" = sid ] || echo "deb http://deb.debian.org/debian-security $suite-security main" \
  >"$root/etc/apt/sources.list.d/security.list"
cp scripts/deb-check.sh "$root/srv/deb/"
log=$deb/check.log
in_fresh_root "$root" bash /srv/deb/deb-check.sh >"$log" 2>&1 || { tail -n 60 "$log" >&2; exit 1; }
grep '^deb-check: ' "$log"
