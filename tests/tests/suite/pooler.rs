//! Behind PgBouncer: everything that a rotation consists of works in both of its modes, with a kill in the middle.
use crate::{Engine, operator};
use reencrypt_tests::{Audit, Configuration, Pooler, Pooling, Role, Seeding, Store};

const ROWS: i64 = 3000;
/// Two workers with two connections each, and one that asks for the run's state.
const CONNECTIONS: usize = 5;

#[tokio::test(flavor = "multi_thread")]
async fn in_transaction_mode_with_keys_in_order() {
    a_rotation(Engine::Postgres, Pooling::Transaction, CONNECTIONS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_transaction_mode_in_waves() {
    a_rotation(Engine::Waves, Pooling::Transaction, CONNECTIONS).await;
}

/// Fewer than the tool has: in transaction mode they take turns.
#[tokio::test(flavor = "multi_thread")]
async fn in_transaction_mode_with_few_connections() {
    a_rotation(Engine::Waves, Pooling::Transaction, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_session_mode() {
    a_rotation(Engine::Waves, Pooling::Session, CONNECTIONS).await;
}

/// One connection fewer than the tool asks for: what a command says of a run that ended is what the run's row says, whatever became of the
/// connection that was never had.
#[tokio::test(flavor = "multi_thread")]
async fn in_session_mode_with_too_few_connections() {
    let seeding = Seeding::clean(ROWS);
    let db = Engine::Waves.seeded(&seeding).await;
    let audit = Audit::new(&seeding, db.patients().await);
    let pooler = Pooler::start(db.as_postgres(), Pooling::Session, 4);
    let operator = operator(&db).set("DATABASE_URL", &db.as_postgres().url_at(Role::Run, pooler.port()));
    operator.run(&["run", "--yes", "--workers", "2", "--batch-rows", "50"]).await.expect_code(0);
    let status = operator.run(&["status"]).await.expect_code(0);
    assert_eq!(status.state(), "finished", "{status}");
    assert!(!status.stdout.contains("connection_lost"), "{status}");
    audit.assert_rotated(&db.patients().await);
}

async fn a_rotation(engine: Engine, pooling: Pooling, connections: usize) {
    let seeding = Seeding::clean(ROWS);
    let db = engine.seeded(&seeding).await;
    let audit = Audit::new(&seeding, db.patients().await);
    let pooler = Pooler::start(db.as_postgres(), pooling, connections);
    let as_role = |role| {
        let operator = operator(&db).set("DATABASE_URL", &db.as_postgres().url_at(role, pooler.port()));
        let head = "[doctor]\nsecrets = []\n".to_owned();
        operator.configure(&Configuration { head, ..Configuration::default() }.text());
        operator
    };
    let (reader, operator) = (as_role(Role::Read), as_role(Role::Run));
    operator.run(&["doctor"]).await.expect_code(0);
    let plan = reader.run(&["plan"]).await.expect_code(0);
    let workers = ["--workers", "2", "--batch-rows", "50"];
    let with = |words: &[&'static str]| [words, &workers[..]].concat();
    let canary = operator.run(&with(&["run", "--yes", "--canary", "100"])).await.expect_code(1);
    assert_eq!(canary.state(), "paused", "{canary}");
    assert_eq!(plan.json()["plan_id"], canary.json()["plan_id"]);

    let mut killed = operator.start(&with(&["run", "--resume", "--max-rows-per-second", "2000"]));
    Store(&db).reached(ROWS / 3, &mut killed).await;
    assert_eq!(killed.kill().await.code(), None, "it had ended");
    let between = db.patients().await;
    audit.assert_in_between(&between);
    let moved = audit.moved(&between);
    operator.run(&["pause", "--until", "1s"]).await.expect_code(0);
    let end = operator.run(&with(&["run", "--resume"])).await.expect_code(0);
    assert_eq!(end.state(), "finished", "{end}");
    let after = db.patients().await;
    audit.assert_rotated(&after);
    for patient in moved {
        assert!(after.contains(&patient), "patient {}: a committed batch was repeated", patient.number);
    }
    assert_eq!(Store(&db).progress().await.rows, ROWS, "the store's counts are not those of the table");
    assert_eq!(operator.run(&["status"]).await.expect_code(0).state(), "finished");
    assert_eq!(reader.run(&["verify"]).await.expect_code(0).json()["old_key_needed"], false);
}
