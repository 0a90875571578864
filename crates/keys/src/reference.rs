//! Where a secret stands, as a configuration names it.
use crate::KeyError;
use std::{collections::BTreeMap, fmt, path::PathBuf};

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

/// A place that holds a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// `env:NAME`, an environment variable
    Env(String),
    /// `file:PATH`
    File(PathBuf),
    /// `aws-secretsmanager:ID#property@STAGE`
    SecretsManager(SecretName),
    /// a data key that AWS KMS unwraps
    Kms(Box<WrappedKey>),
}

/// One value of AWS Secrets Manager.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretName {
    /// name or ARN
    pub id: String,
    /// a member of the JSON object that the secret is; none: the secret as a whole
    pub property: Option<String>,
    /// which version
    pub version: SecretVersion,
}

/// Which version of a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretVersion {
    /// AWSCURRENT, AWSPREVIOUS or AWSPENDING: moves when a value is put
    Stage(String),
    /// one version for good
    Id(String),
}

/// A data key as AWS KMS wrapped it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrappedKey {
    /// where the wrapped key stands, in base64
    pub wrapped: Source,
    /// the only KMS key that may unwrap it: id, ARN or alias
    pub key_id: String,
    /// what it was wrapped with; any other context does not unwrap it
    pub context: BTreeMap<String, String>,
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
    /// Parses `env:NAME`, `file:PATH` or `aws-secretsmanager:ID#property@STAGE`. Anything else is refused without being repeated: it might
    /// be a key.
    pub fn parse(from: &str, decode: Option<&str>, take: Option<usize>) -> Result<Self, KeyError> {
        let source = Source::parse(from)?;
        let refused = |reason| Err(KeyError::Reference { reason });
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

    /// A data key whose wrapped form stands at `from`.
    pub fn wrapped(from: &str, key_id: &str, context: BTreeMap<String, String>) -> Result<Self, KeyError> {
        if key_id.is_empty() {
            return Err(KeyError::Reference { reason: "key_id names the one KMS key that may unwrap it" });
        }
        let wrapped = WrappedKey { wrapped: Source::parse(from)?, key_id: key_id.to_owned(), context };
        Ok(Self { source: Source::Kms(Box::new(wrapped)), decode: Decode::Raw, take: None })
    }
}

impl Source {
    fn parse(from: &str) -> Result<Self, KeyError> {
        let refused = |reason| Err(KeyError::Reference { reason });
        if let Some(name) = from.strip_prefix("env:") {
            let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
            if name.is_empty() || !name.chars().all(fits) || name.starts_with(|c: char| c.is_ascii_digit()) {
                return refused("the name of a variable is letters, digits and underscores");
            }
            Ok(Source::Env(name.to_owned()))
        } else if let Some(path) = from.strip_prefix("file:") {
            if path.is_empty() || path.contains('\0') {
                return refused("the path of the file is missing");
            }
            Ok(Source::File(PathBuf::from(path)))
        } else if let Some(name) = from.strip_prefix("aws-secretsmanager:") {
            Ok(Source::SecretsManager(SecretName::parse(name)?))
        } else if from.starts_with("aws-kms:") {
            refused("a wrapped key is a table: { kms = \"env:NAME\", key_id = \"alias/NAME\" }")
        } else {
            refused("this is none of them")
        }
    }

    /// The secret of AWS Secrets Manager that it is read from, also where it stands there wrapped.
    pub fn secret(&self) -> Option<&SecretName> {
        match self {
            Source::SecretsManager(name) => Some(name),
            Source::Kms(key) => key.wrapped.secret(),
            Source::Env(_) | Source::File(_) => None,
        }
    }

    /// Relative paths start at `base`.
    pub fn relative_to(self, base: &std::path::Path) -> Self {
        match self {
            Source::File(path) => Source::File(base.join(path)),
            Source::Kms(key) => {
                let WrappedKey { wrapped, key_id, context } = *key;
                Source::Kms(Box::new(WrappedKey { wrapped: wrapped.relative_to(base), key_id, context }))
            }
            other => other,
        }
    }
}

impl SecretName {
    /// Parses `ID#property@STAGE`, where the stage is one of AWS's or a version id, and AWSCURRENT where there is none. Names may hold `@`.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let refused = |reason| Err(KeyError::Reference { reason });
        let (rest, version) = match text.rsplit_once('@').map(|(rest, word)| (rest, SecretVersion::parse(word))) {
            Some((rest, Some(version))) => (rest, version),
            Some((_, None)) if text.rsplit_once("@AWS").is_some() => {
                return refused("the stage is AWSCURRENT, AWSPREVIOUS or AWSPENDING, or a version id");
            }
            _ => (text, SecretVersion::Stage("AWSCURRENT".to_owned())),
        };
        let (id, property) = match rest.split_once('#') {
            Some((_, "")) => return refused("the property after # is missing"),
            Some((id, property)) => (id, Some(property.to_owned())),
            None => (rest, None),
        };
        let fits = |c: char| c.is_ascii_alphanumeric() || "/_+=.@-:!".contains(c);
        if id.is_empty() || !id.chars().all(fits) {
            return refused("a secret's name is letters, digits and /_+=.@-, or it is an ARN");
        }
        Ok(Self { id: id.to_owned(), property, version })
    }
}

impl SecretVersion {
    fn parse(word: &str) -> Option<Self> {
        let is_id = (32..=64).contains(&word.len()) && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        match word {
            "AWSCURRENT" | "AWSPREVIOUS" | "AWSPENDING" => Some(Self::Stage(word.to_owned())),
            _ if is_id => Some(Self::Id(word.to_owned())),
            _ => None,
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Env(name) => write!(f, "the environment variable {name}"),
            Source::File(path) => write!(f, "the file {}", path.display()),
            Source::SecretsManager(name) => write!(f, "the secret {name}"),
            Source::Kms(key) => write!(f, "the wrapped key in {}", key.wrapped),
        }
    }
}

impl fmt::Display for SecretName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.id)?;
        if let Some(property) = &self.property {
            write!(f, "#{property}")?;
        }
        match &self.version {
            SecretVersion::Stage(version) | SecretVersion::Id(version) => write!(f, "@{version}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_every_place() {
        let parsed = Reference::parse("env:OLD_KEY", None, None).unwrap();
        let expected = Reference { source: Source::Env("OLD_KEY".into()), decode: Decode::Hex, take: None };
        assert_eq!(parsed, expected);
        let parsed = Reference::parse("file:keys/old: one", Some("base64"), Some(32)).unwrap();
        let source = Source::File("keys/old: one".into());
        assert_eq!(parsed, Reference { source, decode: Decode::Base64, take: Some(32) });
        assert_eq!(Reference::parse("file:k", Some("raw"), None).unwrap().decode, Decode::Raw);
    }

    #[test]
    fn parses_secrets_with_and_without_property_and_version() {
        let id = "EXAMPLE1-90ab-cdef-fedc-ba987SECRET1";
        let arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:prod/phi-AbCdEf";
        for (text, name, property, version) in [
            ("phi", "phi", None, SecretVersion::Stage("AWSCURRENT".into())),
            ("prod/phi#old@AWSPREVIOUS", "prod/phi", Some("old"), SecretVersion::Stage("AWSPREVIOUS".into())),
            (&format!("phi@{id}"), "phi", None, SecretVersion::Id(id.into())),
            (&format!("{arn}#k"), arn, Some("k"), SecretVersion::Stage("AWSCURRENT".into())),
            ("team@phi", "team@phi", None, SecretVersion::Stage("AWSCURRENT".into())),
            ("team@phi@AWSPENDING", "team@phi", None, SecretVersion::Stage("AWSPENDING".into())),
        ] {
            let parsed = Reference::parse(&format!("aws-secretsmanager:{text}"), None, None).unwrap();
            let property = property.map(str::to_owned);
            assert_eq!(
                parsed.source,
                Source::SecretsManager(SecretName { id: name.into(), property, version }),
                "{text}"
            );
        }
        for text in ["", "#k", "phi#", "phi@AWSPREVIUOS", "a b", "phi#k@AWS"] {
            assert!(Reference::parse(&format!("aws-secretsmanager:{text}"), None, None).is_err(), "{text}");
        }
    }

    #[test]
    fn a_wrapped_key_has_a_place_and_one_key() {
        let context: BTreeMap<_, _> = [("app".to_owned(), "clinic".to_owned())].into();
        let parsed = Reference::wrapped("env:WRAPPED", "alias/phi", context).unwrap();
        assert_eq!(parsed.source.to_string(), "the wrapped key in the environment variable WRAPPED");
        assert!(Reference::wrapped("env:WRAPPED", "", BTreeMap::new()).is_err());
        assert!(Reference::wrapped("WRAPPED", "alias/phi", BTreeMap::new()).is_err());
        let file = Reference::wrapped("file:wrapped", "alias/phi", BTreeMap::new()).unwrap().source;
        assert!(file.relative_to(std::path::Path::new("/etc/x")).to_string().ends_with("the file /etc/x/wrapped"));
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
