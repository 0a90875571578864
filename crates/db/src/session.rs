//! One connection, one transaction at a time.
use crate::{
    Dialect, Error, HeapScan, Horizon, InFlight, Migrator, Result, Rider, RowKey, Rows, Selection, Server, Snapshot,
    Table, TableName, TlsMode, Value, postgres, rows::Batch, sqlite,
};

/// Bounds of a write transaction, all `SET LOCAL` on PostgreSQL, so that the tool gives way and not the application.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// per wait; default 100
    pub lock_timeout_ms: u32,
    /// default 400: less than half of `deadlock_timeout`
    pub statement_timeout_ms: u32,
    /// default 2000
    pub idle_timeout_ms: u32,
    /// a deadline of ours on every await; past it the connection is closed
    pub deadline_ms: u32,
}
impl Default for Limits {
    fn default() -> Self {
        Self { lock_timeout_ms: 100, statement_timeout_ms: 400, idle_timeout_ms: 2000, deadline_ms: 10_000 }
    }
}

impl Limits {
    /// For a person's word, which comes once and touches the store alone: it waits for whoever writes there.
    pub const PATIENT: Self =
        Self { lock_timeout_ms: 30_000, statement_timeout_ms: 35_000, idle_timeout_ms: 2000, deadline_ms: 40_000 };
}

/// What a transaction may do.
#[derive(Debug, Clone, Copy)]
pub enum Mode<'a> {
    /// READ COMMITTED READ ONLY; `row_security = off` (so hidden rows are an error, not an absence).
    Read,
    /// READ COMMITTED READ WRITE (SQLite: `BEGIN IMMEDIATE`), `row_security = off`.
    Write(Limits),
    /// REPEATABLE READ READ ONLY; with `Some`, the exported snapshot of another session. SQLite: one read transaction.
    Snapshot(Option<&'a Snapshot>),
}

/// New values of rows in the form in which they travel, so that a transaction that writes them is as short as can be.
pub struct Written(postgres::Written);

impl Written {
    /// Number of rows.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What [`Transaction::compare_and_set`] would send; `None` for SQLite, which takes row by row.
    pub fn new<'v>(
        selection: &Selection,
        rows: &Rows,
        which: &[usize],
        value: &(dyn Fn(usize, usize) -> Option<&'v [u8]> + Sync),
    ) -> Result<Option<Self>> {
        match &rows.0 {
            Batch::Postgres(rows) => Ok(Some(Self(postgres::Written::new(selection, rows, which, value)?))),
            Batch::Sqlite(_) => Ok(None),
        }
    }
}

/// One connection. When a call's deadline passes or its future is dropped inside a transaction the connection is closed, never reused.
pub struct Session(pub(crate) Connection);

/// The engine behind a session.
pub(crate) enum Connection {
    Postgres(postgres::Connection),
    Sqlite(sqlite::Connection),
}

/// The same call on whichever engine it is.
macro_rules! on {
    ($connection:expr, $bound:ident => $call:expr) => {
        match $connection {
            Connection::Postgres($bound) => $call,
            Connection::Sqlite($bound) => $call,
        }
    };
}

impl Session {
    /// Which engine.
    pub fn dialect(&self) -> Dialect {
        self.0.dialect()
    }

    /// The server's process id for this connection (0 on SQLite).
    pub fn pid(&self) -> i64 {
        self.0.pid()
    }

    /// How the way to the server is protected, where it leaves this machine.
    pub(crate) fn tls(&self) -> Option<TlsMode> {
        match &self.0 {
            Connection::Postgres(connection) => connection.tls(),
            Connection::Sqlite(_) => None,
        }
    }

    /// Begins a transaction. One that was left open before is rolled back first.
    pub async fn begin(&mut self, mode: Mode<'_>) -> Result<Transaction<'_>> {
        on!(&mut self.0, c => c.begin(mode).await)?;
        tracing::trace!(session = self.pid(), ?mode, "began");
        Ok(Transaction(&mut self.0))
    }

    /// Brings the store's tables up to the migrator's version, in one transaction under an advisory lock, with the version table in the store's own
    /// namespace (schema `reencrypt`, or prefix `reencrypt_` on SQLite). Creates the schema only where it is missing. A store that is newer than the migrator, or has other
    /// migrations, is an error with code `store_version`.
    pub async fn migrate(&mut self, migrator: &Migrator) -> Result<()> {
        on!(&mut self.0, c => c.migrate(migrator).await)
    }

    /// Whether the store of this migrator's version is there (`false`: it is absent). Writes nothing; a store of another version is an
    /// error with code `store_version`.
    pub async fn check_migrated(&mut self, migrator: &Migrator) -> Result<bool> {
        on!(&mut self.0, c => c.check_migrated(migrator).await)
    }

    /// Whether the connection can still be used.
    pub fn is_usable(&self) -> bool {
        on!(&self.0, c => c.is_usable())
    }

    /// Closes the connection.
    pub async fn close(self) {
        on!(self.0, c => c.close().await)
    }
}

impl Connection {
    fn pid(&self) -> i64 {
        on!(self, c => c.pid())
    }

    fn dialect(&self) -> Dialect {
        match self {
            Connection::Postgres(_) => Dialect::Postgres,
            Connection::Sqlite(_) => Dialect::Sqlite,
        }
    }
}

/// An open transaction. Dropped without commit it is rolled back (the rollback is sent before the session's next use).
pub struct Transaction<'s>(&'s mut Connection);

impl Drop for Transaction<'_> {
    /// On SQLite a forgotten read would keep the application's writers from committing until the session's next use.
    fn drop(&mut self) {
        if let Connection::Sqlite(connection) = &mut *self.0 {
            connection.abandon();
        }
    }
}

impl Transaction<'_> {
    /// Which engine.
    pub fn dialect(&self) -> Dialect {
        self.0.dialect()
    }

    /// Runs a statement of the checkpoint store, `$1`-style parameters on both engines. Returns the number of rows affected.
    pub async fn execute(&mut self, sql: &str, args: &[Value]) -> Result<u64> {
        on!(self.0, c => c.execute(sql, args).await)
    }

    /// Runs a query (or a statement with RETURNING) of the checkpoint store.
    pub async fn fetch(&mut self, sql: &str, args: &[Value]) -> Result<Vec<Vec<Value>>> {
        on!(self.0, c => c.fetch(sql, args).await)
    }

    /// The database's clock in milliseconds since 1970 (`clock_timestamp()`), as an SQL expression for use inside store statements.
    pub fn now_ms_sql(&self) -> &'static str {
        match self.0 {
            Connection::Postgres(_) => postgres::NOW_MS,
            Connection::Sqlite(_) => sqlite::NOW_MS,
        }
    }

    /// The schema that the database URL names for unqualified tables, if it names one (PostgreSQL).
    pub fn url_schema(&self) -> Option<&str> {
        match &*self.0 {
            Connection::Postgres(connection) => connection.url_schema(),
            Connection::Sqlite(_) => None,
        }
    }

    /// The server: version, whether it is a standby or read-only, role, bypass of row-level security, free connections, collation versions.
    pub async fn server(&mut self) -> Result<Server> {
        on!(self.0, c => c.server().await)
    }

    /// All tables (not the store's, not the system's) that the role can see.
    pub async fn tables(&mut self) -> Result<Vec<TableName>> {
        on!(self.0, c => c.tables().await)
    }

    /// One table with all the plan wants to know of it; `None` if there is none of that name.
    pub async fn table(&mut self, name: &TableName) -> Result<Option<Table>> {
        on!(self.0, c => c.table(name).await)
    }

    /// The largest key, `None` for an empty leaf.
    pub async fn max_key(&mut self, selection: &Selection) -> Result<Option<RowKey>> {
        on!(self.0, c => c.max_key(selection).await)
    }

    /// The key of the `rows`-th row after `after` (exclusive, `None` = from the start) and not beyond `upto`, or of the last such row if there are fewer; `None` when there is none.
    pub async fn key_after(
        &mut self,
        selection: &Selection,
        after: Option<&RowKey>,
        upto: &RowKey,
        rows: u64,
    ) -> Result<Option<RowKey>> {
        on!(self.0, c => c.key_after(selection, after, upto, rows).await)
    }

    /// Up to `limit` rows with `after < key <= upto`, in key order. Fewer may come although there are more, since a batch is bounded in bytes too:
    /// [`Rows::is_last`] says whether the range is exhausted.
    pub async fn read_batch(
        &mut self,
        selection: &Selection,
        after: Option<&RowKey>,
        upto: &RowKey,
        limit: u32,
    ) -> Result<Rows> {
        let rows = on!(self.0, c => c.read_batch(selection, after, upto, limit).await)?;
        tracing::trace!(session = self.0.pid(), rows = rows.len(), last = rows.is_last(), "read a batch");
        Ok(rows)
    }

    /// The rows of exactly these keys that still exist, in no promised order; with `lock`, under `FOR NO KEY UPDATE` (SQLite: the write transaction is the lock).
    pub async fn read_keys(&mut self, selection: &Selection, keys: &[RowKey], lock: bool) -> Result<Rows> {
        on!(self.0, c => c.read_keys(selection, keys, lock).await)
    }

    /// Writes `value(nth, slot)` (`None` leaves the column as it is; NULL can never be written) to the `nth` of those of `rows` that are listed in `which`, if it is
    /// still exactly as it was read. Returns, per entry of `which`, whether the row was hit.
    pub async fn compare_and_set<'v>(
        &mut self,
        selection: &Selection,
        rows: &Rows,
        which: &[usize],
        value: &(dyn Fn(usize, usize) -> Option<&'v [u8]> + Sync),
    ) -> Result<Vec<bool>> {
        let hits = match (&mut self.0, Written::new(selection, rows, which, value)?) {
            (Connection::Sqlite(c), _) => c.compare_and_set(selection, rows, which, value).await,
            (Connection::Postgres(c), Some(written)) => {
                c.compare_and_set(selection, written.0, None).await.map(|(hits, _)| hits)
            }
            (Connection::Postgres(_), None) => Err(Error::RowKey { table: selection.table().clone() }),
        };
        hits.inspect(|hits| self.tell_hits(hits))
    }

    /// The same of rows that were written out beforehand for this selection, and with what goes with them: whether that took effect, `None` where it did not
    /// go along.
    pub async fn compare_and_set_written(
        &mut self,
        selection: &Selection,
        written: Written,
        rider: Option<&Rider>,
    ) -> Result<(Vec<bool>, Option<bool>)> {
        let Connection::Postgres(connection) = &mut self.0 else { unreachable!("written for another engine") };
        let hits = connection.compare_and_set(selection, written.0, rider).await;
        hits.inspect(|(hits, _)| self.tell_hits(hits))
    }

    fn tell_hits(&self, hits: &[bool]) {
        let hit = hits.iter().filter(|hit| **hit).count();
        tracing::trace!(session = self.0.pid(), rows = hits.len(), hit, "compared and set");
    }

    /// About `rows` rows spread over the whole table, cheap on any size; `seed` makes it repeatable where the engine can.
    pub async fn sample(&mut self, selection: &Selection, rows: u32, seed: u32) -> Result<Rows> {
        on!(self.0, c => c.sample(selection, rows, seed).await)
    }

    /// The exact number of rows (a full scan).
    pub async fn count(&mut self, selection: &Selection) -> Result<u64> {
        on!(self.0, c => c.count(selection).await)
    }

    /// The keys as text for a person (`quarantine list --keys`), composite parts joined by `, `.
    pub async fn key_texts(&mut self, selection: &Selection, keys: &[RowKey]) -> Result<Vec<String>> {
        on!(self.0, c => c.key_texts(selection, keys).await)
    }

    /// How far back the oldest snapshot reaches that anybody but this session holds: sessions, replication slots, prepared transactions. Needs no privilege.
    /// `None` on SQLite.
    pub async fn horizon(&mut self) -> Result<Option<Horizon>> {
        on!(self.0, c => c.horizon().await)
    }

    /// Exports this snapshot transaction's snapshot for other sessions.
    pub async fn export_snapshot(&mut self) -> Result<Snapshot> {
        on!(self.0, c => c.export_snapshot().await)
    }

    /// A scan of the heap itself, never through an index: part `part` of `parts`. In a snapshot transaction: in another one, a row that moves between two
    /// portions could be missed.
    pub async fn heap_scan(&mut self, selection: &Selection, part: u32, parts: u32) -> Result<HeapScan> {
        on!(self.0, c => c.heap_scan(selection, part, parts).await)
    }

    /// The next rows of the scan (a few hundred, bounded in bytes; may be an empty portion), `None` at its end.
    pub async fn next_rows(&mut self, scan: &mut HeapScan, selection: &Selection) -> Result<Option<Rows>> {
        on!(self.0, c => c.next_rows(scan, selection).await)
    }

    /// All transactions and prepared transactions of this database that were open when the snapshot was taken (call right after it), own sessions left out. Needs no privilege:
    /// `pg_locks` virtual transactions and `pg_prepared_xacts`. Empty on SQLite.
    pub async fn in_flight(&mut self, own_pids: &[i64]) -> Result<Vec<InFlight>> {
        on!(self.0, c => c.in_flight(own_pids).await)
    }

    /// Those of `transactions` that are still open.
    pub async fn still_in_flight(&mut self, transactions: &[InFlight]) -> Result<Vec<InFlight>> {
        on!(self.0, c => c.still_in_flight(transactions).await)
    }

    /// Rows of the leaf whose writer the snapshot does not see (a superset is allowed), in a later transaction, itself a snapshot for the same reason as
    /// [`Self::heap_scan`]. Read in portions with [`Self::next_rows`].
    pub async fn unseen_scan(
        &mut self,
        selection: &Selection,
        snapshot: &Snapshot,
        part: u32,
        parts: u32,
    ) -> Result<HeapScan> {
        on!(self.0, c => c.unseen_scan(selection, snapshot, part, parts).await)
    }

    /// Commits. An error with [`crate::Verdict::Reconnect`] means it cannot be known whether it stands.
    pub async fn commit(self) -> Result<()> {
        let end = on!(self.0, c => c.commit().await);
        tracing::trace!(session = self.0.pid(), committed = end.is_ok(), "ended");
        end
    }

    /// Rolls back.
    pub async fn rollback(self) -> Result<()> {
        let end = on!(self.0, c => c.rollback().await);
        tracing::trace!(session = self.0.pid(), "rolled back");
        end
    }
}
