//! A batch as it was read: keys, fields, and the version that a compare-and-set holds on to.
use crate::{RowKey, postgres, sqlite};

/// Rows of one [`crate::Selection`], in key order (or heap order for a heap scan). Fields are borrowed from the wire buffers; wiped or dropped with the batch.
pub struct Rows(pub(crate) Batch);

/// The engine's own batch.
pub(crate) enum Batch {
    Postgres(postgres::Rows),
    Sqlite(sqlite::Rows),
}

/// The same call on whichever engine it is.
macro_rules! on {
    ($rows:expr, $bound:ident => $call:expr) => {
        match &$rows.0 {
            Batch::Postgres($bound) => $call,
            Batch::Sqlite($bound) => $call,
        }
    };
}

impl Rows {
    /// Number of rows.
    pub fn len(&self) -> usize {
        on!(self, rows => rows.len())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The row's key. Not available from a heap scan, which reads no key (panics: a bug).
    pub fn key(&self, row: usize) -> RowKey {
        on!(self, rows => rows.key(row))
    }

    /// The stored bytes of the selection's `slot`-th column; `None` is SQL NULL.
    pub fn field(&self, row: usize, slot: usize) -> Option<&[u8]> {
        on!(self, rows => rows.field(row, slot))
    }

    /// The block of the heap in which the row stood when it was read; `None` on SQLite, whose rows have no place of their own.
    pub fn page(&self, row: usize) -> Option<u32> {
        match &self.0 {
            Batch::Postgres(rows) => rows.page(row),
            Batch::Sqlite(_) => None,
        }
    }

    /// Puts the rows of `other` behind these: the next part of the same range, so that these end where `other` ends. Of `expected` rows in all, so that memory is
    /// taken once.
    ///
    /// # Panics
    /// Where the two come from different engines: a bug.
    pub fn append(&mut self, other: Rows, expected: usize) {
        match (&mut self.0, other.0) {
            (Batch::Postgres(rows), Batch::Postgres(other)) => rows.append(other, expected),
            (Batch::Sqlite(rows), Batch::Sqlite(other)) => rows.append(other, expected),
            _ => panic!("rows of different engines"),
        }
    }

    /// The sum of a row's field lengths, for bounds.
    pub fn row_bytes(&self, row: usize) -> usize {
        on!(self, rows => rows.row_bytes(row))
    }

    /// The sum of all field lengths, for bounds.
    pub fn bytes(&self) -> usize {
        on!(self, rows => rows.bytes())
    }

    /// Whether the range that was asked for ends with these rows: the read was successful and there was nothing more. A batch may be shorter than its limit and
    /// not be the last, since it is bounded in bytes too. Always false of a heap scan, whose end is [`crate::Transaction::next_rows`]'s `None`.
    pub fn is_last(&self) -> bool {
        on!(self, rows => rows.is_last())
    }
}
