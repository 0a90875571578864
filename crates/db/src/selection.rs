//! What of a table a run reads and writes.
use crate::{Result, Table};
/// One leaf of a table, its row key and the chosen columns ("slots"), with the statements over them. Identifiers come from the catalog alone and are
/// quoted by one function.
#[derive(Debug, Clone)]
pub struct Selection;
impl Selection {
    /// `columns` become slots 0, 1, ... in this order; names must be in the catalog (fails otherwise). A table without a row key gives a selection that can only be sampled and heap-scanned.
    pub fn new(_table: &Table, _leaf: usize, _columns: &[String]) -> Result<Self> {
        unimplemented!()
    }
    /// Number of columns.
    pub fn slots(&self) -> usize {
        unimplemented!()
    }
}
