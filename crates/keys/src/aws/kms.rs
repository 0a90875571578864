//! AWS KMS: wraps and unwraps data keys.
use super::{Aws, Call};
use crate::KeyError;
use aws_sdk_kms::{
    Client,
    primitives::Blob,
    types::{DataKeySpec, EncryptionAlgorithmSpec},
};
use std::collections::BTreeMap;
use zeroize::Zeroizing;

/// The key management service.
pub(crate) struct Kms<'a>(pub(crate) &'a Aws);

/// A data key as GenerateDataKey gives it.
pub(crate) struct Generated {
    pub(crate) plaintext: Zeroizing<Vec<u8>>,
    pub(crate) wrapped: Vec<u8>,
    /// the ARN of the key that wrapped it
    pub(crate) key_id: String,
}

impl Kms<'_> {
    /// Unwraps a data key, by the named KMS key and with this context alone.
    pub(crate) async fn unwrap(
        &self,
        call: &Call<'_>,
        wrapped: Zeroizing<Vec<u8>>,
        context: &BTreeMap<String, String>,
    ) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let client = Client::new(self.0.config(call)?);
        let request = client
            .decrypt()
            .key_id(call.object)
            .ciphertext_blob(Blob::new(wrapped.to_vec()))
            .encryption_algorithm(EncryptionAlgorithmSpec::SymmetricDefault)
            .set_encryption_context(encryption_context(context));
        let mut answer = match request.send().await {
            Ok(answer) => answer,
            Err(e) => return Err(call.failed(&e, self.0).await),
        };
        let plaintext = answer.plaintext.take().map(Blob::into_inner).ok_or_else(|| call.unanswered())?;
        Ok(Zeroizing::new(plaintext))
    }

    /// Makes a 256-bit data key.
    pub(crate) async fn generate(
        &self,
        call: &Call<'_>,
        context: &BTreeMap<String, String>,
    ) -> Result<Generated, KeyError> {
        let client = Client::new(self.0.config(call)?);
        let request = client
            .generate_data_key()
            .key_id(call.object)
            .key_spec(DataKeySpec::Aes256)
            .set_encryption_context(encryption_context(context));
        let mut answer = match request.send().await {
            Ok(answer) => answer,
            Err(e) => return Err(call.failed(&e, self.0).await),
        };
        let plaintext = Zeroizing::new(answer.plaintext.take().map(Blob::into_inner).ok_or_else(|| call.unanswered())?);
        let wrapped = answer.ciphertext_blob.take().map(Blob::into_inner).ok_or_else(|| call.unanswered())?;
        let key_id = answer.key_id.take().unwrap_or_else(|| call.object.to_owned());
        Ok(Generated { plaintext, wrapped, key_id })
    }
}

fn encryption_context(context: &BTreeMap<String, String>) -> Option<std::collections::HashMap<String, String>> {
    (!context.is_empty()).then(|| context.iter().map(|(name, value)| (name.clone(), value.clone())).collect())
}
