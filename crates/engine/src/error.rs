//! Why a command did not start or could not go on: exit code 2.
use reencrypt_checkpoint as checkpoint;
/// An engine error. Stable codes: those of db and planner, and `unfinished_run`, `no_run`, `plan_changed`, `key_changed`, `environment_changed`, `findings`, `ceiling_reached`, `unreadable_value`, `key_missing`, `same_key`, `run_ended`.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// the database
    #[error(transparent)]
    Database(#[from] reencrypt_db::Error),
    /// the store
    #[error(transparent)]
    Checkpoint(#[from] checkpoint::Error),
    /// configuration and plan
    #[error(transparent)]
    Planner(#[from] reencrypt_planner::Error),
    /// Refused for a reason of the engine's own.
    #[error("{message}")]
    Refused {
        /// stable
        code: &'static str,
        /// what, which, why
        message: String,
        /// the next command
        hint: String,
    },
}
impl Error {
    /// The stable code of `error.code` in JSON.
    pub fn code(&self) -> &str {
        match self {
            Error::Database(e) => e.code(),
            Error::Checkpoint(e) => e.code(),
            Error::Planner(e) => e.code(),
            Error::Refused { code, .. } => code,
        }
    }
    /// The next thing to do.
    pub fn hint(&self) -> Option<String> {
        match self {
            Error::Database(e) => e.hint(),
            Error::Checkpoint(e) => e.hint(),
            Error::Planner(e) => e.hint(),
            Error::Refused { hint, .. } => Some(hint.clone()),
        }
    }
}
