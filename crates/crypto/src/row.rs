//! All of a table's encrypted columns and blind indexes.
use crate::{
    BlindIndex, Class, ColumnCipher, Expect, Outcome, Rows,
    batch::{Entry, ResealJob},
    column::Plaintext,
    peel::Scratch,
    random::IvSource,
};
use std::{fmt, ops::Range};

/// What one row needs: its columns, then its blind indexes, in slot order.
pub struct RowCipher {
    columns: Vec<ColumnCipher>,
    blind_indexes: Vec<BlindIndex>,
    /// per column, the blind indexes that hash it
    hashed_by: Vec<Vec<usize>>,
}

impl RowCipher {
    /// Columns first, then blind indexes; `BlindIndex` refers to columns by position.
    ///
    /// # Panics
    /// Where a blind index refers to a column that is not there.
    pub fn new(columns: Vec<ColumnCipher>, blind_indexes: Vec<BlindIndex>) -> Self {
        let mut hashed_by = vec![Vec::new(); columns.len()];
        for (i, blind_index) in blind_indexes.iter().enumerate() {
            assert!(blind_index.field() < columns.len(), "a blind index of column {}", blind_index.field());
            hashed_by[blind_index.field()].push(i);
        }
        Self { columns, blind_indexes, hashed_by }
    }

    /// Number of slots.
    pub fn slots(&self) -> usize {
        self.columns.len() + self.blind_indexes.len()
    }

    /// Number of encrypted columns (slots below it are columns, from it on blind indexes).
    pub fn columns(&self) -> usize {
        self.columns.len()
    }

    /// The name of the known format in which a column's value opens that opens in none of those declared; `None` for any other value.
    ///
    /// # Panics
    /// Where there is no such column.
    pub fn undeclared_format(&self, column: usize, stored: &[u8]) -> Option<&str> {
        self.columns[column].undeclared_format(&mut Scratch::default(), stored)
    }

    /// Reseals a range of rows into one job.
    pub(crate) fn reseal_rows<R: Rows>(
        &self,
        rows: &R,
        range: Range<usize>,
        expect: Expect,
        scratch: &mut Scratch,
        ivs: &mut impl IvSource,
    ) -> ResealJob {
        let slots = self.slots();
        let unset = Entry { outcome: Outcome::Null, start: 0, end: 0 };
        let mut job = ResealJob {
            entries: vec![unset; range.len() * slots],
            bytes: Vec::with_capacity(stored_bytes(rows, range.clone(), slots)),
            invocations: vec![0; self.columns.len()],
        };
        let mut expected = vec![expect; self.columns.len()];
        for (i, row) in range.enumerate() {
            self.reseal_row(rows, row, i * slots, &mut expected, scratch, ivs, &mut job);
        }
        job
    }

    #[expect(clippy::too_many_arguments, reason = "the row, where it goes, and the memory to work in")]
    fn reseal_row<R: Rows>(
        &self,
        rows: &R,
        row: usize,
        base: usize,
        expected: &mut [Expect],
        scratch: &mut Scratch,
        ivs: &mut impl IvSource,
        job: &mut ResealJob,
    ) {
        for ((column, cipher), expect) in self.columns.iter().enumerate().zip(expected) {
            let stored = rows.field(row, column);
            let start = job.bytes.len();
            let (outcome, plaintext) =
                cipher.reseal_field(scratch, stored, *expect, ivs, &mut job.bytes, &mut job.invocations[column]);
            // The next value of a column is under the same key as the last, more often than not.
            match outcome {
                Outcome::Rotated => *expect = Expect::Old,
                Outcome::AlreadyNew => *expect = Expect::New,
                _ => {}
            }
            job.entries[base + column] = Entry { outcome, start, end: job.bytes.len() };
            for index in &self.hashed_by[column] {
                let slot = self.columns.len() + index;
                let start = job.bytes.len();
                let bytes = plaintext_bytes(&plaintext, stored, scratch);
                let outcome = self.blind_indexes[*index].reseal(rows.field(row, slot), bytes, &mut job.bytes);
                job.entries[base + slot] = Entry { outcome, start, end: job.bytes.len() };
            }
            scratch.arena.rewind(0);
        }
    }

    /// Classifies a range of rows.
    pub(crate) fn classify_rows<R: Rows>(
        &self,
        rows: &R,
        range: Range<usize>,
        expect: Expect,
        scratch: &mut Scratch,
    ) -> Vec<Class> {
        let slots = self.slots();
        let mut classes = vec![Class::Null; range.len() * slots];
        let mut expected = vec![expect; self.columns.len()];
        for (row, classes) in range.zip(classes.chunks_mut(slots.max(1))) {
            for ((column, cipher), expected) in self.columns.iter().enumerate().zip(&mut expected) {
                let stored = rows.field(row, column);
                let (class, plaintext) = cipher.classify_field(scratch, stored, *expected);
                classes[column] = class;
                // As in resealing.
                match class {
                    Class::Old => *expected = Expect::Old,
                    Class::New => *expected = Expect::New,
                    _ => {}
                }
                for index in &self.hashed_by[column] {
                    let slot = self.columns.len() + index;
                    let bytes = plaintext_bytes(&plaintext, stored, scratch);
                    classes[slot] = self.blind_indexes[*index].classify(rows.field(row, slot), bytes, expect);
                }
                scratch.arena.rewind(0);
            }
        }
        classes
    }
}

impl fmt::Debug for RowCipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RowCipher({} columns, {} blind indexes)", self.columns.len(), self.blind_indexes.len())
    }
}

/// The plaintext of a field: `None` where it cannot be read, empty where there is none.
fn plaintext_bytes<'a>(plaintext: &Plaintext, stored: Option<&'a [u8]>, scratch: &'a Scratch) -> Option<&'a [u8]> {
    match plaintext {
        Plaintext::Absent => Some(b""),
        Plaintext::Stored => Some(stored.unwrap_or_default()),
        Plaintext::Opened(range) => Some(scratch.arena.get(range.clone())),
        Plaintext::Unreadable => None,
    }
}

/// What the new values take at most where the format stays, so that the buffer grows once.
fn stored_bytes<R: Rows>(rows: &R, range: Range<usize>, slots: usize) -> usize {
    range.map(|row| (0..slots).filter_map(|slot| rows.field(row, slot)).map(<[u8]>::len).sum::<usize>()).sum()
}
