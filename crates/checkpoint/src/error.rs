//! What can go wrong with the store.
/// A store error.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// the database
    #[error(transparent)]
    Database(#[from] reencrypt_db::Error),
}
impl Error {
    /// The stable code of `error.code` in JSON.
    pub fn code(&self) -> &str {
        match self {
            Error::Database(e) => e.code(),
        }
    }
    /// The next thing to do.
    pub fn hint(&self) -> Option<String> {
        match self {
            Error::Database(e) => e.hint(),
        }
    }
}
