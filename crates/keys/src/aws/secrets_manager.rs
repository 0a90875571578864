//! AWS Secrets Manager: secrets with versions.
use super::{
    Aws, Call,
    failure::{AwsProblem, GET_SECRET_VALUE, PUT_SECRET_VALUE},
};
use crate::{
    KeyError, SecretName, SecretVersion,
    source::{KeySource, Secret},
};
use aws_sdk_secretsmanager::{Client, primitives::Blob};
use serde_json::Value;
use zeroize::{Zeroize, Zeroizing};

/// The secrets service.
pub(crate) struct SecretsManager<'a>(pub(crate) &'a Aws);

impl KeySource for SecretsManager<'_> {
    type Name = SecretName;

    async fn read(&self, what: &str, name: &SecretName) -> Result<Secret, KeyError> {
        let object = name.to_string();
        let call = Call::new(what, &object, GET_SECRET_VALUE);
        let whole = self.get(&call, name).await?;
        let Some(property) = &name.property else { return Ok(whole) };
        let Secret { bytes, version } = whole;
        Ok(Secret { bytes: member(&call, &bytes, property)?, version })
    }
}

impl SecretsManager<'_> {
    /// The secret as a whole.
    async fn get(&self, call: &Call<'_>, name: &SecretName) -> Result<Secret, KeyError> {
        let request = Client::new(self.0.config(call)?).get_secret_value().secret_id(&name.id);
        let request = match &name.version {
            SecretVersion::Stage(stage) => request.version_stage(stage),
            SecretVersion::Id(id) => request.version_id(id),
        };
        let mut answer = match request.send().await {
            Ok(answer) => answer,
            Err(e) => return Err(call.failed(&e, self.0).await),
        };
        let text = answer.secret_string.take().map(String::into_bytes);
        let bytes = text.or_else(|| answer.secret_binary.take().map(Blob::into_inner));
        let bytes = Zeroizing::new(bytes.ok_or_else(|| call.unanswered())?);
        Ok(Secret { bytes, version: answer.version_id.take() })
    }

    /// Puts a new version, which becomes AWSCURRENT, and returns its id. A secret that is a JSON object is changed in one property alone:
    /// without one named it is refused, since the application reads the others.
    pub(crate) async fn put(&self, what: &str, name: &SecretName, value: &str) -> Result<String, KeyError> {
        let call = Call::new(what, &name.id, PUT_SECRET_VALUE);
        let text = self.with(what, name, value).await?;
        let request = Client::new(self.0.config(&call)?).put_secret_value();
        // The request holds the secret until it is sent, and is wiped by nobody.
        let answer = request.secret_id(&name.id).secret_string(text.as_str()).send().await;
        match answer {
            Ok(mut answer) => answer.version_id.take().ok_or_else(|| call.unanswered()),
            Err(e) => Err(call.failed(&e, self.0).await),
        }
    }

    /// The secret's next text: the value, or the current JSON object with the value in it.
    async fn with(&self, what: &str, name: &SecretName, value: &str) -> Result<Zeroizing<String>, KeyError> {
        let call = Call::new(what, &name.id, GET_SECRET_VALUE);
        let current = match self.get(&call, name).await {
            Ok(secret) => Some(secret.bytes),
            // No version yet; where there is no secret either, putting one says so.
            Err(KeyError::Aws { problem: AwsProblem::SecretMissing, .. }) => None,
            Err(e) => return Err(e),
        };
        let object = current.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        match (object, &name.property) {
            (Some(Value::Object(mut object)), Some(property)) => {
                let old = object.insert(property.clone(), Value::String(value.to_owned()));
                wipe(old);
                let text = Zeroizing::new(Value::Object(object.clone()).to_string());
                object.into_iter().for_each(|(_, value)| wipe(Some(value)));
                Ok(text)
            }
            (Some(Value::Object(object)), None) => {
                object.into_iter().for_each(|(_, value)| wipe(Some(value)));
                Err(call.problem(AwsProblem::SecretHasProperties))
            }
            (_, Some(property)) => {
                let mut object = serde_json::Map::new();
                object.insert(property.clone(), Value::String(value.to_owned()));
                Ok(Zeroizing::new(Value::Object(object).to_string()))
            }
            (_, None) => Ok(Zeroizing::new(value.to_owned())),
        }
    }
}

/// One text member of a JSON object.
fn member(call: &Call<'_>, bytes: &[u8], property: &str) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let Ok(Value::Object(mut object)) = serde_json::from_slice(bytes) else {
        return Err(call.problem(AwsProblem::SecretNotJson));
    };
    let found = object.remove(property);
    object.into_iter().for_each(|(_, value)| wipe(Some(value)));
    match found {
        Some(Value::String(text)) => Ok(Zeroizing::new(text.into_bytes())),
        Some(_) | None => Err(call.problem(AwsProblem::PropertyMissing)),
    }
}

/// What else the secret held is nobody's business.
fn wipe(value: Option<Value>) {
    match value {
        Some(Value::String(mut text)) => text.zeroize(),
        Some(Value::Array(values)) => values.into_iter().for_each(|value| wipe(Some(value))),
        Some(Value::Object(values)) => values.into_iter().for_each(|(_, value)| wipe(Some(value))),
        Some(Value::Null | Value::Bool(_) | Value::Number(_)) | None => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str, property: &str) -> Result<String, &'static str> {
        let call = Call::new("key.default.old", "phi", GET_SECRET_VALUE);
        let found = member(&call, text.as_bytes(), property);
        found.map(|bytes| String::from_utf8(bytes.to_vec()).unwrap()).map_err(|e| e.code())
    }

    #[test]
    fn a_property_is_a_text_member() {
        assert_eq!(of(r#"{"key":"abc","other":[1,"x"]}"#, "key"), Ok("abc".to_owned()));
        assert_eq!(of(r#"{"key":7}"#, "key"), Err("secret_property"));
        assert_eq!(of(r#"{"Key":"abc"}"#, "key"), Err("secret_property"));
        assert_eq!(of("abc", "key"), Err("secret_not_json"));
        assert_eq!(of(r#"["key"]"#, "key"), Err("secret_not_json"));
    }
}
