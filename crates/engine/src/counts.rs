//! Every value is accounted for.
use std::ops::AddAssign;
/// What became of one slot's values in one pass: the members add up to `seen`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
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
impl AddAssign for PassCounts {
    fn add_assign(&mut self, o: Self) {
        self.seen += o.seen;
        self.rotated += o.rotated;
        self.already_new += o.already_new;
        self.null += o.null;
        self.empty += o.empty;
        self.plaintext += o.plaintext;
        self.quarantined += o.quarantined;
        self.vanished += o.vanished;
        self.mismatched += o.mismatched;
    }
}
