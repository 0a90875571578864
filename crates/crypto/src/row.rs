//! All of a table's encrypted columns and blind indexes.
use crate::{BlindIndex, ColumnCipher};
/// What one row needs: its columns, then its blind indexes, in slot order.
pub struct RowCipher;
impl RowCipher {
    /// Columns first, then blind indexes; `BlindIndex` refers to columns by position.
    pub fn new(_columns: Vec<ColumnCipher>, _blind_indexes: Vec<BlindIndex>) -> Self {
        unimplemented!()
    }
    /// Number of slots.
    pub fn slots(&self) -> usize {
        unimplemented!()
    }
    /// Number of encrypted columns (slots below it are columns, from it on blind indexes).
    pub fn columns(&self) -> usize {
        unimplemented!()
    }
}
