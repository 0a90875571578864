//! The scan of a table's own tree, for a reader that trusts no index. One read transaction sees one moment of the whole file, so that
//! the first part takes everything and nothing can be in flight.
use super::{
    Connection,
    connection::Arguments,
    rows::{Identity, Rows},
    statement::{Bound, Tree},
};
use crate::{
    Error, HeapScan, Horizon, InFlight, Result, RowKey, Selection as Chosen, Snapshot, rows::Batch, snapshot::Position,
};
use sqlx::Either;

/// Where the scan stands.
pub(crate) struct Scan {
    after: Option<RowKey>,
    ended: bool,
}

const DOING: &str = "scanning a table";

impl Connection {
    /// Nothing is pruned here.
    pub(crate) async fn horizon(&mut self) -> Result<Option<Horizon>> {
        Ok(None)
    }

    pub(crate) async fn export_snapshot(&mut self) -> Result<Snapshot> {
        let statement = format!("SELECT {}", super::NOW_MS);
        let now = self.integer("taking a snapshot", &statement, Arguments::default()).await?;
        Ok(Snapshot { taken_at_ms: now.unwrap_or_default(), name: String::new(), horizon: 0 })
    }

    pub(crate) async fn heap_scan(&mut self, chosen: &Chosen, part: u32, _parts: u32) -> Result<HeapScan> {
        let statements = self.statements(DOING, chosen).await?;
        match statements.tree() {
            Tree::Hidden => Err(Error::NoRowKey { table: chosen.sqlite().table.clone() }),
            _ => Ok(HeapScan(Position::Sqlite(Scan { after: None, ended: part > 0 }))),
        }
    }

    /// Nothing is unseen by a snapshot of the whole file.
    pub(crate) async fn unseen_scan(
        &mut self,
        _chosen: &Chosen,
        _snapshot: &Snapshot,
        _part: u32,
        _parts: u32,
    ) -> Result<HeapScan> {
        Ok(HeapScan(Position::Sqlite(Scan { after: None, ended: true })))
    }

    pub(crate) async fn next_rows(&mut self, scan: &mut HeapScan, chosen: &Chosen) -> Result<Option<crate::Rows>> {
        let Position::Sqlite(scan) = &mut scan.0 else { unreachable!("a scan of another engine") };
        if scan.ended {
            return Ok(None);
        }
        let statements = self.statements(DOING, chosen).await?;
        let no_place = || Error::NoRowKey { table: chosen.sqlite().table.clone() };
        let arity = statements.place().ok_or_else(no_place)?.len();
        let after = scan.after.as_ref().map(|place| self.bound_key(chosen, place, arity)).transpose()?;
        let bounds: Option<&[Bound]> = after.as_ref().map(|place| &place.bounds[..]);
        let statement = statements.scan(bounds).ok_or_else(no_place)?;
        let mut arguments = Arguments::default();
        after.iter().for_each(|place| place.bind(&mut arguments));
        arguments.integer(PORTION_ROWS_MAX);
        let mut rows = Rows::new(Identity::Place(arity), statements.slots());
        let visit = |item| {
            if let Either::Right(row) = item {
                rows.push(&row)?;
            }
            Ok(rows.bytes() < PORTION_BYTES_MAX)
        };
        self.each(DOING, statement.into(), arguments, visit).await?;
        scan.after = rows.last_place();
        scan.ended = scan.after.is_none();
        rows.set_last(scan.ended);
        Ok((!scan.ended).then_some(crate::Rows(Batch::Sqlite(rows))))
    }

    pub(crate) async fn in_flight(&mut self, _own_pids: &[i64]) -> Result<Vec<InFlight>> {
        Ok(Vec::new())
    }

    pub(crate) async fn still_in_flight(&mut self, _transactions: &[InFlight]) -> Result<Vec<InFlight>> {
        Ok(Vec::new())
    }
}

const PORTION_ROWS_MAX: i64 = 500;
const PORTION_BYTES_MAX: usize = 4 << 20;
