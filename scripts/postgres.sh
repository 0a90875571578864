# Throw-away PostgreSQL clusters, for scripts/test.sh and scripts/bench.sh, which source this file and call
#     throw_away_cluster SETTINGS
# with lines of postgresql.conf. The cluster lives in a temporary folder on a free port of 127.0.0.1 and is gone when the script ends,
# whatever happened. As root it runs under an unprivileged user (PostgreSQL refuses root), and Debian's PostgreSQL is installed where
# there is none. Afterwards `postgres` is the folder of its programs, `folder` the temporary folder (the data in data/), and
# `cluster_url` the superuser's URL.

say() { printf '%s\n' "$(basename "$0"): $*" >&2; }
die() { say "$*"; exit 2; }

throw_away_cluster() {
    postgres=$(find_postgres) || { install_postgres; postgres=$(find_postgres) || die "PostgreSQL was installed, but initdb is nowhere"; }
    cluster_user=$(pick_user)
    folder=$(mktemp -d "${TMPDIR:-/tmp}/reencrypt-$(basename "$0" .sh).XXXXXXXX")
    trap stop_cluster EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    start_cluster "$1"
    say "PostgreSQL $("$postgres/postgres" --version | sed 's/^[^0-9]*//') on 127.0.0.1:$port"
    cluster_url="postgres://postgres:$(cat "$folder/password")@127.0.0.1:$port/postgres"
}

# The folder of the newest initdb: on the PATH, or where Debian and others put it.
find_postgres() {
    local candidate
    if candidate=$(command -v initdb); then
        dirname "$(readlink -f "$candidate")"
        return
    fi
    candidate=$(ls -d /usr/lib/postgresql/*/bin/initdb /usr/pgsql-*/bin/initdb /opt/homebrew/opt/postgresql*/bin/initdb 2>/dev/null | sort -V | tail -n 1)
    [ -n "$candidate" ] && dirname "$candidate"
}

install_postgres() {
    expect_debian "there is no initdb" postgresql
    # Without this Debian would make a cluster of its own and start it.
    if [ ! -e /etc/postgresql-common/createcluster.conf ]; then
        as_root mkdir -p /etc/postgresql-common
        echo 'create_main_cluster = false' | as_root tee /etc/postgresql-common/createcluster.conf >/dev/null
    fi
    install_from_debian "there is no initdb" postgresql
}

# install_from_debian WHY PACKAGE…, as root or by a sudo that asks nothing. Where that cannot be, WHY and what to type.
install_from_debian() {
    expect_debian "$@"
    shift
    say "installing $*"
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends -o Dpkg::Options::=--force-confold "$@" >&2 \
        || die "$* could not be installed"
}

expect_debian() {
    local why=$1
    shift
    command -v apt-get >/dev/null || die "$why, and there is no apt-get: install $* and run this again"
    [ "$(id -u)" -eq 0 ] || sudo -n true 2>/dev/null || die "$why: install $* first (on Debian: sudo apt-get install $*)"
}

as_root() { if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo -n "$@"; fi; }

# Root hands over to an unprivileged user; anybody else stays who they are.
pick_user() {
    [ "$(id -u)" -eq 0 ] || { id -un; return; }
    local user
    for user in postgres reencrypt-test; do
        if id "$user" >/dev/null 2>&1; then echo "$user"; return; fi
    done
    useradd --system --no-create-home --shell /usr/sbin/nologin reencrypt-test
    echo reencrypt-test
}

as_user() {
    if [ "$(id -u)" -eq 0 ]; then
        setpriv --reuid="$cluster_user" --regid="$(id -g "$cluster_user")" --clear-groups env -u XDG_RUNTIME_DIR "$@"
    else
        "$@"
    fi
}

port_is_free() { ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

start_cluster() {
    local attempt
    mkdir "$folder/socket"
    (umask 077 && head -c 18 /dev/urandom | od -An -tx1 | tr -d ' \n' >"$folder/password")
    chmod 0755 "$folder"
    [ "$(id -u)" -ne 0 ] || chown -R "$cluster_user" "$folder"
    (cd "$folder" && as_user "$postgres/initdb" --pgdata="$folder/data" --username=postgres --pwfile="$folder/password" \
        --auth=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8 --no-sync) >"$folder/initdb.log" 2>&1 \
        || { cat "$folder/initdb.log" >&2; die "initdb failed"; }
    as_user tee -a "$folder/data/postgresql.conf" >/dev/null <<-CONF
		listen_addresses = '127.0.0.1'
		unix_socket_directories = '$folder/socket'
		$1
	CONF
    for attempt in 1 2 3 4 5 6 7 8; do
        port=$((20000 + (RANDOM * 32768 + RANDOM) % 12000))
        port_is_free "$port" || continue
        if (cd "$folder" && as_user "$postgres/pg_ctl" start --pgdata="$folder/data" --log="$folder/server.log" --timeout=60 \
            --wait --silent --options="-p $port" >/dev/null 2>&1); then
            return
        fi
    done
    tail -n 20 "$folder/server.log" >&2 || true
    die "PostgreSQL did not start"
}

stop_cluster() {
    local code=${1:-$?}
    trap - EXIT
    trap '' INT TERM HUP
    if [ -n "${folder:-}" ]; then
        if [ -e "$folder/data/postmaster.pid" ]; then
            (cd / && as_user "$postgres/pg_ctl" stop --pgdata="$folder/data" --mode=immediate --wait --silent) >/dev/null 2>&1 || true
        fi
        if [ "$code" -ne 0 ] && [ -n "${REENCRYPT_TEST_SERVER_LOG:-}" ]; then cp "$folder/server.log" "$REENCRYPT_TEST_SERVER_LOG" || true; fi
        rm -rf "$folder"
    fi
    exit "$code"
}
