//! The story of `demo`, as a person runs it.
use serde_json::json;
use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
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

    // Every command that it shows can be copied.
    let clinic = base.path().join("clinic");
    let configuration = clinic.canonicalize().expect("the folder").join("reencrypt.toml");
    let named = format!("reencrypt --config {} ", configuration.display());
    let starts = ["$ ", "next: ", "`", "&& "].map(|start| format!("{start}reencrypt "));
    let shown: Vec<&str> = told.lines().filter(|line| starts.iter().any(|start| line.contains(start))).collect();
    assert!(shown.len() > 8, "{told}");
    assert!(shown.iter().all(|line| line.contains(&named)), "{shown:#?}");

    let keys = ["old.key", "new.key"].map(|name| fs::read_to_string(clinic.join(name)).expect("a key"));
    for shown in [&told, &noted, &text(&fs::read(clinic.join("killed-run.log")).expect("a log"))] {
        for key in &keys {
            assert!(!shown.contains(key.trim()), "a key was shown");
        }
    }

    // The rotation is done: doing it again changes nothing, and the accepted residue no longer asks for a person.
    let again = reencrypt(&clinic, &["run", "--yes", "--output", "json"]);
    let report: serde_json::Value = serde_json::from_slice(&again.stdout).expect("one JSON document");
    assert_eq!((again.status.code(), &report["exit_code"]), (Some(0), &json!(0)), "{report}");
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

/// What a new run asks for where nobody can be asked; and a run that is stopped by a signal goes on.
#[test]
fn a_run_is_confirmed_stopped_and_resumed() {
    let base = tempfile::tempdir().expect("a temporary folder");
    let demo = reencrypt(base.path(), &["-q", "demo", "--rows", "2000", "--dir", "clinic"]);
    assert_eq!(demo.status.code(), Some(0), "{}", text(&demo.stderr));
    let clinic = base.path().join("clinic");

    let refused = |arguments: &[&str]| {
        let ended = reencrypt(&clinic, arguments);
        let told: serde_json::Value = serde_json::from_slice(&ended.stdout).expect("one JSON document");
        assert_eq!((ended.status.code(), &told["exit_code"]), (Some(2), &json!(2)), "{told}");
        assert_eq!(told["error"]["code"], "confirmation_needed", "{told}");
        told["error"]["hint"].as_str().expect("a hint").to_owned()
    };
    assert!(refused(&["run", "--output", "json"]).contains("reencrypt run --output json --yes"));
    let configuration = fs::read_to_string(clinic.join("reencrypt.toml")).expect("the configuration");
    let production = configuration.replace("name = \"demo\"", "name = \"production\"");
    fs::write(clinic.join("production.toml"), production).expect("written");
    let hint = refused(&["--config", "production.toml", "run", "--yes", "--output", "json"]);
    assert!(hint.contains("--plan-id ") && hint.contains("--readers-ready"), "{hint}");

    let slow = ["run", "--yes", "--batch-rows", "50", "--max-rows-per-second", "400", "--output", "json"];
    let mut run = Command::new(env!("CARGO_BIN_EXE_reencrypt"));
    let run =
        run.args(slow).current_dir(&clinic).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let begun = || status(&clinic)["tables"][0]["rows"].as_u64().is_some_and(|rows| (1..2000).contains(&rows));
    let deadline = Instant::now() + Duration::from_secs(60);
    while !begun() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(50));
    }
    let kill = Command::new("kill").args(["-TERM", &run.id().to_string()]).status().expect("kill runs");
    assert!(kill.success());
    let ended = run.wait_with_output().expect("it ends");
    let told: serde_json::Value = serde_json::from_slice(&ended.stdout).expect("one JSON document");
    assert_eq!(
        (ended.status.code(), &told["state"]),
        (Some(130), &json!("interrupted")),
        "{told}\n{}",
        text(&ended.stderr)
    );
    assert_eq!(status(&clinic)["state"], "interrupted");

    let resumed = reencrypt(&clinic, &["run", "--resume", "--output", "json"]);
    let report: serde_json::Value = serde_json::from_slice(&resumed.stdout).expect("one JSON document");
    assert_eq!((resumed.status.code(), &report["state"]), (Some(0), &json!("finished")), "{report}");
    assert_eq!(report["run_id"], told["run_id"]);
    assert_eq!(report["tables"][0]["columns"][0]["seen"], 2000);
}

fn status(folder: &Path) -> serde_json::Value {
    let ended = reencrypt(folder, &["status", "--output", "json"]);
    serde_json::from_slice(&ended.stdout).expect("one JSON document")
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
