//! Invariant 3 inside a window that is written in no order of keys: what the application does to a row between a kill and the resume changes no count of what was committed.
use crate::{Engine, operator};
use reencrypt_tests::{Audit, Database, Patient, Seeding, Store};
use std::collections::{BTreeSet, HashSet};

const ROWS: i64 = 3000;
const RUN: [&str; 6] = ["run", "--yes", "--batch-rows", "50", "--workers", "1"];

/// A window of 25 batches of which some transactions are committed: a run that was killed after so many.
async fn killed_in_a_window(db: &Database, transactions: u32) {
    let failpoint = format!("engine::after_commit={}*off->return", transactions - 1);
    let killed = operator(db).start_failing(&failpoint, &RUN).finish().await;
    assert_eq!(killed.code(), None, "{killed}");
}

fn sql_list(numbers: &[i64]) -> String {
    numbers.iter().map(i64::to_string).collect::<Vec<_>>().join(", ")
}

/// The application writes an old value back.
async fn restore(db: &Database, before: &[Patient], numbers: &[i64]) {
    for number in numbers {
        let patient = before.iter().find(|patient| patient.number == *number).expect("it was there");
        let value = patient.values[0].as_deref().expect("a first name");
        db.execute(&format!(r#"UPDATE "Patient" SET "firstName" = '{value}' WHERE "patientNumber" = {number}"#)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_plan_says_that_a_table_is_written_in_waves_and_why_not() {
    let seeding = Seeding::clean(100);
    let db = Engine::Waves.seeded(&seeding).await;
    let table = operator(&db).run(&["plan"]).await.expect_code(0).json()["tables"][0].clone();
    assert_eq!(table["order"], "waves", "{table}");
    db.execute(r#"CREATE INDEX "by_email" ON "Patient" ("emailHash")"#).await;
    let plan = operator(&db).run(&["plan"]).await;
    let table = plan.json()["tables"][0].clone();
    assert_eq!(table["order"], "key", "{plan}");
    assert!(table["order_reason"].as_str().is_some_and(|reason| reason.contains("by_email")), "{plan}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_change_or_go_between_a_kill_and_the_resume_are_counted_once() {
    // Inside the first window, around its end, and in the second chunk.
    for transactions in [1, 13, 26, 27, 28, 40, 60] {
        let seeding = Seeding::clean(ROWS);
        let db = Engine::Waves.seeded(&seeding).await;
        let before = db.patients().await;
        let audit = Audit::new(&seeding, before.clone());
        killed_in_a_window(&db, transactions).await;
        let now = db.patients().await;
        audit.assert_in_between(&now);
        let moved: Vec<i64> = audit.moved(&now).iter().map(|patient| patient.number).collect();
        let settled: HashSet<i64> = moved.iter().copied().collect();
        assert_eq!(Store(&db).progress().await.rows, moved.len() as i64, "what is written is counted");
        let left: Vec<i64> = (1..=ROWS).filter(|number| !settled.contains(number)).collect();

        let pick = |of: &[i64], nth: usize| of.iter().copied().skip(nth).step_by(7).take(6).collect::<Vec<_>>();
        let (gone_settled, gone_left) = (pick(&moved, 0), pick(&left, 0));
        let (old_again, old_still) = (pick(&moved, 3), pick(&left, 3));
        db.execute(&format!(
            r#"DELETE FROM "Patient" WHERE "patientNumber" IN ({}, {})"#,
            sql_list(&gone_settled),
            sql_list(&gone_left)
        ))
        .await;
        restore(&db, &before, &[&old_again[..], &old_still[..]].concat()).await;

        let end = operator(&db).run(&["run", "--resume", "--batch-rows", "50"]).await.expect_code(0);
        assert_eq!(end.state(), "finished", "{end}");
        let column = end.column("firstName");
        let seen = ROWS - gone_left.len() as i64;
        assert_eq!((column["seen"].as_i64(), column["rotated"].as_i64()), (Some(seen), Some(seen)), "{end}");
        assert_eq!(column["vanished"], 0, "{end}");
        assert_eq!(column["rotated_in_sweeps"], old_again.len(), "{end}");
        assert_eq!(Store(&db).progress().await.rows, seen, "after {transactions} transactions");
        assert_eq!(db.number("SELECT count(*) FROM reencrypt.wave").await, 0, "marks outlived their window");
        let after = db.patients().await;
        after.iter().for_each(|patient| audit.assert_row_rotated(patient));
        let touched: HashSet<i64> = old_again.iter().copied().collect();
        for patient in after.iter().filter(|patient| settled.contains(&patient.number)) {
            let same = now.iter().any(|then| then == patient) || touched.contains(&patient.number);
            assert!(same, "patient {}: a committed row was written again", patient.number);
        }
    }
}

/// Rows that come into a window's range while nobody works on it make it larger than one reading.
#[tokio::test(flavor = "multi_thread")]
async fn a_window_that_has_outgrown_a_reading_is_settled_in_parts() {
    let seeding = Seeding::clean(ROWS);
    let db = Engine::Waves.seeded(&seeding).await;
    // Room between the keys.
    db.execute(r#"UPDATE "Patient" SET "id" = "id" * 10 + 100000"#).await;
    let before = db.patients().await;
    let audit = Audit::new(&seeding, before);
    killed_in_a_window(&db, 5).await;
    let now = db.patients().await;
    let moved = audit.moved(&now).len() as i64;
    assert!(db.number("SELECT count(*) FROM reencrypt.wave").await > 0, "no window was open");
    // Twins of the first 800 rows, between them, still under the old key; their numbers are negative.
    db.execute(
        r#"CREATE TEMP TABLE twin AS SELECT * FROM "Patient" ORDER BY "id" LIMIT 800;
           UPDATE twin SET "id" = "id" + 5, "patientNumber" = -"patientNumber";
           INSERT INTO "Patient" SELECT * FROM twin"#,
    )
    .await;
    let end = operator(&db).run(&["run", "--resume", "--batch-rows", "50"]).await.expect_code(0);
    let column = end.column("firstName");
    assert_eq!(column["seen"], ROWS + 800, "{end}");
    // A twin of a row that was new by then is new.
    let twins_new = column["already_new"].as_i64().expect("a count");
    assert_eq!(column["rotated"].as_i64().expect("a count") + twins_new, ROWS + 800, "{end}");
    assert!((1..=moved).contains(&twins_new), "{end}");
    assert_eq!(operator(&db).run(&["verify"]).await.expect_code(0).json()["old_key_needed"], false);
}

/// While a snapshot is held open nothing can be pruned: the run says so and writes in key order.
#[tokio::test(flavor = "multi_thread")]
async fn a_held_snapshot_turns_waves_off_and_is_told() {
    let seeding = Seeding::clean(ROWS);
    let db = Engine::Waves.seeded(&seeding).await;
    let audit = Audit::new(&seeding, db.patients().await);
    let mut holder = db.as_postgres().connect(reencrypt_tests::Role::Read).await;
    let held = r#"BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM "Patient""#;
    sqlx::Executor::execute(&mut holder, sqlx::raw_sql(held)).await.expect("a snapshot");
    let run = ["run", "--yes", "--batch-rows", "50", "--workers", "1", "--max-rows-per-second", "1500"];
    let operator = operator(&db);
    let mut running = operator.start(&run);
    let mut orders = BTreeSet::new();
    while !running.has_ended() {
        let status = operator.run(&["status"]).await;
        let order = status.json()["tables"][0]["order"].clone();
        orders.insert(order.as_str().unwrap_or_default().to_owned());
    }
    let end = running.finish().await.expect_code(0);
    assert_eq!(end.state(), "finished", "{end}");
    assert!(orders.contains("key"), "status showed {orders:?}: {end}");
    assert_eq!(end.json()["tables"][0]["order"], "waves", "the plan's, when it is over: {end}");
    let told =
        db.number("SELECT count(*) FROM reencrypt.event WHERE kind = 'order' AND detail LIKE '%key order%'").await;
    assert_eq!(told, 1, "{end}");
    audit.assert_rotated(&db.patients().await);
}
