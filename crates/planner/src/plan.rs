//! The plan: built read-only, printable, fingerprinted, then executed.
use crate::{ClassCounts, Configuration, Error, Finding, Keyring, Kind};
use reencrypt_crypto::{BlindIndexSpec, Fingerprint, LayoutSpec, PlaintextPolicy};
use reencrypt_db::{Identity, TableName, Transaction};
use std::collections::BTreeMap;

/// What a run will touch. `id` is the SHA-256 (hex) over scope, formats, policies, fingerprints, schema hashes and environment: never over counts, estimates,
/// findings or addresses of a pooler. Round-trips through JSON (`plan --out`, the run's row in the store).
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Plan {
    /// version of this shape; others are refused
    pub version: u32,
    /// what was approved
    pub id: String,
    /// `[environment] name`, `default` where there is none
    pub environment: String,
    /// which database
    pub identity: Identity,
    /// per key pair: old and new fingerprint (absent where that key was not given)
    pub keys: BTreeMap<String, PlanKey>,
    /// in the order of the file
    pub tables: Vec<TablePlan>,
    /// layouts that are no presets
    pub layouts: BTreeMap<String, LayoutSpec>,
    /// sorted: fail first
    pub findings: Vec<Finding>,
    /// over all tables
    pub estimate: Estimate,
}
/// Fingerprints of a pair.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PlanKey {
    /// old
    pub old: Option<Fingerprint>,
    /// new
    pub new: Option<Fingerprint>,
}
/// One table of a plan.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct TablePlan {
    /// resolved in the catalog
    pub name: TableName,
    /// its pair
    pub key: String,
    /// columns of the row key
    pub row_key: Vec<String>,
    /// SHA-256 (hex) of columns, types, row key
    pub schema_hash: String,
    /// encrypted columns: slots 0..
    pub columns: Vec<ColumnPlan>,
    /// slots after the columns
    pub blind_indexes: Vec<BlindIndexPlan>,
    /// whose data
    pub subject: Option<String>,
    /// for derivation
    pub table_alias: Option<String>,
    /// `key` (part 2 adds `waves`)
    pub order: String,
    /// not part of the id
    pub rows_estimate: u64,
    /// not part of the id
    pub heap_bytes: u64,
    /// not part of the id
    pub index_bytes: u64,
    /// not part of the id; rows in the sample
    pub sampled_rows: u64,
}
/// One encrypted column of a plan.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct ColumnPlan {
    /// name
    pub column: String,
    /// formats read
    pub read: Vec<String>,
    /// format written
    pub write: String,
    /// policy
    pub plaintext: PlaintextPolicy,
    /// layers
    pub nesting_max: u8,
    /// kind of data
    pub kind: Option<Kind>,
    /// for derivation
    pub column_alias: Option<String>,
    /// on the sample; not part of the id
    pub sample: ClassCounts,
}
/// One blind index of a plan.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct BlindIndexPlan {
    /// the hash's column
    pub column: String,
    /// the encrypted column
    pub of: String,
    /// how
    pub spec: BlindIndexSpec,
    /// an index depends on it: no HOT updates
    pub indexed: bool,
    /// on the sample; not part of the id
    pub sample: ClassCounts,
}
/// What it will take. Not part of the id.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Estimate {
    /// rows to visit
    pub rows: u64,
    /// values to rotate
    pub values: u64,
    /// chunks
    pub chunks: u64,
    /// seconds, first pass, default settings
    pub seconds: f64,
    /// WAL written
    pub wal_bytes: u64,
    /// growth of heap and indexes until vacuum
    pub growth_bytes: u64,
    /// random-nonce seals under each new key
    pub key_invocations: BTreeMap<String, u64>,
}

impl Plan {
    /// The worst severity, if any.
    pub fn has_failures(&self) -> bool {
        self.findings.iter().any(|f| f.severity == crate::Severity::Fail)
    }
    /// The first difference in what the id covers, in words, or `None`.
    pub fn first_difference(&self, _other: &Plan) -> Option<String> {
        unimplemented!()
    }
}

/// Resolves the configuration in the catalog and makes the plan's value with all preflight findings but without a sample. `tables` (from `--table`) narrows it. What plan can state (missing table or
/// column with the nearest name, no row key, a view, row-level security, privileges, ...) is a `fail` finding, not an error.
/// `for_run`: privileges for writing are checked as failures (for `plan` they are warnings).
pub async fn draft(
    _tx: &mut Transaction<'_>,
    _identity: &Identity,
    _configuration: &Configuration,
    _keys: &Keyring,
    _tables: &[String],
    _for_run: bool,
) -> Result<Plan, Error> {
    unimplemented!()
}
