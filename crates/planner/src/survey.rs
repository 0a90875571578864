//! Counts by class on a sample, and what follows from them: the gate, unlisted columns, overflow, estimates.
use crate::{Ceiling, Configuration, Error, Keyring, Plan};
use reencrypt_crypto::Pool;
use reencrypt_db::{Session, TableName};
use std::sync::Arc;

/// Values of one column by what stands in the database.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct ClassCounts {
    /// all
    pub seen: u64,
    /// opens under the old key on any layer; a hash equal to the old key's value
    pub old: u64,
    /// new key alone
    pub new: u64,
    /// NULL
    pub null: u64,
    /// empty
    pub empty: u64,
    /// no envelope
    pub plaintext: u64,
    /// unreadable, all refusals
    pub unreadable: u64,
    /// of these, accepted residue
    pub accepted: u64,
    /// a key id that disagrees with what opened
    pub mislabelled: u64,
    /// a hash that is neither key's value of its field
    pub mismatched: u64,
}
impl std::ops::AddAssign for ClassCounts {
    fn add_assign(&mut self, o: Self) {
        self.seen += o.seen;
        self.old += o.old;
        self.new += o.new;
        self.null += o.null;
        self.empty += o.empty;
        self.plaintext += o.plaintext;
        self.unreadable += o.unreadable;
        self.accepted += o.accepted;
        self.mislabelled += o.mislabelled;
        self.mismatched += o.mismatched;
    }
}

/// How to sample.
#[derive(Debug, Clone, Copy)]
pub struct SurveyOptions {
    /// values per column, default 1000
    pub sample: u32,
    /// read everything
    pub full: bool,
    /// for the sample
    pub seed: u32,
    /// of the gate
    pub ceiling: Ceiling,
    /// look at columns that the configuration does not name
    pub discover: bool,
}
impl Default for SurveyOptions {
    fn default() -> Self {
        Self { sample: 1000, full: false, seed: 1, ceiling: Ceiling::default(), discover: true }
    }
}

/// Samples every table of the plan across its whole range, fills in `sample`, `sampled_rows` and `estimate`, and adds findings: `wrong_key` by the gate, near-miss and nested values, varchar overflow, `unlisted_ciphertext`, `unexplained_hash`.
/// `accepted` says how many unreadable values of a column were accepted before (they are no evidence for the gate).
pub async fn survey(
    _session: &mut Session,
    _plan: &mut Plan,
    _configuration: &Configuration,
    _keys: &Keyring,
    _pool: &Arc<Pool>,
    _options: SurveyOptions,
    _accepted: &(dyn Fn(&TableName, &str) -> u64 + Send + Sync),
) -> Result<(), Error> {
    unimplemented!()
}
