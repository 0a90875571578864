//! The tool as it is released; with the feature `failpoints`, it reads the variable `FAILPOINTS` and stops where that says.
use std::process::ExitCode;

fn main() -> ExitCode {
    #[cfg(feature = "failpoints")]
    let _scenario = fail::FailScenario::setup();
    reencrypt_cli::main()
}
