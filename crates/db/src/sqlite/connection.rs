//! One connection: opening the file, transactions, and the one way in which statements reach it.
use super::{failure, rows};
use crate::{
    Condition, Error, Identity, Limits, Mode, Result,
    identifier::{quoted, shown},
};
use futures_util::{FutureExt, TryStreamExt};
use sqlx::{
    Arguments as _, AssertSqlSafe, ConnectOptions as _, Connection as _, Either, Executor, Sqlite, SqliteConnection,
    sqlite::{SqliteArguments, SqliteConnectOptions, SqliteRow},
};
use std::{collections::HashMap, path::Path, sync::Arc, time::Duration};

/// A connection. `query_only` is on until the first transaction begun for writing, so that a session that only reads cannot write at all. Afterwards it is
/// turned on only before SQL that could write in a reading transaction: each turn makes SQLite prepare every statement anew.
pub(crate) struct Connection {
    /// Taken out for the time of each call: a call that is dropped or runs out of time drops the driver with it, so that no lock of its transaction is left.
    driver: Option<SqliteConnection>,
    /// The file takes no writes from this process.
    pub(super) read_only: bool,
    /// Text is stored as UTF-8; in an UTF-16 file, text that is not valid cannot be bound again.
    pub(super) utf8: bool,
    /// The schema version at which a selection was last found to be as it was, by the selection's number.
    pub(super) known: HashMap<u64, i64>,
    transaction: Option<Open>,
    query_only: bool,
}

/// The open transaction.
struct Open {
    writes: bool,
    /// Of every call in it.
    deadline: Option<Duration>,
    /// A statement failed, so that it must not be committed.
    failed: bool,
    /// The selections that were found to be as they were, by their numbers.
    checked: Vec<u64>,
}

/// Parameters of a statement, in order.
#[derive(Default)]
pub(super) struct Arguments(SqliteArguments);

impl Connection {
    /// Opens the file, which must exist, and changes nothing in it; the identity's `system` is empty.
    pub(crate) async fn open(path: &Path, connect_timeout: Duration) -> Result<(Self, Identity)> {
        let identity = identity(path);
        let unopened = |error: sqlx::Error| unopened(path, shown(&identity.address), &error);
        let mut driver = options(path, connect_timeout).connect().await.map_err(unopened)?;
        let (utf8, read_only) = look(&mut driver).await.map_err(unopened)?;
        let connection =
            Self { driver: Some(driver), read_only, utf8, known: HashMap::new(), transaction: None, query_only: true };
        Ok((connection, identity))
    }

    /// SQLite has no server process.
    pub(crate) fn pid(&self) -> i64 {
        0
    }

    pub(crate) fn is_usable(&self) -> bool {
        self.driver.is_some()
    }

    pub(crate) async fn close(self) {
        // Whatever the driver says, the file is let go; an open transaction is rolled back.
        if let Some(driver) = self.driver {
            let _ = driver.close().await;
        }
    }

    /// Begins a transaction; one that was left open is rolled back first.
    pub(crate) async fn begin(&mut self, mode: Mode<'_>) -> Result<()> {
        const DOING: &str = "beginning a transaction";
        self.abandon();
        let (statement, open) = match mode {
            Mode::Write(_) if self.read_only => return Err(failure::read_only(DOING)),
            Mode::Write(limits) => {
                self.set_query_only(false).await?;
                (begin_writing(&limits), Open::writing(&limits))
            }
            Mode::Read | Mode::Snapshot(_) => (BEGIN_READING.to_string(), Open::reading()),
        };
        let (writes, deadline) = (open.writes, open.deadline);
        self.bare(DOING, statement, deadline).await?;
        self.transaction = Some(open);
        if !writes {
            // A deferred transaction's snapshot is taken by its first read.
            let look =
                self.each(DOING, "SELECT 1 FROM sqlite_schema LIMIT 1".into(), Arguments::default(), |_| Ok(true));
            if let Err(error) = look.await {
                self.rollback().await?;
                return Err(error);
            }
        }
        Ok(())
    }

    /// Commits. On an error nothing of the transaction stands, unless the error says that it cannot be known.
    pub(crate) async fn commit(&mut self) -> Result<()> {
        const DOING: &str = "committing";
        if !self.is_usable() {
            return Err(closed(DOING));
        }
        let Some(open) = self.transaction.take() else { return Err(Error::Aborted) };
        if open.writes && open.failed {
            self.undo().await;
            return Err(Error::Aborted);
        }
        let committed = self.bare(DOING, "COMMIT".to_string(), open.deadline).await;
        if committed.is_err() {
            self.undo().await;
        }
        committed.map_err(in_doubt)
    }

    /// Rolls back.
    pub(crate) async fn rollback(&mut self) -> Result<()> {
        if !self.is_usable() {
            return Err(closed("rolling back"));
        }
        if self.transaction.take().is_some() {
            self.undo().await;
        }
        Ok(())
    }

    /// Sends the rollback of a transaction that was left open, without waiting for it: a forgotten read holds a lock that keeps writers from
    /// committing.
    pub(crate) fn abandon(&mut self) {
        if self.transaction.take().is_some()
            && let Some(driver) = &mut self.driver
        {
            // The first poll hands the statement to the connection's thread, which runs it whether anybody waits or not.
            let _ = driver.execute("ROLLBACK").now_or_never();
        }
    }

    /// Runs a statement that is kept prepared and hands over what comes of it, until `visit` says that it is enough. A statement repeated with semicolons
    /// gives the number of changed rows after the rows of each part.
    pub(super) async fn each(
        &mut self,
        doing: &'static str,
        statement: Arc<str>,
        arguments: Arguments,
        visit: impl FnMut(Either<u64, SqliteRow>) -> sqlx::Result<bool> + Send,
    ) -> Result<()> {
        self.run(doing, statement, arguments, true, visit).await
    }

    /// The same for a statement that hardly comes again.
    pub(super) async fn once(
        &mut self,
        doing: &'static str,
        statement: Arc<str>,
        arguments: Arguments,
        visit: impl FnMut(Either<u64, SqliteRow>) -> sqlx::Result<bool> + Send,
    ) -> Result<()> {
        self.run(doing, statement, arguments, false, visit).await
    }

    /// All rows of a statement.
    pub(super) async fn all(
        &mut self,
        doing: &'static str,
        statement: &str,
        arguments: Arguments,
    ) -> Result<Vec<SqliteRow>> {
        let mut rows = Vec::new();
        let visit = |item| {
            if let Either::Right(row) = item {
                rows.push(row);
            }
            Ok(true)
        };
        self.each(doing, statement.into(), arguments, visit).await?;
        Ok(rows)
    }

    /// The integer in the first column of the first row.
    pub(super) async fn integer(
        &mut self,
        doing: &'static str,
        statement: &str,
        arguments: Arguments,
    ) -> Result<Option<i64>> {
        let rows = self.all(doing, statement, arguments).await?;
        let first = rows.first().map(|row| rows::integer(row, 0));
        first.transpose().map_err(|error| failure::error(doing, error))
    }

    /// Whether the selection of this number was found in order in this transaction.
    pub(super) fn is_checked(&self, selection: u64) -> bool {
        self.transaction.as_ref().is_some_and(|open| open.checked.contains(&selection))
    }

    /// Remembers that it was.
    pub(super) fn set_checked(&mut self, selection: u64) {
        if let Some(open) = &mut self.transaction {
            open.checked.push(selection);
        }
    }

    /// Before SQL that could write: makes sure that it does so only in a transaction begun for writing.
    pub(super) async fn guard(&mut self) -> Result<()> {
        match self.transaction.as_ref().is_some_and(|open| open.writes) {
            true => Ok(()),
            false => self.set_query_only(true).await,
        }
    }

    /// Keeps the transaction from being committed.
    pub(super) fn fail(&mut self) {
        if let Some(open) = &mut self.transaction {
            open.failed = true;
        }
    }

    /// Begins a call with the driver.
    pub(super) fn enter(&mut self, doing: &'static str) -> Result<SqliteConnection> {
        // After some errors SQLite has rolled back by itself: what came now would stand outside of any transaction.
        if self.is_usable() && self.transaction.as_ref().is_some_and(|open| open.writes && open.failed) {
            return Err(Error::Aborted);
        }
        self.driver.take().ok_or_else(|| closed(doing))
    }

    /// Ends a call. After a deadline, or when the driver itself failed, it is gone.
    pub(super) fn leave<T>(
        &mut self,
        doing: &'static str,
        deadline: Option<Duration>,
        driver: SqliteConnection,
        outcome: Option<sqlx::Result<T>>,
    ) -> Result<T> {
        let Some(result) = outcome else {
            let limit_ms = deadline.map(|limit| limit.as_millis().try_into().unwrap_or(u64::MAX)).unwrap_or_default();
            return Err(Error::Deadline { doing, limit_ms });
        };
        self.driver = (!matches!(&result, Err(sqlx::Error::WorkerCrashed))).then_some(driver);
        if result.is_err() {
            self.fail();
        }
        result.map_err(|error| failure::error(doing, error))
    }

    async fn run(
        &mut self,
        doing: &'static str,
        statement: Arc<str>,
        arguments: Arguments,
        keep: bool,
        mut visit: impl FnMut(Either<u64, SqliteRow>) -> sqlx::Result<bool> + Send,
    ) -> Result<()> {
        let mut driver = self.enter(doing)?;
        let deadline = self.transaction.as_ref().and_then(|open| open.deadline);
        let query = sqlx::query_with(AssertSqlSafe(statement), arguments.0).persistent(keep);
        let answers = async {
            let mut answers = driver.fetch_many(query);
            while let Some(answer) = answers.try_next().await? {
                if !visit(answer.map_left(|done| done.rows_affected()))? {
                    break;
                }
            }
            Ok(())
        };
        let outcome = bounded(deadline, answers).await;
        self.leave(doing, deadline, driver, outcome)
    }

    async fn set_query_only(&mut self, on: bool) -> Result<()> {
        if self.query_only != on {
            let statement = if on { "PRAGMA query_only = ON" } else { "PRAGMA query_only = OFF" };
            self.bare("setting up the connection", statement.to_string(), None).await?;
            self.query_only = on;
        }
        Ok(())
    }

    /// A statement that begins or ends a transaction, or sets the connection up for it.
    async fn bare(&mut self, doing: &'static str, statement: String, deadline: Option<Duration>) -> Result<()> {
        let mut driver = self.enter(doing)?;
        let done = driver.execute(AssertSqlSafe(statement)).map(|done| done.map(|_| ()));
        let outcome = bounded(deadline, done).await;
        self.leave(doing, deadline, driver, outcome)
    }

    /// Rolls back what SQLite has not rolled back itself, as it does after some errors. Where that cannot be known the connection is given up.
    async fn undo(&mut self) {
        let Some(mut driver) = self.driver.take() else { return };
        let outcome = driver.execute("ROLLBACK").await;
        self.driver = outcome.map_or_else(|error| failure::is_refusal(&error), |_| true).then_some(driver);
    }
}

/// Reads the encoding (whether it is UTF-8), which shows too whether the file is a database, and learns whether it takes no writes: SQLite begins even an immediate
/// transaction where it does not, and says so only to a statement that could write. This one writes nothing.
async fn look(driver: &mut SqliteConnection) -> sqlx::Result<(bool, bool)> {
    let encoding: String = sqlx::query_scalar("PRAGMA encoding").fetch_one(&mut *driver).await?;
    let table: Option<String> = sqlx::query_scalar(ANY_TABLE).fetch_optional(&mut *driver).await?;
    driver.execute("PRAGMA busy_timeout = 0").await?;
    let mut read_only = false;
    if let Some(table) = table {
        let empty_write = format!("DELETE FROM main.{} WHERE 0", quoted(&table));
        match driver.execute(AssertSqlSafe(empty_write)).await {
            Ok(_) => {}
            Err(error) if failure::is_refusal(&error) => read_only = failure::is_read_only(&error),
            Err(error) => return Err(error),
        }
    }
    driver.execute("PRAGMA query_only = ON").await?;
    Ok((encoding == "UTF-8", read_only))
}

fn closed(doing: &'static str) -> Error {
    Error::Lost { doing, reason: "it was closed before".to_owned() }
}

impl Open {
    fn reading() -> Self {
        Self { writes: false, deadline: None, failed: false, checked: Vec::new() }
    }

    fn writing(limits: &Limits) -> Self {
        let deadline = Some(Duration::from_millis(limits.deadline_ms.into()));
        Self { writes: true, deadline, failed: false, checked: Vec::new() }
    }
}

impl Arguments {
    pub(super) fn integer(&mut self, value: i64) {
        self.add(value);
    }

    pub(super) fn real(&mut self, value: f64) {
        self.add(value);
    }

    /// Text, where it is UTF-8; else the blob that the statement casts.
    pub(super) fn text(&mut self, value: &[u8]) {
        match std::str::from_utf8(value) {
            Ok(text) => self.add(Arc::<str>::from(text)),
            Err(_) => self.blob(value),
        }
    }

    pub(super) fn blob(&mut self, value: &[u8]) {
        self.add(value);
    }

    pub(super) fn null(&mut self) {
        self.add(None::<i64>);
    }

    fn add<'v, T: sqlx::Encode<'v, Sqlite> + sqlx::Type<Sqlite>>(&mut self, value: T) {
        self.0.add(value).expect("numbers, text and bytes always encode");
    }
}

/// Nothing that changes the file, and no foreign keys enforced that the application does not enforce.
fn options(path: &Path, connect_timeout: Duration) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .foreign_keys(false)
        .busy_timeout(connect_timeout)
        .row_buffer_size(ROWS_AHEAD)
        .disable_statement_logging()
}

fn begin_writing(limits: &Limits) -> String {
    format!("PRAGMA busy_timeout = {}; BEGIN IMMEDIATE", limits.lock_timeout_ms)
}

/// The file itself, so that a copy elsewhere is another database.
fn identity(path: &Path) -> Identity {
    let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf()).display().to_string();
    Identity { address: path.clone(), database: path, system: String::new() }
}

/// Why the file cannot be opened.
fn unopened(path: &Path, shown: String, error: &sqlx::Error) -> Error {
    let code = error.as_database_error().and_then(|refusal| refusal.code());
    let reason = match code.as_deref() {
        Some(code @ ("5" | "261" | "517")) => {
            let (condition, state, object) = (Condition::LockTimeout, code.to_owned(), Some(format!("file {shown}")));
            return Error::Statement { doing: "opening the file", condition, state, object };
        }
        Some("26") => "the file is no SQLite database",
        _ if !path.exists() => "there is no such file",
        _ if path.is_dir() => "this is a directory",
        _ => "the file cannot be opened",
    };
    Error::File { path: shown, reason: reason.to_owned() }
}

async fn bounded<T>(deadline: Option<Duration>, call: impl Future<Output = T>) -> Option<T> {
    match deadline {
        Some(limit) => tokio::time::timeout(limit, call).await.ok(),
        None => Some(call.await),
    }
}

/// An error of COMMIT after which only the file knows.
fn in_doubt(error: Error) -> Error {
    match error {
        Error::Deadline { limit_ms, .. } => Error::CommitUnknown { reason: format!("no answer within {limit_ms} ms") },
        Error::Lost { reason, .. } => Error::CommitUnknown { reason },
        other => other,
    }
}

/// Readers wait for a writer's commit, which is short, a little longer than writers do for each other.
const BEGIN_READING: &str = "PRAGMA busy_timeout = 1000; BEGIN";

const ANY_TABLE: &str = "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND substr(name, 1, 7) <> 'sqlite_' LIMIT 1";

/// Rows that the connection's thread may be ahead of us.
const ROWS_AHEAD: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Snapshot, TableName, Value, Verdict};

    const LIMIT: Duration = Duration::from_secs(5);

    /// A file with a table in it.
    async fn file() -> (tempfile::TempDir, std::path::PathBuf) {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("test.db");
        let options = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
        let mut app = options.connect().await.expect("a new file");
        app.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT); INSERT INTO t VALUES (1, 'old')")
            .await
            .expect("a table");
        app.close().await.expect("closed");
        (directory, path)
    }

    async fn begin_writing(connection: &mut Connection) {
        connection.begin(Mode::Write(Limits::default())).await.expect("begun");
    }

    #[tokio::test]
    async fn a_file_that_takes_no_writes_is_read_and_says_so() {
        let (_directory, path) = file().await;
        let uri = format!("file:{}?mode=ro", path.display());
        let (mut connection, _) = Connection::open(Path::new(&uri), LIMIT).await.expect("the file opens");
        connection.begin(Mode::Read).await.expect("begun");
        assert!(connection.server().await.expect("the server").read_only);
        let name = TableName { schema: "main".to_string(), name: "t".to_string() };
        let table = connection.table(&name).await.expect("the catalog").expect("the table");
        assert!(!table.privileges.update && table.privileges.select);
        assert!(table.columns.iter().all(|column| !column.can_update && column.can_select));
        let error = connection.begin(Mode::Write(Limits::default())).await.expect_err("it takes no writes");
        assert_eq!((error.code(), error.verdict()), ("database_read_only", Verdict::Fatal));
        connection.begin(Mode::Read).await.expect("begun");
        assert_eq!(connection.fetch("SELECT a FROM t", &[]).await.expect("a row"), [[Value::Text("old".to_string())]]);
    }

    #[tokio::test]
    async fn a_full_disk_stops_cleanly() {
        let (_directory, path) = file().await;
        let (mut connection, _) = Connection::open(&path, LIMIT).await.expect("the file opens");
        connection.driver.as_mut().expect("open").execute("PRAGMA max_page_count = 3").await.expect("a limit");
        begin_writing(&mut connection).await;
        let large = [Value::Bytes(vec![7; 100_000])];
        let error = connection.execute("UPDATE t SET a = $1", &large).await.expect_err("no room");
        assert_eq!((error.code(), error.verdict()), ("database_full", Verdict::Fatal));
        assert_eq!(connection.commit().await.expect_err("a statement failed").code(), "transaction_aborted");
        begin_writing(&mut connection).await;
        assert_eq!(connection.fetch("SELECT a FROM t", &[]).await.expect("a row"), [[Value::Text("old".to_string())]]);
        connection.execute("UPDATE t SET a = $1", &[Value::Text("new".to_string())]).await.expect("room for this");
        connection.commit().await.expect("committed");
    }

    #[tokio::test]
    async fn an_abandoned_transaction_lets_the_file_go_at_once() {
        let (_directory, path) = file().await;
        let (mut one, _) = Connection::open(&path, LIMIT).await.expect("the file opens");
        let (mut other, _) = Connection::open(&path, LIMIT).await.expect("the file opens");
        begin_writing(&mut one).await;
        one.execute("UPDATE t SET a = 'abandoned'", &[]).await.expect("written");
        one.abandon();
        begin_writing(&mut other).await;
        assert_eq!(other.fetch("SELECT a FROM t", &[]).await.expect("a row"), [[Value::Text("old".to_string())]]);
        other.commit().await.expect("committed");
        begin_writing(&mut one).await;
        one.rollback().await.expect("rolled back");
    }

    #[tokio::test]
    async fn a_call_that_is_dropped_lets_the_file_go() {
        let (_directory, path) = file().await;
        let (mut one, _) = Connection::open(&path, LIMIT).await.expect("the file opens");
        let (mut other, _) = Connection::open(&path, LIMIT).await.expect("the file opens");
        begin_writing(&mut one).await;
        // One that is dropped while it begins, and waits for the first.
        let (mut third, _) = Connection::open(&path, LIMIT).await.expect("the file opens");
        let patient = Mode::Write(Limits { lock_timeout_ms: 5000, ..Limits::default() });
        assert!(third.begin(patient).now_or_never().is_none());
        assert!(!third.is_usable());
        let slow = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 500000) UPDATE t SET a = (SELECT max(x) FROM c)";
        assert!(one.execute(slow, &[]).now_or_never().is_none());
        assert!(!one.is_usable());
        assert_eq!(one.commit().await.expect_err("it is closed").code(), "connection_lost");
        other.begin(patient).await.expect("begun");
        assert_eq!(other.fetch("SELECT a FROM t", &[]).await.expect("a row"), [[Value::Text("old".to_string())]]);
        other.execute("UPDATE t SET a = 'new'", &[]).await.expect("written");
        other.commit().await.expect("no reader is left either");
    }

    #[tokio::test]
    async fn the_same_file_has_one_identity() {
        let (directory, path) = file().await;
        let (_, identity) = Connection::open(&path, LIMIT).await.expect("the file opens");
        let around = directory.path().join(".").join("test.db");
        assert_eq!(Connection::open(&around, LIMIT).await.expect("the file opens").1, identity);
        assert_eq!(identity.system, "");
        assert!(Path::new(&identity.database).is_absolute());
    }

    #[tokio::test]
    async fn a_snapshot_of_another_session_is_one_of_its_own() {
        let (_directory, path) = file().await;
        let (mut connection, _) = Connection::open(&path, LIMIT).await.expect("the file opens");
        let snapshot = Snapshot { taken_at_ms: 0, name: String::new(), horizon: 0 };
        connection.begin(Mode::Snapshot(Some(&snapshot))).await.expect("begun");
        connection.commit().await.expect("committed");
    }
}
