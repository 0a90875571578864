//! Why there is no plan.
use crate::nearest::shown;
use reencrypt_crypto::Fingerprint;
use reencrypt_db::TableName;

/// A configuration or catalog error: exit code 2 (for `plan`, what it can state becomes a finding instead).
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database.
    #[error(transparent)]
    Database(#[from] reencrypt_db::Error),
    /// The configuration's text. Never holds a value that might be a secret.
    #[error("configuration{}: {place}: {problem}", .line.map(|line| format!(", line {line}")).unwrap_or_default())]
    Configuration {
        /// The member, for example `table Patient, column email`.
        place: String,
        /// Where the text gives one.
        line: Option<usize>,
        /// What is wrong there.
        problem: String,
        /// What to write instead.
        hint: String,
    },
    /// `--table` names a table that the configuration has not.
    #[error("the configuration has no table {}", shown(.name))]
    UnknownTable {
        /// As typed.
        name: String,
        /// Those it has.
        known: Vec<String>,
    },
    /// A table's columns, types or row key are not those of the plan.
    #[error("table {table} has changed since the plan was made: {difference}")]
    SchemaChanged {
        /// The table.
        table: TableName,
        /// In words.
        difference: String,
    },
    /// A key is not the one of the plan.
    #[error("the {side} key of pair {} has fingerprint {found}, the plan was made with {expected}", shown(.pair))]
    KeyChanged {
        /// The pair.
        pair: String,
        /// `old` or `new`.
        side: &'static str,
        /// Of the plan.
        expected: Fingerprint,
        /// Of the key that was given.
        found: Fingerprint,
    },
    /// A pair of the plan was not given.
    #[error("no key is given for pair {}", shown(.pair))]
    KeyMissing {
        /// The pair.
        pair: String,
    },
    /// A format cannot be used with the keys that were given.
    #[error("{place}: {source}")]
    Format {
        /// Table and column.
        place: String,
        /// Why.
        source: reencrypt_crypto::LayoutError,
    },
    /// A plan names a format that it does not declare and that is no preset.
    #[error("the plan names the format {}, which this version does not know", shown(.format))]
    UnknownFormat {
        /// The name.
        format: String,
    },
    /// A plan's text that is no plan of this version.
    #[error("the plan cannot be read: {problem}")]
    PlanUnreadable {
        /// Why.
        problem: String,
    },
    /// The random generator of the operating system.
    #[error("the operating system gives no random bytes")]
    Random,
    /// A thread of the cryptography ended without a result: a bug.
    #[error("a worker thread of the cryptography ended without a result")]
    Worker,
}

impl Error {
    /// The stable code of `error.code` in JSON.
    pub fn code(&self) -> &'static str {
        match self {
            Error::Database(e) => e.code(),
            Error::Configuration { .. } => "configuration",
            Error::UnknownTable { .. } => "table_unknown",
            Error::SchemaChanged { .. } => "schema_changed",
            Error::KeyChanged { .. } => "key_changed",
            Error::KeyMissing { .. } => "key_missing",
            Error::Format { .. } => "format",
            Error::UnknownFormat { .. } => "format_unknown",
            Error::PlanUnreadable { .. } => "plan_unreadable",
            Error::Random => "random",
            Error::Worker => "internal",
        }
    }

    /// The next thing to do.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Error::Database(e) => return e.hint(),
            Error::Configuration { hint, .. } => hint.clone(),
            Error::UnknownTable { name, known } => {
                let known: Vec<&str> = known.iter().map(String::as_str).collect();
                match crate::nearest::nearest(name, known.iter().copied()) {
                    Some(nearest) => format!("did you mean `--table {nearest}`?"),
                    None => format!("its tables: {}", known.join(", ")),
                }
            }
            Error::SchemaChanged { .. } => "take the change back, and `reencrypt run --resume` goes on; or keep it: `reencrypt abandon` ends a run \
                 that was begun before it (what was rotated stays, both keys stay needed), `reencrypt plan` shows the table as it is now, and \
                 a new run rotates what is left"
                .into(),
            Error::KeyChanged { .. } => {
                "give the keys that the plan was made with; `reencrypt plan` prints the fingerprints".into()
            }
            Error::KeyMissing { pair } => {
                format!("give at least one of `old` and `new` in [key.{pair}] a secret that is present")
            }
            Error::Format { .. } => {
                "the key's length must fit the format's cipher; `reencrypt formats` lists the formats".into()
            }
            Error::UnknownFormat { .. } | Error::PlanUnreadable { .. } => {
                "make a new plan with `reencrypt plan --out FILE`".into()
            }
            Error::Random | Error::Worker => return None,
        })
    }
}
