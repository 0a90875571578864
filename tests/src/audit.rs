//! What stands in the table, held against what must stand there.
use crate::{
    COLUMNS, Cipher, Patient, Seeding, Stored, dob_hash, email_hash,
    patient::{DOB, EMAIL},
    plaintext,
};
use std::collections::{BTreeMap, HashSet};

/// Knows a table as it was before the tool came.
pub struct Audit {
    seeding: Seeding,
    old: Cipher,
    new: Cipher,
    before: BTreeMap<i64, Patient>,
}

impl Audit {
    /// Remembers the table as it stands.
    pub fn new(seeding: &Seeding, before: Vec<Patient>) -> Self {
        Self {
            seeding: seeding.clone(),
            old: Cipher::new(&seeding.keys.old),
            new: Cipher::new(&seeding.keys.new),
            before: before.into_iter().map(|patient| (patient.number, patient)).collect(),
        }
    }

    /// Asserts the end of a rotation: everything readable stands under the new key, what was not readable stands byte for byte as
    /// it was, hashes are those of the new key, no IV stands twice, and nothing else has changed.
    #[track_caller]
    pub fn assert_rotated(&self, after: &[Patient]) {
        self.assert_untouched(after);
        let mut ivs = HashSet::new();
        for patient in after {
            self.assert_row_rotated(patient);
            for (column, stored) in patient.values.iter().enumerate() {
                let encrypted = matches!(self.seeding.value(patient.number, column), Stored::Old(_) | Stored::New(_));
                let iv = stored.as_deref().filter(|_| encrypted).and_then(|stored| stored.split(':').next());
                assert!(iv.is_none_or(|iv| ivs.insert(iv)), "{}: an IV was used twice", place(patient, column));
            }
        }
    }

    /// As [`Audit::assert_rotated`] for one row, without what is not encrypted.
    #[track_caller]
    pub fn assert_row_rotated(&self, patient: &Patient) {
        for column in 0..COLUMNS.len() {
            let stored = patient.values[column].as_deref();
            let right = match self.seeding.value(patient.number, column) {
                Stored::Null => stored.is_none(),
                Stored::Empty => stored == Some(""),
                Stored::Plain(plain) => stored == Some(plain.as_str()),
                Stored::Old(plain) => stored.and_then(|stored| self.new.open(stored)).as_ref() == Some(&plain),
                Stored::New(_) | Stored::Lost(_) | Stored::Damaged(_) => {
                    stored == self.before(patient).values[column].as_deref()
                }
            };
            assert!(right, "{}: not what it must be after a rotation", place(patient, column));
        }
        self.assert_hashes(patient, &self.seeding.keys.new);
    }

    /// Asserts that every value is what the application wrote, under the old key or under the new, and that every row is wholly one or
    /// the other: true at any moment of a rotation.
    #[track_caller]
    pub fn assert_in_between(&self, now: &[Patient]) {
        self.assert_untouched(now);
        for patient in now {
            let before = self.before(patient);
            if self.is_moved(patient) {
                self.assert_row_rotated(patient);
            } else {
                assert_eq!(patient, before, "patient {}: a row that is neither old nor new", patient.number);
            }
        }
    }

    /// The rows that the rotation has reached: they have new bytes.
    pub fn moved(&self, now: &[Patient]) -> Vec<Patient> {
        now.iter().filter(|patient| self.is_moved(patient)).cloned().collect()
    }

    /// How many rows there are to move.
    pub fn rows_to_move(&self) -> usize {
        let has_old =
            |n: &i64| (0..COLUMNS.len()).any(|column| matches!(self.seeding.value(*n, column), Stored::Old(_)));
        (1..=self.seeding.rows).filter(has_old).count()
    }

    /// Asserts that the table is, byte for byte, what it was before the tool came.
    #[track_caller]
    pub fn assert_unchanged(&self, now: &[Patient]) {
        assert_eq!(now.len(), self.before.len(), "rows came or went");
        for patient in now {
            assert_eq!(patient, self.before(patient), "patient {} was written", patient.number);
        }
    }

    /// As [`Audit::assert_unchanged`] where the table has got further columns meanwhile.
    #[track_caller]
    pub fn assert_unchanged_but_for_new_columns(&self, now: &[Patient]) {
        let without_rest = |patient: &Patient| Patient { rest: String::new(), ..patient.clone() };
        assert_eq!(now.len(), self.before.len(), "rows came or went");
        for patient in now {
            assert_eq!(
                without_rest(patient),
                without_rest(self.before(patient)),
                "patient {} was written",
                patient.number
            );
        }
    }

    /// Asserts that the set of rows and every column that is not encrypted are what they were.
    #[track_caller]
    pub fn assert_untouched(&self, now: &[Patient]) {
        Untouched::of(self.before.values()).assert_same(&Untouched::of(now));
    }

    #[track_caller]
    fn before(&self, patient: &Patient) -> &Patient {
        self.before.get(&patient.number).unwrap_or_else(|| panic!("patient {} came from nowhere", patient.number))
    }

    fn is_moved(&self, patient: &Patient) -> bool {
        self.before.get(&patient.number).is_some_and(|before| before.values != patient.values)
    }

    #[track_caller]
    fn assert_hashes(&self, patient: &Patient, key: &[u8; 32]) {
        let plain = |column| plaintext(patient.number, column).unwrap_or_default();
        assert_eq!(patient.email_hash, email_hash(key, &plain(EMAIL)), "emailHash of patient {}", patient.number);
        assert_eq!(patient.dob_hash, dob_hash(key, &plain(DOB)), "dobHash of patient {}", patient.number);
    }

    /// The cipher of the old key.
    pub fn old(&self) -> &Cipher {
        &self.old
    }

    /// The cipher of the new key.
    pub fn new_cipher(&self) -> &Cipher {
        &self.new
    }
}

fn place(patient: &Patient, column: usize) -> String {
    format!("{} of patient {}", COLUMNS[column], patient.number)
}

/// The set of rows, and every column that is not encrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Untouched(BTreeMap<i64, String>);

impl Untouched {
    /// Of these rows.
    pub fn of<'p>(patients: impl IntoIterator<Item = &'p Patient>) -> Self {
        Self(patients.into_iter().map(|patient| (patient.number, patient.rest.clone())).collect())
    }

    /// Asserts that not a byte differs.
    #[track_caller]
    pub fn assert_same(&self, other: &Self) {
        for (number, rest) in &self.0 {
            let there = other.0.get(number).unwrap_or_else(|| panic!("patient {number} has vanished"));
            assert_eq!(rest, there, "a column of patient {number} that is none of the tool's business");
        }
        assert_eq!(self.0.len(), other.0.len(), "rows came from nowhere");
    }
}
