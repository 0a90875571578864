//! No key seals more often than it may: nonces are reserved in the store before they are used.
use crate::{Engine, operator};
use reencrypt_tests::{Audit, COLUMNS, Configuration, Database, Finished, Operator, Seeding};

on_both_engines!(
    what_is_sealed_was_reserved_before_and_little_more,
    a_key_without_nonces_stops_the_run_and_a_new_one_goes_on,
    what_is_left_of_a_budget_is_used_to_the_last_nonce,
    a_plan_counts_what_was_used_before,
);

const MAX: i64 = 1 << 32;

fn table(db: &Database) -> &'static str {
    match db {
        Database::Postgres(_) => "reencrypt.nonces",
        Database::Sqlite(_) => "reencrypt_nonces",
    }
}

async fn reserved(db: &Database) -> i64 {
    db.number(&format!("SELECT CAST(sum(reserved) AS bigint) FROM {}", table(db))).await
}

/// An operator whose application has sealed so many values already.
fn after(db: &Database, prior: i64) -> Operator {
    let operator = operator(db);
    let head = format!("[key.default]\nold = 'env:OLD_KEY'\nnew = 'env:NEW_KEY'\nprior_invocations = {prior}\n");
    operator.configure(&Configuration { head, ..Configuration::default() }.text());
    operator
}

/// Every kill loses a block at most, and none makes the count too small.
async fn what_is_sealed_was_reserved_before_and_little_more(engine: Engine) {
    let seeding = Seeding::clean(4000);
    let db = engine.seeded(&seeding).await;
    let audit = Audit::new(&seeding, db.patients().await);
    let values: i64 = 4000 * 10 - 4000 / 3;
    let operator = operator(&db);
    // How much is taken at once depends on the size of a batch.
    const RUN: [&str; 4] = ["run", "--yes", "--batch-rows", "1000"];
    operator.run(&RUN).await.expect_code(0);
    audit.assert_rotated(&db.patients().await);
    let first = reserved(&db).await;
    assert!((values..3 * values).contains(&first), "{first} for {values} values");
    // Looking at what is new already uses none.
    operator.run(&RUN).await.expect_code(0);
    assert!(reserved(&db).await <= first + 40_000, "{} after {first}", reserved(&db).await);
    assert_eq!(db.number(&format!("SELECT count(*) FROM {}", table(&db))).await, 1, "one key");
}

async fn a_key_without_nonces_stops_the_run_and_a_new_one_goes_on(engine: Engine) {
    let seeding = Seeding::clean(3000);
    let db = engine.seeded(&seeding).await;
    let audit = Audit::new(&seeding, db.patients().await);
    let operator = operator(&db);
    operator.run(&["run", "--yes", "--canary", "100"]).await.expect_code(1);
    let spent = format!("UPDATE {} SET reserved = {}", table(&db), MAX - 12_000);
    db.execute(&spent).await;
    let stopped = operator.run(&["run", "--resume", "--batch-rows", "100"]).await;
    stopped.expect_refusal("nonce_budget", &["2^32", "a key a table", "abandon"]);
    let now = db.patients().await;
    audit.assert_in_between(&now);
    let moved = audit.moved(&now).len();
    assert!((150..2500).contains(&moved), "{moved} rows of 3000: as far as the nonces went, and no further");
    assert!(reserved(&db).await <= MAX, "{}", reserved(&db).await);
    operator.run(&["run", "--resume"]).await.expect_refusal("nonce_budget", &[]);
    // Another count (here as if it had been another key) lets the same run go on.
    db.execute(&format!("DELETE FROM {}", table(&db))).await;
    operator.run(&["run", "--resume"]).await.expect_code(0);
    audit.assert_rotated(&db.patients().await);
}

/// Rows may hold less than they can: NULL takes no nonce, and neither does a sweep that finds nothing.
async fn what_is_left_of_a_budget_is_used_to_the_last_nonce(engine: Engine) {
    let seeding = Seeding::clean(1000);
    let db = engine.seeded(&seeding).await;
    let audit = Audit::new(&seeding, db.patients().await);
    let operator = operator(&db);
    let canary = operator.run(&["run", "--yes", "--canary", "100"]).await.expect_code(1);
    let rotated = |run: &Finished| COLUMNS.iter().map(|column| run.column(column)["rotated"].as_i64().unwrap()).sum();
    let done: i64 = rotated(&canary);
    let values: i64 = 1000 * 10 - 1000 / 3;
    db.execute(&format!("UPDATE {} SET reserved = {}", table(&db), MAX - (values - done))).await;
    let run = operator.run(&["run", "--resume", "--workers", "1"]).await.expect_code(0);
    assert_eq!((run.state(), rotated(&run)), ("finished".into(), values), "{run}");
    assert_eq!(reserved(&db).await, MAX);
    audit.assert_rotated(&db.patients().await);
    let sweep = operator.run(&["sweep"]).await.expect_code(0);
    assert_eq!(sweep.state(), "finished", "{sweep}");
}

async fn a_plan_counts_what_was_used_before(engine: Engine) {
    let seeding = Seeding::clean(500);
    let db = engine.seeded(&seeding).await;
    let audit = Audit::new(&seeding, db.patients().await);
    let half = after(&db, MAX / 2).run(&["plan"]).await.expect_code(0);
    assert!(half.findings("warn").contains(&"nonce_budget".to_owned()), "{half}");
    let full = after(&db, MAX - 1000).run(&["plan"]).await.expect_code(1);
    assert!(full.findings("fail").contains(&"nonce_budget".to_owned()), "{full}");
    after(&db, MAX - 1000).run(&["run", "--yes"]).await.expect_refusal("nonce_budget", &["prior_invocations"]);
    audit.assert_unchanged(&db.patients().await);
    // What an earlier run reserved counts too.
    let operator = operator(&db);
    operator.run(&["run", "--yes"]).await.expect_code(0);
    db.execute(&format!("UPDATE {} SET reserved = {}", table(&db), MAX)).await;
    let rest = operator.run(&["plan"]).await;
    assert!(rest.findings("fail").contains(&"nonce_budget".to_owned()), "{rest}");
}
