//! A stop that was asked for: the transaction in hand is finished, the chunk is given back, and `run --resume` goes on.
use crate::{Engine, operator};
use reencrypt_tests::{Audit, Database, Role, Seeding, Store};
use sqlx::Executor;
use std::time::Duration;

on_both_engines!(
    a_signal_stops_a_run_cleanly,
    a_paused_run_waits_and_goes_on,
    a_pause_asked_for_while_nobody_works_holds_before_the_first_batch,
    a_canary_on_a_later_pass_ends,
    an_abandoned_run_ends_for_good,
);
in_waves!(a_signal_stops_a_run_cleanly, a_paused_run_waits_and_goes_on, an_abandoned_run_ends_for_good);

async fn a_signal_stops_a_run_cleanly(engine: Engine) {
    for signal in ["INT", "TERM"] {
        let seeding = Seeding::clean(3000);
        let db = engine.seeded(&seeding).await;
        let audit = Audit::new(&seeding, db.patients().await);
        let operator = operator(&db);
        let mut running = operator.start(&["run", "--yes", "--batch-rows", "100", "--max-rows-per-second", "1500"]);
        Store(&db).reached(300, &mut running).await;
        running.signal(signal);
        let stopped = running.finish().await.expect_code(130);
        assert_eq!(stopped.state(), "interrupted", "{stopped}");
        let now = db.patients().await;
        audit.assert_in_between(&now);
        let moved = audit.moved(&now).len();
        assert!((1..3000).contains(&moved), "{moved} rows");
        assert_eq!(stopped.column("zip")["rotated"], moved, "the report of a stopped run is exact: {stopped}");
        assert_eq!(operator.run(&["status"]).await.expect_code(0).state(), "interrupted");
        let resumed = operator.run(&["run", "--resume"]).await.expect_code(0);
        assert_eq!(resumed.column("zip")["rotated"], 3000, "{resumed}");
        audit.assert_rotated(&db.patients().await);
    }
}

async fn a_paused_run_waits_and_goes_on(engine: Engine) {
    let seeding = Seeding::clean(3000);
    let db = engine.seeded(&seeding).await;
    let audit = Audit::new(&seeding, db.patients().await);
    let (works, commands) = (operator(&db), operator(&db).unset("OLD_KEY").unset("NEW_KEY"));
    let mut running = works.start(&["run", "--yes", "--batch-rows", "50", "--max-rows-per-second", "800"]);
    Store(&db).reached(100, &mut running).await;
    let paused = commands.run(&["pause", "--reason", "the clinic opens"]).await.expect_code(0);
    assert!(paused.stdout.contains("paused"), "{paused}");
    tokio::time::sleep(Duration::from_millis(2500)).await;
    let (before, _) = (Store(&db).progress().await, tokio::time::sleep(Duration::from_millis(1500)).await);
    assert_eq!(Store(&db).progress().await, before, "it works on while it is paused");
    let status = commands.run(&["status"]).await.expect_code(0);
    assert_eq!(status.state(), "paused", "{status}");
    assert!(status.stdout.contains("the clinic opens"), "{status}");
    assert!(!running.has_ended(), "a paused process stays alive");
    commands.run(&["continue"]).await.expect_code(0);
    let end = running.finish().await.expect_code(0);
    assert_eq!(end.state(), "finished", "{end}");
    audit.assert_rotated(&db.patients().await);
}

async fn a_pause_asked_for_while_nobody_works_holds_before_the_first_batch(engine: Engine) {
    let seeding = Seeding::clean(3000);
    let db = engine.seeded(&seeding).await;
    let audit = Audit::new(&seeding, db.patients().await);
    let operator = operator(&db);
    let mut running = operator.start(&["run", "--yes", "--batch-rows", "100", "--max-rows-per-second", "1000"]);
    Store(&db).reached(200, &mut running).await;
    running.signal("TERM");
    running.finish().await.expect_code(130);
    let stood = db.patients().await;
    let paused = operator.run(&["pause", "--reason", "the clinic opens"]).await.expect_code(0);
    assert_eq!(paused.json()["next"], "reencrypt continue && reencrypt run --resume", "{paused}");
    let status = operator.run(&["status"]).await.expect_code(0);
    assert!(status.stdout.contains("the clinic opens"), "the pause left no trace: {status}");

    let mut running = operator.start(&["run", "--resume", "--no-progress", "--max-rows-per-second", "500"]);
    tokio::time::sleep(Duration::from_millis(4500)).await;
    assert!(!running.has_ended(), "a paused process stays alive");
    assert_eq!(db.patients().await, stood, "it wrote while it was paused");
    let status = operator.run(&["status"]).await.expect_code(0);
    assert_eq!(status.state(), "paused", "{status}");
    assert_eq!(status.json()["next"], "reencrypt continue", "{status}");
    assert!(status.json()["workers"][0]["waiting"].as_str().is_some_and(|why| why.contains("a pause")), "{status}");
    operator.run(&["continue"]).await.expect_code(0);
    // The rest takes about five seconds: within two nobody waits for the pause any more, and the next look tells so.
    tokio::time::sleep(Duration::from_millis(2500)).await;
    let status = operator.run(&["status"]).await.expect_code(0);
    assert!(!status.json()["workers"].to_string().contains("a pause"), "{status}");
    let end = running.finish().await.expect_code(0);
    assert!(
        end.stderr.contains("waiting: a pause was asked for: the clinic opens"),
        "why it waited was not told: {end}"
    );
    assert_eq!(end.state(), "finished", "{end}");
    audit.assert_rotated(&db.patients().await);
}

/// SQLite has one writer: a person's word waits for it as the work itself does.
#[tokio::test(flavor = "multi_thread")]
async fn words_wait_for_whoever_writes_to_the_file() {
    let db = Engine::Sqlite.seeded(&Seeding::clean(300)).await;
    let Database::Sqlite(file) = &db else { unreachable!("SQLite") };
    let operator = operator(&db);
    for (arguments, code) in [
        (&["run", "--yes", "--canary", "100"][..], 1),
        (&["pause"], 0),
        (&["continue"], 0),
        (&["run", "--resume"], 0),
        (
            &[
                "quarantine",
                "accept",
                "--table",
                "Patient",
                "--column",
                "city",
                "--class",
                "damaged",
                "--count",
                "1",
                "--reason",
                "r",
            ],
            2,
        ),
        (&["abandon", "--yes"], 2),
    ] {
        let mut writer = file.connect().await;
        writer.execute(sqlx::raw_sql("BEGIN IMMEDIATE")).await.expect("nobody else writes");
        let running = operator.start(arguments);
        tokio::time::sleep(Duration::from_secs(2)).await;
        writer.execute(sqlx::raw_sql("ROLLBACK")).await.expect("it was begun");
        let finished = running.finish().await.expect_code(code);
        assert_ne!(finished.json()["error"]["code"], "lock_timeout", "{arguments:?}: {finished}");
    }
}

/// A canary bounds the first pass alone; afterwards there is nothing to look at first.
async fn a_canary_on_a_later_pass_ends(engine: Engine) {
    let seeding = Seeding::clean(300);
    let db = engine.seeded(&seeding).await;
    let operator = operator(&db);
    let canary = operator.run(&["run", "--yes", "--canary", "100"]).await.expect_code(1);
    assert_eq!(canary.state(), "paused", "{canary}");
    operator.run(&["continue"]).await.expect_refusal("canary_waits", &["run --resume"]);
    operator.run(&["run", "--resume"]).await.expect_code(0);
    let state = format!("UPDATE {} SET state = 'awaiting_cutover'", db.store_table("run"));
    db.execute(&state).await;
    let resumed = operator.run(&["run", "--resume", "--canary", "10"]).await.expect_code(0);
    assert_eq!(resumed.state(), "finished", "{resumed}");
}

async fn an_abandoned_run_ends_for_good(engine: Engine) {
    let seeding = Seeding::clean(600);
    let db = engine.seeded(&seeding).await;
    let audit = Audit::new(&seeding, db.patients().await);
    let operator = operator(&db);
    operator.run(&["run", "--yes", "--canary", "200"]).await.expect_code(1);
    let now = db.patients().await;
    let abandoned = operator.run(&["abandon", "--reason", "another day", "--yes"]).await.expect_code(0);
    assert_eq!(abandoned.state(), "abandoned", "{abandoned}");
    assert_eq!(db.patients().await, now, "abandoning wrote");
    let verify = operator.run(&["verify"]).await.expect_code(1).json();
    assert_eq!((&verify["old_key_needed"], &verify["next"]), (&true.into(), &"reencrypt run --resume".into()));
    // A new run takes up what the abandoned one left, and encrypts nothing twice.
    let run = operator.run(&["run", "--yes"]).await.expect_code(0);
    assert_eq!(run.column("zip")["already_new"], audit.moved(&now).len(), "{run}");
    audit.assert_rotated(&db.patients().await);
}

/// A stop waits for nobody who keeps the store to himself: the report cannot be had then, and the run goes on as after a kill.
#[tokio::test(flavor = "multi_thread")]
async fn a_signal_stops_a_run_whose_store_is_locked() {
    let seeding = Seeding::clean(3000);
    for engine in [Engine::Waves, Engine::Sqlite] {
        let db = engine.seeded(&seeding).await;
        let audit = Audit::new(&seeding, db.patients().await);
        let operator = operator(&db);
        let mut running = operator.start(&["run", "--yes", "--batch-rows", "50", "--max-rows-per-second", "500"]);
        Store(&db).reached(100, &mut running).await;
        let holder: Box<dyn std::any::Any + Send> = match &db {
            Database::Postgres(db) => {
                let mut holder = db.connect(Role::Owner).await;
                let lock = "BEGIN; LOCK TABLE reencrypt.chunk IN ACCESS EXCLUSIVE MODE";
                holder.execute(sqlx::raw_sql(lock)).await.expect("the lock");
                Box::new(holder)
            }
            Database::Sqlite(db) => {
                let mut holder = db.connect().await;
                holder.execute(sqlx::raw_sql("PRAGMA busy_timeout = 5000; BEGIN EXCLUSIVE")).await.expect("the lock");
                Box::new(holder)
            }
        };
        tokio::time::sleep(Duration::from_secs(1)).await;
        running.signal("TERM");
        let begun = std::time::Instant::now();
        let stopped = running.finish().await.expect_code(130);
        assert!(begun.elapsed() < Duration::from_secs(15), "it waited for the lock: {stopped}");
        drop(holder);
        let end = operator.run(&["run", "--resume"]).await.expect_code(0);
        assert_eq!(end.state(), "finished", "{end}");
        audit.assert_rotated(&db.patients().await);
    }
}
