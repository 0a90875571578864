//! Invariant 9: `verify` speaks as of a snapshot, reads the data alone, and where it cannot say, it says that. It never says wrongly that
//! the old key is not needed.
use crate::operator;
use reencrypt_tests::{Cipher, Database, KEYS, Random, Role, Seeding};
use serde_json::Value;
use sqlx::{AssertSqlSafe, Executor};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// A rotated table, and one ciphertext under the old key.
async fn rotated(rows: i64) -> (Database, String) {
    let db = Database::postgres(&Seeding::clean(rows)).await;
    operator(&db).run(&["run", "--yes"]).await.expect_code(0);
    let stored = Cipher::new(&KEYS.old).seal("a first name", &mut Random::of_test("verify_races"));
    (db, stored)
}

/// The application's login may change keys too, here.
async fn statement(db: &Database, sql: &str) -> sqlx::PgConnection {
    let mut connection = db.as_postgres().connect(Role::Owner).await;
    connection.execute(sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))).await.unwrap_or_else(|e| panic!("{e}\nin {sql}"));
    connection
}

/// One old row keeps moving from one end of the table to the other: a scan in pieces would miss it sooner or later.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_moves_between_ranges_during_the_scan_is_not_missed() {
    let (db, stored) = rotated(20_000).await;
    db.execute(&format!(r#"UPDATE "Patient" SET "firstName" = '{stored}' WHERE "id" = 10000"#)).await;
    let stop = Arc::new(AtomicBool::new(false));
    let mover = {
        let (stop, mut connection) = (stop.clone(), db.as_postgres().connect(Role::Owner).await);
        tokio::spawn(async move {
            let mut moves = 0u64;
            while !stop.load(Ordering::SeqCst) {
                let to = if moves.is_multiple_of(2) { 1_000_000 } else { -1_000_000 };
                let sql = format!(r#"UPDATE "Patient" SET "id" = {to} WHERE "patientNumber" = 10000"#);
                connection.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await.expect("a row can move");
                moves += 1;
                tokio::time::sleep(Duration::from_millis(3)).await;
            }
            moves
        })
    };
    for _ in 0..8 {
        let verify = operator(&db).run(&["verify"]).await.expect_code(1);
        assert_eq!(verify.json()["old_key_needed"], true, "{verify}");
        // The row is counted again when it moved after the snapshot and was read late.
        let seen = verify.column("firstName")["seen"].as_u64();
        assert!(seen.is_some_and(|seen| (20_000..=20_001).contains(&seen)), "a row was missed: {verify}");
    }
    stop.store(true, Ordering::SeqCst);
    let moves = mover.await.expect("the mover");
    assert!(moves > 50, "{moves} moves");
}

/// An insert that is prepared when `verify` begins and committed while it waits: no snapshot sees it.
#[tokio::test(flavor = "multi_thread")]
async fn an_insert_under_prepare_transaction_that_commits_late_is_read() {
    let (db, stored) = rotated(500).await;
    let name = prepare_insert(&db, &stored).await;
    let running = operator(&db);
    let running = running.start(&["verify"]);
    tokio::time::sleep(Duration::from_secs(3)).await;
    statement(&db, &format!("COMMIT PREPARED '{name}'")).await;
    let verify = running.finish().await.expect_code(1);
    assert_eq!(verify.json()["old_key_needed"], true, "{verify}");
}

/// One that outlasts the wait: nobody can say. Rolled back while it waits: it was never there.
#[tokio::test(flavor = "multi_thread")]
async fn an_insert_under_prepare_transaction_that_stays_or_goes_is_not_taken_for_nothing() {
    let (db, stored) = rotated(300).await;
    let name = prepare_insert(&db, &stored).await;
    let verify = operator(&db).run(&["verify"]).await.expect_code(1);
    assert_eq!(verify.json()["old_key_needed"], Value::Null, "{verify}");
    assert!(verify.json()["reason"].as_str().is_some_and(|reason| reason.contains("prepared")), "{verify}");
    let operator = operator(&db);
    let running = operator.start(&["verify"]);
    tokio::time::sleep(Duration::from_secs(2)).await;
    statement(&db, &format!("ROLLBACK PREPARED '{name}'")).await;
    let verify = running.finish().await.expect_code(0);
    assert_eq!(verify.json()["old_key_needed"], false, "{verify}");
}

async fn prepare_insert(db: &Database, stored: &str) -> String {
    let name = format!("insert_{}", std::process::id() as u64 + Random::of_test("prepare").within(0..1_000_000_000));
    // The rest of the row is a copy of another patient's.
    let sql = format!(
        r#"BEGIN;
           INSERT INTO "Patient" SELECT (p).* FROM (SELECT jsonb_populate_record(t, jsonb_build_object('id', 900000, 'patientNumber', 900000, 'firstName', '{stored}')) AS p FROM "Patient" t WHERE "id" = 1) s;
           PREPARE TRANSACTION '{name}'"#
    );
    statement(db, &sql).await;
    name
}

/// An open transaction that has written, and commits while `verify` waits for it.
#[tokio::test(flavor = "multi_thread")]
async fn an_update_that_was_open_at_the_snapshot_is_read() {
    let (db, stored) = rotated(500).await;
    let mut writer =
        statement(&db, &format!(r#"BEGIN; UPDATE "Patient" SET "city" = '{stored}' WHERE "id" = 77"#)).await;
    let operator = operator(&db);
    let running = operator.start(&["verify"]);
    tokio::time::sleep(Duration::from_secs(2)).await;
    writer.execute(sqlx::raw_sql("COMMIT")).await.expect("the writer commits");
    let verify = running.finish().await.expect_code(1);
    assert_eq!(verify.json()["old_key_needed"], true, "{verify}");
}

/// State tables edited by somebody change nothing of what verify says.
#[tokio::test(flavor = "multi_thread")]
async fn verify_trusts_no_checkpoint() {
    let seeding = Seeding::clean(400);
    let db = Database::postgres(&seeding).await;
    operator(&db).run(&["run", "--yes", "--canary", "100"]).await.expect_code(1);
    db.execute("UPDATE reencrypt.run SET state = 'finished'; UPDATE reencrypt.chunk SET done = 1").await;
    let verify = operator(&db).run(&["verify"]).await.expect_code(1);
    assert_eq!(verify.json()["old_key_needed"], true, "{verify}");
}

/// A transaction that was open at the snapshot and is prepared while `verify` waits is no session any more, and not over either.
#[tokio::test(flavor = "multi_thread")]
async fn an_open_transaction_that_is_prepared_during_the_wait_is_waited_for() {
    let (db, stored) = rotated(500).await;
    let mut writer =
        statement(&db, &format!(r#"BEGIN; UPDATE "Patient" SET "city" = '{stored}' WHERE "id" = 77"#)).await;
    let operator = operator(&db);
    let running = operator.start(&["verify"]);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let name = format!("update_{}", Random::of_test("prepared").within(0..1_000_000_000));
    writer.execute(sqlx::raw_sql(AssertSqlSafe(format!("PREPARE TRANSACTION '{name}'")))).await.expect("prepared");
    drop(writer);
    tokio::time::sleep(Duration::from_secs(3)).await;
    statement(&db, &format!("COMMIT PREPARED '{name}'")).await;
    let verify = running.finish().await.expect_code(1);
    assert_eq!(verify.json()["old_key_needed"], true, "{verify}");
}

/// A partition that the snapshot did not have holds whatever was written into it.
#[tokio::test(flavor = "multi_thread")]
async fn a_partition_made_during_the_wait_is_read() {
    let (db, stored) = rotated(100).await;
    let (run, read) = (db.as_postgres().role(Role::Run), db.as_postgres().role(Role::Read));
    db.execute(&format!(
        r#"CREATE TABLE "Visit" ("id" int PRIMARY KEY, "firstName" text NOT NULL) PARTITION BY RANGE ("id");
           CREATE TABLE "Visit_1" PARTITION OF "Visit" FOR VALUES FROM (0) TO (1000);
           GRANT SELECT ON "Visit", "Visit_1" TO {run}, {read};
           INSERT INTO "Visit" SELECT "id", "firstName" FROM "Patient""#
    ))
    .await;
    let operator = operator(&db);
    operator.configure(
        "[environment]\nname = \"test\"\n[[table]]\nname = \"Visit\"\n[table.columns]\nfirstName = \"gcm-triple-b64-iv16\"\n",
    );
    let open = statement(&db, r#"BEGIN; UPDATE "Patient" SET "zip" = "zip" WHERE "id" = 1"#).await;
    let running = operator.start(&["verify"]);
    tokio::time::sleep(Duration::from_secs(3)).await;
    db.execute(&format!(
        r#"CREATE TABLE "Visit_2" PARTITION OF "Visit" FOR VALUES FROM (1000) TO (2000);
           GRANT SELECT ON "Visit_2" TO {run}, {read};
           INSERT INTO "Visit" VALUES (1500, '{stored}')"#
    ))
    .await;
    drop(open);
    let verify = running.finish().await.expect_code(1);
    assert_eq!(verify.json()["old_key_needed"], true, "{verify}");
}

/// Without a configuration the columns are those that a sample showed: nobody can say that there are no others.
#[tokio::test(flavor = "multi_thread")]
async fn columns_that_were_found_by_a_sample_are_not_all_there_is() {
    let (db, _) = rotated(300).await;
    let operator = operator(&db);
    std::fs::remove_file(operator.folder().join("reencrypt.toml")).expect("the configuration");
    let verify = operator.run(&["verify"]).await.expect_code(1);
    assert_eq!(verify.json()["old_key_needed"], Value::Null, "{verify}");
}
