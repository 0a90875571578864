//! What a run would do with the sampled rows, tried under a key that is thrown away.
//!
//! It tells two things that a classification cannot: which values are encrypted more often than declared, and how long
//! the new values are. The real new key is not used, so no nonce of it is spent, and its absence does not matter.
use super::blocking;
use crate::Error;
use reencrypt_crypto::{Expect, KeyPair, Outcome, Pool, Refusal, RowCipher, Rows, SecretKey};
use std::sync::Arc;

/// What the rehearsal saw of one slot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Rehearsed {
    /// values that hold another ciphertext, deeper than declared
    pub(crate) nested: u64,
    /// values of the old key in a format that is not declared
    pub(crate) undeclared: u64,
    /// the format of one of them
    pub(crate) undeclared_format: Option<String>,
    /// values with ciphertext of the old key inside
    pub(crate) embedded: u64,
    /// values that are NULL and stay so
    pub(crate) absent: u64,
    /// bytes of the longest new value
    pub(crate) longest: usize,
}

impl std::ops::AddAssign for Rehearsed {
    fn add_assign(&mut self, other: Self) {
        self.nested += other.nested;
        self.undeclared += other.undeclared;
        self.undeclared_format = self.undeclared_format.take().or(other.undeclared_format);
        self.embedded += other.embedded;
        self.absent += other.absent;
        self.longest = self.longest.max(other.longest);
    }
}

/// `old`, and beside it a new key that nobody keeps.
pub(crate) fn throw_away_pair(old: &SecretKey) -> Result<Arc<KeyPair>, Error> {
    let mut bytes = vec![0; old.expose().len()];
    getrandom::fill(&mut bytes).map_err(|_| Error::Random)?;
    let old = SecretKey::new(old.expose().to_vec());
    Ok(Arc::new(KeyPair { old: Some(old), new: Some(SecretKey::new(bytes)) }))
}

/// Reseals `rows` with a cipher made for a [`throw_away_pair`], and reports each slot.
pub(crate) async fn rehearse<R: Rows + Send + 'static>(
    pool: &Arc<Pool>,
    cipher: RowCipher,
    rows: &Arc<R>,
) -> Result<Vec<Rehearsed>, Error> {
    let (pool, rows) = (Arc::clone(pool), Arc::clone(rows));
    blocking(move || {
        let resealed = pool.reseal(&cipher, &*rows, Expect::Old);
        let mut slots = vec![Rehearsed::default(); cipher.slots()];
        for row in 0..rows.len() {
            for (slot, seen) in slots.iter_mut().enumerate() {
                match resealed.outcome(row, slot) {
                    Outcome::Quarantined(Refusal::Nested) => seen.nested += 1,
                    Outcome::Quarantined(Refusal::Embedded) => seen.embedded += 1,
                    Outcome::Quarantined(Refusal::Undeclared) => {
                        seen.undeclared += 1;
                        if let (None, Some(stored)) = (&seen.undeclared_format, rows.field(row, slot)) {
                            seen.undeclared_format = cipher.undeclared_format(slot, stored).map(str::to_owned);
                        }
                    }
                    Outcome::Null => seen.absent += 1,
                    _ => {}
                }
                seen.longest = seen.longest.max(resealed.value(row, slot).map_or(0, <[u8]>::len));
            }
        }
        slots
    })
    .await
}
