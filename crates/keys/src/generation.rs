//! New keys: made here, or by AWS KMS, and stored where an application finds them.
use crate::{
    KeyError, SecretName, Sources,
    aws::{Call, GENERATE_DATA_KEY, Kms, SecretsManager},
    process,
};
use reencrypt_crypto::SecretKey;
use std::collections::BTreeMap;
use zeroize::Zeroizing;

/// A data key that AWS KMS made and wrapped.
pub struct DataKey {
    /// the key itself
    pub key: SecretKey,
    /// its wrapped form, in base64: this may be shown
    pub wrapped: String,
    /// the ARN of the KMS key that wrapped it
    pub key_id: String,
}

/// How a key stands in a secret.
pub enum Stored<'k> {
    /// 64 hex digits, as an application without KMS reads them
    Hex(&'k SecretKey),
    /// wrapped, in base64
    Wrapped(&'k DataKey),
}

/// 32 bytes from the operating system's generator.
pub fn fresh_key() -> Result<SecretKey, KeyError> {
    let mut bytes = vec![0; 32];
    getrandom::fill(&mut bytes).map_err(|_| KeyError::NoRandomness)?;
    let key = SecretKey::new(bytes);
    process::lock(key.expose());
    Ok(key)
}

impl Sources {
    /// Asks KMS for a 256-bit data key under `key_id` and with this encryption context.
    pub async fn data_key(&self, key_id: &str, context: &BTreeMap<String, String>) -> Result<DataKey, KeyError> {
        let call = Call::new("the new data key", key_id, GENERATE_DATA_KEY);
        let mut made = Kms(self.aws().await).generate(&call, context).await?;
        let key = SecretKey::new(std::mem::take(&mut *made.plaintext));
        process::lock(key.expose());
        Ok(DataKey { key, wrapped: data_encoding::BASE64.encode(&made.wrapped), key_id: made.key_id })
    }

    /// Puts a key into a secret that exists, and returns the id of the new version, which is AWSCURRENT from now on.
    pub async fn store(&self, name: &SecretName, key: Stored<'_>) -> Result<String, KeyError> {
        let text = match key {
            Stored::Hex(key) => hex(key),
            Stored::Wrapped(key) => Zeroizing::new(key.wrapped.clone()),
        };
        SecretsManager(self.aws().await).put("the new key", name, &text).await
    }
}

/// The key as 64 hex digits.
pub fn hex(key: &SecretKey) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(2 * key.expose().len()));
    data_encoding::HEXLOWER.encode_append(key.expose(), &mut text);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fresh_keys_are_32_bytes_and_differ() {
        let (one, other) = (fresh_key().unwrap(), fresh_key().unwrap());
        assert_eq!((one.expose().len(), hex(&one).len()), (32, 64));
        assert_ne!(one.fingerprint(), other.fingerprint());
        assert_eq!(hex(&SecretKey::new(vec![7; 32])).as_str(), "07".repeat(32));
    }
}
