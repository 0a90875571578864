//! SQLite behind the crate's interface, against files of its own.
use reencrypt_db::{
    ColumnKind, ConnectOptions, Database, DatabaseUrl, Error, Limits, Migrator, Mode, RowKey, Rows, Selection, Session,
    Table, TableKind, TableName, Value, Verdict,
};
use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, Row as _, SqlSafeStr as _, SqliteConnection,
    migrate::{Migration, MigrationType},
    sqlite::SqliteConnectOptions,
};
use std::time::{Duration, Instant};

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

/// A file with a schema of the test's own, and the application's connection to it.
struct File {
    folder: tempfile::TempDir,
    application: SqliteConnection,
}

impl File {
    async fn with(schema: &str) -> Outcome<Self> {
        let folder = tempfile::tempdir()?;
        let options = SqliteConnectOptions::new().filename(folder.path().join("clinic.db")).create_if_missing(true);
        let mut file = Self { folder, application: options.connect().await? };
        file.run(schema).await?;
        Ok(file)
    }

    async fn run(&mut self, sql: &str) -> Outcome {
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut self.application).await?;
        Ok(())
    }

    async fn texts(&mut self, sql: &str) -> Outcome<Vec<String>> {
        let rows = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).fetch_all(&mut self.application).await?;
        Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
    }

    async fn database(&self) -> Outcome<Database> {
        let url = DatabaseUrl::parse(&format!("sqlite:{}", self.folder.path().join("clinic.db").display()))?;
        let connect_timeout = Duration::from_secs(5);
        let application_name = "test".to_owned();
        Ok(Database::connect(ConnectOptions { url, tls: None, ca: None, connect_timeout, application_name }).await?)
    }

    async fn session(&self) -> Outcome<Session> {
        Ok(self.database().await?.session().await?)
    }
}

fn main_table(name: &str) -> TableName {
    TableName { schema: "main".to_owned(), name: name.to_owned() }
}

async fn table(session: &mut Session, name: &str) -> Outcome<Table> {
    let mut transaction = session.begin(Mode::Read).await?;
    let table = transaction.table(&main_table(name)).await?.ok_or("no such table")?;
    transaction.commit().await?;
    Ok(table)
}

async fn selection(session: &mut Session, name: &str, columns: &[&str]) -> Outcome<Selection> {
    let columns: Vec<String> = columns.iter().map(|column| (*column).to_owned()).collect();
    Ok(Selection::new(&table(session, name).await?, 0, &columns)?)
}

fn fields(rows: &Rows, slots: usize) -> Vec<Vec<Option<String>>> {
    let field = |row, slot| rows.field(row, slot).map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    (0..rows.len()).map(|row| (0..slots).map(|slot| field(row, slot)).collect()).collect()
}

/// The first field of every row of a whole walk, in steps of `step` rows.
async fn walk(session: &mut Session, selection: &Selection, step: u32) -> Outcome<Vec<String>> {
    let mut found = Vec::new();
    let mut after: Option<RowKey> = None;
    let mut transaction = session.begin(Mode::Read).await?;
    let Some(upto) = transaction.max_key(selection).await? else { return Ok(found) };
    loop {
        let rows = transaction.read_batch(selection, after.as_ref(), &upto, step).await?;
        found.extend(fields(&rows, 1).into_iter().flatten().flatten());
        if rows.is_last() {
            break;
        }
        after = Some(rows.key(rows.len() - 1));
    }
    transaction.commit().await?;
    Ok(found)
}

/// Every kind of row key: the table, and a number of rows whose column `c` says which they are.
const KEYS: [(&str, &str, &str); 9] = [
    ("integer primary key", "CREATE TABLE x (id INTEGER PRIMARY KEY, c TEXT)", "(i * 7 - 900, 'v' || i)"),
    ("int not null", "CREATE TABLE x (id INT NOT NULL PRIMARY KEY, c TEXT)", "(i * 7 - 900, 'v' || i)"),
    ("text", "CREATE TABLE x (id TEXT NOT NULL PRIMARY KEY, c TEXT)", "(hex(i * 7919 % 1009), 'v' || i)"),
    (
        "text, nocase",
        "CREATE TABLE x (id TEXT NOT NULL COLLATE NOCASE UNIQUE, c TEXT)",
        "(iif(i % 2, 'K', 'k') || i, 'v' || i)",
    ),
    ("blob", "CREATE TABLE x (id BLOB NOT NULL PRIMARY KEY, c TEXT)", "(CAST(i * 7919 % 1009 AS BLOB), 'v' || i)"),
    ("real", "CREATE TABLE x (id REAL NOT NULL PRIMARY KEY, c TEXT)", "(i / 3.0, 'v' || i)"),
    (
        "every class in one column",
        "CREATE TABLE x (id NOT NULL PRIMARY KEY, c TEXT)",
        "(CASE i % 4 WHEN 0 THEN i WHEN 1 THEN i + 0.5 WHEN 2 THEN 't' || i ELSE CAST('b' || i AS BLOB) END, 'v' || i)",
    ),
    (
        "composite",
        "CREATE TABLE x (a TEXT NOT NULL, id INTEGER NOT NULL, c TEXT, PRIMARY KEY (a, id))",
        "('t' || (i % 5), i, 'v' || i)",
    ),
    (
        "without rowid",
        "CREATE TABLE x (a TEXT, id INTEGER, c TEXT, PRIMARY KEY (id DESC, a)) WITHOUT ROWID",
        "('t' || (i % 5), i / 3, 'v' || i)",
    ),
];

async fn keyed(schema: &str, row: &str) -> Outcome<File> {
    let columns = if schema.contains(" a TEXT") || schema.contains("(a TEXT") { "a, id, c" } else { "id, c" };
    let fill = format!(
        "{schema}; WITH RECURSIVE n(i) AS (VALUES (0) UNION ALL SELECT i + 1 FROM n WHERE i < 499) \
         INSERT INTO x ({columns}) SELECT * FROM (SELECT {} FROM n)",
        row.trim_start_matches('(').trim_end_matches(')')
    );
    File::with(&fill).await
}

#[tokio::test]
async fn a_walk_over_any_key_meets_every_row_once() -> Outcome {
    for (name, schema, row) in KEYS {
        let file = keyed(schema, row).await.map_err(|error| format!("{name}: {error}"))?;
        let mut session = file.session().await?;
        let selection = selection(&mut session, "x", &["c"]).await?;
        for step in [1, 7, 500, 1000] {
            let mut found = walk(&mut session, &selection, step).await.map_err(|error| format!("{name}: {error}"))?;
            found.sort();
            let mut expected: Vec<String> = (0..500).map(|i| format!("v{i}")).collect();
            expected.sort();
            assert_eq!(found, expected, "{name}, {step} rows a batch");
        }
    }
    Ok(())
}

#[tokio::test]
async fn every_key_can_be_read_and_written_again() -> Outcome {
    for (name, schema, row) in KEYS {
        let mut file = keyed(schema, row).await?;
        let mut session = file.session().await?;
        let selection = selection(&mut session, "x", &["c"]).await?;
        let mut transaction = session.begin(Mode::Write(Limits::default())).await?;
        let upto = transaction.max_key(&selection).await?.ok_or("no key")?;
        let rows = transaction.read_batch(&selection, None, &upto, 1000).await?;
        let keys: Vec<RowKey> =
            (0..rows.len()).map(|row| RowKey::from_bytes(rows.key(row).as_bytes().to_vec())).collect();
        let again = transaction.read_keys(&selection, &keys, true).await?;
        assert_eq!(fields(&rows, 1), fields(&again, 1), "{name}");
        let which: Vec<usize> = (0..rows.len()).collect();
        let hits = transaction.compare_and_set(&selection, &rows, &which, &|_, _| Some(b"new")).await?;
        assert!(hits.len() == 500 && hits.iter().all(|hit| *hit), "{name}");
        transaction.commit().await?;
        assert_eq!(file.texts("SELECT c FROM x GROUP BY c").await?, ["new"], "{name}");
    }
    Ok(())
}

#[tokio::test]
async fn a_deleted_cursor_row_ends_nothing() -> Outcome {
    for (name, schema, row) in KEYS {
        let mut file = keyed(schema, row).await?;
        let mut session = file.session().await?;
        let selection = selection(&mut session, "x", &["c"]).await?;
        let mut transaction = session.begin(Mode::Read).await?;
        let upto = transaction.max_key(&selection).await?.ok_or("no key")?;
        let first = transaction.read_batch(&selection, None, &upto, 100).await?;
        transaction.commit().await?;
        let cursor = first.key(99);
        let last = fields(&first, 1)[99][0].clone().ok_or("a value")?;
        file.run(&format!("DELETE FROM x WHERE c = '{last}'")).await?;
        let mut transaction = session.begin(Mode::Read).await?;
        let rest = transaction.read_batch(&selection, Some(&cursor), &upto, 1000).await?;
        assert_eq!((rest.len(), rest.is_last()), (400, true), "{name}");
        transaction.commit().await?;
    }
    Ok(())
}

#[tokio::test]
async fn boundaries_are_keys_of_rows_within_the_range() -> Outcome {
    for (name, schema, row) in KEYS {
        let file = keyed(schema, row).await?;
        let mut session = file.session().await?;
        let selection = selection(&mut session, "x", &["c"]).await?;
        let mut transaction = session.begin(Mode::Read).await?;
        let upto = transaction.max_key(&selection).await?.ok_or("no key")?;
        let mut after = None;
        let mut steps = 0;
        while let Some(next) = transaction.key_after(&selection, after.as_ref(), &upto, 150).await? {
            let rows = transaction.read_batch(&selection, after.as_ref(), &next, 1000).await?;
            assert_eq!(rows.len(), if steps < 3 { 150 } else { 50 }, "{name}");
            (after, steps) = (Some(next), steps + 1);
        }
        assert_eq!((steps, after), (4, Some(upto)), "{name}");
        transaction.commit().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_key_that_can_be_null_or_move_is_none() -> Outcome {
    let schema = "
        CREATE TABLE no_key (c TEXT);
        CREATE TABLE nullable (id TEXT PRIMARY KEY, c TEXT);
        CREATE TABLE nullable_desc (id INTEGER PRIMARY KEY DESC, c TEXT);
        CREATE TABLE partial (id INTEGER NOT NULL, c TEXT); CREATE UNIQUE INDEX p ON partial (id) WHERE id > 0;
        CREATE TABLE expression (id INTEGER NOT NULL, c TEXT); CREATE UNIQUE INDEX e ON expression (abs(id));
        CREATE TABLE derived (c TEXT, id TEXT NOT NULL AS (c || 'x') STORED UNIQUE);
        CREATE TABLE other (id TEXT PRIMARY KEY, no INTEGER NOT NULL UNIQUE, c TEXT);
        CREATE TABLE ordered (id TEXT NOT NULL, c TEXT); CREATE UNIQUE INDEX o ON ordered (id COLLATE NOCASE);";
    let file = File::with(schema).await?;
    let mut session = file.session().await?;
    for name in ["no_key", "nullable", "nullable_desc", "partial", "expression", "derived"] {
        assert_eq!(table(&mut session, name).await?.row_key, [], "{name}");
        let selection = selection(&mut session, name, &["c"]).await?;
        let mut transaction = session.begin(Mode::Read).await?;
        assert!(matches!(transaction.max_key(&selection).await, Err(Error::NoRowKey { .. })), "{name}");
    }
    let names = |table: Table| table.row_key.into_iter().map(|k| (k.name, k.operator_schema)).collect::<Vec<_>>();
    let key = |name: &str, collation: &str| vec![(name.to_owned(), collation.to_owned())];
    assert_eq!(names(table(&mut session, "other").await?), key("no", ""));
    assert_eq!(names(table(&mut session, "ordered").await?), key("id", "NOCASE"));
    Ok(())
}

const CLINIC: &str = "
    CREATE TABLE patient (id INTEGER PRIMARY KEY, a TEXT NOT NULL, b BLOB, c, n NUMERIC, updated TEXT);
    INSERT INTO patient VALUES
        (1, 'alpha', x'00ff', 'text', 'digits', 'then'), (2, '', x'', x'74657874', 7, 'then'),
        (3, 'gamma', NULL, NULL, 1.0, 'then'), (4, 'delta', 'text in a blob column', 9223372036854775807, NULL, 'then');";

/// All rows of the clinic's table.
async fn read_all(session: &mut Session, selection: &Selection) -> Outcome<Rows> {
    let mut transaction = session.begin(Mode::Read).await?;
    let upto = transaction.max_key(selection).await?.ok_or("no key")?;
    let rows = transaction.read_batch(selection, None, &upto, 100).await?;
    transaction.commit().await?;
    Ok(rows)
}

/// Writes `new` into every slot of every row that is still as it was read.
async fn write_all(session: &mut Session, selection: &Selection, rows: &Rows, new: &[u8]) -> Outcome<Vec<bool>> {
    let which: Vec<usize> = (0..rows.len()).collect();
    let mut transaction = session.begin(Mode::Write(Limits::default())).await?;
    let value = |row, slot| rows.field(row, slot).map(|_| new);
    let hits = transaction.compare_and_set(selection, rows, &which, &value).await?;
    transaction.commit().await?;
    Ok(hits)
}

#[tokio::test]
async fn fields_are_their_bytes_and_null_is_none() -> Outcome {
    let file = File::with(CLINIC).await?;
    let mut session = file.session().await?;
    let selection = selection(&mut session, "patient", &["a", "b", "c", "n"]).await?;
    let rows = read_all(&mut session, &selection).await?;
    let row = |row| (0..4).map(|slot| rows.field(row, slot)).collect::<Vec<_>>();
    assert_eq!(row(0), [Some(&b"alpha"[..]), Some(&[0, 0xff]), Some(b"text"), Some(b"digits")]);
    assert_eq!(row(1), [Some(&b""[..]), Some(b""), Some(b"text"), Some(b"7")]);
    assert_eq!(row(2), [Some(&b"gamma"[..]), None, None, Some(b"1")]);
    assert_eq!(row(3), [Some(&b"delta"[..]), Some(b"text in a blob column"), Some(b"9223372036854775807"), None]);
    assert_eq!((rows.len(), rows.is_last()), (4, true));
    Ok(())
}

#[tokio::test]
async fn a_write_keeps_the_storage_class_and_leaves_the_rest_alone() -> Outcome {
    let mut file = File::with(CLINIC).await?;
    let mut session = file.session().await?;
    let selection = selection(&mut session, "patient", &["a", "b", "c"]).await?;
    let rows = read_all(&mut session, &selection).await?;
    assert_eq!(write_all(&mut session, &selection, &rows, b"n\xc3\xa9w").await?, [true; 4]);
    let classes =
        "SELECT typeof(a) || ' ' || typeof(b) || ' ' || typeof(c) || ' ' || typeof(n) || ' ' || updated FROM patient";
    let expected = [
        "text blob text text then",
        "text blob blob integer then",
        "text null null integer then",
        "text text text null then",
    ];
    assert_eq!(file.texts(classes).await?, expected);
    let values = "SELECT a || ' ' || quote(b) || ' ' || quote(c) FROM patient";
    let expected = ["néw X'6EC3A977' 'néw'", "néw X'6EC3A977' X'6EC3A977'", "néw NULL NULL", "néw 'néw' 'néw'"];
    assert_eq!(file.texts(values).await?, expected);
    Ok(())
}

#[tokio::test]
async fn a_row_that_changed_in_any_way_is_missed() -> Outcome {
    let changes = [
        ("UPDATE patient SET a = 'Alpha' WHERE id = 1", 0),
        ("UPDATE patient SET b = NULL WHERE id = 1", 0),
        ("UPDATE patient SET c = CAST(c AS BLOB) WHERE id = 1", 0),
        ("UPDATE patient SET c = CAST(c AS TEXT) WHERE id = 2", 1),
        ("UPDATE patient SET n = 7.5 WHERE id = 2", 1),
        ("UPDATE patient SET b = x'' WHERE id = 3", 2),
        ("UPDATE patient SET c = '' WHERE id = 3", 2),
        ("UPDATE patient SET c = CAST(c AS TEXT) WHERE id = 4", 3),
        ("UPDATE patient SET c = 9223372036854775807.0 WHERE id = 4", 3),
        ("DELETE FROM patient WHERE id = 4", 3),
    ];
    for (change, missed) in changes {
        let mut file = File::with(CLINIC).await?;
        let mut session = file.session().await?;
        let selection = selection(&mut session, "patient", &["a", "b", "c", "n"]).await?;
        let rows = read_all(&mut session, &selection).await?;
        file.run(change).await?;
        let before = file.texts("SELECT quote(a) || quote(b) || quote(c) || quote(n) FROM patient").await?;
        let hits = write_all(&mut session, &selection, &rows, b"new").await?;
        let expected: Vec<bool> = (0..4).map(|row| row != missed).collect();
        assert_eq!(hits, expected, "{change}");
        let after = file.texts("SELECT quote(a) || quote(b) || quote(c) || quote(n) FROM patient").await?;
        for row in 0..after.len() {
            assert_eq!(after[row] == before[row], row == missed, "{change}: row {row}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn reals_that_look_alike_are_told_apart() -> Outcome {
    let mut file = File::with("CREATE TABLE x (id INTEGER PRIMARY KEY, c REAL); INSERT INTO x VALUES (1, 0.1)").await?;
    let mut session = file.session().await?;
    let selection = selection(&mut session, "x", &["c"]).await?;
    let rows = read_all(&mut session, &selection).await?;
    file.run("UPDATE x SET c = 0.1 + 1.4e-17").await?;
    assert_eq!(file.texts("SELECT printf('%.15g', c) FROM x").await?, ["0.1"]);
    assert_eq!(write_all(&mut session, &selection, &rows, b"new").await?, [false]);
    Ok(())
}

#[tokio::test]
async fn a_nocase_column_is_compared_by_its_bytes() -> Outcome {
    let schema =
        "CREATE TABLE x (id INTEGER PRIMARY KEY, c TEXT COLLATE NOCASE); INSERT INTO x VALUES (1, 'QUJD'), (2, 'QUJD')";
    let mut file = File::with(schema).await?;
    let mut session = file.session().await?;
    let selection = selection(&mut session, "x", &["c"]).await?;
    let rows = read_all(&mut session, &selection).await?;
    file.run("UPDATE x SET c = 'qujd' WHERE id = 1").await?;
    assert_eq!(write_all(&mut session, &selection, &rows, b"new").await?, [false, true]);
    assert_eq!(file.texts("SELECT c FROM x").await?, ["qujd", "new"]);
    Ok(())
}

#[tokio::test]
async fn text_that_is_no_utf8_is_carried_byte_for_byte() -> Outcome {
    let schema = "CREATE TABLE x (id INTEGER PRIMARY KEY, c TEXT); INSERT INTO x VALUES (1, CAST(x'61ff00fe' AS TEXT))";
    let mut file = File::with(schema).await?;
    let mut session = file.session().await?;
    let selection = selection(&mut session, "x", &["c"]).await?;
    let rows = read_all(&mut session, &selection).await?;
    assert_eq!(rows.field(0, 0), Some(&[0x61, 0xff, 0, 0xfe][..]));
    assert_eq!(write_all(&mut session, &selection, &rows, b"\xfe\x00new").await?, [true]);
    assert_eq!(file.texts("SELECT typeof(c) || hex(c) FROM x").await?, ["textFE006E6577"]);
    Ok(())
}

#[tokio::test]
async fn an_unchanged_slot_stays_and_hits_answer_row_by_row() -> Outcome {
    let mut schema = "CREATE TABLE x (id INTEGER PRIMARY KEY, c TEXT, d TEXT);".to_owned();
    for id in 0..100 {
        schema += &format!("INSERT INTO x VALUES ({id}, 'c{id}', 'd{id}');");
    }
    let mut file = File::with(&schema).await?;
    let mut session = file.session().await?;
    let selection = selection(&mut session, "x", &["c", "d"]).await?;
    let rows = read_all(&mut session, &selection).await?;
    file.run("UPDATE x SET d = 'late' WHERE id % 3 = 0").await?;
    let which: Vec<usize> = (0..100).rev().step_by(2).collect();
    let mut transaction = session.begin(Mode::Write(Limits::default())).await?;
    let value = |_, slot| (slot == 0).then_some(&b"new"[..]);
    let hits = transaction.compare_and_set(&selection, &rows, &which, &value).await?;
    assert_eq!(hits, which.iter().map(|id| id % 3 != 0).collect::<Vec<_>>());
    transaction.commit().await?;
    let wrong = "SELECT id || '' FROM x WHERE (c = 'new') <> (id % 2 = 1 AND id % 3 <> 0) OR d <> iif(id % 3, 'd' || id, 'late')";
    assert_eq!(file.texts(wrong).await?, [""; 0]);
    Ok(())
}

#[tokio::test]
async fn a_write_that_a_trigger_swallows_is_a_miss() -> Outcome {
    let schema = "CREATE TABLE x (id INTEGER PRIMARY KEY, c TEXT); INSERT INTO x VALUES (1, 'a'), (2, 'b');
        CREATE TABLE log (id INTEGER PRIMARY KEY, c TEXT);
        CREATE TRIGGER swallow BEFORE UPDATE ON x WHEN old.id = 1 BEGIN SELECT RAISE(IGNORE); END;
        CREATE TRIGGER noted AFTER UPDATE OF c ON x BEGIN INSERT INTO log (c) VALUES (old.c), (new.c); END;
        CREATE TRIGGER other AFTER INSERT ON x BEGIN UPDATE x SET c = 'UPDATE'; END;";
    let file = File::with(schema).await?;
    let mut session = file.session().await?;
    let triggers = table(&mut session, "x").await?.triggers;
    let triggers: Vec<_> = triggers.into_iter().map(|t| (t.name, t.enabled, t.before)).collect();
    assert_eq!(triggers, [("noted".to_owned(), 'O', false), ("swallow".to_owned(), 'O', true)]);
    let selection = selection(&mut session, "x", &["c"]).await?;
    let rows = read_all(&mut session, &selection).await?;
    assert_eq!(write_all(&mut session, &selection, &rows, b"new").await?, [false, true]);
    Ok(())
}

#[tokio::test]
async fn a_refused_value_names_the_constraint_and_aborts_the_transaction() -> Outcome {
    let schema =
        "CREATE TABLE x (id INTEGER PRIMARY KEY, c TEXT UNIQUE); INSERT INTO x VALUES (1, 'private'), (2, 'other')";
    let mut file = File::with(schema).await?;
    let mut session = file.session().await?;
    let selection = selection(&mut session, "x", &["c"]).await?;
    let rows = read_all(&mut session, &selection).await?;
    let mut transaction = session.begin(Mode::Write(Limits::default())).await?;
    let refused = transaction.compare_and_set(&selection, &rows, &[0, 1], &|_, _| Some(b"same")).await;
    let error = refused.expect_err("both cannot be the same");
    assert_eq!((error.verdict(), error.code()), (Verdict::Fatal, "unique_violation"));
    let text = error.to_string();
    assert!(text.contains("x.c") && !text.contains("private") && !text.contains("same"), "{text}");
    let next = transaction.execute("DELETE FROM x", &[]).await.expect_err("nothing may follow");
    assert_eq!(next.code(), "transaction_aborted");
    assert_eq!(transaction.commit().await.expect_err("nor be committed").code(), "transaction_aborted");
    assert_eq!(file.texts("SELECT c FROM x").await?, ["private", "other"]);
    let mut transaction = session.begin(Mode::Write(Limits::default())).await?;
    assert_eq!(transaction.compare_and_set(&selection, &rows, &[0], &|_, _| Some(b"new")).await?, [true]);
    transaction.commit().await?;
    assert_eq!(file.texts("SELECT c FROM x").await?, ["new", "other"]);
    Ok(())
}

#[tokio::test]
async fn a_busy_file_says_retry_within_its_time() -> Outcome {
    for journal in ["DELETE", "WAL"] {
        let mut file = File::with(&format!("PRAGMA journal_mode = {journal}; {CLINIC}")).await?;
        let mut session = file.session().await?;
        let selection = selection(&mut session, "patient", &["a"]).await?;
        let rows = read_all(&mut session, &selection).await?;
        file.run("BEGIN IMMEDIATE; UPDATE patient SET a = 'held' WHERE id = 1").await?;
        let began = Instant::now();
        let Err(error) = session.begin(Mode::Write(Limits::default())).await.map(|_| ()) else {
            return Err("the file is held".into());
        };
        assert_eq!((error.verdict(), error.code()), (Verdict::Retry, "lock_timeout"), "{journal}");
        assert!(began.elapsed() >= Duration::from_millis(60) && session.is_usable(), "{journal}");
        file.run("COMMIT").await?;
        assert_eq!(write_all(&mut session, &selection, &rows, b"new").await?, [false, true, true, true], "{journal}");
    }
    Ok(())
}

#[tokio::test]
async fn a_commit_that_readers_hold_up_is_rolled_back_and_retried() -> Outcome {
    let mut file = File::with(CLINIC).await?;
    let mut session = file.session().await?;
    let selection = selection(&mut session, "patient", &["a"]).await?;
    let rows = read_all(&mut session, &selection).await?;
    file.run("BEGIN; SELECT * FROM patient").await?;
    let mut transaction = session.begin(Mode::Write(Limits::default())).await?;
    transaction.compare_and_set(&selection, &rows, &[0], &|_, _| Some(b"new")).await?;
    let error = transaction.commit().await.expect_err("a reader is there");
    assert_eq!((error.verdict(), error.code()), (Verdict::Retry, "lock_timeout"));
    file.run("COMMIT").await?;
    assert_eq!(file.texts("SELECT a FROM patient WHERE id = 1").await?, ["alpha"]);
    assert_eq!(write_all(&mut session, &selection, &rows, b"new").await?, [true; 4]);
    Ok(())
}

#[tokio::test]
async fn a_reading_transaction_cannot_write() -> Outcome {
    let mut file = File::with(CLINIC).await?;
    let mut session = file.session().await?;
    let selection = selection(&mut session, "patient", &["a"]).await?;
    let rows = read_all(&mut session, &selection).await?;
    for mode in [Mode::Read, Mode::Snapshot(None)] {
        for sql in [
            "UPDATE patient SET a = 'x'",
            "CREATE TABLE y (a)",
            "DROP TABLE patient",
            "REPLACE INTO patient (id) VALUES (1)",
        ] {
            let mut transaction = session.begin(mode).await?;
            let error = transaction.execute(sql, &[]).await.expect_err("it only reads");
            assert_eq!((error.verdict(), error.code()), (Verdict::Fatal, "database_read_only"), "{sql}");
            transaction.rollback().await?;
        }
        let mut transaction = session.begin(mode).await?;
        let error = transaction.compare_and_set(&selection, &rows, &[0], &|_, _| Some(b"x")).await;
        assert_eq!(error.expect_err("it only reads").code(), "database_read_only");
        transaction.rollback().await?;
    }
    assert_eq!(file.texts("SELECT a FROM patient WHERE id = 1").await?, ["alpha"]);
    Ok(())
}

#[tokio::test]
async fn a_transaction_that_is_dropped_leaves_nothing() -> Outcome {
    let mut file = File::with(CLINIC).await?;
    let mut session = file.session().await?;
    let mut transaction = session.begin(Mode::Write(Limits::default())).await?;
    transaction.execute("UPDATE patient SET a = 'x'", &[]).await?;
    drop(transaction);
    session.begin(Mode::Read).await?.commit().await?;
    assert_eq!(file.texts("SELECT a FROM patient WHERE id = 1").await?, ["alpha"]);
    Ok(())
}

#[tokio::test]
async fn a_call_that_is_cut_off_takes_the_connection_with_it() -> Outcome {
    let mut file = File::with(CLINIC).await?;
    let mut session = file.session().await?;
    let mut transaction = session.begin(Mode::Write(Limits::default())).await?;
    transaction.execute("UPDATE patient SET a = 'x'", &[]).await?;
    let long =
        "WITH RECURSIVE n(i) AS (VALUES (0) UNION ALL SELECT i + 1 FROM n WHERE i < 3000000) SELECT count(*) FROM n";
    assert!(tokio::time::timeout(Duration::from_millis(20), transaction.fetch(long, &[])).await.is_err());
    assert_eq!(transaction.commit().await.expect_err("it is gone").verdict(), Verdict::Reconnect);
    assert!(!session.is_usable());
    assert_eq!(session.begin(Mode::Read).await.map(|_| ()).expect_err("it is gone").verdict(), Verdict::Reconnect);
    drop(session);
    let mut session = file.session().await?;
    for _ in 0..200 {
        match session.begin(Mode::Write(Limits::default())).await {
            Ok(transaction) => {
                transaction.commit().await?;
                break;
            }
            Err(error) => assert_eq!(error.verdict(), Verdict::Retry),
        }
    }
    assert_eq!(file.texts("SELECT a FROM patient WHERE id = 1").await?, ["alpha"]);
    Ok(())
}

#[tokio::test]
async fn a_deadline_ends_a_call() -> Outcome {
    let file = File::with(CLINIC).await?;
    let mut session = file.session().await?;
    let limits = Limits { deadline_ms: 20, ..Limits::default() };
    let mut transaction = session.begin(Mode::Write(limits)).await?;
    let long =
        "WITH RECURSIVE n(i) AS (VALUES (0) UNION ALL SELECT i + 1 FROM n WHERE i < 3000000) SELECT count(*) FROM n";
    let error = transaction.fetch(long, &[]).await.expect_err("it takes longer");
    assert!(matches!(error, Error::Deadline { limit_ms: 20, .. }), "{error}");
    assert!(!session.is_usable());
    Ok(())
}

#[tokio::test]
async fn a_changed_table_is_noticed_and_other_changes_are_not() -> Outcome {
    let harmless =
        ["CREATE TABLE other (a)", "VACUUM", "CREATE TABLE reencrypt_x (a)", "ANALYZE", "CREATE VIEW v AS SELECT 1"];
    let harmful = [
        "ALTER TABLE patient ADD COLUMN more TEXT",
        "ALTER TABLE patient RENAME COLUMN a TO z",
        "CREATE INDEX i ON patient (a)",
        "CREATE TRIGGER g AFTER UPDATE ON Patient BEGIN SELECT 1; END",
        "ALTER TABLE patient DROP COLUMN updated",
        "DROP TABLE patient",
    ];
    let mut file = File::with(CLINIC).await?;
    let mut session = file.session().await?;
    let first = selection(&mut session, "patient", &["a"]).await?;
    for change in harmless {
        file.run(change).await?;
        read_all(&mut session, &first).await.map_err(|error| format!("{change}: {error}"))?;
    }
    for change in harmful {
        let mut file = File::with(CLINIC).await?;
        let mut session = file.session().await?;
        let selection = selection(&mut session, "patient", &["a"]).await?;
        let rows = read_all(&mut session, &selection).await?;
        file.run(change).await?;
        let mut transaction = session.begin(Mode::Write(Limits::default())).await?;
        let error = transaction.compare_and_set(&selection, &rows, &[0], &|_, _| Some(b"x")).await;
        let error = error.expect_err(change);
        assert_eq!((error.verdict(), error.code()), (Verdict::Fatal, "schema_changed"), "{change}");
        assert!(error.to_string().contains("main.patient"), "{error}");
        transaction.rollback().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_change_between_the_plan_and_the_first_read_is_noticed() -> Outcome {
    for change in [
        "ALTER TABLE patient RENAME COLUMN a TO z",
        "DROP TABLE patient; CREATE TABLE patient (id TEXT PRIMARY KEY, a TEXT NOT NULL)",
    ] {
        let mut file = File::with(CLINIC).await?;
        let mut session = file.session().await?;
        let selection = selection(&mut session, "patient", &["a"]).await?;
        file.run(change).await?;
        let mut transaction = session.begin(Mode::Read).await?;
        let error = transaction.max_key(&selection).await.expect_err(change);
        assert_eq!(error.code(), "schema_changed", "{change}");
    }
    Ok(())
}

fn migrator(versions: &[(i64, &'static str)]) -> Migrator {
    let migration = |(version, sql): &(i64, &'static str)| {
        Migration::new(*version, "store".into(), MigrationType::Simple, (*sql).into_sql_str(), false)
    };
    Migrator::with_migrations(versions.iter().map(migration).collect())
}

const STORE: (i64, &str) = (
    1,
    "CREATE TABLE reencrypt_run (id INTEGER PRIMARY KEY, t TEXT, b BLOB); CREATE INDEX reencrypt_i ON reencrypt_run (t);",
);

#[tokio::test]
async fn the_store_is_made_once_and_only_by_this_tool() -> Outcome {
    let mut file = File::with(CLINIC).await?;
    let mut session = file.session().await?;
    let one = migrator(&[STORE]);
    let two = migrator(&[STORE, (2, "ALTER TABLE reencrypt_run ADD COLUMN more TEXT")]);
    assert!(!session.check_migrated(&one).await?);
    session.migrate(&one).await?;
    assert!(session.check_migrated(&one).await?);
    file.run("BEGIN IMMEDIATE").await?;
    session.migrate(&one).await?;
    file.run("COMMIT").await?;
    let codes = |error: Error| (error.verdict(), error.code());
    assert_eq!(session.check_migrated(&two).await.map_err(codes), Err((Verdict::Fatal, "store_version")));
    session.migrate(&two).await?;
    assert!(session.check_migrated(&two).await?);
    let others = [
        one,
        migrator(&[(1, "CREATE TABLE reencrypt_run (id)"), (2, "SELECT 1")]),
        migrator(&[(2, "ALTER TABLE reencrypt_run ADD COLUMN more TEXT"), (3, "SELECT 1")]),
    ];
    for other in others {
        assert_eq!(session.check_migrated(&other).await.map_err(codes), Err((Verdict::Fatal, "store_version")));
        assert_eq!(session.migrate(&other).await.map_err(codes), Err((Verdict::Fatal, "store_version")));
    }
    assert_eq!(file.texts("SELECT version || '' FROM reencrypt_migrations").await?, ["1", "2"]);
    let mut transaction = session.begin(Mode::Read).await?;
    assert_eq!(transaction.tables().await?, [main_table("patient")]);
    assert!(transaction.server().await?.store_exists);
    Ok(())
}

#[tokio::test]
async fn a_migration_that_fails_leaves_nothing() -> Outcome {
    let mut file = File::with(CLINIC).await?;
    let mut session = file.session().await?;
    let broken = migrator(&[STORE, (2, "CREATE TABLE reencrypt_y (a); CREATE TABLE patient (a)")]);
    assert!(session.migrate(&broken).await.is_err());
    assert_eq!(file.texts("SELECT name FROM sqlite_schema WHERE name LIKE 'reencrypt%'").await?, [""; 0]);
    session.migrate(&migrator(&[STORE])).await?;
    Ok(())
}

#[tokio::test]
async fn the_stores_statements_carry_every_value() -> Outcome {
    let file = File::with(CLINIC).await?;
    let mut session = file.session().await?;
    session.migrate(&migrator(&[STORE])).await?;
    let mut transaction = session.begin(Mode::Write(Limits::default())).await?;
    let insert = "INSERT INTO reencrypt_run (id, t, b) VALUES ($1, $2, $3) RETURNING b, t, id";
    let (id, text, bytes) = (Value::Int(i64::MIN), Value::Text("é\0".to_owned()), Value::Bytes(vec![0, 0xff]));
    let rows = transaction.fetch(insert, &[id.clone(), text.clone(), bytes.clone()]).await?;
    assert_eq!(rows, [[bytes, text.clone(), id.clone()]]);
    let none = [Value::Int(1), Value::Null, Value::Bytes(Vec::new())];
    assert_eq!(transaction.fetch(insert, &none).await?, [[Value::Bytes(Vec::new()), Value::Null, Value::Int(1)]]);
    let update = "UPDATE reencrypt_run SET t = $2 WHERE id IN ($1, $3) AND $2 <> ''";
    assert_eq!(transaction.execute(update, &[Value::Int(1), text, id]).await?, 2);
    let sql = format!("SELECT {}", transaction.now_ms_sql());
    let now = transaction.fetch(&sql, &[]).await?[0][0].int()?;
    let here = i64::try_from(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_millis())?;
    assert!((here - now).abs() < 60_000);
    transaction.commit().await?;
    Ok(())
}

#[tokio::test]
async fn a_file_that_may_not_be_written_is_not() -> Outcome {
    let file = File::with(CLINIC).await?;
    let path = file.folder.path().join("clinic.db");
    let mut permissions = std::fs::metadata(&path)?.permissions();
    permissions.set_readonly(true);
    std::fs::set_permissions(&path, permissions)?;
    let mut session = file.session().await?;
    let patient = table(&mut session, "patient").await?;
    assert!(patient.columns.iter().all(|column| column.can_select && !column.can_update) && !patient.privileges.update);
    let selection = selection(&mut session, "patient", &["a"]).await?;
    let rows = read_all(&mut session, &selection).await?;
    let mut transaction = session.begin(Mode::Read).await?;
    let server = transaction.server().await?;
    assert!(server.read_only && !server.can_create_store);
    transaction.commit().await?;
    let mut transaction = session.begin(Mode::Write(Limits::default())).await?;
    let error = transaction.compare_and_set(&selection, &rows, &[0], &|_, _| Some(b"x")).await;
    assert_eq!(error.expect_err("it is read-only").code(), "database_read_only");
    Ok(())
}

#[tokio::test]
async fn files_that_are_no_database_are_refused() -> Outcome {
    let folder = tempfile::tempdir()?;
    let connect = async |path: &std::path::Path| {
        let url = DatabaseUrl::parse(&format!("sqlite:{}", path.display()))?;
        let connect_timeout = Duration::from_secs(5);
        Database::connect(ConnectOptions { url, tls: None, ca: None, connect_timeout, application_name: String::new() })
            .await
    };
    let missing = folder.path().join("missing.db");
    let error = connect(&missing).await.map(|_| ()).expect_err("it is missing");
    assert_eq!(error.code(), "database_unreachable");
    assert!(!missing.exists());
    assert!(connect(folder.path()).await.is_err());
    let text = folder.path().join("text.db");
    std::fs::write(&text, "this is no database, but long enough to be read as one".repeat(100))?;
    assert_eq!(connect(&text).await.map(|_| ()).expect_err("it is text").code(), "database_corrupted");
    let file = File::with("PRAGMA encoding = 'UTF-16le'; CREATE TABLE x (a)").await?;
    let error = connect(&file.folder.path().join("clinic.db")).await.map(|_| ()).expect_err("it is UTF-16");
    assert!(error.to_string().contains("UTF-16le"), "{error}");
    Ok(())
}

/// All first fields that a scan of the table's own tree meets.
async fn scanned(session: &mut Session, selection: &Selection, part: u32) -> Outcome<Vec<String>> {
    let mut transaction = session.begin(Mode::Snapshot(None)).await?;
    let mut scan = transaction.heap_scan(selection, part, 3).await?;
    let mut found = Vec::new();
    while let Some(rows) = transaction.next_rows(&mut scan, selection).await? {
        found.extend(fields(&rows, 1).into_iter().flatten().flatten());
    }
    assert!(transaction.next_rows(&mut scan, selection).await?.is_none());
    transaction.commit().await?;
    Ok(found)
}

#[tokio::test]
async fn a_scan_of_the_tree_meets_every_row_once_in_one_part() -> Outcome {
    let hidden = "CREATE TABLE x (rowid TEXT, _rowid_ TEXT, c TEXT); INSERT INTO x (c) VALUES ('a'), ('b')";
    let shadowed =
        "CREATE TABLE x (rowid TEXT, c TEXT); INSERT INTO x VALUES ('same', 'a'), ('same', 'b'), (NULL, 'c')";
    let mut tables = vec![(hidden.to_owned(), 2), (shadowed.to_owned(), 3), ("CREATE TABLE x (c TEXT)".to_owned(), 0)];
    for count in [1, 499, 500, 501, 1000, 1001] {
        let fill = format!(
            "CREATE TABLE x (id TEXT UNIQUE, c TEXT); CREATE INDEX covering ON x (c, id); WITH RECURSIVE n(i) AS \
             (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < {count}) INSERT INTO x SELECT -i, 'v' || i FROM n"
        );
        tables.push((fill, count));
    }
    for (schema, count) in tables {
        let file = File::with(&schema).await?;
        let mut session = file.session().await?;
        let selection = selection(&mut session, "x", &["c"]).await?;
        let mut found = scanned(&mut session, &selection, 0).await?;
        assert_eq!(scanned(&mut session, &selection, 1).await?, [""; 0]);
        found.sort();
        found.dedup();
        assert_eq!(found.len(), count, "{schema}");
        let mut transaction = session.begin(Mode::Read).await?;
        assert_eq!(transaction.count(&selection).await?, count as u64);
    }
    for (name, schema, row) in KEYS {
        let file = keyed(schema, row).await?;
        let mut session = file.session().await?;
        let selection = selection(&mut session, "x", &["c"]).await?;
        let mut found = scanned(&mut session, &selection, 0).await?;
        found.sort();
        found.dedup();
        assert_eq!(found.len(), 500, "{name}");
    }
    Ok(())
}

#[tokio::test]
async fn a_sample_is_spread_and_small_tables_are_whole() -> Outcome {
    for (name, schema, row) in KEYS {
        let file = keyed(schema, row).await?;
        let mut session = file.session().await?;
        let selection = selection(&mut session, "x", &["c"]).await?;
        let mut transaction = session.begin(Mode::Read).await?;
        for (want, least, most) in [(1000, 500, 500), (500, 500, 500), (100, 60, 140)] {
            let rows = transaction.sample(&selection, want, 7).await.map_err(|e| format!("{name}: {e}"))?;
            let mut found: Vec<String> = fields(&rows, 1).into_iter().flatten().flatten().collect();
            found.sort();
            found.dedup();
            assert!(
                (least..=most).contains(&found.len()) && found.len() == rows.len(),
                "{name}: {} of {want}",
                found.len()
            );
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_sample_reaches_across_gaps() -> Outcome {
    let fill = "CREATE TABLE x (id INTEGER PRIMARY KEY, c TEXT); WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n \
        WHERE i < 20000) INSERT INTO x SELECT i, i FROM n; INSERT INTO x VALUES (9223372036854775807, 'last'), (-9223372036854775808, 'first')";
    let file = File::with(fill).await?;
    let mut session = file.session().await?;
    let selection = selection(&mut session, "x", &["c"]).await?;
    let mut transaction = session.begin(Mode::Read).await?;
    let rows = transaction.sample(&selection, 400, 1).await?;
    let found: Vec<i64> =
        fields(&rows, 1).into_iter().flatten().flatten().filter_map(|text| text.parse().ok()).collect();
    let quarters = |q: i64| found.iter().filter(|id| **id > q * 5000 && **id <= (q + 1) * 5000).count();
    let spread: Vec<usize> = (0..4).map(quarters).collect();
    assert!(spread.iter().all(|rows| *rows >= 50), "{spread:?} of {}", rows.len());
    Ok(())
}

#[tokio::test]
async fn the_catalog_says_what_a_plan_asks() -> Outcome {
    let schema = "
        CREATE TABLE patient (id INTEGER PRIMARY KEY, a VARCHAR(50) NOT NULL, b BLOB, j JSON, n INT, g TEXT AS (lower(a)) VIRTUAL,
            CONSTRAINT short CHECK (length(a) < 999));
        CREATE UNIQUE INDEX hash ON patient (b) WHERE n IS NOT NULL;
        CREATE INDEX lowered ON patient (lower(a), n);
        INSERT INTO patient (a) VALUES ('x'), ('y');
        CREATE VIEW v AS SELECT a FROM patient;
        CREATE VIRTUAL TABLE f USING fts5(a);
        CREATE TABLE \"we\"\"ird [name]\" (\"c\"\"d\" TEXT, id INTEGER PRIMARY KEY);
        INSERT INTO \"we\"\"ird [name]\" VALUES ('odd', 1);";
    let file = File::with(schema).await?;
    let mut session = file.session().await?;
    let patient = table(&mut session, "patient").await?;
    let columns: Vec<_> =
        patient.columns.iter().map(|c| (&*c.name, c.kind, c.not_null, c.generated, c.length_max)).collect();
    assert_eq!(
        columns[1..],
        [
            ("a", ColumnKind::Text, true, false, None),
            ("b", ColumnKind::Bytes, false, false, None),
            ("j", ColumnKind::Json, false, false, None),
            ("n", ColumnKind::Other, false, false, None),
            ("g", ColumnKind::Text, false, true, None),
        ]
    );
    let mut indexes: Vec<_> =
        patient.indexes.iter().map(|i| (i.name.clone(), i.unique, i.partial, i.columns.clone())).collect();
    indexes.sort();
    for (_, _, _, columns) in &mut indexes {
        columns.sort();
    }
    let text = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    assert_eq!(
        indexes,
        [("hash".to_owned(), true, true, text(&["b", "n"])), ("lowered".to_owned(), false, false, text(&["a", "n"]))]
    );
    assert_eq!(patient.checks, [("short".to_owned(), text(&["a"]))]);
    assert_eq!((patient.kind, patient.leaves[0].rows_estimate), (TableKind::Table, 2));
    assert!(patient.leaves[0].heap_bytes > 0 && patient.privileges.update);
    assert_eq!(table(&mut session, "v").await?.kind, TableKind::View);
    assert_ne!(table(&mut session, "f").await?.kind, TableKind::Table);
    let mut transaction = session.begin(Mode::Read).await?;
    assert!(transaction.table(&main_table("missing")).await?.is_none());
    assert!(transaction.table(&main_table("reencrypt_run")).await?.is_none());
    transaction.commit().await?;
    let selection = selection(&mut session, "we\"ird [name]", &["c\"d"]).await?;
    let rows = read_all(&mut session, &selection).await?;
    assert_eq!(write_all(&mut session, &selection, &rows, b"new").await?, [true]);
    Ok(())
}

#[tokio::test]
async fn fifty_thousand_rows_of_twelve_columns_are_no_slower_than_twice_a_bare_update() -> Outcome {
    let columns: Vec<String> = (0..12).map(|column| format!("c{column}")).collect();
    let declared = columns.iter().map(|c| format!("{c} TEXT")).collect::<Vec<_>>().join(", ");
    let values = columns.iter().map(|_| "hex(randomblob(40))".to_owned()).collect::<Vec<_>>().join(", ");
    let schema = format!(
        "CREATE TABLE x (id INTEGER PRIMARY KEY, {declared}); WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n \
         WHERE i < 50000) INSERT INTO x SELECT i, {values} FROM n"
    );
    let mut file = File::with(&schema).await?;
    let bare = columns.iter().map(|c| format!("{c} = {c} || ''")).collect::<Vec<_>>().join(", ");
    let bare = format!("UPDATE x SET {bare}");
    file.run(&bare).await?;
    let began = Instant::now();
    file.run(&bare).await?;
    let floor = began.elapsed();
    let names: Vec<&str> = columns.iter().map(String::as_str).collect();
    let mut session = file.session().await?;
    let selection = selection(&mut session, "x", &names).await?;
    let (mut after, mut written) = (None, 0);
    let (mut reading, mut writing, mut committing) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
    let began = Instant::now();
    loop {
        let step = Instant::now();
        let mut transaction = session.begin(Mode::Read).await?;
        let upto = transaction.max_key(&selection).await?.ok_or("no key")?;
        let rows = transaction.read_batch(&selection, after.as_ref(), &upto, 1000).await?;
        transaction.commit().await?;
        reading += step.elapsed();
        let step = Instant::now();
        let which: Vec<usize> = (0..rows.len()).collect();
        let mut transaction = session.begin(Mode::Write(Limits::default())).await?;
        let value = |row: usize, slot: usize| rows.field((row + 1) % rows.len(), slot);
        written +=
            transaction.compare_and_set(&selection, &rows, &which, &value).await?.iter().filter(|hit| **hit).count();
        writing += step.elapsed();
        let step = Instant::now();
        transaction.commit().await?;
        committing += step.elapsed();
        if rows.is_last() {
            break;
        }
        after = Some(rows.key(rows.len() - 1));
    }
    let ours = began.elapsed();
    eprintln!(
        "bare update {floor:?}; ours {ours:?}: reading {reading:?}, writing {writing:?}, committing {committing:?}"
    );
    assert_eq!(written, 50_000);
    Ok(())
}
