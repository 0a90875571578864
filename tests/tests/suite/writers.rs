//! Invariant 1: no acknowledged write of the application is ever lost, reverted or resurrected; invariant 13: the application is never the
//! victim; invariant 14: it terminates under writers that never stop.
use crate::{Engine, doctor::CLUSTER, operator};
use reencrypt_tests::{
    Audit, Cipher, Database, Finished, KEYS, Patient, Random, Role, RowKey, Seeding, Standby, Store, WriteKey, Writers,
    report,
};
use sqlx::{AssertSqlSafe, Executor};
use std::time::Duration;

/// From the first pass through the cutover to a verification that holds, on keys in order and on keys in no order.
#[tokio::test(flavor = "multi_thread")]
async fn four_writers_through_a_cutover_with_keys_in_order() {
    cutover(Engine::Postgres, RowKey::Int, &["run", "--resume"]).await;
}

/// A window is read long before its last wave.
#[tokio::test(flavor = "multi_thread")]
async fn four_writers_through_a_cutover_in_waves() {
    cutover(Engine::Waves, RowKey::Int, &["run", "--resume"]).await;
}

/// New rows land behind the cursor.
#[tokio::test(flavor = "multi_thread")]
async fn four_writers_through_a_cutover_with_keys_in_no_order() {
    cutover(Engine::Postgres, RowKey::Uuid, &["sweep", "--yes"]).await;
}

/// How often the compare missed, as the log says it.
fn misses(finished: &Finished) -> u64 {
    let of_line = |line: &str| {
        let event: serde_json::Value = serde_json::from_str(line).ok()?;
        event["fields"]["missed"].as_u64()
    };
    finished.stderr.lines().filter_map(of_line).sum()
}

/// How often the log says that it waits for this.
fn told(finished: &Finished, reason: &str) -> usize {
    finished.stderr.lines().filter(|line| line.contains("Waiting {") && line.contains(reason)).count()
}

async fn cutover(engine: Engine, row_key: RowKey, go_on: &[&str]) {
    let seeding = Seeding::clean(6000).keyed(row_key);
    let db = engine.seeded(&seeding).await;
    let operator = operator(&db);
    let random = Random::of_test("cutover");
    let writers = Writers::start(&db, &seeding, 4, &random);
    let log = ["-vv", "--log-format", "json"];
    let arguments: Vec<&str> = ["run", "--yes", "--batch-rows", "500"].into_iter().chain(log).collect();
    // Batches take their time between reading and writing, as they do over a real network.
    let run = operator.start_failing("engine::batch_resealed=sleep(25)", &arguments).finish().await.expect_code(1);
    assert_eq!(run.state(), "awaiting_cutover", "{run}");
    assert!(run.json()["last_old_value_seen_at"].is_string(), "{run}");
    assert!(run.json()["reason"].as_str().is_some_and(|reason| reason.contains("Patient")), "{run}");

    writers.switch_to(WriteKey::New).await;
    let arguments: Vec<&str> = go_on.iter().copied().chain(["--batch-rows", "500"]).chain(log).collect();
    let end = operator.start_failing("engine::batch_resealed=sleep(25)", &arguments).finish().await.expect_code(0);
    assert_eq!(end.state(), "finished", "{end}");
    // The application goes on writing while everything is read.
    let verify = operator.run(&["verify"]).await.expect_code(0);
    assert_eq!(verify.json()["old_key_needed"], false, "{verify}");

    let ledger = writers.stop().await;
    let table = db.patients().await;
    assert_eq!(ledger.differences(&seeding, &seeding.keys, &table), Vec::<String>::new());
    assert_nothing_old(&table);
    let misses = misses(&run) + misses(&end);
    report(format!("{row_key}: {} acknowledged writes, none lost; the compare missed {misses} times", ledger.writes));
    assert!(misses > 0, "nothing raced, so nothing was shown");
}

fn assert_nothing_old(table: &[Patient]) {
    let old = Cipher::new(&KEYS.old);
    for patient in table {
        for stored in patient.values.iter().flatten() {
            assert!(old.open(stored).is_none(), "a value of patient {} is still old", patient.number);
        }
    }
}

/// While the old key is being written with, a verification says that it is needed.
#[tokio::test(flavor = "multi_thread")]
async fn verify_says_that_the_old_key_is_needed_while_it_is_written_with() {
    let seeding = Seeding::clean(1000);
    let db = Database::postgres(&seeding).await;
    let operator = operator(&db);
    let writers = Writers::start(&db, &seeding, 4, &Random::of_test("verify_says"));
    let run = operator.run(&["run", "--yes", "--max-sweeps", "1"]).await.expect_code(1);
    assert_eq!(run.state(), "awaiting_cutover", "{run}");
    let verify = operator.run(&["verify"]).await.expect_code(1);
    assert_eq!(verify.json()["old_key_needed"], true, "{verify}");
    let ledger = writers.stop().await;
    assert_eq!(ledger.differences(&seeding, &seeding.keys, &db.patients().await), Vec::<String>::new());
}

/// A row that somebody keeps locked is left for a later sweep; its neighbours, that were lost to a compare, do not wait with it, and two workers do not take it from
/// each other for ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_stays_locked_is_left_alone_and_nothing_else() {
    let seeding = Seeding::clean(600);
    let db = Database::postgres(&seeding).await;
    let audit = Audit::new(&seeding, db.patients().await);
    let operator = operator(&db);
    let mut holder = db.as_postgres().connect(Role::Owner).await;
    holder
        .execute(sqlx::raw_sql(r#"BEGIN; SELECT 1 FROM "Patient" WHERE "id" = 77 FOR UPDATE"#))
        .await
        .expect("a lock");
    let run =
        ["run", "--yes", "--workers", "2", "--batch-rows", "100", "--max-sweeps", "1", "-v", "--log-format", "json"];
    let run = operator.run(&run).await.expect_code(1);
    // What is told of the wait is the lock, and not the worker that has nothing to do beside it.
    let (locked, idle) = (told(&run, "somebody keeps locked"), told(&run, "other workers finish"));
    assert!(locked > 0 && idle <= 4, "{locked} and {idle} times: {run}");
    let now = db.patients().await;
    let moved = audit.moved(&now).len();
    assert_eq!(moved, 599, "{run}");
    let list = operator.run(&["quarantine", "list"]).await.expect_code(0);
    let json = list.json();
    let lines = json["quarantine"].as_array().expect("a list");
    assert!(!lines.is_empty() && lines.iter().all(|line| line["class"] == "locked" && line["count"] == 1), "{list}");
    let accept = ["quarantine", "accept", "--table", "Patient", "--column", "zip", "--class", "locked", "--count", "1"];
    let accept: Vec<&str> = accept.into_iter().chain(["--reason", "in a hurry"]).collect();
    operator.run(&accept).await.expect_refusal("acceptance_count", &["sweep"]);

    holder.execute(sqlx::raw_sql("COMMIT")).await.expect("the lock's end");
    let sweep = operator.run(&["sweep", "--yes"]).await.expect_code(0);
    assert_eq!(sweep.state(), "finished", "{sweep}");
    audit.assert_rotated(&db.patients().await);
}

/// A stop is heard while every row is locked too: the chunk is given back as it stands.
#[tokio::test(flavor = "multi_thread")]
async fn a_signal_stops_a_run_whose_rows_are_all_locked() {
    let seeding = Seeding::clean(500);
    let db = Database::postgres(&seeding).await;
    let audit = Audit::new(&seeding, db.patients().await);
    let mut holder = db.as_postgres().connect(Role::Owner).await;
    holder.execute(sqlx::raw_sql(r#"BEGIN; SELECT 1 FROM "Patient" FOR UPDATE"#)).await.expect("locks");
    let operator = operator(&db);
    let running = operator.start(&["run", "--yes"]);
    tokio::time::sleep(Duration::from_secs(3)).await;
    running.signal("TERM");
    let begun = std::time::Instant::now();
    let stopped = running.finish().await.expect_code(130);
    assert!(begun.elapsed() < Duration::from_secs(30), "within the grace of a container: {stopped}");
    drop(holder);
    operator.run(&["run", "--resume"]).await.expect_code(0);
    audit.assert_rotated(&db.patients().await);
}

/// Nor does anybody wait for a reader that waits for the lock of a whole table; what is waited for is told, whoever is without work beside it.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_table_is_locked_says_so_and_stops_when_asked() {
    let seeding = Seeding::clean(2000);
    let db = Engine::Waves.seeded(&seeding).await;
    let audit = Audit::new(&seeding, db.patients().await);
    let operator = operator(&db);
    let mut running = operator.start(&["run", "--yes", "--batch-rows", "100", "--max-rows-per-second", "500"]);
    Store(&db).reached(100, &mut running).await;
    let mut holder = db.as_postgres().connect(Role::Owner).await;
    let lock = r#"BEGIN; LOCK TABLE "Patient" IN ACCESS EXCLUSIVE MODE"#;
    holder.execute(sqlx::raw_sql(lock)).await.expect("the lock");
    for (command, waiting) in [(None, "public.Patient"), (Some("pause"), "a pause"), (Some("continue"), "a lock on")] {
        if let Some(command) = command {
            operator.run(&[command]).await.expect_code(0);
        }
        loop {
            let status = operator.run(&["status"]).await.expect_code(0);
            let worker = status.json()["workers"][0].clone();
            if worker["waiting"].as_str().is_some_and(|why| why.contains(waiting)) {
                assert_eq!(worker["rows_per_second_max"], 500, "{status}");
                break;
            }
            assert!(!running.has_ended(), "{status}");
        }
    }
    running.signal("TERM");
    let begun = std::time::Instant::now();
    let stopped = running.finish().await.expect_code(130);
    assert!(begun.elapsed() < Duration::from_secs(5), "it waited for the lock: {stopped}");
    drop(holder);
    operator.run(&["run", "--resume"]).await.expect_code(0);
    audit.assert_rotated(&db.patients().await);
}

/// A stop is heard between the halves of a batch that a constraint refuses.
#[tokio::test(flavor = "multi_thread")]
async fn a_signal_stops_a_run_whose_rows_are_refused() {
    let seeding = Seeding::clean(4000);
    let db = Engine::Waves.seeded(&seeding).await;
    db.execute(r#"ALTER TABLE "Patient" ADD CONSTRAINT refusing CHECK ("id" % 2 = 0) NOT VALID"#).await;
    let operator = operator(&db);
    // Large batches, whatever else the server does.
    let size = ["--batch-rows", "2000", "--max-rows-per-second", "1000000"];
    let run = ["run", "--yes", "--max-unreadable", "100%", "--workers", "1"];
    let arguments: Vec<&str> = run.into_iter().chain(size).collect();
    let mut running = operator.start(&arguments);
    Store(&db).reached(50, &mut running).await;
    running.signal("TERM");
    let stopped = running.finish().await.expect_code(130);
    assert!(Store(&db).progress().await.rows < 150, "the whole batch was halved to its end: {stopped}");
    db.execute(r#"ALTER TABLE "Patient" DROP CONSTRAINT refusing"#).await;
    let end = operator.run(&["run", "--resume"]).await.expect_code(0);
    assert_eq!(end.state(), "finished", "{end}");
}

/// What a constraint refused and a later sweep could write is no sign that somebody still writes under the old key.
#[tokio::test(flavor = "multi_thread")]
async fn refused_rows_that_a_sweep_writes_are_no_sign_of_a_writer() {
    let seeding = Seeding::clean(1000);
    let db = Engine::Waves.seeded(&seeding).await;
    let audit = Audit::new(&seeding, db.patients().await);
    db.execute(r#"ALTER TABLE "Patient" ADD CONSTRAINT refusing CHECK ("id" % 100 <> 7) NOT VALID"#).await;
    let operator = operator(&db);
    let arguments = ["run", "--yes", "--max-unreadable", "5%", "--workers", "1", "--max-sweeps", "1"];
    let mut running = operator.start_failing("engine::pass_ended=sleep(4000)", &arguments);
    let ended = "SELECT count(*) FROM reencrypt.pass WHERE finished_ms IS NOT NULL";
    while !running.has_ended() && db.as_postgres().try_number(ended).await != Ok(1) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    db.execute(r#"ALTER TABLE "Patient" DROP CONSTRAINT refusing"#).await;
    let end = running.finish().await.expect_code(1);
    assert_eq!(end.state(), "awaiting_cutover", "only one sweep was allowed: {end}");
    let json = end.json();
    assert!(
        json["reason"].as_str().is_some_and(|why| why.contains("as many as an earlier pass had to leave alone")),
        "{end}"
    );
    assert_eq!(json["next"], "reencrypt run --resume", "{end}");
    let end = operator.run(&["run", "--resume"]).await.expect_code(0);
    assert_eq!(end.state(), "finished", "{end}");
    audit.assert_rotated(&db.patients().await);
}

/// Of two rows that were put aside one is free again while the other stays locked: the one is rotated, and the other still comes to an end.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_stays_locked_behind_one_that_came_free_is_left_alone_too() {
    let seeding = Seeding::clean(600);
    let db = Database::postgres(&seeding).await;
    let audit = Audit::new(&seeding, db.patients().await);
    let mut holders = Vec::new();
    for id in [77, 78] {
        let mut holder = db.as_postgres().connect(Role::Owner).await;
        let lock = format!(r#"BEGIN; SELECT 1 FROM "Patient" WHERE "id" = {id} FOR UPDATE"#);
        holder.execute(sqlx::raw_sql(AssertSqlSafe(lock))).await.expect("a lock");
        holders.push(holder);
    }
    let operator = operator(&db);
    let mut running = operator.start(&["run", "--yes", "--workers", "1", "--max-sweeps", "1"]);
    Store(&db).reached(598, &mut running).await;
    // Both are known to be locked by now.
    tokio::time::sleep(Duration::from_secs(2)).await;
    drop(holders.pop());
    let run = running.finish().await.expect_code(1);
    assert_eq!(audit.moved(&db.patients().await).len(), 599, "{run}");
}

const GAVE_WAY: &str =
    "SELECT count(*) FROM reencrypt.event WHERE kind = 'load' AND detail LIKE '%transactions of others a second%'";
/// Long enough to be looked at a few times.
const SLOWLY: &str = "engine::batch_resealed=sleep(1000)";
const RUN: [&str; 4] = ["run", "--yes", "--batch-rows", "500"];

/// Invariant 13: beside an application that writes it takes less, and says so; at a speed that was asked for it does not.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_gives_way_to_the_application() {
    let seeding = Seeding::clean(4000);
    let random = Random::of_test("gives way");
    for (speed, told) in [(None, true), (Some("4000"), false)] {
        let db = Engine::Waves.seeded(&seeding).await;
        let writers = Writers::start(&db, &seeding, 4, &random);
        writers.switch_to(WriteKey::New).await;
        let speed = speed.map(|speed| ["--max-rows-per-second", speed]);
        let arguments: Vec<&str> = RUN.into_iter().chain(speed.iter().flatten().copied()).collect();
        let operator = operator(&db);
        let mut running = operator.start_failing(SLOWLY, &arguments);
        let mut shown = false;
        while !running.has_ended() {
            let status = operator.run(&["status"]).await;
            shown |= status.json()["workers"][0]["gives_way"] == true;
        }
        let end = running.finish().await.expect_code(0);
        assert_eq!(end.state(), "finished", "{end}");
        assert_eq!(shown, told, "{speed:?}: what status showed: {end}");
        writers.stop().await;
        assert_eq!(db.number(GAVE_WAY).await > 0, told, "{speed:?}: {end}");
    }
}

/// Its own transactions are no application, also those that are rolled back since a constraint refuses rows. Seen on a server of its own: those of all databases count.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_gives_way_to_nobody_where_it_is_alone() {
    let db = Engine::Waves.seeded(&Seeding::clean(4000)).await;
    db.execute(r#"ALTER TABLE "Patient" ADD CONSTRAINT refusing CHECK ("id" % 200 <> 7) NOT VALID"#).await;
    let server = {
        let _alone = CLUSTER.write().await;
        let standby = Standby::of(db.as_postgres()).await;
        standby.promote().await;
        standby
    };
    let there = operator(&db).set("DATABASE_URL", &server.url(Role::Run));
    let arguments: Vec<&str> = RUN.into_iter().chain(["--max-unreadable", "5%"]).collect();
    let end = there.start_failing(SLOWLY, &arguments).finish().await.expect_code(1);
    assert_eq!(end.state(), "finished", "{end}");
    assert_eq!(end.column("email")["quarantined"], 20, "{end}");
    assert_eq!(server.number(Role::Run, GAVE_WAY).await, 0, "{end}");
    server.end().await;
}

/// A partition that one process finds when it enters a sweep is read by another one too, which has not seen it in the catalog.
#[tokio::test(flavor = "multi_thread")]
async fn a_partition_made_during_a_run_is_rotated_by_whichever_process_comes_to_it() {
    let seeding = Seeding::clean(400);
    let db = Database::postgres(&seeding).await;
    let (run, read) = (db.as_postgres().role(Role::Run), db.as_postgres().role(Role::Read));
    db.execute(&format!(
        r#"CREATE TABLE "Visit" ("id" int PRIMARY KEY, "firstName" text NOT NULL) PARTITION BY RANGE ("id");
           CREATE TABLE "Visit_1" PARTITION OF "Visit" FOR VALUES FROM (0) TO (1000);
           GRANT SELECT, UPDATE ON "Visit", "Visit_1" TO {run}; GRANT SELECT ON "Visit", "Visit_1" TO {read};
           INSERT INTO "Visit" SELECT "id", "firstName" FROM "Patient""#
    ))
    .await;
    let operator = operator(&db);
    operator.configure(
        "[environment]\nname = \"test\"\n[[table]]\nname = \"Visit\"\n[table.columns]\nfirstName = \"gcm-triple-b64-iv16\"\n",
    );
    // The first one is slow, and rests when it has entered a sweep, so that the second one does all that there is in it.
    let slow = ["run", "--yes", "--workers", "1", "--batch-rows", "10", "--max-rows-per-second", "20"];
    let mut one = operator.start_failing("engine::pass_entered=1*off->sleep(5000)", &slow);
    Store(&db).reached(10, &mut one).await;
    let mut other = operator.start(&["run", "--resume", "--workers", "1", "--batch-rows", "10"]);
    let workers = "SELECT count(*) FROM reencrypt.worker";
    while !one.has_ended() && !other.has_ended() && db.number(workers).await < 2 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    db.execute(&format!(
        r#"CREATE TABLE "Visit_2" PARTITION OF "Visit" FOR VALUES FROM (1000) TO (2000);
           GRANT SELECT, UPDATE ON "Visit_2" TO {run}; GRANT SELECT ON "Visit_2" TO {read};
           INSERT INTO "Visit" SELECT 1500, "firstName" FROM "Patient" WHERE "id" = 1"#
    ))
    .await;
    assert_eq!(db.number("SELECT max(pass) FROM reencrypt.pass").await, 1, "the partition came too late");
    let end = one.finish().await.expect_code(0);
    assert_eq!(end.state(), "finished", "{end}");
    other.finish().await.expect_code(0);
    let verify = operator.run(&["verify"]).await.expect_code(1);
    let visits = verify.column("firstName");
    assert_eq!((&visits["seen"], &visits["old"]), (&401.into(), &0.into()), "{verify}");
}
