//! A keyed hash beside a ciphertext that makes it searchable.
use crate::{KeyPair, LayoutError};
use std::sync::Arc;

/// What happens to a hash that is neither under the old sub-key (always rewritten) nor right under the new.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BlindIndexPolicy {
    /// NULL is filled, another value is replaced.
    #[default]
    Recompute,
    /// NULL is filled, another value is left and counted `mismatched`.
    Fill,
    /// NULL stays, another value is replaced.
    KeepNull,
    /// Both stay; another value is counted `mismatched`.
    Verify,
}

/// One derivation step from the pair's key to the blind index's key, for example `{ hmac = "sha256", msg = "patient-dedup-v1" }`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubkeyStep {
    /// `sha256`
    pub hmac: String,
    /// the message
    pub msg: String,
}

/// One normalisation rule, JavaScript semantics: `trim`, `lowercase`, `date` (the platform's `dobHash` rule), `digits`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NormalizeStep {
    /// String.prototype.trim
    Trim,
    /// String.prototype.toLowerCase
    Lowercase,
    /// ISO, US and time-stamp dates to YYYY-MM-DD as the platform does; see `eonpro_hashes`
    Date,
    /// ASCII digits only
    Digits,
}

/// Normalised values that have no hash.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NoneFor {
    /// whole values
    pub values: Vec<String>,
    /// endings
    pub suffixes: Vec<String>,
}

/// A blind index as the configuration declares it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct BlindIndexSpec {
    /// `hmac-sha256`, as hex
    pub algorithm: String,
    /// from the pair's key to the index's key
    pub subkey: Vec<SubkeyStep>,
    /// applied in order
    pub normalize: Vec<NormalizeStep>,
    /// no hash for these (and never for the empty string)
    pub none_for: NoneFor,
    /// see [`BlindIndexPolicy`]
    pub policy: BlindIndexPolicy,
}

/// A blind index with both sub-keys derived.
pub struct BlindIndex;
impl BlindIndex {
    /// `field` is the index, in the row's columns, of the column it hashes.
    pub fn new(_spec: BlindIndexSpec, _field: usize, _keys: &Arc<KeyPair>) -> Result<Self, LayoutError> {
        unimplemented!()
    }
}
