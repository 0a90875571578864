//! A file of its own for each test, an application that has it open, and the tool beside it.
use reencrypt_db::{
    ConnectOptions, Database, DatabaseUrl, Limits, Mode, RowKey, Rows, Selection, Session, Table, TableName,
    Transaction,
};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Executor, Row, SqliteConnection, sqlite::SqliteConnectOptions};
use std::{path::PathBuf, time::Duration};

pub(crate) struct Playground {
    directory: tempfile::TempDir,
    /// The application's connection.
    pub(crate) app: SqliteConnection,
    pub(crate) database: Database,
}

impl Playground {
    pub(crate) async fn new(sql: &str) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let mut app = connect(directory.path().join("app.db"), true).await;
        app.execute(AssertSqlSafe(sql.to_string())).await.expect("the application's statements");
        let database = Database::connect(options(&directory.path().join("app.db"))).await.expect("the file opens");
        Self { directory, app, database }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("app.db")
    }

    /// Another connection of the application's.
    pub(crate) async fn other_app(&self) -> SqliteConnection {
        connect(self.path(), false).await
    }

    pub(crate) async fn session(&self) -> Session {
        self.database.session().await.expect("a session")
    }

    pub(crate) async fn run(&mut self, sql: &str) {
        self.app.execute(AssertSqlSafe(sql.to_string())).await.expect("the application's statement");
    }

    /// Whatever the statement gives, each value with its storage class and its bytes.
    pub(crate) async fn dump(&mut self, sql: &str) -> Vec<Vec<String>> {
        let rows = self.app.fetch_all(AssertSqlSafe(sql.to_string())).await.expect("the application's query");
        let value = |row: &sqlx::sqlite::SqliteRow, column| {
            row.try_get_unchecked::<Option<Vec<u8>>, _>(column).expect("bytes").map_or("NULL".to_string(), |bytes| {
                String::from_utf8(bytes.clone()).unwrap_or_else(|_| format!("{bytes:02x?}"))
            })
        };
        rows.iter().map(|row| (0..row.len()).map(|column| value(row, column)).collect()).collect()
    }

    /// The first column of each row.
    pub(crate) async fn column(&mut self, sql: &str) -> Vec<String> {
        self.dump(sql).await.into_iter().map(|mut row| row.remove(0)).collect()
    }

    pub(crate) async fn table(&self, table: &str) -> Table {
        let mut session = self.session().await;
        let mut transaction = read(&mut session).await;
        let table = transaction.table(&name(table)).await.expect("the catalog").expect("the table");
        transaction.rollback().await.expect("rolled back");
        table
    }

    pub(crate) async fn selection(&self, table: &str, columns: &[&str]) -> Selection {
        let columns: Vec<_> = columns.iter().map(|column| column.to_string()).collect();
        Selection::new(&self.table(table).await, 0, &columns).expect("the columns exist")
    }
}

pub(crate) fn options(path: &std::path::Path) -> ConnectOptions {
    ConnectOptions {
        url: DatabaseUrl::parse(&format!("sqlite:{}", path.display())).expect("a URL"),
        tls: None,
        ca: None,
        connect_timeout: Duration::from_secs(5),
        application_name: "reencrypt".to_string(),
    }
}

async fn connect(path: PathBuf, create: bool) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(path).create_if_missing(create).foreign_keys(false);
    options.busy_timeout(Duration::ZERO).connect().await.expect("the application's file")
}

pub(crate) fn name(table: &str) -> TableName {
    TableName { schema: "main".to_string(), name: table.to_string() }
}

pub(crate) async fn read(session: &mut Session) -> Transaction<'_> {
    session.begin(Mode::Read).await.expect("a read transaction")
}

pub(crate) async fn write(session: &mut Session) -> Transaction<'_> {
    session.begin(Mode::Write(Limits::default())).await.expect("a write transaction")
}

/// All rows in key order, by batches of `limit`: each key with the fields as text.
pub(crate) async fn walk(transaction: &mut Transaction<'_>, selection: &Selection, limit: u32) -> Vec<Vec<String>> {
    let mut all = Vec::new();
    let Some(upto) = transaction.max_key(selection).await.expect("the largest key") else { return all };
    let mut after: Option<RowKey> = None;
    loop {
        let rows = transaction.read_batch(selection, after.as_ref(), &upto, limit).await.expect("a batch");
        all.extend(fields(&rows, selection));
        if rows.is_last() {
            return all;
        }
        after = Some(rows.key(rows.len() - 1));
    }
}

pub(crate) fn fields(rows: &Rows, selection: &Selection) -> Vec<Vec<String>> {
    let text =
        |row, slot| rows.field(row, slot).map_or("NULL".to_string(), |f| String::from_utf8_lossy(f).into_owned());
    (0..rows.len()).map(|row| (0..selection.slots()).map(|slot| text(row, slot)).collect()).collect()
}

/// The batch with everything in it.
pub(crate) async fn all_rows(transaction: &mut Transaction<'_>, selection: &Selection) -> Rows {
    let upto = transaction.max_key(selection).await.expect("the largest key").expect("rows");
    transaction.read_batch(selection, None, &upto, 10_000).await.expect("a batch")
}
