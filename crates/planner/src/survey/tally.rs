//! What was read of a table, slot by slot, and what it says.
use super::{Batch, ClassCounts, Exposure, exposure::ExposureTally, rehearsal::Rehearsed};
use crate::{
    Ceiling, Finding, GateCounts, Plan, TablePlan,
    nearest::{counted, shown},
    plan::PlanKey,
};
use reencrypt_crypto::{Class, Classified, Refusal};
use reencrypt_db::{Table, TableName};

/// Counts of one table's slots: the encrypted columns, then the blind indexes.
pub(super) struct Tally {
    slots: Vec<Slot>,
    rows: u64,
    exposure: ExposureTally,
}

/// What was seen of one slot.
#[derive(Debug, Clone, Default)]
pub(super) struct Slot {
    counts: ClassCounts,
    gate: GateCounts,
    damaged: u64,
    /// under the old key of another pair
    other_pair: u64,
    rehearsed: Rehearsed,
    /// of the column, in characters
    length_max: Option<u32>,
}

impl Tally {
    /// Nothing seen yet.
    pub(super) fn new(table: &Table, plan: &TablePlan) -> Self {
        let slot = |name: &String| Slot {
            length_max: table.column(name).and_then(|column| column.length_max),
            ..Slot::default()
        };
        let exposure = ExposureTally::new(table, plan);
        Self { slots: plan.slots().iter().map(slot).collect(), rows: 0, exposure }
    }

    /// Adds the classes of `rows`.
    pub(super) fn add(&mut self, classified: &Classified, rows: &Batch) {
        self.rows += rows.len() as u64;
        self.exposure.add(classified, rows);
        for row in 0..rows.len() {
            for (slot, seen) in self.slots.iter_mut().enumerate() {
                seen.add(classified.class(row, slot));
            }
        }
    }

    /// Adds what a rehearsal saw.
    pub(super) fn rehearsed(&mut self, slots: Vec<Rehearsed>) {
        for (seen, rehearsed) in self.slots.iter_mut().zip(slots) {
            seen.rehearsed += rehearsed;
        }
    }

    /// Takes the counts of a full reading in place of the sample's.
    pub(super) fn replace_counts(&mut self, whole: Tally) {
        self.rows = whole.rows;
        self.exposure = whole.exposure;
        for (mine, theirs) in self.slots.iter_mut().zip(whole.slots) {
            *mine = Slot { rehearsed: std::mem::take(&mut mine.rehearsed), ..theirs };
        }
    }

    /// What stands under the old key, once the counts are written.
    pub(super) fn exposure(&self, plan: &TablePlan, full: bool) -> Exposure {
        self.exposure.exposure(plan, self.rows, full)
    }

    /// Writes the counts into the plan, with what of the unreadable values was accepted before; those are no evidence
    /// for the gate.
    pub(super) fn write(
        &mut self,
        plan: &mut TablePlan,
        full: bool,
        accepted: &(dyn Fn(&TableName, &str) -> u64 + Send + Sync),
    ) {
        plan.sampled_rows = self.rows;
        plan.rows_estimate = if full { self.rows } else { plan.rows_estimate.max(self.rows) };
        let share = if plan.rows_estimate == 0 { 1.0 } else { self.rows as f64 / plan.rows_estimate as f64 };
        let name = plan.name.clone();
        let columns = plan.columns.iter_mut().map(|column| (&column.column, &mut column.sample));
        let hashes = plan.blind_indexes.iter_mut().map(|index| (&index.column, &mut index.sample));
        for (slot, (column, sample)) in self.slots.iter_mut().zip(columns.chain(hashes)) {
            let expected = accepted_in_sample(accepted(&name, column), share);
            slot.counts.accepted = expected.min(slot.counts.unreadable);
            slot.gate.fails = slot.gate.fails.saturating_sub(slot.counts.accepted);
            *sample = slot.counts;
        }
    }
}

/// How many of a column's accepted values a sample of that share of its rows can hold: all of them in a full reading,
/// else the expected number with room for chance. A sample full of failures is never excused by values accepted
/// elsewhere.
fn accepted_in_sample(accepted: u64, share: f64) -> u64 {
    if share >= 1.0 || accepted == 0 {
        return accepted;
    }
    let expected = accepted as f64 * share;
    accepted.min((expected + 4.0 * expected.sqrt() + 3.0).ceil() as u64)
}

impl Slot {
    fn add(&mut self, class: Class) {
        self.counts.seen += 1;
        match class {
            Class::Null => self.counts.null += 1,
            Class::Empty => self.counts.empty += 1,
            Class::Plaintext => self.counts.plaintext += 1,
            Class::Mismatched => self.counts.mismatched += 1,
            Class::Old => {
                self.counts.old += 1;
                self.gate.opens_old += 1;
            }
            Class::New => {
                self.counts.new += 1;
                self.gate.opens_new += 1;
            }
            Class::Unreadable(refusal) => {
                self.counts.unreadable += 1;
                match refusal {
                    Refusal::Damaged => self.damaged += 1,
                    // Its outer layer opened.
                    Refusal::Nested | Refusal::Undeclared | Refusal::Embedded => self.gate.opens_new += 1,
                    Refusal::Unreadable | Refusal::ResealMismatch => self.gate.fails += 1,
                    Refusal::OtherPair => {
                        self.other_pair += 1;
                        self.gate.fails += 1;
                    }
                    Refusal::Plaintext => {}
                }
            }
        }
    }
}

/// What the tally of one table says, column by column.
pub(super) fn findings(plan: &TablePlan, tally: &Tally, key: Option<&PlanKey>, ceiling: Ceiling) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (column, slot) in plan.columns.iter().zip(&tally.slots) {
        let found = [
            wrong_key(slot, key, &plan.key, ceiling),
            unopened(slot, key),
            other_pair(slot, &plan.key),
            near_miss(slot),
            nested(slot, column.nesting_max),
            undeclared(slot, &column.read),
            embedded(slot),
            refused_plaintext(slot, column.plaintext),
            overflow(slot),
        ];
        findings.extend(found.into_iter().flatten().map(|finding| finding.on(&plan.name).at(&column.column)));
    }
    for (index, slot) in plan.blind_indexes.iter().zip(&tally.slots[plan.columns.len()..]) {
        let found = [other_pair(slot, &plan.key), overflow(slot)];
        findings.extend(found.into_iter().flatten().map(|finding| finding.on(&plan.name).at(&index.column)));
    }
    findings
}

/// The gate: without the old key nothing can be said about it.
fn wrong_key(slot: &Slot, key: Option<&PlanKey>, pair: &str, ceiling: Ceiling) -> Option<Finding> {
    let old = key?.old?;
    let GateCounts { opens_new, opens_old, fails } = slot.gate;
    // Without the new key nothing tells what was rotated already from what another key is needed for.
    let may_be_rotated = key?.new.is_none() && opens_old > 0;
    if may_be_rotated || !slot.gate.refused(ceiling) {
        return None;
    }
    let new = key?.new.map_or_else(|| "not given".to_owned(), |print| print.to_string());
    let reason = if opens_old == 0 && opens_new > 0 {
        "nothing opens under the old key and some under the new: old and new may be swapped, or this is the old key of another time"
    } else if opens_old == 0 && key?.new.is_none() {
        "this is not their key, unless they were rotated already (give the new key too)"
    } else if opens_old == 0 {
        "this is not their key"
    } else {
        "too many for damage: some stand under another key"
    };
    let message = format!(
        "of {shaped} values with the format's exact shape {opens_old} open under the old key, {opens_new} under the new and {fails} under \
         neither; {reason}. Old key {old}, new key {new}. Check where pair {pair} takes its keys from, how they are decoded, and the \
         column's format",
        shaped = slot.gate.shaped(),
        pair = shown(pair),
    );
    Some(Finding::fail("wrong_key", message))
}

/// Without the new key: what the old one does not open.
fn unopened(slot: &Slot, key: Option<&PlanKey>) -> Option<Finding> {
    let GateCounts { opens_old, fails, .. } = slot.gate;
    let message = format!(
        "of {} with the format's exact shape {fails} do not open under the old key, and no new key was given: they are rotated already, or stand \
         under another key. Give the new key too, to tell which",
        counted(slot.gate.shaped(), "value", "values"),
    );
    let found = key?.new.is_none() && opens_old > 0 && fails > 0;
    found.then(|| Finding::warn("unopened_values", message))
}

fn other_pair(slot: &Slot, pair: &str) -> Option<Finding> {
    let (other, seen) = (slot.other_pair, slot.counts.seen);
    let message = format!(
        "{other} of {} read stand under the old key of another pair than {}, the table's: a run leaves them as they are, and that \
         key stays needed. They are rotated by a run in which the table's pair has that old key and this new one",
        counted(seen, "value", "values"),
        shown(pair)
    );
    (other > 0).then(|| Finding::warn("other_pair", message))
}

fn near_miss(slot: &Slot) -> Option<Finding> {
    let (damaged, seen) = (slot.damaged, slot.counts.seen);
    let message = format!(
        "{damaged} of {} read are almost of the format's shape: damaged ciphertext, which a run leaves as it is and quarantines",
        counted(seen, "value", "values")
    );
    (damaged > 0).then(|| Finding::warn("near_miss", message))
}

fn nested(slot: &Slot, nesting_max: u8) -> Option<Finding> {
    let nested = slot.rehearsed.nested;
    let message = format!(
        "{nested} of the sampled values hold another ciphertext inside, encrypted more often than nesting_max = {nesting_max} declares: a \
         run quarantines them and the old key stays needed. Declare `nesting_max = {}`",
        nesting_max.saturating_add(1)
    );
    (nested > 0).then(|| Finding::warn("nested_values", message))
}

fn undeclared(slot: &Slot, read: &[String]) -> Option<Finding> {
    let (undeclared, format) = (slot.rehearsed.undeclared, slot.rehearsed.undeclared_format.as_deref()?);
    let declared: Vec<_> = read.iter().map(|name| shown(name)).collect();
    let message = format!(
        "{undeclared} of the sampled values open under the old key, but as {}, not as {}, which is declared: a run would leave them under \
         the old key. Name in `read` every format that the column holds",
        shown(format),
        declared.join(" or ")
    );
    Some(Finding::fail("undeclared_format", message))
}

fn embedded(slot: &Slot) -> Option<Finding> {
    let embedded = slot.rehearsed.embedded;
    let message = format!(
        "{embedded} of the sampled values are longer texts with ciphertext of the old key inside: this version rotates whole values alone, a run \
         quarantines them and the old key stays needed"
    );
    (embedded > 0).then(|| Finding::warn("embedded_ciphertext", message))
}

fn refused_plaintext(slot: &Slot, policy: reencrypt_crypto::PlaintextPolicy) -> Option<Finding> {
    let (plaintext, seen) = (slot.counts.plaintext, slot.counts.seen);
    let message = format!(
        "{plaintext} of {} read are not encrypted, and the column refuses plaintext: a run quarantines them. Declare `plaintext \
         = \"keep\"` to leave them, or \"encrypt\" to encrypt them",
        counted(seen, "value", "values")
    );
    let refused = policy == reencrypt_crypto::PlaintextPolicy::Refuse && plaintext > 0;
    refused.then(|| Finding::warn("plaintext_refused", message))
}

fn overflow(slot: &Slot) -> Option<Finding> {
    let (longest, max) = (slot.rehearsed.longest as u64, u64::from(slot.length_max?));
    let message = format!(
        "the longest new value of the sample has {longest} characters, the column holds {max}: widen the column"
    );
    (longest > max).then(|| Finding::fail("varchar_overflow", message))
}

/// Pairs under whose old key nothing of the sample stands, while something stands under the new one: a finished run, or
/// swapped keys.
pub(super) fn nothing_old(plan: &Plan) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (pair, key) in &plan.keys {
        let (Some(old), Some(new)) = (key.old, key.new) else { continue };
        let columns = plan.tables.iter().filter(|table| table.key == *pair).flat_map(|table| &table.columns);
        let (of_old, of_new) = columns.fold((0, 0), |(o, n), column| (o + column.sample.old, n + column.sample.new));
        if of_old == 0 && of_new > 0 {
            let message = format!(
                "pair {}: no sampled value stands under the old key {old}, all that open stand under the new key {new}. The rotation is done, \
                 or old and new are swapped",
                shown(pair)
            );
            findings.push(Finding::warn("nothing_old", message));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(classes: &[(Class, usize)]) -> Slot {
        let mut slot = Slot::default();
        for &(class, times) in classes {
            (0..times).for_each(|_| slot.add(class));
        }
        slot
    }

    #[test]
    fn plaintext_null_and_near_misses_are_no_evidence_for_the_gate() {
        let seen = slot(&[
            (Class::Null, 5),
            (Class::Empty, 5),
            (Class::Plaintext, 50),
            (Class::Unreadable(Refusal::Damaged), 50),
        ]);
        assert_eq!(seen.gate, GateCounts::default());
        assert_eq!((seen.counts.seen, seen.counts.unreadable, seen.damaged), (110, 50, 50));
        let seen = slot(&[(Class::Old, 3), (Class::New, 2), (Class::Unreadable(Refusal::Unreadable), 1)]);
        assert_eq!(seen.gate, GateCounts { opens_new: 2, opens_old: 3, fails: 1 });
    }

    #[test]
    fn accepted_values_excuse_no_more_failures_than_a_sample_can_hold() {
        assert_eq!(accepted_in_sample(7, 1.0), 7);
        assert_eq!(accepted_in_sample(0, 0.5), 0);
        assert!(accepted_in_sample(10_000, 0.001) < 30, "a wrong key fails a thousand times");
        assert!(accepted_in_sample(10_000, 0.001) >= 10);
    }

    #[test]
    fn an_overflow_is_a_failure_and_a_fit_is_none() {
        let rehearsed = Rehearsed { longest: 60, ..Rehearsed::default() };
        let narrow = Slot { length_max: Some(59), rehearsed, ..Slot::default() };
        assert_eq!(overflow(&narrow).map(|finding| finding.code), Some("varchar_overflow".into()));
        assert_eq!(overflow(&Slot { length_max: Some(60), ..narrow.clone() }), None);
        assert_eq!(overflow(&Slot { length_max: None, ..narrow }), None);
    }
}
