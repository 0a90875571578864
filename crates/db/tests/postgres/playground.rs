//! A database made for one test.
use reencrypt_db::{
    ConnectOptions, Database, DatabaseUrl, Limits, Mode, RowKey, Rows, Selection, Session, Table, TableName,
    Transaction,
};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, Row};
use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

const VARIABLE: &str = "REENCRYPT_TEST_POSTGRES_URL";

/// Port of a PgBouncer in transaction mode before the same server; where it is set, the sessions under test go through it.
const POOLER: &str = "REENCRYPT_TEST_PGBOUNCER_PORT";

/// The database, and a superuser's connection to it.
pub(crate) struct Playground {
    pub(crate) admin: PgConnection,
    url: url::Url,
}

impl Playground {
    /// A new empty database.
    pub(crate) async fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let base = std::env::var(VARIABLE)
            .unwrap_or_else(|_| panic!("{VARIABLE} is not set: the superuser URL of a throw-away PostgreSQL server"));
        let mut url = url::Url::parse(&base).expect("a URL");
        let mut maintenance = PgConnection::connect(url.as_str()).await.expect("the server");
        let name = format!("db_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        run(&mut maintenance, &format!("CREATE DATABASE {name} TEMPLATE template0")).await;
        url.set_path(&name);
        Self { admin: PgConnection::connect(url.as_str()).await.expect("the new database"), url }
    }

    /// Runs statements as the superuser.
    pub(crate) async fn sql(&mut self, sql: &str) {
        run(&mut self.admin, sql).await;
    }

    /// A superuser's query for texts.
    pub(crate) async fn texts(&mut self, sql: &str) -> Vec<String> {
        let rows = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).fetch_all(&mut self.admin).await;
        rows.unwrap_or_else(|e| panic!("{sql}: {e}")).iter().map(|row| row.get::<String, _>(0)).collect()
    }

    /// Another superuser's connection.
    pub(crate) async fn another(&self) -> PgConnection {
        PgConnection::connect(self.url.as_str()).await.expect("the database")
    }

    /// A login role of this name's beginning that may nothing; returns its whole name.
    pub(crate) async fn role(&mut self, name: &str) -> String {
        let role = format!("{name}_{}", &self.url.path()[1..]);
        self.sql(&format!("CREATE ROLE {role} LOGIN PASSWORD 'pw'")).await;
        role
    }

    pub(crate) fn options(&self, role: Option<&str>) -> ConnectOptions {
        let mut url = self.url.clone();
        if let Ok(port) = std::env::var(POOLER) {
            url.set_port(Some(port.parse().expect("a port"))).expect("a port");
        }
        if let Some(role) = role {
            url.set_username(role).expect("a user");
            url.set_password(Some("pw")).expect("a password");
        }
        ConnectOptions {
            url: DatabaseUrl::parse(url.as_str()).expect("a URL"),
            tls: None,
            ca: None,
            connect_timeout: Duration::from_secs(10),
            application_name: "reencrypt-test".to_owned(),
        }
    }

    /// The database as the superuser, or as a role, sees it.
    pub(crate) async fn database(&self, role: Option<&str>) -> Database {
        Database::connect(self.options(role)).await.expect("the database")
    }

    pub(crate) async fn session(&self) -> Session {
        self.database(None).await.session().await.expect("a session")
    }

    pub(crate) async fn session_as(&self, role: &str) -> Session {
        self.database(Some(role)).await.session().await.expect("a session")
    }
}

pub(crate) async fn run(connection: &mut PgConnection, sql: &str) {
    connection.execute(sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
}

/// Limits that a busy machine does not run into.
pub(crate) fn patient() -> Mode<'static> {
    Mode::Write(Limits {
        lock_timeout_ms: 500,
        statement_timeout_ms: 20_000,
        idle_timeout_ms: 20_000,
        deadline_ms: 30_000,
    })
}

pub(crate) fn name(schema: &str, name: &str) -> TableName {
    TableName { schema: schema.to_owned(), name: name.to_owned() }
}

/// The table `public.t`.
pub(crate) async fn table(session: &mut Session, of: &str) -> Table {
    let mut transaction = session.begin(Mode::Read).await.expect("begin");
    let table = transaction.table(&name("public", of)).await.expect("the catalog").expect("the table");
    transaction.commit().await.expect("commit");
    table
}

pub(crate) fn selection(table: &Table, columns: &[&str]) -> Selection {
    let columns: Vec<String> = columns.iter().map(|c| (*c).to_owned()).collect();
    Selection::new(table, 0, &columns).expect("a selection")
}

pub(crate) fn text(rows: &Rows, row: usize, slot: usize) -> Option<String> {
    rows.field(row, slot).map(|bytes| String::from_utf8(bytes.to_vec()).expect("UTF-8"))
}

/// The first slot of every row from `after` on, in batches of `limit`.
pub(crate) async fn walk(
    transaction: &mut Transaction<'_>,
    selection: &Selection,
    mut after: Option<RowKey>,
    upto: &RowKey,
    limit: u32,
) -> Vec<String> {
    let mut values = Vec::new();
    loop {
        let rows = transaction.read_batch(selection, after.as_ref(), upto, limit).await.expect("a batch");
        values.extend((0..rows.len()).map(|row| text(&rows, row, 0).expect("not NULL")));
        if rows.is_last() {
            return values;
        }
        after = Some(rows.key(rows.len() - 1));
    }
}
