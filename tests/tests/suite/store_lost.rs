//! A store that goes away while a run works: it is said what is lost and what is not, and what is said to help does.
use crate::{Engine, doctor::expect_failure, operator};
use reencrypt_tests::{Audit, Database, Finished, Operator, Role, Running, Seeding, Store};
use std::time::Duration;

on_both_engines!(
    a_store_that_is_dropped_in_mid_run,
    a_table_of_the_store_that_is_dropped_in_mid_run,
    a_record_that_is_deleted_in_mid_run,
);
in_waves!(a_store_that_is_dropped_in_mid_run, a_table_of_the_store_that_is_dropped_in_mid_run);

const ROWS: i64 = 2000;

/// A run that has committed some batches and has most of them before it.
pub(crate) async fn working(db: &Database, operator: &Operator) -> Running {
    let mut running = operator.start(&["run", "--yes", "--max-rows-per-second", "400", "--batch-rows", "20"]);
    while Store(db).progress().await.rows < 100 {
        assert!(!running.has_ended(), "it ends before it begins: {}", running.finish().await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    running
}

/// Invariants 1, 2 and 5 without the record of the run.
async fn a_store_that_is_dropped_in_mid_run(engine: Engine) {
    let (db, audit) = seeded(engine).await;
    let operator = operator(&db);
    let running = working(&db, &operator).await;
    drop_store(&db).await;
    let words = ["the checkpoint store is gone", "No value is lost or half-written", "`reencrypt run` with both keys"];
    running.finish().await.expect_refusal("store_gone", &words);
    let moved = rotated_so_far(&db, &audit).await;
    for command in [&["status"][..], &["pause"], &["continue"], &["abandon"], &["quarantine", "list"]] {
        let words = ["this database has no record of a run", "`reencrypt run` starts one"];
        operator.run(command).await.expect_refusal("no_run", &words);
    }
    let again = rotates_the_rest(&db, &audit, &operator, &["run", "--resume", "--yes"], moved).await;
    assert!(again.stderr.contains("no record of an unfinished run: a new one starts"), "{again}");
}

async fn a_table_of_the_store_that_is_dropped_in_mid_run(engine: Engine) {
    let (db, audit) = seeded(engine).await;
    let operator = operator(&db);
    let running = working(&db, &operator).await;
    let table = db.store_table(if engine == Engine::Waves { "wave" } else { "chunk" });
    drop_tables(&db, std::slice::from_ref(&table)).await;
    let gone = format!("table {table} of the checkpoint store is gone");
    let words = [&*gone, "No value is lost or half-written", "then `reencrypt run` with both keys"];
    let ended = running.finish().await;
    ended.expect_refusal("store_gone", &words);
    let moved = rotated_so_far(&db, &audit).await;
    for command in [&["status"][..], &["pause"], &["run", "--yes"], &["run", "--resume"], &["quarantine", "list"]] {
        operator.run(command).await.expect_refusal("store_gone", &words);
    }
    expect_failure(&operator.run(&["doctor"]).await, "store", &words);
    let plan = operator.run(&["plan"]).await.expect_code(1);
    assert_eq!(plan.findings("fail"), ["store_gone"], "{plan}");
    db.execute(&statement_in(&ended)).await;
    rotates_the_rest(&db, &audit, &operator, &["run", "--yes"], moved).await;

    let versions = db.store_tables().await.into_iter().find(|name| name.contains("migrations")).expect("of versions");
    drop_tables(&db, std::slice::from_ref(&versions)).await;
    operator.run(&["run", "--yes"]).await.expect_refusal("store_gone", &["migrations of the checkpoint store is gone"]);
}

/// The tables are there, and are those of another run, or of none.
async fn a_record_that_is_deleted_in_mid_run(engine: Engine) {
    let (db, audit) = seeded(engine).await;
    let operator = operator(&db);
    let running = working(&db, &operator).await;
    let tables = db.store_tables().await;
    let kept = tables.iter().filter(|table| !table.contains("migrations"));
    match db {
        Database::Postgres(_) => {
            db.execute(&format!("TRUNCATE {}", kept.cloned().collect::<Vec<_>>().join(", "))).await;
        }
        Database::Sqlite(_) => {
            let deletes: String = kept.map(|table| format!("DELETE FROM {table}; ")).collect();
            db.execute(&format!("PRAGMA foreign_keys = OFF; BEGIN IMMEDIATE; {deletes}COMMIT")).await;
        }
    }
    running
        .finish()
        .await
        .expect_refusal("store_gone", &["the record of run", "No value is lost", "`reencrypt status`"]);
    operator.run(&["status"]).await.expect_refusal("no_run", &["no record of a run"]);
    let moved = rotated_so_far(&db, &audit).await;
    rotates_the_rest(&db, &audit, &operator, &["run", "--yes"], moved).await;
}

async fn seeded(engine: Engine) -> (Database, Audit) {
    let seeding = Seeding::clean(ROWS);
    let db = engine.seeded(&seeding).await;
    let audit = Audit::new(&seeding, db.patients().await);
    (db, audit)
}

/// As an administrator does, who leaves the schema's owner one to work in.
async fn drop_store(db: &Database) {
    match db {
        Database::Postgres(postgres) => {
            let role = postgres.role(Role::Run);
            db.execute("DROP SCHEMA reencrypt CASCADE").await;
            db.execute(&format!("CREATE SCHEMA reencrypt AUTHORIZATION {role}")).await;
        }
        Database::Sqlite(_) => drop_tables(db, &db.store_tables().await).await,
    }
}

async fn drop_tables(db: &Database, tables: &[String]) {
    let (before, cascade) = match db {
        Database::Postgres(_) => ("", " CASCADE"),
        Database::Sqlite(_) => ("PRAGMA foreign_keys = OFF; BEGIN IMMEDIATE; ", ""),
    };
    let drops: String = tables.iter().map(|table| format!("DROP TABLE {table}{cascade}; ")).collect();
    let after = if before.is_empty() { "" } else { "COMMIT" };
    db.execute(&format!("{before}{drops}{after}")).await;
}

/// How many rows stand under the new key; some do, and some do not.
async fn rotated_so_far(db: &Database, audit: &Audit) -> i64 {
    let now = db.patients().await;
    audit.assert_in_between(&now);
    let moved = audit.moved(&now).len() as i64;
    assert!(0 < moved && moved < ROWS, "{moved} rows are rotated");
    moved
}

/// A new run takes what stands under the new key for what it is.
async fn rotates_the_rest(db: &Database, audit: &Audit, operator: &Operator, run: &[&str], moved: i64) -> Finished {
    let again = operator.run(run).await.expect_code(0);
    audit.assert_rotated(&db.patients().await);
    let column = again.column("firstName");
    assert_eq!(
        (column["already_new"].as_i64(), column["rotated"].as_i64()),
        (Some(moved), Some(ROWS - moved)),
        "{again}"
    );
    again
}

/// What a hint says to type into the database's own shell.
pub(crate) fn statement_in(finished: &Finished) -> String {
    let hint = finished.json()["error"]["hint"].as_str().expect("a hint").to_owned();
    let quoted = hint.split('`').nth(1).unwrap_or_else(|| panic!("no statement\n{finished}"));
    assert!(quoted.ends_with(';'), "no statement: {quoted}");
    quoted.to_owned()
}
