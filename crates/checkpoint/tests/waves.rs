//! A window that is written in waves: marks and chunk stand or fall together, on both engines. PostgreSQL's superuser URL is in `REENCRYPT_TEST_POSTGRES_URL`.
use reencrypt_checkpoint::{Advance, Chunk, Claim, NewRun, Store, Walk};
use reencrypt_db::{
    ConnectOptions, Database, DatabaseUrl, Limits, Mode, RowKey, Rows, Selection, Session, TableName, Written,
};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use std::time::Duration;

const RUN: &str = "run";
const MODE: Mode<'static> = Mode::Write(Limits {
    lock_timeout_ms: 500,
    statement_timeout_ms: 20_000,
    idle_timeout_ms: 20_000,
    deadline_ms: 30_000,
});

async fn connect(url: &str) -> Database {
    let options = ConnectOptions {
        url: DatabaseUrl::parse(url).expect("a URL"),
        tls: None,
        ca: None,
        connect_timeout: Duration::from_secs(10),
        application_name: "reencrypt-test".to_owned(),
    };
    Database::connect(options).await.expect("the database")
}

async fn postgres(name: &str) -> Database {
    connect(&postgres_url(name).await).await
}

/// Of a new database.
async fn postgres_url(name: &str) -> String {
    let base = std::env::var("REENCRYPT_TEST_POSTGRES_URL")
        .expect("REENCRYPT_TEST_POSTGRES_URL is not set: the superuser URL of a throw-away PostgreSQL server");
    let mut maintenance = PgConnection::connect(&base).await.expect("the server");
    let name = format!("store_{}_{name}", std::process::id());
    maintenance.execute(AssertSqlSafe(format!("CREATE DATABASE {name} TEMPLATE template0"))).await.expect("a database");
    let mut url = url::Url::parse(&base).expect("a URL");
    url.set_path(&name);
    url.into()
}

async fn sqlite(directory: &tempfile::TempDir) -> Database {
    let path = directory.path().join("app.db");
    std::fs::write(&path, b"").expect("a file");
    connect(&format!("sqlite://{}", path.display())).await
}

fn key(text: &str) -> RowKey {
    RowKey::from_bytes(text.as_bytes().to_vec())
}

/// A store with one claimed chunk.
async fn claimed(database: &Database) -> (Store, Session, Chunk) {
    let store = Store::new(database.dialect());
    let mut session = database.session().await.expect("a session");
    store.migrate(&mut session).await.expect("the store");
    let mut tx = session.begin(MODE).await.expect("begin");
    let new = NewRun { id: RUN, plan_id: "", plan: "{}", environment: "test", sweeps_max: 3 };
    assert!(store.start_run(&mut tx, &new).await.expect("a run"));
    let walk = Walk { table_no: 0, leaf: "public.t".to_owned(), upto: key("z"), frontier: None, chunks: 0 };
    let claim = Claim { run_id: RUN, pass: 1, owner: "first", lease_ms: 0 };
    let chunk = store.add_chunk(&mut tx, claim, &walk, &key("z")).await.expect("a chunk");
    tx.commit().await.expect("commit");
    assert!(chunk.window.is_none() && chunk.cursor.is_none());
    (store, session, chunk)
}

/// Advances the chunk and commits, or rolls back where the lease is lost; the chunk as it stands then.
async fn advance(
    store: &Store,
    session: &mut Session,
    chunk: &Chunk,
    cursor: Option<&RowKey>,
    window: Option<&RowKey>,
    marks: &[u64],
) -> Option<Chunk> {
    let mut tx = session.begin(MODE).await.expect("begin");
    let rows = chunk.rows + marks.len() as u64;
    let advance = Advance { cursor, pending: &[], window, marks, counts: "[]", rows, done: false, lease_ms: 0 };
    if !store.advance_chunk(&mut tx, chunk, &advance).await.expect("the store answers") {
        tx.rollback().await.expect("rollback");
        return None;
    }
    let after = store.reload_chunk(&mut tx, chunk.id).await.expect("the store answers");
    tx.commit().await.expect("commit");
    after
}

async fn marks(store: &Store, session: &mut Session, chunk: &Chunk) -> Vec<u64> {
    let mut tx = session.begin(Mode::Read).await.expect("begin");
    let marks = store.marks(&mut tx, chunk).await.expect("marks");
    tx.commit().await.expect("commit");
    marks
}

async fn a_window_from_its_first_wave_to_its_last(database: &Database) {
    let (store, mut session, chunk) = claimed(database).await;
    let end = key("m");
    let first = advance(&store, &mut session, &chunk, None, Some(&end), &[1, u64::MAX]).await.expect("the lease");
    assert!(first.window == Some(end.clone()) && first.cursor.is_none(), "the cursor stays before an open window");
    assert_eq!((first.rows, first.seq), (2, 1));
    let second = advance(&store, &mut session, &first, None, Some(&end), &[7]).await.expect("the lease");
    assert_eq!(marks(&store, &mut session, &second).await, [1, u64::MAX, 7]);
    let closed = advance(&store, &mut session, &second, Some(&end), None, &[]).await.expect("the lease");
    assert!(closed.window.is_none() && closed.cursor == Some(end));
    assert!(marks(&store, &mut session, &closed).await.is_empty(), "marks outlived their window");
}

/// Whoever lost the lease leaves no mark, and whoever has it finds those that are committed.
async fn a_late_owner_leaves_no_mark(database: &Database) {
    let (store, mut session, chunk) = claimed(database).await;
    let end = key("m");
    let late = advance(&store, &mut session, &chunk, None, Some(&end), &[1]).await.expect("the lease");
    tokio::time::sleep(Duration::from_millis(5)).await;
    let mut tx = session.begin(MODE).await.expect("begin");
    let claim = Claim { run_id: RUN, pass: 1, owner: "second", lease_ms: 60_000 };
    let taken = store.claim_chunk(&mut tx, claim).await.expect("the store answers").expect("a free chunk");
    tx.commit().await.expect("commit");
    assert!(taken.window == Some(end.clone()), "an open window goes over to the next owner");
    assert!(advance(&store, &mut session, &late, None, Some(&end), &[2]).await.is_none(), "the fence");
    assert!(advance(&store, &mut session, &chunk, None, Some(&end), &[3]).await.is_none(), "the seq");
    assert_eq!(marks(&store, &mut session, &taken).await, [1]);
    let next = advance(&store, &mut session, &taken, None, Some(&end), &[4]).await.expect("the lease");
    assert_eq!(marks(&store, &mut session, &next).await, [1, 4]);
}

#[tokio::test]
async fn a_window_on_postgres() {
    a_window_from_its_first_wave_to_its_last(&postgres("window").await).await;
}

#[tokio::test]
async fn a_window_on_sqlite() {
    let directory = tempfile::tempdir().expect("a folder");
    a_window_from_its_first_wave_to_its_last(&sqlite(&directory).await).await;
}

#[tokio::test]
async fn a_late_owner_on_postgres() {
    a_late_owner_leaves_no_mark(&postgres("late").await).await;
}

#[tokio::test]
async fn a_late_owner_on_sqlite() {
    let directory = tempfile::tempdir().expect("a folder");
    a_late_owner_leaves_no_mark(&sqlite(&directory).await).await;
}

/// Two rows of a table, as they were read.
async fn two_rows(session: &mut Session) -> (Selection, Rows) {
    let name = TableName { schema: "public".to_owned(), name: "t".to_owned() };
    let mut tx = session.begin(Mode::Read).await.expect("begin");
    let table = tx.table(&name).await.expect("the catalog").expect("the table");
    let selection = Selection::new(&table, 0, &["a".to_owned()]).expect("a selection");
    let upto = tx.max_key(&selection).await.expect("a key").expect("rows");
    let rows = tx.read_batch(&selection, None, &upto, 2).await.expect("a batch");
    tx.commit().await.expect("commit");
    (selection, rows)
}

/// The checkpoint goes with the write of its batch: both stand, or the chunk stays where it was.
#[tokio::test]
async fn a_checkpoint_that_goes_with_the_write() {
    let url = postgres_url("rider").await;
    let mut application = PgConnection::connect(&url).await.expect("the database");
    let table = "CREATE TABLE t (id integer PRIMARY KEY, a text); INSERT INTO t VALUES (1, 'old'), (2, 'old')";
    application.execute(table).await.expect("a table");
    let database = connect(&url).await;
    let (store, mut session, mut chunk) = claimed(&database).await;
    let (end, late) = (key("m"), chunk.clone());

    // Whether a row changes between read and write, whether the lease is lost, whether the write closes the window; the hits, and whether the chunk advanced.
    for (changes, lost, closes, hits, advanced) in [
        (false, false, false, [true, true], true),
        (true, false, false, [false, true], false),
        (false, true, false, [true, true], false),
        (false, false, true, [true, true], true),
    ] {
        let (selection, rows) = two_rows(&mut session).await;
        if changes {
            application.execute("UPDATE t SET a = 'theirs' WHERE id = 1").await.expect("a write");
        }
        let written =
            Written::new(&selection, &rows, &[0, 1], &|_, _| Some(b"new")).expect("a key").expect("PostgreSQL");
        let window = (!closes).then_some(&end);
        let (cursor, marks) = if closes { (Some(&end), &[][..]) } else { (None, &[1, u64::MAX][..]) };
        let advance =
            Advance { cursor, pending: &[], window, marks, counts: "[]", rows: 2, done: false, lease_ms: 60_000 };
        let rider = store.rider(if lost { &late } else { &chunk }, &advance).expect("PostgreSQL");

        let mut tx = session.begin(MODE).await.expect("begin");
        let hit = tx.compare_and_set_written(&selection, written, Some(&rider)).await.expect("a write");
        assert_eq!(hit, (hits.to_vec(), Some(advanced)));
        let after = store.reload_chunk(&mut tx, chunk.id).await.expect("the store answers").expect("the chunk");
        let kept = store.marks(&mut tx, &chunk).await.expect("marks");
        tx.commit().await.expect("commit");
        assert_eq!((after.seq - chunk.seq, after.rows), (i64::from(advanced), 2));
        assert_eq!((after.window.is_none(), kept.is_empty()), (closes, closes));
        chunk = after;
    }
    assert!(chunk.cursor == Some(end));
}
