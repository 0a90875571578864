# The languages in which docs/readers has a reader, for scripts/test.sh, which sources this file after scripts/aws.sh and calls
#     reader_languages
# What is missing is installed from Debian. A language that cannot be had fails the run: a reader that nobody tried is no reader.
# Afterwards `reader_python` is a Python that has the package `cryptography`: that of the virtual environment of the emulator of AWS.

reader_languages() {
    local missing=()
    command -v node >/dev/null || missing+=(nodejs)
    command -v ruby >/dev/null || missing+=(ruby)
    command -v php >/dev/null || missing+=(php-cli)
    [ "${#missing[@]}" -eq 0 ] || install_from_debian "the two-key readers are tested" "${missing[@]}"
    reader_python=$(realpath -s "${CARGO_TARGET_DIR:-target}/moto-$moto_version/bin/python")
    "$reader_python" -c 'import cryptography' || die "the virtual environment of moto has no package cryptography"
    php -r 'exit(function_exists("openssl_decrypt") ? 0 : 1);' || die "this PHP has no openssl extension"
}
