#!/usr/bin/env bash
# Measures reencrypt against the database's own rewrite and against what people do today: docs/performance.md says what and how.
#     scripts/bench.sh [--rows N] [--rounds K] [--only NAME,…] [--scale] [--json FILE]
# Needs Linux, Python 3.9 or later with venv, and npm for the Node script (left out where there is none). PostgreSQL, packages and data
# live in a temporary folder that is removed at the end; a run with the defaults takes about half an hour and 5 GB there, --scale 25 GB.
# REENCRYPT_BIN=FILE measures that binary instead of building one; REENCRYPT_BENCH_TOOLS=DIR keeps the packages there for the next run.
set -euo pipefail
caller=$PWD
cd "$(dirname "$0")/.."
. scripts/postgres.sh

case "${1:-}" in -h | --help) sed -n '2,6s/^# \{0,1\}//p' scripts/bench.sh; exit 0 ;; esac
[ "$(uname -s)" = Linux ] || die "CPU time and memory are read from /proc: this needs Linux"

binary=${REENCRYPT_BIN:-}
if [ -z "$binary" ]; then
    cargo build --release --locked --package reencrypt-cli
    binary=${CARGO_TARGET_DIR:-target}/release/reencrypt
fi
[ -x "$binary" ] || die "there is no program $binary"

# The settings that are no defaults; the benchmark reads them back from the server and writes them into its JSON.
throw_away_cluster "shared_buffers = 2GB
max_wal_size = 8GB"

tools=${REENCRYPT_BENCH_TOOLS:-$folder/tools}
mkdir -p "$tools"
if [ ! -e "$tools/python/ready" ]; then
    say "installing psycopg and cryptography for Python"
    python3 -m venv "$tools/python"
    "$tools/python/bin/pip" install --quiet --disable-pip-version-check 'psycopg[binary]>=3.2,<4' 'cryptography>=42' >&2
    touch "$tools/python/ready"
fi
if command -v npm >/dev/null && [ ! -e "$tools/node/node_modules/pg" ]; then
    say "installing pg for Node"
    mkdir -p "$tools/node"
    npm install --prefix "$tools/node" --no-audit --no-fund --silent 'pg@^8' >&2
fi

binary=$(readlink -f "$binary")
cd "$caller"
env BENCH_URL="$cluster_url" BENCH_DATA="$folder/data" BENCH_PROGRAMS="$postgres" BENCH_NODE_MODULES="$tools/node/node_modules" \
    BENCH_BINARY="$binary" BENCH_SCRATCH="$(mktemp -d "$folder/scratch.XXXX")" \
    "$tools/python/bin/python" -B "$OLDPWD/benches/end_to_end" "$@"
