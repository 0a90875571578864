//! Invariant 3: killed anywhere, any number of times, `run --resume` ends in the state of an undisturbed run, repeats no committed batch,
//! and its counts are exact. Invariant 2 holds at every one of those moments.
use crate::{Engine, operator, patients::assert_column};
use reencrypt_tests::{Audit, COLUMNS, Database, Progress, Random, Running, Seeding, Store, report};
use std::{collections::HashMap, time::Duration};

on_both_engines!(fifty_kills_at_random_moments, a_run_that_is_killed_again_and_again_ends_like_any_other);
in_waves!(fifty_kills_at_random_moments, a_run_that_is_killed_again_and_again_ends_like_any_other);

const KILLS: u64 = 50;
/// At least so many of them must lie strictly between nothing and everything.
const KILLS_BETWEEN_MIN: usize = 40;
const ROWS: i64 = 3000;
const BATCH_ROWS: &str = "50";
const RUN: [&str; 6] = ["run", "--yes", "--batch-rows", BATCH_ROWS, "--workers", "2"];
const RESUME: [&str; 6] = ["run", "--resume", "--batch-rows", BATCH_ROWS, "--workers", "2"];

/// Lets a run get as far as `rows`, and then some random time further.
async fn wait_for_rows(db: &Database, running: &mut Running, rows: i64, random: &mut Random) {
    while !running.has_ended() && Store(db).progress().await.rows < rows {
        tokio::time::sleep(Duration::from_micros(500)).await;
    }
    tokio::time::sleep(Duration::from_micros(random.within(0..8000))).await;
}

/// Kills a run, looks at what was committed, resumes, and holds the end against that of an undisturbed run. Returns what had been committed.
async fn kill_and_resume(db: &Database, seeding: &Seeding, audit: &Audit, random: &mut Random) -> (Progress, bool) {
    let operator = operator(db);
    let mut running = operator.start(&RUN);
    // Before its first row a run may not be there yet: nothing would refuse another one.
    wait_for_rows(db, &mut running, random.within(1..ROWS as u64) as i64, random).await;
    let killed = running.kill().await;
    let between = db.patients().await;
    let at_kill = Store(db).progress().await;
    audit.assert_in_between(&between);
    let committed: HashMap<i64, _> =
        audit.moved(&between).into_iter().map(|patient| (patient.number, patient)).collect();
    assert!(committed.len() as i64 <= at_kill.rows, "rows were rotated that no checkpoint knows of");

    if killed.code().is_none() {
        operator.run(&["run", "--yes"]).await.expect_refusal("unfinished_run", &["run --resume"]);
    }
    let resumed = operator.run(&RESUME).await.expect_code(1);
    assert_eq!(resumed.state(), "finished", "{resumed}");
    let after = db.patients().await;
    audit.assert_rotated(&after);
    for patient in &after {
        if let Some(before) = committed.get(&patient.number) {
            assert_eq!(patient, before, "patient {}: a committed batch was repeated", patient.number);
        }
    }
    for column in COLUMNS {
        assert_column(&resumed, seeding, column);
    }
    assert_eq!(Store(db).progress().await.rows, ROWS, "the store's counts are not those of the table");
    (at_kill, killed.code().is_none())
}

async fn fifty_kills_at_random_moments(engine: Engine) {
    let seeding = Seeding::mixed(ROWS);
    let template = engine.seeded(&seeding).await;
    let audit = Audit::new(&seeding, template.patients().await);
    let undisturbed = template.copy().await;
    operator(&undisturbed).run(&RUN).await.expect_code(1);
    audit.assert_rotated(&undisturbed.patients().await);
    let whole = Store(&undisturbed).progress().await;
    assert_eq!(whole.rows, ROWS);

    let random = Random::of_test("fifty_kills");
    let mut between = 0;
    let mut moments = Vec::new();
    for kill in 0..KILLS {
        let db = template.copy().await;
        let (at_kill, was_running) = kill_and_resume(&db, &seeding, &audit, &mut random.fork(kill)).await;
        println!("kill {kill}: {} of {ROWS} rows in {} batches were committed", at_kill.rows, at_kill.batches);
        between += usize::from(was_running && at_kill.rows > 0 && at_kill.rows < ROWS);
        moments.push(at_kill.batches.to_string());
    }
    report(format!(
        "{} kill -9 on {} (seed {}): {between} strictly between none and all; batches committed: {}",
        KILLS,
        template.engine(),
        random.seed(),
        moments.join(" ")
    ));
    assert!(between >= KILLS_BETWEEN_MIN, "only {between} of {KILLS} kills hit the run between none and all");
}

async fn a_run_that_is_killed_again_and_again_ends_like_any_other(engine: Engine) {
    let seeding = Seeding::mixed(ROWS);
    let db = engine.seeded(&seeding).await;
    let audit = Audit::new(&seeding, db.patients().await);
    let operator = operator(&db);
    let mut random = Random::of_test("again_and_again");
    let mut running = operator.start(&RUN);
    let mut last = Progress::default();
    let mut kills = 0;
    for _ in 0..12 {
        wait_for_rows(&db, &mut running, last.rows + random.within(1..200) as i64, &mut random).await;
        if running.has_ended() {
            break;
        }
        running.kill().await;
        kills += 1;
        let now = Store(&db).progress().await;
        assert!(now.rows >= last.rows && now.batches >= last.batches, "the checkpoint went backwards");
        println!("kill {kills}: {} of {ROWS} rows in {} batches were committed", now.rows, now.batches);
        last = now;
        audit.assert_in_between(&db.patients().await);
        running = operator.start(&[&RESUME[..], &["--yes"]].concat());
    }
    report(format!("killed {kills} times in a row on {}", db.engine()));
    assert!(kills >= 4, "only {kills} kills");
    let end = running.finish().await.expect_code(1);
    assert_eq!(end.state(), "finished", "{end}");
    audit.assert_rotated(&db.patients().await);
    // A kill after the last batch and before the end leaves a finished run to the last resume, which then starts another.
    if end.column("firstName")["rotated"] != 0 {
        COLUMNS.iter().for_each(|column| assert_column(&end, &seeding, column));
    }
}
