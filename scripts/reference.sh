#!/usr/bin/env bash
# Writes docs/REFERENCE.md from the comments in the catalog, in a private server.
set -euo pipefail
cd "$(dirname "$0")/.."

# shellcheck source=scripts/private-server.sh
. scripts/private-server.sh
private_server_create
private_server_start
cp scripts/reference.sql "$work/"
chmod a+r "$work/reference.sql"
as_server_user "$bindir/psql" -X -q -d postgres -c 'CREATE EXTENSION cowrie_migrate'
as_server_user "$bindir/psql" -X -q -d postgres -f "$work/reference.sql" | sed -e :a -e '/^\n*$/{$d;N;ba' -e '}' >docs/REFERENCE.md
