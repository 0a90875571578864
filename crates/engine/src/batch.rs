//! A batch between its read and its write.
use crate::Error;
use reencrypt_crypto::{Expect, Outcome, Pool, Refusal, Resealed, RowCipher};
use reencrypt_db as db;
use reencrypt_planner::GateCounts;
use std::sync::Arc;

/// Rows as they were read, and what becomes of them.
pub(crate) struct Batch {
    pub(crate) rows: Arc<db::Rows>,
    pub(crate) resealed: Resealed,
}

/// The cipher sees fields, never keys of rows.
struct Fields(Arc<db::Rows>);

impl reencrypt_crypto::Rows for Fields {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn field(&self, row: usize, slot: usize) -> Option<&[u8]> {
        self.0.field(row, slot)
    }
}

impl Batch {
    /// Reseals `rows` on the pool's threads.
    pub(crate) async fn reseal(
        pool: &Arc<Pool>,
        cipher: &Arc<RowCipher>,
        rows: db::Rows,
        expect: Expect,
    ) -> Result<Self, Error> {
        let rows = Arc::new(rows);
        let (pool, cipher, fields) = (pool.clone(), cipher.clone(), Fields(rows.clone()));
        let resealed = tokio::task::spawn_blocking(move || pool.reseal(&cipher, &fields, expect))
            .await
            .map_err(|_| Error::bug("the worker pool ended"))?;
        Ok(Self { rows, resealed })
    }

    /// Number of rows.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Adds what opened and what did not in one column. Plaintext is no evidence about a key.
    pub(crate) fn tally(&self, column: usize, tally: &mut GateCounts) {
        for row in 0..self.len() {
            match self.resealed.outcome(row, column) {
                Outcome::AlreadyNew => tally.opens_new += 1,
                Outcome::Rotated => tally.opens_old += 1,
                Outcome::Quarantined(refusal) if refusal != Refusal::Plaintext => tally.fails += 1,
                _ => {}
            }
        }
    }

    /// The first field that is to be quarantined: its slot, and why.
    pub(crate) fn first_quarantined(&self, slots: usize) -> Option<(usize, Refusal)> {
        let slots = (0..self.len()).flat_map(|row| (0..slots).map(move |slot| (row, slot)));
        slots
            .filter_map(|(row, slot)| match self.resealed.outcome(row, slot) {
                Outcome::Quarantined(refusal) => Some((slot, refusal)),
                _ => None,
            })
            .next()
    }
}

/// Classifies `rows` on the pool's threads, for verify.
pub(crate) async fn classify(
    pool: &Arc<Pool>,
    cipher: &Arc<RowCipher>,
    rows: db::Rows,
    expect: Expect,
) -> Result<reencrypt_crypto::Classified, Error> {
    let (pool, cipher, fields) = (pool.clone(), cipher.clone(), Fields(Arc::new(rows)));
    tokio::task::spawn_blocking(move || pool.classify(&cipher, &fields, expect))
        .await
        .map_err(|_| Error::bug("the worker pool ended"))
}
