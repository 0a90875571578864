//! One transaction of a batch: compare-and-set, quarantine, checkpoint. What is committed and what is counted are the same thing.
use crate::{
    Error, Event,
    ahead::Stage,
    batch::{Batch, tell},
    counts::SlotCounts,
    failpoint::failpoint,
    pending::missing,
    rotation::{LEASE_MS, Rotation},
};
use reencrypt_checkpoint::{Advance, Chunk, Quarantined};
use reencrypt_crypto::Outcome;
use reencrypt_db::{RowKey, Selection, Transaction};
use reencrypt_planner::{BoundTable, GateCounts, Order};
use std::{
    collections::{BTreeMap, HashSet},
    ops::Range,
};

/// Why a row is left although its new values are at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Not hit even under a row lock: a trigger or a rule says no. Or a constraint refuses the new values.
    Write,
    /// Somebody keeps it locked.
    Locked,
}

impl Refused {
    /// The classes of values that could be read, and that a later pass may write.
    pub(crate) const CLASSES: [&str; 2] = [Refused::Write.class(), Refused::Locked.class()];

    /// The stable name.
    pub(crate) const fn class(self) -> &'static str {
        match self {
            Refused::Write => "write_refused",
            Refused::Locked => "locked",
        }
    }
}

/// What a transaction is to settle.
pub(crate) struct Settlement<'b> {
    batch: &'b Batch,
    range: Range<usize>,
    /// Where the cursor stands afterwards.
    cursor: Option<RowKey>,
    /// The window that is open afterwards.
    window: Option<RowKey>,
    /// The marks of the range's rows, where the cursor does not tell that they are accounted for.
    marks: &'b [u64],
    /// Pending keys that this transaction does not touch.
    pending: Vec<RowKey>,
    /// Rows that were to be read and are gone.
    vanished: u64,
    /// What becomes of rows that are not hit; without it they are pending.
    refused: Option<Refused>,
    /// Put the rows aside without trying to write them.
    defer: bool,
    /// The rows are not settled again, so that what they tell of the keys was not told yet.
    is_first: bool,
}

impl<'b> Settlement<'b> {
    /// The first try of a part of a stage's batch. Key order moves the cursor with each; in waves it moves when the window is written whole.
    pub(crate) fn first(stage: &'b Stage, chunk: &Chunk, range: Range<usize>, defer: bool) -> Self {
        let Stage { batch, bounds, last } = stage;
        let ends = *last && range.end == batch.len();
        let (cursor, window, marks) = match bounds.order {
            _ if ends => (Some(bounds.end.clone()), (!bounds.closes).then(|| bounds.window.clone()), &[][..]),
            Order::Key => (range.end.checked_sub(1).map(|at| batch.key(at)), None, &[][..]),
            Order::Waves => (chunk.cursor.clone(), Some(bounds.window.clone()), &batch.marks()[range.clone()]),
        };
        let pending = chunk.pending.clone();
        Self { batch, range, cursor, window, marks, pending, vanished: 0, refused: None, defer, is_first: true }
    }

    /// A further try of the pending rows `keys`, as read again in `batch`; with `defer` none, and they are refused as they stand.
    pub(crate) fn again(
        batch: &'b Batch,
        chunk: &Chunk,
        keys: &[RowKey],
        refused: Option<Refused>,
        defer: bool,
    ) -> Self {
        let tried: HashSet<_> = keys.iter().cloned().collect();
        let found: HashSet<_> = (0..batch.len()).map(|row| batch.key(row)).collect();
        Self {
            batch,
            range: 0..batch.len(),
            cursor: chunk.cursor.clone(),
            window: chunk.window.clone(),
            marks: &[],
            pending: chunk.pending.iter().filter(|key| !tried.contains(*key)).cloned().collect(),
            vanished: missing(keys, &found),
            refused,
            defer,
            is_first: false,
        }
    }
}

/// What a transaction settled; true only once it is committed.
pub(crate) struct Settled {
    cursor: Option<RowKey>,
    window: Option<RowKey>,
    pending: Vec<RowKey>,
    counts: SlotCounts,
    counts_json: String,
    rows: u64,
    rotated: u64,
    missed: u64,
    /// Row, slot and class.
    quarantine: Vec<(usize, usize, &'static str)>,
    /// What each column's values told of the keys.
    gates: Vec<GateCounts>,
}

/// Does everything of one transaction but the commit. `None`: the lease is lost, the transaction must be rolled back.
pub(crate) async fn settle(
    rotation: &Rotation,
    tx: &mut Transaction<'_>,
    table: &BoundTable,
    selection: &Selection,
    chunk: &Chunk,
    counts: &SlotCounts,
    settlement: Settlement<'_>,
) -> Result<Option<Settled>, Error> {
    let Settlement { batch, marks, defer, .. } = settlement;
    let which: Vec<_> =
        if defer { Vec::new() } else { settlement.range.clone().filter(|row| batch.changes(*row)).collect() };
    // That every row that is tried is hit is the rule; the checkpoint of that case goes with the write, in one round trip.
    let mut settled = settlement.settled(table, counts, |_| !defer)?;
    let (mut hits, mut rode) = (Vec::new(), None);
    if !which.is_empty() {
        let alone = settled.quarantine.is_empty();
        let rider = alone.then(|| rotation.store.rider(chunk, &settled.advance(chunk, marks))).flatten();
        (hits, rode) = batch.compare_and_set(tx, selection, &which, rider.as_ref()).await?;
    }
    failpoint!("engine::batch_written");

    let all = hits.iter().all(|hit| *hit);
    match rode {
        Some(true) if all => return Ok(Some(settled)),
        Some(true) => return Err(Error::bug("a checkpoint went with a write that missed rows")),
        Some(false) if all => return Ok(None),
        _ => {}
    }
    if !all {
        let hits: HashSet<_> = which.iter().zip(hits).filter_map(|(row, hit)| hit.then_some(*row)).collect();
        settled = settlement.settled(table, counts, |row| hits.contains(&row))?;
    }
    let quarantined = |(row, slot, class): &(usize, usize, &'static str)| Quarantined {
        table_no: chunk.table_no,
        leaf: &chunk.leaf,
        column: slot_name(table, *slot),
        key: batch.key(*row),
        class,
    };
    let values: Vec<_> = settled.quarantine.iter().map(quarantined).collect();
    rotation.store.quarantine(tx, &rotation.run_id, chunk.pass, &values).await?;
    let advanced = rotation.store.advance_chunk(tx, chunk, &settled.advance(chunk, marks)).await?;
    Ok(advanced.then_some(settled))
}

impl Settlement<'_> {
    /// What comes of it, where `is_hit` says which of the rows that change are written.
    fn settled(
        &self,
        table: &BoundTable,
        counts: &SlotCounts,
        is_hit: impl Fn(usize) -> bool,
    ) -> Result<Settled, Error> {
        let Self { batch, refused, defer, vanished, .. } = *self;
        let slots = table.cipher.slots();
        let (mut pending, mut counts, mut quarantine) = (self.pending.clone(), counts.clone(), Vec::new());
        let (mut rows, mut rotated, mut missed) = (vanished, 0, 0);
        let mut gates = vec![GateCounts::default(); table.cipher.columns()];
        for row in self.range.clone() {
            if self.is_first {
                gates.iter_mut().enumerate().for_each(|(column, gate)| tell(batch.outcome(row, column), gate));
            }
            let unwritten = batch.changes(row) && !is_hit(row);
            if unwritten && refused.is_none() {
                pending.push(batch.key(row));
                // What was put aside untried did not miss.
                missed += u64::from(!defer);
                continue;
            }
            rows += 1;
            for slot in 0..slots {
                let outcome = batch.outcome(row, slot);
                let class = match (outcome, refused) {
                    (Outcome::Quarantined(refusal), _) => Some(refusal.as_str()),
                    (Outcome::Rotated, Some(refused)) if unwritten => Some(refused.class()),
                    _ => None,
                };
                match class {
                    None => counts.0[slot].add(outcome),
                    Some(class) => {
                        counts.0[slot].add_quarantined();
                        quarantine.push((row, slot, class));
                    }
                }
                rotated += u64::from(class.is_none() && outcome == Outcome::Rotated);
            }
        }
        for _ in 0..vanished {
            counts.add_vanished();
        }
        let counts_json = counts.to_json()?;
        let (cursor, window) = (self.cursor.clone(), self.window.clone());
        Ok(Settled { cursor, window, pending, counts, counts_json, rows, rotated, missed, quarantine, gates })
    }
}

impl Settled {
    /// What the chunk becomes.
    fn advance<'s>(&'s self, chunk: &Chunk, marks: &'s [u64]) -> Advance<'s> {
        Advance {
            cursor: self.cursor.as_ref(),
            pending: &self.pending,
            window: self.window.as_ref(),
            marks,
            counts: &self.counts_json,
            rows: chunk.rows + self.rows,
            done: false,
            lease_ms: LEASE_MS,
        }
    }

    /// After the commit: the chunk in hand becomes what the store has, and the observer is told.
    pub(crate) fn apply(self, rotation: &Rotation, table: &BoundTable, chunk: &mut Chunk, counts: &mut SlotCounts) {
        chunk.seq += 1;
        chunk.cursor = self.cursor;
        chunk.window = self.window;
        chunk.pending = self.pending;
        chunk.counts = self.counts_json;
        chunk.rows += self.rows;
        *counts = self.counts;
        rotation.add_rows(table, chunk.pass, self.rows);
        rotation.tally(chunk.pass, table, &self.gates);
        if self.missed > 0 {
            tracing::debug!(missed = self.missed, table = %table.plan.name, "rows had changed since they were read");
        }
        let observer = &rotation.context.observer;
        observer.event(&Event::BatchCommitted {
            pass: chunk.pass,
            table: table.plan.name.clone(),
            rows: self.rows,
            rotated: self.rotated,
            missed: self.missed,
        });
        let mut quarantined = BTreeMap::<_, u64>::new();
        for (_, slot, class) in self.quarantine {
            *quarantined.entry((slot, class)).or_default() += 1;
        }
        for ((slot, class), count) in quarantined {
            observer.event(&Event::Quarantined {
                table: table.plan.name.clone(),
                column: slot_name(table, slot).to_owned(),
                class: class.to_owned(),
                count,
            });
        }
    }
}

/// The column of a slot: encrypted columns, then blind indexes.
pub(crate) fn slot_name(table: &BoundTable, slot: usize) -> &str {
    let columns = &table.plan.columns;
    columns.get(slot).map_or_else(|| &*table.plan.blind_indexes[slot - columns.len()].column, |column| &*column.column)
}
