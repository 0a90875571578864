//! Invariant 1: no acknowledged write of the application is ever lost, reverted or resurrected; invariant 13: the application is never the
//! victim; invariant 14: it terminates under writers that never stop.
use crate::{Engine, operator};
use reencrypt_tests::{Cipher, Database, Finished, KEYS, Patient, Random, RowKey, Seeding, WriteKey, Writers, report};

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
