//! The story of `demo`, as a person runs it.
use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

fn reencrypt(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_reencrypt")).args(arguments).current_dir(folder).output().expect("it starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("text")
}

/// Invariants 3, 5, 6, 7 and 10 as far as an embedded database shows them: the demo checks them step by step and ends with 0 only if all hold.
#[test]
fn the_story_goes_as_told_and_its_folder_can_be_used() {
    let base = tempfile::tempdir().expect("a temporary folder");
    let demo = reencrypt(base.path(), &["demo", "--rows", "3000", "--dir", "clinic"]);
    let (told, noted) = (text(&demo.stdout), text(&demo.stderr));
    assert_eq!(demo.status.code(), Some(0), "{told}\n{noted}");
    assert!(told.contains("killed; committed were"), "{told}");
    assert!(told.contains("old key needed: no"), "{told}");

    let clinic = base.path().join("clinic");
    let keys = ["old.key", "new.key"].map(|name| fs::read_to_string(clinic.join(name)).expect("a key"));
    for shown in [&told, &noted, &text(&fs::read(clinic.join("killed-run.log")).expect("a log"))] {
        for key in &keys {
            assert!(!shown.contains(key.trim()), "a key was shown");
        }
    }

    // The rotation is done: doing it again changes nothing, and the accepted residue no longer asks for a person.
    let again = reencrypt(&clinic, &["run", "--yes", "--output", "json"]);
    let report: serde_json::Value = serde_json::from_slice(&again.stdout).expect("one JSON document");
    assert_eq!((again.status.code(), &report["exit_code"]), (Some(0), &serde_json::json!(0)), "{report}");
    let rotated: u64 = report["passes"]
        .as_array()
        .expect("passes")
        .iter()
        .map(|pass| pass["rotated"].as_u64().expect("a count"))
        .sum();
    assert_eq!(rotated, 0);

    // Verified with the new key alone, through another configuration.
    let url = fs::read_to_string(clinic.join("database.url")).expect("a URL");
    let lone = fs::read_to_string(clinic.join("reencrypt.toml")).expect("the configuration");
    let lone = lone.replace("old = \"file:old.key\"\n", "").replace("file:database.url", "env:CASE_URL");
    fs::write(clinic.join("lone.toml"), lone).expect("written");
    let verify = Command::new(env!("CARGO_BIN_EXE_reencrypt"))
        .args(["--config", "lone.toml", "verify", "--output", "json"])
        .env("CASE_URL", url.trim())
        .current_dir(&clinic)
        .output()
        .expect("it starts");
    let report: serde_json::Value = serde_json::from_slice(&verify.stdout).expect("one JSON document");
    assert_eq!(
        report["old_key_needed"],
        serde_json::Value::Null,
        "what opens under no key may need the old one: {report}"
    );
    assert_eq!(verify.status.code(), Some(1));
}

#[test]
fn a_demo_is_made_anew_and_a_strangers_folder_is_left_alone() {
    let base = tempfile::tempdir().expect("a temporary folder");
    for _ in 0..2 {
        let demo = reencrypt(base.path(), &["-q", "demo", "--rows", "1000", "--output", "json"]);
        let told: serde_json::Value = serde_json::from_slice(&demo.stdout).expect("one JSON document");
        assert_eq!(demo.status.code(), Some(0), "{told}\n{}", text(&demo.stderr));
        assert_eq!(text(&demo.stderr), "");
        let at_kill = told["rows_committed_at_kill"].as_u64().expect("a count");
        assert!(at_kill > 0 && at_kill < 1000, "{told}");
    }
    fs::create_dir(base.path().join("mine")).expect("a folder");
    fs::write(base.path().join("mine/clinic.db"), "precious").expect("a file");
    let demo = reencrypt(base.path(), &["demo", "--dir", "mine"]);
    assert_eq!(demo.status.code(), Some(2));
    assert_eq!(fs::read(base.path().join("mine/clinic.db")).expect("still there"), b"precious");
}
