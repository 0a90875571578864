//! Least privilege on PostgreSQL, with roles that are neither owner nor superuser: both of those bypass row-level security, and would prove
//! nothing.
use crate::{operator, store_lost::working};
use reencrypt_tests::{Audit, COLUMNS, Database, KEYS, Keys, Random, Role, Seeding};
use serde_json::Value;

fn encrypted_columns() -> String {
    COLUMNS.map(|column| format!("\"{column}\"")).join(", ")
}

/// Invariant 8: `plan` and `verify` need SELECT alone, before a run and after it.
#[tokio::test(flavor = "multi_thread")]
async fn plan_and_verify_succeed_for_a_role_with_select_alone() {
    let seeding = Seeding::clean(700);
    let db = Database::postgres(&seeding).await;
    let reader = operator(&db).set("DATABASE_URL", &db.as_postgres().url(Role::Read));
    let plan = reader.run(&["plan"]).await.expect_code(0);
    assert_eq!(plan.json()["state"], "planned", "{plan}");
    let verify = reader.run(&["verify"]).await.expect_code(1);
    assert_eq!(verify.json()["old_key_needed"], true, "{verify}");
    let run = operator(&db).run(&["run", "--yes"]).await.expect_code(0);
    assert_eq!(run.state(), "finished");
    // The store that stands there now belongs to another role, and is none of a reader's business.
    let verify = reader.run(&["verify"]).await.expect_code(0);
    assert_eq!(verify.json()["old_key_needed"], false, "{verify}");
    assert_eq!(verify.column("email")["new"], 700, "{verify}");
    reader.run(&["plan"]).await.expect_code(0);
    // The plan that a reader makes is the plan that runs.
    assert_eq!(plan.json()["plan_id"], run.json()["plan_id"]);
}

/// The store knows from which old key runs rotated: where it is hidden, nobody can say whether this is the one.
#[tokio::test(flavor = "multi_thread")]
async fn verify_with_a_hidden_store_cannot_say_while_something_is_unreadable() {
    let wrong = Keys { old: Random::of_test("hidden_store").bytes(), ..KEYS };
    let db = Database::postgres(&Seeding::mixed(1000)).await;
    operator(&db).run(&["run", "--yes"]).await.expect_code(1);
    let reader = |keys| operator(&db).set("DATABASE_URL", &db.as_postgres().url(Role::Read)).keys(keys);
    for keys in [&KEYS, &wrong] {
        let verify = reader(keys).run(&["verify"]).await.expect_code(1);
        assert_eq!(verify.json()["old_key_needed"], Value::Null, "{verify}");
        assert!(verify.json()["reason"].as_str().is_some_and(|reason| reason.contains("store")), "{verify}");
    }
    let role = db.as_postgres().role(Role::Read);
    db.execute(&format!(
        "GRANT USAGE ON SCHEMA reencrypt TO {role}; GRANT SELECT ON ALL TABLES IN SCHEMA reencrypt TO {role}"
    ))
    .await;
    assert_eq!(reader(&KEYS).run(&["verify"]).await.expect_code(1).json()["old_key_needed"], false);
    assert_eq!(reader(&wrong).run(&["verify"]).await.expect_code(1).json()["old_key_needed"], Value::Null);
    // What such a role may not write is named with its grant.
    let list = reader(&KEYS).run(&["quarantine", "list"]).await.expect_code(0);
    let line = list.json()["quarantine"][0].clone();
    let [table, column, class] =
        ["table", "column", "class"].map(|name| line[name].as_str().expect("a text").to_owned());
    let (count, accept) = (line["count"].to_string(), ["quarantine", "accept", "--reason", "r", "--count"]);
    let of = [&*count, "--table", &*table, "--column", &*column, "--class", &*class];
    let accepted = reader(&KEYS).run(&[&accept[..], &of].concat()).await;
    accepted.expect_refusal("privilege_missing", &["GRANT INSERT", "reencrypt"]);
}

/// A run that cannot be started has nothing to report, and the last one is another.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_cannot_be_started_does_not_report_the_last_one() {
    let db = Database::postgres(&Seeding::clean(100)).await;
    operator(&db).run(&["run", "--yes"]).await.expect_code(0);
    let role = db.as_postgres().role(Role::Run);
    db.execute(&format!("REVOKE INSERT ON reencrypt.run FROM {role}")).await;
    let run = operator(&db).run(&["run", "--yes"]).await;
    run.expect_refusal("store_privilege_missing", &["GRANT INSERT ON reencrypt.run TO"]);
    let json = run.json();
    let members: Vec<_> = json.as_object().expect("an object").keys().map(String::as_str).collect();
    assert_eq!(members, ["command", "error", "exit_code"], "{run}");
}

/// Column by column: row key, encrypted columns and hashes, `xmin` and `ctid`.
#[tokio::test(flavor = "multi_thread")]
async fn grants_of_single_columns_are_enough() {
    let seeding = Seeding::clean(300);
    let db = Database::postgres(&seeding).await;
    let audit = Audit::new(&seeding, db.patients().await);
    let (read, run) = (db.as_postgres().role(Role::Read), db.as_postgres().role(Role::Run));
    let columns = format!(r#""id", {}, "emailHash", "dobHash", xmin, ctid"#, encrypted_columns());
    db.execute(&format!(
        r#"REVOKE SELECT ON "Patient" FROM {read}, {run}; GRANT SELECT ({columns}) ON "Patient" TO {read}, {run}"#
    ))
    .await;
    let reader = operator(&db).set("DATABASE_URL", &db.as_postgres().url(Role::Read));
    reader.run(&["plan"]).await.expect_code(0);
    operator(&db).run(&["run", "--yes"]).await.expect_code(0);
    audit.assert_rotated(&db.patients().await);
    assert_eq!(reader.run(&["verify"]).await.expect_code(0).json()["old_key_needed"], false);
}

/// Invariant 8 from the other side: a role that could write does not.
#[tokio::test(flavor = "multi_thread")]
async fn plan_and_verify_write_nothing_even_where_they_could() {
    let seeding = Seeding::clean(200);
    let db = Database::postgres(&seeding).await;
    let audit = Audit::new(&seeding, db.patients().await);
    for command in ["plan", "verify", "status"] {
        operator(&db).run(&[command]).await;
    }
    let written = r#"SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') AND c.relname NOT LIKE 'Patient%'"#;
    assert_eq!(db.number(written).await, 0, "a table was made");
    audit.assert_unchanged(&db.patients().await);
}

/// A missing privilege is named with the statement that grants it, before anything is written.
#[tokio::test(flavor = "multi_thread")]
async fn a_missing_privilege_is_refused_with_the_grant_that_is_missing() {
    let seeding = Seeding::clean(100);
    let db = Database::postgres(&seeding).await;
    let audit = Audit::new(&seeding, db.patients().await);
    let reader = operator(&db).set("DATABASE_URL", &db.as_postgres().url(Role::Read));
    reader.run(&["run", "--yes"]).await.expect_refusal("privilege_missing", &["GRANT"]);
    let plan = reader.run(&["plan"]).await.expect_code(0);
    assert!(plan.findings("warn").contains(&"privilege_missing".to_owned()), "{plan}");
    assert!(plan.stdout.contains("GRANT UPDATE"), "{plan}");

    let (read, run) = (db.as_postgres().role(Role::Read), db.as_postgres().role(Role::Run));
    db.execute(&format!(
        r#"REVOKE UPDATE ON "Patient" FROM {run}; GRANT UPDATE ("city", "zip") ON "Patient" TO {run}"#
    ))
    .await;
    operator(&db).run(&["run", "--yes"]).await.expect_refusal("privilege_missing", &["firstName", "emailHash"]);

    db.execute(&format!(r#"REVOKE SELECT ON "Patient" FROM {read}; GRANT SELECT ("id") ON "Patient" TO {read}"#)).await;
    let plan = reader.run(&["plan"]).await.expect_code(1);
    assert!(plan.findings("fail").contains(&"privilege_missing".to_owned()), "{plan}");
    assert!(plan.stdout.contains("GRANT SELECT"), "{plan}");
    audit.assert_unchanged(&db.patients().await);
}

/// Row-level security hides rows in silence from such a role: `run` and `verify` would both see fewer and both succeed.
#[tokio::test(flavor = "multi_thread")]
async fn row_level_security_is_refused() {
    let seeding = Seeding::clean(100);
    let db = Database::postgres(&seeding).await;
    let audit = Audit::new(&seeding, db.patients().await);
    db.execute(
        r#"ALTER TABLE "Patient" ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON "Patient" USING ("clinicId" = 1)"#,
    )
    .await;
    let run = operator(&db);
    let reader = operator(&db).set("DATABASE_URL", &db.as_postgres().url(Role::Read));
    for operator in [&run, &reader] {
        let plan = operator.run(&["plan"]).await.expect_code(1);
        assert!(plan.findings("fail").contains(&"rls_active".to_owned()), "{plan}");
        let verify = operator.run(&["verify"]).await;
        assert_ne!(verify.code(), Some(0), "{verify}");
        assert_ne!(verify.json()["old_key_needed"], false, "{verify}");
    }
    run.run(&["run", "--yes"]).await.expect_refusal("rls_active", &["Patient"]);
    audit.assert_unchanged(&db.patients().await);
}

/// A store that a DBA has made is used; where there is none, the role must be able to make it.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_schema_for_the_store_the_grant_is_named() {
    let seeding = Seeding::clean(50);
    let db = Database::postgres(&seeding).await;
    let audit = Audit::new(&seeding, db.patients().await);
    db.execute("DROP SCHEMA reencrypt").await;
    operator(&db).run(&["run", "--yes"]).await.expect_refusal("store_privilege_missing", &["CREATE"]);
    audit.assert_unchanged(&db.patients().await);
    let role = db.as_postgres().role(Role::Run);
    let name = db.texts("SELECT current_database()::text").await.remove(0).expect("a name");
    db.execute(&format!("GRANT CREATE ON DATABASE {name} TO {role}")).await;
    operator(&db).run(&["run", "--yes"]).await.expect_code(0);
    audit.assert_rotated(&db.patients().await);
}

/// What is missing in a store of another role is named at once, all of it and nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn of_a_store_that_another_role_owns_every_missing_grant_is_named() {
    let db = Database::postgres(&Seeding::clean(50)).await;
    operator(&db).run(&["run", "--yes", "--canary", "10"]).await.expect_code(1);
    let role = db.as_postgres().role(Role::Run);
    db.execute(&format!("REASSIGN OWNED BY {role} TO CURRENT_USER; REVOKE ALL ON SCHEMA reencrypt FROM {role}")).await;
    let all = [
        format!("GRANT USAGE ON SCHEMA reencrypt TO \"{role}\";"),
        format!("GRANT SELECT ON ALL TABLES IN SCHEMA reencrypt TO \"{role}\";"),
        format!("GRANT INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA reencrypt TO \"{role}\";"),
    ];
    // As one may type them, one after the other, until nothing is missing.
    for left in [&all[..], &all[1..], &all[2..]] {
        let named: Vec<&str> = left.iter().map(String::as_str).collect();
        let run = operator(&db).run(&["run", "--resume"]).await;
        run.expect_refusal("store_privilege_missing", &named);
        assert!(all.iter().all(|grant| left.contains(grant) || !run.stdout.contains(&grant[..18])), "{run}");
        let doctor = operator(&db).run(&["doctor"]).await.expect_code(1);
        let told = doctor.checks("fail").into_iter().find(|(name, _)| name == "store").expect("a line on the store").1;
        assert!(named.iter().all(|grant| told.contains(grant)), "{doctor}");
        if left.len() > 1 {
            operator(&db).run(&["status"]).await.expect_refusal("privilege_missing", &named);
        }
        db.execute(&left[0]).await;
    }
    operator(&db).run(&["run", "--resume"]).await.expect_code(0);
}

/// So is what it loses of one table while a run works.
#[tokio::test(flavor = "multi_thread")]
async fn a_privilege_that_is_revoked_in_mid_run_is_named_with_its_table() {
    for (privilege, table) in [("UPDATE", "chunk"), ("INSERT", "event"), ("SELECT", "run")] {
        let seeding = Seeding::clean(700);
        let db = Database::postgres(&seeding).await;
        let audit = Audit::new(&seeding, db.patients().await);
        let operator = operator(&db);
        let running = working(&db, &operator).await;
        let role = db.as_postgres().role(Role::Run);
        db.execute(&format!("REVOKE {privilege} ON reencrypt.{table} FROM {role}")).await;
        let grant = format!("GRANT {privilege} ON reencrypt.{table} TO \"{role}\";");
        let lacks = format!("lacks {privilege} on reencrypt.{table} in");
        running.finish().await.expect_refusal("privilege_missing", &[&lacks, &grant]);
        operator.run(&["run", "--resume"]).await.expect_refusal("store_privilege_missing", &[&grant]);
        audit.assert_in_between(&db.patients().await);
        db.execute(&grant).await;
        operator.run(&["run", "--resume"]).await.expect_code(0);
        audit.assert_rotated(&db.patients().await);
    }
}

/// Without a configuration too, what the role may not look at is said as such, and not as a wrong key.
#[tokio::test(flavor = "multi_thread")]
async fn what_discovery_may_not_look_at_is_no_wrong_key() {
    let db = Database::postgres(&Seeding::clean(50)).await;
    let role = db.as_postgres().role(Role::Run);
    let operator = operator(&db);
    std::fs::remove_file(operator.folder().join("reencrypt.toml")).expect("the configuration");
    db.execute(&format!(r#"REVOKE SELECT ON "Patient" FROM {role}"#)).await;
    let plan = operator.run(&["plan"]).await.expect_code(1);
    assert!(plan.findings("fail").contains(&"privilege_missing".to_owned()), "{plan}");
    operator.run(&["run", "--yes"]).await.expect_refusal("privilege_missing", &["Patient", "GRANT SELECT"]);
    operator.run(&["verify"]).await.expect_refusal("privilege_missing", &["Patient", "GRANT SELECT"]);
    db.execute(&format!(
        r#"GRANT SELECT ON "Patient" TO {role}; ALTER TABLE "Patient" ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON "Patient" USING ("clinicId" = 1)"#
    ))
    .await;
    operator.run(&["run", "--yes"]).await.expect_refusal("rls_active", &["Patient"]);
    operator.run(&["verify"]).await.expect_refusal("rls_active", &["Patient"]);
    // Hidden rows stand in the way too where something else was found.
    db.execute(&format!(
        r#"ALTER TABLE "Patient" DISABLE ROW LEVEL SECURITY; CREATE TABLE "Note" (id int PRIMARY KEY, body text);
        INSERT INTO "Note" SELECT "id", "email" FROM "Patient"; ALTER TABLE "Note" ENABLE ROW LEVEL SECURITY; GRANT SELECT ON "Note" TO {role}"#
    ))
    .await;
    let plan = operator.run(&["plan"]).await.expect_code(1);
    assert_eq!(plan.findings("fail"), ["rls_active"], "{plan}");
    assert!(plan.stdout.contains("public.Note") && plan.stdout.contains("BYPASSRLS"), "{plan}");
    operator.run(&["run", "--yes"]).await.expect_refusal("rls_active", &["Note"]);
}
