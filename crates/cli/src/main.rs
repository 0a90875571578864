//! The `reencrypt` command.
use std::process::ExitCode;

fn main() -> ExitCode {
    reencrypt_cli::main()
}
