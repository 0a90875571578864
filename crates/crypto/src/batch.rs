//! What goes into the pool and what comes out of it.
use crate::{Class, Refusal, pool::ROWS_PER_JOB};

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
pub struct Resealed {
    slots: usize,
    jobs: Vec<ResealJob>,
}

/// A few dozen rows: one output buffer, one entry a field.
#[derive(Default)]
pub(crate) struct ResealJob {
    pub(crate) entries: Vec<Entry>,
    pub(crate) bytes: Vec<u8>,
    /// by column: uses of its new key
    pub(crate) invocations: Vec<u64>,
}

/// What becomes of one field, and where its new value stands in the job's buffer.
#[derive(Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) outcome: Outcome,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl Resealed {
    pub(crate) fn new(slots: usize, jobs: Vec<ResealJob>) -> Self {
        Self { slots, jobs }
    }

    /// The outcome of a field.
    ///
    /// # Panics
    /// Where the batch had no such row or slot.
    pub fn outcome(&self, row: usize, slot: usize) -> Outcome {
        self.entry(row, slot).1.outcome
    }

    /// The new stored bytes where the outcome is [`Outcome::Rotated`].
    ///
    /// # Panics
    /// Where the batch had no such row or slot.
    pub fn value(&self, row: usize, slot: usize) -> Option<&[u8]> {
        let (job, entry) = self.entry(row, slot);
        (entry.outcome == Outcome::Rotated).then(|| &job.bytes[entry.start..entry.end])
    }

    /// Whether any slot of the row has a new value.
    ///
    /// # Panics
    /// Where the batch had no such row.
    pub fn changes(&self, row: usize) -> bool {
        (0..self.slots).any(|slot| self.outcome(row, slot) == Outcome::Rotated)
    }

    /// How many AES-GCM (or other random-nonce) seals this batch made under the new key.
    pub fn invocations(&self) -> u64 {
        self.jobs.iter().flat_map(|job| &job.invocations).sum()
    }

    /// The same of one column, whose key may be one of its own.
    pub fn invocations_of(&self, column: usize) -> u64 {
        self.jobs.iter().filter_map(|job| job.invocations.get(column)).sum()
    }

    fn entry(&self, row: usize, slot: usize) -> (&ResealJob, &Entry) {
        assert!(slot < self.slots, "slot {slot} of {}", self.slots);
        let job = &self.jobs[row / ROWS_PER_JOB];
        (job, &job.entries[row % ROWS_PER_JOB * self.slots + slot])
    }
}

/// Classes of a batch, rows by slots.
pub struct Classified {
    slots: usize,
    jobs: Vec<Vec<Class>>,
}

impl Classified {
    pub(crate) fn new(slots: usize, jobs: Vec<Vec<Class>>) -> Self {
        Self { slots, jobs }
    }

    /// The class of a field.
    ///
    /// # Panics
    /// Where the batch had no such row or slot.
    pub fn class(&self, row: usize, slot: usize) -> Class {
        assert!(slot < self.slots, "slot {slot} of {}", self.slots);
        self.jobs[row / ROWS_PER_JOB][row % ROWS_PER_JOB * self.slots + slot]
    }
}
