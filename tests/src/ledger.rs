//! What the application was told that it had written.
use crate::{
    COLUMNS, Cipher, Keys, Patient, Seeding, dob_hash, email_hash,
    patient::{DOB, EMAIL},
};
use std::collections::{BTreeMap, HashSet};

/// The last acknowledged state of one patient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// the row stands, with these plaintexts
    Present(Box<[Option<String>; 10]>),
    /// the row was deleted
    Deleted,
}

/// The last acknowledged write of every patient that was written, and how many writes there were.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    entries: BTreeMap<i64, Entry>,
    /// acknowledged by the database
    pub writes: u64,
}

impl Ledger {
    /// What patients this ledger, or else the seeding, says there are.
    pub(crate) fn entry(&self, seeding: &Seeding, number: i64) -> Entry {
        match self.entries.get(&number) {
            Some(entry) => entry.clone(),
            None if (1..=seeding.rows).contains(&number) => {
                Entry::Present(Box::new(std::array::from_fn(|column| seeding.final_plaintext(number, column))))
            }
            None => Entry::Deleted,
        }
    }

    /// Notes an acknowledged write.
    pub(crate) fn note(&mut self, number: i64, entry: Entry) {
        self.writes += 1;
        self.entries.insert(number, entry);
    }

    /// Takes in what another writer wrote to other patients.
    pub fn merge(&mut self, other: Self) {
        self.writes += other.writes;
        for (number, entry) in other.entries {
            assert!(self.entries.insert(number, entry).is_none(), "two writers wrote patient {number}");
        }
    }

    /// What is wrong with the table: nothing, when no acknowledged write was lost, reverted or resurrected, every value opens under
    /// one of the two keys, and the hashes are of the key of the value that they hash.
    pub fn differences(&self, seeding: &Seeding, keys: &Keys, table: &[Patient]) -> Vec<String> {
        let (old, new) = (Cipher::new(&keys.old), Cipher::new(&keys.new));
        let mut wrong = Vec::new();
        let mut seen = HashSet::new();
        for patient in table {
            seen.insert(patient.number);
            let Entry::Present(expected) = self.entry(seeding, patient.number) else {
                wrong.push(format!("patient {} was deleted and stands again", patient.number));
                continue;
            };
            for (column, expected) in expected.iter().enumerate() {
                let stored = patient.values[column].as_deref();
                let found = match stored {
                    None | Some("") => stored.map(str::to_owned),
                    Some(stored) => match old.open(stored).or_else(|| new.open(stored)) {
                        Some(plain) => Some(plain),
                        None => {
                            wrong.push(format!(
                                "{} of patient {} opens under neither key",
                                COLUMNS[column], patient.number
                            ));
                            continue;
                        }
                    },
                };
                if found != *expected {
                    wrong.push(format!(
                        "{} of patient {}: the last acknowledged write is not there",
                        COLUMNS[column], patient.number
                    ));
                }
            }
            wrong.extend(wrong_hashes(patient, &expected, keys, &new));
        }
        let known = self.entries.keys().copied().chain(1..=seeding.rows).collect::<HashSet<_>>();
        for number in known {
            if !seen.contains(&number) && self.entry(seeding, number) != Entry::Deleted {
                wrong.push(format!("patient {number} has vanished"));
            }
        }
        wrong
    }
}

fn wrong_hashes(patient: &Patient, expected: &[Option<String>; 10], keys: &Keys, new: &Cipher) -> Vec<String> {
    let key_of = |column: usize| match patient.values[column].as_deref().and_then(|stored| new.open(stored)) {
        Some(_) => &keys.new,
        None => &keys.old,
    };
    let mut wrong = Vec::new();
    let plain = |column: usize| expected[column].clone().unwrap_or_default();
    if patient.email_hash != email_hash(key_of(EMAIL), &plain(EMAIL)) {
        wrong.push(format!("emailHash of patient {} is not of its email's key", patient.number));
    }
    if patient.dob_hash != dob_hash(key_of(DOB), &plain(DOB)) {
        wrong.push(format!("dobHash of patient {} is not of its dob's key", patient.number));
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{KEYS, Random};

    fn table(seeding: &Seeding) -> Vec<Patient> {
        seeding.patients(&Random::of_test("ledger")).collect()
    }

    #[test]
    fn a_lost_a_reverted_and_a_resurrected_write_are_found() {
        let seeding = Seeding::clean(5);
        let table = table(&seeding);
        let mut ledger = Ledger::default();
        assert_eq!(ledger.differences(&seeding, &KEYS, &table), Vec::<String>::new());
        let Entry::Present(mut values) = ledger.entry(&seeding, 2) else { panic!("patient 2 stands") };
        values[7] = Some("Elsewhere".to_owned());
        ledger.note(2, Entry::Present(values));
        assert_eq!(ledger.differences(&seeding, &KEYS, &table).len(), 1, "a reverted write");
        ledger.note(3, Entry::Deleted);
        assert_eq!(ledger.differences(&seeding, &KEYS, &table).len(), 2, "a resurrected row");
        ledger.note(9, ledger.entry(&seeding, 1));
        assert_eq!(ledger.differences(&seeding, &KEYS, &table).len(), 3, "a lost row");
    }

    #[test]
    fn a_hash_of_the_other_key_and_a_value_of_no_key_are_found() {
        let seeding = Seeding::clean(2);
        let mut table = table(&seeding);
        table[0].email_hash = email_hash(&KEYS.new, "Patient.1@Example.com");
        table[1].values[0] = Some(Cipher::new(&KEYS.lost).seal("x", &mut Random::from_seed(1)));
        assert_eq!(Ledger::default().differences(&seeding, &KEYS, &table).len(), 2);
    }
}
