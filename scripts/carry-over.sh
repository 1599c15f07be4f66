#!/usr/bin/env bash
# A migrated database from one server version to another, by dump and restore.
#
#   scripts/carry-over.sh dump FILE      migrates a sample in a private server and dumps it
#   scripts/carry-over.sh restore FILE   restores it in a private server and looks at it
#
# PG chooses the server, as for scripts/test.sh. After a restore the schema must be complete, the
# ledger must be there, and a migration must have nothing to do.
set -euo pipefail
cd "$(dirname "$0")/.."

action=${1:-}
file=${2:-}
if [ -z "$file" ] || { [ "$action" != dump ] && [ "$action" != restore ]; }; then
  sed -n '2,9s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
file=$(realpath "$file")

scripts/install-packages.sh
# shellcheck source=scripts/private-server.sh
. scripts/private-server.sh
private_server_create
private_server_start

sql() {
  "$bindir/psql" -X -q -At -v ON_ERROR_STOP=1 -d carried "$@"
}
expect() { # expect WORDS WANTED FOUND
  if [ "$2" != "$3" ]; then
    echo "$1: expected $2, found $3" >&2
    exit 1
  fi
  echo "$1: $3"
}

"$bindir/createdb" carried
if [ "$action" = dump ]; then
  sql -v n=2000 -c 'CREATE EXTENSION cowrie_migrate' -f test/fixtures/v15.sql -f test/fixtures/sessions.sql >/dev/null
  sql -c 'SET client_min_messages = warning' -c 'SELECT count(*) FROM cowrie_migrate_v16()' >/dev/null
  "$bindir/pg_dump" -Fc --no-owner -d carried >"$file"
else
  # The plain form: a dump of any older version is restored as text.
  "$bindir/pg_restore" --no-owner --exit-on-error -d carried "$file"
fi
version=$("$PG_CONFIG" --version)
expect "$version, findings" 0 "$(sql -c 'SELECT count(*) FROM cowrie_validate_schema()')"
expect "$version, version" 16 "$(sql -c "SELECT value FROM schema_state WHERE key = 'schema_version'")"
expect "$version, runs in the ledger" 1 "$(sql -c "SELECT count(*) FROM cowrie_migration_log WHERE log_id = run_id AND status = 'done'")"
expect "$version, next migration" skipped "$(sql -c 'SELECT status FROM cowrie_migrate_v16()')"
