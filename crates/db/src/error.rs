//! What can go wrong with the database, split by what to do about it.

/// What to do after an error; one pure function of the error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing happened (lock timeout, deadlock, serialization failure, statement timeout, SQLITE_BUSY): roll back, wait with jitter, try again with half.
    Retry,
    /// The connection is gone or in doubt; what was being committed may or may not stand: open a new session and read the checkpoint.
    Reconnect,
    /// Retrying does not help.
    Fatal,
}

/// A database error. Server messages of data statements are never repeated (they can hold values): SQLSTATE, condition name and object names are.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// placeholder
    #[error("placeholder")]
    Placeholder,
}
impl Error {
    /// What to do.
    pub fn verdict(&self) -> Verdict {
        unimplemented!()
    }
    /// The stable code of `error.code` in JSON: `database_unreachable`, `database_auth`, `privilege_missing`, `rls_active`, `database_full`, `database_read_only`, `value_too_long`, `unique_violation`, `database_error`, ...
    pub fn code(&self) -> &'static str {
        unimplemented!()
    }
    /// The next thing to do.
    pub fn hint(&self) -> Option<String> {
        unimplemented!()
    }
}
