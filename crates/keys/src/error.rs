//! What can be wrong with a secret, without the secret.
use crate::AwsProblem;
use std::{io, path::PathBuf};

/// What is wrong with a reference or its secret. Never holds any part of the secret.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Not a reference. What was written is not repeated: it might be a key.
    #[error("a secret is named as env:NAME, file:PATH or aws-secretsmanager:ID#property: {reason}")]
    Reference {
        /// what is wrong with it
        reason: &'static str,
    },
    /// Nothing there.
    #[error("{what}: {place} is {state}")]
    Missing {
        /// for example `key.default.old`
        what: String,
        /// the variable or file
        place: String,
        /// `not set`, `empty`
        state: &'static str,
    },
    /// Something there, but not in the form that `decode` says.
    #[error("{what}: {place} is not {expected} ({found} characters were found)")]
    Malformed {
        /// for example `key.default.old`
        what: String,
        /// the variable or file
        place: String,
        /// for example `hex digits`
        expected: &'static str,
        /// characters, or bytes of a file
        found: usize,
    },
    /// Decoded, but of another length.
    #[error("{what}: {place} gives {found} bytes, and {expected} are needed")]
    Length {
        /// for example `key.default.old`
        what: String,
        /// the variable or file
        place: String,
        /// bytes needed
        expected: usize,
        /// bytes found
        found: usize,
    },
    /// The file cannot be read.
    #[error("{what}: file {path} cannot be read")]
    FileUnreadable {
        /// for example `key.default.old`
        what: String,
        /// the file
        path: PathBuf,
        /// why
        source: io::Error,
    },
    /// The file can be read, but should not be.
    #[error("{what}: file {path} {reason}")]
    FileRefused {
        /// for example `key.default.old`
        what: String,
        /// the file
        path: PathBuf,
        /// why
        reason: FileRefusal,
    },
    /// AWS did not give it.
    #[error("{what}: {object}: {problem}")]
    Aws {
        /// for example `key.default.old`
        what: String,
        /// the KMS key or the secret
        object: String,
        /// the IAM action that was asked for
        action: &'static str,
        /// why
        problem: AwsProblem,
    },
    /// The operating system gives no random bytes.
    #[error("the operating system gives no random bytes, so that no key can be made")]
    NoRandomness,
    /// The dotenv file cannot be read.
    #[error("environment file {path} cannot be read")]
    EnvironmentFile {
        /// the file
        path: PathBuf,
        /// why
        source: io::Error,
    },
    /// The dotenv file holds a line that is none. The line is not repeated: it might hold a key.
    #[error("environment file {path}: what follows the first {variables} variables is no NAME=VALUE line")]
    EnvironmentLine {
        /// the file
        path: PathBuf,
        /// variables read before it
        variables: usize,
    },
    /// The dotenv file gives a variable two values. Applications differ in which of them they take.
    #[error("environment file {path}: {name} stands there twice, with two values")]
    EnvironmentTwice {
        /// the file
        path: PathBuf,
        /// the variable
        name: String,
    },
}

/// Why a file is not taken for a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FileRefusal {
    /// a directory, a device, a pipe
    #[error("is not a regular file")]
    NotRegular,
    /// longer than any secret
    #[error("is longer than {} bytes", crate::file::FILE_BYTES_MAX)]
    TooLong,
    /// others can read it
    #[error("can be read by others than its owner (mode {mode:03o})")]
    Exposed {
        /// permission bits
        mode: u32,
    },
    /// a link that leads elsewhere
    #[error("is a link out of its own directory")]
    LeadsElsewhere,
}

impl KeyError {
    /// The stable code of `error.code` in JSON, for example `key_missing`, `key_malformed`, `key_length`, `key_file`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Reference { .. } => "key_reference",
            Self::Missing { .. } => "key_missing",
            Self::Malformed { .. } => "key_malformed",
            Self::Length { .. } => "key_length",
            Self::FileUnreadable { .. } | Self::FileRefused { .. } => "key_file",
            Self::Aws { problem, .. } => problem.code(),
            Self::NoRandomness => "no_randomness",
            Self::EnvironmentFile { .. } | Self::EnvironmentLine { .. } | Self::EnvironmentTwice { .. } => "env_file",
        }
    }

    /// Whether nothing at all is there, as opposed to something wrong.
    pub fn is_absence(&self) -> bool {
        match self {
            Self::Missing { .. } | Self::Aws { problem: AwsProblem::SecretMissing, .. } => true,
            Self::FileUnreadable { source, .. } => source.kind() == io::ErrorKind::NotFound,
            _ => false,
        }
    }

    /// The next thing to do.
    pub fn hint(&self) -> String {
        match self {
            Self::Reference { .. } => {
                "write env:NAME for a variable, file:PATH for a file or aws-secretsmanager:ID#property; a key itself never stands there"
                    .to_owned()
            }
            Self::Missing { place, .. } => format!("put the secret into {place}, or name another place for it"),
            Self::Malformed { .. } | Self::Length { .. } => {
                "a key is 32 bytes: 64 hex digits (as `openssl rand -hex 32` prints them), or with decode = \"base64\" \
                 44 characters, or with decode = \"raw\" the bytes themselves; nothing else stands there, no quotes, blanks, 0x or byte order \
                 mark"
                    .to_owned()
            }
            Self::FileUnreadable { path, .. } if path.starts_with("~") => {
                "a path is taken as it stands, and ~ is no home directory: write it out".to_owned()
            }
            Self::FileUnreadable { path, .. } => format!("see `ls -l {}`", path.display()),
            Self::FileRefused { path, reason: FileRefusal::Exposed { .. }, .. } => {
                format!("type `chmod 600 {}`", path.display())
            }
            Self::FileRefused { reason: FileRefusal::LeadsElsewhere, .. } => {
                "name the file that the link leads to".to_owned()
            }
            Self::FileRefused { .. } => "name a regular file that holds the secret and nothing else".to_owned(),
            Self::Aws { action, object, problem, .. } => problem.hint(action, object),
            Self::NoRandomness => "try again, or make the key with `openssl rand -hex 32`".to_owned(),
            Self::EnvironmentFile { path, .. } => {
                format!("see `ls -l {}`, or name another file with --env-file", path.display())
            }
            Self::EnvironmentLine { .. } => {
                "write one NAME=VALUE a line; values with blanks, # or $ stand in single quotes".to_owned()
            }
            Self::EnvironmentTwice { name, .. } => {
                format!("leave the line that the application takes, and remove the other ones with {name}")
            }
        }
    }
}
