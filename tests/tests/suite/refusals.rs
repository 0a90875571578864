//! Bad input gets a clear error with the next command, exit code 2 (for `plan`: a `fail` finding, exit code 1), and nothing is written.
use crate::{Engine, operator};
use reencrypt_tests::{Audit, COLUMNS, Configuration, Database, FORMAT, KEYS, Keys, Operator, Random, Seeding, Store};
use std::time::{Duration, Instant};

on_both_engines!(
    a_key_that_is_missing_malformed_or_of_the_wrong_length,
    the_same_key_twice,
    the_wrong_old_key_is_refused_on_the_sample_before_the_first_write,
    a_missing_table_or_column_comes_with_the_nearest_name,
    a_column_in_another_format_than_the_declared_one,
    a_table_without_a_primary_key,
    a_view,
    a_plan_made_for_another_schema,
    a_second_run_while_one_is_unfinished,
    a_resume_with_another_key_environment_or_configuration,
    a_checkpoint_of_another_version,
    a_literal_key_in_the_file_is_refused_without_being_repeated,
    an_unknown_member_comes_with_the_nearest_known_one,
    production_asks_for_the_plans_id,
    without_a_terminal_a_run_needs_yes,
    init_says_what_cannot_be_rotated_as_it_stands,
    what_is_found_out_of_reach_is_named_where_it_is_all,
    a_key_that_cannot_be_read_keeps_no_other_from_finding_columns,
    abandon_looks_for_a_run_before_it_asks,
    a_file_that_exists_is_not_written_over,
);

/// A database, what stood in it, and an operator.
struct Scene {
    db: Database,
    audit: Audit,
    operator: Operator,
}

impl Scene {
    async fn new(engine: Engine, rows: i64) -> Self {
        let seeding = Seeding::clean(rows);
        let db = engine.seeded(&seeding).await;
        let audit = Audit::new(&seeding, db.patients().await);
        Self { operator: operator(&db), audit, db }
    }

    /// `run` is refused with a code and names; no byte of the table changed and the store knows of no run.
    async fn refused(&self, operator: &Operator, code: &str, names: &[&str]) {
        operator.run(&["run", "--yes"]).await.expect_refusal(code, names);
        operator.run(&["run", "--resume", "--yes"]).await.expect_refusal(code, names);
        self.nothing_written().await;
    }

    /// `plan` says the same as a finding.
    async fn finding(&self, operator: &Operator, code: &str, names: &[&str]) {
        let plan = operator.run(&["plan"]).await.expect_code(1);
        assert!(plan.findings("fail").contains(&code.to_owned()), "{plan}");
        for name in names {
            assert!(plan.stdout.contains(name), "{name} is not named: {plan}");
        }
    }

    async fn nothing_written(&self) {
        self.audit.assert_unchanged(&self.db.patients().await);
        assert_eq!(Store(&self.db).rows().await, 0, "the store has rows");
    }
}

async fn a_key_that_is_missing_malformed_or_of_the_wrong_length(engine: Engine) {
    let scene = Scene::new(engine, 20).await;
    let with = |name: &str, value: &str| operator(&scene.db).set(name, value);
    for name in ["OLD_KEY", "NEW_KEY"] {
        scene.refused(&operator(&scene.db).unset(name), "key_missing", &[name]).await;
        scene.refused(&with(name, ""), "key_missing", &[name]).await;
        let not_hex = "z".repeat(64);
        scene.refused(&with(name, &not_hex), "key_malformed", &[name]).await;
        scene.refused(&with(name, &KEYS.old_hex()[..62]), "key_length", &[name]).await;
        scene.refused(&with(name, &format!("{}aa", KEYS.old_hex())), "key_length", &[name]).await;
        scene.finding(&with(name, &not_hex), "key_malformed", &[name]).await;
        scene.finding(&with(name, &KEYS.old_hex()[..62]), "key_length", &[name]).await;
    }
    // A key that could be guessed is none to rotate to.
    let weak = with("NEW_KEY", &"00".repeat(32));
    scene.refused(&weak, "weak_key", &["keygen"]).await;
    scene.finding(&weak, "weak_key", &["equal"]).await;
    let keyless = operator(&scene.db).unset("OLD_KEY").unset("NEW_KEY");
    scene.finding(&keyless, "key_missing", &["OLD_KEY"]).await;
    std::fs::remove_file(keyless.folder().join("reencrypt.toml")).expect("the configuration");
    scene.finding(&keyless, "key_missing", &["OLD_KEY"]).await;
    // One newline at the end is what an editor leaves.
    let newline = with("OLD_KEY", &format!("{}\n", KEYS.old_hex()));
    newline.run(&["plan"]).await.expect_code(0);
}

async fn the_same_key_twice(engine: Engine) {
    let scene = Scene::new(engine, 20).await;
    let same = operator(&scene.db).set("NEW_KEY", &KEYS.old_hex());
    scene.finding(&same, "same_key", &[]).await;
    scene.refused(&same, "same_key", &[]).await;
}

/// Invariant 6: a wrong key is not a thousand unreadable values.
async fn the_wrong_old_key_is_refused_on_the_sample_before_the_first_write(engine: Engine) {
    let scene = Scene::new(engine, 1500).await;
    let wrong = operator(&scene.db).keys(&Keys { old: Random::of_test("wrong_key").bytes(), ..KEYS });
    scene.finding(&wrong, "wrong_key", &["firstName"]).await;
    scene.refused(&wrong, "wrong_key", &["firstName"]).await;
    // Old and new the wrong way round: nothing is under the key that is to be left.
    let swapped =
        operator(&scene.db).keys(&Keys { old: KEYS.new, new: Random::of_test("wrong_key").fork(1).bytes(), ..KEYS });
    scene.refused(&swapped, "wrong_key", &[]).await;
}

async fn a_missing_table_or_column_comes_with_the_nearest_name(engine: Engine) {
    let scene = Scene::new(engine, 20).await;
    scene.operator.configure(&Configuration { table: "Patients".to_owned(), ..Configuration::default() }.text());
    scene.finding(&scene.operator, "table_missing", &["Patients", "Patient`?"]).await;
    scene.refused(&scene.operator, "table_missing", &["Patient`?"]).await;
    let text = Configuration::default().text().replace("\nfirstName = ", "\nfirstname = ");
    scene.operator.configure(&text);
    scene.finding(&scene.operator, "column_missing", &["firstname", "firstName`?"]).await;
    scene.refused(&scene.operator, "column_missing", &["firstName`?"]).await;
}

async fn a_table_without_a_primary_key(engine: Engine) {
    let scene = Scene::new(engine, 20).await;
    scene.db.execute(r#"CREATE TABLE "Archive" AS SELECT * FROM "Patient""#).await;
    grant(&scene.db, "Archive").await;
    scene.operator.configure(&Configuration { table: "Archive".to_owned(), ..Configuration::default() }.text());
    scene.finding(&scene.operator, "no_row_key", &["Archive"]).await;
    scene.refused(&scene.operator, "no_row_key", &["Archive"]).await;
}

async fn a_view(engine: Engine) {
    let scene = Scene::new(engine, 20).await;
    scene.db.execute(r#"CREATE VIEW "Living" AS SELECT * FROM "Patient""#).await;
    grant(&scene.db, "Living").await;
    scene.operator.configure(&Configuration { table: "Living".to_owned(), ..Configuration::default() }.text());
    scene.finding(&scene.operator, "not_a_table", &["Living"]).await;
    scene.refused(&scene.operator, "not_a_table", &["Living"]).await;
}

async fn grant(db: &Database, table: &str) {
    if let Database::Postgres(postgres) = db {
        let role = postgres.role(reencrypt_tests::Role::Run);
        let columns = COLUMNS.map(|column| format!("\"{column}\"")).join(", ");
        db.execute(&format!(
            r#"GRANT SELECT ON "{table}" TO {role}; GRANT UPDATE ({columns}, "emailHash", "dobHash") ON "{table}" TO {role}"#
        ))
        .await;
    }
}

/// Invariant 15: what was approved is what runs.
async fn a_plan_made_for_another_schema(engine: Engine) {
    let scene = Scene::new(engine, 600).await;
    let plan = scene.operator.run(&["plan", "--out", "plan.json"]).await.expect_code(0);
    let id = plan.json()["plan_id"].as_str().expect("an id").to_owned();
    scene.db.execute(r#"ALTER TABLE "Patient" ADD COLUMN "middleName" text"#).await;
    let now = scene.operator.run(&["plan"]).await.json()["plan_id"].as_str().expect("an id").to_owned();
    let both = [&*format!("plan {id} was approved"), &format!("now is {now}")];
    scene.operator.run(&["run", "--yes", "--plan-id", &id]).await.expect_refusal("plan_changed", &both);
    // The whole plan at hand, the first difference has a name.
    scene.operator.run(&["run", "--yes", "--plan-id", "plan.json"]).await.expect_refusal("plan_changed", &["Patient"]);
    scene
        .operator
        .run(&["run", "--yes", "--plan-id", "plan.jsn"])
        .await
        .expect_refusal("plan_unreadable", &["plan.jsn"]);
    scene.audit.assert_unchanged_but_for_new_columns(&scene.db.patients().await);
    assert_eq!(Store(&scene.db).rows().await, 0);
    // The plan made now is one that can be approved, and runs.
    let plan = scene.operator.run(&["plan"]).await.expect_code(0);
    let id = plan.json()["plan_id"].as_str().expect("an id").to_owned();
    let started = scene.operator.run(&["run", "--yes", "--plan-id", &id, "--canary", "50"]).await.expect_code(1);
    assert_eq!(started.state(), "paused", "{started}");
    // A run that goes on after the schema changed under it is refused too, and goes on once it is as it was.
    let now = scene.db.patients().await;
    scene.db.execute(r#"ALTER TABLE "Patient" ADD COLUMN "suffix" text"#).await;
    scene.operator.run(&["run", "--resume"]).await.expect_refusal("plan_changed", &["Patient"]);
    scene.db.execute(r#"ALTER TABLE "Patient" DROP COLUMN "suffix""#).await;
    assert_eq!(scene.db.patients().await, now, "a refused resume wrote");
    scene.operator.run(&["run", "--resume"]).await.expect_code(0);
}

async fn a_second_run_while_one_is_unfinished(engine: Engine) {
    let scene = Scene::new(engine, 600).await;
    scene.operator.run(&["run", "--yes", "--canary", "50"]).await.expect_code(1);
    let now = scene.db.patients().await;
    assert!(!scene.audit.moved(&now).is_empty() && scene.audit.moved(&now).len() < 600);
    scene.operator.run(&["run", "--yes"]).await.expect_refusal("unfinished_run", &["run --resume"]);
    assert_eq!(scene.db.patients().await, now, "a refused run wrote");
    let status = scene.operator.run(&["status"]).await.expect_code(0);
    assert_eq!(status.state(), "paused", "{status}");
    scene.operator.run(&["run", "--resume"]).await.expect_code(0);
    scene.audit.assert_rotated(&scene.db.patients().await);
}

/// Invariant 15: a run is bound to its plan, its environment and its keys.
async fn a_resume_with_another_key_environment_or_configuration(engine: Engine) {
    let scene = Scene::new(engine, 600).await;
    scene.operator.run(&["run", "--yes", "--canary", "50"]).await.expect_code(1);
    let now = scene.db.patients().await;
    let mut random = Random::of_test("another_key");
    let other_new = operator(&scene.db).keys(&Keys { new: random.bytes(), ..KEYS });
    other_new.run(&["run", "--resume"]).await.expect_refusal("key_changed", &[]);
    let other_old = operator(&scene.db).keys(&Keys { old: random.bytes(), ..KEYS });
    other_old.run(&["run", "--resume"]).await.expect_refusal("key_changed", &[]);
    let elsewhere = operator(&scene.db);
    elsewhere.configure(&Configuration { environment: "staging".to_owned(), ..Configuration::default() }.text());
    elsewhere.run(&["run", "--resume"]).await.expect_refusal("environment_changed", &[]);
    let fewer = operator(&scene.db);
    fewer.configure(&Configuration { blind_indexes: false, ..Configuration::default() }.text());
    fewer.run(&["run", "--resume"]).await.expect_refusal("plan_changed", &[]);
    assert_eq!(scene.db.patients().await, now, "a refused resume wrote");
    scene.operator.run(&["run", "--resume"]).await.expect_code(0);
    scene.audit.assert_rotated(&scene.db.patients().await);
}

async fn a_checkpoint_of_another_version(engine: Engine) {
    let scene = Scene::new(engine, 600).await;
    scene.operator.run(&["run", "--yes", "--canary", "50"]).await.expect_code(1);
    let migrations = scene
        .db
        .store_tables()
        .await
        .into_iter()
        .find(|name| name.contains("migrations"))
        .expect("a table of versions");
    // As a later version of the tool would leave it.
    scene
        .db
        .execute(&format!(
            "INSERT INTO {migrations} (version, description, success, checksum, execution_time) SELECT 9999, 'later', success, checksum, execution_time FROM {migrations} LIMIT 1"
        ))
        .await;
    let now = scene.db.patients().await;
    for arguments in [&["run", "--resume"][..], &["run", "--yes"], &["sweep", "--yes"], &["status"]] {
        scene.operator.run(arguments).await.expect_refusal("store_version", &[]);
    }
    assert_eq!(scene.db.patients().await, now, "a refused command wrote");
    // verify trusts no checkpoint, of whatever version.
    assert_eq!(scene.operator.run(&["verify"]).await.expect_code(1).json()["old_key_needed"], true);
    scene.db.execute(&format!("DELETE FROM {migrations} WHERE version = 9999")).await;
    scene.operator.run(&["run", "--resume"]).await.expect_code(0);
}

async fn a_literal_key_in_the_file_is_refused_without_being_repeated(engine: Engine) {
    let scene = Scene::new(engine, 20).await;
    let head = format!("[key.default]\nold = \"{}\"\nnew = \"env:NEW_KEY\"\n", KEYS.old_hex());
    scene.operator.configure(&Configuration { head, ..Configuration::default() }.text());
    for command in [&["run", "--yes"][..], &["plan"], &["verify"]] {
        let finished = scene.operator.run(command).await;
        finished.expect_refusal("configuration", &["env:"]);
        let said = format!("{}{}", finished.stdout, finished.stderr);
        assert!(!said.contains(&KEYS.old_hex()[..16]), "the key was repeated");
    }
    scene.nothing_written().await;
}

async fn an_unknown_member_comes_with_the_nearest_known_one(engine: Engine) {
    let scene = Scene::new(engine, 20).await;
    scene
        .operator
        .configure(&Configuration { table_extra: "colums = 1".to_owned(), ..Configuration::default() }.text());
    scene.refused(&scene.operator, "configuration", &["colums", "columns"]).await;
    scene.operator.configure("[[table]\nname = 1");
    scene.refused(&scene.operator, "configuration", &[]).await;
}

/// `--yes` answers every question, but production wants to know what was approved.
async fn production_asks_for_the_plans_id(engine: Engine) {
    let scene = Scene::new(engine, 100).await;
    scene
        .operator
        .configure(&Configuration { environment: "production".to_owned(), ..Configuration::default() }.text());
    let refused = scene.operator.run(&["run", "--yes", "--readers-ready"]).await.expect_code(2);
    assert!(format!("{}{}", refused.stdout, refused.stderr).contains("--plan-id"), "{refused}");
    scene.nothing_written().await;
    let plan = scene.operator.run(&["plan"]).await.expect_code(0);
    let id = plan.json()["plan_id"].as_str().expect("an id").to_owned();
    scene.operator.run(&["run", "--yes", "--readers-ready", "--plan-id", &id]).await.expect_code(0);
    scene.audit.assert_rotated(&scene.db.patients().await);
}

async fn without_a_terminal_a_run_needs_yes(engine: Engine) {
    let scene = Scene::new(engine, 20).await;
    let refused = scene.operator.run(&["run"]).await.expect_code(2);
    assert!(format!("{}{}", refused.stdout, refused.stderr).contains("--yes"), "{refused}");
    scene.nothing_written().await;
}

/// Nobody listens there: the tool says so and gives up.
#[tokio::test(flavor = "multi_thread")]
async fn a_dead_server() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
    let db = Database::sqlite(&Seeding::clean(1)).await;
    let url = format!("postgres://somebody:a-secret-password@127.0.0.1:{port}/clinic");
    let dead = operator(&db).set("DATABASE_URL", &url);
    for command in [&["run", "--yes"][..], &["plan"], &["verify"], &["status"]] {
        let began = Instant::now();
        let finished = dead.run(command).await;
        finished.expect_refusal("database_unreachable", &[&port.to_string()]);
        assert!(!format!("{finished}").contains("a-secret-password"), "the password was repeated");
        assert!(began.elapsed() < Duration::from_secs(60), "it took {:?} to give up", began.elapsed());
    }
}

/// A wrong password, a database that is not there, and a URL that is none.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_lets_nobody_in() {
    let db = Database::postgres(&Seeding::clean(1)).await;
    let url = db.url();
    let password = db.as_postgres().password();
    let wrong = operator(&db).set("DATABASE_URL", &url.replace(password, "another-password"));
    let refused = wrong.run(&["plan"]).await;
    refused.expect_refusal("database_auth", &[]);
    assert!(!format!("{refused}").contains("another-password"), "the password was repeated");
    let missing = operator(&db).set("DATABASE_URL", &format!("{}_gone", url));
    missing.run(&["plan"]).await.expect_refusal("database_missing", &["_gone"]);
    let none = operator(&db).set("DATABASE_URL", "mongodb://somebody:a-secret-password@127.0.0.1/clinic");
    let refused = none.run(&["plan"]).await;
    refused.expect_refusal("database_url", &[]);
    assert!(!format!("{refused}").contains("a-secret-password"), "the password was repeated");
    operator(&db).unset("DATABASE_URL").run(&["plan"]).await.expect_refusal("database_url_missing", &["DATABASE_URL"]);
    let nowhere = operator(&db).set("DATABASE_URL", "sqlite:/nowhere/at/all.db");
    assert_eq!(nowhere.run(&["plan"]).await.code(), Some(2));
}

/// Its values open under the old key, but a run would leave every one of them.
async fn a_column_in_another_format_than_the_declared_one(engine: Engine) {
    let seeding = Seeding::clean(200);
    let db = engine.seeded(&seeding).await;
    let audit = Audit::new(&seeding, db.patients().await);
    let operator = operator(&db);
    let declared = format!("city = {{ format = \"{FORMAT}\"");
    let text = Configuration::default().text().replace(&declared, "city = { format = \"gcm-triple-hex-iv12\"");
    operator.configure(&text);
    let plan = operator.run(&["plan"]).await.expect_code(1);
    assert!(plan.findings("fail").contains(&"undeclared_format".to_owned()), "{plan}");
    let refused = operator.run(&["run", "--yes", "--max-unreadable", "100%"]).await;
    refused.expect_refusal("undeclared_format", &["city", FORMAT, "gcm-triple-hex-iv12", "read"]);
    audit.assert_unchanged(&db.patients().await);
    operator.run(&["status"]).await.expect_refusal("no_run", &[]);
}

/// One is enough to see what there is; the plan still says that the other is missing.
async fn a_key_that_cannot_be_read_keeps_no_other_from_finding_columns(engine: Engine) {
    let scene = Scene::new(engine, 20).await;
    for (name, found) in [("NEW_KEY", true), ("OLD_KEY", false)] {
        let operator = Operator::without_configuration(crate::TOOL).set("DATABASE_URL", &scene.db.url()).keys(&KEYS);
        let plan = operator.set(name, "no key").run(&["plan"]).await.expect_code(1);
        assert!(plan.findings("fail").contains(&"key_malformed".to_owned()), "{plan}");
        assert_eq!(plan.json()["tables"].as_array().is_some_and(|tables| !tables.is_empty()), found, "{plan}");
    }
    scene.nothing_written().await;
}

/// Without a configuration, and with nothing to rotate: what was found is told all the same, and keeps the old key needed.
async fn what_is_found_out_of_reach_is_named_where_it_is_all(engine: Engine) {
    let scene = Scene::new(engine, 20).await;
    let operator = Operator::without_configuration(crate::TOOL).set("DATABASE_URL", &scene.db.url()).keys(&KEYS);
    scene.db.execute(r#"DELETE FROM "Patient""#).await;
    operator.run(&["plan"]).await.expect_refusal("nothing_found", &[]);
    operator.run(&["verify"]).await.expect_refusal("nothing_found", &[]);
    let (kind, value) = match engine {
        Engine::Sqlite => ("text", r#"{"name": "SEALED"}"#),
        _ => ("text[]", "{SEALED}"),
    };
    scene.db.execute(&format!(r#"CREATE TABLE "Intake" ("id" integer PRIMARY KEY, "answers" {kind})"#)).await;
    let mut random = Random::of_test("out_of_reach");
    let sealed =
        |key, random: &mut Random| value.replace("SEALED", &reencrypt_tests::Cipher::new(key).seal("Ada", random));
    scene.db.execute(&format!(r#"INSERT INTO "Intake" VALUES (1, '{}')"#, sealed(&KEYS.old, &mut random))).await;
    grant_select(&scene.db, "Intake").await;
    let plan = operator.run(&["plan"]).await.expect_code(1);
    assert_eq!(plan.findings("fail"), ["unlisted_ciphertext"], "{plan}");
    assert_eq!(plan.json()["findings"][0]["column"], "answers", "{plan}");
    operator.run(&["run", "--yes"]).await.expect_refusal("unlisted_ciphertext", &["Intake", "answers"]);
    let verify = operator.run(&["verify"]).await.expect_code(1);
    assert_eq!(verify.json()["old_key_needed"], true, "{verify}");
    assert!(verify.json()["reason"].as_str().is_some_and(|reason| reason.contains("Intake.answers")), "{verify}");
    // Under the new key alone it keeps no old one needed, but a sample never says so.
    let renewed = sealed(&KEYS.new, &mut random);
    scene.db.execute(&format!(r#"UPDATE "Intake" SET "answers" = '{renewed}'"#)).await;
    let verify = operator.run(&["verify"]).await.expect_code(1);
    assert_eq!(verify.json()["old_key_needed"], serde_json::Value::Null, "{verify}");
    assert!(verify.json()["reason"].as_str().is_some_and(|reason| reason.contains("Intake.answers")), "{verify}");
}

/// Values under the key inside a document, and a table without a row key: something for a person before any run.
async fn init_says_what_cannot_be_rotated_as_it_stands(engine: Engine) {
    let scene = Scene::new(engine, 20).await;
    let operator = Operator::without_configuration(crate::TOOL).set("DATABASE_URL", &scene.db.url()).keys(&KEYS);
    operator.run(&["init"]).await.expect_code(0);

    let kind = if engine == Engine::Sqlite { "text" } else { "jsonb" };
    scene.db.execute(&format!(r#"CREATE TABLE "Intake" ("id" integer PRIMARY KEY, "answers" {kind})"#)).await;
    let name = reencrypt_tests::Cipher::new(&KEYS.old).seal("Ada", &mut Random::of_test("init"));
    scene.db.execute(&format!(r#"INSERT INTO "Intake" VALUES (1, '{{"name": "{name}"}}')"#)).await;
    grant_select(&scene.db, "Intake").await;
    let init = operator.run(&["init"]).await.expect_code(1);
    assert_eq!(init.findings("warn"), ["unlisted_ciphertext"], "{init}");
    assert!(init.stderr.contains("Intake.answers") && init.stderr.contains("as it stands"), "{init}");

    scene.db.execute(r#"DROP TABLE "Intake""#).await;
    scene.db.execute(r#"CREATE TABLE "Archive" AS SELECT "firstName" FROM "Patient""#).await;
    grant_select(&scene.db, "Archive").await;
    let init = operator.run(&["init"]).await.expect_code(1);
    assert_eq!(init.findings("fail"), ["no_row_key"], "{init}");
    assert!(init.json()["configuration"].as_str().is_some_and(|text| text.contains("Archive")), "{init}");

    // What was found and what was not examined is said once, and what to type.
    let verify = operator.run(&["verify"]).await.expect_code(1);
    let said = verify.json()["findings"].as_array().expect("findings").clone();
    assert!(said.iter().enumerate().all(|(at, one)| !said[..at].contains(one)), "{verify}");
    scene.nothing_written().await;
}

async fn grant_select(db: &Database, table: &str) {
    if let Database::Postgres(postgres) = db {
        let role = postgres.role(reencrypt_tests::Role::Run);
        db.execute(&format!(r#"GRANT SELECT ON "{table}" TO {role}"#)).await;
    }
}

async fn abandon_looks_for_a_run_before_it_asks(engine: Engine) {
    let scene = Scene::new(engine, 60).await;
    scene.operator.run(&["abandon"]).await.expect_refusal("no_run", &["no record of a run"]);
    scene.operator.run(&["run", "--yes", "--canary", "20"]).await.expect_code(1);
    scene.operator.run(&["abandon"]).await.expect_refusal("confirmation_needed", &["--yes"]);
    scene.operator.run(&["run", "--resume"]).await.expect_code(0);
    scene.operator.run(&["abandon"]).await.expect_refusal("no_run", &["unfinished"]);
}

/// And that is said before a database is read for it.
async fn a_file_that_exists_is_not_written_over(engine: Engine) {
    let scene = Scene::new(engine, 20).await;
    scene.operator.write("approved.json", "precious");
    let elsewhere = operator(&scene.db).set("DATABASE_URL", "postgres://127.0.0.1:1/nobody");
    elsewhere.write("approved.json", "precious");
    for operator in [&scene.operator, &elsewhere] {
        for command in [["plan", "--out", "approved.json"], ["init", "--write", "approved.json"]] {
            operator.run(&command).await.expect_refusal("file_exists", &["approved.json"]);
        }
        let kept = std::fs::read_to_string(operator.folder().join("approved.json")).expect("it is there");
        assert_eq!(kept, "precious");
    }
}
