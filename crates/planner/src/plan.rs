//! The plan: built read-only, printable, fingerprinted, then executed.
mod approval;

use crate::{
    BlindIndexSettings, ClassCounts, ColumnSettings, Error, Exposure, Finding, Kind, Order, TableSettings,
    TriggerPolicy,
};
use reencrypt_crypto::{BlindIndexSpec, Fingerprint, Format, LayoutSpec, PlaintextPolicy};
use reencrypt_db::{Identity, TableName};
use std::collections::BTreeMap;

/// The version of a plan's shape that this version of the tool makes and reads.
pub(crate) const VERSION: u32 = 1;

/// What a run will touch. `id` is the SHA-256 (hex) over scope, formats, policies, fingerprints, schema hashes and
/// environment: never over counts, estimates, findings or addresses of a pooler. Round-trips through JSON (`plan
/// --out`, the run's row in the store).
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
    /// what stands under the old key, where it is at hand; not part of the id
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exposure: Vec<Exposure>,
}
/// Fingerprints of a pair, and where its keys stand in a secret with versions, which versions those are.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PlanKey {
    /// old
    pub old: Option<Fingerprint>,
    /// new
    pub new: Option<Fingerprint>,
    /// which version of its secret the old key is; not part of the id
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old_version: Option<String>,
    /// which version of its secret the new key is; not part of the id
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_version: Option<String>,
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
    /// SHA-256 (hex) of columns, types, row key, and the unique indexes on its slots
    pub schema_hash: String,
    /// encrypted columns: slots 0..
    pub columns: Vec<ColumnPlan>,
    /// slots after the columns
    pub blind_indexes: Vec<BlindIndexPlan>,
    /// whose data
    pub subject: Option<String>,
    /// for derivation
    pub table_alias: Option<String>,
    /// whether triggers may fire
    #[serde(default)]
    pub triggers: TriggerPolicy,
    /// not part of the id; the order of writing in the first pass, as the catalog is now
    pub order: Order,
    /// not part of the id; why
    #[serde(default)]
    pub order_reason: String,
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
    /// Reads a plan that was written as JSON. Refuses another version of the shape, and a text whose id is not that of
    /// its content.
    pub fn from_json(text: &str) -> Result<Self, Error> {
        #[derive(serde::Deserialize)]
        struct Head {
            version: u32,
        }
        // What serde says can hold a piece of the text.
        let unreadable =
            |e: serde_json::Error| Error::PlanUnreadable { problem: format!("line {} is no plan", e.line()) };
        let head: Head = serde_json::from_str(text).map_err(unreadable)?;
        if head.version != VERSION {
            let problem = format!("it is of version {}, this version reads {VERSION}", head.version);
            return Err(Error::PlanUnreadable { problem });
        }
        let plan: Plan = serde_json::from_str(text).map_err(unreadable)?;
        if plan.id != approval::id(&plan) {
            return Err(Error::PlanUnreadable { problem: "its id is not that of its content".into() });
        }
        Ok(plan)
    }

    /// The worst severity, if any.
    pub fn has_failures(&self) -> bool {
        self.findings.iter().any(|f| f.severity == crate::Severity::Fail)
    }

    /// The first difference in what the id covers, in words, or `None`.
    pub fn first_difference(&self, other: &Plan) -> Option<String> {
        approval::first_difference(self, other)
    }

    /// The configuration's tables from which this plan was made, as far as the id covers them. A run that was started
    /// from a discovery goes on with these: another discovery of half-rotated data may find something else.
    pub fn table_settings(&self) -> Vec<TableSettings> {
        self.tables.iter().map(TablePlan::settings).collect()
    }

    /// The format of that name: a layout of the plan, or a preset.
    pub(crate) fn format(&self, name: &str) -> Result<Format, Error> {
        let unknown = || Error::UnknownFormat { format: name.to_owned() };
        match self.layouts.get(name) {
            Some(spec) => Format::compile(name, spec).map_err(|_| unknown()),
            None => Format::preset(name).ok_or_else(unknown),
        }
    }

    /// Gives the plan the id of its content.
    pub(crate) fn seal(mut self) -> Self {
        self.id = approval::id(&self);
        self
    }
}

impl TablePlan {
    /// The names of the slots: the encrypted columns, then the blind indexes.
    pub fn slots(&self) -> Vec<String> {
        let hashes = self.blind_indexes.iter().map(|index| index.column.clone());
        self.columns.iter().map(|column| column.column.clone()).chain(hashes).collect()
    }

    fn settings(&self) -> TableSettings {
        let column = |column: &ColumnPlan| ColumnSettings {
            column: column.column.clone(),
            read: column.read.clone(),
            write: column.write.clone(),
            plaintext: column.plaintext,
            nesting_max: column.nesting_max,
            kind: column.kind,
            column_alias: column.column_alias.clone(),
        };
        let index = |index: &BlindIndexPlan| BlindIndexSettings {
            column: index.column.clone(),
            of: index.of.clone(),
            spec: index.spec.clone(),
        };
        TableSettings {
            name: self.name.qualified(),
            key: Some(self.key.clone()),
            row_key: Some(self.row_key.clone()).filter(|row_key| !row_key.is_empty()),
            subject: self.subject.clone(),
            table_alias: self.table_alias.clone(),
            triggers: self.triggers,
            columns: self.columns.iter().map(column).collect(),
            blind_indexes: self.blind_indexes.iter().map(index).collect(),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
