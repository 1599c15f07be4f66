#!/usr/bin/env bash
# Run by deb.sh in a minimal Debian that has nothing but the packages in this directory and their source:
# a package works with what it depends on, and passes its autopkgtest.
set -euo pipefail
cd "$(dirname "$0")"
export DEBIAN_FRONTEND=noninteractive
apt_get() { apt-get -qq -o Dpkg::Use-Pty=0 "$@"; }

printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
chmod 755 /usr/sbin/policy-rc.d
apt_get update
apt_get install -y --no-install-recommends ./*.deb
for package in $(dpkg-query -W -f '${Package}\n' 'postgresql-*-cowrie-migrate'); do
  version=${package#postgresql-}
  version=${version%-cowrie-migrate}
  echo "deb-check: $package $(dpkg-query -W -f '${Version}' "$package") installed"
  found=$(cd source && pg_virtualenv -v "$version" psql -XAtq -v ON_ERROR_STOP=1 -v n=1000 \
    -c 'CREATE EXTENSION cowrie_migrate' -f test/fixtures/v15.sql -f test/fixtures/sessions.sql \
    -c 'SET client_min_messages = warning' -c 'SELECT count(*) > 0 FROM cowrie_migrate_v16()' \
    -c 'SELECT count(*) FROM cowrie_validate_schema()' -c 'DROP EXTENSION cowrie_migrate' \
    -c 'SELECT count(source_ip) > 0 FROM session_summaries')
  echo "$found"
  # beside what pg_virtualenv says
  [ "$(grep -xE '[tf]|[0-9]+' <<<"$found" | tr '\n' ' ')" = 't 0 t ' ]
  echo "deb-check: PostgreSQL $version: created, migrated a sample, no findings, dropped"
done

# The dependencies of the test, as its control file names them.
tests=$(sed -n 's/^Depends: @, //p' source/debian/tests/control | tr -d ,)
# shellcheck disable=SC2086 # words
apt_get install -y --no-install-recommends $tests
cd source
debian/tests/installcheck
echo 'deb-check: autopkgtest installcheck passed'
