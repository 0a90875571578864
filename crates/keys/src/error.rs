//! What can be wrong with a reference or its secret.
use crate::load::KEY_BYTES;
use std::path::PathBuf;

/// What is wrong with a reference or its secret. Never holds any part of the secret.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Text that is no reference; it is not repeated.
    #[error("a secret is given by reference, and this is none")]
    Reference,
    /// A way of decoding that does not exist here.
    #[error("decode is hex, base64 or raw")]
    Decode,
    /// A `take` of nothing.
    #[error("take is a number of bytes above 0")]
    Take,
    /// Text such as a URL is taken as it stands.
    #[error("{what}: text is taken as it stands, without decode = \"base64\" and take")]
    NotText {
        /// Which secret.
        what: String,
    },
    /// Nothing is there.
    #[error("{what}: {place} is not set")]
    Missing {
        /// Which secret.
        what: String,
        /// Where it should be.
        place: String,
    },
    /// Nothing stands there.
    #[error("{what}: {place} is empty")]
    Empty {
        /// Which secret.
        what: String,
        /// Where it should be.
        place: String,
    },
    /// It cannot be decoded.
    #[error("{what}: {place} {reason}")]
    Malformed {
        /// Which secret.
        what: String,
        /// Where it is.
        place: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// It has the wrong length.
    #[error("{what}: {place} holds {found} {unit}, {expected} are needed")]
    Length {
        /// Which secret.
        what: String,
        /// Where it is.
        place: String,
        /// How many are there.
        found: usize,
        /// How many are needed.
        expected: usize,
        /// Of what.
        unit: &'static str,
    },
    /// The file cannot be read.
    #[error("{what}: cannot read file {}", path.display())]
    File {
        /// Which secret.
        what: String,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is a directory, a device or a pipe, or far too large.
    #[error("{what}: {} is not a regular file of at most {size_max} bytes", path.display())]
    NotAKeyFile {
        /// Which secret.
        what: String,
        /// The file.
        path: PathBuf,
        /// The largest size.
        size_max: u64,
    },
    /// Others may read the file.
    #[error("{what}: file {} can be read by others (mode {mode:04o})", path.display())]
    FileOpenToOthers {
        /// Which secret.
        what: String,
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A link that leads out of its directory.
    #[error("{what}: {} is a symbolic link that leads out of its directory", path.display())]
    LinkLeadsOut {
        /// Which secret.
        what: String,
        /// The link.
        path: PathBuf,
    },
    /// The dotenv file cannot be read.
    #[error("cannot read the environment file {}", path.display())]
    EnvFile {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A line of the dotenv file cannot be parsed; it is not repeated.
    #[error("the environment file {} has a line that is not NAME=value, {position}", path.display())]
    EnvFileLine {
        /// The file.
        path: PathBuf,
        /// Behind which variable.
        position: String,
    },
}

impl KeyError {
    /// The stable code of `error.code` in JSON.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Reference | Self::Decode | Self::Take | Self::NotText { .. } => "key_reference",
            Self::Missing { .. } | Self::Empty { .. } => "key_missing",
            Self::Malformed { .. } => "key_malformed",
            Self::Length { .. } => "key_length",
            Self::File { .. }
            | Self::NotAKeyFile { .. }
            | Self::FileOpenToOthers { .. }
            | Self::LinkLeadsOut { .. } => "key_file",
            Self::EnvFile { .. } | Self::EnvFileLine { .. } => "env_file",
        }
    }

    /// The next thing to do.
    pub fn hint(&self) -> String {
        match self {
            Self::Reference => "write env:NAME or file:PATH; a literal key is never taken".into(),
            Self::Decode => "leave decode out for 64 hex digits".into(),
            Self::Take => "leave take out to use all bytes".into(),
            Self::NotText { what } => format!("leave decode and take out of {what}"),
            Self::Missing { place, .. } | Self::Empty { place, .. } => {
                format!("set the {place}, put it into the file of --env-file, or name another place in reencrypt.toml")
            }
            Self::Malformed { .. } | Self::Length { .. } => format!(
                "a key has {KEY_BYTES} bytes: 64 hex digits, or what decode (hex, base64, raw) and take in reencrypt.toml say"
            ),
            Self::File { path, .. } | Self::EnvFile { path, .. } => format!("look at it: ls -l '{}'", path.display()),
            Self::NotAKeyFile { .. } => "name a file that holds the key alone".into(),
            Self::FileOpenToOthers { path, .. } => format!("chmod 600 '{}'", path.display()),
            Self::LinkLeadsOut { .. } => "name the file itself; links are followed only inside their directory".into(),
            Self::EnvFileLine { .. } => "quote values that hold blanks or quotes: NAME='value'".into(),
        }
    }
}
