//! The compare-and-set write: it hits only rows that are exactly as they were read.
use crate::playground::{Playground, patient, run, selection, table, text};
use reencrypt_db::{Limits, Mode, RowKey, Rows, Selection, Session, Verdict};

/// Rows 1 to 10 with the columns `a` and `b`, of which `b` is NULL where the number is even, and those rows as they were read.
async fn ten_rows(playground: &mut Playground) -> (Session, Selection, Rows) {
    playground
        .sql(
            "CREATE TABLE t (id integer PRIMARY KEY, a text NOT NULL, b bytea, other text DEFAULT 'kept');
             INSERT INTO t SELECT g, 'a' || g, CASE WHEN g % 2 = 1 THEN convert_to('b' || g, 'UTF8') END FROM generate_series(1, 10) g",
        )
        .await;
    let mut session = playground.session().await;
    let selection = selection(&table(&mut session, "t").await, &["a", "b"]);
    let mut transaction = session.begin(Mode::Read).await.expect("begin");
    let upto = transaction.max_key(&selection).await.expect("a key").expect("rows");
    let rows = transaction.read_batch(&selection, None, &upto, 100).await.expect("a batch");
    transaction.commit().await.expect("commit");
    assert_eq!((rows.len(), text(&rows, 2, 0).as_deref(), rows.field(2, 1)), (10, Some("a3"), Some(&b"b3"[..])));
    (session, selection, rows)
}

async fn shown(playground: &mut Playground) -> Vec<String> {
    playground.texts("SELECT concat_ws(' ', id, a, convert_from(b, 'UTF8'), other) FROM t ORDER BY id").await
}

#[tokio::test]
async fn only_the_given_fields_change() {
    let mut playground = Playground::new().await;
    let (mut session, selection, rows) = ten_rows(&mut playground).await;
    let mut transaction = session.begin(patient()).await.expect("begin");
    let new: Vec<[Option<&[u8]>; 2]> = vec![[Some(b"A1"), None], [None, Some(b"B2")], [Some(b"A3"), Some(b"B3")]];
    let value = |row: usize, slot: usize| new[row][slot];
    let hit = transaction.compare_and_set(&selection, &rows, &[0, 1, 2], &value).await.expect("a write");
    transaction.commit().await.expect("commit");
    assert_eq!(hit, [true, true, true]);
    assert_eq!(shown(&mut playground).await[..4], ["1 A1 b1 kept", "2 a2 B2 kept", "3 A3 B3 kept", "4 a4 kept"]);
}

#[tokio::test]
async fn null_is_never_written_and_nothing_to_write_hits_nothing() {
    let mut playground = Playground::new().await;
    let (mut session, selection, rows) = ten_rows(&mut playground).await;
    let before = shown(&mut playground).await;
    let mut transaction = session.begin(patient()).await.expect("begin");
    let nothing = |_: usize, _: usize| None;
    assert_eq!(transaction.compare_and_set(&selection, &rows, &[0, 5], &nothing).await.expect("no write"), [false; 2]);
    assert!(transaction.compare_and_set(&selection, &rows, &[], &nothing).await.expect("no write").is_empty());
    transaction.commit().await.expect("commit");
    assert_eq!(shown(&mut playground).await, before);
    let nulls = playground.texts("SELECT count(*)::text FROM t WHERE a IS NULL").await;
    assert_eq!(nulls, ["0"]);
}

#[tokio::test]
async fn rows_that_changed_or_went_are_missed_and_left_alone() {
    let mut playground = Playground::new().await;
    let (mut session, selection, rows) = ten_rows(&mut playground).await;
    // Changed; changed and put back; changed in another column; deleted; deleted and inserted again; touched by an aborted transaction; locked and released.
    for sql in [
        "UPDATE t SET a = 'changed' WHERE id = 1",
        "UPDATE t SET a = 'x' WHERE id = 2",
        "UPDATE t SET a = 'a2' WHERE id = 2",
        "UPDATE t SET other = 'changed' WHERE id = 3",
        "DELETE FROM t WHERE id = 4 OR id = 5",
        "INSERT INTO t VALUES (5, 'a5', 'b5')",
        "BEGIN; UPDATE t SET a = 'aborted' WHERE id = 6; ROLLBACK",
        "BEGIN; SELECT FROM t WHERE id = 7 FOR UPDATE; COMMIT",
    ] {
        playground.sql(sql).await;
    }
    let mut transaction = session.begin(patient()).await.expect("begin");
    let all: Vec<usize> = (0..10).rev().collect();
    let hit = transaction
        .compare_and_set(&selection, &rows, &all, &|_, slot| (slot == 0).then_some(&b"N"[..]))
        .await
        .expect("a write");
    transaction.commit().await.expect("commit");
    // In the order in which the rows were given: the tenth row first.
    assert_eq!(hit, [true, true, true, true, true, false, false, false, false, false]);
    assert_eq!(
        shown(&mut playground).await,
        [
            "1 changed b1 kept",
            "2 a2 kept",
            "3 a3 b3 changed",
            "5 a5 b5 kept",
            "6 N kept",
            "7 N b7 kept",
            "8 N kept",
            "9 N b9 kept",
            "10 N kept",
        ]
    );
}

#[tokio::test]
async fn a_row_that_changes_while_the_write_waits_for_it_is_missed() {
    let mut playground = Playground::new().await;
    let (mut session, selection, rows) = ten_rows(&mut playground).await;
    let mut other = playground.another().await;
    run(&mut other, "BEGIN; UPDATE t SET a = 'theirs' WHERE id = 3").await;
    let write = async {
        let mut transaction = session.begin(patient()).await.expect("begin");
        let hit = transaction
            .compare_and_set(&selection, &rows, &[1, 2, 3], &|_, slot| (slot == 0).then_some(&b"N"[..]))
            .await;
        transaction.commit().await.expect("commit");
        hit.expect("a write")
    };
    let release = async {
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        run(&mut other, "COMMIT").await;
    };
    let (hit, ()) = tokio::join!(write, release);
    assert_eq!(hit, [true, false, true]);
    assert_eq!(shown(&mut playground).await[1..4], ["2 N kept", "3 theirs b3 kept", "4 N kept"]);
}

#[tokio::test]
async fn a_locked_row_gives_way_to_the_application() {
    let mut playground = Playground::new().await;
    let (mut session, selection, rows) = ten_rows(&mut playground).await;
    let mut other = playground.another().await;
    run(&mut other, "BEGIN; SELECT FROM t WHERE id = 3 FOR UPDATE").await;
    let mut transaction =
        session.begin(Mode::Write(Limits { statement_timeout_ms: 20_000, ..Limits::default() })).await.expect("begin");
    let error = transaction.compare_and_set(&selection, &rows, &[2], &|_, _| Some(b"N")).await.expect_err("a lock");
    assert_eq!((error.verdict(), error.code()), (Verdict::Retry, "lock_timeout"));
    // The transaction failed, so that it cannot be committed, and the session goes on.
    assert_eq!(transaction.commit().await.expect_err("aborted").code(), "transaction_aborted");
    assert!(session.is_usable());
    run(&mut other, "COMMIT").await;
    let mut transaction = session.begin(patient()).await.expect("begin");
    assert_eq!(
        transaction.compare_and_set(&selection, &rows, &[2], &|_, _| Some(b"N")).await.expect("a write"),
        [true]
    );
    transaction.commit().await.expect("commit");
}

#[tokio::test]
async fn rows_read_under_a_lock_stay_as_they_are() {
    let mut playground = Playground::new().await;
    let (mut session, selection, rows) = ten_rows(&mut playground).await;
    playground.sql("UPDATE t SET a = 'changed' WHERE id = 1; DELETE FROM t WHERE id = 2").await;
    let keys: Vec<RowKey> = (0..3).map(|row| rows.key(row)).collect();
    let mut transaction = session.begin(patient()).await.expect("begin");
    let locked = transaction.read_keys(&selection, &keys, true).await.expect("rows");
    assert_eq!(locked.len(), 2);
    playground.sql("SET lock_timeout = '100ms'").await;
    let theirs = sqlx::raw_sql("UPDATE t SET a = 'theirs' WHERE id = 1").execute(&mut playground.admin).await;
    assert!(theirs.is_err_and(|error| error.to_string().contains("lock timeout")));
    let which: Vec<usize> = (0..locked.len()).collect();
    let hit = transaction
        .compare_and_set(&selection, &locked, &which, &|_, slot| (slot == 0).then_some(&b"N"[..]))
        .await
        .expect("a write");
    transaction.commit().await.expect("commit");
    assert_eq!(hit, [true, true]);
    assert_eq!(shown(&mut playground).await[..2], ["1 N b1 kept", "3 N b3 kept"]);
}

#[tokio::test]
async fn a_rolled_back_write_and_a_dropped_one_leave_nothing() {
    let mut playground = Playground::new().await;
    let (mut session, selection, rows) = ten_rows(&mut playground).await;
    let before = shown(&mut playground).await;
    for dropped in [false, true] {
        let mut transaction = session.begin(patient()).await.expect("begin");
        let hit = transaction.compare_and_set(&selection, &rows, &[0, 1], &|_, _| Some(b"N")).await.expect("a write");
        assert_eq!(hit, [true, true]);
        // The other time it is dropped as it is.
        if !dropped {
            transaction.rollback().await.expect("rollback");
        }
    }
    let transaction = session.begin(Mode::Read).await.expect("begin");
    assert_eq!(shown(&mut playground).await, before);
    transaction.commit().await.expect("commit");
}

#[tokio::test]
async fn values_of_every_kind_of_column_come_back_as_they_were_written() {
    let mut playground = Playground::new().await;
    playground
        .sql(
            "CREATE EXTENSION citext; CREATE DOMAIN phi AS varchar(20) CHECK (value <> '');
             CREATE TABLE t (id integer PRIMARY KEY, a text, b varchar(20), c char(8), d citext, e phi, f bytea, g json, h jsonb, i integer);
             INSERT INTO t VALUES (1, 'a', 'b', 'c', 'D', 'e', '\\x00ff', '{\"g\" : 1}', '{\"h\" : 1}', 7)",
        )
        .await;
    let mut session = playground.session().await;
    let selection = selection(&table(&mut session, "t").await, &["a", "b", "c", "d", "e", "f", "g", "h", "i"]);
    let mut transaction = session.begin(patient()).await.expect("begin");
    let upto = transaction.max_key(&selection).await.expect("a key").expect("a row");
    let rows = transaction.read_batch(&selection, None, &upto, 1).await.expect("a batch");
    let fields = |rows: &Rows| (0..9).map(|slot| rows.field(0, slot).expect("not NULL").to_vec()).collect::<Vec<_>>();
    let old: [&[u8]; 9] = [b"a", b"b", b"c       ", b"D", b"e", b"\0\xff", b"{\"g\" : 1}", b"{\"h\": 1}", b"7"];
    assert_eq!(fields(&rows), old);
    let new: [&[u8]; 9] =
        ["ä\u{1f600}".as_bytes(), b"bb", b"cccccccc", b"dD", b"ee", b"\xfe\0", b"{\"g\" : 2}", b"\"a:b\"", b"8"];
    let value = |_: usize, slot: usize| Some(new[slot]);
    assert_eq!(transaction.compare_and_set(&selection, &rows, &[0], &value).await.expect("a write"), [true]);
    let rows = transaction.read_batch(&selection, None, &upto, 1).await.expect("a batch");
    assert_eq!(fields(&rows), new);
    transaction.commit().await.expect("commit");
}

#[tokio::test]
async fn what_the_server_refuses_is_named_without_a_value() {
    let mut playground = Playground::new().await;
    playground
        .sql(
            "CREATE TABLE t (id integer PRIMARY KEY, short varchar(5), one text UNIQUE, checked text CONSTRAINT sound CHECK (checked <> 'secret'));
             INSERT INTO t VALUES (1, 'a', 'secret', 'c'), (2, 'a', 'b', 'c');
             CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'secret %', NEW.one;
               IF NEW.checked = 'trigger' THEN RAISE EXCEPTION 'secret'; END IF; RETURN NEW; END $$;
             CREATE TRIGGER refuse BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION refuse()",
        )
        .await;
    let mut session = playground.session().await;
    let table = table(&mut session, "t").await;
    for (column, new, code, object) in [
        ("short", "secretsecret", "value_too_long", "table public.t"),
        ("one", "secret", "unique_violation", "table public.t, constraint t_one_key"),
        ("checked", "secret", "constraint_violation", "table public.t, constraint sound"),
        ("checked", "trigger", "constraint_violation", "table public.t"),
    ] {
        let selection = selection(&table, &[column]);
        let mut transaction = session.begin(patient()).await.expect("begin");
        let upto = transaction.max_key(&selection).await.expect("a key").expect("rows");
        let rows = transaction.read_batch(&selection, None, &upto, 10).await.expect("a batch");
        let value = |_: usize, _: usize| Some(new.as_bytes());
        let error = transaction.compare_and_set(&selection, &rows, &[1], &value).await.expect_err("a refusal");
        assert_eq!((error.code(), error.verdict()), (code, Verdict::Refused), "{error}");
        let shown = format!("{error} {error:?}");
        assert!(shown.contains(object) && !shown.contains("secret"), "{shown}");
        transaction.rollback().await.expect("rollback");
    }
}

#[tokio::test]
async fn leaves_of_a_partitioned_table_are_written_one_by_one() {
    let mut playground = Playground::new().await;
    playground
        .sql(
            "CREATE TABLE t (id integer, region text, v text NOT NULL, PRIMARY KEY (region, id)) PARTITION BY LIST (region);
             CREATE TABLE t_eu PARTITION OF t FOR VALUES IN ('eu') PARTITION BY RANGE (id);
             CREATE TABLE t_eu_low PARTITION OF t_eu FOR VALUES FROM (0) TO (50);
             CREATE TABLE t_eu_high (v text NOT NULL, region text NOT NULL, id integer NOT NULL);
             ALTER TABLE t_eu ATTACH PARTITION t_eu_high FOR VALUES FROM (50) TO (1000);
             CREATE TABLE t_other PARTITION OF t DEFAULT;
             INSERT INTO t SELECT g, CASE WHEN g % 3 = 0 THEN 'us' ELSE 'eu' END, 'v' || g FROM generate_series(1, 99) g",
        )
        .await;
    let mut session = playground.session().await;
    let table = table(&mut session, "t").await;
    let leaves: Vec<String> = table.leaves.iter().map(|leaf| leaf.name.to_string()).collect();
    assert_eq!(leaves, ["public.t_eu_high", "public.t_eu_low", "public.t_other"]);
    let mut seen = 0;
    for leaf in 0..table.leaves.len() {
        let selection = Selection::new(&table, leaf, &["v".to_owned()]).expect("a selection");
        let mut transaction = session.begin(patient()).await.expect("begin");
        let upto = transaction.max_key(&selection).await.expect("a key").expect("rows");
        let rows = transaction.read_batch(&selection, None, &upto, 1000).await.expect("a batch");
        let which: Vec<usize> = (0..rows.len()).collect();
        let hit = transaction.compare_and_set(&selection, &rows, &which, &|_, _| Some(b"N")).await.expect("a write");
        assert!(hit.iter().all(|hit| *hit));
        transaction.commit().await.expect("commit");
        seen += rows.len();
    }
    assert_eq!(seen, 99);
    assert_eq!(playground.texts("SELECT DISTINCT v FROM t").await, ["N"]);
}
