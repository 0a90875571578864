//! What stands under the old key, by whose harm it is: values, rows, and the people whose data it is. Counts alone; of a subject only a hash
//! under a key of this process is kept, and not for long.
use super::Batch;
use crate::{Kind, TablePlan};
use reencrypt_crypto::{Class, Classified};
use reencrypt_db::Table;
use std::{
    collections::{HashMap, hash_map::RandomState},
    hash::BuildHasher,
};

/// What of one table opens under the old key.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Exposure {
    /// `schema.table`
    pub table: String,
    /// the column that says whose data it is, where one is configured and can be read
    pub subject: Option<String>,
    /// everything was read and counted; else estimated from a sample
    pub exact: bool,
    /// rows with at least one such value
    pub rows: u64,
    /// different subjects of these rows
    pub subjects: Option<u64>,
    /// the same for each kind of data, in the order of harm; columns without a kind last
    pub kinds: Vec<KindExposure>,
}

/// What of one kind of data opens under the old key.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct KindExposure {
    /// `None` for columns that have no kind
    pub kind: Option<Kind>,
    /// rows with at least one such value
    pub rows: u64,
    /// different subjects of these rows
    pub subjects: Option<u64>,
    /// its columns with their values
    pub columns: Vec<ColumnExposure>,
}

/// How many values of one column open under the old key.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ColumnExposure {
    /// name
    pub column: String,
    /// how many
    pub values: u64,
}

/// The order of harm.
const KINDS: [Option<Kind>; 6] = [
    Some(Kind::Identity),
    Some(Kind::Contact),
    Some(Kind::Clinical),
    Some(Kind::Credential),
    Some(Kind::Payment),
    None,
];
/// Of any kind.
const ANY: usize = KINDS.len();

/// Counts of one table while its rows are read.
pub(super) struct ExposureTally {
    /// position in [`KINDS`] of each encrypted column
    kinds: Vec<usize>,
    values: Vec<u64>,
    rows: [u64; ANY + 1],
    subject: Subject,
}

/// How subjects are counted.
enum Subject {
    /// no column says whose data it is
    Unknown,
    /// every row has another one
    Unique(String),
    /// by the slot behind the plan's
    Counted { name: String, slot: usize, seen: Box<Subjects> },
}

impl ExposureTally {
    /// Nothing seen yet. The subject stands in the slot behind those of the plan, where [`subject_slot`] names one.
    pub(super) fn new(table: &Table, plan: &TablePlan) -> Self {
        let position = |kind: Option<Kind>| KINDS.iter().position(|known| *known == kind).unwrap_or(ANY - 1);
        let subject = match (readable_subject(table, plan), subject_slot(table, plan)) {
            (None, _) => Subject::Unknown,
            (Some(name), None) => Subject::Unique(name.to_owned()),
            (Some(name), Some(_)) => {
                Subject::Counted { name: name.to_owned(), slot: plan.slots().len(), seen: Box::default() }
            }
        };
        let kinds: Vec<usize> = plan.columns.iter().map(|column| position(column.kind)).collect();
        Self { values: vec![0; kinds.len()], kinds, rows: [0; ANY + 1], subject }
    }

    /// Adds rows whose values were classified.
    pub(super) fn add(&mut self, classified: &Classified, rows: &Batch) {
        for row in 0..rows.len() {
            let mut exposed = [false; ANY + 1];
            for (slot, &kind) in self.kinds.iter().enumerate() {
                if classified.class(row, slot) == Class::Old {
                    self.values[slot] += 1;
                    exposed[kind] = true;
                    exposed[ANY] = true;
                }
            }
            if !exposed[ANY] {
                continue;
            }
            self.rows.iter_mut().zip(exposed).for_each(|(rows, exposed)| *rows += u64::from(exposed));
            if let Subject::Counted { slot, seen, .. } = &mut self.subject
                && let Some(subject) = rows.field(row, *slot)
            {
                seen.add(subject, exposed);
            }
        }
    }

    /// What it comes to in the whole table, of which `read` rows were read: all of them if it was read in `full`.
    pub(super) fn exposure(&self, plan: &TablePlan, read: u64, full: bool) -> Exposure {
        let scaled = |count: u64| match read {
            0 => 0,
            _ if full || read >= plan.rows_estimate => count,
            read => (count as f64 * plan.rows_estimate as f64 / read as f64).round() as u64,
        };
        let subjects = |kind: usize| {
            let rows = scaled(self.rows[kind]);
            match &self.subject {
                Subject::Unknown => None,
                Subject::Unique(_) => Some(rows),
                Subject::Counted { seen, .. } => Some(seen.distinct(kind, self.rows[kind], rows)),
            }
        };
        let of_kind = |kind: usize| {
            let columns = plan.columns.iter().zip(&self.kinds).zip(&self.values);
            let columns = columns.filter(|((_, of), _)| **of == kind);
            let columns = columns
                .map(|((column, _), values)| ColumnExposure { column: column.column.clone(), values: scaled(*values) });
            KindExposure {
                kind: KINDS[kind],
                rows: scaled(self.rows[kind]),
                subjects: subjects(kind),
                columns: columns.collect(),
            }
        };
        let (subject, counted) = match &self.subject {
            Subject::Unknown => (None, true),
            Subject::Unique(name) => (Some(name.clone()), true),
            Subject::Counted { name, seen, .. } => (Some(name.clone()), seen.level == 0),
        };
        Exposure {
            table: plan.name.to_string(),
            subject,
            exact: full && counted,
            rows: scaled(self.rows[ANY]),
            subjects: subjects(ANY),
            kinds: (0..ANY).filter(|kind| self.kinds.contains(kind)).map(of_kind).collect(),
        }
    }
}

/// The column that has to be read beside the plan's slots to tell subjects apart; none where each row is another subject.
pub(super) fn subject_slot<'a>(table: &Table, plan: &'a TablePlan) -> Option<&'a str> {
    let subject = readable_subject(table, plan)?;
    let unique = table.row_keys.iter().any(|key| matches!(key.as_slice(), [only] if only.name == subject));
    (!unique).then_some(subject)
}

fn readable_subject<'a>(table: &Table, plan: &'a TablePlan) -> Option<&'a str> {
    let subject = plan.subject.as_deref()?;
    let column = table.column(subject)?;
    (column.can_select || table.privileges.select).then_some(subject)
}

/// Different subjects, exactly while they are few, else by a sample of their hashes: at each level half of them are left out.
#[derive(Default)]
struct Subjects {
    hasher: RandomState,
    /// how often each was seen by kind, once or more
    seen: HashMap<u64, [u8; ANY + 1]>,
    level: u32,
}

/// Subjects that are told apart exactly; beyond it the error is about one in a thousand.
const SUBJECTS_MAX: usize = 1 << 20;

impl Subjects {
    fn add(&mut self, subject: &[u8], exposed: [bool; ANY + 1]) {
        let hash = self.hasher.hash_one(subject);
        if hash.trailing_zeros() < self.level {
            return;
        }
        let times = self.seen.entry(hash).or_default();
        times.iter_mut().zip(exposed).for_each(|(times, exposed)| *times = (*times + u8::from(exposed)).min(2));
        while self.seen.len() > SUBJECTS_MAX {
            self.level += 1;
            let level = self.level;
            self.seen.retain(|hash, _| hash.trailing_zeros() >= level);
        }
    }

    /// How many different subjects there are among `total` rows of a kind, of which `read` were read: the estimator that PostgreSQL's ANALYZE
    /// uses (Haas and Stokes), which is exact where all were read.
    fn distinct(&self, kind: usize, read: u64, total: u64) -> u64 {
        let often = |times: u8| self.seen.values().filter(|seen| seen[kind] == times).count() as f64;
        let scale = 2f64.powi(self.level as i32);
        let (once, more) = (often(1) * scale, often(2) * scale);
        let distinct = once + more;
        if read == 0 || distinct == 0.0 {
            return 0;
        }
        let (read, rows) = (read as f64, total.max(read) as f64);
        let estimate = read * distinct / (read - once + once * read / rows).max(f64::MIN_POSITIVE);
        estimate.clamp(distinct, rows.max(distinct)).round() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(kind: usize) -> [bool; ANY + 1] {
        let mut exposed = [false; ANY + 1];
        exposed[kind] = true;
        exposed[ANY] = true;
        exposed
    }

    #[test]
    fn subjects_are_counted_once_by_kind() {
        let mut subjects = Subjects::default();
        for n in 0..1000u32 {
            subjects.add(&(n % 100).to_le_bytes(), only((n % 2) as usize));
        }
        assert_eq!(subjects.distinct(0, 500, 500), 50);
        assert_eq!(subjects.distinct(1, 500, 500), 50);
        assert_eq!(subjects.distinct(2, 0, 0), 0);
        assert_eq!(subjects.distinct(ANY, 1000, 1000), 100);
    }

    #[test]
    fn a_sample_tells_few_subjects_with_many_rows_from_many_with_one() {
        let estimate = |subjects_all: u64, read: u64, rows: u64| {
            let mut subjects = Subjects::default();
            for n in 0..read {
                // Every row of the sample is some subject, each as likely as another (SplitMix64).
                let mixed = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
                let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                let subject = mixed ^ (mixed >> 31);
                subjects.add(&(subject % subjects_all).to_le_bytes(), only(0));
            }
            subjects.distinct(0, read, rows)
        };
        // All subjects were seen, each several times.
        assert_eq!(estimate(50, 1000, 100_000), 50);
        // Every row is another one: so are the rows that were not read.
        assert!(estimate(u64::MAX, 1000, 100_000) > 90_000);
        let some = estimate(5_000, 1000, 100_000);
        assert!((2_500..10_000).contains(&some), "{some}");
    }

    #[test]
    fn more_subjects_than_fit_are_counted_by_a_share_of_them() {
        let mut subjects = Subjects::default();
        let all = 3 * SUBJECTS_MAX as u64;
        (0..all).for_each(|n| subjects.add(&n.to_le_bytes(), only(0)));
        assert!(subjects.level > 0 && subjects.seen.len() <= SUBJECTS_MAX);
        let told = subjects.distinct(0, all, all) as f64;
        assert!((told / all as f64 - 1.0).abs() < 0.01, "{told} of {all}");
    }
}
