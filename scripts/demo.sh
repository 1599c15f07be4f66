#!/usr/bin/env bash
# The demonstration: a v15 database with sessions in every shape of document, migrated, validated
# and queried, in a private server that is removed afterwards.
#
#   SESSIONS=20000  how many sessions
#   KEEP=1          leave the server running and say how to connect
set -euo pipefail
cd "$(dirname "$0")/.."

# shellcheck source=scripts/private-server.sh
. scripts/private-server.sh
scripts/install-packages.sh
sessions=${SESSIONS:-20000}

say() {
  printf '\n-- %s\n' "$@"
}
# Shows the statement, runs it, stops the demonstration when it fails.
run() {
  printf '\n'
  "$bindir/psql" -X -q -e -v ON_ERROR_STOP=1 -P pager=off -P footer=off -c '\timing on' -c "$1"
}

echo "Building the extension and a private copy of PostgreSQL ..."
private_server_create
private_server_start

"$bindir/createdb" cowrie
export PGDATABASE=cowrie PGTZ=UTC
echo "Creating a v15 database with $sessions sessions and their raw events ..."
"$bindir/psql" -X -q -v ON_ERROR_STOP=1 -v n="$sessions" -v pad=4000 \
  -f test/fixtures/v15.sql -f test/fixtures/sessions.sql

say 'Version 15: what there is before.'
run "SELECT value AS schema_version, (SELECT count(*) FROM session_summaries) AS sessions,
       (SELECT count(*) FROM raw_events) AS raw_events,
       pg_size_pretty(pg_total_relation_size('session_summaries')) AS size
FROM schema_state WHERE key = 'schema_version';"

say 'The migration: one call, a row per step.'
run 'CREATE EXTENSION cowrie_migrate;'
run 'SELECT * FROM cowrie_migrate_v16();'

say 'Compared with the declaration of version 16: no row, no difference.'
run 'SELECT * FROM cowrie_validate_schema();'

say 'Nothing of the extension is needed any more. Top networks by sessions: one small table.'
run 'SELECT asn_number, organization_name, organization_country AS country, unique_ip_count AS ips,
       total_session_count AS sessions, last_seen::date
FROM asn_inventory ORDER BY total_session_count DESC, asn_number LIMIT 10;'

say 'Countries at the time of attack: snapshots, immutable, no join.'
run 'SELECT snapshot_country AS country, count(*) AS sessions, count(DISTINCT source_ip) AS ips
FROM session_summaries
WHERE snapshot_country IS NOT NULL
GROUP BY snapshot_country ORDER BY sessions DESC, country LIMIT 10;'

say 'One address: where it was seen, since when, and which provider said so.' \
  '(The sample is full of bad and contradicting values on purpose.)'
run "SELECT h.ip_address, h.observed_at, h.asn_number, a.organization_name, h.verification_source
FROM ip_asn_history h JOIN asn_inventory a USING (asn_number)
WHERE h.ip_address = (SELECT ip_address FROM ip_asn_history
                      GROUP BY ip_address ORDER BY count(*) DESC, ip_address LIMIT 1)
ORDER BY h.observed_at LIMIT 10;"

say 'Then and now: sessions whose network today is not the one they were seen from.'
run "SELECT s.snapshot_asn, i.current_asn, count(*) AS sessions, min(s.first_event_at)::date AS since
FROM session_summaries s JOIN ip_inventory i ON i.ip_address = s.source_ip
WHERE s.snapshot_asn <> i.current_asn
GROUP BY 1, 2 ORDER BY sessions DESC, 1, 2 LIMIT 5;"

say 'Stale addresses, the busiest first: no refresh since the migration, so the application asks.'
run "SELECT ip_address, geo_country AS country, ip_types, is_scanner AS scanner, session_count AS sessions,
       last_seen::date
FROM ip_inventory
WHERE enrichment_updated_at IS NULL OR enrichment_updated_at < now() - interval '30 days'
ORDER BY session_count DESC, ip_address LIMIT 5;"

if [ "${KEEP:-}" = 1 ]; then
  private_server_keep
  prefix='cd / && '
  [ -z "$server_user" ] || prefix+="runuser -u $server_user -- "
  say 'The server keeps running (KEEP=1).'
  printf 'Connect:         psql -h %q -U postgres cowrie\n' "$PGHOST"
  printf 'Stop and remove: %s%q -D %q -m fast stop; rm -rf %q\n' \
    "$prefix" "$bindir/pg_ctl" "$work/data" "$work"
fi
