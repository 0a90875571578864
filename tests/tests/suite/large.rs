//! 300,000 patients: everything as with few, in bounded memory.
use crate::operator;
use reencrypt_tests::{Audit, Database, Operator, Random, Seeding, report};
use std::time::{Duration, Instant};

const ROWS: i64 = 300_000;
/// Peak resident memory of the tool, at any table size.
const RESIDENT_MIB_MAX: u64 = 256;

/// Runs a command and follows its peak of resident memory.
async fn with_memory(operator: &Operator, arguments: &[&str]) -> (reencrypt_tests::Finished, u64) {
    let mut running = operator.start(arguments);
    let status = running.pid().map(|pid| format!("/proc/{pid}/status"));
    let mut peak_kib = 0;
    while !running.has_ended() {
        let text = status.as_ref().and_then(|path| std::fs::read_to_string(path).ok()).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
        peak_kib = peak_kib.max(line.trim().trim_end_matches(" kB").parse().unwrap_or(0));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    (running.finish().await, peak_kib / 1024)
}

#[tokio::test(flavor = "multi_thread")]
async fn three_hundred_thousand_patients_rotate_in_bounded_memory() {
    let seeding = Seeding::clean(ROWS);
    let began = Instant::now();
    let db = Database::postgres(&seeding).await;
    let seeded = began.elapsed();
    let operator = operator(&db);
    let (plan, _) = with_memory(&operator, &["plan"]).await;
    plan.expect_code(0);
    let began = Instant::now();
    let (run, run_mib) = with_memory(&operator, &["run", "--yes"]).await;
    let ran = began.elapsed();
    let run = run.expect_code(0);
    assert_eq!(run.state(), "finished", "{run}");
    assert_eq!(run.column("email")["rotated"], ROWS, "{run}");
    let (verify, verify_mib) = with_memory(&operator, &["verify"]).await;
    let verify = verify.expect_code(0);
    assert_eq!(verify.json()["old_key_needed"], false, "{verify}");
    assert_eq!(verify.column("email")["new"], ROWS, "{verify}");
    report(format!(
        "{ROWS} patients (debug build): seeded in {:.0} s, run {:.0} s with {run_mib} MiB, verify {verify_mib} MiB",
        seeded.as_secs_f64(),
        ran.as_secs_f64()
    ));
    assert!(run_mib < RESIDENT_MIB_MAX && verify_mib < RESIDENT_MIB_MAX, "run {run_mib} MiB, verify {verify_mib} MiB");

    // Each hundredth row is opened by the other implementation; which hundredth is drawn.
    let audit = Audit::new(&seeding, Vec::new());
    let (mut rows, offset) = (0, Random::of_test("large").within(0..100) as i64);
    db.as_postgres()
        .for_each_patient(|patient| {
            rows += 1;
            if patient.number % 100 == offset {
                audit.assert_row_rotated(&patient);
            }
        })
        .await;
    assert_eq!(rows, ROWS);
}
