//! Every value is accounted for.
use crate::Error;
use reencrypt_crypto::Outcome;
use std::ops::AddAssign;

/// What became of one slot's values in one pass: the other members add up to `seen`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PassCounts {
    /// all
    pub seen: u64,
    /// given a new value
    pub rotated: u64,
    /// found new (a hash: found right)
    pub already_new: u64,
    /// NULL
    pub null: u64,
    /// empty
    pub empty: u64,
    /// kept plaintext
    pub plaintext: u64,
    /// left alone
    pub quarantined: u64,
    /// the row was gone
    pub vanished: u64,
    /// a hash left although it does not fit
    pub mismatched: u64,
}

impl PassCounts {
    /// Counts one settled field.
    pub(crate) fn add(&mut self, outcome: Outcome) {
        self.seen += 1;
        *match outcome {
            Outcome::Null => &mut self.null,
            Outcome::Empty => &mut self.empty,
            Outcome::AlreadyNew => &mut self.already_new,
            Outcome::Plaintext => &mut self.plaintext,
            Outcome::Rotated => &mut self.rotated,
            Outcome::Quarantined(_) => &mut self.quarantined,
            Outcome::Mismatched => &mut self.mismatched,
        } += 1;
    }

    /// Counts one field that is left although a new value is at hand.
    pub(crate) fn add_quarantined(&mut self) {
        self.seen += 1;
        self.quarantined += 1;
    }

    fn members(&self) -> [u64; 9] {
        [
            self.seen,
            self.rotated,
            self.already_new,
            self.null,
            self.empty,
            self.plaintext,
            self.quarantined,
            self.vanished,
            self.mismatched,
        ]
    }

    fn from_members(m: [u64; 9]) -> Self {
        let [seen, rotated, already_new, null, empty, plaintext, quarantined, vanished, mismatched] = m;
        Self { seen, rotated, already_new, null, empty, plaintext, quarantined, vanished, mismatched }
    }
}

impl AddAssign for PassCounts {
    fn add_assign(&mut self, other: Self) {
        let mut sum = self.members();
        for (sum, other) in sum.iter_mut().zip(other.members()) {
            *sum += other;
        }
        *self = Self::from_members(sum);
    }
}

/// The counts of every slot of a table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SlotCounts(pub(crate) Vec<PassCounts>);

impl SlotCounts {
    pub(crate) fn new(slots: usize) -> Self {
        Self(vec![PassCounts::default(); slots])
    }

    /// Counts a row that was gone before it could be written.
    pub(crate) fn add_vanished(&mut self) {
        for slot in &mut self.0 {
            slot.seen += 1;
            slot.vanished += 1;
        }
    }

    /// As the store keeps it: an array a slot.
    pub(crate) fn to_json(&self) -> Result<String, Error> {
        let members: Vec<_> = self.0.iter().map(PassCounts::members).collect();
        serde_json::to_string(&members).map_err(|_| Error::bug("counts that cannot be written"))
    }

    /// From the store; a chunk that has settled nothing yet has none.
    pub(crate) fn from_json(text: &str, slots: usize) -> Result<Self, Error> {
        let members: Vec<[u64; 9]> =
            serde_json::from_str(text).map_err(|_| reencrypt_checkpoint::Error::Unreadable { what: "count" })?;
        if members.is_empty() {
            return Ok(Self::new(slots));
        }
        if members.len() != slots {
            return Err(reencrypt_checkpoint::Error::Unreadable { what: "count" }.into());
        }
        Ok(Self(members.into_iter().map(PassCounts::from_members).collect()))
    }
}

impl AddAssign<&SlotCounts> for SlotCounts {
    fn add_assign(&mut self, other: &SlotCounts) {
        for (sum, other) in self.0.iter_mut().zip(&other.0) {
            *sum += *other;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reencrypt_crypto::Refusal;

    #[test]
    fn every_outcome_is_counted_once_and_all_add_up_to_seen() {
        let outcomes = [
            Outcome::Null,
            Outcome::Empty,
            Outcome::AlreadyNew,
            Outcome::Plaintext,
            Outcome::Rotated,
            Outcome::Quarantined(Refusal::Damaged),
            Outcome::Mismatched,
        ];
        let mut counts = SlotCounts::new(1);
        for outcome in outcomes {
            counts.0[0].add(outcome);
        }
        counts.add_vanished();
        let members = counts.0[0].members();
        assert_eq!(members, [8, 1, 1, 1, 1, 1, 1, 1, 1]);
        assert_eq!(members[0], members[1..].iter().sum::<u64>());
        assert_eq!(SlotCounts::from_json(&counts.to_json().unwrap(), 1).unwrap(), counts);
        assert!(SlotCounts::from_json(&counts.to_json().unwrap(), 2).is_err());
        assert_eq!(SlotCounts::from_json("[]", 3).unwrap(), SlotCounts::new(3));
    }
}
