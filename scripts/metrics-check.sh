#!/usr/bin/env bash
# contrib/prometheus with a real exporter and a real Prometheus, on loopback: test/t/127_metrics.pl, which
# `make test` runs as well. Says what is missing where they are not installed, and installs nothing.
set -euo pipefail
cd "$(dirname "$0")/.."

for program in prometheus-postgres-exporter prometheus promtool; do
  if ! command -v "$program" >/dev/null; then
    echo "skipped: no $program (Debian: apt-get install prometheus prometheus-postgres-exporter)"
    exit 0
  fi
done
PARTS=tap TAP='t/127*.pl' exec scripts/test.sh
