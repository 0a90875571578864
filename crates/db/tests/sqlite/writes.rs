//! The compare-and-set: only rows that are exactly as they were read, only the columns it is told, and what was there keeps its storage class.
use crate::playground::{Playground, all_rows, read, write};
use reencrypt_db::Verdict;

/// Reads everything in one transaction, lets the application act, writes `new` in another, and gives the hits.
async fn race(place: &mut Playground, columns: &[&str], act: &str, new: &[Option<&'static str>]) -> Vec<bool> {
    let selection = place.selection("t", columns).await;
    let mut session = place.session().await;
    let mut transaction = read(&mut session).await;
    let rows = all_rows(&mut transaction, &selection).await;
    transaction.rollback().await.expect("rolled back");
    if !act.is_empty() {
        place.run(act).await;
    }
    let which: Vec<_> = (0..rows.len()).collect();
    let mut transaction = write(&mut session).await;
    let value = |_: usize, slot: usize| new[slot].map(str::as_bytes);
    let hits = transaction.compare_and_set(&selection, &rows, &which, &value).await.expect("written");
    transaction.commit().await.expect("committed");
    hits
}

#[tokio::test]
async fn a_row_that_changed_in_any_way_is_not_written() {
    let acts = [
        "UPDATE t SET a = 'changed' WHERE id = 2",
        "UPDATE t SET a = NULL WHERE id = 2",
        "UPDATE t SET a = CAST(a AS BLOB) WHERE id = 2",
        "UPDATE t SET a = a || ' ' WHERE id = 2",
        "UPDATE t SET a = a || char(0) WHERE id = 2",
        "UPDATE t SET a = upper(a) WHERE id = 2",
        "UPDATE t SET b = 'set' WHERE id = 2",
        "UPDATE t SET b = '' WHERE id = 2",
        "UPDATE t SET b = x'' WHERE id = 2",
        "DELETE FROM t WHERE id = 2",
        "UPDATE t SET id = 20 WHERE id = 2",
    ];
    for act in acts {
        let mut place = Playground::new(
            "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b TEXT); INSERT INTO t VALUES (1, 'old', NULL), (2, 'old', NULL), (3, 'old', NULL)",
        )
        .await;
        let hits = race(&mut place, &["a", "b"], act, &[Some("new"), None]).await;
        assert_eq!(hits, [true, false, true], "{act}");
        assert_eq!(place.column("SELECT id FROM t WHERE a IS 'new'").await, ["1", "3"], "{act}");
    }
}

#[tokio::test]
async fn a_column_without_case_compares_bytes() {
    let mut place = Playground::new(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT COLLATE NOCASE); INSERT INTO t VALUES (1, 'aGVsbG8='), (2, 'aGVsbG8=')",
    )
    .await;
    let hits = race(&mut place, &["a"], "UPDATE t SET a = 'AGVsbG8=' WHERE id = 2", &[Some("new")]).await;
    assert_eq!(hits, [true, false]);
    assert_eq!(place.column("SELECT a FROM t ORDER BY id").await, ["new", "AGVsbG8="]);
}

#[tokio::test]
async fn what_was_there_keeps_its_storage_class() {
    let mut place = Playground::new(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a, b TEXT, c BLOB);
         INSERT INTO t VALUES (1, 'text', 'text', x'00ff'), (2, x'00ff', x'00ff', 'text'), (3, NULL, NULL, NULL), (4, 12, '12', 1.5)",
    )
    .await;
    let new = [Some("new"), Some("new"), Some("new")];
    assert_eq!(race(&mut place, &["a", "b", "c"], "", &new).await, [true; 4]);
    let classes = place.column("SELECT typeof(a) || ' ' || typeof(b) || ' ' || typeof(c) FROM t ORDER BY id").await;
    assert_eq!(classes, ["text text blob", "blob blob text", "text text blob", "text text text"]);
    assert_eq!(
        place.column("SELECT count(*) FROM t WHERE CAST(a AS TEXT) = 'new' AND CAST(c AS TEXT) = 'new'").await,
        ["4"]
    );
}

#[tokio::test]
async fn numbers_of_two_classes_are_not_the_same() {
    for (act, hit) in [
        ("", true),
        ("UPDATE t SET a = 1.0", false),
        ("UPDATE t SET a = '1'", false),
        ("UPDATE t SET a = 2", false),
        ("UPDATE t SET b = 2", false),
        ("UPDATE t SET b = 0.1 + 0.2", true),
        ("UPDATE t SET b = 0.3", false),
    ] {
        let mut place =
            Playground::new("CREATE TABLE t (id INTEGER PRIMARY KEY, a, b); INSERT INTO t VALUES (7, 1, 0.1 + 0.2)")
                .await;
        assert_eq!(race(&mut place, &["a", "b"], act, &[Some("new"), None]).await, [hit], "{act}");
    }
}

#[tokio::test]
async fn text_that_is_not_utf8_is_compared_and_written_as_text() {
    let mut place = Playground::new(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT); INSERT INTO t VALUES (1, CAST(x'61ff' AS TEXT)), (2, CAST(x'61ff' AS TEXT)), (3, 'ok')",
    )
    .await;
    let selection = place.selection("t", &["a"]).await;
    let mut session = place.session().await;
    let mut transaction = read(&mut session).await;
    let rows = all_rows(&mut transaction, &selection).await;
    assert_eq!(rows.field(0, 0), Some(&[0x61, 0xff][..]));
    transaction.rollback().await.expect("rolled back");
    place.run("UPDATE t SET a = CAST(x'61fe' AS TEXT) WHERE id = 2").await;
    let mut transaction = write(&mut session).await;
    let value = |nth: usize, _: usize| Some(if nth == 0 { &[0x80, 0x81][..] } else { &b"new"[..] });
    let hits = transaction.compare_and_set(&selection, &rows, &[2, 1, 0], &value).await.expect("written");
    assert_eq!(hits, [true, false, true]);
    transaction.commit().await.expect("committed");
    assert_eq!(
        place.column("SELECT typeof(a) || hex(a) FROM t ORDER BY id").await,
        ["text6E6577", "text61FE", "text8081"]
    );
}

#[tokio::test]
async fn text_that_the_file_would_store_as_a_number_is_not_written() {
    let mut place =
        Playground::new("CREATE TABLE t (id INTEGER PRIMARY KEY, a STRING); INSERT INTO t VALUES (1, 'x')").await;
    assert_eq!(race(&mut place, &["a"], "", &[Some("1e5")]).await, [false]);
    assert_eq!(place.column("SELECT a FROM t").await, ["x"]);
    assert_eq!(race(&mut place, &["a"], "", &[Some("1e5:2")]).await, [true]);
    assert_eq!(place.column("SELECT a FROM t").await, ["1e5:2"]);
}

#[tokio::test]
async fn each_row_of_a_large_batch_has_its_own_answer() {
    let mut place = Playground::new(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b TEXT);
         WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 213) INSERT INTO t SELECT n, 'a' || n, 'b' || n FROM s",
    )
    .await;
    let selection = place.selection("t", &["a", "b"]).await;
    let mut session = place.session().await;
    let mut transaction = read(&mut session).await;
    let rows = all_rows(&mut transaction, &selection).await;
    transaction.rollback().await.expect("rolled back");
    place.run("UPDATE t SET a = 'app' WHERE id % 7 = 0; DELETE FROM t WHERE id % 11 = 0").await;
    // Every second row, backwards; every third of them changes the one column alone.
    let which: Vec<_> = (0..rows.len()).rev().step_by(2).collect();
    let new: Vec<_> = (0..rows.len()).map(|row| format!("new{row}").into_bytes()).collect();
    let value = |nth: usize, slot: usize| {
        let row = which[nth];
        (slot == 0 || !row.is_multiple_of(3)).then(|| &new[row][..])
    };
    let mut transaction = write(&mut session).await;
    let hits = transaction.compare_and_set(&selection, &rows, &which, &value).await.expect("written");
    transaction.commit().await.expect("committed");
    let expected: Vec<_> = which.iter().map(|row| (row + 1) % 7 != 0 && (row + 1) % 11 != 0).collect();
    assert_eq!(hits, expected);
    let written: Vec<_> = which.iter().zip(&hits).filter(|(_, hit)| **hit).map(|(row, _)| *row).collect();
    for (id, a, b) in place.dump("SELECT id, a, b FROM t").await.iter().map(|row| (&row[0], &row[1], &row[2])) {
        let row = id.parse::<usize>().expect("a number") - 1;
        let hit = written.contains(&row);
        let changed = if (row + 1) % 7 == 0 { "app".to_string() } else { format!("a{id}") };
        assert_eq!(*a, if hit { format!("new{row}") } else { changed });
        assert_eq!(*b, if hit && row % 3 != 0 { format!("new{row}") } else { format!("b{id}") });
    }
}

#[tokio::test]
async fn other_columns_and_their_triggers_are_left_alone() {
    let mut place = Playground::new(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b TEXT, updated TEXT DEFAULT 'never' );
         CREATE TRIGGER touch AFTER UPDATE OF b ON t BEGIN UPDATE t SET updated = 'now' WHERE id = new.id; END;
         INSERT INTO t (id, a, b) VALUES (1, 'old', 'b'), (2, 'old', 'b')",
    )
    .await;
    assert_eq!(race(&mut place, &["a", "b"], "", &[Some("new"), None]).await, [true, true]);
    assert_eq!(place.column("SELECT a || b || updated FROM t").await, ["newbnever", "newbnever"]);
}

#[tokio::test]
async fn a_trigger_that_ignores_the_update_is_no_hit() {
    let mut place = Playground::new(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT); INSERT INTO t VALUES (1, 'old'), (2, 'old');
         CREATE TRIGGER no BEFORE UPDATE ON t WHEN old.id = 1 BEGIN SELECT RAISE(IGNORE); END;
         CREATE TABLE log (x); CREATE TRIGGER log AFTER UPDATE ON t BEGIN INSERT INTO log VALUES (1), (2), (3); END",
    )
    .await;
    assert_eq!(race(&mut place, &["a"], "", &[Some("new")]).await, [false, true]);
}

#[tokio::test]
async fn a_conflict_deletes_no_other_row_and_undoes_the_batch() {
    let mut place = Playground::new(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT UNIQUE ON CONFLICT REPLACE); INSERT INTO t VALUES (1, 'secret-one'), (2, 'secret-two'), (3, 'c')",
    )
    .await;
    let selection = place.selection("t", &["a"]).await;
    let mut session = place.session().await;
    let mut transaction = write(&mut session).await;
    let rows = all_rows(&mut transaction, &selection).await;
    let value = |nth: usize, _: usize| Some(if nth == 0 { &b"new"[..] } else { &b"secret-two"[..] });
    let error = transaction.compare_and_set(&selection, &rows, &[0, 2], &value).await.expect_err("not unique");
    assert_eq!((error.code(), error.verdict()), ("unique_violation", Verdict::Refused));
    let text = format!("{error} {error:?}");
    assert!(text.contains("t.a") && !text.contains("secret"), "{text}");
    assert_eq!(transaction.commit().await.expect_err("a statement failed").code(), "transaction_aborted");
    assert_eq!(place.column("SELECT a FROM t ORDER BY id").await, ["secret-one", "secret-two", "c"]);
    // The session goes on.
    write(&mut session).await.commit().await.expect("committed");
}

#[tokio::test]
async fn a_constraint_is_named_and_never_its_value() {
    let mut place = Playground::new(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT CHECK (a <> 'forbidden')); INSERT INTO t VALUES (1, 'old');
         CREATE TRIGGER loud BEFORE UPDATE ON t WHEN new.a = 'loud' BEGIN SELECT RAISE(ABORT, 'secret message'); END",
    )
    .await;
    for new in ["forbidden", "loud"] {
        let selection = place.selection("t", &["a"]).await;
        let mut session = place.session().await;
        let mut transaction = write(&mut session).await;
        let rows = all_rows(&mut transaction, &selection).await;
        let error = transaction.compare_and_set(&selection, &rows, &[0], &|_, _| Some(new.as_bytes())).await;
        let error = error.expect_err("refused");
        assert_eq!(error.code(), "constraint_violation");
        assert!(!format!("{error} {error:?}").contains("secret") && !format!("{error:?}").contains(new));
    }
    assert_eq!(place.column("SELECT a FROM t").await, ["old"]);
}

#[tokio::test]
async fn nothing_to_change_changes_nothing() {
    let mut place =
        Playground::new("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT); INSERT INTO t VALUES (1, 'old')").await;
    assert_eq!(race(&mut place, &["a"], "", &[None]).await, [false]);
    assert_eq!(place.column("SELECT a FROM t").await, ["old"]);
}
