//! Who works on a run, and where.
use crate::{
    Result, Store,
    store::{int, int_or_null, maybe_int, maybe_text, text, text_or_null},
};
use reencrypt_db::{Transaction, Value};

/// A process that works, or worked, on a run.
#[derive(Debug, Clone)]
pub struct Worker {
    /// as in leases
    pub owner: String,
    /// host
    pub host: String,
    /// process id there
    pub pid: i64,
    /// since it was last heard of, by the database's clock
    pub silent_ms: i64,
    /// what it said of itself then
    pub activity: Activity,
    /// for how long it has been waiting
    pub waits_ms: Option<i64>,
}

/// What a process says of itself with each sign of life.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Activity {
    /// why it waits, if it does
    pub waiting: Option<String>,
    /// it writes in small transactions with pauses between them, because others are at work in the database
    pub gives_way: bool,
    /// somebody holds a snapshot open, so that it writes in key order
    pub snapshot_held: bool,
    /// rows a second that were asked for
    pub rows_per_second_max: Option<u32>,
}

impl Store {
    /// Says that the process is alive, and what it does.
    pub async fn heartbeat(
        &self,
        tx: &mut Transaction<'_>,
        run_id: &str,
        owner: &str,
        host: &str,
        pid: i64,
        activity: &Activity,
    ) -> Result<()> {
        let sql = "INSERT INTO {worker} AS w (run_id, owner, host, pid, started_ms, seen_ms, waiting, waiting_since_ms, \
                   gives_way, snapshot_held, rows_per_second_max) \
                   VALUES ($1, $2, $3, $4, {now}, {now}, $5, CASE WHEN CAST($5 AS text) IS NULL THEN NULL ELSE {now} END, $6, $7, $8) \
                   ON CONFLICT (run_id, owner) DO UPDATE SET seen_ms = excluded.seen_ms, waiting = excluded.waiting, \
                   gives_way = excluded.gives_way, snapshot_held = excluded.snapshot_held, \
                   rows_per_second_max = excluded.rows_per_second_max, waiting_since_ms = CASE WHEN excluded.waiting IS NULL THEN NULL \
                   ELSE coalesce(w.waiting_since_ms, excluded.waiting_since_ms) END";
        let args = [
            Value::Text(run_id.to_owned()),
            Value::Text(owner.to_owned()),
            Value::Text(host.to_owned()),
            Value::Int(pid),
            maybe_text(activity.waiting.as_deref()),
            Value::Int(activity.gives_way.into()),
            Value::Int(activity.snapshot_held.into()),
            maybe_int(activity.rows_per_second_max.map(i64::from)),
        ];
        self.execute(tx, sql, &args).await?;
        Ok(())
    }

    /// Says that the process ended its work.
    pub async fn retire(&self, tx: &mut Transaction<'_>, run_id: &str, owner: &str) -> Result<()> {
        let sql = "DELETE FROM {worker} WHERE run_id = $1 AND owner = $2";
        self.execute(tx, sql, &[Value::Text(run_id.to_owned()), Value::Text(owner.to_owned())]).await?;
        Ok(())
    }

    /// The processes of a run, last heard of first.
    pub async fn workers(&self, tx: &mut Transaction<'_>, run_id: &str) -> Result<Vec<Worker>> {
        let sql = "SELECT owner, host, pid, {now} - seen_ms, {now} - waiting_since_ms, waiting, gives_way, snapshot_held, \
                   rows_per_second_max FROM {worker} WHERE run_id = $1 ORDER BY seen_ms DESC";
        let rows = self.fetch(tx, sql, &[Value::Text(run_id.to_owned())]).await?;
        rows.iter()
            .map(|row| {
                Ok(Worker {
                    owner: text(row.first())?,
                    host: text(row.get(1))?,
                    pid: int(row.get(2))?,
                    silent_ms: int(row.get(3))?,
                    waits_ms: int_or_null(row.get(4))?,
                    activity: Activity {
                        waiting: text_or_null(row.get(5))?,
                        gives_way: int(row.get(6))? != 0,
                        snapshot_held: int(row.get(7))? != 0,
                        rows_per_second_max: int_or_null(row.get(8))?.and_then(|rows| u32::try_from(rows).ok()),
                    },
                })
            })
            .collect()
    }
}
