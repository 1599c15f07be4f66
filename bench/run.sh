#!/usr/bin/env bash
# Measures in a private server, with deterministic data: the migration beside its floors (VACUUM
# FULL, bare reads, bare index builds) and its peers (the application's statements, the best plain
# SQL), and reading documents beside SQL operators. Medians of interleaved runs, ratios first.
#
#   BENCH_SCALES="100000 400000"  how many sessions; 1600000 takes an hour more
#   BENCH_ROUNDS=3                how many runs of each
#   BENCH_CONTENDERS="rewrite atomic"  only these; by default all:
#                                 rewrite read plain atomic alter_table online batched python;
#                                 and only if asked for: partitions_4, partitions_16
#   BENCH_SHAPE="size=16 method=lz4"  other documents than those of 4 kB, see bench/sql/shape.sql
#
# Writes bench/results/<date>.csv, .txt and .svg, the shape in their names. Judges nothing: it fails only when a
# statement does.
set -euo pipefail
cd "$(dirname "$0")/.."

scales=${BENCH_SCALES:-100000 400000}
rounds=${BENCH_ROUNDS:-3}
contenders=${BENCH_CONTENDERS:-}

scripts/install-packages.sh
# shellcheck source=scripts/private-server.sh
. scripts/private-server.sh

# Durable, as a server is; nothing that runs now and then, so that runs can be compared.
server_settings=('fsync = on' 'autovacuum = off' 'checkpoint_timeout = 1h' 'max_wal_size = 20GB'
  'work_mem = 64MB')
private_server_create
private_server_start

results=$PWD/bench/results
mkdir -p "$results"
name=$results/$(date +%F)${BENCH_SHAPE:+.${BENCH_SHAPE// /.}}
processor=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)
memory=$(awk '/^MemTotal/ { printf "%.0f GiB", $2 / 1048576 }' /proc/meminfo)
title="$("$PG_CONFIG" --version), $(nproc) cores${processor:+ of $processor}, $memory, $(uname -sm),"
title+=" shared_buffers 256MB, work_mem 64MB, fsync on; ${BENCH_SHAPE:+documents $BENCH_SHAPE; }medians of $rounds runs"

mkdir "$work/bench"
# shellcheck disable=SC2086 # lists
BINDIR=$bindir perl bench/bench.pl "$work/bench" "$work/bench/results.csv" "$rounds" $scales \
  ${contenders:+-- $contenders}
cp "$work/bench/results.csv" "$name.csv"
perl bench/report.pl "$name.csv" "$name.svg" "$title" | tee "$name.txt"
