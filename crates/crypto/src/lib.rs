//! A stored value under the old key becomes the same value under the new key.
//!
//! This crate is pure: it knows no SQL, no files, no environment. A [`RowCipher`] holds what one table's encrypted
//! columns and blind indexes need; a [`Pool`] takes a batch of rows and says, for every field, what it is
//! ([`Pool::classify`]) or what it becomes ([`Pool::reseal`]).
//!
//! ```text
//! stored bytes -> Format (layout language) -> Envelope -> open(old) -> Plaintext -> seal(new) -> open again, compare
//! ```

mod aead;
mod arena;
mod batch;
mod blind_index;
mod codec;
mod column;
mod container;
mod derivation;
mod format;
mod formula;
mod hole;
mod keyring;
mod layout;
mod mark;
mod normalize;
mod ordered;
mod part;
mod peel;
mod pool;
mod preset;
mod random;
mod row;
mod seal;
mod secret;
mod whitespace;

pub use batch::{Classified, Outcome, Resealed, Rows};
pub use blind_index::{BlindIndex, BlindIndexPolicy, BlindIndexSpec, NoneFor, NormalizeStep, SubkeyStep};
pub use column::{Class, ColumnCipher, ColumnSpec, Expect, PlaintextPolicy, Refusal, parts};
pub use format::Format;
pub use layout::{
    ColumnTemplate, IvSpec, JsonTemplate, KdfStep, KeyPart, KeySpec, LayoutError, LayoutSpec, MacSpec, NestedSpec,
};
pub use mark::Marker;
pub use ordered::Ordered;
pub use pool::Pool;
pub use preset::{Preset, presets};
pub use row::RowCipher;
pub use secret::{Fingerprint, KeyPair, SecretKey};

#[cfg(test)]
mod properties;
#[cfg(test)]
mod shapes;
#[cfg(test)]
mod vectors;
