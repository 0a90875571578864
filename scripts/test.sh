#!/usr/bin/env bash
# Runs the whole test suite against a throw-away PostgreSQL cluster and a throw-away AWS: scripts/test.sh [arguments of cargo test].
# scripts/postgres.sh makes the cluster and takes it away, scripts/aws.sh the emulator of AWS, scripts/languages.sh finds the languages of the
# two-key readers, scripts/pooler.sh PgBouncer. The cluster need not survive a crash of the machine, so it never syncs.
# REENCRYPT_TEST_SEED=N replays the random choices of an earlier run; each test prints its seed.
set -euo pipefail
cd "$(dirname "$0")/.."

. scripts/postgres.sh
. scripts/aws.sh
. scripts/languages.sh
. scripts/pooler.sh

throw_away_cluster "max_connections = 200
max_prepared_transactions = 20
shared_buffers = 256MB
max_wal_size = 2GB
fsync = off
full_page_writes = off
synchronous_commit = on
autovacuum = on
log_min_messages = warning"
export REENCRYPT_TEST_POSTGRES_URL="$cluster_url"
throw_away_aws
export REENCRYPT_TEST_MOTO_URL="$aws_url"
reader_languages
export REENCRYPT_TEST_PYTHON="$reader_python"
pooler
export REENCRYPT_TEST_PGBOUNCER="$pooler"
# Its certificates are made by this program, which Debian's PostgreSQL brings along.
command -v openssl >/dev/null || install_from_debian "TLS to the database is tested" openssl

# Tests wait for leases, locks and each other's processes: one more than there are processors keeps them busy.
export RUST_TEST_THREADS="${RUST_TEST_THREADS:-$(($(nproc) + 1))}"

if [ "${1:-}" = "--exec" ]; then
    # For working on one thing: scripts/test.sh --exec COMMAND… runs any command beside them.
    shift
    "$@"
else
    cargo test --workspace --locked --features reencrypt-tests/failpoints "$@"
fi
