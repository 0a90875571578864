//! Why a command did not start or could not go on: exit code 2.
use reencrypt_db::Verdict;

/// An engine error. Its codes are those of the database, the store and the planner, and its own: `unfinished_run`, `no_run`,
/// `run_ended`, `plan_changed`, `key_changed`, `environment_changed`, `key_missing`, `ceiling_reached`, `unreadable_value`,
/// `acceptance_count`, and the code of the finding for which a run is refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database refused or failed.
    #[error(transparent)]
    Database(#[from] reencrypt_db::Error),
    /// The checkpoint store refused or failed.
    #[error(transparent)]
    Checkpoint(#[from] reencrypt_checkpoint::Error),
    /// The configuration or the plan is at fault.
    #[error(transparent)]
    Planner(#[from] reencrypt_planner::Error),
    /// Refused for a reason of the engine's own.
    #[error("{message}")]
    Refused {
        /// stable
        code: String,
        /// what, which, why
        message: String,
        /// the next command
        hint: String,
    },
    /// A fault of the tool.
    #[error("internal error: {what}")]
    Bug {
        /// where
        what: &'static str,
    },
}

impl Error {
    /// A refusal.
    pub(crate) fn refused(code: &str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Refused { code: code.to_owned(), message: message.into(), hint: hint.into() }
    }

    /// A fault of the tool.
    pub(crate) fn bug(what: &'static str) -> Self {
        Self::Bug { what }
    }

    /// The stable code of `error.code` in JSON.
    pub fn code(&self) -> &str {
        match self {
            Error::Database(error) => error.code(),
            Error::Checkpoint(error) => error.code(),
            Error::Planner(error) => error.code(),
            Error::Refused { code, .. } => code,
            Error::Bug { .. } => "internal",
        }
    }

    /// The next thing to do.
    pub fn hint(&self) -> Option<String> {
        match self {
            Error::Database(error) => error.hint(),
            Error::Checkpoint(error) => error.hint(),
            Error::Planner(error) => error.hint(),
            Error::Refused { hint, .. } => Some(hint.clone()),
            Error::Bug { .. } => Some(
                "nothing is half-written; `reencrypt run --resume` goes on from the last committed batch".to_owned(),
            ),
        }
    }

    /// What to do about it: only the database's own errors are worth another try.
    pub(crate) fn verdict(&self) -> Verdict {
        match self {
            Error::Database(error) => error.verdict(),
            // No row of the data's is refused by the store's own constraints.
            Error::Checkpoint(reencrypt_checkpoint::Error::Database(error)) => match error.verdict() {
                Verdict::Refused => Verdict::Fatal,
                verdict => verdict,
            },
            Error::Planner(reencrypt_planner::Error::Database(error)) => error.verdict(),
            _ => Verdict::Fatal,
        }
    }
}
