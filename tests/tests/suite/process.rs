//! What the process keeps from others, no core dump and no secret in its environment; and the log that it is watched by.
use crate::{TOOL, operator};
use reencrypt_tests::{Configuration, Database, Operator, Running, Seeding, report};
use std::{
    os::unix::process::ExitStatusExt,
    process::Command,
    time::{Duration, Instant},
};
use tokio::net::TcpListener;

const ABORT: i32 = 6;

/// The tool, in the middle of a run, started by a shell that allows core dumps of any size.
#[tokio::test(flavor = "multi_thread")]
async fn an_aborted_run_leaves_no_core() {
    let db = Database::sqlite(&Seeding::clean(600)).await;
    let operator = Operator::new("/bin/sh", &db);
    let running = start(&operator, "run --yes --max-rows-per-second 100 --batch-rows 20");
    let began = Instant::now();
    while reencrypt_tests::Store(&db).progress().await.rows == 0 {
        assert!(began.elapsed().as_secs() < 60, "the run does not begin");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    abort(running, &operator).await;

    // The same end of a process that does not care: what there is to be prevented here.
    let folder = tempfile::tempdir().expect("a folder");
    let careless =
        Command::new("/bin/sh").args(["-c", "ulimit -c unlimited; kill -ABRT $$"]).current_dir(&folder).status();
    if !careless.is_ok_and(|status| status.core_dumped()) {
        report("this machine writes no cores: only the limit was seen");
    }
}

/// Every other command that has keys in its hands, in the middle of a question that AWS does not answer.
#[tokio::test(flavor = "multi_thread")]
async fn nor_does_any_other_command() {
    let db = Database::sqlite(&Seeding::clean(20)).await;
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", silent.local_addr().expect("an address"));
    let operator = Operator::new("/bin/sh", &db).aws(&url);
    let head = "[key.phi]\nold = \"env:OLD_KEY\"\nnew = \"aws-secretsmanager:phi\"\n".to_owned();
    operator.configure(&Configuration { head, ..Configuration::default() }.text());
    for command in [
        "doctor",
        "plan",
        "verify",
        "init",
        "key check --from env:OLD_KEY",
        "key check --from aws-secretsmanager:phi",
        "keygen --secret-id phi",
        "keygen --kms-key-id phi",
    ] {
        let running = start(&operator, command);
        let asked = tokio::time::timeout(Duration::from_secs(60), silent.accept()).await;
        let _waits = asked.unwrap_or_else(|_| panic!("{command} does not ask AWS")).expect("a connection");
        abort(running, &operator).await;
    }
}

/// The tool, where cores of any size are allowed.
fn start(operator: &Operator, command: &str) -> Running {
    operator.start_as_typed(&["-c", &format!("ulimit -c unlimited; exec {TOOL} {command}")])
}

/// Looks at its limit, and ends it as a bug in a library would.
async fn abort(running: Running, operator: &Operator) {
    let pid = running.pid().expect("it runs");
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap_or_default();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).expect("a limit of cores");
    assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
    running.signal("ABRT");
    let died = running.finish().await;
    assert_eq!(died.deadly_signal(), Some(ABORT), "{died}");
    assert!(!died.dumped_core(), "a core was written");
    let files = std::fs::read_dir(operator.folder()).expect("the folder").flatten();
    let cores: Vec<_> =
        files.map(|entry| entry.file_name()).filter(|name| name.to_string_lossy().contains("core")).collect();
    assert!(cores.is_empty(), "{cores:?}");
}

/// Children and libraries see no secret, whatever it is called.
#[tokio::test(flavor = "multi_thread")]
async fn secrets_leave_the_environment() {
    let db = Database::sqlite(&Seeding::clean(600)).await;
    let operator = operator(&db);
    let (url, old) = (db.url(), reencrypt_tests::KEYS.old_hex());
    let head = "[database]\nurl = \"env:CLINIC_DB\"\n[key.phi]\nold = \"env:PHI_OLD\"\nnew = \"env:NEW_KEY\"\n\
        [key.aws]\nold = \"aws-secretsmanager:phi\"\nnew = \"env:NEW_KEY\"\n\
        [doctor]\nsecrets = [{ name = \"SESSION\", form = \"text\", old = \"SESSION_BEFORE\" }]\n";
    let table_extra = "key = \"phi\"".to_owned();
    operator.configure(&Configuration { head: head.to_owned(), table_extra, ..Default::default() }.text());
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
    let secrets = ["SESSION", "SESSION_BEFORE", "JWT_SECRET", "JWT_SECRET_OLD", "ENCRYPTION_KEY"];
    let operator =
        secrets.into_iter().fold(operator, |operator, name| operator.set(name, &format!("{name} of a test")));
    for command in [&["key", "check", "--from", "aws-secretsmanager:phi"][..], &["doctor"]] {
        let seen = operator.folder().join("seen");
        let _ = std::fs::remove_file(&seen);
        let asked = operator.run(command).await;
        assert!(asked.stdout.contains("aws configure") || asked.stdout.contains("AWS_PROFILE"), "{asked}");
        let seen = std::fs::read_to_string(seen).expect("the child was started");
        assert!(seen.contains("HARMLESS=stays"), "the child sees the rest");
        for name in ["PHI_OLD", "NEW_KEY", "CLINIC_DB"].into_iter().chain(secrets) {
            assert!(!seen.contains(&format!("{name}=")), "a child of {command:?} sees {name}");
        }
        assert!(!seen.contains(&old), "a child sees a key");
    }
    // They were read before.
    let doctor = operator.run(&["doctor"]).await.expect_code(1);
    let passed = doctor.checks("pass");
    for name in ["database.url", "key.phi.old", "key.phi.new", "secret.SESSION"] {
        assert!(passed.iter().any(|(passed, _)| passed == name), "{name}\n{doctor}");
    }
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
