//! Snapshots, heap scans, transactions in flight, samples.
use crate::playground::{Playground, patient, run, selection, table, text};
use reencrypt_db::{InFlight, Mode, Selection, Session, Transaction};
use std::time::{Duration, Instant};

/// The first slot of all rows of some parts of a heap scan.
async fn scanned(
    transaction: &mut Transaction<'_>,
    selection: &Selection,
    parts: std::ops::Range<u32>,
    of: u32,
) -> Vec<i64> {
    let mut values = Vec::new();
    for part in parts {
        let mut scan = transaction.heap_scan(selection, part, of).await.expect("a scan");
        while let Some(rows) = transaction.next_rows(&mut scan, selection).await.expect("rows") {
            assert!(rows.len() <= 2500, "{}", rows.len());
            values.extend(
                (0..rows.len()).map(|row| text(&rows, row, 0).expect("a value").parse::<i64>().expect("a number")),
            );
        }
    }
    values.sort_unstable();
    values
}

/// `t` with 12,000 rows over more than one stripe, some pages emptied and some rows moved.
async fn heap(playground: &mut Playground) -> Vec<i64> {
    playground
        .sql(
            "CREATE TABLE t (id integer PRIMARY KEY, v text NOT NULL, filler text NOT NULL);
             INSERT INTO t SELECT g, g::text, repeat('x', 400) FROM generate_series(1, 12000) g",
        )
        .await;
    playground
        .sql("DELETE FROM t WHERE id BETWEEN 3000 AND 5000; UPDATE t SET filler = filler || 'y' WHERE id % 7 = 0")
        .await;
    (1..=12000).filter(|id| !(3000..=5000).contains(id)).collect()
}

#[tokio::test]
async fn a_heap_scan_is_the_table_whole_and_in_parts() {
    let mut playground = Playground::new().await;
    let expected = heap(&mut playground).await;
    let mut session = playground.session().await;
    let selection = selection(&table(&mut session, "t").await, &["v", "filler"]);
    let mut transaction = session.begin(Mode::Snapshot(None)).await.expect("begin");
    for parts in [1, 2, 3, 7] {
        assert_eq!(scanned(&mut transaction, &selection, 0..parts, parts).await, expected, "{parts}");
    }
    let halves = [0..1, 1..2];
    for half in halves {
        let half = scanned(&mut transaction, &selection, half, 2).await;
        assert!(half.len() > expected.len() / 4 && half.len() < expected.len(), "{}", half.len());
    }
}

#[tokio::test]
async fn a_heap_scan_uses_no_index() {
    let mut playground = Playground::new().await;
    let expected = heap(&mut playground).await;
    // An index that lies: it says that it covers all rows and holds none of them.
    playground.sql("CREATE INDEX lying ON t (id) INCLUDE (v, filler) WHERE id < 0; ANALYZE t").await;
    playground.sql("UPDATE pg_index SET indpred = NULL WHERE indexrelid = 'lying'::regclass").await;
    let mut session = playground.session().await;
    let selection = selection(&table(&mut session, "t").await, &["v"]);
    let mut transaction = session.begin(Mode::Snapshot(None)).await.expect("begin");
    assert_eq!(scanned(&mut transaction, &selection, 0..2, 2).await, expected);
}

#[tokio::test]
async fn large_values_cut_a_portion_and_lose_no_row() {
    let mut playground = Playground::new().await;
    playground
        .sql("CREATE TABLE t (id integer PRIMARY KEY, v text NOT NULL, w text NOT NULL); ALTER TABLE t ALTER w SET STORAGE EXTERNAL;
              INSERT INTO t SELECT g, g::text, repeat('x', 5000000) FROM generate_series(1, 12) g")
        .await;
    let mut session = playground.session().await;
    let selection = selection(&table(&mut session, "t").await, &["v", "w"]);
    let mut transaction = session.begin(Mode::Snapshot(None)).await.expect("begin");
    let mut scan = transaction.heap_scan(&selection, 0, 1).await.expect("a scan");
    let mut portions = Vec::new();
    while let Some(rows) = transaction.next_rows(&mut scan, &selection).await.expect("rows") {
        assert!(rows.bytes() < 25_000_000);
        portions.push(rows.len());
    }
    assert_eq!(portions.iter().sum::<usize>(), 12);
    assert!(portions.len() >= 3, "{portions:?}");
}

#[tokio::test]
async fn an_exported_snapshot_is_one_moment_for_all_sessions() {
    let mut playground = Playground::new().await;
    let expected = heap(&mut playground).await;
    let (mut first, mut second) = (playground.session().await, playground.session().await);
    let selection = selection(&table(&mut first, "t").await, &["v"]);
    let mut holder = first.begin(Mode::Snapshot(None)).await.expect("begin");
    let snapshot = holder.export_snapshot().await.expect("a snapshot");
    let now = playground.texts("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint::text").await;
    let age = now[0].parse::<i64>().expect("a number") - snapshot.taken_at_ms;
    assert!((0..10_000).contains(&age), "{age}");
    // The heap grows and shrinks afterwards.
    playground.sql("INSERT INTO t SELECT g, g::text, repeat('z', 400) FROM generate_series(20001, 30000) g").await;
    playground.sql("DELETE FROM t WHERE id < 1000; UPDATE t SET v = '-1' WHERE id = 2000").await;
    let mut worker = second.begin(Mode::Snapshot(Some(&snapshot))).await.expect("begin");
    let (mut ours, theirs) =
        tokio::join!(scanned(&mut holder, &selection, 0..1, 2), scanned(&mut worker, &selection, 1..2, 2));
    ours.extend(theirs);
    ours.sort_unstable();
    assert_eq!(ours, expected);
    worker.commit().await.expect("commit");
    holder.commit().await.expect("commit");
    let error = second.begin(Mode::Snapshot(Some(&snapshot))).await.err().expect("a lost snapshot");
    assert_eq!(error.code(), "snapshot_lost", "{error}");
    assert!(second.is_usable());
    second.begin(Mode::Read).await.expect("begin").commit().await.expect("commit");
}

#[tokio::test]
async fn what_a_snapshot_does_not_see_is_found_afterwards() {
    let mut playground = Playground::new().await;
    heap(&mut playground).await;
    // Transactions of the whole server hold the horizon back, those of other tests too: wait for all that are older than the heap.
    let written = playground.texts("SELECT pg_current_xact_id()::text").await.remove(0);
    let passed = format!("SELECT (pg_snapshot_xmin(pg_current_snapshot()) >= '{written}')::text");
    while playground.texts(&passed).await != ["true"] {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut session = playground.session().await;
    let selection = selection(&table(&mut session, "t").await, &["v"]);
    let mut late = playground.another().await;
    run(&mut late, "BEGIN; INSERT INTO t VALUES (50001, '50001', 'late')").await;
    run(&mut playground.admin, "BEGIN; INSERT INTO t VALUES (50002, '50002', 'prepared'); PREPARE TRANSACTION 'p'")
        .await;
    let mut transaction = session.begin(Mode::Snapshot(None)).await.expect("begin");
    let snapshot = transaction.export_snapshot().await.expect("a snapshot");
    transaction.commit().await.expect("commit");
    run(&mut late, "COMMIT").await;
    playground.sql("COMMIT PREPARED 'p'").await;
    playground.sql("UPDATE t SET v = '50003' WHERE id = 6000; INSERT INTO t VALUES (50004, '50004', 'after')").await;
    playground.sql("VACUUM FREEZE t").await;
    let mut transaction = session.begin(Mode::Read).await.expect("begin");
    let mut unseen = Vec::new();
    for part in 0..3 {
        let mut scan = transaction.unseen_scan(&selection, &snapshot, part, 3).await.expect("a scan");
        while let Some(rows) = transaction.next_rows(&mut scan, &selection).await.expect("rows") {
            unseen.extend((0..rows.len()).map(|row| text(&rows, row, 0).expect("a value")));
        }
    }
    unseen.sort_unstable();
    assert_eq!(unseen, ["50001", "50002", "50003", "50004"]);
}

async fn in_flight(session: &mut Session, own: &[i64]) -> Vec<InFlight> {
    let mut transaction = session.begin(Mode::Read).await.expect("begin");
    let open = transaction.in_flight(own).await.expect("a list");
    transaction.commit().await.expect("commit");
    open
}

#[tokio::test]
async fn transactions_in_flight_are_seen_without_privileges_until_they_end() {
    let mut playground = Playground::new().await;
    let role = playground.role("watches").await;
    playground.sql("CREATE TABLE t (id integer PRIMARY KEY)").await;
    let (mut session, mut own) = (playground.session_as(&role).await, playground.session_as(&role).await);
    assert_eq!(in_flight(&mut session, &[]).await, []);
    let (mut writer, mut reader) = (playground.another().await, playground.another().await);
    run(&mut writer, "BEGIN; INSERT INTO t VALUES (1)").await;
    // One that has not written yet may still do so.
    run(&mut reader, "BEGIN; SELECT 1").await;
    run(&mut playground.admin, "BEGIN; INSERT INTO t VALUES (2); PREPARE TRANSACTION 'it''s prepared'").await;
    let own_pid = own.pid();
    let held = own.begin(Mode::Snapshot(None)).await.expect("begin");
    let open = in_flight(&mut session, &[own_pid]).await;
    assert_eq!(open.len(), 3, "{open:?}");
    assert_eq!(open.iter().filter(|t| t.prepared && t.pid == 0).count(), 1);
    assert_eq!(in_flight(&mut session, &[]).await.len(), 4);
    held.commit().await.expect("commit");

    // The writer begins another transaction in the same process: the first one is over.
    run(&mut writer, "COMMIT; BEGIN; INSERT INTO t VALUES (3)").await;
    let mut transaction = session.begin(Mode::Read).await.expect("begin");
    let still = transaction.still_in_flight(&open).await.expect("a list");
    assert_eq!(still.len(), 2, "{still:?}");
    run(&mut reader, "COMMIT").await;
    let still = transaction.still_in_flight(&still).await.expect("a list");
    assert!(still.len() == 1 && still[0].prepared, "{still:?}");
    run(&mut playground.admin, "COMMIT PREPARED 'it''s prepared'").await;
    assert_eq!(transaction.still_in_flight(&open).await.expect("a list"), []);
}

#[tokio::test]
async fn transactions_of_other_databases_do_not_count() {
    let (playground, elsewhere) = (Playground::new().await, Playground::new().await);
    let mut other = elsewhere.another().await;
    run(&mut other, "BEGIN; SELECT 1").await;
    let mut session = playground.session().await;
    assert_eq!(in_flight(&mut session, &[]).await, []);
    run(&mut other, "COMMIT").await;
}

#[tokio::test]
async fn a_sample_is_spread_over_the_heap_and_repeatable() {
    let mut playground = Playground::new().await;
    playground
        .sql(
            "CREATE TABLE t (id integer PRIMARY KEY, v text NOT NULL, filler text NOT NULL) WITH (autovacuum_enabled = false);
             INSERT INTO t SELECT g, g::text, repeat('x', 300) FROM generate_series(1, 60000) g",
        )
        .await;
    for analyzed in [false, true] {
        if analyzed {
            playground.sql("ANALYZE t").await;
        }
        let mut session = playground.session().await;
        let table = table(&mut session, "t").await;
        let estimate = table.rows_estimate();
        assert!((50_000..=70_000).contains(&estimate), "{estimate}");
        let selection = selection(&table, &["v"]);
        let mut transaction = session.begin(Mode::Read).await.expect("begin");
        let ids = |rows: &reencrypt_db::Rows| {
            let mut ids: Vec<u32> =
                (0..rows.len()).map(|row| text(rows, row, 0).expect("a value").parse().expect("a number")).collect();
            ids.sort_unstable();
            ids
        };
        let began = Instant::now();
        let rows = transaction.sample(&selection, 1000, 42).await.expect("a sample");
        assert!(began.elapsed() < Duration::from_secs(2));
        let sample = ids(&rows);
        assert!((600..=1000).contains(&sample.len()), "{}", sample.len());
        for tenth in 0..10_u32 {
            let range = tenth * 6000..(tenth + 1) * 6000;
            let share = sample.iter().filter(|id| range.contains(*id)).count();
            assert!(share > 20, "{share} of {} in {range:?}", sample.len());
        }
        assert_eq!(ids(&transaction.sample(&selection, 1000, 42).await.expect("a sample")), sample);
        assert_ne!(ids(&transaction.sample(&selection, 1000, 43).await.expect("a sample")), sample);
        assert_eq!(rows.key(0).as_bytes().len(), 12);
    }
}

#[tokio::test]
async fn a_small_table_is_sampled_whole_and_a_sparse_one_still_gives_rows() {
    let mut playground = Playground::new().await;
    playground
        .sql(
            "CREATE TABLE t (id integer PRIMARY KEY, v text NOT NULL); INSERT INTO t SELECT g, g::text FROM generate_series(1, 700) g;
             CREATE TABLE sparse (id integer PRIMARY KEY, v text NOT NULL, filler text) WITH (autovacuum_enabled = false);
             INSERT INTO sparse SELECT g, g::text, repeat('x', 300) FROM generate_series(1, 60000) g; ANALYZE sparse",
        )
        .await;
    playground.sql("DELETE FROM sparse WHERE id % 20 <> 0").await;
    let mut session = playground.session().await;
    let (small, sparse) = (table(&mut session, "t").await, table(&mut session, "sparse").await);
    let (small, sparse) = (selection(&small, &["v"]), selection(&sparse, &["v"]));
    let mut transaction = session.begin(Mode::Read).await.expect("begin");
    assert_eq!(transaction.sample(&small, 1000, 1).await.expect("a sample").len(), 700);
    assert_eq!(transaction.sample(&small, 100, 1).await.expect("a sample").len(), 100);
    let rows = transaction.sample(&sparse, 500, 1).await.expect("a sample");
    assert!(rows.len() >= 300, "{}", rows.len());
}

#[tokio::test]
async fn a_table_without_a_key_can_be_scanned_and_sampled_alone() {
    let mut playground = Playground::new().await;
    playground.sql("CREATE TABLE t (id integer, v text NOT NULL); INSERT INTO t SELECT g, g::text FROM generate_series(1, 50) g").await;
    let mut session = playground.session().await;
    let selection = selection(&table(&mut session, "t").await, &["v"]);
    let mut transaction = session.begin(patient()).await.expect("begin");
    assert_eq!(transaction.sample(&selection, 100, 1).await.expect("a sample").len(), 50);
    assert_eq!(scanned(&mut transaction, &selection, 0..1, 1).await.len(), 50);
    let error = transaction.max_key(&selection).await.expect_err("no key");
    assert_eq!((error.code(), error.to_string().as_str()), ("no_row_key", "table public.t has no row key"));
}
