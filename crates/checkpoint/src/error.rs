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
}

impl Error {
    /// The stable code of `error.code` in JSON.
    pub fn code(&self) -> &str {
        match self {
            Error::Database(error) => error.code(),
            Error::Unreadable { .. } => "store_unreadable",
        }
    }

    /// The next thing to do.
    pub fn hint(&self) -> Option<String> {
        match self {
            Error::Database(error) => error.hint(),
            Error::Unreadable { .. } => {
                Some("use the version of reencrypt that wrote it, or end that run with `reencrypt abandon`".to_owned())
            }
        }
    }
}
