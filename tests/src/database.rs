//! A throw-away database with the platform's Patient table.
use crate::{Patient, Postgres, Seeding, Sqlite};
use std::path::Path;

/// One of the engines. It vanishes when it is dropped.
pub enum Database {
    /// A database of its own on the cluster of `scripts/test.sh`.
    Postgres(Postgres),
    /// A file in a folder of its own.
    Sqlite(Sqlite),
}

impl Database {
    /// PostgreSQL with these patients.
    pub async fn postgres(seeding: &Seeding) -> Self {
        Self::Postgres(Postgres::seeded(seeding).await)
    }

    /// SQLite with these patients.
    pub async fn sqlite(seeding: &Seeding) -> Self {
        Self::Sqlite(Sqlite::seeded(seeding).await)
    }

    /// What `DATABASE_URL` holds: on PostgreSQL for a role that may do what `run` needs, and is neither owner nor superuser.
    pub fn url(&self) -> String {
        match self {
            Self::Postgres(db) => db.url(crate::Role::Run),
            Self::Sqlite(db) => db.url(),
        }
    }

    /// A copy of it as it stands.
    pub async fn copy(&self) -> Self {
        match self {
            Self::Postgres(db) => Self::Postgres(db.copy().await),
            Self::Sqlite(db) => Self::Sqlite(db.copy().await),
        }
    }

    /// Runs statements as the database's owner.
    pub async fn execute(&self, sql: &str) {
        match self {
            Self::Postgres(db) => db.execute(sql).await,
            Self::Sqlite(db) => db.execute(sql).await,
        }
    }

    /// A number, as the database's owner sees it.
    pub async fn number(&self, sql: &str) -> i64 {
        match self {
            Self::Postgres(db) => db.number(sql).await,
            Self::Sqlite(db) => db.number(sql).await,
        }
    }

    /// Texts of one column.
    pub async fn texts(&self, sql: &str) -> Vec<Option<String>> {
        match self {
            Self::Postgres(db) => db.texts(sql).await,
            Self::Sqlite(db) => db.texts(sql).await,
        }
    }

    /// Every row, by number.
    pub async fn patients(&self) -> Vec<Patient> {
        match self {
            Self::Postgres(db) => db.patients().await,
            Self::Sqlite(db) => db.patients().await,
        }
    }

    /// Everything that the tool keeps in the database, as text.
    pub async fn store_dump(&self) -> String {
        match self {
            Self::Postgres(db) => db.store_dump().await,
            Self::Sqlite(db) => db.store_dump().await,
        }
    }

    /// The tool's table `name`, as SQL knows it.
    pub fn store_table(&self, name: &str) -> String {
        match self {
            Self::Postgres(_) => format!("reencrypt.{name}"),
            Self::Sqlite(_) => format!("reencrypt_{name}"),
        }
    }

    /// Names of the tool's tables, as SQL knows them.
    pub async fn store_tables(&self) -> Vec<String> {
        let sql = match self {
            Self::Postgres(_) => {
                "SELECT quote_ident(schemaname) || '.' || quote_ident(tablename) FROM pg_tables WHERE schemaname = 'reencrypt' ORDER BY 1"
            }
            Self::Sqlite(_) => {
                "SELECT '\"' || name || '\"' FROM sqlite_master WHERE type = 'table' AND name GLOB '*reencrypt_*' ORDER BY 1"
            }
        };
        self.texts(sql).await.into_iter().flatten().collect()
    }

    /// `schema.table` of a table, as reports name it.
    pub fn reported(&self, table: &str) -> String {
        match self {
            Self::Postgres(_) => format!("public.{table}"),
            Self::Sqlite(_) => format!("main.{table}"),
        }
    }

    /// The database's file, where it is one.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::Postgres(_) => None,
            Self::Sqlite(db) => Some(db.file()),
        }
    }

    /// The engine's name.
    pub fn engine(&self) -> &'static str {
        match self {
            Self::Postgres(_) => "PostgreSQL",
            Self::Sqlite(_) => "SQLite",
        }
    }

    /// The PostgreSQL database.
    pub fn as_postgres(&self) -> &Postgres {
        match self {
            Self::Postgres(db) => db,
            Self::Sqlite(_) => panic!("not a PostgreSQL database"),
        }
    }
}
