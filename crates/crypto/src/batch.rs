//! What goes into the pool and what comes out of it.
use crate::{Class, Refusal};

/// A batch of rows as read. Slots are the table's encrypted columns in the cipher's order, then its blind indexes.
pub trait Rows: Sync {
    /// Number of rows.
    fn len(&self) -> usize;
    /// Whether there is no row.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// The stored bytes; `None` is SQL NULL.
    fn field(&self, row: usize, slot: usize) -> Option<&[u8]>;
}

/// What a run does with a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// NULL; a blind index that stays NULL.
    Null,
    /// Empty stays empty.
    Empty,
    /// Already under the new key; a blind index that is right already.
    AlreadyNew,
    /// Plaintext that the policy keeps.
    Plaintext,
    /// A new value to write; see [`Resealed::value`]. For a blind index: rewritten or filled.
    Rotated,
    /// Left byte for byte.
    Quarantined(Refusal),
    /// A blind index left although it does not fit its field, or its field cannot be read.
    Mismatched,
}

/// Outcomes of a batch, rows by slots, with the new values. Values are wiped where they were plaintext; ciphertext is not secret.
pub struct Resealed;
impl Resealed {
    /// The outcome of a field.
    pub fn outcome(&self, _row: usize, _slot: usize) -> Outcome {
        unimplemented!()
    }
    /// The new stored bytes where the outcome is [`Outcome::Rotated`].
    pub fn value(&self, _row: usize, _slot: usize) -> Option<&[u8]> {
        unimplemented!()
    }
    /// Whether any slot of the row has a new value.
    pub fn changes(&self, _row: usize) -> bool {
        unimplemented!()
    }
    /// How many AES-GCM (or other random-nonce) seals this batch made under the new key.
    pub fn invocations(&self) -> u64 {
        unimplemented!()
    }
}

/// Classes of a batch, rows by slots.
pub struct Classified;
impl Classified {
    /// The class of a field.
    pub fn class(&self, _row: usize, _slot: usize) -> Class {
        unimplemented!()
    }
}
