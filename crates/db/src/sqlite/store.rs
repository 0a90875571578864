//! The checkpoint store's own statements, and its migrations.
use super::{Connection, connection::Arguments, failure, rows, rows::Class};
use crate::{Error, Limits, Migrator, Mode, Result, Value};
use sqlx::{
    Either, Row,
    migrate::{AppliedMigration, Migrate, Migration},
    sqlite::SqliteRow,
};

/// Where the store's migrations are recorded.
pub(super) const TABLE: &str = "reencrypt_migrations";

const DOING: &str = "using the checkpoint store";
const MIGRATING: &str = "migrating the checkpoint store";

impl Connection {
    pub(crate) async fn execute(&mut self, sql: &str, args: &[Value]) -> Result<u64> {
        let mut changed = 0;
        let visit = |item| {
            if let Either::Left(rows) = item {
                changed += rows;
            }
            Ok(true)
        };
        self.guard().await?;
        self.each(DOING, sql.into(), arguments(args), visit).await?;
        Ok(changed)
    }

    pub(crate) async fn fetch(&mut self, sql: &str, args: &[Value]) -> Result<Vec<Vec<Value>>> {
        self.guard().await?;
        let rows = self.all(DOING, sql, arguments(args)).await?;
        rows.iter().map(|row| (0..row.len()).map(|column| value(row, column)).collect()).collect()
    }

    /// Brings the store up to the migrator's version, in one transaction; where nothing is missing, without writing.
    pub(crate) async fn migrate(&mut self, migrator: &Migrator) -> Result<()> {
        if self.check_migrated(migrator).await? {
            return Ok(());
        }
        self.begin(Mode::Write(MIGRATION_LIMITS)).await?;
        match self.apply_missing(migrator).await {
            Ok(()) => self.commit().await,
            Err(error) => {
                self.rollback().await?;
                Err(error)
            }
        }
    }

    /// Whether the store is there, of the migrator's version.
    pub(crate) async fn check_migrated(&mut self, migrator: &Migrator) -> Result<bool> {
        self.begin(Mode::Read).await?;
        let missing = match self.applied().await {
            Ok(applied) => missing(migrator, &applied).map(|missing| missing.len()),
            Err(error) => Err(error),
        };
        self.rollback().await?;
        Ok(missing? == 0)
    }

    /// Applies what is missing now, under the write lock.
    async fn apply_missing(&mut self, migrator: &Migrator) -> Result<()> {
        let applied = self.applied().await?;
        let missing = missing(migrator, &applied)?;
        let mut driver = self.enter(MIGRATING)?;
        let outcome = async {
            driver.ensure_migrations_table(TABLE).await?;
            for migration in missing {
                // The transaction is ours.
                let within = Migration { no_tx: true, ..migration.clone() };
                driver.apply(TABLE, &within).await?;
            }
            Ok(())
        };
        let outcome: Result<(), sqlx::migrate::MigrateError> = outcome.await;
        self.leave(MIGRATING, None, driver, Some(Ok(())))?;
        outcome.map_err(failure::migration)
    }

    /// The migrations that the store has; none if there is no store.
    async fn applied(&mut self) -> Result<Vec<AppliedMigration>> {
        let exists = format!("SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = '{TABLE}'");
        if self.integer(MIGRATING, &exists, Arguments::default()).await? != Some(1) {
            return Ok(Vec::new());
        }
        let mut driver = self.enter(MIGRATING)?;
        let outcome = async {
            let dirty = driver.dirty_version(TABLE).await?;
            Ok((dirty, driver.list_applied_migrations(TABLE).await?))
        };
        let outcome: Result<_, sqlx::migrate::MigrateError> = outcome.await;
        self.leave(MIGRATING, None, driver, Some(Ok(())))?;
        match outcome.map_err(failure::migration)? {
            (Some(version), _) => Err(Error::StoreVersion { reason: format!("its migration {version} is unfinished") }),
            (None, applied) => Ok(applied),
        }
    }
}

/// The migrations that the store does not have; an error if it has one that this tool does not know, or knows otherwise.
fn missing<'m>(migrator: &'m Migrator, applied: &[AppliedMigration]) -> Result<Vec<&'m Migration>> {
    let known: Vec<_> = migrator.iter().filter(|migration| !migration.migration_type.is_down_migration()).collect();
    for AppliedMigration { version, checksum } in applied {
        let reason = match known.iter().find(|migration| migration.version == *version) {
            Some(migration) if migration.checksum == *checksum => continue,
            Some(_) => format!("its migration {version} is not the one that this version of the tool has"),
            None => format!("its migration {version} was made by another version of the tool"),
        };
        return Err(Error::StoreVersion { reason });
    }
    let is_missing = |migration: &&Migration| !applied.iter().any(|applied| applied.version == migration.version);
    Ok(known.into_iter().filter(is_missing).collect())
}

fn arguments(values: &[Value]) -> Arguments {
    let mut arguments = Arguments::default();
    for value in values {
        match value {
            Value::Null => arguments.null(),
            Value::Int(value) => arguments.integer(*value),
            Value::Text(value) => arguments.text(value.as_bytes()),
            Value::Bytes(value) => arguments.blob(value),
        }
    }
    arguments
}

fn value(row: &SqliteRow, column: usize) -> Result<Value> {
    let damaged = |error| failure::error(DOING, error);
    let bytes = || rows::raw(row, column).map(<[u8]>::to_vec).map_err(damaged);
    let unexpected = |found| Error::StoreValue { found, expected: "an integer, text or bytes" };
    Ok(match rows::class(row, column).map_err(damaged)? {
        Class::Null => Value::Null,
        Class::Integer => Value::Int(rows::integer(row, column).map_err(damaged)?),
        Class::Text => Value::Text(String::from_utf8(bytes()?).map_err(|_| unexpected("text that is not UTF-8"))?),
        Class::Blob => Value::Bytes(bytes()?),
        Class::Real => return Err(unexpected("a real number")),
    })
}

/// Processes that are started together wait for the one that migrates.
const MIGRATION_LIMITS: Limits =
    Limits { lock_timeout_ms: 5_000, statement_timeout_ms: 0, idle_timeout_ms: 0, deadline_ms: 30_000 };
