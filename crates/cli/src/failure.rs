//! Why a command did not start or could not go on: exit code 2.
use crate::signals::EXIT_INTERRUPTED;
use reencrypt_planner::Finding;
use std::fmt;

/// A stable code, what is wrong with which thing, and the next command to type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
    /// 2, or 130 after a signal.
    pub(crate) exit_code: u8,
}

impl Failure {
    /// A failure of the command line's own.
    pub(crate) fn new(code: &str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into(), hint: Some(hint.into()), exit_code: 2 }
    }

    /// What a run refuses, as a plan states it.
    pub(crate) fn finding(&self) -> Finding {
        let hint = self.hint.as_ref().map(|hint| format!(": {hint}")).unwrap_or_default();
        Finding::fail(&self.code, format!("{}{hint}", self.message))
    }

    /// A signal came to a command that writes nothing, or before it wrote.
    pub(crate) fn interrupted() -> Self {
        Self {
            code: "interrupted".to_owned(),
            message: "stopped by a signal; nothing was written".to_owned(),
            hint: None,
            exit_code: EXIT_INTERRUPTED,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

impl From<reencrypt_engine::Error> for Failure {
    fn from(e: reencrypt_engine::Error) -> Self {
        let exit_code = if e.code() == "interrupted" { EXIT_INTERRUPTED } else { 2 };
        Self { code: e.code().to_owned(), message: e.to_string(), hint: e.hint(), exit_code }
    }
}

impl From<reencrypt_engine::Halted> for Failure {
    fn from(halted: reencrypt_engine::Halted) -> Self {
        halted.error.into()
    }
}

impl From<reencrypt_planner::Error> for Failure {
    fn from(e: reencrypt_planner::Error) -> Self {
        Self { code: e.code().to_owned(), message: e.to_string(), hint: e.hint(), exit_code: 2 }
    }
}

impl From<reencrypt_db::Error> for Failure {
    fn from(e: reencrypt_db::Error) -> Self {
        Self { code: e.code().to_owned(), message: e.to_string(), hint: e.hint(), exit_code: 2 }
    }
}

impl From<reencrypt_db::UrlError> for Failure {
    fn from(e: reencrypt_db::UrlError) -> Self {
        reencrypt_db::Error::from(e).into()
    }
}

impl From<reencrypt_keys::KeyError> for Failure {
    fn from(e: reencrypt_keys::KeyError) -> Self {
        // Only the operating system's word on a file is ever behind such an error.
        let cause = std::error::Error::source(&e).map(|cause| format!(": {cause}")).unwrap_or_default();
        Self { code: e.code().to_owned(), message: format!("{e}{cause}"), hint: Some(e.hint()), exit_code: 2 }
    }
}
