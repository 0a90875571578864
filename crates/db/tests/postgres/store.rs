//! The checkpoint store: its values, its schema, and the roles that may use it.
use crate::playground::{Playground, patient};
use reencrypt_db::{Limits, Migrator, Mode, Value};
use sqlx::{
    SqlSafeStr,
    migrate::{Migration, MigrationType},
};

fn migrator(versions: &[(i64, &'static str)]) -> Migrator {
    let migration = |(version, sql): &(i64, &'static str)| {
        Migration::new(*version, format!("step {version}").into(), MigrationType::Simple, sql.into_sql_str(), false)
    };
    Migrator::with_migrations(versions.iter().map(migration).collect())
}

const FIRST: (i64, &str) =
    (1, "CREATE TABLE reencrypt.run (id bigint PRIMARY KEY, note text); CREATE INDEX ON reencrypt.run (note)");
const SECOND: (i64, &str) = (2, "ALTER TABLE reencrypt.run ADD COLUMN state bytea");

#[tokio::test]
async fn migrations_are_applied_once_and_in_order() {
    let mut playground = Playground::new().await;
    let mut session = playground.session().await;
    session.migrate(&migrator(&[FIRST])).await.expect("the first");
    session.migrate(&migrator(&[SECOND, FIRST])).await.expect("the second");
    session.migrate(&migrator(&[FIRST, SECOND])).await.expect("nothing");
    let versions = playground
        .texts("SELECT version || ' ' || description || ' ' || success FROM reencrypt._sqlx_migrations ORDER BY 1")
        .await;
    assert_eq!(versions, ["1 step 1 true", "2 step 2 true"]);
    let elsewhere = playground.texts("SELECT count(*)::text FROM pg_class WHERE relname = '_sqlx_migrations'").await;
    assert_eq!(elsewhere, ["1"]);
}

#[tokio::test]
async fn a_store_of_another_version_is_refused() {
    let mut playground = Playground::new().await;
    let mut session = playground.session().await;
    session.migrate(&migrator(&[FIRST, SECOND])).await.expect("migrations");
    for (other, reason) in [
        (migrator(&[FIRST]), "its version 2 is newer than this tool's 1"),
        (migrator(&[FIRST, (2, "SELECT 1")]), "its version 2 differs from this tool's"),
        (migrator(&[FIRST, (3, "SELECT 1")]), "its version 2 is unknown to this tool"),
    ] {
        let error = session.migrate(&other).await.expect_err("a refusal");
        assert_eq!(error.code(), "store_version");
        assert_eq!(error.to_string(), format!("the checkpoint store cannot be used: {reason}"));
    }
    assert_eq!(playground.texts("SELECT count(*)::text FROM reencrypt._sqlx_migrations").await, ["2"]);
}

#[tokio::test]
async fn a_migration_that_fails_leaves_nothing() {
    let mut playground = Playground::new().await;
    let mut session = playground.session().await;
    let broken = migrator(&[FIRST, (2, "SELECT no_such_column FROM reencrypt.run")]);
    assert_eq!(session.migrate(&broken).await.expect_err("an error").code(), "schema_changed");
    assert_eq!(playground.texts("SELECT (to_regnamespace('reencrypt') IS NULL)::text").await, ["true"]);
    session.migrate(&migrator(&[FIRST])).await.expect("the first");
}

#[tokio::test]
async fn sessions_that_migrate_at_once_do_it_once() {
    let mut playground = Playground::new().await;
    let mut sessions = Vec::new();
    for _ in 0..4 {
        sessions.push(playground.session().await);
    }
    let tasks: Vec<_> = sessions
        .into_iter()
        .map(|mut session| tokio::spawn(async move { session.migrate(&migrator(&[FIRST, SECOND])).await }))
        .collect();
    for task in tasks {
        task.await.expect("no panic").expect("migrations");
    }
    assert_eq!(playground.texts("SELECT count(*)::text FROM reencrypt._sqlx_migrations").await, ["2"]);
}

#[tokio::test]
async fn a_role_needs_only_what_is_missing() {
    let mut playground = Playground::new().await;
    let (owner, user, stranger) =
        (playground.role("owns").await, playground.role("uses").await, playground.role("strange").await);
    // A DBA made the schema; the role may create in it but not on the database.
    playground.sql(&format!("CREATE SCHEMA reencrypt; GRANT USAGE, CREATE ON SCHEMA reencrypt TO {owner}")).await;
    let mut session = playground.session_as(&owner).await;
    session.migrate(&migrator(&[FIRST, SECOND])).await.expect("migrations");
    // Everything is there: USAGE and the tables are enough.
    playground.sql(&format!("GRANT USAGE ON SCHEMA reencrypt TO {user}; GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA reencrypt TO {user}")).await;
    let mut session = playground.session_as(&user).await;
    session.migrate(&migrator(&[FIRST, SECOND])).await.expect("nothing to do");
    let error = session
        .migrate(&migrator(&[FIRST, SECOND, (3, "CREATE TABLE reencrypt.more ()")]))
        .await
        .expect_err("no privilege");
    assert_eq!(error.code(), "privilege_missing");
    assert!(session.is_usable());
    let mut session = playground.session_as(&stranger).await;
    assert_eq!(session.migrate(&migrator(&[FIRST])).await.expect_err("no privilege").code(), "privilege_missing");
}

#[tokio::test]
async fn values_come_back_as_they_were_stored() {
    let playground = Playground::new().await;
    let mut session = playground.session().await;
    session.migrate(&migrator(&[FIRST, SECOND])).await.expect("migrations");
    let mut transaction = session.begin(patient()).await.expect("begin");
    let insert = "INSERT INTO reencrypt.run (id, note, state) VALUES ($1, $2, $3)";
    let rows = [
        vec![Value::Int(i64::MIN), Value::Text("naïve '\"\n".to_owned()), Value::Bytes(vec![0, 255, 1])],
        vec![Value::Int(7), Value::Null, Value::Null],
    ];
    for row in &rows {
        assert_eq!(transaction.execute(insert, row).await.expect("a row"), 1);
    }
    assert_eq!(
        transaction.fetch("SELECT id, note, state FROM reencrypt.run ORDER BY id", &[]).await.expect("rows"),
        rows
    );
    let returned = transaction
        .fetch(
            "UPDATE reencrypt.run SET note = $1 WHERE id = $2 OR $1 IS NULL RETURNING id",
            &[Value::Text("x".to_owned()), Value::Int(7)],
        )
        .await;
    assert_eq!(returned.expect("a row"), [[Value::Int(7)]]);
    let now = format!("SELECT {0}, {0} > 1700000000000, 1::smallint, 2::integer", transaction.now_ms_sql());
    let now = transaction.fetch(&now, &[]).await.expect("the time");
    assert!(now[0][0].int().expect("a number") > 1_700_000_000_000);
    assert_eq!(now[0][1..], [Value::Int(1), Value::Int(1), Value::Int(2)]);
    assert_eq!(transaction.fetch("SELECT 1.5::numeric", &[]).await.expect_err("a type").code(), "store_damaged");
    transaction.commit().await.expect("commit");
}

#[tokio::test]
async fn the_store_commits_with_the_data_or_not_at_all() {
    let mut playground = Playground::new().await;
    let mut session = playground.session().await;
    session.migrate(&migrator(&[FIRST])).await.expect("migrations");
    let mut transaction = session.begin(Mode::Write(Limits::default())).await.expect("begin");
    transaction.execute("INSERT INTO reencrypt.run VALUES (1, 'x')", &[]).await.expect("a row");
    let twice = transaction.execute("INSERT INTO reencrypt.run VALUES (1, 'y')", &[]).await.expect_err("twice");
    assert_eq!(twice.code(), "unique_violation");
    assert_eq!(transaction.commit().await.expect_err("aborted").code(), "transaction_aborted");
    assert_eq!(playground.texts("SELECT count(*)::text FROM reencrypt.run").await, ["0"]);
}
