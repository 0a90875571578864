//! Where a secret stands, as a configuration names it.
use crate::KeyError;
use std::{fmt, path::PathBuf};

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
    pub fn parse(from: &str, decode: Option<&str>, take: Option<usize>) -> Result<Self, KeyError> {
        let refused = |reason| Err(KeyError::Reference { reason });
        let source = if let Some(name) = from.strip_prefix("env:") {
            let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
            if name.is_empty() || !name.chars().all(fits) || name.starts_with(|c: char| c.is_ascii_digit()) {
                return refused("the name of a variable is letters, digits and underscores");
            }
            Source::Env(name.to_owned())
        } else if let Some(path) = from.strip_prefix("file:") {
            if path.is_empty() || path.contains('\0') {
                return refused("the path of the file is missing");
            }
            Source::File(PathBuf::from(path))
        } else if from.starts_with("aws-") {
            return refused("this version reads no other sources");
        } else {
            return refused("this is neither");
        };
        let decode = match decode {
            None | Some("hex") => Decode::Hex,
            Some("base64") => Decode::Base64,
            Some("raw") => Decode::Raw,
            Some("passphrase") => return refused("decode = \"passphrase\" is not read by this version"),
            Some(_) => return refused("decode is hex, base64 or raw"),
        };
        if take == Some(0) {
            return refused("take is a number of bytes");
        }
        Ok(Self { source, decode, take })
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Env(name) => write!(f, "the environment variable {name}"),
            Source::File(path) => write!(f, "the file {}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_both_places() {
        let parsed = Reference::parse("env:OLD_KEY", None, None).unwrap();
        let expected = Reference { source: Source::Env("OLD_KEY".into()), decode: Decode::Hex, take: None };
        assert_eq!(parsed, expected);
        let parsed = Reference::parse("file:keys/old: one", Some("base64"), Some(32)).unwrap();
        let source = Source::File("keys/old: one".into());
        assert_eq!(parsed, Reference { source, decode: Decode::Base64, take: Some(32) });
        assert_eq!(Reference::parse("file:k", Some("raw"), None).unwrap().decode, Decode::Raw);
    }

    #[test]
    fn refuses_without_repeating() {
        let key = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
        for from in [key, "", "env:", "file:", "env:A B", "env:1A", &format!("env:{key}-"), "ENV:A", "aws-kms:x"] {
            let e = Reference::parse(from, None, None).unwrap_err();
            let shown = format!("{e} {e:?} {}", e.hint());
            assert_eq!(e.code(), "key_reference");
            assert!(!shown.contains("001122") && !shown.contains("A B"), "{shown}");
        }
        for decode in ["Hex", "passphrase", "utf8"] {
            assert!(Reference::parse("env:A", Some(decode), None).is_err(), "{decode}");
        }
        assert!(Reference::parse("env:A", None, Some(0)).is_err());
    }
}
