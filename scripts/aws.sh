# A throw-away AWS for scripts/test.sh, which sources this file after scripts/postgres.sh and calls
#     throw_away_aws
# moto (PyPI) is a KMS and a Secrets Manager that encrypts for real, on a free port of 127.0.0.1; it is gone when the script ends. It stands in a
# virtual environment in the build folder, made once. Afterwards `aws_url` is its address.

moto_version=5.2.5

throw_away_aws() {
    local environment attempt waited
    environment="${CARGO_TARGET_DIR:-target}/moto-$moto_version"
    [ -e "$environment/complete" ] || make_moto "$environment"
    # Before the cluster, which ends with the script's exit code.
    trap 'aws_code=$?; stop_aws; stop_cluster "$aws_code"' EXIT
    for attempt in 1 2 3 4 5 6 7 8; do
        aws_port=$((20000 + (RANDOM * 32768 + RANDOM) % 12000))
        port_is_free "$aws_port" || continue
        "$environment/bin/python" -c 'import moto.server; moto.server.main()' -H 127.0.0.1 -p "$aws_port" >"$folder/moto.log" 2>&1 &
        aws_pid=$!
        for waited in $(seq 1 300); do
            kill -0 "$aws_pid" 2>/dev/null || break
            if ! port_is_free "$aws_port"; then
                aws_url="http://127.0.0.1:$aws_port"
                say "moto $moto_version on 127.0.0.1:$aws_port"
                return
            fi
            sleep 0.2
        done
        stop_aws
    done
    tail -n 20 "$folder/moto.log" >&2 || true
    die "moto did not start"
}

make_moto() {
    command -v python3 >/dev/null || die "there is no python3, which the emulator of AWS needs"
    say "making a virtual environment with moto $moto_version"
    rm -rf "$1"
    if ! python3 -m venv "$1" >/dev/null 2>&1; then
        install_from_debian "python3 makes no virtual environments" python3-venv
        rm -rf "$1"
        python3 -m venv "$1" || die "python3 makes no virtual environments"
    fi
    "$1/bin/python" -m pip install --quiet --disable-pip-version-check "moto[server]==$moto_version" >&2 || die "moto could not be installed"
    touch "$1/complete"
}

stop_aws() {
    [ -n "${aws_pid:-}" ] || return 0
    kill "$aws_pid" 2>/dev/null || true
    wait "$aws_pid" 2>/dev/null || true
    aws_pid=
}
