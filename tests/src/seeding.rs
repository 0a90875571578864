//! Which patients a table starts with, and in what state each of their values is.
use crate::{
    COLUMNS, Cipher, KEYS, Keys, Patient, Random, RowKey, dob_hash, email_hash,
    patient::{ADDRESS2, DOB, EMAIL},
    plaintext,
};

/// What a table starts with. Patients are numbered from 1.
#[derive(Clone)]
pub struct Seeding {
    /// how many
    pub rows: i64,
    /// their row key
    pub row_key: RowKey,
    /// the state of their values
    pub content: Content,
    /// of the values
    pub keys: Keys,
}

/// The mix of values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// Everything under the old key; every third `address2` is NULL.
    Clean,
    /// As [`Content::Clean`], with rows that are new already, plaintext, empty values, and one lost and one damaged value in 500 rows.
    Mixed,
}

/// One value before it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stored {
    /// SQL NULL
    Null,
    /// ''
    Empty,
    /// under the old key
    Old(String),
    /// under the new key
    New(String),
    /// never encrypted
    Plain(String),
    /// under a key that nobody has
    Lost(String),
    /// cut off
    Damaged(String),
}

impl Seeding {
    /// Clean rows with integer keys.
    pub fn clean(rows: i64) -> Self {
        Self { rows, row_key: RowKey::Int, content: Content::Clean, keys: KEYS }
    }

    /// Mixed rows with integer keys.
    pub fn mixed(rows: i64) -> Self {
        Self { content: Content::Mixed, ..Self::clean(rows) }
    }

    /// With another row key.
    pub fn keyed(self, row_key: RowKey) -> Self {
        Self { row_key, ..self }
    }

    /// With other keys.
    pub fn under(self, keys: Keys) -> Self {
        Self { keys, ..self }
    }

    /// The state of one value.
    pub fn value(&self, number: i64, column: usize) -> Stored {
        let Some(plain) = plaintext(number, column) else { return Stored::Null };
        if self.content == Content::Clean {
            return Stored::Old(plain);
        }
        match (number % 10, COLUMNS[column]) {
            (3, _) => Stored::New(plain),
            (5, "phone") => Stored::Empty,
            (7, "address1" | "city" | "state" | "zip") => Stored::Plain(plain),
            _ if number % 500 == 250 && column == 1 => Stored::Lost(plain),
            _ if number % 500 == 0 && column == 5 => Stored::Damaged(plain),
            _ => Stored::Old(plain),
        }
    }

    /// How many values of a column are in a state.
    pub fn count(&self, column: &str, is: impl Fn(&Stored) -> bool) -> u64 {
        let column = COLUMNS.iter().position(|name| *name == column).expect("a column");
        (1..=self.rows).filter(|n| is(&self.value(*n, column))).count() as u64
    }

    /// The rows, ready to be stored. `rest` stays empty: the database knows it.
    pub(crate) fn patients(&self, random: &Random) -> impl Iterator<Item = Patient> {
        let sealer = Sealer::new(&self.keys);
        let (seeding, mut random) = (self.clone(), random.fork(0x5eed));
        (1..=self.rows).map(move |number| seeding.patient(number, &sealer, &mut random))
    }

    fn patient(&self, number: i64, sealer: &Sealer, random: &mut Random) -> Patient {
        let values = std::array::from_fn(|column| sealer.store(self.value(number, column), random));
        let hash_key = match self.value(number, EMAIL) {
            Stored::New(_) => &self.keys.new,
            _ => &self.keys.old,
        };
        let plain = |column| plaintext(number, column).unwrap_or_default();
        Patient {
            number,
            values,
            email_hash: email_hash(hash_key, &plain(EMAIL)),
            dob_hash: dob_hash(hash_key, &plain(DOB)),
            rest: String::new(),
        }
    }

    /// What must be readable in a column when all is done: the plaintext, or `None` for NULL.
    pub(crate) fn final_plaintext(&self, number: i64, column: usize) -> Option<String> {
        match self.value(number, column) {
            Stored::Null => None,
            Stored::Empty => Some(String::new()),
            Stored::Old(plain)
            | Stored::New(plain)
            | Stored::Plain(plain)
            | Stored::Lost(plain)
            | Stored::Damaged(plain) => Some(plain),
        }
    }
}

/// The ciphers of a seeding.
struct Sealer {
    old: Cipher,
    new: Cipher,
    lost: Cipher,
}

impl Sealer {
    fn new(keys: &Keys) -> Self {
        Self { old: Cipher::new(&keys.old), new: Cipher::new(&keys.new), lost: Cipher::new(&keys.lost) }
    }

    fn store(&self, value: Stored, random: &mut Random) -> Option<String> {
        Some(match value {
            Stored::Null => return None,
            Stored::Empty => String::new(),
            Stored::Plain(plain) => plain,
            Stored::Old(plain) => self.old.seal(&plain, random),
            Stored::New(plain) => self.new.seal(&plain, random),
            Stored::Lost(plain) => self.lost.seal(&plain, random),
            Stored::Damaged(plain) => {
                // What a column that was too short left of it: the last part lost its end.
                let mut stored = self.old.seal(&plain, random);
                stored.truncate(stored.len() - 5);
                stored
            }
        })
    }
}

/// Where NULL is allowed: one column alone.
pub(crate) fn is_nullable(column: usize) -> bool {
    column == ADDRESS2
}
