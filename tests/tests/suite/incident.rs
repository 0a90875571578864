//! `docs/incident.md` as it is read at three in the morning: its commands are typed as they stand, in their order, and do what the page says.
use crate::TOOL;
use reencrypt_tests::{Audit, Aws, Database, Finished, KEYS, Keys, Operator, Seeding};
use serde_json::Value;

const PAGE: &str = include_str!("../../../docs/incident.md");

/// What stands between backticks in a part of the page.
fn spans(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The commands of the engineer's table, in its order.
fn commands_of_the_engineer() -> Vec<&'static str> {
    let part = PAGE.split("## On-call engineer").nth(1).expect("the engineer's part");
    let part = part.split("\n## ").next().expect("it has an end");
    let rows = part.lines().filter(|line| line.starts_with("| "));
    let last_cells = rows.filter_map(|row| row.trim_end_matches([' ', '|']).rsplit("| ").next());
    last_cells.flat_map(spans).filter(|span| span.contains("reencrypt ")).collect()
}

/// Every command of every role is one that the tool has, with the options that it has.
#[tokio::test(flavor = "multi_thread")]
async fn every_command_of_the_pages_is_known() {
    let operator = Operator::without_configuration(TOOL);
    let typed: Vec<&str> = spans(PAGE).filter_map(|span| Some(span.split_once("reencrypt ")?.1)).collect();
    assert!(typed.len() > 20, "{typed:?}");
    for command in typed {
        let words = command.trim_end_matches(" > new.key)").split(' ').filter(|word| !word.is_empty());
        let words: Vec<&str> = words.chain(["--help"]).collect();
        let help = operator.run_as_typed(&words).await;
        assert_eq!(help.code(), Some(0), "`reencrypt {command}`\n{help}");
    }
}

/// From the leaked string to the proof, by the engineer's page alone. The old key is in the environment, as the application has it.
#[tokio::test(flavor = "multi_thread")]
async fn the_page_of_the_engineer_works_as_it_is_written() {
    let aws = Aws::emulated();
    let seeding = Seeding::clean(600);
    let db = Database::postgres(&seeding).await;
    let before = db.patients().await;
    let operator = Operator::without_configuration(TOOL).set("DATABASE_URL", &db.url()).set("OLD_KEY", &KEYS.old_hex());
    let jwt = "b1946ac92492d2347c6235b4d2611184f0a7e1d6c2f5e83a9d40b7c6152e9f38";
    let operator = operator.set("ENCRYPTION_KEY", &KEYS.old_hex()).set("JWT_SECRET", jwt).aws(&aws.url());
    operator.write("leaked", &(KEYS.old_hex() + "\n"));
    let (key_id, secret) = (aws.kms_key().await, aws.secret("none yet").await);

    let mut page = commands_of_the_engineer().into_iter();
    let mut next = |expected: &str| assert_eq!(page.next(), Some(expected), "the page says something else");
    next("reencrypt doctor --for plan");
    operator.run(&["doctor", "--for", "plan"]).await.expect_code(0);
    next("reencrypt key check --from file:leaked");
    let ours = operator.run(&["key", "check", "--from", "file:leaked"]).await.expect_code(0).json();
    assert_eq!(ours["matches"], serde_json::json!(["key.default.old"]));
    next("reencrypt plan");
    operator.run(&["plan"]).await.expect_code(0);
    next("reencrypt plan --full");
    let exposed = operator.run(&["plan", "--full"]).await.expect_code(0).json();
    assert!(exposed["exposure"][0]["rows"].as_u64() > Some(500), "{exposed}");
    next("reencrypt init --write reencrypt.toml");
    operator.run(&["init", "--write", "reencrypt.toml"]).await.expect_code(0);

    next("reencrypt keygen --kms-key-id KEY --secret-id ID");
    let made = operator.run(&["keygen", "--kms-key-id", &key_id, "--secret-id", &secret]).await.expect_code(0).json();
    next("(umask 077; reencrypt keygen --local > new.key)");
    let local = operator.run_as_typed(&["keygen", "--local"]).await.expect_code(0);
    operator.write("new.key", &local.stdout);
    let made_by_hand = data_encoding::HEXLOWER.decode(local.stdout.trim_end().as_bytes()).expect("hex digits");

    next("reencrypt doctor");
    let by_init = configuration(&operator);
    let reference = made["reference"].as_str().expect("a line for the configuration");
    configure(&operator, &by_init, "production", reference);
    operator.run(&["doctor"]).await.expect_code(0);
    // The copy is rotated to the key of the file, so that both kinds of new key are seen.
    let copy = db.copy().await;
    next("reencrypt run");
    next("reencrypt verify");
    let rehearsal =
        Operator::without_configuration(TOOL).set("DATABASE_URL", &copy.url()).set("OLD_KEY", &KEYS.old_hex());
    rehearsal.write("new.key", &local.stdout);
    configure(&rehearsal, &by_init, "rehearsal", "\"file:new.key\"");
    rehearsal.run(&["run", "--yes"]).await.expect_code(0);
    expect_proof(&rehearsal.run(&["verify"]).await);
    let keys = Keys { new: made_by_hand.try_into().expect("32 bytes"), ..KEYS };
    Audit::new(&Seeding { keys, ..seeding.clone() }, before.clone()).assert_rotated(&copy.patients().await);

    next("reencrypt plan --out plan.json");
    let plan = operator.run(&["plan", "--out", "plan.json"]).await.expect_code(0).json();
    let id = plan["plan_id"].as_str().expect("an id");
    assert_eq!(plan["keys"][0]["new_version"], made["version_id"]);
    next("reencrypt run --plan-id ID --canary 100 --approved-by NAME --ticket TICKET");
    let canary = ["run", "--plan-id", id, "--canary", "100", "--approved-by", "the lead", "--ticket", "INC-7"];
    let asked = operator.run(&canary).await.expect_code(2);
    assert!(asked.stdout.contains("--yes") && PAGE.contains("add `--yes --readers-ready`"), "{asked}");
    let paused = operator.run(&[&canary[..], &["--yes", "--readers-ready"]].concat()).await.expect_code(1);
    assert_eq!(paused.state(), "paused", "{paused}");
    next("reencrypt run --resume");
    let ended = operator.run(&["run", "--resume"]).await.expect_code(0);
    assert_eq!(ended.state(), "finished", "{ended}");
    next("reencrypt status --watch");
    operator.run_as_typed(&["status", "--watch"]).await.expect_code(0);
    next("reencrypt run --resume");
    next("reencrypt sweep --every 10m --for 24h");
    operator.run(&["sweep", "--every", "1s", "--for", "2s", "--yes"]).await.expect_code(0);
    next("reencrypt quarantine list");
    operator.run(&["quarantine", "list"]).await.expect_code(0);
    next("reencrypt verify --output json");
    expect_proof(&operator.run_as_typed(&["verify", "--output", "json"]).await);
    next("reencrypt verify");
    expect_proof(&operator.run(&["verify"]).await);
    assert_eq!(page.next(), None, "the page has one more command");
}

/// The statement to keep.
#[track_caller]
fn expect_proof(verify: &Finished) {
    assert_eq!((verify.code(), &verify.json()["old_key_needed"]), (Some(0), &Value::Bool(false)), "{verify}");
}

fn configuration(operator: &Operator) -> String {
    std::fs::read_to_string(operator.folder().join("reencrypt.toml")).expect("what init wrote")
}

/// What init wrote, with the environment's name and the new key's place put in.
fn configure(operator: &Operator, by_init: &str, environment: &str, new_key: &str) {
    let text = by_init
        .replace("# [environment]\n# name = \"production\"", &format!("[environment]\nname = \"{environment}\""));
    let text = text.replace("new = \"env:NEW_KEY\"", &format!("new = {new_key}"));
    assert!(text.contains(environment) && text.contains(new_key), "{text}");
    operator.configure(&text);
}
