//! How far the leaves of a pass are cut into chunks.
use crate::{
    Result, Store,
    store::{bytes_or_null, int, maybe_bytes, text},
};
use reencrypt_db::{RowKey, Transaction, Value};

/// One leaf of one table in one pass. Its chunks are cut off one at a time, each by one compare-and-set on `chunks`.
#[derive(Debug, Clone)]
pub struct Walk {
    /// position of the table in the plan
    pub table_no: usize,
    /// the leaf's own name
    pub leaf: String,
    /// the largest key when the pass began
    pub upto: RowKey,
    /// the last chunk's end
    pub frontier: Option<RowKey>,
    /// chunks cut so far
    pub chunks: u32,
}

impl Store {
    /// Opens the walk of a leaf, when its pass begins.
    pub async fn open_walk(
        &self,
        tx: &mut Transaction<'_>,
        run_id: &str,
        pass: u32,
        table_no: usize,
        leaf: &str,
        upto: &RowKey,
    ) -> Result<()> {
        let sql = "INSERT INTO {walk} (run_id, pass, table_no, leaf, upto_key) VALUES ($1, $2, $3, $4, $5)";
        let args = [
            Value::Text(run_id.to_owned()),
            Value::Int(i64::from(pass)),
            Value::Int(table_no as i64),
            Value::Text(leaf.to_owned()),
            Value::Bytes(upto.as_bytes().to_vec()),
        ];
        self.execute(tx, sql, &args).await?;
        Ok(())
    }

    /// The walks of a pass that are not cut to their end, in the plan's order.
    pub async fn uncarved_walks(&self, tx: &mut Transaction<'_>, run_id: &str, pass: u32) -> Result<Vec<Walk>> {
        let sql = "SELECT table_no, leaf, upto_key, frontier_key, chunks FROM {walk} \
                   WHERE run_id = $1 AND pass = $2 AND carved = 0 ORDER BY table_no, leaf";
        let rows = self.fetch(tx, sql, &[Value::Text(run_id.to_owned()), Value::Int(i64::from(pass))]).await?;
        rows.iter()
            .map(|row| {
                Ok(Walk {
                    table_no: int(row.first())? as usize,
                    leaf: text(row.get(1))?,
                    upto: RowKey::from_bytes(bytes_or_null(row.get(2))?.unwrap_or_default()),
                    frontier: bytes_or_null(row.get(3))?.map(RowKey::from_bytes),
                    chunks: int(row.get(4))? as u32,
                })
            })
            .collect()
    }

    /// Moves the walk's frontier to `to` (`None`: there is nothing behind it), as one compare-and-set; `false` when another
    /// worker was first. The caller adds the chunk in the same transaction.
    pub async fn move_frontier(
        &self,
        tx: &mut Transaction<'_>,
        run_id: &str,
        pass: u32,
        walk: &Walk,
        to: Option<&RowKey>,
    ) -> Result<bool> {
        let carved = to.is_none_or(|to| *to == walk.upto);
        let sql = "UPDATE {walk} SET frontier_key = coalesce($6, frontier_key), chunks = chunks + $7, carved = $8 \
                   WHERE run_id = $1 AND pass = $2 AND table_no = $3 AND leaf = $4 AND chunks = $5 AND carved = 0";
        let args = [
            Value::Text(run_id.to_owned()),
            Value::Int(i64::from(pass)),
            Value::Int(walk.table_no as i64),
            Value::Text(walk.leaf.clone()),
            Value::Int(i64::from(walk.chunks)),
            maybe_bytes(to.map(RowKey::as_bytes)),
            Value::Int(i64::from(to.is_some())),
            Value::Int(i64::from(carved)),
        ];
        Ok(self.execute(tx, sql, &args).await? == 1)
    }
}
