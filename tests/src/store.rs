//! What the tool has written down about its own progress, read past the tool.
use crate::{Database, Running};
use std::time::Duration;

/// Where the first pass of the last run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// committed transactions
    pub batches: i64,
    /// rows that they settled
    pub rows: i64,
}

/// The tool's own tables.
pub struct Store<'d>(pub &'d Database);

impl Store<'_> {
    /// The sums over the chunks of the first pass; zero while there is no store.
    pub async fn progress(&self) -> Progress {
        let (chunk, run) = (self.0.store_table("chunk"), self.0.store_table("run"));
        let sums = |number: &str| {
            format!(
                "SELECT {} FROM {chunk} WHERE pass = 1 AND run_id = (SELECT id FROM {run} ORDER BY started_ms DESC LIMIT 1)",
                number
            )
        };
        let pair = match self.0 {
            Database::Postgres(db) => {
                db.pair(&sums("coalesce(sum(seq), 0)::bigint, coalesce(sum(rows_settled), 0)::bigint")).await
            }
            Database::Sqlite(db) => db.pair(&sums("coalesce(sum(seq), 0), coalesce(sum(rows_settled), 0)")).await,
        };
        pair.map_or_else(Progress::default, |(batches, rows)| Progress { batches, rows })
    }

    /// Waits until so many rows of the first pass are settled, or the process has ended.
    pub async fn reached(&self, rows: i64, running: &mut Running) {
        while !running.has_ended() && self.progress().await.rows < rows {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Rows in all of its tables but those that say which version they have.
    pub async fn rows(&self) -> i64 {
        let mut sum = 0;
        for name in ["run", "pass", "walk", "chunk", "quarantine"] {
            let table = self.0.store_table(name);
            let plain = table.replace('"', "");
            if self.0.store_tables().await.iter().any(|known| known.replace('"', "") == plain) {
                sum += self.0.number(&format!("SELECT count(*) FROM {table}")).await;
            }
        }
        sum
    }
}
