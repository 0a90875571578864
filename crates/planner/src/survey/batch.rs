//! Rows as the database sent them, given to the cryptography.
use crate::Error;
use reencrypt_crypto::{Classified, Expect, Pool, RowCipher};
use reencrypt_db::{Leaf, Rows};
use std::sync::Arc;
use tokio::task::JoinHandle;

/// A batch of rows; its slots are the selection's.
pub(crate) struct Batch(Rows);

impl Batch {
    /// Takes over `rows`.
    pub(crate) fn new(rows: Rows) -> Self {
        Self(rows)
    }

    /// Number of rows.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The stored bytes; `None` is SQL NULL.
    pub(crate) fn field(&self, row: usize, slot: usize) -> Option<&[u8]> {
        self.0.field(row, slot)
    }
}

impl reencrypt_crypto::Rows for Batch {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn field(&self, row: usize, slot: usize) -> Option<&[u8]> {
        self.0.field(row, slot)
    }
}

/// Some slots of a wider batch, in an order of their own.
pub(crate) struct Slots {
    pub(crate) rows: Arc<Batch>,
    pub(crate) slots: Vec<usize>,
}

impl reencrypt_crypto::Rows for Slots {
    fn len(&self) -> usize {
        self.rows.len()
    }

    fn field(&self, row: usize, slot: usize) -> Option<&[u8]> {
        self.rows.field(row, self.slots[slot])
    }
}

/// Says what stands in `rows`, on the pool's threads.
pub(crate) async fn classify<R>(
    pool: &Arc<Pool>,
    cipher: &Arc<RowCipher>,
    rows: &Arc<R>,
    expect: Expect,
) -> Result<Classified, Error>
where
    R: reencrypt_crypto::Rows + Send + 'static,
{
    begin_classifying(pool, cipher, rows, expect).await.map_err(|_| Error::Worker)
}

/// The same, begun now and awaited later: the next rows can be read meanwhile.
pub(crate) fn begin_classifying<R>(
    pool: &Arc<Pool>,
    cipher: &Arc<RowCipher>,
    rows: &Arc<R>,
    expect: Expect,
) -> JoinHandle<Classified>
where
    R: reencrypt_crypto::Rows + Send + 'static,
{
    let (pool, cipher, rows) = (Arc::clone(pool), Arc::clone(cipher), Arc::clone(rows));
    tokio::task::spawn_blocking(move || pool.classify(&cipher, &*rows, expect))
}

/// Runs what computes for long beside the asynchronous code.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Error::Worker)
}

/// Bytes that a sample of one leaf may hold at once.
const SAMPLE_BYTES_MAX: u64 = 32 << 20;
/// Rows of a sample, however large they are.
const SAMPLE_ROWS_MIN: u64 = 10;

/// At most `rows`, and so few that a sample of large rows stays small.
pub(crate) fn rows_within(rows: u32, leaf: &Leaf) -> u32 {
    let row_bytes = leaf.heap_bytes.checked_div(leaf.rows_estimate).unwrap_or(0).max(1);
    let affordable = (SAMPLE_BYTES_MAX / row_bytes).max(SAMPLE_ROWS_MIN);
    rows.min(u32::try_from(affordable).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use reencrypt_db::TableName;

    #[test]
    fn a_sample_of_large_rows_has_few_of_them() {
        let leaf = |rows_estimate, heap_bytes| Leaf {
            name: TableName { schema: "public".into(), name: "t".into() },
            rows_estimate,
            heap_bytes,
            index_bytes: 0,
        };
        assert_eq!(rows_within(1000, &leaf(300_000, 300_000 * 850)), 1000);
        assert_eq!(rows_within(1000, &leaf(0, 0)), 1000);
        assert_eq!(rows_within(1000, &leaf(1000, 1000 << 20)), 32);
        assert_eq!(rows_within(1000, &leaf(10, 10 << 30)), 10);
    }
}
