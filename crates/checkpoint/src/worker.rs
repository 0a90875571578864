//! Who works on a run, and where.
use crate::{
    Result, Store,
    store::{int, int_or_null, maybe_text, text, text_or_null},
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
    /// why it waits, if it does
    pub waiting: Option<String>,
    /// for how long it has been waiting
    pub waits_ms: Option<i64>,
}

impl Store {
    /// Says that the process is alive, and why it waits if it does.
    pub async fn heartbeat(
        &self,
        tx: &mut Transaction<'_>,
        run_id: &str,
        owner: &str,
        host: &str,
        pid: i64,
        waiting: Option<&str>,
    ) -> Result<()> {
        let sql = "INSERT INTO {worker} AS w (run_id, owner, host, pid, started_ms, seen_ms, waiting, waiting_since_ms) \
                   VALUES ($1, $2, $3, $4, {now}, {now}, $5, CASE WHEN CAST($5 AS text) IS NULL THEN NULL ELSE {now} END) \
                   ON CONFLICT (run_id, owner) DO UPDATE SET seen_ms = excluded.seen_ms, waiting = excluded.waiting, \
                   waiting_since_ms = CASE WHEN excluded.waiting IS NULL THEN NULL \
                   ELSE coalesce(w.waiting_since_ms, excluded.waiting_since_ms) END";
        let args = [
            Value::Text(run_id.to_owned()),
            Value::Text(owner.to_owned()),
            Value::Text(host.to_owned()),
            Value::Int(pid),
            maybe_text(waiting),
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
        let sql = "SELECT owner, host, pid, {now} - seen_ms, waiting, {now} - waiting_since_ms FROM {worker} \
                   WHERE run_id = $1 ORDER BY seen_ms DESC";
        let rows = self.fetch(tx, sql, &[Value::Text(run_id.to_owned())]).await?;
        rows.iter()
            .map(|row| {
                Ok(Worker {
                    owner: text(row.first())?,
                    host: text(row.get(1))?,
                    pid: int(row.get(2))?,
                    silent_ms: int(row.get(3))?,
                    waiting: text_or_null(row.get(4))?,
                    waits_ms: int_or_null(row.get(5))?,
                })
            })
            .collect()
    }
}
