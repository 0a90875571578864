//! Scans of the heap by block, in which no index takes part.
use super::{
    Connection, Rows,
    begin::heap_alone,
    connection::Bound,
    data::{BATCH_BYTES_MAX, name_of, number},
    rows::place,
    selection::{Portion, SIZE},
    wire::Parameters,
};
use crate::{Error, HeapScan, Result, Selection as Chosen, Snapshot, rows::Batch, snapshot::Position};

/// The parts of a scan take turns in stripes of so many blocks. Where a stripe lies does not depend on the size of the heap, so that workers who find different sizes
/// of a growing heap still share it without a gap.
const STRIPE_BLOCKS: u32 = 256;
/// Of one read: a stripe of rows that are not small.
const ROWS_MAX: u32 = 2500;

/// Past this distance a comparison of 32-bit transaction numbers can no longer be trusted.
const AGE_MAX: u64 = 1 << 30;

/// Where a scan stands.
pub(crate) struct Scan {
    stripes: Stripes,
    /// The block and the row after which to go on.
    after: (u32, u16),
    written_since: Option<u32>,
    /// Of the next read.
    rows_max: u32,
}

/// The stripes of one part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stripes {
    start: u32,
    parts: u32,
    /// Of the heap when the scan began. Blocks that were added since hold nothing that was there then.
    blocks: u32,
}

impl Stripes {
    fn new(part: u32, parts: u32, blocks: u32) -> Self {
        let parts = parts.max(1);
        Self { start: (part % parts).saturating_mul(STRIPE_BLOCKS), parts, blocks }
    }

    fn end(&self) -> u32 {
        self.start.saturating_add(STRIPE_BLOCKS).min(self.blocks)
    }

    fn next(&self) -> Self {
        Self { start: self.start.saturating_add(STRIPE_BLOCKS.saturating_mul(self.parts)), ..*self }
    }
}

impl Connection {
    pub(crate) async fn heap_scan(&mut self, chosen: &Chosen, part: u32, parts: u32) -> Result<HeapScan> {
        self.scan(chosen, part, parts, None).await
    }

    pub(crate) async fn unseen_scan(
        &mut self,
        chosen: &Chosen,
        snapshot: &Snapshot,
        part: u32,
        parts: u32,
    ) -> Result<HeapScan> {
        let sql = "SELECT pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())\
                   ::pg_catalog.text::pg_catalog.int8";
        let rows = self.query("reading the transaction counter", sql, Parameters::default()).await?;
        let now = rows.first().and_then(|row| number(row, 0)).unwrap_or_default().unsigned_abs();
        // Numbers of old, frozen rows may look young: more than needed is read then, never less.
        let near = now.saturating_sub(snapshot.horizon) < AGE_MAX;
        self.scan(chosen, part, parts, near.then_some(snapshot.horizon as u32)).await
    }

    async fn scan(&mut self, chosen: &Chosen, part: u32, parts: u32, written_since: Option<u32>) -> Result<HeapScan> {
        let selection = chosen.postgres();
        let mut sql = String::new();
        heap_alone(&mut sql);
        self.simple("preparing a heap scan", &sql).await?;
        let size = self.query("reading a table's size", SIZE, name_of(selection)).await;
        let size = size.map_err(|error| error.about(chosen.table()))?;
        let blocks = size.first().and_then(|row| number(row, 0)).and_then(|blocks| u32::try_from(blocks).ok());
        let stripes = Stripes::new(part, parts, blocks.unwrap_or(u32::MAX));
        Ok(HeapScan(Position::Postgres(Scan { stripes, after: (stripes.start, 0), written_since, rows_max: ROWS_MAX })))
    }

    pub(crate) async fn next_rows(&mut self, scan: &mut HeapScan, chosen: &Chosen) -> Result<Option<crate::Rows>> {
        let Position::Postgres(scan) = &mut scan.0 else {
            return Err(Error::RowKey { table: chosen.table().clone() });
        };
        let selection = chosen.postgres();
        let slots = selection.slots.len();
        while scan.stripes.start < scan.stripes.blocks {
            let Scan { stripes, after, written_since, .. } = *scan;
            let rows_max = scan.rows_max;
            let portion = Portion { after, before: Some(stripes.end()), written_since, rows_max };
            let bound = Bound { columns: 0..slots, bytes_max: BATCH_BYTES_MAX };
            let read = self.copy_bounded("scanning a heap", &selection.portion(&portion), slots + 1, bound).await;
            let outcome = read.map_err(|error| error.about(chosen.table()))?;
            let (place, read) = (outcome.cells.last(slots).and_then(place), outcome.cells.len());
            // The server sends all that was asked for, so ask for less after too much and for more again after little.
            scan.rows_max = match outcome.cut {
                true => u32::try_from(read).unwrap_or(u32::MAX).min(ROWS_MAX),
                false => rows_max.saturating_mul(2).min(ROWS_MAX),
            };
            match place {
                Some(place) if outcome.cut || read == rows_max as usize => scan.after = place,
                _ => {
                    scan.stripes = stripes.next();
                    scan.after = (scan.stripes.start, 0);
                }
            }
            if outcome.cells.len() > 0 {
                let rows = Rows::new(outcome.cells, outcome.lengths, 0, slots, false);
                return Ok(Some(crate::Rows(Batch::Postgres(rows))));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_cover_every_block_once_whatever_size_each_of_them_found() {
        for (parts, sizes) in
            [(1, vec![1000]), (3, vec![1000, 1001, 1500]), (4, vec![0, 0, 0, 300]), (2, vec![256, 257])]
        {
            let smallest = *sizes.iter().min().expect("a size");
            let mut seen = vec![0; 2000];
            for (part, blocks) in sizes.iter().enumerate() {
                let mut stripes = Stripes::new(part as u32, parts, *blocks);
                while stripes.start < stripes.blocks {
                    (stripes.start..stripes.end()).for_each(|block| seen[block as usize] += 1);
                    stripes = stripes.next();
                }
            }
            assert!(seen[..smallest as usize].iter().all(|times| *times == 1), "{parts} {sizes:?}");
            assert!(seen.iter().all(|times| *times <= 1));
        }
    }

    #[test]
    fn the_last_block_of_the_largest_heap_ends_the_scan() {
        let mut stripes = Stripes::new(0, 1, u32::MAX);
        stripes.start = u32::MAX - 10;
        assert_eq!(stripes.end(), u32::MAX);
        assert!(stripes.next().start >= stripes.blocks);
    }
}
