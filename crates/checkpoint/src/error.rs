//! What can go wrong with the store.

/// A store error.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database refused or failed.
    #[error(transparent)]
    Database(#[from] reencrypt_db::Error),
    /// The checkpoint is not one that this version wrote: somebody edited it, or another version did.
    #[error("the checkpoint store holds a {what} that this version cannot read")]
    Unreadable {
        /// which part
        what: &'static str,
    },
    /// Tables of the store are gone; where none is named, all of them.
    #[error("{}. {}, but no run can go on by what is left", gone(missing), UNHARMED)]
    Gone {
        /// which
        missing: Vec<String>,
        /// what is left, each table before those that it refers to
        left: Vec<String>,
    },
}

/// What holds whatever becomes of the store.
pub const UNHARMED: &str = "No value is lost or half-written, since each batch was one transaction with its checkpoint";

fn gone(missing: &[String]) -> String {
    match missing {
        [] => "the checkpoint store is gone".to_owned(),
        [table] => format!("table {table} of the checkpoint store is gone"),
        tables => format!("tables {} of the checkpoint store are gone", tables.join(", ")),
    }
}

impl Error {
    /// The stable code of `error.code` in JSON.
    pub fn code(&self) -> &str {
        match self {
            Error::Database(error) => error.code(),
            Error::Unreadable { .. } => "store_unreadable",
            Error::Gone { .. } => "store_gone",
        }
    }

    /// The next thing to do.
    pub fn hint(&self) -> Option<String> {
        match self {
            Error::Database(error) => error.hint(),
            Error::Unreadable { .. } => {
                Some("use the version of reencrypt that wrote it, or end that run with `reencrypt abandon`".to_owned())
            }
            Error::Gone { left, .. } => {
                let drop: Vec<_> = left.iter().map(|table| format!("DROP TABLE {table};")).collect();
                let first = match drop.join(" ") {
                    drop if drop.is_empty() => drop,
                    drop => format!(
                        "copy what you need of it (docs/resume.md: acceptances, and the nonces that are used up), drop what is left as its owner, \
                         `{drop}`, then "
                    ),
                };
                Some(format!(
                    "{first}`reencrypt run` with both keys starts a new run, which leaves alone what stands under the new key already and \
                     rotates the rest"
                ))
            }
        }
    }
}
