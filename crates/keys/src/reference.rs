//! References: where a secret is and how it is read.
use crate::KeyError;
use std::fmt;
use std::path::PathBuf;

/// How the text of a secret becomes bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Decode {
    /// the default for keys
    #[default]
    Hex,
    /// standard alphabet, padded or not
    Base64,
    /// the bytes as they are
    Raw,
}

/// A place that holds a secret: `env:NAME` or `file:PATH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// an environment variable
    Env(String),
    /// a file
    File(PathBuf),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "environment variable {name}"),
            Self::File(path) => write!(f, "file {}", path.display()),
        }
    }
}

/// A place and how to read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// where
    pub source: Source,
    /// how
    pub decode: Decode,
    /// only the first so many bytes
    pub take: Option<usize>,
}

impl Reference {
    /// Parses `env:NAME` or `file:PATH`. Anything else is refused without being repeated: it might be a key.
    pub fn parse(from: &str, decode: Option<&str>, take: Option<usize>) -> Result<Self, KeyError> {
        let source = match from.split_once(':') {
            Some(("env", name)) if is_variable_name(name) => Source::Env(name.to_owned()),
            Some(("file", path)) if !path.is_empty() && !path.contains('\0') => Source::File(path.into()),
            _ => return Err(KeyError::Reference),
        };
        let decode = match decode {
            None | Some("hex") => Decode::Hex,
            Some("base64") => Decode::Base64,
            Some("raw") => Decode::Raw,
            Some(_) => return Err(KeyError::Decode),
        };
        if take == Some(0) {
            return Err(KeyError::Take);
        }
        Ok(Self { source, decode, take })
    }
}

/// Names are repeated in messages, so what looks more like a key than like a name is none.
fn is_variable_name(name: &str) -> bool {
    let first = name.bytes().next();
    let is_wordy = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let is_hex_key = name.len() >= 32 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    first.is_some_and(|byte| !byte.is_ascii_digit()) && is_wordy && !is_hex_key && name.len() <= 128
}
