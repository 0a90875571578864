//! Transactions: who may write, who gives way, and what a changed schema or a broken call leads to.
use crate::playground::{Playground, all_rows, options, read, walk, write};
use reencrypt_db::{Database, Limits, Mode, Selection, Session, Value, Verdict};
use sqlx::Executor;
use std::time::{Duration, Instant};

const ONE_ROW: &str = "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT); INSERT INTO t VALUES (1, 'old')";

/// Replaces the one row's value and commits.
async fn replace(session: &mut Session, selection: &Selection) -> reencrypt_db::Result<Vec<bool>> {
    let mut transaction = session.begin(Mode::Write(Limits::default())).await?;
    let rows = all_rows(&mut transaction, selection).await;
    let hits = transaction.compare_and_set(selection, &rows, &[0], &|_, _| Some(&b"new"[..])).await?;
    transaction.commit().await?;
    Ok(hits)
}

#[tokio::test]
async fn reads_cannot_write() {
    let mut place = Playground::new(ONE_ROW).await;
    let mut session = place.session().await;
    for mode in [Mode::Read, Mode::Snapshot(None)] {
        for sql in ["UPDATE t SET a = 'x'", "CREATE TABLE u (a)", "DELETE FROM t"] {
            let mut transaction = session.begin(mode).await.expect("begun");
            let error = transaction.execute(sql, &[]).await.expect_err("a read transaction");
            assert_eq!(error.code(), "database_read_only", "{sql}");
        }
    }
    assert_eq!(place.column("SELECT a FROM t").await, ["old"]);
    // The same session may write afterwards, and not again after that.
    let selection = place.selection("t", &["a"]).await;
    assert_eq!(replace(&mut session, &selection).await.expect("written"), [true]);
    let error = read(&mut session).await.execute("DELETE FROM t", &[]).await.expect_err("a read transaction");
    assert_eq!(error.code(), "database_read_only");
    replace(&mut session, &selection).await.expect("written");
    let mut transaction = read(&mut session).await;
    let rows = all_rows(&mut transaction, &selection).await;
    let error = transaction.compare_and_set(&selection, &rows, &[0], &|_, _| Some(&b"x"[..])).await;
    assert_eq!(error.expect_err("a read transaction").code(), "database_read_only");
    transaction.rollback().await.expect("rolled back");
    assert_eq!(place.column("SELECT a FROM t").await, ["new"]);
}

#[tokio::test]
async fn a_busy_writer_is_waited_for_shortly_and_then_given_way() {
    let mut place = Playground::new(ONE_ROW).await;
    let mut session = place.session().await;
    place.run("BEGIN IMMEDIATE").await;
    let started = Instant::now();
    let error = session.begin(Mode::Write(Limits::default())).await.err().expect("somebody writes");
    assert_eq!((error.verdict(), error.code()), (Verdict::Retry, "lock_timeout"));
    assert!(started.elapsed() >= Duration::from_millis(80), "{:?}", started.elapsed());
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    // Reading goes on meanwhile.
    let selection = place.selection("t", &["a"]).await;
    assert_eq!(walk(&mut read(&mut session).await, &selection, 10).await, [["old"]]);
    place.run("ROLLBACK").await;
    assert_eq!(replace(&mut session, &selection).await.expect("written"), [true]);
}

#[tokio::test]
async fn a_commit_that_a_reader_blocks_leaves_nothing_behind() {
    let mut place = Playground::new(ONE_ROW).await;
    let selection = place.selection("t", &["a"]).await;
    let mut session = place.session().await;
    place.run("BEGIN; SELECT * FROM t").await;
    let error = replace(&mut session, &selection).await.expect_err("a reader holds the file");
    assert_eq!((error.verdict(), error.code()), (Verdict::Retry, "lock_timeout"));
    place.run("COMMIT").await;
    assert_eq!(place.column("SELECT a FROM t").await, ["old"]);
    assert_eq!(replace(&mut session, &selection).await.expect("written"), [true]);
}

#[tokio::test]
async fn a_dropped_transaction_stands_in_nobodys_way() {
    let mut place = Playground::new(ONE_ROW).await;
    let selection = place.selection("t", &["a"]).await;
    let mut session = place.session().await;
    {
        let mut transaction = write(&mut session).await;
        let rows = all_rows(&mut transaction, &selection).await;
        transaction.compare_and_set(&selection, &rows, &[0], &|_, _| Some(&b"new"[..])).await.expect("written");
    }
    let transaction = read(&mut session).await;
    transaction.commit().await.expect("committed");
    place.run("UPDATE t SET a = a || '!'").await;
    assert_eq!(place.column("SELECT a FROM t").await, ["old!"]);
}

#[tokio::test]
async fn a_call_that_was_given_up_makes_the_session_unusable() {
    let place = Playground::new(ONE_ROW).await;
    let mut session = place.session().await;
    let mut transaction = write(&mut session).await;
    let slow =
        "WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 3000000) SELECT count(*) FROM s";
    let call = tokio::time::timeout(Duration::from_millis(5), transaction.fetch(slow, &[]));
    assert!(call.await.is_err(), "the call is slow");
    let error = transaction.commit().await.expect_err("a call was given up");
    assert_eq!(error.verdict(), Verdict::Reconnect);
    assert!(!session.is_usable());
    assert!(session.begin(Mode::Read).await.is_err());
    drop(session);
    // The statement runs to its end, and then the file is free.
    let mut session = place.session().await;
    let started = Instant::now();
    while let Err(error) = session.begin(Mode::Write(Limits::default())).await.map(drop) {
        assert_eq!(error.verdict(), Verdict::Retry);
        assert!(started.elapsed() < Duration::from_secs(60), "the lock is never given back");
    }
}

#[tokio::test]
async fn a_deadline_ends_a_write() {
    let place = Playground::new(ONE_ROW).await;
    let mut session = place.session().await;
    let limits = Limits { deadline_ms: 20, ..Limits::default() };
    let slow =
        "WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 3000000) SELECT count(*) FROM s";
    let mut transaction = session.begin(Mode::Write(limits)).await.expect("begun");
    let error = transaction.fetch(slow, &[]).await.expect_err("past its deadline");
    assert_eq!((error.verdict(), error.code()), (Verdict::Reconnect, "connection_lost"));
    drop(transaction);
    assert!(!session.is_usable());
}

#[tokio::test]
async fn a_changed_table_is_seen_before_anything_is_written() {
    let changes = [
        "ALTER TABLE t ADD COLUMN c TEXT",
        "ALTER TABLE t RENAME COLUMN a TO b",
        "ALTER TABLE t RENAME TO u",
        "CREATE TRIGGER touch AFTER UPDATE ON t BEGIN DELETE FROM t; END",
        "DROP TABLE t; CREATE TABLE t (id INTEGER PRIMARY KEY, a BLOB); INSERT INTO t VALUES (1, 'old')",
        "DROP TABLE t",
    ];
    for change in changes {
        let mut place = Playground::new(ONE_ROW).await;
        let selection = place.selection("t", &["a"]).await;
        let mut session = place.session().await;
        let mut transaction = read(&mut session).await;
        let rows = all_rows(&mut transaction, &selection).await;
        transaction.rollback().await.expect("rolled back");
        place.run(change).await;
        let mut transaction = write(&mut session).await;
        let error = transaction.compare_and_set(&selection, &rows, &[0], &|_, _| Some(&b"new"[..])).await;
        let error = error.expect_err(change);
        assert_eq!((error.verdict(), error.code()), (Verdict::Fatal, "schema_changed"), "{change}");
        assert_eq!(transaction.commit().await.expect_err(change).code(), "transaction_aborted");
        // A session that never read through the selection sees it too.
        let mut other = place.session().await;
        let error = read(&mut other).await.max_key(&selection).await.expect_err(change);
        assert_eq!(error.code(), "schema_changed", "{change}");
    }
}

#[tokio::test]
async fn other_changes_of_the_schema_are_none_of_its_business() {
    let mut place = Playground::new(ONE_ROW).await;
    let selection = place.selection("t", &["a"]).await;
    let mut session = place.session().await;
    for change in [
        "CREATE TABLE reencrypt_chunks (id INTEGER PRIMARY KEY)",
        "CREATE TABLE u (a)",
        "CREATE INDEX ta ON t (a)",
        "VACUUM",
        "CREATE TRIGGER other AFTER UPDATE ON u BEGIN DELETE FROM u; END",
    ] {
        let mut transaction = read(&mut session).await;
        let rows = all_rows(&mut transaction, &selection).await;
        transaction.rollback().await.expect("rolled back");
        place.run(change).await;
        let mut transaction = write(&mut session).await;
        let hits = transaction.compare_and_set(&selection, &rows, &[0], &|_, _| Some(&b"new"[..])).await;
        assert_eq!(hits.expect(change), [true]);
        transaction.commit().await.expect("committed");
    }
}

#[tokio::test]
async fn a_column_that_is_gone_is_not_read_as_a_string() {
    // SQLite takes a quoted name that is no column for a string, unless it is named through its table.
    let mut place = Playground::new(ONE_ROW).await;
    let selection = place.selection("t", &["a"]).await;
    place.run("ALTER TABLE t RENAME COLUMN a TO b").await;
    let mut session = place.session().await;
    let error = read(&mut session).await.max_key(&selection).await.expect_err("a column is gone");
    assert_eq!(error.code(), "schema_changed");
}

#[tokio::test]
async fn modes_of_the_file_stay_as_they_are() {
    for mode in ["delete", "wal", "truncate"] {
        let mut place = Playground::new(&format!("PRAGMA journal_mode = {mode}; {ONE_ROW}")).await;
        let selection = place.selection("t", &["a"]).await;
        let mut session = place.session().await;
        assert_eq!(replace(&mut session, &selection).await.expect("written"), [true], "{mode}");
        session.close().await;
        assert_eq!(place.column("PRAGMA journal_mode").await, [mode]);
        assert_eq!(place.column("PRAGMA main.locking_mode").await, ["normal"]);
        let mut fresh = place.other_app().await;
        let row: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&mut fresh).await.expect("the mode");
        // Only WAL is kept in the file.
        assert_eq!(row, if mode == "wal" { "wal" } else { "delete" });
    }
}

#[tokio::test]
async fn reading_changes_no_byte_of_the_file() {
    let place = Playground::new(ONE_ROW).await;
    let before = std::fs::read(place.path()).expect("the file");
    let selection = place.selection("t", &["a"]).await;
    let mut session = place.session().await;
    let mut transaction = session.begin(Mode::Snapshot(None)).await.expect("begun");
    transaction.server().await.expect("the server");
    walk(&mut transaction, &selection, 10).await;
    transaction.commit().await.expect("committed");
    session.close().await;
    assert_eq!(std::fs::read(place.path()).expect("the file"), before);
    assert_eq!(std::fs::read_dir(place.path().parent().expect("a directory")).expect("a directory").count(), 1);
}

#[tokio::test]
async fn foreign_keys_are_not_enforced_by_the_tool() {
    let mut place = Playground::new(
        "CREATE TABLE p (k TEXT PRIMARY KEY); CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT REFERENCES p (k)); INSERT INTO t VALUES (1, 'orphan')",
    )
    .await;
    let selection = place.selection("t", &["a"]).await;
    let mut session = place.session().await;
    assert_eq!(replace(&mut session, &selection).await.expect("written"), [true]);
    assert_eq!(place.column("SELECT a FROM t").await, ["new"]);
}

#[tokio::test]
async fn files_that_are_no_database_are_refused_in_words() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let text = directory.path().join("notes.txt");
    std::fs::write(&text, "not a database, and long enough to be looked at as one ".repeat(40)).expect("written");
    for (path, words) in [
        (directory.path().join("missing.db"), "there is no such file"),
        (directory.path().to_path_buf(), "this is a directory"),
        (text, "the file is no SQLite database"),
    ] {
        let error = Database::connect(options(&path)).await.err().expect("refused");
        assert_eq!(error.code(), "database_file");
        assert!(error.to_string().contains(words), "{error}");
    }
    assert!(!directory.path().join("missing.db").exists(), "nothing is made");
}

#[tokio::test]
async fn an_utf16_file_is_read_and_written_as_utf8() {
    let mut place = Playground::new(
        "PRAGMA encoding = 'UTF-16le'; CREATE TABLE t (k TEXT NOT NULL PRIMARY KEY, a TEXT); INSERT INTO t VALUES ('Zoë', 'é1'), ('x', 'é2')",
    )
    .await;
    let selection = place.selection("t", &["a"]).await;
    let mut session = place.session().await;
    let mut transaction = write(&mut session).await;
    let rows = all_rows(&mut transaction, &selection).await;
    assert_eq!(rows.field(0, 0), Some("é1".as_bytes()));
    let hits = transaction.compare_and_set(&selection, &rows, &[0, 1], &|_, _| Some("neu·".as_bytes())).await;
    assert_eq!(hits.expect("written"), [true, true]);
    transaction.commit().await.expect("committed");
    assert_eq!(place.column("SELECT a FROM t").await, ["neu·", "neu·"]);
}

#[tokio::test]
async fn sessions_work_in_tasks() {
    let place = Playground::new(ONE_ROW).await;
    let selection = place.selection("t", &["a"]).await;
    let mut session = place.session().await;
    let task = tokio::spawn(async move {
        let hits = replace(&mut session, &selection).await.expect("written");
        let mut transaction = read(&mut session).await;
        let found = transaction.fetch("SELECT a FROM t WHERE id = $1", &[Value::Int(1)]).await.expect("a row");
        transaction.commit().await.expect("committed");
        (hits, found)
    });
    assert_eq!(task.await.expect("a task"), (vec![true], vec![vec![Value::Text("new".to_string())]]));
}

#[tokio::test]
async fn the_application_may_hold_the_file_while_it_is_opened() {
    let mut place = Playground::new(ONE_ROW).await;
    place.app.execute("BEGIN IMMEDIATE; UPDATE t SET a = 'app'").await.expect("the application writes");
    let mut session = place.session().await;
    let mut transaction = read(&mut session).await;
    assert!(!transaction.server().await.expect("the server").read_only);
    transaction.rollback().await.expect("rolled back");
    place.run("COMMIT").await;
}
