//! The command line from outside: what it prints, and with which exit code it ends. Mostly refusals.

use std::{fs, os::unix::fs::PermissionsExt, process::Command};

/// Every case is a file; `TRYCMD=overwrite` writes down what the tool says now, to be read before it is committed.
#[test]
fn what_is_refused_says_what_and_what_to_do_next() {
    trycmd::TestCases::new().env("COLUMNS", "100").case("tests/cmd/*.trycmd").case("tests/cmd/*.toml");
}

/// Whether a file is open to others depends on the checkout, so this case makes its own.
#[test]
fn a_key_file_that_others_may_read_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let key = folder.path().join("open.key");
    fs::write(&key, "07".repeat(32)).expect("written");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).expect("opened");
    let configuration = "[key.phi]\nold = \"file:open.key\"\nnew = \"env:NEW_KEY\"\n";
    fs::write(folder.path().join("reencrypt.toml"), configuration).expect("written");
    let run =
        Command::new(env!("CARGO_BIN_EXE_reencrypt")).arg("run").current_dir(&folder).output().expect("it starts");
    let told = String::from_utf8(run.stderr).expect("text");
    assert_eq!(run.status.code(), Some(2), "{told}");
    assert!(told.contains("open.key") && told.contains("chmod"), "{told}");
    assert!(!told.contains("0707"), "the key was shown");
}
