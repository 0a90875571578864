//! The store's tables by name, and its schema.
use crate::{Error, Result};
use reencrypt_db::{Dialect, Migrator, Mode, Session, Transaction, Value};
use sqlx::{
    SqlStr,
    migrate::{Migration, MigrationType},
};
use std::sync::LazyLock;

static POSTGRES: LazyLock<Migrator> =
    LazyLock::new(|| migrator(&[("store", include_str!("../../../migrations/postgres/0001_store.sql"))]));
static SQLITE: LazyLock<Migrator> =
    LazyLock::new(|| migrator(&[("store", include_str!("../../../migrations/sqlite/0001_store.sql"))]));

/// Each behind those that it refers to.
const TABLES: [&str; 10] =
    ["run", "pass", "walk", "chunk", "quarantine", "acceptance", "event", "worker", "wave", "nonces"];

/// The migrations of one engine, numbered from 1: what each does, and its text. (The driver's macro would read the folder, and bring the whole driver
/// along a second time, for the compiler.)
fn migrator(files: &[(&'static str, &'static str)]) -> Migrator {
    let migration = |(version, &(description, sql)): (i64, &(&'static str, &'static str))| {
        Migration::new(version, description.into(), MigrationType::Simple, SqlStr::from_static(sql), false)
    };
    Migrator::with_migrations((1..).zip(files).map(migration).collect())
}

/// The checkpoint store of one database. Holds no connection: every call takes the transaction in which it happens.
#[derive(Debug, Clone, Copy)]
pub struct Store {
    dialect: Dialect,
}

impl Store {
    /// The store of a database of that kind.
    pub fn new(dialect: Dialect) -> Self {
        Self { dialect }
    }

    /// Of which kind its database is.
    pub(crate) fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Creates the store, or brings it up to this version. A store of another version is refused with code `store_version`.
    pub async fn migrate(&self, session: &mut Session) -> Result<()> {
        Ok(session.migrate(self.migrator()).await?)
    }

    /// Checks without writing that the store is absent or older (`false`), or of this version (`true`); refuses any other, and one of which tables are gone.
    pub async fn exists(&self, session: &mut Session) -> Result<bool> {
        let is_current = session.check_migrated(self.migrator()).await?;
        let mut tx = session.begin(Mode::Read).await?;
        let standing = self.fetch(&mut tx, self.listing(), &[]).await?;
        tx.commit().await?;
        let standing = standing.iter().map(|row| text(row.first())).collect::<Result<Vec<_>>>()?;
        let versions = self.versions().to_owned();
        let tables = TABLES.iter().rev().map(|table| self.sql(&format!("{{{table}}}"))).chain([versions.clone()]);
        let (left, missing): (Vec<_>, Vec<_>) = tables.partition(|table| standing.contains(table));
        // An older one has fewer tables, but it has its version.
        let is_cut = if is_current { !missing.is_empty() } else { !left.is_empty() && missing.contains(&versions) };
        if is_cut { Err(Error::Gone { missing, left }) } else { Ok(is_current) }
    }

    /// The query for the tables with names like ours.
    fn listing(&self) -> &'static str {
        match self.dialect {
            Dialect::Postgres => {
                "SELECT n.nspname || '.' || c.relname FROM pg_catalog.pg_class AS c \
                 JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = 'reencrypt' AND c.relkind = 'r'"
            }
            Dialect::Sqlite => "SELECT name FROM sqlite_schema WHERE type = 'table' AND name LIKE 'reencrypt%'",
        }
    }

    /// Where the migrations that were applied are recorded.
    fn versions(&self) -> &'static str {
        match self.dialect {
            Dialect::Postgres => "reencrypt._sqlx_migrations",
            Dialect::Sqlite => "reencrypt_migrations",
        }
    }

    fn migrator(&self) -> &'static Migrator {
        match self.dialect {
            Dialect::Postgres => &POSTGRES,
            Dialect::Sqlite => &SQLITE,
        }
    }

    /// `sql` with `{name}` replaced by the store's own tables, `{now}` by the database's clock, `{skip_locked}` and
    /// `{for_update}` by row locks where the database has them.
    pub(crate) fn sql(&self, sql: &str) -> String {
        let (prefix, now, for_update, skip_locked) = match self.dialect {
            Dialect::Postgres => (
                "reencrypt.",
                "(extract(epoch FROM clock_timestamp()) * 1000)::bigint",
                "FOR UPDATE",
                "FOR UPDATE SKIP LOCKED",
            ),
            Dialect::Sqlite => ("reencrypt_", "CAST(unixepoch('subsec') * 1000 AS INTEGER)", "", ""),
        };
        let mut out =
            sql.replace("{now}", now).replace("{for_update}", for_update).replace("{skip_locked}", skip_locked);
        for table in TABLES {
            out = out.replace(&format!("{{{table}}}"), &format!("{prefix}{table}"));
        }
        out
    }

    pub(crate) async fn execute(&self, tx: &mut Transaction<'_>, sql: &str, args: &[Value]) -> Result<u64> {
        Ok(tx.execute(&self.sql(sql), args).await?)
    }

    pub(crate) async fn fetch(&self, tx: &mut Transaction<'_>, sql: &str, args: &[Value]) -> Result<Vec<Vec<Value>>> {
        Ok(tx.fetch(&self.sql(sql), args).await?)
    }

    /// The database's clock, in milliseconds since 1970.
    pub async fn now_ms(&self, tx: &mut Transaction<'_>) -> Result<i64> {
        let rows = self.fetch(tx, "SELECT {now}", &[]).await?;
        int(rows.first().and_then(|row| row.first()))
    }
}

/// The integer in a column.
pub(crate) fn int(value: Option<&Value>) -> Result<i64> {
    match value {
        Some(Value::Int(i)) => Ok(*i),
        _ => Err(Error::Unreadable { what: "number" }),
    }
}

/// The integer in a column, or NULL.
pub(crate) fn int_or_null(value: Option<&Value>) -> Result<Option<i64>> {
    match value {
        Some(Value::Null) => Ok(None),
        other => int(other).map(Some),
    }
}

/// The text in a column.
pub(crate) fn text(value: Option<&Value>) -> Result<String> {
    match value {
        Some(Value::Text(text)) => Ok(text.clone()),
        _ => Err(Error::Unreadable { what: "text" }),
    }
}

/// The text in a column, or NULL.
pub(crate) fn text_or_null(value: Option<&Value>) -> Result<Option<String>> {
    match value {
        Some(Value::Null) => Ok(None),
        other => text(other).map(Some),
    }
}

/// The bytes in a column, or NULL.
pub(crate) fn bytes_or_null(value: Option<&Value>) -> Result<Option<Vec<u8>>> {
    match value {
        Some(Value::Null) => Ok(None),
        Some(Value::Bytes(bytes)) => Ok(Some(bytes.clone())),
        _ => Err(Error::Unreadable { what: "row key" }),
    }
}

/// Text or NULL.
pub(crate) fn maybe_text(text: Option<&str>) -> Value {
    text.map_or(Value::Null, |text| Value::Text(text.to_owned()))
}

/// A number or NULL.
pub(crate) fn maybe_int(int: Option<i64>) -> Value {
    int.map_or(Value::Null, Value::Int)
}

/// Bytes or NULL.
pub(crate) fn maybe_bytes(bytes: Option<&[u8]>) -> Value {
    bytes.map_or(Value::Null, |bytes| Value::Bytes(bytes.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_clock_follow_the_dialect() {
        let sql = "UPDATE {run} SET finished_ms = {now} WHERE id = (SELECT id FROM {run} {for_update})";
        assert_eq!(
            Store::new(Dialect::Postgres).sql(sql),
            "UPDATE reencrypt.run SET finished_ms = (extract(epoch FROM clock_timestamp()) * 1000)::bigint WHERE id = (SELECT id FROM reencrypt.run FOR UPDATE)"
        );
        assert_eq!(
            Store::new(Dialect::Sqlite).sql(sql),
            "UPDATE reencrypt_run SET finished_ms = CAST(unixepoch('subsec') * 1000 AS INTEGER) WHERE id = (SELECT id FROM reencrypt_run )"
        );
    }

    /// A file that nobody put on the list would never be applied.
    #[test]
    fn every_file_of_the_folder_is_a_migration() {
        for (folder, migrator) in [("postgres", &*POSTGRES), ("sqlite", &*SQLITE)] {
            let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations").join(folder);
            let mut files: Vec<_> =
                std::fs::read_dir(folder).expect("a folder").map(|file| file.expect("a file")).collect();
            files.sort_by_key(std::fs::DirEntry::file_name);
            let found = files.iter().map(|file| {
                let text = std::fs::read_to_string(file.path()).expect("a text");
                (file.file_name().into_string().expect("a name"), text)
            });
            let listed = migrator.iter().map(|migration| {
                let name = format!("{:04}_{}.sql", migration.version, migration.description);
                (name, migration.sql.as_str().to_owned())
            });
            assert_eq!(found.collect::<Vec<_>>(), listed.collect::<Vec<_>>());
        }
    }
}
