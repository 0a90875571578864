//! Row keys of every kind, and the walk over them.
use crate::playground::{Playground, all_rows, fields, read, walk, write};
use reencrypt_db::RowKey;

/// A table, the columns of its row key, and how the database orders it.
struct Case {
    name: &'static str,
    create: &'static str,
    insert: &'static str,
    key: &'static [&'static str],
    order: &'static str,
}

const SERIES: &str = "WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 57) ";

const CASES: &[Case] = &[
    Case {
        name: "INTEGER PRIMARY KEY, negative ones too",
        create: "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)",
        insert: "INSERT INTO t SELECT (n - 30) * 300000007000000, 'v' || n FROM s",
        key: &["id"],
        order: "id",
    },
    Case {
        name: "text with quotes and NUL",
        create: "CREATE TABLE t (\"the \"\"key\"\"\" TEXT NOT NULL PRIMARY KEY, v TEXT)",
        insert: "INSERT INTO t SELECT char(60 + n % 40) || '''\"' || char(0) || n || 'é', 'v' || n FROM s",
        key: &["the \"key\""],
        order: "\"the \"\"key\"\"\"",
    },
    Case {
        name: "text without case",
        create: "CREATE TABLE t (k TEXT COLLATE NOCASE NOT NULL PRIMARY KEY, v TEXT)",
        insert: "INSERT INTO t SELECT CASE n % 2 WHEN 0 THEN 'Key' ELSE 'kEY' END || n, 'v' || n FROM s",
        key: &["k"],
        order: "k",
    },
    Case {
        name: "text that is compared without trailing blanks",
        create: "CREATE TABLE t (k TEXT COLLATE RTRIM NOT NULL UNIQUE, v TEXT)",
        insert: "INSERT INTO t SELECT n || '   ', 'v' || n FROM s",
        key: &["k"],
        order: "k",
    },
    Case {
        name: "blobs",
        create: "CREATE TABLE t (k BLOB NOT NULL PRIMARY KEY, v TEXT) WITHOUT ROWID",
        insert: "INSERT INTO t SELECT CAST(char(n, 0, 255 - n) AS BLOB), 'v' || n FROM s",
        key: &["k"],
        order: "k",
    },
    Case {
        name: "reals",
        create: "CREATE TABLE t (k REAL NOT NULL PRIMARY KEY, v TEXT)",
        insert: "INSERT INTO t SELECT (n - 20) / 7.0, 'v' || n FROM s",
        key: &["k"],
        order: "k",
    },
    Case {
        name: "every class in one column",
        create: "CREATE TABLE t (k NOT NULL UNIQUE, v TEXT)",
        insert: "INSERT INTO t SELECT CASE n % 4 WHEN 0 THEN n WHEN 1 THEN n + 0.5 WHEN 2 THEN '' || n ELSE CAST('' || n AS BLOB) END, 'v' || n FROM s",
        key: &["k"],
        order: "k",
    },
    Case {
        name: "composite WITHOUT ROWID, declared in another order",
        create: "CREATE TABLE t (v TEXT, number INT, clinic TEXT COLLATE NOCASE, PRIMARY KEY (clinic, number)) WITHOUT ROWID",
        insert: "INSERT INTO t SELECT 'v' || n, n % 19, CASE n % 3 WHEN 0 THEN 'a' WHEN 1 THEN 'B' ELSE 'c' END FROM s",
        key: &["clinic", "number"],
        order: "clinic, number",
    },
    Case {
        name: "composite of a rowid table",
        create: "CREATE TABLE t (a INT NOT NULL, b TEXT NOT NULL, c BLOB NOT NULL, v TEXT, PRIMARY KEY (a, b, c))",
        insert: "INSERT INTO t SELECT n % 3, '' || (n % 5), CAST('' || n AS BLOB), 'v' || n FROM s",
        key: &["a", "b", "c"],
        order: "a, b, c",
    },
    Case {
        name: "unique index where the primary key can hold NULL",
        create: "CREATE TABLE t (k TEXT PRIMARY KEY, u INT NOT NULL, v TEXT); CREATE UNIQUE INDEX tu ON t (u)",
        insert: "INSERT INTO t SELECT NULL, 100 - n, 'v' || n FROM s",
        key: &["u"],
        order: "u",
    },
    Case {
        name: "STRICT",
        create: "CREATE TABLE t (k ANY NOT NULL PRIMARY KEY, v TEXT) STRICT",
        insert: "INSERT INTO t SELECT CASE n % 2 WHEN 0 THEN n ELSE '' || n END, 'v' || n FROM s",
        key: &["k"],
        order: "k",
    },
];

#[tokio::test]
async fn the_walk_is_the_table_exactly_with_keys_of_every_kind() {
    for case in CASES {
        let mut place = Playground::new(&format!("{}; {SERIES} {}", case.create, case.insert)).await;
        let table = place.table("t").await;
        let key: Vec<_> = table.row_key.iter().map(|column| column.name.as_str()).collect();
        assert_eq!(key, case.key, "{}", case.name);
        let expected = place.column(&format!("SELECT v FROM t ORDER BY {}", case.order)).await;
        assert_eq!(expected.len(), 57, "{}", case.name);
        let selection = place.selection("t", &["v"]).await;
        let mut session = place.session().await;
        let mut transaction = read(&mut session).await;
        for limit in [1, 7, 57, 1000] {
            let walked: Vec<_> = walk(&mut transaction, &selection, limit).await.into_iter().flatten().collect();
            assert_eq!(walked, expected, "{}, {limit} rows at once", case.name);
        }
    }
}

#[tokio::test]
async fn every_row_is_found_and_written_by_its_key() {
    for case in CASES {
        let mut place = Playground::new(&format!("{}; {SERIES} {}", case.create, case.insert)).await;
        let expected = place.column(&format!("SELECT v || '!' FROM t ORDER BY {}", case.order)).await;
        let selection = place.selection("t", &["v"]).await;
        let mut session = place.session().await;
        let mut transaction = write(&mut session).await;
        let rows = all_rows(&mut transaction, &selection).await;
        let keys: Vec<_> = (0..rows.len()).map(|row| rows.key(row)).collect();
        // Through the store: bytes alone.
        let kept: Vec<_> = keys.iter().map(|key| RowKey::from_bytes(key.as_bytes().to_vec())).collect();
        let again = transaction.read_keys(&selection, &kept, true).await.expect("rows by key");
        assert_eq!(fields(&again, &selection), fields(&rows, &selection), "{}", case.name);
        let which: Vec<_> = (0..rows.len()).collect();
        let new: Vec<_> = which.iter().map(|&row| [rows.field(row, 0).expect("text"), b"!"].concat()).collect();
        let hits = transaction.compare_and_set(&selection, &rows, &which, &|row, _| Some(&new[row])).await;
        assert_eq!(hits.expect("written"), vec![true; 57], "{}", case.name);
        transaction.commit().await.expect("committed");
        let after = place.column(&format!("SELECT v FROM t ORDER BY {}", case.order)).await;
        assert_eq!(after, expected, "{}", case.name);
    }
}

#[tokio::test]
async fn keys_that_can_be_null_or_repeat_are_no_row_keys() {
    let refused = [
        "CREATE TABLE t (k TEXT PRIMARY KEY, v TEXT)",
        "CREATE TABLE t (k INTEGER PRIMARY KEY DESC, v TEXT)",
        "CREATE TABLE t (v TEXT)",
        "CREATE TABLE t (k INT UNIQUE, v TEXT)",
        "CREATE TABLE t (a INT NOT NULL, b INT, v TEXT, PRIMARY KEY (a, b))",
        "CREATE TABLE t (k INT NOT NULL, v TEXT); CREATE UNIQUE INDEX i ON t (k) WHERE v IS NOT NULL",
        "CREATE TABLE t (k INT NOT NULL, v TEXT); CREATE UNIQUE INDEX i ON t (k + 1)",
        "CREATE TABLE t (k INT NOT NULL, v TEXT); CREATE INDEX i ON t (k)",
        // Unique with case, compared without: two rows would be one key.
        "CREATE TABLE t (k TEXT COLLATE NOCASE NOT NULL, v TEXT); CREATE UNIQUE INDEX i ON t (k COLLATE BINARY)",
        "CREATE TABLE t (k TEXT NOT NULL, v TEXT, UNIQUE (k COLLATE NOCASE))",
        "CREATE TABLE t (v TEXT, g TEXT GENERATED ALWAYS AS (v || '') STORED NOT NULL UNIQUE)",
    ];
    for create in refused {
        let place = Playground::new(create).await;
        assert_eq!(place.table("t").await.row_key, [], "{create}");
        let selection = place.selection("t", &["v"]).await;
        let mut session = place.session().await;
        let error = read(&mut session).await.max_key(&selection).await.expect_err("no row key");
        assert_eq!(error.code(), "no_row_key", "{create}");
    }
}

#[tokio::test]
async fn a_deleted_cursor_row_ends_nothing() {
    let mut place = Playground::new(&format!(
        "CREATE TABLE t (k TEXT NOT NULL PRIMARY KEY, v TEXT); {SERIES} INSERT INTO t SELECT printf('%03d', n), 'v' || n FROM s"
    ))
    .await;
    let selection = place.selection("t", &["v"]).await;
    let mut session = place.session().await;
    let mut transaction = read(&mut session).await;
    let upto = transaction.max_key(&selection).await.expect("the largest key").expect("rows");
    let batch = transaction.read_batch(&selection, None, &upto, 10).await.expect("a batch");
    assert_eq!((batch.len(), batch.is_last()), (10, false));
    let cursor = batch.key(9);
    transaction.rollback().await.expect("rolled back");
    place.run("DELETE FROM t WHERE k IN ('010', '057')").await;
    let mut transaction = read(&mut session).await;
    let rest = transaction.read_batch(&selection, Some(&cursor), &upto, 100).await.expect("a batch");
    assert_eq!((rest.len(), rest.is_last()), (46, true));
    assert_eq!(rest.field(0, 0), Some(&b"v11"[..]));
    assert_eq!(rest.field(45, 0), Some(&b"v56"[..]));
}

#[tokio::test]
async fn chunks_end_where_their_rows_are() {
    for case in CASES {
        let place = Playground::new(&format!("{}; {SERIES} {}", case.create, case.insert)).await;
        let selection = place.selection("t", &["v"]).await;
        let mut session = place.session().await;
        let mut transaction = read(&mut session).await;
        let upto = transaction.max_key(&selection).await.expect("the largest key").expect("rows");
        let (mut after, mut sizes) = (None, Vec::new());
        while let Some(end) = transaction.key_after(&selection, after.as_ref(), &upto, 20).await.expect("an end") {
            let chunk = transaction.read_batch(&selection, after.as_ref(), &end, 1000).await.expect("a batch");
            assert!(chunk.is_last(), "{}", case.name);
            sizes.push(chunk.len());
            after = Some(end);
        }
        assert_eq!(sizes, [20, 20, 17], "{}", case.name);
        assert_eq!(after.as_ref(), Some(&upto), "{}", case.name);
    }
}

#[tokio::test]
async fn an_empty_table_has_no_largest_key() {
    let place = Playground::new("CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)").await;
    let selection = place.selection("t", &["v"]).await;
    let mut session = place.session().await;
    let mut transaction = read(&mut session).await;
    assert_eq!(transaction.max_key(&selection).await.expect("no error"), None);
    assert_eq!(transaction.count(&selection).await.expect("no error"), 0);
}

#[tokio::test]
async fn a_key_of_another_table_is_refused() {
    let place = Playground::new(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); INSERT INTO t VALUES (1, 'a');
         CREATE TABLE u (a INT NOT NULL, b INT NOT NULL, v TEXT, PRIMARY KEY (a, b)); INSERT INTO u VALUES (1, 2, 'a')",
    )
    .await;
    let (t, u) = (place.selection("t", &["v"]).await, place.selection("u", &["v"]).await);
    let mut session = place.session().await;
    let mut transaction = read(&mut session).await;
    let key = transaction.max_key(&u).await.expect("a key").expect("rows");
    for wrong in [key, RowKey::from_bytes(vec![9]), RowKey::from_bytes(Vec::new())] {
        let error = transaction.read_keys(&t, &[wrong], false).await.err().expect("refused");
        assert_eq!(error.code(), "row_key_mismatch");
    }
}

#[tokio::test]
async fn keys_are_text_for_a_person() {
    let place = Playground::new(
        "CREATE TABLE t (a TEXT NOT NULL, b NOT NULL, v TEXT, PRIMARY KEY (a, b)); INSERT INTO t VALUES ('Zoë', x'00ff', 'v'), ('x', -7, 'v')",
    )
    .await;
    let selection = place.selection("t", &["v"]).await;
    let mut session = place.session().await;
    let mut transaction = read(&mut session).await;
    let rows = all_rows(&mut transaction, &selection).await;
    let keys: Vec<_> = (0..rows.len()).map(|row| rows.key(row)).collect();
    assert_eq!(transaction.key_texts(&selection, &keys).await.expect("texts"), ["Zoë, x'00ff'", "x, -7"]);
}

#[tokio::test]
async fn text_keys_that_are_not_utf8_are_walked_and_written() {
    let mut place = Playground::new(
        "CREATE TABLE t (k TEXT NOT NULL PRIMARY KEY, v TEXT);
         INSERT INTO t VALUES ('a', 'v1'), (CAST(x'61ff' AS TEXT), 'v2'), (CAST(x'62fe00' AS TEXT), 'v3'), ('c', 'v4')",
    )
    .await;
    let selection = place.selection("t", &["v"]).await;
    let mut session = place.session().await;
    let mut transaction = write(&mut session).await;
    let walked: Vec<_> = walk(&mut transaction, &selection, 1).await.into_iter().flatten().collect();
    assert_eq!(walked, ["v1", "v2", "v3", "v4"]);
    let rows = all_rows(&mut transaction, &selection).await;
    let hits = transaction.compare_and_set(&selection, &rows, &[0, 1, 2, 3], &|_, _| Some(&b"new"[..])).await;
    assert_eq!(hits.expect("written"), [true; 4]);
    transaction.commit().await.expect("committed");
    assert_eq!(place.column("SELECT count(*) || typeof(k) FROM t WHERE v = 'new' GROUP BY typeof(k)").await, ["4text"]);
}
