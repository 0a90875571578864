//! Where secrets come from. A [`Reference`] names a place, [`Environment`] is the process's variables with a dotenv file
//! under them, and [`load_key`] and [`load_text`] read the place once, strictly.
use reencrypt_crypto::SecretKey;
use std::path::{Path, PathBuf};

/// The process's variables over those of a dotenv file. Values never appear in `Debug`.
pub struct Environment;
impl Environment {
    /// The process's own variables.
    pub fn from_process() -> Self {
        unimplemented!()
    }
    /// Adds the variables of a dotenv file; the real environment wins. Returns the names whose values differ, sorted.
    pub fn add_dotenv(&mut self, _path: &Path) -> Result<Vec<String>, KeyError> {
        unimplemented!()
    }
    /// The variable's value.
    pub fn get(&self, _name: &str) -> Option<&str> {
        unimplemented!()
    }
}

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
    pub fn parse(_from: &str, _decode: Option<&str>, _take: Option<usize>) -> Result<Self, KeyError> {
        unimplemented!()
    }
}

/// What is wrong with a reference or its secret. Never holds any part of the secret.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// placeholder
    #[error("placeholder")]
    Placeholder,
}
impl KeyError {
    /// The stable code of `error.code` in JSON, for example `key_missing`, `key_malformed`, `key_length`, `key_file`.
    pub fn code(&self) -> &'static str {
        unimplemented!()
    }
    /// The next thing to do.
    pub fn hint(&self) -> String {
        unimplemented!()
    }
}

/// Reads a 32-byte key. One trailing newline is tolerated, any other length is an error that says what was found.
/// `what` names the key in errors, for example `key.default.old`.
pub fn load_key(_what: &str, _reference: &Reference, _env: &Environment) -> Result<SecretKey, KeyError> {
    unimplemented!()
}
/// Reads a text secret such as a database URL (decode must be raw or absent).
pub fn load_text(
    _what: &str,
    _reference: &Reference,
    _env: &Environment,
) -> Result<zeroize::Zeroizing<String>, KeyError> {
    unimplemented!()
}
