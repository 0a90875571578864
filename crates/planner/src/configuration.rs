//! `reencrypt.toml` as a type that cannot be wrong. References to secrets stay unresolved.
mod doctor;
mod members;
mod reading;
mod reference;
mod table;
mod writing;

pub use doctor::{SecretForm, SecretSettings};

use crate::Error;
use reencrypt_crypto::{BlindIndexSpec, LayoutSpec, PlaintextPolicy};
use std::collections::BTreeMap;

/// A place that holds a secret, as written: a string (`env:NAME`, `file:PATH`, `aws-secretsmanager:ID#property@STAGE`), a table `{ from, decode,
/// take }`, or a data key that AWS KMS unwraps, `{ kms, key_id, context }`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Reference {
    /// the place; a literal is refused without being repeated
    pub from: String,
    /// hex (default), base64, raw
    pub decode: Option<String>,
    /// only the first so many bytes
    pub take: Option<usize>,
    /// the place holds a data key that this KMS key wrapped
    pub wrapped_by: Option<WrappedBy>,
}

/// What unwraps a data key.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct WrappedBy {
    /// id, ARN or alias of the one KMS key that may
    pub key_id: String,
    /// the encryption context that it was wrapped with
    pub context: BTreeMap<String, String>,
}

/// `[environment]`
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EnvironmentSettings {
    /// part of the plan's id; `production` asks for more
    pub name: Option<String>,
    /// until when old ciphertext may persist in backups
    pub backup_retention_days: Option<u32>,
}

/// `[database]`
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DatabaseSettings {
    /// default: DIRECT_DATABASE_URL, DIRECT_URL, DATABASE_URL
    pub url: Option<Reference>,
    /// the path of a PEM file, written `file:PATH`
    pub ca: Option<String>,
    /// verify-full, verify-ca, require, disable
    pub tls: Option<String>,
}

/// `[key.NAME]`
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeySettings {
    /// the key that values stand under
    pub old: Option<Reference>,
    /// the key they shall stand under
    pub new: Option<Reference>,
    /// nonces of the new key that the application has used already
    pub prior_invocations: u64,
}

/// Whose harm a column is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// who somebody is
    Identity,
    /// how to reach them
    Contact,
    /// health
    Clinical,
    /// tokens and passwords: re-encryption does not help, the issuer must revoke
    Credential,
    /// cards and accounts
    Payment,
}

/// One encrypted column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnSettings {
    /// name in the catalog
    pub column: String,
    /// format names read (presets or layouts)
    pub read: Vec<String>,
    /// format name written
    pub write: String,
    /// refuse by default
    pub plaintext: PlaintextPolicy,
    /// 1 by default
    pub nesting_max: u8,
    /// for the exposure report
    pub kind: Option<Kind>,
    /// the name that derivation and associated data know
    pub column_alias: Option<String>,
}

/// One blind index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlindIndexSettings {
    /// the column that holds the hash
    pub column: String,
    /// the encrypted column that it hashes
    pub of: String,
    /// how
    pub spec: BlindIndexSpec,
}

/// What triggers that an UPDATE fires mean for a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TriggerPolicy {
    /// A table with such a trigger is not rotated.
    #[default]
    Refuse,
    /// They may fire, once a rewritten row.
    Allow,
}

/// One table, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableSettings {
    /// as written: `Patient` or `schema.Patient`
    pub name: String,
    /// which pair; may be left out when there is one
    pub key: Option<String>,
    /// overrides the primary key
    pub row_key: Option<Vec<String>>,
    /// whose data it is
    pub subject: Option<String>,
    /// for derivation
    pub table_alias: Option<String>,
    /// whether triggers that an UPDATE fires are accepted
    pub triggers: TriggerPolicy,
    /// at least one
    pub columns: Vec<ColumnSettings>,
    /// beside them
    pub blind_indexes: Vec<BlindIndexSettings>,
}

/// `[doctor]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DoctorSettings {
    /// the application's secrets beside the database URL and the key pairs
    pub secrets: Vec<SecretSettings>,
}

impl Default for DoctorSettings {
    fn default() -> Self {
        Self { secrets: doctor::default_secrets() }
    }
}

/// The whole file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Configuration {
    /// `[environment]`
    pub environment: EnvironmentSettings,
    /// `[database]`
    pub database: DatabaseSettings,
    /// `[key.*]`; without any, `default` from OLD_KEY and NEW_KEY
    pub keys: BTreeMap<String, KeySettings>,
    /// `[[table]]`
    pub tables: Vec<TableSettings>,
    /// `[layout.*]`
    pub layouts: BTreeMap<String, LayoutSpec>,
    /// `[doctor]`
    pub doctor: DoctorSettings,
}

impl Configuration {
    /// Parses TOML text. Unknown members are errors that name the nearest known one; what the documents describe and
    /// this version does not bring (json, where, set, tripwire, audit, ...) is an error that says so. Errors hold
    /// a line and a place, never a value that might be a secret.
    pub fn parse(text: &str) -> Result<Self, Error> {
        reading::read(text)
    }

    /// What stands without a file: `[key.default]` from `env:OLD_KEY` and `env:NEW_KEY`, no tables (discovery fills
    /// them).
    pub fn from_environment() -> Self {
        Self { keys: reading::default_pair(), ..Self::default() }
    }

    /// TOML text that parses to `self`, with comments for a person.
    pub fn to_toml(&self) -> String {
        writing::write(self)
    }

    /// The pair of `table`: the one it names, or the only one there is.
    pub fn pair_of<'a>(&'a self, table: &'a TableSettings) -> &'a str {
        match (&table.key, self.keys.keys().next()) {
            (Some(key), _) => key,
            (None, Some(only)) => only,
            (None, None) => DEFAULT_PAIR,
        }
    }
}

/// The pair that stands where no configuration names one.
pub(crate) const DEFAULT_PAIR: &str = "default";

#[cfg(test)]
mod tests;
