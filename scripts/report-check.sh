#!/usr/bin/env bash
# The report in a real browser: a sample is migrated in a private server, and Chromium takes pictures of its report
# by day, by night and on a phone, in build/report. It fails when the browser refuses anything of the page (its policy
# does not fit its style) or when night looks like day. Says so where Chromium is not installed.
#
#   SESSIONS=20000  how many sessions
set -euo pipefail
cd "$(dirname "$0")/.."

if ! browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome); then
  echo 'skipped: no chromium'
  exit 0
fi

# shellcheck source=scripts/private-server.sh
. scripts/private-server.sh
pictures=$PWD/build/report
mkdir -p "$pictures"
rm -f "$pictures"/*
private_server_create
private_server_start

query() { as_server_user "$bindir/psql" -XAtq -v ON_ERROR_STOP=1 -d sample "$@"; }
cp -R test/fixtures "$work/"
[ -z "$server_user" ] || chown -R "$server_user" "$work/fixtures"
as_server_user "$bindir/createdb" sample
query -c 'CREATE EXTENSION cowrie_migrate' -f "$work/fixtures/v15.sql" >/dev/null
query -v n="${SESSIONS:-20000}" -v pad=1000 -f "$work/fixtures/sessions.sql" >/dev/null
query -c "SET client_min_messages = error" -c 'SELECT FROM cowrie_migrate_v16()' >/dev/null
query -c 'SELECT cowrie_migration_report()' >"$pictures/report.html"
query -c "SELECT cowrie_migration_report('markdown')" >"$pictures/report.md"

# picture NAME WIDTH HEIGHT SCHEME (1 light, 0 dark)
picture() {
  # no sandbox: it cannot be made as root, and the page is our own
  timeout 120 "$browser" --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --hide-scrollbars \
    --no-first-run --user-data-dir="$work/browser" --blink-settings=preferredColorScheme="$4" --enable-logging=stderr \
    --window-size="$2,$3" --screenshot="$pictures/$1.png" "file://$pictures/report.html" 2>"$pictures/$1.log" >&2 ||
    { cat "$pictures/$1.log" && return 1; }
  if grep -E 'Refused to|violates the following' "$pictures/$1.log"; then
    echo "$1: the browser refuses something of the page" >&2
    return 1
  fi
  [ "$(stat -c %s "$pictures/$1.png")" -gt 20000 ] || { echo "$1: the picture is empty" >&2 && return 1; }
}
picture light 1100 1500 1
picture dark 1100 1500 0
picture phone 500 1500 1
picture whole 1100 6000 1
if cmp -s "$pictures/light.png" "$pictures/dark.png"; then
  echo 'by night it looks as by day' >&2
  exit 1
fi
echo "look at them: $pictures/{light,dark,phone,whole}.png, and $pictures/report.md"
