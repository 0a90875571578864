//! A batch as it was read: keys, fields, and the version that a compare-and-set holds on to.
use crate::RowKey;
/// Rows of one [`crate::Selection`], in key order (or heap order for a heap scan). Fields are borrowed from the wire buffers; wiped or dropped with the batch.
pub struct Rows;
impl Rows {
    /// Number of rows.
    pub fn len(&self) -> usize {
        unimplemented!()
    }
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Whether the range was read to its end: there is no further row up to the bound.
    pub fn is_last(&self) -> bool {
        unimplemented!()
    }
    /// The row's key. Not available from a heap scan, which reads no key (panics: a bug).
    pub fn key(&self, _row: usize) -> RowKey {
        unimplemented!()
    }
    /// The stored bytes of the selection's `slot`-th column; `None` is SQL NULL.
    pub fn field(&self, _row: usize, _slot: usize) -> Option<&[u8]> {
        unimplemented!()
    }
    /// The sum of all field lengths, for bounds.
    pub fn bytes(&self) -> usize {
        unimplemented!()
    }
}
