//! The support library against itself: what it says can be trusted only if it can fail.
use reencrypt_tests::{
    Audit, Cipher, Database, Fault, FaultyProxy, Postgres, Random, Role, RowKey, Seeding, WriteKey, Writers, report,
};
use sqlx::{AssertSqlSafe, Connection};
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread")]
async fn both_engines_hold_what_was_seeded_and_copies_are_the_same() {
    for row_key in RowKey::ALL {
        let seeding = Seeding::mixed(600).keyed(row_key);
        for db in [Database::postgres(&seeding).await, Database::sqlite(&seeding).await] {
            let patients = db.patients().await;
            assert_eq!(patients.len(), 600, "{row_key} on {}", db.engine());
            let copy = db.copy().await;
            assert_eq!(copy.patients().await, patients);
            let audit = Audit::new(&seeding, patients.clone());
            audit.assert_unchanged(&db.patients().await);
            audit.assert_in_between(&db.patients().await);
            assert!(audit.moved(&patients).is_empty());
            assert_eq!(audit.rows_to_move(), 540);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_sees_a_value_that_is_not_rotated_and_a_column_that_is_touched() {
    let seeding = Seeding::clean(20);
    let db = Database::sqlite(&seeding).await;
    let audit = Audit::new(&seeding, db.patients().await);
    let fails = |check: &dyn Fn()| std::panic::catch_unwind(std::panic::AssertUnwindSafe(check)).is_err();
    let patients = db.patients().await;
    assert!(fails(&|| audit.assert_rotated(&patients)), "nothing is rotated");
    db.execute(r#"UPDATE "Patient" SET "updatedAt" = 'now' WHERE "id" = 7"#).await;
    let patients = db.patients().await;
    assert!(fails(&|| audit.assert_untouched(&patients)), "updatedAt was touched");
    assert!(fails(&|| audit.assert_in_between(&patients)), "updatedAt was touched");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_table_can_be_seeded() {
    let began = Instant::now();
    let db = Database::postgres(&Seeding::clean(30_000)).await;
    assert_eq!(db.number(r#"SELECT count(*) FROM "Patient""#).await, 30_000);
    report(format!("30,000 patients seeded in {:.1} s", began.elapsed().as_secs_f64()));
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_can_do_no_more_than_they_should() {
    let db = Postgres::seeded(&Seeding::clean(3)).await;
    let attempt = async |role: Role, sql: &str| {
        let mut connection = db.connect(role).await;
        sqlx::query(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.is_ok()
    };
    assert!(attempt(Role::Read, r#"SELECT * FROM "Patient""#).await);
    assert!(!attempt(Role::Read, r#"UPDATE "Patient" SET "zip" = "zip""#).await);
    assert!(!attempt(Role::Read, "CREATE TABLE public.t (a int)").await);
    assert!(!attempt(Role::Read, "CREATE TABLE reencrypt.t (a int)").await);
    assert!(attempt(Role::Run, r#"UPDATE "Patient" SET "zip" = "zip""#).await);
    assert!(!attempt(Role::Run, r#"UPDATE "Patient" SET "updatedAt" = "updatedAt""#).await);
    assert!(!attempt(Role::Run, r#"DELETE FROM "Patient""#).await);
    assert!(attempt(Role::Run, "CREATE TABLE reencrypt.t (a int)").await);
    assert!(!attempt(Role::Run, "CREATE SCHEMA other").await);
    let bypass = r#"SELECT count(*) FROM pg_roles WHERE rolname LIKE '%\_run' AND (rolsuper OR rolbypassrls)"#;
    assert_eq!(db.number(bypass).await, 0);
}

/// One update through the proxy: what the client was told, and what the server has.
async fn update_through(db: &Postgres, proxy: &FaultyProxy, prepared: bool) -> (bool, bool) {
    let mut connection = db.connect_at(Role::Run, proxy.port()).await;
    let answer = async {
        let mut transaction = connection.begin().await?;
        let update = r#"UPDATE "public"."Patient" SET "zip" = 'changed' WHERE "id" = 1"#;
        match prepared {
            true => sqlx::query(update).execute(&mut *transaction).await.map(drop)?,
            false => sqlx::raw_sql(update).execute(&mut *transaction).await.map(drop)?,
        }
        transaction.commit().await
    };
    let told = answer.await.is_ok();
    let has = db.number(r#"SELECT count(*) FROM "Patient" WHERE "zip" = 'changed'"#).await == 1;
    db.execute(r#"UPDATE "Patient" SET "zip" = 'as before'"#).await;
    (told, has)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_proxy_cuts_before_the_commit_or_after_it_and_only_when_it_is_due() {
    let db = Postgres::seeded(&Seeding::clean(3)).await;
    for (fault, has) in [(Fault::BeforeCommit, false), (Fault::AfterCommit, true)] {
        let proxy = FaultyProxy::start(db.address(), fault, 2).await;
        for prepared in [true, false] {
            assert_eq!(update_through(&db, &proxy, prepared).await, (true, true), "{fault:?}: the first is not due");
            assert_eq!(update_through(&db, &proxy, prepared).await, (false, has), "{fault:?}: the second is");
        }
        assert_eq!((proxy.commits(), proxy.cuts()), (4, 2));
        // A commit that changed no patient is none of the proxy's business.
        let mut connection = db.connect_at(Role::Run, proxy.port()).await;
        for _ in 0..4 {
            let transaction = connection.begin().await.expect("a transaction");
            transaction.commit().await.expect("a commit without patients");
        }
        assert_eq!(proxy.cuts(), 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn writers_alone_leave_what_their_ledger_says_and_a_lost_write_shows() {
    for row_key in [RowKey::Int, RowKey::Uuid] {
        let seeding = Seeding::clean(400).keyed(row_key);
        let db = Database::postgres(&seeding).await;
        let before = db.patients().await;
        let writers = Writers::start(&db, &seeding, 4, &Random::of_test("writers_alone"));
        tokio::time::sleep(Duration::from_millis(700)).await;
        writers.switch_to(WriteKey::New).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        let ledger = writers.stop().await;
        assert!(ledger.writes > 100, "{} writes", ledger.writes);
        let after = db.patients().await;
        assert_eq!(ledger.differences(&seeding, &seeding.keys, &after), Vec::<String>::new());
        let new = Cipher::new(&seeding.keys.new);
        assert!(after.iter().flat_map(|patient| &patient.values).flatten().any(|stored| new.open(stored).is_some()));
        // A tool that wrote back what it had read earlier would do this.
        let changed = after
            .iter()
            .find(|patient| before.iter().any(|b| b.number == patient.number && b.values[0] != patient.values[0]));
        let number = changed.expect("some first name was changed").number;
        let earlier =
            before.iter().find(|patient| patient.number == number).and_then(|patient| patient.values[0].clone());
        db.execute(&format!(
            r#"UPDATE "Patient" SET "firstName" = '{}' WHERE "patientNumber" = {number}"#,
            earlier.expect("not NULL")
        ))
        .await;
        assert_eq!(ledger.differences(&seeding, &seeding.keys, &db.patients().await).len(), 1);
    }
}
