//! Databases in a file of their own.
use crate::{COLUMNS, Patient, Random, Seeding, seeding::is_nullable};
use futures_util::TryStreamExt;
use sqlx::{
    AssertSqlSafe, Connection, Executor, Row, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteRow, SqliteSynchronous},
};
use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    time::Duration,
};
use tempfile::TempDir;

/// How the file's transactions become durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Journal {
    /// SQLite's default
    Delete,
    /// a log beside the file
    Wal,
}

/// A file in a folder that vanishes with it.
pub struct Sqlite {
    /// its files
    _folder: TempDir,
    file: PathBuf,
    seeding: Seeding,
}

impl Sqlite {
    /// A file with the Patient table and these patients, in SQLite's default journal mode.
    pub async fn seeded(seeding: &Seeding) -> Self {
        Self::seeded_in(seeding, Journal::Delete).await
    }

    /// A file in a journal mode.
    pub async fn seeded_in(seeding: &Seeding, journal: Journal) -> Self {
        let db = Self::empty(seeding);
        let mode = match journal {
            Journal::Delete => SqliteJournalMode::Delete,
            Journal::Wal => SqliteJournalMode::Wal,
        };
        let options = db.options().create_if_missing(true).journal_mode(mode);
        let mut connection = SqliteConnection::connect_with(&options).await.expect("the file can be made");
        run(&mut connection, &db.schema()).await;
        db.fill(&mut connection).await;
        connection.close().await.expect("the file can be closed");
        db
    }

    /// A copy of it as it stands, while nobody writes to it.
    pub async fn copy(&self) -> Self {
        // What stands in a log beside the file goes into it first.
        self.execute("PRAGMA wal_checkpoint(TRUNCATE)").await;
        let copy = Self::empty(&self.seeding);
        std::fs::copy(&self.file, &copy.file).expect("the file can be copied");
        copy
    }

    /// As `DATABASE_URL` holds it.
    pub fn url(&self) -> String {
        format!("sqlite:{}", self.file.display())
    }

    /// The database's file.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// A connection of its own.
    pub async fn connect(&self) -> SqliteConnection {
        SqliteConnection::connect_with(&self.options()).await.expect("the file can be opened")
    }

    /// Runs statements.
    pub async fn execute(&self, sql: &str) {
        run(&mut self.connect().await, sql).await;
    }

    /// A number.
    pub async fn number(&self, sql: &str) -> i64 {
        let number = sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(&mut self.connect().await).await;
        number.unwrap_or_else(|e| panic!("{e}\nin {sql}"))
    }

    /// Two numbers, or nothing while the tables are not there yet.
    pub(crate) async fn pair(&self, sql: &str) -> Option<(i64, i64)> {
        sqlx::query_as(AssertSqlSafe(sql.to_owned())).fetch_one(&mut self.connect().await).await.ok()
    }

    /// Texts of one column.
    pub async fn texts(&self, sql: &str) -> Vec<Option<String>> {
        let texts = sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_all(&mut self.connect().await).await;
        texts.unwrap_or_else(|e| panic!("{e}\nin {sql}"))
    }

    /// Every row, by number.
    pub async fn patients(&self) -> Vec<Patient> {
        let columns = COLUMNS.map(|column| format!("\"{column}\"")).join(", ");
        let key = self.seeding.row_key.columns().iter().copied();
        let rest: Vec<_> = key.chain(REST).map(|column| format!("quote(\"{column}\")")).collect();
        let sql = format!(
            r#"SELECT "patientNumber", {columns}, "emailHash", "dobHash", {} FROM "Patient" ORDER BY "patientNumber""#,
            rest.join(" || ',' || ")
        );
        let mut connection = self.connect().await;
        let rows = sqlx::query(AssertSqlSafe(sql)).fetch(&mut connection);
        rows.map_ok(|row| patient(&row)).try_collect().await.expect("the table can be read")
    }

    /// Everything in the tool's tables, as text.
    pub async fn store_dump(&self) -> String {
        let mut dump = String::new();
        let tables = "SELECT name FROM sqlite_master WHERE type = 'table' AND name GLOB '*reencrypt_*' ORDER BY 1";
        for table in self.texts(tables).await.into_iter().flatten() {
            let columns = self.texts(&format!("SELECT name FROM pragma_table_info('{table}')")).await;
            let columns: Vec<_> = columns.into_iter().flatten().map(|c| format!("quote(\"{c}\")")).collect();
            let rows = self.texts(&format!("SELECT {} FROM \"{table}\" ORDER BY 1", columns.join(" || ',' || "))).await;
            let _ = writeln!(dump, "{table}");
            rows.into_iter().flatten().for_each(|row| dump.push_str(&(row + "\n")));
        }
        dump
    }

    fn empty(seeding: &Seeding) -> Self {
        let folder = tempfile::Builder::new().prefix("reencrypt-sqlite-").tempdir().expect("a temporary folder");
        Self { file: folder.path().join("clinic.db"), _folder: folder, seeding: seeding.clone() }
    }

    fn options(&self) -> SqliteConnectOptions {
        SqliteConnectOptions::new()
            .filename(&self.file)
            .synchronous(SqliteSynchronous::Off)
            .busy_timeout(Duration::from_secs(30))
    }

    fn schema(&self) -> String {
        let key_columns = self.seeding.row_key.sqlite_columns();
        let key: Vec<_> = self.seeding.row_key.columns().iter().map(|c| format!("\"{c}\"")).collect();
        let encrypted: String = COLUMNS
            .iter()
            .enumerate()
            .map(|(n, column)| format!("\"{column}\" TEXT{},\n", if is_nullable(n) { "" } else { " NOT NULL" }))
            .collect();
        format!(
            r#"
            CREATE TABLE "Patient" (
                {key_columns},
                "patientNumber" INTEGER NOT NULL,
                "clinicId" INTEGER NOT NULL,
                {encrypted}
                "emailHash" TEXT,
                "dobHash" TEXT,
                "gender" TEXT NOT NULL DEFAULT 'unspecified',
                "searchIndex" TEXT,
                "tags" TEXT,
                "createdAt" DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP,
                "updatedAt" DATETIME NOT NULL,
                PRIMARY KEY ({})
            );
            CREATE INDEX "Patient_clinicId_emailHash_dobHash_idx" ON "Patient" ("clinicId", "emailHash", "dobHash");
            "#,
            key.join(", ")
        )
    }

    async fn fill(&self, connection: &mut SqliteConnection) {
        let random = Random::of_test("seeding");
        let key = self.seeding.row_key.columns();
        let columns: Vec<_> = key
            .iter()
            .copied()
            .chain(["patientNumber", "clinicId"])
            .chain(COLUMNS)
            .chain(["emailHash", "dobHash", "tags", "createdAt", "updatedAt"])
            .map(|column| format!("\"{column}\""))
            .collect();
        let places = vec!["?"; columns.len()].join(", ");
        let sql = format!(r#"INSERT INTO "Patient" ({}) VALUES ({places})"#, columns.join(", "));
        run(connection, "BEGIN").await;
        for patient in self.seeding.patients(&random) {
            let mut insert = sqlx::query(AssertSqlSafe(sql.clone()));
            for part in self.seeding.row_key.of(patient.number) {
                // The column's affinity makes a number of a text that is one.
                insert = insert.bind(part);
            }
            insert = insert.bind(patient.number).bind(patient.number % 7);
            for value in patient.values {
                insert = insert.bind(value);
            }
            insert =
                insert.bind(patient.email_hash).bind(patient.dob_hash).bind(format!("{{\"n\": {}}}", patient.number));
            insert = insert.bind("2023-01-02 03:04:05.678").bind("2024-05-06 07:08:09.012");
            insert.execute(&mut *connection).await.expect("a row can be inserted");
        }
        run(connection, "COMMIT").await;
    }
}

/// Columns beside the row key that the tool must leave alone.
const REST: [&str; 6] = ["clinicId", "gender", "searchIndex", "tags", "createdAt", "updatedAt"];

fn patient(row: &SqliteRow) -> Patient {
    Patient {
        number: row.get(0),
        values: std::array::from_fn(|n| row.get(n + 1)),
        email_hash: row.get(11),
        dob_hash: row.get(12),
        rest: row.get(13),
    }
}

async fn run(connection: &mut SqliteConnection, sql: &str) {
    connection.execute(sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))).await.unwrap_or_else(|e| panic!("{e}\nin {sql}"));
}
