//! The unit of lease and checkpoint: a half-open range of row keys of one leaf.
use crate::{
    Result, Store, Walk, keys,
    store::{bytes_or_null, int, maybe_bytes, text, text_or_null},
    wave,
};
use reencrypt_db::{Dialect, IF_HIT, Rider, RowKey, Transaction, Value};

/// A chunk as read: `(after, upto]`, settled up to `cursor` but for the `pending` keys.
#[derive(Debug, Clone)]
pub struct Chunk {
    /// its id
    pub id: i64,
    /// its pass
    pub pass: u32,
    /// position of the table in the plan
    pub table_no: usize,
    /// the leaf's own name
    pub leaf: String,
    /// the range's open end
    pub after: Option<RowKey>,
    /// the range's closed end
    pub upto: RowKey,
    /// the last key whose batch is committed
    pub cursor: Option<RowKey>,
    /// keys up to the cursor that are not settled
    pub pending: Vec<RowKey>,
    /// the end of a window that is being written in waves: [`Store::marks`] has what of it is accounted for
    pub window: Option<RowKey>,
    /// the engine's counts, opaque here
    pub counts: String,
    /// rows settled so far
    pub rows: u64,
    /// nothing is left of it
    pub done: bool,
    /// committed batches
    pub seq: i64,
    /// makes a late owner's writes fail
    pub fence: i64,
    /// who works on it
    pub owner: Option<String>,
}

/// Who claims, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    /// the run
    pub run_id: &'a str,
    /// the pass
    pub pass: u32,
    /// the worker
    pub owner: &'a str,
    /// how long without a committed batch
    pub lease_ms: u32,
}

/// What a committed batch changes in its chunk.
#[derive(Debug, Clone)]
pub struct Advance<'a> {
    /// the new cursor
    pub cursor: Option<&'a RowKey>,
    /// the new pending keys
    pub pending: &'a [RowKey],
    /// the end of the window that is open from now on
    pub window: Option<&'a RowKey>,
    /// the marks of the rows that this transaction accounts for while the window stays open
    pub marks: &'a [u64],
    /// the new counts
    pub counts: &'a str,
    /// rows settled in all
    pub rows: u64,
    /// nothing is left
    pub done: bool,
    /// the lease from now on
    pub lease_ms: u32,
}

/// The counts of one chunk, for sums.
#[derive(Debug, Clone)]
pub struct ChunkTotal {
    /// its pass
    pub pass: u32,
    /// position of the table in the plan
    pub table_no: usize,
    /// the engine's counts
    pub counts: String,
    /// rows settled
    pub rows: u64,
    /// committed transactions
    pub batches: u64,
    /// nothing is left of it
    pub done: bool,
}

const COLUMNS: &str = "id, pass, table_no, leaf, after_key, upto_key, cursor_key, pending, counts, rows_settled, done, seq, fence, owner, window_key";

impl Store {
    /// Takes over a chunk of the pass that is unfinished and under no live lease, in the plan's order, while the run is running; its fence
    /// goes up.
    pub async fn claim_chunk(&self, tx: &mut Transaction<'_>, claim: Claim<'_>) -> Result<Option<Chunk>> {
        let sql = format!(
            "UPDATE {{chunk}} SET owner = $3, fence = fence + 1, lease_until_ms = {{now}} + $4 \
             WHERE id = (SELECT c.id FROM {{chunk}} c WHERE c.run_id = $1 AND c.pass = $2 AND c.done = 0 \
             AND c.lease_until_ms < {{now}} AND EXISTS (SELECT 1 FROM {{run}} r WHERE r.id = $1 AND r.state = 'running') ORDER BY c.table_no, c.leaf, c.id LIMIT 1 {{skip_locked}}) RETURNING {COLUMNS}"
        );
        let args = [
            Value::Text(claim.run_id.to_owned()),
            Value::Int(i64::from(claim.pass)),
            Value::Text(claim.owner.to_owned()),
            Value::Int(i64::from(claim.lease_ms)),
        ];
        self.fetch(tx, &sql, &args).await?.first().map(|row| chunk(row)).transpose()
    }

    /// Adds a chunk behind the walk's frontier, claimed by its maker.
    pub async fn add_chunk(
        &self,
        tx: &mut Transaction<'_>,
        claim: Claim<'_>,
        walk: &Walk,
        upto: &RowKey,
    ) -> Result<Chunk> {
        let sql = format!(
            "INSERT INTO {{chunk}} (run_id, pass, table_no, leaf, after_key, upto_key, cursor_key, owner, fence, lease_until_ms) \
             VALUES ($1, $2, $3, $4, $5, $6, $5, $7, 1, {{now}} + $8) RETURNING {COLUMNS}"
        );
        let args = [
            Value::Text(claim.run_id.to_owned()),
            Value::Int(i64::from(claim.pass)),
            Value::Int(walk.table_no as i64),
            Value::Text(walk.leaf.clone()),
            maybe_bytes(walk.frontier.as_ref().map(RowKey::as_bytes)),
            Value::Bytes(upto.as_bytes().to_vec()),
            Value::Text(claim.owner.to_owned()),
            Value::Int(i64::from(claim.lease_ms)),
        ];
        let rows = self.fetch(tx, &sql, &args).await?;
        rows.first().map_or(Err(crate::Error::Unreadable { what: "chunk" }), |row| chunk(row))
    }

    /// Commits a batch's progress: only for the chunk's owner, under its fence, at its seq. `false` means that the lease is
    /// lost or the batch is already counted: the transaction must be rolled back. Marks are kept until the window is closed.
    pub async fn advance_chunk(&self, tx: &mut Transaction<'_>, chunk: &Chunk, advance: &Advance<'_>) -> Result<bool> {
        if let Some(rider) = self.rider(chunk, advance) {
            let rows = tx.fetch(&rider.alone(), &rider.args).await?;
            return Ok(int(rows.first().and_then(|row| row.first()))? == 1);
        }
        if self.execute(tx, ADVANCE, &advanced(chunk, advance)).await? != 1 {
            return Ok(false);
        }
        match waves(chunk, advance) {
            Waves::Add => self.add_wave(tx, chunk, advance.marks).await?,
            Waves::Forget => self.forget_waves(tx, chunk).await?,
            Waves::Leave => {}
        }
        Ok(true)
    }

    /// What [`Self::advance_chunk`] does, to go with the write of the batch; `None` on SQLite.
    pub fn rider(&self, chunk: &Chunk, advance: &Advance<'_>) -> Option<Rider> {
        if self.dialect() == Dialect::Sqlite {
            return None;
        }
        let mut args = advanced(chunk, advance).to_vec();
        let more = match waves(chunk, advance) {
            Waves::Add => {
                args.push(Value::Bytes(wave::encode(advance.marks)));
                ", kept AS (INSERT INTO {wave} (chunk_id, seq, fence, marks) SELECT $1, $4, $2, $12 FROM rider)"
            }
            Waves::Forget => ", forgotten AS (DELETE FROM {wave} WHERE chunk_id IN (SELECT id FROM rider))",
            Waves::Leave => "",
        };
        Some(Rider { queries: self.sql(&format!("rider AS ({ADVANCE}{IF_HIT} RETURNING id){more}")), args })
    }

    /// Reads the chunk again under a row lock, which waits for a transaction of one's own that may still be committing.
    pub async fn reload_chunk(&self, tx: &mut Transaction<'_>, id: i64) -> Result<Option<Chunk>> {
        let sql = format!("SELECT {COLUMNS} FROM {{chunk}} WHERE id = $1 {{for_update}}");
        self.fetch(tx, &sql, &[Value::Int(id)]).await?.first().map(|row| chunk(row)).transpose()
    }

    /// Gives the chunk back unfinished, if it is still one's own.
    pub async fn release_chunk(&self, tx: &mut Transaction<'_>, chunk: &Chunk) -> Result<()> {
        let sql = "UPDATE {chunk} SET lease_until_ms = 0 WHERE id = $1 AND fence = $2 AND owner = $3";
        self.execute(tx, sql, &[Value::Int(chunk.id), Value::Int(chunk.fence), maybe_text_owner(chunk)]).await?;
        Ok(())
    }

    /// The owners of leased chunks, and of signs of life.
    pub async fn owners(&self, tx: &mut Transaction<'_>, run_id: &str) -> Result<Vec<String>> {
        let sql = "SELECT owner FROM {chunk} WHERE run_id = $1 AND done = 0 AND owner IS NOT NULL AND lease_until_ms >= {now} \
                   UNION SELECT owner FROM {worker} WHERE run_id = $1";
        let rows = self.fetch(tx, sql, &[Value::Text(run_id.to_owned())]).await?;
        rows.iter().map(|row| text(row.first())).collect()
    }

    /// Ends the leases of an owner that is known to be dead, and forgets its signs of life.
    pub async fn release_owner(&self, tx: &mut Transaction<'_>, run_id: &str, owner: &str) -> Result<()> {
        let sql = "UPDATE {chunk} SET lease_until_ms = 0 WHERE run_id = $1 AND done = 0 AND owner = $2";
        self.execute(tx, sql, &[Value::Text(run_id.to_owned()), Value::Text(owner.to_owned())]).await?;
        self.retire(tx, run_id, owner).await
    }

    /// Makes every write of the run's owners fail from now on, also of those that were not heard of: for a run that is over.
    pub async fn revoke_chunks(&self, tx: &mut Transaction<'_>, run_id: &str) -> Result<()> {
        let sql =
            "UPDATE {chunk} SET fence = fence + 1, owner = NULL, lease_until_ms = 0 WHERE run_id = $1 AND done = 0";
        self.execute(tx, sql, &[Value::Text(run_id.to_owned())]).await?;
        Ok(())
    }

    /// How many chunks of the pass are unfinished, and how many leaves are not cut to their end.
    pub async fn left_in_pass(&self, tx: &mut Transaction<'_>, run_id: &str, pass: u32) -> Result<(u64, u64)> {
        let sql = "SELECT (SELECT count(*) FROM {chunk} WHERE run_id = $1 AND pass = $2 AND done = 0), \
                   (SELECT count(*) FROM {walk} WHERE run_id = $1 AND pass = $2 AND carved = 0)";
        let rows = self.fetch(tx, sql, &[Value::Text(run_id.to_owned()), Value::Int(i64::from(pass))]).await?;
        let row = rows.first().ok_or(crate::Error::Unreadable { what: "chunk" })?;
        Ok((int(row.first())? as u64, int(row.get(1))? as u64))
    }

    /// How many transactions the run's workers, wherever they are, have committed in chunks.
    pub async fn batches(&self, tx: &mut Transaction<'_>, run_id: &str) -> Result<u64> {
        let sql = "SELECT CAST(COALESCE(SUM(seq), 0) AS bigint) FROM {chunk} WHERE run_id = $1";
        let rows = self.fetch(tx, sql, &[Value::Text(run_id.to_owned())]).await?;
        Ok(int(rows.first().and_then(|row| row.first()))? as u64)
    }

    /// The counts of every chunk of the run.
    pub async fn chunk_totals(&self, tx: &mut Transaction<'_>, run_id: &str) -> Result<Vec<ChunkTotal>> {
        let sql = "SELECT pass, table_no, counts, rows_settled, seq, done FROM {chunk} WHERE run_id = $1 ORDER BY pass, table_no, id";
        let rows = self.fetch(tx, sql, &[Value::Text(run_id.to_owned())]).await?;
        rows.iter()
            .map(|row| {
                Ok(ChunkTotal {
                    pass: int(row.first())? as u32,
                    table_no: int(row.get(1))? as usize,
                    counts: text(row.get(2))?,
                    rows: int(row.get(3))? as u64,
                    batches: int(row.get(4))? as u64,
                    done: int(row.get(5))? != 0,
                })
            })
            .collect()
    }
}

/// The chunk's row moves on, for its owner alone; its parameters are [`advanced`].
const ADVANCE: &str = "UPDATE {chunk} SET seq = seq + 1, cursor_key = $5, pending = $6, counts = $7, rows_settled = $8, done = $9, \
                       lease_until_ms = {now} + $10, window_key = $11 WHERE id = $1 AND fence = $2 AND owner = $3 AND seq = $4";

/// The parameters of [`ADVANCE`].
fn advanced(chunk: &Chunk, advance: &Advance<'_>) -> [Value; 11] {
    [
        Value::Int(chunk.id),
        Value::Int(chunk.fence),
        maybe_text_owner(chunk),
        Value::Int(chunk.seq),
        maybe_bytes(advance.cursor.map(RowKey::as_bytes)),
        Value::Bytes(keys::encode(advance.pending)),
        Value::Text(advance.counts.to_owned()),
        Value::Int(advance.rows as i64),
        Value::Int(i64::from(advance.done)),
        Value::Int(i64::from(advance.lease_ms)),
        maybe_bytes(advance.window.map(RowKey::as_bytes)),
    ]
}

/// What becomes of the chunk's marks when it advances.
enum Waves {
    Add,
    Forget,
    Leave,
}

fn waves(chunk: &Chunk, advance: &Advance<'_>) -> Waves {
    match advance.window {
        Some(_) if !advance.marks.is_empty() => Waves::Add,
        None if chunk.window.is_some() => Waves::Forget,
        _ => Waves::Leave,
    }
}

fn maybe_text_owner(chunk: &Chunk) -> Value {
    crate::store::maybe_text(chunk.owner.as_deref())
}

fn chunk(row: &[Value]) -> Result<Chunk> {
    Ok(Chunk {
        id: int(row.first())?,
        pass: int(row.get(1))? as u32,
        table_no: int(row.get(2))? as usize,
        leaf: text(row.get(3))?,
        after: bytes_or_null(row.get(4))?.map(RowKey::from_bytes),
        upto: RowKey::from_bytes(bytes_or_null(row.get(5))?.unwrap_or_default()),
        cursor: bytes_or_null(row.get(6))?.map(RowKey::from_bytes),
        pending: keys::decode(&bytes_or_null(row.get(7))?.unwrap_or_default())?,
        counts: text(row.get(8))?,
        rows: int(row.get(9))? as u64,
        done: int(row.get(10))? != 0,
        seq: int(row.get(11))?,
        fence: int(row.get(12))?,
        owner: text_or_null(row.get(13))?,
        window: bytes_or_null(row.get(14))?.map(RowKey::from_bytes),
    })
}
