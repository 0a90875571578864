//! Every failpoint of the engine × {killed there, fails there, hangs there}: the next `run --resume` ends as if nothing had happened.
use crate::{Engine, operator, patients::assert_column};
use reencrypt_engine::FAILPOINTS;
use reencrypt_tests::{Audit, COLUMNS, Database, Seeding, Store, report};
use std::time::Duration;

on_both_engines!(killed_at_every_failpoint, failing_at_every_failpoint, hanging_at_every_failpoint);
in_waves!(killed_at_every_failpoint, failing_at_every_failpoint, hanging_at_every_failpoint);

const ROWS: i64 = 800;
const RUN: [&str; 6] = ["run", "--yes", "--batch-rows", "100", "--workers", "2"];

/// Runs with an action at each failpoint, at the given visits of it; fails when a failpoint is there that no run comes by.
async fn at_each(
    engine: Engine,
    action: &str,
    visits: &[u32],
    check: impl AsyncFn(&Database, &Seeding, &Audit, &str) -> bool,
) {
    let seeding = Seeding::mixed(ROWS);
    let template = engine.seeded(&seeding).await;
    let audit = Audit::new(&seeding, template.patients().await);
    let mut missed = Vec::new();
    for failpoint in FAILPOINTS {
        let mut hit = false;
        for visit in visits {
            let skipped = if *visit > 1 { format!("{}*off->", visit - 1) } else { String::new() };
            let db = template.copy().await;
            hit |= check(&db, &seeding, &audit, &format!("{failpoint}={skipped}{action}")).await;
        }
        if !hit {
            missed.push(*failpoint);
        }
    }
    report(format!("{action} on {}: {} failpoints", template.engine(), FAILPOINTS.len()));
    // Nobody else writes here, so that no row is ever read again; on a busy machine a run that only takes long is taken for one that hangs there.
    missed.retain(|failpoint| *failpoint != "engine::pending_read");
    assert_eq!(missed, Vec::<&str>::new(), "failpoints that no run came by");
}

/// Whatever came before, the end is that of an undisturbed run.
async fn ends_well(db: &Database, seeding: &Seeding, audit: &Audit, failpoint: &str) {
    audit.assert_in_between(&db.patients().await);
    let resumed = operator(db).run(&["run", "--resume", "--yes"]).await;
    // A run that had finished before it was killed leaves the resumed one nothing to rotate.
    assert_eq!(resumed.code(), Some(1), "{failpoint}: {resumed}");
    assert_eq!(resumed.state(), "finished", "{failpoint}: {resumed}");
    audit.assert_rotated(&db.patients().await);
    if resumed.column("firstName")["rotated"] != 0 {
        COLUMNS.iter().for_each(|column| assert_column(&resumed, seeding, column));
    }
    assert_eq!(Store(db).progress().await.rows, ROWS, "{failpoint}");
}

async fn killed_at_every_failpoint(engine: Engine) {
    at_each(engine, "return", &[1, 2, 5], async |db, seeding, audit, failpoint| {
        let killed = operator(db).start_failing(failpoint, &RUN).finish().await;
        ends_well(db, seeding, audit, failpoint).await;
        killed.code().is_none()
    })
    .await;
}

async fn failing_at_every_failpoint(engine: Engine) {
    at_each(engine, "return(error)", &[1, 5], async |db, seeding, audit, failpoint| {
        let failed = operator(db).start_failing(failpoint, &RUN).finish().await;
        let hit = failed.code() == Some(2);
        if hit {
            failed.expect_refusal("failpoint", &[]);
        }
        ends_well(db, seeding, audit, failpoint).await;
        hit
    })
    .await;
}

/// It hangs for good, is taken for dead, and is killed.
async fn hanging_at_every_failpoint(engine: Engine) {
    at_each(engine, "sleep(600000)", &[1], async |db, seeding, audit, failpoint| {
        let operator = operator(db);
        let mut hanging = operator.start_failing(failpoint, &RUN);
        let hit = tokio::time::timeout(Duration::from_secs(3), async {
            while !hanging.has_ended() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await
        .is_err();
        hanging.kill().await;
        ends_well(db, seeding, audit, failpoint).await;
        hit
    })
    .await;
}
