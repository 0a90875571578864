//! What stands around the data, as `doctor` tells it: transactions of others, slots and standbys, and the disk.
use crate::{
    doctor::{CLUSTER, expect_failure, healthy, names},
    operator,
    store_lost::statement_in,
};
use reencrypt_tests::{Audit, Database, Finished, Postgres, Role, Seeding, Standby, report};
use sqlx::{AssertSqlSafe, Executor, PgConnection, Row};
use std::{path::Path, process::Command};

/// The line with this name, whatever its status.
#[track_caller]
fn line(doctor: &Finished, name: &str) -> (&'static str, String) {
    let lines = ["pass", "warn", "fail"].into_iter().flat_map(|status| {
        let checks = doctor.checks(status).into_iter();
        checks.map(move |(name, told)| (name, (status, told)))
    });
    lines.into_iter().find(|(found, _)| found == name).unwrap_or_else(|| panic!("no line {name}\n{doctor}")).1
}

#[track_caller]
fn expect_warning(doctor: &Finished, name: &str, words: &[&str]) {
    let (status, told) = line(doctor, name);
    assert_eq!(status, "warn", "{doctor}");
    words.iter().for_each(|word| assert!(told.contains(word), "{name} does not say {word}: {told}"));
}

/// Ten minutes pass at once, for this database.
async fn ten_minutes_later(db: &Database) {
    db.execute(
        "ALTER FUNCTION pg_catalog.clock_timestamp() RENAME TO clock_of_the_machine;
         SET allow_system_table_mods = on;
         CREATE FUNCTION pg_catalog.clock_timestamp() RETURNS timestamptz LANGUAGE sql
           AS 'SELECT pg_catalog.clock_of_the_machine() + interval ''10 minutes''';
         RESET allow_system_table_mods",
    )
    .await;
}

/// Another session of the tool's role, which sees what its own role does.
async fn session(db: &Postgres, sql: &str) -> PgConnection {
    let mut session = db.connect(Role::Run).await;
    session.execute(sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))).await.expect("it begins");
    session
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_that_are_open_for_long_are_told() {
    let db = Database::postgres(&Seeding::clean(20)).await;
    let postgres = db.as_postgres();
    let role = postgres.role(Role::Run);
    let doctor = async |purpose: &str| healthy(&db).run(&["doctor", "--for", purpose]).await.expect_code(0);
    expect_warning(&doctor("run").await, "transactions", &["cannot see", "GRANT pg_read_all_stats", &role]);
    db.execute(&format!("GRANT pg_read_all_stats TO {role}")).await;
    let (status, told) = line(&doctor("run").await, "transactions");
    assert_eq!((status, told.contains("none has been open")), ("pass", true), "{told}");
    // From now on every transaction of every other test would be ten minutes old.
    db.execute(&format!("REVOKE pg_read_all_stats FROM {role}")).await;
    ten_minutes_later(&db).await;

    let idle = session(postgres, r#"BEGIN; SELECT count(*) FROM "Patient""#).await;
    let told = doctor("run").await;
    expect_warning(&told, "transactions", &["has been open for 6", "locked for a run", "pg_stat_activity"]);
    expect_warning(&doctor("verify").await, "transactions", &["verify waits for it"]);
    drop(idle);
    let snapshot = session(postgres, r#"BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM "Patient""#).await;
    let told = doctor("run").await;
    expect_warning(&told, "transactions", &["held a snapshot for 6", "table grows", "pg_stat_activity"]);
    drop(snapshot);
    // Nobody is there any more, and it still holds what it held.
    let name = format!("forgotten_{role}");
    db.execute(&format!(
        r#"BEGIN; UPDATE "Patient" SET "zip" = "zip" WHERE "patientNumber" = 1; PREPARE TRANSACTION '{name}'"#
    ))
    .await;
    expect_warning(&doctor("run").await, "transactions", &["held a snapshot for 6", "pg_prepared_xacts"]);
    db.execute(&format!("ROLLBACK PREPARED '{name}'")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slots_that_nobody_reads_and_standbys_are_told() {
    let _alone = CLUSTER.write().await;
    let seeding = Seeding::clean(50);
    let db = Database::postgres(&seeding).await;
    let audit = Audit::new(&seeding, db.patients().await);
    let doctor = async || healthy(&db).run(&["doctor"]).await.expect_code(0);
    let slot = format!("forgotten_{}", db.as_postgres().role(Role::Run));
    db.execute(&format!("SELECT pg_create_physical_replication_slot('{slot}')")).await;
    expect_warning(&doctor().await, "replication", &["1 replication slot", "pg_replication_slots"]);
    db.execute(&format!("SELECT pg_drop_replication_slot('{slot}')")).await;
    assert_eq!(line(&doctor().await, "replication").0, "pass");

    let standby = Standby::of(db.as_postgres()).await;
    expect_warning(&doctor().await, "replication", &["1 standby", "--max-rows-per-second"]);
    // On the standby itself nothing can be written, and a plan or a verification needs nothing to be.
    let there = operator(&db).set("DATABASE_URL", &standby.url(Role::Run));
    let there = there.set("JWT_SECRET", &"0f1e2d3c4b5a6978".repeat(4));
    expect_failure(&there.run(&["doctor"]).await, "writable", &["standby", "primary", "pg_is_in_recovery"]);
    for purpose in ["plan", "verify"] {
        let doctor = there.run(&["doctor", "--for", purpose]).await;
        expect_warning(&doctor, "writable", &["plan and verify work here"]);
    }
    there.run(&["run", "--yes"]).await.expect_refusal("read_only_server", &["primary"]);
    assert_eq!(there.run(&["verify"]).await.expect_code(1).json()["old_key_needed"], true);
    standby.end().await;
    audit.assert_unchanged(&db.patients().await);
}

/// A table that somebody has to himself is named, with the statement that shows who; and it hides nothing else from `doctor`.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_somebody_keeps_locked_is_named() {
    let _alone = CLUSTER.read().await;
    let db = Database::postgres(&Seeding::clean(20)).await;
    let mut holder = db.as_postgres().connect(Role::Owner).await;
    let locked = r#"BEGIN; LOCK TABLE "Patient" IN ACCESS EXCLUSIVE MODE; SELECT pg_backend_pid()"#;
    let pid: i32 = holder.fetch_one(sqlx::raw_sql(locked)).await.expect("the lock").get(0);
    let (configured, discovering) = (healthy(&db), healthy(&db));
    std::fs::remove_file(discovering.folder().join("reencrypt.toml")).expect("the configuration");
    let (plan, verify, run, doctor, discovered) = tokio::join!(
        configured.run(&["plan"]),
        configured.run(&["verify"]),
        configured.run(&["run", "--yes"]),
        configured.run(&["doctor"]),
        discovering.run(&["doctor"]),
    );
    for refused in [plan, verify, run] {
        refused.expect_refusal("lock_timeout", &["somebody holds a lock on table public.Patient", "pg_stat_activity"]);
        let shows = statement_in(&refused);
        let held = format!("SELECT count(*) FROM ({}) AS s WHERE pid = {pid} AND granted", shows.trim_end_matches(';'));
        assert!(db.number(&held).await > 0, "{shows} does not show {pid}");
    }
    for doctor in [doctor, discovered] {
        expect_failure(&doctor, "tables", &["somebody holds a lock on table public.Patient", "pg_stat_activity"]);
        let passed = names(&doctor, "pass");
        for name in ["server", "tls", "writable", "store", "replication", "deadlock_timeout"] {
            assert!(passed.contains(&name.to_owned()), "{name} does not pass\n{doctor}");
        }
    }
}

/// A server on which somebody has closed the catalog says what it refused.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_cannot_be_looked_at_fails() {
    let db = Database::postgres(&Seeding::clean(20)).await;
    db.execute("REVOKE SELECT ON pg_catalog.pg_replication_slots FROM PUBLIC").await;
    let doctor = healthy(&db).run(&["doctor"]).await;
    expect_failure(&doctor, "server", &["reading the server's state", "GRANT"]);
    assert!(names(&doctor, "pass").contains(&"key.default.new".to_owned()), "{doctor}");
}

/// A small file system, where this user may mount one; gone when it is dropped.
struct Volume(tempfile::TempDir);

impl Volume {
    fn of_bytes(bytes: u64) -> Option<Self> {
        let folder = tempfile::Builder::new().prefix("reencrypt-volume-").tempdir().expect("a folder");
        let size = format!("size={bytes}");
        let mounted = mount(&["-t", "tmpfs", "-o", &size, "tmpfs"], folder.path());
        mounted.then_some(Self(folder))
    }

    fn make_read_only(&self) {
        assert!(mount(&["-o", "remount,ro"], self.0.path()), "it takes no writes from now on");
    }

    /// A copy of the database's file.
    fn copy(&self, db: &Database) -> String {
        let file = self.0.path().join("clinic.db");
        std::fs::copy(db.file().expect("a file"), &file).expect("there is room");
        format!("sqlite:{}", file.display())
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

fn mount(arguments: &[&str], at: &Path) -> bool {
    Command::new("mount").args(arguments).arg(at).output().is_ok_and(|mounted| mounted.status.success())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_and_a_file_that_takes_no_writes_fail() {
    let seeding = Seeding::clean(1000);
    let db = Database::sqlite(&seeding).await;
    let audit = Audit::new(&seeding, db.patients().await);
    let file = std::fs::metadata(db.file().expect("a file")).expect("its length").len();
    let Some(volume) = Volume::of_bytes(file + (256 << 10)) else {
        report("this user may mount nothing: no full disk was seen");
        return;
    };
    let there = healthy(&db).set("DATABASE_URL", &volume.copy(&db));
    let doctor = there.run(&["doctor"]).await;
    expect_failure(&doctor, "disk", &["are free, and a run may need", "make room"]);
    // And so it is: what was committed before the disk was full stays, and the run goes on once there is room.
    let full = there.run(&["run", "--yes"]).await;
    full.expect_refusal("database_full", &["room"]);

    volume.make_read_only();
    let doctor = there.run(&["doctor"]).await;
    expect_failure(&doctor, "writable", &["read-only"]);
    drop(volume);
    audit.assert_unchanged(&db.patients().await);
}

/// What is no database is told from one that is not there.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_no_database_fails() {
    let db = Database::sqlite(&Seeding::clean(20)).await;
    let operator = healthy(&db);
    operator.write("text.db", &"this is no database\n".repeat(200));
    operator.write("empty.db", "");
    std::fs::create_dir(operator.folder().join("folder.db")).expect("a folder");
    for name in ["text.db", "folder.db"] {
        let operator = healthy(&db).set("DATABASE_URL", &format!("sqlite:{}/{name}", operator.folder().display()));
        expect_failure(&operator.run(&["doctor"]).await, "database", &[name]);
    }
    let empty = healthy(&db).set("DATABASE_URL", &format!("sqlite:{}/empty.db", operator.folder().display()));
    expect_failure(&empty.run(&["doctor"]).await, "tables", &["Patient", "no such table"]);
}
