//! Secrets as people really write them down: files of every shape, mounts, dotenv files, and references that are none.
use crate::{TOOL, operator};
use reencrypt_tests::{
    Audit, Aws, Canary, Configuration, Database, Finished, KEYS, Keys, Operator, Random, Role, Seeding, Store,
};
use serde_json::json;
use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    time::{Duration, Instant},
};

/// A configuration whose old key stands elsewhere.
fn old_key_from(reference: &str) -> String {
    let head = format!("[key.default]\nold = {reference}\nnew = \"env:NEW_KEY\"\n");
    Configuration { head, ..Configuration::default() }.text()
}

fn write(path: &Path, bytes: &[u8], mode: u32) {
    fs::write(path, bytes).expect("a file");
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("permissions");
}

/// Nothing of the key, in whatever was said.
#[track_caller]
fn assert_not_shown(finished: &Finished) {
    let mut canary = Canary::default();
    canary.secret("the old key", &KEYS.old);
    canary.secret("the new key", &KEYS.new);
    let said = format!("{}{}", finished.stdout, finished.stderr);
    assert_eq!(canary.search("the output", said.as_bytes()), Vec::new(), "{finished}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_file_holds_the_key_and_at_most_a_newline() {
    let db = Database::sqlite(&Seeding::clean(20)).await;
    let operator = operator(&db).unset("OLD_KEY");
    let hex = KEYS.old_hex();
    let base64 = data_encoding::BASE64.encode(&KEYS.old);
    let file = operator.folder().join("old.key");
    let with = |more: &str| operator.configure(&old_key_from(&format!("{{ from = 'file:old.key'{more} }}")));
    for (bytes, more) in [
        (format!("{hex}\n"), ""),
        (format!("{hex}\r\n"), ""),
        (hex.to_ascii_uppercase(), ""),
        (format!("{base64}\n"), ", decode = 'base64'"),
        (base64.trim_end_matches('=').to_owned(), ", decode = 'base64'"),
    ] {
        write(&file, bytes.as_bytes(), 0o600);
        with(more);
        operator.run(&["plan"]).await.expect_code(0);
    }
    write(&file, &KEYS.old, 0o400);
    with(", decode = 'raw'");
    operator.run(&["plan"]).await.expect_code(0);

    with("");
    for (bytes, code) in [
        (format!("\u{feff}{hex}\n"), "key_malformed"),
        (format!("{hex}  \n"), "key_malformed"),
        (format!("{hex}\n\n"), "key_malformed"),
        (format!("\"{hex}\"\n"), "key_malformed"),
        (format!("0x{hex}"), "key_malformed"),
        (format!("OLD_KEY={hex}\n"), "key_malformed"),
        (base64.clone(), "key_malformed"),
        (hex[..62].to_owned(), "key_length"),
        ("\n".to_owned(), "key_missing"),
        (String::new(), "key_missing"),
        ("0".repeat(65 << 10), "key_file"),
    ] {
        write(&file, bytes.as_bytes(), 0o600);
        let refused = operator.run(&["run", "--yes", "-vvv"]).await;
        refused.expect_refusal(code, &["old.key", "key.default.old"]);
        assert_not_shown(&refused);
        if code == "key_malformed" {
            refused.expect_refusal(code, &["byte order mark", "quotes", "blanks", "0x"]);
        }
    }
    fs::remove_file(&file).expect("the file");
    operator.run(&["plan", "-q"]).await.expect_code(1);
    operator.run(&["run", "--yes"]).await.expect_refusal("key_file", &["old.key", "ls -l"]);
    fs::create_dir(&file).expect("a folder");
    operator.run(&["run", "--yes"]).await.expect_refusal("key_file", &["not a regular file"]);
    operator.configure(&old_key_from("'file:~/old.key'"));
    operator.run(&["run", "--yes"]).await.expect_refusal("key_file", &["no home directory"]);
    assert_eq!(Store(&db).rows().await, 0);
}

/// As External Secrets Operator and kubelet lay a secret out, and replace it; and as nobody should.
#[tokio::test(flavor = "multi_thread")]
async fn a_secret_mount_is_followed_and_nothing_that_others_can_read() {
    let db = Database::sqlite(&Seeding::clean(60)).await;
    let operator = operator(&db).unset("OLD_KEY").unset("NEW_KEY").unset("DATABASE_URL");
    let mount = operator.folder().join("secrets");
    let version = |name: &str, old: &str| {
        let folder = mount.join(name);
        fs::create_dir_all(&folder).expect("a folder");
        let url = db.url();
        for (key, text) in [("old", old), ("new", &KEYS.new_hex()), ("url", &url)] {
            write(&folder.join(key), text.as_bytes(), 0o644);
        }
        symlink(name, mount.join("..data_tmp")).expect("a link");
        fs::rename(mount.join("..data_tmp"), mount.join("..data")).expect("the link is replaced at once");
    };
    version("..2026_11_24", &KEYS.old_hex());
    for key in ["old", "new", "url"] {
        symlink(format!("..data/{key}"), mount.join(key)).expect("a link");
    }
    let head =
        "[database]\nurl = 'file:secrets/url'\n[key.default]\nold = 'file:secrets/old'\nnew = 'file:secrets/new'\n";
    operator.configure(&Configuration { head: head.to_owned(), ..Configuration::default() }.text());
    operator.run(&["run", "--yes", "--canary", "20"]).await.expect_code(1);
    // The operator of the cluster puts another version into the mount: the run knows its keys.
    version("..2026_11_25", &Keys { old: Random::of_test("mount").bytes(), ..KEYS }.old_hex());
    operator.run(&["run", "--resume"]).await.expect_refusal("key_changed", &[]);
    version("..2026_11_26", &KEYS.old_hex());
    operator.run(&["run", "--resume"]).await.expect_code(0);

    let elsewhere = tempfile::tempdir().expect("a folder");
    write(&elsewhere.path().join("old"), KEYS.old_hex().as_bytes(), 0o600);
    let old = mount.join("old");
    for (mode, words) in [(0o644, "chmod 600"), (0o640, "chmod 600"), (0o604, "chmod 600")] {
        fs::remove_file(&old).expect("what was there");
        write(&old, KEYS.old_hex().as_bytes(), mode);
        operator.run(&["verify"]).await.expect_refusal("key_file", &["key.default.old", words]);
        let doctor = operator.run(&["doctor"]).await.expect_code(1);
        assert!(doctor.checks("fail").iter().any(|(name, told)| name == "key.default.old" && told.contains(words)));
    }
    fs::remove_file(&old).expect("what was there");
    symlink(elsewhere.path().join("old"), &old).expect("a link");
    operator.run(&["verify"]).await.expect_refusal("key_file", &["out of its own directory"]);
}

/// Invariant 15. A run has the keys that it began with; whoever joins or goes on must bring the same ones.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_file_that_is_swapped_under_a_run_changes_nothing_and_is_refused_at_the_next_start() {
    let seeding = Seeding::clean(1500);
    let db = Database::postgres(&seeding).await;
    let audit = Audit::new(&seeding, db.patients().await);
    let operator = operator(&db).unset("NEW_KEY");
    let head = "[key.default]\nold = 'env:OLD_KEY'\nnew = 'file:new.key'\n".to_owned();
    operator.configure(&Configuration { head, ..Configuration::default() }.text());
    let another = Keys { new: Random::of_test("swapped").bytes(), ..KEYS }.new_hex();
    let slow = ["run", "--resume", "--yes", "--batch-rows", "25", "--max-rows-per-second", "400"];
    let under_way = async |more: i64| {
        let (began, before) = (Instant::now(), Store(&db).progress().await.rows);
        while Store(&db).progress().await.rows < before + more {
            assert!(began.elapsed().as_secs() < 60, "the run does not get on");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    operator.write("new.key", &KEYS.new_hex());
    let killed = operator.start(&slow);
    under_way(100).await;
    operator.write("new.key", &another);
    // It goes on under the key that it has.
    under_way(100).await;
    killed.kill().await;
    audit.assert_in_between(&db.patients().await);
    let now = db.patients().await;
    operator.run(&["run", "--resume", "--yes"]).await.expect_refusal("key_changed", &["key"]);
    assert_eq!(db.patients().await, now, "a refused resume wrote");

    operator.write("new.key", &KEYS.new_hex());
    let running = operator.start(&slow);
    under_way(100).await;
    operator.write("new.key", &another);
    operator.run(&["run", "--resume", "--yes"]).await.expect_refusal("key_changed", &[]);
    let ended = running.finish().await.expect_code(0);
    assert_eq!(ended.state(), "finished", "{ended}");
    audit.assert_rotated(&db.patients().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dotenv_file_says_one_thing() {
    let db = Database::sqlite(&Seeding::clean(20)).await;
    let operator = operator(&db).unset("OLD_KEY").unset("NEW_KEY").unset("DATABASE_URL");
    let (old, new, url) = (KEYS.old_hex(), KEYS.new_hex(), db.url());
    for text in [
        format!("OLD_KEY={old}\nNEW_KEY={new}\nDATABASE_URL={url}\n"),
        format!("# pulled\r\nexport OLD_KEY='{old}'\r\nNEW_KEY=\"{new}\" # new\r\n\r\nDATABASE_URL=\"{url}\"\r\n"),
        format!("\u{feff}OLD_KEY={old}\nNEW_KEY = {new}\nPEM=\"-----BEGIN\ntwo lines\n\"\nDATABASE_URL='{url}'\n"),
        format!("OLD_KEY={old}\nNEW_KEY={new}\nOLD_KEY={old}\nDATABASE_URL={url}"),
    ] {
        operator.write(".env.local", &text);
        let plan = operator.run(&["plan", "--env-file", ".env.local"]).await.expect_code(0);
        assert_not_shown(&plan);
    }
    for (text, word) in [
        (format!("OLD_KEY={old}\nNEW_KEY={new}\nNEW_KEY={old}\nDATABASE_URL={url}"), "NEW_KEY stands there twice"),
        (format!("OLD_KEY={old}\nNEW_KEY: {new}\nDATABASE_URL={url}"), "first 1 variables"),
        (format!("OLD_KEY='{old}\nDATABASE_URL={url}"), "first 0 variables"),
        (old.clone(), "first 0 variables"),
    ] {
        operator.write(".env.local", &text);
        for command in [&["run", "--yes"][..], &["doctor"], &["status"], &["key", "check", "--from", "env:OLD_KEY"]] {
            let refused = operator.run(&[command, &["--env-file", ".env.local"]].concat()).await;
            refused.expect_refusal("env_file", &[".env.local", word]);
            assert_not_shown(&refused);
        }
    }
    // The environment's value is used where both have one, and that is said.
    operator.write(".env.local", &format!("OLD_KEY={old}\nNEW_KEY={old}\nDATABASE_URL={url}\n"));
    let operator = operator.set("NEW_KEY", &new);
    let plan = operator.run(&["plan", "--env-file", ".env.local"]).await.expect_code(0);
    assert!(plan.stderr.contains("NEW_KEY has another value in .env.local"), "{plan}");
    assert_not_shown(&plan);
}

/// Secrets of every form in Secrets Manager: bytes, nested documents, spelled in base64, a database's URL among other members.
#[tokio::test(flavor = "multi_thread")]
async fn a_secret_may_be_bytes_or_a_member() {
    let aws = Aws::emulated();
    let db = Database::postgres(&Seeding::clean(20)).await;
    let operator = operator(&db).unset("OLD_KEY").unset("DATABASE_URL").aws(&aws.url());
    let bytes = aws.binary_secret(&KEYS.old).await;
    let members = json!({ "url": db.url(), "old": data_encoding::BASE64.encode(&KEYS.old), "a.b": KEYS.old_hex(),
        "nested": { "old": KEYS.old_hex() }, "list": [KEYS.old_hex()], "empty": "", "null": null });
    let members = aws.secret(&members.to_string()).await;
    let with = |key: &str| {
        let head = format!(
            "[database]\nurl = 'aws-secretsmanager:{members}#url'\n[key.default]\nold = {key}\nnew = 'env:NEW_KEY'\n"
        );
        operator.configure(&Configuration { head, ..Configuration::default() }.text());
    };
    for right in [
        format!("{{ from = 'aws-secretsmanager:{bytes}', decode = 'raw' }}"),
        format!("{{ from = 'aws-secretsmanager:{members}#old', decode = 'base64' }}"),
        format!("'aws-secretsmanager:{members}#a.b'"),
    ] {
        with(&right);
        let plan = operator.run(&["plan"]).await.expect_code(0);
        assert_not_shown(&plan);
        assert!(!plan.stdout.contains(db.as_postgres().password()), "{plan}");
    }
    for (wrong, code) in [
        (format!("'aws-secretsmanager:{bytes}'"), "key_malformed"),
        (format!("'aws-secretsmanager:{bytes}#old'"), "secret_not_json"),
        (format!("'aws-secretsmanager:{members}#nested'"), "secret_property"),
        (format!("'aws-secretsmanager:{members}#nested.old'"), "secret_property"),
        (format!("'aws-secretsmanager:{members}#list'"), "secret_property"),
        (format!("'aws-secretsmanager:{members}#null'"), "secret_property"),
        (format!("'aws-secretsmanager:{members}#empty'"), "key_missing"),
        (format!("'aws-secretsmanager:{members}#old'"), "key_malformed"),
    ] {
        with(&wrong);
        let refused = operator.run(&["run", "--yes", "-vvv"]).await;
        refused.expect_refusal(code, &["key.default.old"]);
        assert_not_shown(&refused);
    }
    // A secret that is a number, or bytes that are no text, is no URL.
    let head = format!("[database]\nurl = 'aws-secretsmanager:{bytes}'\n[key.default]\nnew = 'env:NEW_KEY'\n");
    operator.configure(&Configuration { head, ..Configuration::default() }.text());
    operator.run(&["status"]).await.expect_refusal("key_malformed", &["database.url", "UTF-8"]);
    assert_eq!(Store(&db).rows().await, 0);
}

/// What is no reference is not repeated, wherever it stands: it may be the key.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_reference_is_refused() {
    let db = Database::sqlite(&Seeding::clean(20)).await;
    let operator = operator(&db);
    let hex = KEYS.old_hex();
    for reference in [
        "",
        "env:",
        "env:OLD KEY",
        "env:1KEY",
        "file:",
        "aws-secretsmanager:",
        "vault:phi",
        "OLD_KEY",
        "$OLD_KEY",
        &hex,
    ] {
        let refused = operator.run(&["key", "check", "--from", reference]).await;
        refused.expect_refusal("key_reference", &["env:NAME"]);
        assert_not_shown(&refused);
        operator.configure(&old_key_from(&format!("'{reference}'")));
        let refused = operator.run(&["run", "--yes"]).await;
        assert_eq!(refused.code(), Some(2), "{reference} is taken for a reference: {refused}");
        assert_not_shown(&refused);
        let doctor = operator.run(&["doctor"]).await;
        assert!(doctor.code() != Some(0), "{reference} is taken for a reference: {doctor}");
        assert_not_shown(&doctor);
        operator.configure(&Configuration::default().text());
    }
    let kms = "{ kms = 'env:OLD_KEY', key_id = '' }";
    operator.configure(&old_key_from(kms));
    assert_eq!(operator.run(&["run", "--yes"]).await.code(), Some(2));
    assert_eq!(Store(&db).rows().await, 0);
}

/// The fourth minute of an incident: no configuration yet, maybe no database in reach, and a string that somebody found.
#[tokio::test(flavor = "multi_thread")]
async fn key_check_answers_whatever_else_is_missing() {
    let db = Database::postgres(&Seeding::clean(40)).await;
    let lost = Keys { old: KEYS.lost, ..KEYS }.old_hex();
    let bare = Operator::without_configuration(TOOL).set("DATABASE_URL", &db.url()).set("LEAKED", &KEYS.old_hex());
    let bare = bare.set("OTHER", &lost);
    let check = async |operator: &Operator, from: &str| operator.run(&["key", "check", "--from", from]).await;
    let ours = check(&bare, "env:LEAKED").await.expect_code(0).json();
    assert_eq!(ours["matches"], json!([]), "no key is at hand to compare it with");
    assert!(ours["opened"].as_u64() > Some(0) && ours["columns"][0]["column"] == "public.Patient.firstName", "{ours}");
    let other = check(&bare, "env:OTHER").await.expect_code(0);
    assert_eq!((&other.json()["opened"], &other.json()["columns"]), (&json!(0), &json!([])), "{other}");
    let typed = bare.run_as_typed(&["key", "check", "--from", "env:OTHER"]).await.expect_code(0);
    assert!(typed.stdout.contains("none of the configured keys") && typed.stdout.contains("opens nothing"), "{typed}");

    // By its fingerprint a key is known without a database.
    for url in [
        "postgres://somebody:a-secret-password@127.0.0.1:1/clinic",
        &db.as_postgres().url(Role::Read).replace("_read", "_nobody"),
    ] {
        let away = operator(&db).set("DATABASE_URL", url).set("LEAKED", &KEYS.old_hex());
        let told = check(&away, "env:LEAKED").await.expect_code(1);
        assert_eq!(told.json()["matches"], json!(["key.default.old"]), "{told}");
        assert_eq!(told.json()["opened"], json!(null), "{told}");
        let typed = away.run_as_typed(&["key", "check", "--from", "env:LEAKED"]).await.expect_code(1);
        assert!(typed.stdout.contains("it is key.default.old") && typed.stdout.contains("not known"), "{typed}");
        assert_not_shown(&typed);
    }
    check(&operator(&db).unset("DATABASE_URL").set("LEAKED", &KEYS.old_hex()), "env:LEAKED").await.expect_code(1);
}

/// What AWS's library would log is whole answers of whoever sits at an address. It is not heard, however loud the rest is.
#[tokio::test(flavor = "multi_thread")]
async fn the_library_of_aws_logs_nothing() {
    let answering = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", answering.local_addr().expect("an address"));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = answering.accept().await {
            let answer = b"HTTP/1.1 403 No\r\nContent-Length: 18\r\nConnection: close\r\n\r\ncanary-of-an-answer";
            let _ = tokio::io::AsyncReadExt::read(&mut stream, &mut [0; 4096]).await;
            let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, answer).await;
        }
    });
    let operator = Operator::without_configuration(TOOL).set("AWS_EC2_METADATA_SERVICE_ENDPOINT", &url);
    for more in [&[][..], &["-vvv"], &["-vvv", "--log-format", "json"]] {
        let poor = operator.run_as_typed(&[&["keygen", "--secret-id", "phi"], more].concat()).await.expect_code(2);
        assert!(poor.stderr.contains("AWS_REGION"), "{poor}");
        assert!(!poor.stderr.contains("canary-of") && !poor.stderr.contains("aws_config"), "{poor}");
    }
}
