//! A keyed hash beside a ciphertext that makes it searchable.
use crate::{
    Class, Expect, KeyPair, LayoutError, Outcome, Refusal, SecretKey, derivation::Derivation, formula::Names,
    layout::KdfStep, normalize::normalize,
};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::{fmt, sync::Arc};
use subtle::ConstantTimeEq;

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
    /// `M/D/YYYY`, `M-D-YYYY` and time stamps to `YYYY-MM-DD`, anything else as it is; trims
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
pub struct BlindIndex {
    field: usize,
    spec: BlindIndexSpec,
    derivation: Derivation,
    old: Option<Hmac<Sha256>>,
    new: Option<Hmac<Sha256>>,
    /// under the old keys of other pairs
    others: Vec<Hmac<Sha256>>,
}

/// Bytes of a hash.
const HASH_LEN: usize = 32;

impl BlindIndex {
    /// `field` is the index, in the row's columns, of the column it hashes.
    pub fn new(spec: BlindIndexSpec, field: usize, keys: &Arc<KeyPair>) -> Result<Self, LayoutError> {
        if spec.algorithm != "hmac-sha256" {
            return Err(LayoutError::unsupported("algorithm", "the algorithm of a blind index is hmac-sha256"));
        }
        let steps = spec.subkey.iter().map(|step| KdfStep {
            hmac: Some(step.hmac.clone()),
            // A message is text: braces in it are no holes.
            msg: Some(step.msg.replace('{', "{{").replace('}', "}}")),
            ..KdfStep::default()
        });
        let derivation = Derivation::of_steps(&steps.collect::<Vec<_>>(), "subkey")?;
        let old = keys.old.as_ref().map(|key| keyed(&derivation, key)).transpose()?;
        let new = keys.new.as_ref().map(|key| keyed(&derivation, key)).transpose()?;
        Ok(Self { field, spec, derivation, old, new, others: Vec::new() })
    }

    /// The same with the old keys of other pairs: see [`ColumnCipher::knowing`](crate::ColumnCipher::knowing).
    pub fn knowing(self, others: &[&SecretKey]) -> Self {
        let others = others.iter().filter_map(|key| keyed(&self.derivation, key).ok()).collect();
        Self { others, ..self }
    }

    /// The column it hashes.
    pub(crate) fn field(&self) -> usize {
        self.field
    }

    /// What the stored hash is, beside a field with this plaintext (`None` where it cannot be read).
    pub(crate) fn classify(&self, stored: Option<&[u8]>, plaintext: Option<&[u8]>, expect: Expect) -> Class {
        let Some(stored) = stored else { return Class::Null };
        let Some(plaintext) = plaintext else { return Class::Mismatched };
        let normalized = normalize(plaintext, &self.spec.normalize);
        let is_old = || is_hash_of(self.old.as_ref(), normalized.as_str(), stored);
        let is_new = || is_hash_of(self.new.as_ref(), normalized.as_str(), stored);
        match expect {
            Expect::Old if is_old() => Class::Old,
            _ if is_new() => Class::New,
            Expect::New if is_old() => Class::Old,
            _ if self.others.iter().any(|other| is_hash_of(Some(other), normalized.as_str(), stored)) => {
                Class::Unreadable(Refusal::OtherPair)
            }
            _ => Class::Mismatched,
        }
    }

    /// What becomes of the stored hash beside a field with this plaintext (`None` where it cannot be read, and then the
    /// hash is left). A new hash is appended to `out`.
    ///
    /// A hash under the old sub-key is always rewritten, for a placeholder too: it needs the old key. Where the field has
    /// no hash to be computed, NULL is never written over one that is there.
    pub(crate) fn reseal(&self, stored: Option<&[u8]>, plaintext: Option<&[u8]>, out: &mut Vec<u8>) -> Outcome {
        let left = if stored.is_none() { Outcome::Null } else { Outcome::Mismatched };
        let (Some(plaintext), Some(new)) = (plaintext, &self.new) else { return left };
        let normalized = normalize(plaintext, &self.spec.normalize);
        let policy = self.spec.policy;
        let write = match stored {
            Some(stored) if is_hash_of(self.old.as_ref(), normalized.as_str(), stored) => true,
            Some(stored) if is_written_hash_of(new, normalized.as_str(), stored) => return Outcome::AlreadyNew,
            _ if self.spec.none_for.covers(normalized.as_str()) => false,
            Some(_) => matches!(policy, BlindIndexPolicy::Recompute | BlindIndexPolicy::KeepNull),
            None => matches!(policy, BlindIndexPolicy::Recompute | BlindIndexPolicy::Fill),
        };
        if !write {
            return left;
        }
        out.extend_from_slice(&hex(&hash(new, normalized.as_str())));
        Outcome::Rotated
    }
}

impl fmt::Debug for BlindIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlindIndex").field("field", &self.field).field("spec", &self.spec).finish_non_exhaustive()
    }
}

fn keyed(derivation: &Derivation, key: &SecretKey) -> Result<Hmac<Sha256>, LayoutError> {
    let subkey = derivation.derive(key.expose(), Names { table: "", column: "" });
    // HMAC takes keys of every length.
    Hmac::new_from_slice(&subkey).map_err(|_| LayoutError::invalid("subkey", "gives no key"))
}

fn hash(keyed: &Hmac<Sha256>, normalized: &str) -> [u8; HASH_LEN] {
    keyed.clone().chain_update(normalized.as_bytes()).finalize().into_bytes().into()
}

fn hex(hash: &[u8; HASH_LEN]) -> [u8; 2 * HASH_LEN] {
    let mut digits = [0; 2 * HASH_LEN];
    data_encoding::HEXLOWER.encode_mut(hash, &mut digits);
    digits
}

/// Whether `stored` is this hash in hex of either case.
fn is_hash_of(keyed: Option<&Hmac<Sha256>>, normalized: &str, stored: &[u8]) -> bool {
    let Some(keyed) = keyed.filter(|_| stored.len() == 2 * HASH_LEN) else { return false };
    let mut digest = [0; HASH_LEN];
    data_encoding::HEXLOWER_PERMISSIVE.decode_mut(stored, &mut digest).is_ok()
        && bool::from(hash(keyed, normalized).ct_eq(&digest))
}

/// Whether `stored` is this hash exactly as it is written, so that a lookup finds it.
fn is_written_hash_of(keyed: &Hmac<Sha256>, normalized: &str, stored: &[u8]) -> bool {
    stored.len() == 2 * HASH_LEN && bool::from(hex(&hash(keyed, normalized)).ct_eq(stored))
}
