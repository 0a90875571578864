//! The places that give secrets, behind one trait.
use crate::{
    Environment, KeyError, Source,
    aws::{Aws, Call, Kms, SecretsManager},
    file::Files,
    material::{decode_base64, without_newline},
};
use tokio::sync::OnceCell;
use zeroize::Zeroizing;

/// A secret as its place gave it.
pub(crate) struct Secret {
    pub(crate) bytes: Zeroizing<Vec<u8>>,
    /// which version of it that was, where the place keeps versions
    pub(crate) version: Option<String>,
}

/// Something that gives secrets by name.
pub(crate) trait KeySource {
    /// How it names one.
    type Name: ?Sized;

    /// Reads it once. `what` is what the secret is for, in errors. An absent one is [`KeyError::Missing`], an empty one is not looked for here.
    async fn read(&self, what: &str, name: &Self::Name) -> Result<Secret, KeyError>;
}

impl Secret {
    pub(crate) fn unversioned(bytes: Zeroizing<Vec<u8>>) -> Self {
        Self { bytes, version: None }
    }
}

impl KeySource for Environment {
    type Name = str;

    async fn read(&self, what: &str, name: &str) -> Result<Secret, KeyError> {
        let place = || Source::Env(name.to_owned()).to_string();
        let value = self.get(name).ok_or_else(|| KeyError::Missing {
            what: what.to_owned(),
            place: place(),
            state: "not set",
        })?;
        Ok(Secret::unversioned(Zeroizing::new(value.as_bytes().to_vec())))
    }
}

/// Every place that a [`Reference`](crate::Reference) can name. AWS is looked for when the first reference to it is read.
#[derive(Default)]
pub struct Sources {
    environment: Environment,
    aws: OnceCell<Aws>,
}

impl Sources {
    /// The environment, and everything outside the process.
    pub fn new(environment: Environment) -> Self {
        Self { environment, aws: OnceCell::new() }
    }

    /// The variables.
    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    /// The clients of AWS, made at the first use.
    pub(crate) async fn aws(&self) -> &Aws {
        self.aws.get_or_init(Aws::from_environment).await
    }

    /// What stands at the place. An empty secret is missing.
    pub(crate) async fn read(&self, what: &str, source: &Source) -> Result<Secret, KeyError> {
        let secret = match source {
            Source::Env(name) => self.environment.read(what, name).await?,
            Source::File(path) => Files.read(what, path).await?,
            Source::SecretsManager(name) => SecretsManager(self.aws().await).read(what, name).await?,
            Source::Kms(key) => {
                // A wrapped key never stands in another wrapped key.
                let wrapped = Box::pin(self.read(what, &key.wrapped)).await?;
                let blob = decode_base64(without_newline(&wrapped.bytes)).ok_or_else(|| KeyError::Malformed {
                    what: what.to_owned(),
                    place: key.wrapped.to_string(),
                    expected: "base64",
                    found: wrapped.bytes.len(),
                })?;
                let call = Call::new(what, &key.key_id, crate::aws::DECRYPT);
                let bytes = Kms(self.aws().await).unwrap(&call, blob, &key.context).await?;
                Secret { bytes, version: wrapped.version }
            }
        };
        match without_newline(&secret.bytes).is_empty() {
            true => Err(KeyError::Missing { what: what.to_owned(), place: source.to_string(), state: "empty" }),
            false => Ok(secret),
        }
    }
}
