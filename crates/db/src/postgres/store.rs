//! The checkpoint store's own statements, and its schema.
use super::{
    Connection,
    rows::value,
    wire::{BOOL, BPCHAR, BYTEA, INT2, INT4, INT8, NAME, Parameters, TEXT, VARCHAR},
};
use crate::{Error, Limits, Migrator, Mode, Result, Value};
use sqlx::{Row, migrate::Migration, postgres::PgRow};
use std::collections::BTreeMap;

const DOING: &str = "using the checkpoint store";
/// The store's schema, fixed, so that a DBA can make it beforehand.
const SCHEMA: &str = "reencrypt";
const MIGRATIONS: &str = "reencrypt._sqlx_migrations";

/// Of the transaction that migrates; any number no application uses.
const ADVISORY_LOCK: i64 = 0x7265_656e_6372_7970;
const MIGRATION_LIMITS: Limits =
    Limits { lock_timeout_ms: 30_000, statement_timeout_ms: 60_000, idle_timeout_ms: 60_000, deadline_ms: 70_000 };

impl Connection {
    pub(crate) async fn execute(&mut self, sql: &str, args: &[Value]) -> Result<u64> {
        self.affected(DOING, sql, Parameters::default().values(args)).await
    }

    pub(crate) async fn fetch(&mut self, sql: &str, args: &[Value]) -> Result<Vec<Vec<Value>>> {
        let rows = self.query(DOING, sql, Parameters::default().values(args)).await?;
        rows.iter().map(|row| (0..row.len()).map(|column| store_value(row, column)).collect()).collect()
    }

    pub(crate) async fn migrate(&mut self, migrator: &Migrator) -> Result<()> {
        self.begin(Mode::Write(MIGRATION_LIMITS)).await?;
        let migrated = self.migrate_locked(migrator).await;
        match migrated {
            Ok(()) => self.commit().await,
            Err(error) => {
                if self.is_usable() {
                    self.rollback().await?;
                }
                Err(error)
            }
        }
    }

    pub(crate) async fn check_migrated(&mut self, migrator: &Migrator) -> Result<bool> {
        self.begin(Mode::Read).await?;
        let checked = self.check_schema_version(migrator).await;
        if self.is_usable() {
            self.rollback().await?;
        }
        checked
    }

    async fn check_schema_version(&mut self, migrator: &Migrator) -> Result<bool> {
        let exists = "SELECT (pg_catalog.to_regclass($1) IS NOT NULL)::pg_catalog.int4";
        let rows =
            self.query("looking for the checkpoint store", exists, Parameters::default().text(MIGRATIONS)).await?;
        if rows.first().and_then(|row| value(row, 0)) != Some(&1_i32.to_be_bytes()[..]) {
            return Ok(false);
        }
        Ok(pending(migrator, &self.applied().await?)?.is_empty())
    }

    /// Creates only what is missing: with everything in place neither CREATE on the database nor on the schema is needed.
    async fn migrate_locked(&mut self, migrator: &Migrator) -> Result<()> {
        const DOING: &str = "migrating the checkpoint store";
        self.query(DOING, "SELECT pg_catalog.pg_advisory_xact_lock($1)", Parameters::default().int8(ADVISORY_LOCK))
            .await?;
        let exists = "SELECT (pg_catalog.to_regnamespace($1) IS NOT NULL)::pg_catalog.int4, \
             (pg_catalog.to_regclass($2) IS NOT NULL)::pg_catalog.int4";
        let rows = self.query(DOING, exists, Parameters::default().text(SCHEMA).text(MIGRATIONS)).await?;
        let is = |column| rows.first().and_then(|row| value(row, column)) == Some(&1_i32.to_be_bytes()[..]);
        let (schema, table) = (is(0), is(1));
        let applied = if table { self.applied().await? } else { BTreeMap::new() };
        let pending = pending(migrator, &applied)?;
        if pending.is_empty() && table {
            return Ok(());
        }
        if !schema {
            self.simple(DOING, &format!("CREATE SCHEMA {SCHEMA}")).await?;
        }
        if !table {
            self.simple(DOING, &migrations_table()).await?;
        }
        for migration in pending {
            self.simple(DOING, migration.sql.as_str()).await?;
            let sql = format!(
                "INSERT INTO {MIGRATIONS} (version, description, success, checksum, execution_time) \
                 VALUES ($1, $2, true, $3, 0)"
            );
            let with = Parameters::default().int8(migration.version).text(&migration.description);
            self.affected(DOING, &sql, with.raw(BYTEA, Some(&migration.checksum))).await?;
        }
        Ok(())
    }

    /// Version and checksum of what was applied.
    async fn applied(&mut self) -> Result<BTreeMap<i64, Vec<u8>>> {
        let sql = format!("SELECT version, checksum FROM {MIGRATIONS}");
        let rows = self.query("reading the store's version", &sql, Parameters::default()).await?;
        let entry = |row| Some((super::data::number(row, 0)?, value(row, 1)?.to_vec()));
        Ok(rows.iter().filter_map(entry).collect())
    }
}

/// What is still to be applied, in order.
fn pending<'m>(migrator: &'m Migrator, applied: &BTreeMap<i64, Vec<u8>>) -> Result<Vec<&'m Migration>> {
    let known: BTreeMap<i64, &Migration> =
        migrator.iter().filter(|m| !m.migration_type.is_down_migration()).map(|m| (m.version, m)).collect();
    let newest = known.keys().next_back().copied().unwrap_or(0);
    for (version, checksum) in applied {
        let reason = match known.get(version) {
            Some(migration) if migration.checksum[..] == checksum[..] => continue,
            Some(_) => format!("its version {version} differs from this tool's"),
            None if *version > newest => format!("its version {version} is newer than this tool's {newest}"),
            None => format!("its version {version} is unknown to this tool"),
        };
        return Err(Error::StoreVersion { reason });
    }
    Ok(known.into_values().filter(|migration| !applied.contains_key(&migration.version)).collect())
}

/// As the driver's own migrator makes it.
fn migrations_table() -> String {
    format!(
        "CREATE TABLE {MIGRATIONS} (version bigint PRIMARY KEY, description text NOT NULL, \
         installed_on timestamptz NOT NULL DEFAULT now(), success boolean NOT NULL, checksum bytea NOT NULL, \
         execution_time bigint NOT NULL)"
    )
}

/// A value of a result, of one of the store's types.
fn store_value(row: &PgRow, column: usize) -> Result<Value> {
    let Some(bytes) = value(row, column) else { return Ok(Value::Null) };
    let oid = sqlx::Column::type_info(&row.columns()[column]).oid().map_or(0, |oid| oid.0);
    let read = match oid {
        BOOL => Some(Value::Int(i64::from(bytes == [1]))),
        INT2 => bytes.try_into().ok().map(|b| Value::Int(i16::from_be_bytes(b).into())),
        INT4 => bytes.try_into().ok().map(|b| Value::Int(i32::from_be_bytes(b).into())),
        INT8 => bytes.try_into().ok().map(|b| Value::Int(i64::from_be_bytes(b))),
        TEXT | VARCHAR | BPCHAR | NAME => std::str::from_utf8(bytes).ok().map(|text| Value::Text(text.to_owned())),
        BYTEA => Some(Value::Bytes(bytes.to_vec())),
        _ => None,
    };
    read.ok_or(Error::StoreValue { found: "a value of another type", expected: "an integer, text or bytes" })
}
