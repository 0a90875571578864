//! The walk over one chunk: read ahead, write, settle what lost its compare, until nothing of it is left.
use crate::{
    Error, Event,
    batch::Batch,
    counts::SlotCounts,
    failpoint::failpoint,
    pace::backoff,
    rotation::{LEASE_MS, Rotation},
    settle::{Refused, Settled, Settlement, settle},
};
use reencrypt_checkpoint::Chunk;
use reencrypt_crypto::Expect;
use reencrypt_db::{Dialect, Limits, Mode, RowKey, Selection, Session, Transaction, Verdict};
use reencrypt_planner::BoundTable;
use std::{collections::HashSet, ops::Range, sync::Arc, time::Duration};
use tokio::time::Instant;

/// How often a row that lost its compare is read again without a lock before it is taken under one.
const UNLOCKED_TRIES: u32 = 3;
/// Pending rows that are read again at once.
const UNLOCKED_ROWS: usize = 200;
/// Rows of one small transaction under row locks.
const LOCKED_ROWS: usize = 50;
/// How long rows that somebody keeps locked are waited for at the end of their chunk without any success; sweeps come back to them. Well within the lease, which nothing
/// renews meanwhile.
const LOCKED_PATIENCE: Duration = Duration::from_secs(8);

/// How the walk over a chunk ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChunkEnd {
    /// Nothing is left of it.
    Done,
    /// Given back, because of a stop or a pause.
    Released,
    /// Somebody else has it now.
    LeaseLost,
}

/// The table's leaf of that name, if it is still there.
pub(crate) fn leaf<'t>(table: &'t BoundTable, name: &str) -> Option<&'t Selection> {
    table.table.leaves.iter().position(|leaf| leaf.name.to_string() == name).and_then(|at| table.leaves.get(at))
}

/// One chunk being walked.
pub(crate) struct ChunkWalk<'w> {
    rotation: &'w Rotation,
    reader: &'w mut Session,
    writer: &'w mut Session,
    tables: Arc<Vec<BoundTable>>,
    chunk: Chunk,
    counts: SlotCounts,
}

impl<'w> ChunkWalk<'w> {
    /// Takes the chunk over where its last committed batch left it.
    pub(crate) async fn new(
        rotation: &'w Rotation,
        reader: &'w mut Session,
        writer: &'w mut Session,
        chunk: Chunk,
    ) -> Result<Self, Error> {
        let mut tables = rotation.tables();
        if tables.get(chunk.table_no).is_none_or(|table| leaf(table, &chunk.leaf).is_none()) {
            tables = rotation.rebind(reader).await?;
        }
        let table = tables.get(chunk.table_no).ok_or_else(|| Error::bug("a chunk of a table that the plan has not"))?;
        let mut tx = reader.begin(Mode::Read).await?;
        reencrypt_planner::check_schema(&mut tx, &table.plan).await?;
        tx.commit().await?;
        let counts = SlotCounts::from_json(&chunk.counts, table.cipher.slots())?;
        rotation.begin_table(table, chunk.pass);
        Ok(Self { rotation, reader, writer, tables, chunk, counts })
    }

    /// Walks to the end of the chunk, or until a stop or a pause.
    pub(crate) async fn walk(mut self) -> Result<ChunkEnd, Error> {
        let tables = self.tables.clone();
        let table = &tables[self.chunk.table_no];
        let Some(selection) = leaf(table, &self.chunk.leaf) else {
            // The partition was dropped; its rows are gone with it.
            return self.finish(table).await;
        };
        let expect = if self.chunk.pass == 1 { Expect::Old } else { Expect::New };
        let upto = self.chunk.upto.clone();
        let rotation = self.rotation;
        let mut batch =
            read(rotation, self.reader, table, selection, self.chunk.cursor.as_ref(), &upto, expect).await?;
        while batch.len() > 0 {
            failpoint!("engine::batch_resealed");
            rotation.judge(self.chunk.pass, table, &batch)?;
            rotation.sleep(rotation.pace.take(batch.len() as u64)).await;
            let last = batch.rows.is_last();
            let after = batch.rows.key(batch.len() - 1);
            let write = write(rotation, self.writer, table, selection, &mut self.chunk, &mut self.counts, &batch);
            // While one batch is written the next is read and resealed, where a reader does not stand in the writer's way.
            let (written, ahead) = if last {
                (write.await, None)
            } else if rotation.context.database.dialect() == Dialect::Sqlite {
                let written = write.await;
                (written, Some(read(rotation, self.reader, table, selection, Some(&after), &upto, expect).await))
            } else {
                let ahead = read(rotation, self.reader, table, selection, Some(&after), &upto, expect);
                let (written, ahead) = tokio::join!(write, ahead);
                (written, Some(ahead))
            };
            if !written? {
                return Ok(ChunkEnd::LeaseLost);
            }
            if rotation.context.stop.is_requested() || rotation.pause.borrow().is_some() {
                return self.release().await;
            }
            match ahead {
                Some(next) => batch = next?,
                None => break,
            }
        }
        if !self.settle_pending(table, selection, expect).await? {
            return Ok(ChunkEnd::LeaseLost);
        }
        if !self.chunk.pending.is_empty() {
            return self.release().await;
        }
        self.finish(table).await
    }

    /// Rows that lost their compare are read again and classified anew: a few times without a lock, then under one. Says whether the lease holds.
    async fn settle_pending(
        &mut self,
        table: &BoundTable,
        selection: &Selection,
        expect: Expect,
    ) -> Result<bool, Error> {
        let rotation = self.rotation;
        let mut last_settled = Instant::now();
        let mut tries = 0;
        // Rows under somebody's lock are found by halves, so that their neighbours do not wait with them.
        let (mut held, mut size) = (HashSet::new(), LOCKED_ROWS);
        while !self.chunk.pending.is_empty() {
            failpoint!("engine::pending_read");
            if rotation.context.stop.is_requested() || rotation.pause.borrow().is_some() {
                return Ok(true);
            }
            let locked = tries >= UNLOCKED_TRIES;
            let free: Vec<_> = self.chunk.pending.iter().filter(|key| !held.contains(*key)).cloned().collect();
            let keys = &free[..free.len().min(if locked { size } else { UNLOCKED_ROWS })];
            let result = match locked {
                true => self.settle_locked(table, selection, expect, keys).await,
                false => self.settle_unlocked(table, selection, expect, keys).await,
            };
            match result {
                Ok(true) => (last_settled, size) = (Instant::now(), (size * 2).min(LOCKED_ROWS)),
                Ok(false) => return Ok(false),
                Err(error) if error.verdict() == Verdict::Retry => {
                    let waits = format!("rows of {} that somebody keeps locked: {error}", table.plan.name);
                    rotation.set_waiting(Some(waits));
                    if locked && last_settled.elapsed() > LOCKED_PATIENCE {
                        let refused = self.refuse_pending(table, selection, expect).await?;
                        rotation.set_waiting(None);
                        return Ok(refused);
                    }
                    if locked && keys.len() == 1 {
                        held.extend(keys.iter().cloned());
                    }
                    size = (keys.len() / 2).max(1);
                    if !locked || held.len() == self.chunk.pending.len() {
                        held.clear();
                        rotation.sleep(backoff(tries)).await;
                    }
                }
                Err(error) => return Err(error),
            }
            tries += 1;
        }
        rotation.set_waiting(None);
        Ok(true)
    }

    async fn settle_unlocked(
        &mut self,
        table: &BoundTable,
        selection: &Selection,
        expect: Expect,
        keys: &[RowKey],
    ) -> Result<bool, Error> {
        let rotation = self.rotation;
        let mut tx = self.reader.begin(Mode::Read).await?;
        let rows = tx.read_keys(selection, keys, false).await?;
        tx.commit().await?;
        let batch = Batch::reseal(&rotation.context.pool, &table.cipher, rows, expect).await?;
        let mut tx = self.writer.begin(Mode::Write(Limits::default())).await?;
        let settlement = Settlement::again(&batch, &self.chunk, keys, None);
        let settled = settle(rotation, &mut tx, table, selection, &self.chunk, &self.counts, settlement).await;
        conclude(rotation, tx, settled, table, &mut self.chunk, &mut self.counts).await
    }

    /// A few rows in a transaction of their own, under row locks: a row that even so is not hit is refused by a trigger or a rule.
    async fn settle_locked(
        &mut self,
        table: &BoundTable,
        selection: &Selection,
        expect: Expect,
        keys: &[RowKey],
    ) -> Result<bool, Error> {
        let rotation = self.rotation;
        let mut tx = self.writer.begin(Mode::Write(Limits::default())).await?;
        let settled = async {
            let rows = tx.read_keys(selection, keys, true).await?;
            let batch = Batch::reseal(&rotation.context.pool, &table.cipher, rows, expect).await?;
            let settlement = Settlement::again(&batch, &self.chunk, keys, Some(Refused::Write));
            settle(rotation, &mut tx, table, selection, &self.chunk, &self.counts, settlement).await
        };
        let settled = settled.await;
        conclude(rotation, tx, settled, table, &mut self.chunk, &mut self.counts).await
    }

    /// Quarantines what somebody keeps locked; a sweep comes back to it.
    async fn refuse_pending(
        &mut self,
        table: &BoundTable,
        selection: &Selection,
        expect: Expect,
    ) -> Result<bool, Error> {
        let rotation = self.rotation;
        while !self.chunk.pending.is_empty() {
            let keys: Vec<_> = self.chunk.pending.iter().take(LOCKED_ROWS).cloned().collect();
            let mut tx = self.writer.begin(Mode::Write(Limits::default())).await?;
            let rows = tx.read_keys(selection, &keys, false).await?;
            let batch = Batch::reseal(&rotation.context.pool, &table.cipher, rows, expect).await?;
            let settlement = Settlement::again(&batch, &self.chunk, &keys, Some(Refused::Locked));
            let Some(settled) =
                settle(rotation, &mut tx, table, selection, &self.chunk, &self.counts, settlement).await?
            else {
                return Ok(false);
            };
            tx.commit().await?;
            settled.apply(rotation, table, &mut self.chunk, &mut self.counts);
        }
        Ok(true)
    }

    /// Marks the chunk done.
    async fn finish(mut self, table: &BoundTable) -> Result<ChunkEnd, Error> {
        let counts = self.counts.to_json()?;
        let upto = self.chunk.upto.clone();
        let advance = reencrypt_checkpoint::Advance {
            cursor: Some(&upto),
            pending: &[],
            counts: &counts,
            rows: self.chunk.rows,
            done: true,
            lease_ms: LEASE_MS,
        };
        let mut tx = self.writer.begin(Mode::Write(Limits::default())).await?;
        if !self.rotation.store.advance_chunk(&mut tx, &self.chunk, &advance).await? {
            tx.rollback().await?;
            return Ok(ChunkEnd::LeaseLost);
        }
        tx.commit().await?;
        failpoint!("engine::chunk_done");
        self.chunk.done = true;
        self.rotation
            .context
            .observer
            .event(&Event::ChunkFinished { pass: self.chunk.pass, table: table.plan.name.clone() });
        Ok(ChunkEnd::Done)
    }

    /// Gives the chunk back where it stands.
    async fn release(self) -> Result<ChunkEnd, Error> {
        let mut tx = self.writer.begin(Mode::Write(Limits::default())).await?;
        self.rotation.store.release_chunk(&mut tx, &self.chunk).await?;
        tx.commit().await?;
        Ok(ChunkEnd::Released)
    }
}

/// Reads the batch after `after` and reseals it.
async fn read(
    rotation: &Rotation,
    reader: &mut Session,
    table: &BoundTable,
    selection: &Selection,
    after: Option<&RowKey>,
    upto: &RowKey,
    expect: Expect,
) -> Result<Batch, Error> {
    let mut tx = reader.begin(Mode::Read).await?;
    let rows = tx.read_batch(selection, after, upto, rotation.batch_rows).await?;
    tx.commit().await?;
    Batch::reseal(&rotation.context.pool, &table.cipher, rows, expect).await
}

/// Writes a batch, in halves where locks or deadlocks ask for it; a single row that stays locked is put aside as pending. Says whether the lease holds.
async fn write(
    rotation: &Rotation,
    writer: &mut Session,
    table: &BoundTable,
    selection: &Selection,
    chunk: &mut Chunk,
    counts: &mut SlotCounts,
    batch: &Batch,
) -> Result<bool, Error> {
    let (mut from, mut size, mut tries) = (0, batch.len(), 0);
    while from < batch.len() {
        let range = from..(from + size).min(batch.len());
        match write_range(rotation, writer, table, selection, chunk, counts, batch, range.clone(), false).await {
            Ok(false) => return Ok(false),
            Ok(true) => {
                from = range.end;
                size = (size * 2).min(batch.len());
                tries = 0;
            }
            Err(error) if error.verdict() == Verdict::Retry => {
                rotation.set_waiting(Some(format!("{} is contended: {error}", table.plan.name)));
                rotation.sleep(backoff(tries)).await;
                tries += 1;
                if range.len() == 1 && tries > UNLOCKED_TRIES {
                    if !write_range(rotation, writer, table, selection, chunk, counts, batch, range.clone(), true)
                        .await?
                    {
                        return Ok(false);
                    }
                    (from, tries) = (range.end, 0);
                }
                size = (range.len() / 2).max(1);
            }
            Err(error) => return Err(error),
        }
    }
    rotation.set_waiting(None);
    Ok(true)
}

#[allow(
    clippy::too_many_arguments,
    reason = "the parts of one batch's transaction, borrowed apart so that the next batch can be read meanwhile"
)]
async fn write_range(
    rotation: &Rotation,
    writer: &mut Session,
    table: &BoundTable,
    selection: &Selection,
    chunk: &mut Chunk,
    counts: &mut SlotCounts,
    batch: &Batch,
    range: Range<usize>,
    defer: bool,
) -> Result<bool, Error> {
    let mut tx = writer.begin(Mode::Write(Limits::default())).await?;
    let settlement = Settlement::first(batch, chunk, range, defer);
    let settled = settle(rotation, &mut tx, table, selection, chunk, counts, settlement).await;
    conclude(rotation, tx, settled, table, chunk, counts).await
}

/// Commits what was settled; whatever else came of it is rolled back at once, so that no lock outlives it. Says whether the lease holds.
async fn conclude(
    rotation: &Rotation,
    tx: Transaction<'_>,
    settled: Result<Option<Settled>, Error>,
    table: &BoundTable,
    chunk: &mut Chunk,
    counts: &mut SlotCounts,
) -> Result<bool, Error> {
    match settled {
        Ok(Some(settled)) => {
            failpoint!("engine::before_commit");
            tx.commit().await?;
            failpoint!("engine::after_commit");
            settled.apply(rotation, table, chunk, counts);
            Ok(true)
        }
        Ok(None) => {
            tx.rollback().await?;
            Ok(false)
        }
        Err(error) => {
            // The first error is the one to tell; where the rollback fails too the connection is closed.
            let _ = tx.rollback().await;
            Err(error)
        }
    }
}

/// Keys of `wanted` that `found` has not.
pub(crate) fn missing(wanted: &[RowKey], found: &HashSet<RowKey>) -> u64 {
    wanted.iter().filter(|key| !found.contains(*key)).count() as u64
}
