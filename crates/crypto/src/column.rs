//! One encrypted column: the formats it is read in, the one it is written in, and what its values are.
use crate::{Format, KeyPair, LayoutError};
use std::sync::Arc;

/// What happens to a value that is no envelope at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PlaintextPolicy {
    /// Quarantined as `plaintext_refused`.
    #[default]
    Refuse,
    /// Left as it is, counted.
    Keep,
    /// Encrypted under the new key.
    Encrypt,
}

/// Which key most values are expected under; it only orders the trials, what opens decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// The first pass.
    Old,
    /// Sweeps and verify.
    New,
}

/// Why a value is left alone. `as_str` is the stable name in the store, in JSON and on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Refusal {
    /// The layout's shape, but it opens under none of the keys (`unreadable`).
    Unreadable,
    /// A near miss: almost the layout's shape (`damaged`).
    Damaged,
    /// No envelope at all, and the policy refuses plaintext (`plaintext_refused`).
    Plaintext,
    /// The plaintext is itself an envelope and nesting is not declared, or deeper than declared (`nested`).
    Nested,
    /// The resealed value did not open to the same plaintext (`reseal_mismatch`); never expected, never written.
    ResealMismatch,
}
impl Refusal {
    /// The stable name.
    pub fn as_str(self) -> &'static str {
        unimplemented!()
    }
}

/// What stands in the database (plan, verify).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// SQL NULL.
    Null,
    /// The empty string or no bytes.
    Empty,
    /// Opens under the old key, on any layer; or a blind index equal to the old key's value.
    Old,
    /// Opens under the new key alone; or a blind index equal to the new key's value.
    New,
    /// No envelope at all.
    Plaintext,
    /// Left alone: opens under no key, damaged, nested beyond what is declared with no old layer.
    Unreadable(Refusal),
    /// A blind index that is neither key's value of its field (or whose field cannot be read).
    Mismatched,
}

/// How one column is stored.
#[derive(Debug, Clone)]
pub struct ColumnSpec {
    /// Formats tried in reading, authenticated ones first whatever the order.
    pub read: Vec<Format>,
    /// The format written.
    pub write: Format,
    /// What happens to plaintext.
    pub plaintext: PlaintextPolicy,
    /// How many layers may be nested; 1 is the usual single layer.
    pub nesting_max: u8,
    /// `{table}` of derivation and associated data.
    pub table: String,
    /// `{column}` of derivation and associated data.
    pub column: String,
}

/// One column with its keys derived.
pub struct ColumnCipher;
impl ColumnCipher {
    /// Derives the column's keys. Fails where a key has the wrong length for a cipher.
    pub fn new(_spec: ColumnSpec, _keys: &Arc<KeyPair>) -> Result<Self, LayoutError> {
        unimplemented!()
    }
    /// What `stored` is.
    pub fn classify(&self, _stored: Option<&[u8]>, _expect: Expect) -> Class {
        unimplemented!()
    }
}
