//! One moment shared by sessions, and the transactions that were open at it.
use super::{Connection, data::number, rows::value, wire::Parameters};
use crate::{Error, Horizon, InFlight, Result, Snapshot};
use sqlx::postgres::PgRow;

const EXPORT: &str = "SELECT pg_catalog.pg_export_snapshot(), \
    pg_catalog.pg_snapshot_xmin(pg_catalog.pg_current_snapshot())::pg_catalog.text::pg_catalog.int8, \
    (pg_catalog.date_part('epoch', pg_catalog.transaction_timestamp()) * 1000)::pg_catalog.int8";

/// Every transaction holds a lock on its own virtual identifier, visible to every role; the database and the user of a process are, too. Processes without a user
/// (autovacuum) write no rows. Workers of logical replication and of extensions have one, and count.
const OPEN: &str = "SELECT 0::pg_catalog.int8, l.pid::pg_catalog.int8, l.virtualtransaction \
    FROM pg_catalog.pg_locks AS l JOIN pg_catalog.pg_stat_activity AS a ON a.pid = l.pid \
    WHERE l.locktype = 'virtualxid' AND l.granted AND l.virtualxid = l.virtualtransaction \
    AND a.datname = pg_catalog.current_database() AND a.usesysid IS NOT NULL AND a.pid <> pg_catalog.pg_backend_pid() \
    UNION ALL SELECT 1::pg_catalog.int8, 0::pg_catalog.int8, gid FROM pg_catalog.pg_prepared_xacts \
    WHERE database = pg_catalog.current_database()";

/// The next transaction, and how old the oldest is that something keeps versions for in this database: snapshots (those of VACUUM keep nothing), slots, prepared
/// transactions. Visible to every role.
const HORIZON: &str = "SELECT pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::pg_catalog.text::pg_catalog.int8, \
    (SELECT pg_catalog.max(held.age)::pg_catalog.int8 FROM ( \
      SELECT pg_catalog.age(a.backend_xmin) FROM pg_catalog.pg_stat_activity AS a \
        WHERE a.backend_xmin IS NOT NULL AND a.pid <> pg_catalog.pg_backend_pid() \
        AND (a.datname IS NULL OR a.datname = pg_catalog.current_database()) \
        AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_progress_vacuum AS v WHERE v.pid = a.pid) \
      UNION ALL SELECT pg_catalog.age(s.xmin) FROM pg_catalog.pg_replication_slots AS s WHERE s.xmin IS NOT NULL \
      UNION ALL SELECT pg_catalog.age(p.transaction) FROM pg_catalog.pg_prepared_xacts AS p \
        WHERE p.database = pg_catalog.current_database()) AS held(age))";

impl Connection {
    pub(crate) async fn horizon(&mut self) -> Result<Option<Horizon>> {
        let rows = self.query("looking for held snapshots", HORIZON, Parameters::default()).await?;
        let read = |row: &PgRow| {
            let next = u64::try_from(number(row, 0)?).ok()?;
            let age = number(row, 1).and_then(|age| u64::try_from(age).ok()).unwrap_or(0);
            Some(Horizon { next, oldest: next.saturating_sub(age) })
        };
        Ok(rows.first().and_then(read))
    }

    pub(crate) async fn export_snapshot(&mut self) -> Result<Snapshot> {
        const DOING: &str = "exporting a snapshot";
        let rows = self.query(DOING, EXPORT, Parameters::default()).await?;
        let read = |row: &PgRow| {
            let name = std::str::from_utf8(value(row, 0)?).ok()?.to_owned();
            let plain = name.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
            let horizon = u64::try_from(number(row, 1)?).ok()?;
            plain.then_some(Snapshot { taken_at_ms: number(row, 2)?, name, horizon })
        };
        let lost = || Error::Lost { doing: DOING, reason: "the server named no snapshot".to_owned() };
        rows.first().and_then(read).ok_or_else(lost)
    }

    pub(crate) async fn in_flight(&mut self, own_pids: &[i64]) -> Result<Vec<InFlight>> {
        let mut open = self.open_transactions().await?;
        open.retain(|transaction| transaction.prepared || !own_pids.contains(&transaction.pid));
        Ok(open)
    }

    pub(crate) async fn still_in_flight(&mut self, transactions: &[InFlight]) -> Result<Vec<InFlight>> {
        let mut open = self.open_transactions().await?;
        open.retain(|transaction| transactions.contains(transaction));
        Ok(open)
    }

    async fn open_transactions(&mut self) -> Result<Vec<InFlight>> {
        let rows = self.query("listing open transactions", OPEN, Parameters::default()).await?;
        let read = |row| {
            let id = String::from_utf8_lossy(value(row, 2)?).into_owned();
            Some(InFlight { prepared: number(row, 0)? == 1, pid: number(row, 1)?, id })
        };
        Ok(rows.iter().filter_map(read).collect())
    }
}
