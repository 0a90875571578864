//! The checkpoint store's statements and migrations.
use crate::playground::{Playground, read, write};
use reencrypt_db::{Migrator, Value};
use sqlx::{
    SqlSafeStr,
    migrate::{Migration, MigrationType},
};

const RUNS: &str = "CREATE TABLE reencrypt_runs (id INTEGER PRIMARY KEY, state TEXT NOT NULL, blob BLOB)";
const CHUNKS: &str =
    "CREATE TABLE reencrypt_chunks (id INTEGER PRIMARY KEY); CREATE INDEX reencrypt_ci ON reencrypt_chunks (id)";

fn migrator(statements: &[&'static str]) -> Migrator {
    let migration = |(at, sql): (usize, &&'static str)| {
        let version = i64::try_from(at).expect("few migrations") + 1;
        Migration::new(version, "test".into(), MigrationType::Simple, (*sql).into_sql_str(), false)
    };
    Migrator::with_migrations(statements.iter().enumerate().map(migration).collect())
}

#[tokio::test]
async fn migrations_are_applied_once() {
    let mut place = Playground::new("CREATE TABLE t (x)").await;
    let mut session = place.session().await;
    session.migrate(&migrator(&[RUNS])).await.expect("migrated");
    session.migrate(&migrator(&[RUNS])).await.expect("nothing to do");
    session.migrate(&migrator(&[RUNS, CHUNKS])).await.expect("migrated further");
    let names = place.column("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name").await;
    assert_eq!(names, ["reencrypt_chunks", "reencrypt_migrations", "reencrypt_runs", "t"]);
    assert_eq!(place.column("SELECT version FROM reencrypt_migrations ORDER BY 1").await, ["1", "2"]);
}

#[tokio::test]
async fn a_store_that_lacks_nothing_is_not_written() {
    let mut place = Playground::new("CREATE TABLE t (x)").await;
    let mut session = place.session().await;
    session.migrate(&migrator(&[RUNS])).await.expect("migrated");
    place.run("BEGIN IMMEDIATE").await;
    session.migrate(&migrator(&[RUNS])).await.expect("no lock is needed");
}

#[tokio::test]
async fn a_store_of_another_version_is_refused() {
    let place = Playground::new("CREATE TABLE t (x)").await;
    let mut session = place.session().await;
    session.migrate(&migrator(&[RUNS, CHUNKS])).await.expect("migrated");
    for other in [migrator(&[RUNS]), migrator(&[CHUNKS, RUNS]), migrator(&[])] {
        let error = session.migrate(&other).await.expect_err("another version");
        assert_eq!(error.code(), "store_version", "{error}");
    }
    session.migrate(&migrator(&[RUNS, CHUNKS])).await.expect("its own version");
}

#[tokio::test]
async fn a_migration_that_fails_leaves_nothing() {
    let mut place = Playground::new("CREATE TABLE t (x)").await;
    let mut session = place.session().await;
    let error = session.migrate(&migrator(&[RUNS, "CREATE TABLE reencrypt_x (a); SELECT x FROM nowhere"])).await;
    let error = error.expect_err("no such table");
    assert_eq!(error.code(), "schema_changed", "{error:?}");
    assert_eq!(place.column("SELECT name FROM sqlite_schema").await, ["t"]);
    session.migrate(&migrator(&[RUNS])).await.expect("migrated");
}

#[tokio::test]
async fn processes_that_start_together_migrate_once() {
    let mut place = Playground::new("CREATE TABLE t (x)").await;
    let mut sessions = Vec::new();
    for _ in 0..6 {
        sessions.push(place.session().await);
    }
    let tasks: Vec<_> = sessions
        .into_iter()
        .map(|mut session| tokio::spawn(async move { session.migrate(&migrator(&[RUNS, CHUNKS])).await }))
        .collect();
    for task in tasks {
        task.await.expect("a task").expect("migrated");
    }
    assert_eq!(place.column("SELECT version FROM reencrypt_migrations ORDER BY 1").await, ["1", "2"]);
}

#[tokio::test]
async fn statements_take_numbered_parameters_and_give_typed_values() {
    let place = Playground::new("CREATE TABLE t (x)").await;
    let mut session = place.session().await;
    session.migrate(&migrator(&[RUNS])).await.expect("migrated");
    let mut transaction = write(&mut session).await;
    let insert = "INSERT INTO reencrypt_runs (id, state, blob) VALUES ($2, $1, $3), ($2 + 1, $1, $4)";
    let bytes = Value::Bytes(vec![0, 255]);
    let arguments = [Value::Text("running".to_string()), Value::Int(i64::MAX - 1), bytes.clone(), Value::Null];
    assert_eq!(transaction.execute(insert, &arguments).await.expect("inserted"), 2);
    let update = "UPDATE reencrypt_runs SET state = $1 WHERE state = $2 RETURNING id, state, blob";
    let texts = [Value::Text("done".to_string()), Value::Text("running".to_string())];
    let rows = transaction.fetch(update, &texts).await.expect("updated");
    let done = Value::Text("done".to_string());
    assert_eq!(
        rows,
        [vec![Value::Int(i64::MAX - 1), done.clone(), bytes], vec![Value::Int(i64::MAX), done, Value::Null]]
    );
    let clock = format!("SELECT {}", transaction.now_ms_sql());
    let now = transaction.fetch(&clock, &[]).await.expect("the clock")[0][0].int().expect("an integer");
    assert!(now > 1_700_000_000_000, "{now}");
    transaction.commit().await.expect("committed");
    let mut transaction = read(&mut session).await;
    assert_eq!(transaction.fetch("SELECT 1.5", &[]).await.expect_err("no real").code(), "store_damaged");
    assert_eq!(transaction.fetch("SELECT id FROM reencrypt_runs", &[]).await.expect("rows").len(), 2);
}
