//! Scans that trust no index, and samples.
use crate::playground::{Playground, fields, read, write};
use reencrypt_db::{Mode, Selection, Transaction};
use std::collections::HashSet;

const SERIES: &str = "WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 1234) ";

async fn scan(transaction: &mut Transaction<'_>, selection: &Selection, part: u32) -> Vec<String> {
    let mut scan = transaction.heap_scan(selection, part, 3).await.expect("a scan");
    let mut all = Vec::new();
    while let Some(rows) = transaction.next_rows(&mut scan, selection).await.expect("rows") {
        all.extend(fields(&rows, selection).into_iter().flatten());
    }
    all
}

#[tokio::test]
async fn a_heap_scan_is_the_table_exactly() {
    let tables = [
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)",
        "CREATE TABLE t (id INTEGER, v TEXT)",
        "CREATE TABLE t (id TEXT NOT NULL PRIMARY KEY, v TEXT)",
        "CREATE TABLE t (id INT, v TEXT, rowid TEXT, _rowid_ TEXT)",
        "CREATE TABLE t (id INT PRIMARY KEY, v TEXT) WITHOUT ROWID; CREATE INDEX tv ON t (v)",
        "CREATE TABLE t (v TEXT, id TEXT COLLATE NOCASE, PRIMARY KEY (id, v)) WITHOUT ROWID",
    ];
    for create in tables {
        let mut place = Playground::new(&format!(
            "{create}; {SERIES} INSERT INTO t (id, v) SELECT n * 7919 % 100003, 'v' || n FROM s"
        ))
        .await;
        place.run("DELETE FROM t WHERE v LIKE '%9'").await;
        let expected: HashSet<_> = place.column("SELECT v FROM t").await.into_iter().collect();
        let selection = place.selection("t", &["v"]).await;
        let mut session = place.session().await;
        let mut transaction = session.begin(Mode::Snapshot(None)).await.expect("begun");
        let scanned = scan(&mut transaction, &selection, 0).await;
        assert_eq!((scanned.len(), expected.len()), (1111, 1111), "{create}");
        assert_eq!(scanned.into_iter().collect::<HashSet<_>>(), expected, "{create}");
        for part in [1, 2] {
            assert_eq!(scan(&mut transaction, &selection, part).await, [""; 0], "{create}");
        }
        assert_eq!(transaction.count(&selection).await.expect("a count"), 1111);
    }
}

#[tokio::test]
async fn a_damaged_index_hides_nothing_from_a_heap_scan() {
    let mut place = Playground::new(
        "CREATE TABLE t (k TEXT NOT NULL PRIMARY KEY, v TEXT); INSERT INTO t VALUES ('a', 'v1'), ('b', 'v2'), ('c', 'v3');",
    )
    .await;
    let selection = place.selection("t", &["v"]).await;
    // The index is told to be empty: its root becomes that of an index without rows.
    place
        .run(
            "CREATE TABLE u (k TEXT NOT NULL PRIMARY KEY, v TEXT); PRAGMA writable_schema = ON;
             UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema WHERE name = 'sqlite_autoindex_u_1')
             WHERE name = 'sqlite_autoindex_t_1'; PRAGMA writable_schema = RESET",
        )
        .await;
    let mut session = place.session().await;
    let mut transaction = read(&mut session).await;
    assert_eq!(transaction.max_key(&selection).await.expect("no error"), None, "the index is damaged");
    assert_eq!(scan(&mut transaction, &selection, 0).await, ["v1", "v2", "v3"]);
}

#[tokio::test]
async fn a_snapshot_is_one_moment_of_the_file() {
    let mut place = Playground::new(&format!(
        "PRAGMA journal_mode = wal; CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); {SERIES} INSERT INTO t SELECT n, 'v' FROM s"
    ))
    .await;
    let selection = place.selection("t", &["v"]).await;
    let mut session = place.session().await;
    let mut transaction = session.begin(Mode::Snapshot(None)).await.expect("begun");
    let snapshot = transaction.export_snapshot().await.expect("a snapshot");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock").as_millis();
    assert!(now.abs_diff(snapshot.taken_at_ms.try_into().expect("after 1970")) < 60_000);
    assert_eq!(transaction.in_flight(&[]).await.expect("none"), []);
    let mut position = transaction.heap_scan(&selection, 0, 1).await.expect("a scan");
    let mut seen = transaction.next_rows(&mut position, &selection).await.expect("rows").expect("rows").len();
    place
        .run("UPDATE t SET v = 'changed'; DELETE FROM t WHERE id % 2 = 0; INSERT INTO t VALUES (100000, 'late')")
        .await;
    while let Some(rows) = transaction.next_rows(&mut position, &selection).await.expect("rows") {
        assert!((0..rows.len()).all(|row| rows.field(row, 0) == Some(b"v")));
        seen += rows.len();
    }
    assert_eq!(seen, 1234);
    let mut unseen = transaction.unseen_scan(&selection, &snapshot, 0, 1).await.expect("a scan");
    assert!(transaction.next_rows(&mut unseen, &selection).await.expect("nothing").is_none());
}

#[tokio::test]
async fn large_values_come_in_small_portions() {
    let mut place = Playground::new(&format!(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v BLOB); {SERIES} INSERT INTO t SELECT n, zeroblob(1000000) FROM s WHERE n <= 30"
    ))
    .await;
    let selection = place.selection("t", &["v"]).await;
    let mut session = place.session().await;
    let mut transaction = write(&mut session).await;
    let mut position = transaction.heap_scan(&selection, 0, 1).await.expect("a scan");
    let mut seen = 0;
    while let Some(rows) = transaction.next_rows(&mut position, &selection).await.expect("rows") {
        assert!(rows.bytes() <= 6_000_000, "{}", rows.bytes());
        seen += rows.len();
    }
    assert_eq!(seen, 30);
    let upto = transaction.max_key(&selection).await.expect("a key").expect("rows");
    let batch = transaction.read_batch(&selection, None, &upto, 1000).await.expect("a batch");
    assert!(batch.len() < 12 && !batch.is_last(), "{} rows", batch.len());
    transaction.rollback().await.expect("rolled back");
    place.run("DELETE FROM t").await;
}

async fn sampled(place: &Playground, rows: u32) -> Vec<i64> {
    let selection = place.selection("t", &["v"]).await;
    let mut session = place.session().await;
    let sample = read(&mut session).await.sample(&selection, rows, 7).await.expect("a sample");
    fields(&sample, &selection).into_iter().flatten().map(|v| v.parse().expect("a number")).collect()
}

/// How many of the tenths of the table the sample has rows in.
fn tenths(sample: &[i64], of: i64) -> usize {
    sample.iter().map(|v| (v - 1) * 10 / of).collect::<HashSet<_>>().len()
}

#[tokio::test]
async fn a_small_table_is_sampled_whole() {
    let place = Playground::new(&format!(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); {SERIES} INSERT INTO t SELECT n * 1000003, n FROM s"
    ))
    .await;
    let sample = sampled(&place, 1234).await;
    assert_eq!(sample.into_iter().collect::<HashSet<_>>().len(), 1234);
}

#[tokio::test]
async fn a_sample_is_spread_over_the_table() {
    // `v` counts the rows in the order of the key.
    let tables = [
        ("dense", "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)", "n"),
        ("implicit rowid", "CREATE TABLE t (id INT, v TEXT)", "n"),
        ("sparse", "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)", "n * 7000000000000000"),
        (
            "one far away",
            "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)",
            "CASE n WHEN 1234 THEN 9223372036854775807 ELSE n END",
        ),
        (
            "two clusters",
            "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)",
            "CASE WHEN n > 600 THEN 1000000000000000 + n ELSE n - 9000000000000000 END",
        ),
        ("text", "CREATE TABLE t (id TEXT PRIMARY KEY, v TEXT) WITHOUT ROWID", "printf('user-%08x', n * 65537)"),
        ("blobs", "CREATE TABLE t (id BLOB PRIMARY KEY, v TEXT) WITHOUT ROWID", "CAST(printf('%08d', n) AS BLOB)"),
        ("composite", "CREATE TABLE t (id INT, v TEXT, PRIMARY KEY (id, v)) WITHOUT ROWID", "n"),
    ];
    for (name, create, id) in tables {
        let place = Playground::new(&format!("{create}; {SERIES} INSERT INTO t (id, v) SELECT {id}, n FROM s")).await;
        let sample = sampled(&place, 100).await;
        let distinct: HashSet<_> = sample.iter().copied().collect();
        assert_eq!(distinct.len(), sample.len(), "{name}: no row twice");
        assert!((50..=100).contains(&sample.len()), "{name}: {} rows", sample.len());
        assert!(tenths(&sample, 1234) >= 8, "{name}: {sample:?}");
    }
}

#[tokio::test]
async fn a_sample_has_keys_where_the_table_has() {
    let place = Playground::new(&format!(
        "CREATE TABLE t (k TEXT NOT NULL PRIMARY KEY, v TEXT); {SERIES} INSERT INTO t SELECT 'k' || n, n FROM s"
    ))
    .await;
    let selection = place.selection("t", &["v"]).await;
    let mut session = place.session().await;
    let mut transaction = read(&mut session).await;
    let sample = transaction.sample(&selection, 50, 1).await.expect("a sample");
    let keys: Vec<_> = (0..sample.len()).map(|row| sample.key(row)).collect();
    let again = transaction.read_keys(&selection, &keys, false).await.expect("rows");
    assert_eq!(fields(&again, &selection), fields(&sample, &selection));
}
