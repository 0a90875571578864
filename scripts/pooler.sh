# PgBouncer, for scripts/test.sh, which sources this file after scripts/postgres.sh and calls
#     pooler
# The tests start it themselves, each with settings of its own. Afterwards `pooler` is the command that does, with the unprivileged user that it
# works as where root starts it. Where it is missing it is installed from Debian, whose own service of it is of no use here.

pooler() {
    local PATH=$PATH:/usr/sbin:/usr/local/sbin
    command -v pgbouncer >/dev/null || install_from_debian "runs behind PgBouncer are tested" pgbouncer
    pooler=$(command -v pgbouncer) || die "PgBouncer was installed, but pgbouncer is nowhere"
    [ "$(id -u)" -ne 0 ] || pooler="$pooler -u $cluster_user"
}
