//! What the process keeps from others, no core dump and no secret in its environment; and the log that it is watched by.
use crate::{TOOL, operator};
use reencrypt_tests::{Database, Operator, Seeding, report};
use std::{os::unix::process::ExitStatusExt, process::Command};

const ABORT: i32 = 6;

/// The tool, in the middle of a run, started by a shell that allows core dumps of any size.
#[tokio::test(flavor = "multi_thread")]
async fn an_aborted_run_leaves_no_core() {
    let db = Database::sqlite(&Seeding::clean(600)).await;
    let operator = Operator::new("/bin/sh", &db);
    let line = format!("ulimit -c unlimited; exec {TOOL} run --yes --max-rows-per-second 100 --batch-rows 20");
    let running = operator.start_as_typed(&["-c", &line]);
    let pid = running.pid().expect("it runs");
    let file = |name: &str| std::fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_default();
    let began = std::time::Instant::now();
    while reencrypt_tests::Store(&db).progress().await.rows == 0 {
        assert!(began.elapsed().as_secs() < 60, "the run does not begin");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let limits = file("limits");
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).expect("a limit of cores");
    assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
    running.signal("ABRT");
    let died = running.finish().await;
    assert_eq!(died.deadly_signal(), Some(ABORT), "{died}");
    assert!(!died.dumped_core(), "a core was written");
    let cores: Vec<_> = std::fs::read_dir(operator.folder()).expect("the folder").flatten().collect();
    let cores: Vec<_> =
        cores.iter().map(|entry| entry.file_name()).filter(|name| name.to_string_lossy().contains("core")).collect();
    assert!(cores.is_empty(), "{cores:?}");

    // The same end of a process that does not care: what there is to be prevented here.
    let folder = tempfile::tempdir().expect("a folder");
    let careless =
        Command::new("/bin/sh").args(["-c", "ulimit -c unlimited; kill -ABRT $$"]).current_dir(&folder).status();
    if !careless.is_ok_and(|status| status.core_dumped()) {
        report("this machine writes no cores: only the limit was seen");
    }
}

/// Children and libraries see no secret, whatever it is called.
#[tokio::test(flavor = "multi_thread")]
async fn secrets_leave_the_environment() {
    let db = Database::sqlite(&Seeding::clean(600)).await;
    let operator = operator(&db);
    let (url, old) = (db.url(), reencrypt_tests::KEYS.old_hex());
    let head = "[database]\nurl = \"env:CLINIC_DB\"\n[key.phi]\nold = \"env:PHI_OLD\"\nnew = \"env:NEW_KEY\"\n";
    operator.configure(&reencrypt_tests::Configuration { head: head.to_owned(), ..Default::default() }.text());
    // A credential process is a child that the tool starts: it writes down what it was given.
    let spy = operator.folder().join("spy.sh");
    operator.write("spy.sh", "#!/bin/sh\nenv > seen\nexit 1\n");
    std::fs::set_permissions(&spy, std::os::unix::fs::PermissionsExt::from_mode(0o700)).expect("permissions");
    operator.write("aws", &format!("[default]\nregion = eu-west-1\ncredential_process = {}\n", spy.display()));
    let operator = operator
        .unset("OLD_KEY")
        .unset("DATABASE_URL")
        .set("CLINIC_DB", &url)
        .set("PHI_OLD", &old)
        .set("AWS_EC2_METADATA_DISABLED", "true");
    let config = operator.folder().join("aws").display().to_string();
    let operator = operator.set("AWS_CONFIG_FILE", &config).set("HARMLESS", "stays");
    let asked = operator.run(&["key", "check", "--from", "aws-secretsmanager:phi"]).await;
    asked.expect_refusal("aws_credentials_missing", &["phi"]);
    let seen = std::fs::read_to_string(operator.folder().join("seen")).expect("the child was started");
    assert!(seen.contains("HARMLESS=stays"), "the child sees the rest");
    for name in ["PHI_OLD", "NEW_KEY", "CLINIC_DB"] {
        assert!(!seen.contains(&format!("{name}=")), "a child sees {name}");
    }
    assert!(!seen.contains(&old), "a child sees a key");
    // They were read before.
    operator.run(&["plan"]).await.expect_code(0);
}

/// Whoever collects the log reads JSON alone, whatever happens.
#[tokio::test(flavor = "multi_thread")]
async fn every_line_of_a_json_log_has_a_message() {
    let db = Database::sqlite(&Seeding::clean(300)).await;
    let operator = operator(&db);
    let commands: [&[&str]; 6] = [
        &["run", "--yes", "--batch-rows", "50", "-vvv"],
        &["run", "-v"],
        &["verify", "-vv"],
        &["status", "-v"],
        &["abandon"],
        &["abandon", "--wrong"],
    ];
    for command in commands {
        let typed: Vec<&str> = command.iter().copied().chain(["--log-format", "json"]).collect();
        let finished = operator.run_as_typed(&typed).await;
        for line in finished.stderr.lines() {
            let line: serde_json::Value =
                serde_json::from_str(line).unwrap_or_else(|e| panic!("{line} is no JSON: {e}\n{finished}"));
            let message = line["fields"]["message"].as_str().unwrap_or_default();
            assert!(!message.is_empty(), "{line}\n{finished}");
        }
    }
}
