//! Where rows stand in the heap, and who keeps dead versions there.
use crate::playground::{Playground, run, selection, table, text};
use reencrypt_db::{Horizon, Mode, RowKey, Session};

#[tokio::test]
async fn a_row_has_the_block_of_its_ctid_however_it_was_read() {
    let mut playground = Playground::new().await;
    playground
        .sql(
            "CREATE TABLE t (id integer PRIMARY KEY, v text NOT NULL, filler text NOT NULL);
             INSERT INTO t SELECT g, g::text, repeat('x', 700) FROM generate_series(1, 1000) g;
             UPDATE t SET filler = filler || 'y' WHERE id % 5 = 0",
        )
        .await;
    let expected = playground.texts("SELECT (ctid::text::point)[0]::integer::text FROM t ORDER BY id").await;
    assert!(expected.iter().max() > Some(&"0".to_owned()), "one page shows nothing");
    let mut session = playground.session().await;
    let selection = selection(&table(&mut session, "t").await, &["v", "filler"]);
    let mut transaction = session.begin(Mode::Read).await.expect("begin");
    let upto = transaction.max_key(&selection).await.expect("a key").expect("rows");
    let mut rows = transaction.read_batch(&selection, None, &upto, 400).await.expect("rows");
    while !rows.is_last() {
        let after = rows.key(rows.len() - 1);
        rows.append(transaction.read_batch(&selection, Some(&after), &upto, 400).await.expect("rows"), 1_000);
    }
    let pages = |rows: &reencrypt_db::Rows| -> Vec<String> {
        (0..rows.len()).map(|row| rows.page(row).expect("a page").to_string()).collect()
    };
    assert_eq!(pages(&rows), expected);
    assert_eq!(rows.bytes(), (0..rows.len()).map(|row| rows.row_bytes(row)).sum::<usize>());
    assert_eq!((text(&rows, 999, 0).as_deref(), rows.row_bytes(0)), (Some("1000"), 701));
    let keys: Vec<RowKey> = vec![rows.key(4)];
    let read = transaction.read_keys(&selection, &keys, false).await.expect("rows");
    assert_eq!(pages(&read), expected[4..5]);
}

async fn horizon(session: &mut Session) -> Horizon {
    let mut transaction = session.begin(Mode::Read).await.expect("begin");
    let horizon = transaction.horizon().await.expect("a horizon").expect("PostgreSQL has one");
    transaction.commit().await.expect("commit");
    horizon
}

/// A role that may nothing sees a snapshot of somebody else's, and that it ends.
#[tokio::test]
async fn a_held_snapshot_reaches_behind_what_was_written_since() {
    let mut playground = Playground::new().await;
    playground.sql("CREATE TABLE t (id integer PRIMARY KEY)").await;
    let role = playground.role("watcher").await;
    let mut session = playground.session_as(&role).await;
    let before = horizon(&mut session).await;
    playground.sql("INSERT INTO t VALUES (1)").await;
    assert!(!horizon(&mut session).await.reaches_behind(&before), "nobody holds anything");

    let mut reader = playground.another().await;
    run(&mut reader, "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM t").await;
    playground.sql("INSERT INTO t VALUES (2)").await;
    let held = horizon(&mut session).await;
    playground.sql("INSERT INTO t VALUES (3)").await;
    assert!(horizon(&mut session).await.reaches_behind(&held), "the reader's snapshot is older");
    run(&mut reader, "COMMIT").await;
    assert!(!horizon(&mut session).await.reaches_behind(&held), "it was let go");
}
