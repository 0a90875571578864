//! The result of a command, in the shape that scripts rely on (`docs/cli` has the contract).
use jiff::Timestamp;
use reencrypt_crypto::Fingerprint;
use reencrypt_planner::{Estimate, Exposure, Finding, Order};
use serde::Serialize;

/// State of a run, or of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// not started
    Planned,
    /// a worker is on it
    Running,
    /// no live worker
    Stalled,
    /// asked to wait
    Paused,
    /// stopped by a signal
    Interrupted,
    /// the old key is still being written with
    AwaitingCutover,
    /// nothing old was found by the last sweep
    Finished,
    /// could not go on
    Failed,
    /// ended for good by a person
    Abandoned,
}

/// One JSON document. `plan`, `run`, `sweep`, `status` and `verify` share it.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// which command
    pub command: &'static str,
    /// none for plan, and for verify without a run
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// none where there is no plan
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan_id: Option<String>,
    /// none for verify
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
    /// 0 or 1; 2 stands with `error`; 130
    pub exit_code: u8,
    /// `[environment] name`
    pub environment: String,
    /// fingerprints
    pub keys: Vec<KeyReport>,
    /// of the run
    pub started_at: Option<Timestamp>,
    /// of the run
    pub finished_at: Option<Timestamp>,
    /// when a sweep last found an old value
    pub last_old_value_seen_at: Option<Timestamp>,
    /// one per pass
    pub passes: Vec<PassReport>,
    /// one per table
    pub tables: Vec<TableReport>,
    /// of plan and verify
    pub findings: Vec<Finding>,
    /// of plan: what stands under the old key
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exposure: Vec<Exposure>,
    /// of plan
    #[serde(skip_serializing_if = "Option::is_none")]
    pub estimate: Option<Estimate>,
    /// of verify: `Some(None)` is null, cannot be said
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old_key_needed: Option<Option<bool>>,
    /// of verify; and of a state that needs explaining
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// the next command to type, where there is one
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// only with exit 2
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Problem>,
}
/// A pair's fingerprints.
#[derive(Debug, Clone, Serialize)]
pub struct KeyReport {
    /// pair
    pub name: String,
    /// old
    pub old: Option<Fingerprint>,
    /// new
    pub new: Option<Fingerprint>,
    /// which version of its secret the old key is, where it stands in one with versions
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old_version: Option<String>,
    /// which version of its secret the new key is
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new_version: Option<String>,
}
/// One pass, summed over tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct PassReport {
    /// 1 is the first, then sweeps
    pub pass: u32,
    /// fields seen
    pub seen: u64,
    /// fields given a new value: the sum of the columns' counts
    pub rotated: u64,
    /// blind indexes given a new value
    pub hashes_rewritten: u64,
}
/// One table.
#[derive(Debug, Clone, Serialize)]
pub struct TableReport {
    /// `schema.table`
    pub table: String,
    /// rows visited
    pub rows: u64,
    /// of this process's work, where it worked
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows_per_second: Option<f64>,
    /// `key` or `waves`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<Order>,
    /// why
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_reason: Option<String>,
    /// encrypted columns
    pub columns: Vec<ColumnReport>,
    /// hashes
    pub blind_indexes: Vec<BlindIndexReport>,
}
/// One column. For run: the first pass, and they add up to `seen`. For plan and verify the members `old`, `new`, `unreadable`, `mislabelled` stand instead of the run's.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum ColumnReport {
    /// of run, sweep and status
    Run {
        /// name
        column: String,
        /// JSON member
        path: Option<String>,
        /// written
        format: String,
        /// all
        seen: u64,
        /// old -> new (and encrypted plaintext where configured)
        rotated: u64,
        /// found new
        already_new: u64,
        /// NULL
        null: u64,
        /// empty
        empty: u64,
        /// kept
        plaintext: u64,
        /// left alone
        quarantined: u64,
        /// gone before it could be written
        vanished: u64,
        /// in later passes
        rotated_in_sweeps: u64,
        /// part of quarantined
        accepted: u64,
    },
    /// of plan and verify
    Classes {
        /// name
        column: String,
        /// JSON member
        path: Option<String>,
        /// written
        format: String,
        /// data kind
        #[serde(skip_serializing_if = "Option::is_none")]
        kind: Option<reencrypt_planner::Kind>,
        /// counts
        #[serde(flatten)]
        counts: reencrypt_planner::ClassCounts,
    },
}
/// One blind index.
#[derive(Debug, Clone, Serialize)]
pub struct BlindIndexReport {
    /// the hash's column
    pub column: String,
    /// the encrypted column
    pub of: String,
    /// given a new value (run), all passes
    pub rewritten: u64,
    /// equal to the old key's value (plan, verify)
    pub old: u64,
    /// neither key's value of its field
    pub mismatched: u64,
}
/// An error for a script.
#[derive(Debug, Clone, Serialize)]
pub struct Problem {
    /// stable
    pub code: String,
    /// what, which, why
    pub message: String,
    /// the next command
    pub hint: Option<String>,
}
