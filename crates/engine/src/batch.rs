//! A batch between its read and its write.
use crate::{Error, rotation::lock};
use reencrypt_crypto::{Classified, Expect, Marker, Outcome, Pool, Refusal, Resealed, RowCipher};
use reencrypt_db::{self as db, RowKey};
use reencrypt_planner::GateCounts;
use std::sync::{Arc, Mutex};

/// Some of the rows that were read together, in the order of their keys, and what becomes of them. Positions are those in the batch.
pub(crate) struct Batch {
    rows: Arc<db::Rows>,
    /// Where the batch's rows stand among those that were read, ascending.
    which: Arc<Vec<usize>>,
    resealed: Resealed,
    /// Of each row, in waves: the cursor will not tell which of them are accounted for.
    marks: Vec<u64>,
    /// All rows that change, ready to be sent; gone once they were.
    written: Mutex<Option<db::Written>>,
}

/// The cipher sees fields, never keys of rows.
struct Fields {
    rows: Arc<db::Rows>,
    which: Arc<Vec<usize>>,
}

impl reencrypt_crypto::Rows for Fields {
    fn len(&self) -> usize {
        self.which.len()
    }

    fn field(&self, row: usize, slot: usize) -> Option<&[u8]> {
        self.rows.field(self.which[row], slot)
    }
}

impl Fields {
    fn all(rows: db::Rows) -> Self {
        let which = Arc::new((0..rows.len()).collect());
        Self { rows: Arc::new(rows), which }
    }
}

impl Batch {
    /// Reseals all of `rows` on the pool's threads.
    pub(crate) async fn reseal(
        pool: &Arc<Pool>,
        cipher: &Arc<RowCipher>,
        rows: db::Rows,
        expect: Expect,
    ) -> Result<Self, Error> {
        Self::reseal_fields(pool, cipher, Fields::all(rows), expect, None, None).await
    }

    /// Reseals those of `rows` that are listed in `which`, ascending, makes them ready to be written to `selection`, and marks them if
    /// there is a marker.
    pub(crate) async fn reseal_some(
        pool: &Arc<Pool>,
        cipher: &Arc<RowCipher>,
        rows: Arc<db::Rows>,
        which: Vec<usize>,
        expect: Expect,
        selection: &db::Selection,
        marker: Option<Marker>,
    ) -> Result<Self, Error> {
        let (fields, selection) = (Fields { rows, which: Arc::new(which) }, Some(selection.clone()));
        Self::reseal_fields(pool, cipher, fields, expect, selection, marker).await
    }

    async fn reseal_fields(
        pool: &Arc<Pool>,
        cipher: &Arc<RowCipher>,
        fields: Fields,
        expect: Expect,
        selection: Option<db::Selection>,
        marker: Option<Marker>,
    ) -> Result<Self, Error> {
        let (pool, cipher) = (pool.clone(), cipher.clone());
        let ready = move || {
            let resealed = pool.reseal(&cipher, &fields, expect);
            let Fields { rows, which } = fields;
            let mark = |marker: Marker| which.iter().map(|&row| marker.mark(rows.key(row).as_bytes())).collect();
            let marks = marker.map(mark).unwrap_or_default();
            let mut batch = Self { rows, which, resealed, marks, written: Mutex::default() };
            if let Some(selection) = selection {
                let changed: Vec<_> = (0..batch.len()).filter(|at| batch.changes(*at)).collect();
                let placed = batch.placed(&changed);
                let written = db::Written::new(&selection, &batch.rows, &placed, &batch.values(&changed))?;
                batch.written = Mutex::new(written);
            }
            Ok(batch)
        };
        tokio::task::spawn_blocking(ready).await.map_err(|_| Error::bug("the worker pool ended"))?
    }

    /// Where the rows at `which` stand among those that were read.
    fn placed(&self, which: &[usize]) -> Vec<usize> {
        which.iter().map(|&at| self.which[at]).collect()
    }

    /// The new values of the rows at `which`.
    fn values<'b>(&'b self, which: &'b [usize]) -> impl Fn(usize, usize) -> Option<&'b [u8]> + Sync {
        |nth, slot| self.resealed.value(which[nth], slot)
    }

    /// How often the new key of a column was used.
    pub(crate) fn invocations_of(&self, column: usize) -> u64 {
        self.resealed.invocations_of(column)
    }

    /// Number of rows.
    pub(crate) fn len(&self) -> usize {
        self.which.len()
    }

    /// The key of a row.
    pub(crate) fn key(&self, at: usize) -> RowKey {
        self.rows.key(self.which[at])
    }

    /// The marks of its rows; none in key order.
    pub(crate) fn marks(&self) -> &[u64] {
        &self.marks
    }

    /// What becomes of a field.
    pub(crate) fn outcome(&self, at: usize, slot: usize) -> Outcome {
        self.resealed.outcome(at, slot)
    }

    /// Whether a row has any new value.
    pub(crate) fn changes(&self, at: usize) -> bool {
        self.resealed.changes(at)
    }

    /// Writes the new values of the changed rows at `which`, ascending, that are still as they were read; says of each whether it was hit, and whether `rider`
    /// took effect, `None` where it did not go along.
    pub(crate) async fn compare_and_set(
        &self,
        tx: &mut db::Transaction<'_>,
        selection: &db::Selection,
        which: &[usize],
        rider: Option<&db::Rider>,
    ) -> Result<(Vec<bool>, Option<bool>), Error> {
        let written = lock(&self.written).take_if(|written| written.len() == which.len());
        if let Some(written) = written {
            return Ok(tx.compare_and_set_written(selection, written, rider).await?);
        }
        let hits = tx.compare_and_set(selection, &self.rows, &self.placed(which), &self.values(which)).await?;
        Ok((hits, None))
    }

    /// Adds what opened and what did not in one column. Plaintext is no evidence about a key.
    pub(crate) fn tally(&self, column: usize, tally: &mut GateCounts) {
        (0..self.len()).for_each(|row| tell(self.resealed.outcome(row, column), tally));
    }

    /// The first field that is to be quarantined: its slot, and why.
    pub(crate) fn first_quarantined(&self, slots: usize) -> Option<(usize, Refusal)> {
        let mut slots = (0..self.len()).flat_map(|row| (0..slots).map(move |slot| (row, slot)));
        slots.find_map(|(row, slot)| match self.resealed.outcome(row, slot) {
            Outcome::Quarantined(refusal) => Some((slot, refusal)),
            _ => None,
        })
    }
}

/// Adds what a field's outcome tells of the keys. Plaintext tells nothing.
pub(crate) fn tell(outcome: Outcome, tally: &mut GateCounts) {
    match outcome {
        Outcome::AlreadyNew => tally.opens_new += 1,
        Outcome::Rotated => tally.opens_old += 1,
        Outcome::Quarantined(refusal) if refusal != Refusal::Plaintext => tally.fails += 1,
        _ => {}
    }
}

/// Classifies all of `rows` on the pool's threads.
pub(crate) async fn classify(
    pool: &Arc<Pool>,
    cipher: &Arc<RowCipher>,
    rows: db::Rows,
    expect: Expect,
) -> Result<Classified, Error> {
    classify_fields(pool, cipher, Fields::all(rows), expect).await
}

/// Classifies those of `rows` that are listed in `which`, ascending.
pub(crate) async fn classify_some(
    pool: &Arc<Pool>,
    cipher: &Arc<RowCipher>,
    rows: Arc<db::Rows>,
    which: Vec<usize>,
    expect: Expect,
) -> Result<Classified, Error> {
    classify_fields(pool, cipher, Fields { rows, which: Arc::new(which) }, expect).await
}

async fn classify_fields(
    pool: &Arc<Pool>,
    cipher: &Arc<RowCipher>,
    fields: Fields,
    expect: Expect,
) -> Result<Classified, Error> {
    let (pool, cipher) = (pool.clone(), cipher.clone());
    tokio::task::spawn_blocking(move || pool.classify(&cipher, &fields, expect))
        .await
        .map_err(|_| Error::bug("the worker pool ended"))
}
