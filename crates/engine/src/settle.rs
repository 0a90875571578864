//! One transaction of a batch: compare-and-set, quarantine, checkpoint. What is committed and what is counted are the same thing.
use crate::{
    Error, Event,
    batch::Batch,
    counts::SlotCounts,
    failpoint::failpoint,
    rotation::{LEASE_MS, Rotation},
    walk::missing,
};
use reencrypt_checkpoint::{Advance, Chunk, Quarantined};
use reencrypt_crypto::Outcome;
use reencrypt_db::{RowKey, Selection, Transaction};
use reencrypt_planner::BoundTable;
use std::{
    collections::{BTreeMap, HashSet},
    ops::Range,
};

/// Why a row is left although its new values are at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Not hit even under a row lock: a trigger or a rule says no.
    Write,
    /// Somebody keeps it locked.
    Locked,
}

impl Refused {
    /// The stable name.
    pub(crate) fn class(self) -> &'static str {
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
    /// Pending keys that this transaction does not touch.
    pending: Vec<RowKey>,
    /// Rows that were to be read and are gone.
    vanished: u64,
    /// What becomes of rows that are not hit; without it they are pending.
    refused: Option<Refused>,
    /// Put the rows aside without trying to write them.
    defer: bool,
}

impl<'b> Settlement<'b> {
    /// The first try of a part of a batch.
    pub(crate) fn first(batch: &'b Batch, chunk: &Chunk, range: Range<usize>, defer: bool) -> Self {
        let cursor = Some(batch.rows.key(range.end - 1));
        Self { batch, range, cursor, pending: chunk.pending.clone(), vanished: 0, refused: None, defer }
    }

    /// A further try of the pending rows `keys`, as read again in `batch`.
    pub(crate) fn again(batch: &'b Batch, chunk: &Chunk, keys: &[RowKey], refused: Option<Refused>) -> Self {
        let tried: HashSet<_> = keys.iter().cloned().collect();
        let found: HashSet<_> = (0..batch.len()).map(|row| batch.rows.key(row)).collect();
        Self {
            batch,
            range: 0..batch.len(),
            cursor: chunk.cursor.clone(),
            pending: chunk.pending.iter().filter(|key| !tried.contains(*key)).cloned().collect(),
            vanished: missing(keys, &found),
            refused,
            defer: refused == Some(Refused::Locked),
        }
    }
}

/// What a transaction settled; true only once it is committed.
pub(crate) struct Settled {
    cursor: Option<RowKey>,
    pending: Vec<RowKey>,
    counts: SlotCounts,
    counts_json: String,
    rows: u64,
    rotated: u64,
    missed: u64,
    quarantined: BTreeMap<(usize, &'static str), u64>,
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
    let Settlement { batch, range, cursor, mut pending, vanished, refused, defer } = settlement;
    let (rows, resealed) = (&*batch.rows, &batch.resealed);
    let which: Vec<_> = if defer { Vec::new() } else { range.clone().filter(|row| resealed.changes(*row)).collect() };
    let hits: HashSet<_> = if which.is_empty() {
        HashSet::new()
    } else {
        let hits = tx.compare_and_set(selection, rows, &which, &|row, slot| resealed.value(row, slot)).await?;
        which.iter().zip(hits).filter_map(|(row, hit)| hit.then_some(*row)).collect()
    };
    failpoint!("engine::batch_written");

    let slots = table.cipher.slots();
    let mut after = counts.clone();
    let mut quarantine = Vec::new();
    let (mut settled_rows, mut rotated, mut missed) = (0, 0, 0);
    for row in range {
        let unwritten = resealed.changes(row) && !hits.contains(&row);
        if unwritten && refused.is_none() {
            pending.push(rows.key(row));
            // What was put aside untried did not miss.
            missed += u64::from(!defer);
            continue;
        }
        settled_rows += 1;
        for slot in 0..slots {
            let outcome = resealed.outcome(row, slot);
            let class = match (outcome, refused) {
                (Outcome::Quarantined(refusal), _) => Some(refusal.as_str()),
                (Outcome::Rotated, Some(refused)) if unwritten => Some(refused.class()),
                _ => None,
            };
            match class {
                None => after.0[slot].add(outcome),
                Some(class) => {
                    after.0[slot].add_quarantined();
                    quarantine.push((row, slot, class));
                }
            }
            rotated += u64::from(class.is_none() && outcome == Outcome::Rotated);
        }
    }
    for _ in 0..vanished {
        after.add_vanished();
    }
    settled_rows += vanished;

    let values: Vec<_> = quarantine
        .iter()
        .map(|(row, slot, class)| Quarantined {
            table_no: chunk.table_no,
            leaf: &chunk.leaf,
            column: slot_name(table, *slot),
            key: rows.key(*row),
            class,
        })
        .collect();
    rotation.store.quarantine(tx, &rotation.run_id, chunk.pass, &values).await?;
    let counts_json = after.to_json()?;
    let advance = Advance {
        cursor: cursor.as_ref(),
        pending: &pending,
        counts: &counts_json,
        rows: chunk.rows + settled_rows,
        done: false,
        lease_ms: LEASE_MS,
    };
    if !rotation.store.advance_chunk(tx, chunk, &advance).await? {
        return Ok(None);
    }
    let mut quarantined = BTreeMap::new();
    for (_, slot, class) in quarantine {
        *quarantined.entry((slot, class)).or_default() += 1;
    }
    Ok(Some(Settled { cursor, pending, counts: after, counts_json, rows: settled_rows, rotated, missed, quarantined }))
}

impl Settled {
    /// After the commit: the chunk in hand becomes what the store has, and the observer is told.
    pub(crate) fn apply(self, rotation: &Rotation, table: &BoundTable, chunk: &mut Chunk, counts: &mut SlotCounts) {
        chunk.seq += 1;
        chunk.cursor = self.cursor;
        chunk.pending = self.pending;
        chunk.counts = self.counts_json;
        chunk.rows += self.rows;
        *counts = self.counts;
        rotation.add_rows(table, chunk.pass, self.rows);
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
        for ((slot, class), count) in self.quarantined {
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
