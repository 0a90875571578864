//! Why AWS did not answer, in words that name the thing and the next step. AWS's own messages are not repeated: only its error codes are.
use super::Aws;
use crate::KeyError;
use aws_sdk_kms::{
    config::ProvideCredentials,
    error::{ProvideErrorMetadata, SdkError},
};
use std::fmt;

/// IAM actions, as a policy names them.
pub(crate) const DECRYPT: &str = "kms:Decrypt";
pub(crate) const GENERATE_DATA_KEY: &str = "kms:GenerateDataKey";
pub(crate) const GET_SECRET_VALUE: &str = "secretsmanager:GetSecretValue";
pub(crate) const PUT_SECRET_VALUE: &str = "secretsmanager:PutSecretValue";

/// What was asked of AWS, and for what.
pub(crate) struct Call<'a> {
    what: &'a str,
    /// the KMS key or the secret
    pub(crate) object: &'a str,
    action: &'static str,
}

/// Why AWS did not do what it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AwsProblem {
    /// Too many requests, after all retries.
    Throttled,
    /// The KMS key is disabled.
    KeyDisabled,
    /// The KMS key is being deleted, or its material is not there.
    KeyUnusable,
    /// No such KMS key.
    KeyMissing,
    /// The KMS key is not for encryption and decryption of data.
    KeyUsage,
    /// Another KMS key wrapped it.
    WrongKey,
    /// Wrapped with another encryption context, or changed since.
    CiphertextRefused,
    /// No such secret, or no such version of it.
    SecretMissing,
    /// The secret is scheduled for deletion, or otherwise in no state to be used.
    SecretUnusable,
    /// Secrets Manager cannot use the KMS key that protects the secret.
    SecretKey,
    /// A property was named, and the secret is no JSON object.
    SecretNotJson,
    /// The JSON object has no such text member.
    PropertyMissing,
    /// The secret is a JSON object, and a new value without a property would replace all of it.
    SecretHasProperties,
    /// A policy does not allow it.
    Denied,
    /// The credentials have run out.
    CredentialsExpired,
    /// AWS does not know the credentials.
    CredentialsRefused,
    /// There are none.
    CredentialsMissing,
    /// No region is set.
    NoRegion,
    /// Nothing answers there.
    Unreachable {
        /// `no answer in time`, `no connection`
        reason: &'static str,
    },
    /// Anything else.
    Other {
        /// AWS's own error code, or the HTTP status
        code: String,
    },
}

impl<'a> Call<'a> {
    pub(crate) fn new(what: &'a str, object: &'a str, action: &'static str) -> Self {
        Self { what, object, action }
    }

    /// The error for a problem.
    pub(crate) fn problem(&self, problem: AwsProblem) -> KeyError {
        let (what, object) = (self.what.to_owned(), self.object.to_owned());
        KeyError::Aws { what, object, action: self.action, problem }
    }

    /// AWS answered without what it was asked for.
    pub(crate) fn unanswered(&self) -> KeyError {
        self.problem(AwsProblem::Other { code: "an answer without a value".to_owned() })
    }

    /// The error for a failed call.
    pub(crate) async fn failed<E: ProvideErrorMetadata, R>(&self, error: &SdkError<E, R>, aws: &Aws) -> KeyError {
        let problem = match error {
            SdkError::ServiceError(context) => {
                let error = context.err();
                service(self.action, error.code().unwrap_or_default(), error.message().unwrap_or_default())
            }
            SdkError::TimeoutError(_) => AwsProblem::Unreachable { reason: "no answer in time" },
            SdkError::DispatchFailure(failure) if failure.is_timeout() => {
                AwsProblem::Unreachable { reason: "no answer in time" }
            }
            SdkError::DispatchFailure(failure) if failure.is_io() => {
                AwsProblem::Unreachable { reason: "no connection" }
            }
            _ if !has_credentials(aws).await => AwsProblem::CredentialsMissing,
            SdkError::ResponseError(_) => AwsProblem::Unreachable { reason: "an answer that is none of AWS's" },
            _ => AwsProblem::Other { code: "a request that could not be made".to_owned() },
        };
        self.problem(problem)
    }
}

async fn has_credentials(aws: &Aws) -> bool {
    match aws.config.credentials_provider() {
        Some(provider) => provider.provide_credentials().await.is_ok(),
        None => false,
    }
}

/// What an error code of AWS means for this action.
fn service(action: &str, code: &str, message: &str) -> AwsProblem {
    let secrets = action.starts_with("secretsmanager:");
    match code {
        "ThrottlingException"
        | "Throttling"
        | "TooManyRequestsException"
        | "RequestLimitExceeded"
        | "LimitExceededException" => AwsProblem::Throttled,
        "DisabledException" => AwsProblem::KeyDisabled,
        "KMSInvalidStateException" | "KeyUnavailableException" => AwsProblem::KeyUnusable,
        "NotFoundException" => AwsProblem::KeyMissing,
        "InvalidKeyUsageException" => AwsProblem::KeyUsage,
        "IncorrectKeyException" => AwsProblem::WrongKey,
        // So it is said where the key that wrapped it is out of sight.
        "AccessDeniedException" if action == DECRYPT && message.starts_with("The ciphertext refers to") => {
            AwsProblem::WrongKey
        }
        "InvalidCiphertextException" => AwsProblem::CiphertextRefused,
        "ResourceNotFoundException" => AwsProblem::SecretMissing,
        "InvalidRequestException" if secrets => AwsProblem::SecretUnusable,
        "DecryptionFailure" | "EncryptionFailure" => AwsProblem::SecretKey,
        // The service says so in its message alone.
        "AccessDeniedException" if secrets && message.contains("KMS") => AwsProblem::SecretKey,
        "AccessDeniedException" | "AccessDenied" => AwsProblem::Denied,
        "ExpiredTokenException" | "ExpiredToken" | "RequestExpired" => AwsProblem::CredentialsExpired,
        "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "InvalidSignatureException"
        | "IncompleteSignature"
        | "MissingAuthenticationToken"
        | "NotAuthorized" => AwsProblem::CredentialsRefused,
        other => {
            let known = !other.is_empty() && other.len() <= 64 && other.chars().all(|c| c.is_ascii_alphanumeric());
            AwsProblem::Other { code: if known { other.to_owned() } else { "an unknown error".to_owned() } }
        }
    }
}

impl AwsProblem {
    /// The stable code.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Throttled => "aws_throttled",
            Self::KeyDisabled => "kms_key_disabled",
            Self::KeyUnusable => "kms_key_unusable",
            Self::KeyMissing => "kms_key_missing",
            Self::KeyUsage => "kms_key_usage",
            Self::WrongKey => "kms_wrong_key",
            Self::CiphertextRefused => "kms_ciphertext_refused",
            Self::SecretMissing => "secret_missing",
            Self::SecretUnusable => "secret_unusable",
            Self::SecretKey => "secret_key_denied",
            Self::SecretNotJson => "secret_not_json",
            Self::PropertyMissing => "secret_property",
            Self::SecretHasProperties => "secret_has_properties",
            Self::Denied => "aws_denied",
            Self::CredentialsExpired => "aws_credentials_expired",
            Self::CredentialsRefused => "aws_credentials_refused",
            Self::CredentialsMissing => "aws_credentials_missing",
            Self::NoRegion => "aws_region_missing",
            Self::Unreachable { .. } => "aws_unreachable",
            Self::Other { .. } => "aws_error",
        }
    }

    /// The next thing to do about it, for a call with this action.
    pub(crate) fn hint(&self, action: &str, object: &str) -> String {
        match self {
            Self::Throttled => "try again in a minute; AWS_MAX_ATTEMPTS=8 tries longer".to_owned(),
            Self::KeyDisabled => format!("`aws kms enable-key --key-id {object}`, if it may be used again"),
            Self::KeyUnusable => {
                format!("`aws kms describe-key --key-id {object}` shows its state; a deletion can be cancelled while it is pending")
            }
            Self::KeyMissing => "check the key id or alias, and the account and region (AWS_REGION, AWS_PROFILE)".to_owned(),
            Self::KeyUsage => "a symmetric key with the usage ENCRYPT_DECRYPT is needed".to_owned(),
            Self::WrongKey => "name the key that wrapped it as key_id, in its account and region, or give the data key that this one wrapped".to_owned(),
            Self::CiphertextRefused => {
                "give the same encryption context as when it was wrapped, and the wrapped key exactly as it was printed".to_owned()
            }
            Self::SecretMissing if action == PUT_SECRET_VALUE => {
                format!("`aws secretsmanager create-secret --name {object}` makes an empty one; or check the name, account and region (AWS_REGION, AWS_PROFILE)")
            }
            Self::SecretMissing => {
                "check the secret's name and version, and the account and region (AWS_REGION, AWS_PROFILE)".to_owned()
            }
            Self::SecretUnusable => format!("`aws secretsmanager describe-secret --secret-id {object}` shows its state"),
            Self::SecretKey => {
                "allow kms:Decrypt (and kms:GenerateDataKey to store) on the KMS key that protects the secret".to_owned()
            }
            Self::SecretNotJson => "leave out the #property: the secret is a text as a whole".to_owned(),
            Self::PropertyMissing => "name a text member of the secret's JSON object after the #".to_owned(),
            Self::SecretHasProperties => "name the property to replace: ID#property".to_owned(),
            Self::Denied => format!("allow the action {action} on it in the role's policy (for a KMS key also in the key's policy)"),
            Self::CredentialsExpired => "sign in again (`aws sso login`), or renew the session's credentials".to_owned(),
            Self::CredentialsRefused => "check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, or the profile".to_owned(),
            Self::CredentialsMissing => {
                "give credentials as for the aws command: AWS_PROFILE, `aws sso login`, AWS_ACCESS_KEY_ID, or a role of the machine or pod".to_owned()
            }
            Self::NoRegion => "set AWS_REGION, or a region in the profile".to_owned(),
            Self::Unreachable { .. } => "check the network, AWS_REGION and AWS_ENDPOINT_URL".to_owned(),
            Self::Other { .. } => format!("the same call with the aws command shows AWS's own message ({action})"),
        }
    }
}

impl fmt::Display for AwsProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Throttled => "AWS throttled the call, after all retries",
            Self::KeyDisabled => "the KMS key is disabled",
            Self::KeyUnusable => {
                "the KMS key is in a state in which it cannot be used (pending deletion, or without its material)"
            }
            Self::KeyMissing => "there is no such KMS key",
            Self::KeyUsage => "the KMS key does not encrypt and decrypt data keys",
            Self::WrongKey => "another KMS key wrapped this data key, or one that is out of sight",
            Self::CiphertextRefused => "the data key was wrapped with another encryption context, or was changed since",
            Self::SecretMissing => "there is no such secret, or no such version of it",
            Self::SecretUnusable => "the secret is marked for deletion, or cannot be used in its state",
            Self::SecretKey => "the KMS key that protects the secret cannot be used",
            Self::SecretNotJson => "the secret is no JSON object, so that it has no properties",
            Self::PropertyMissing => "the secret's JSON object has no text member of that name",
            Self::SecretHasProperties => "the secret is a JSON object, all of which would be replaced",
            Self::Denied => "a policy does not allow the call",
            Self::CredentialsExpired => "the AWS credentials have expired",
            Self::CredentialsRefused => "AWS does not accept the credentials",
            Self::CredentialsMissing => "there are no AWS credentials",
            Self::NoRegion => "no AWS region is set",
            Self::Unreachable { reason } => return write!(f, "AWS cannot be reached: {reason}"),
            Self::Other { code } => return write!(f, "AWS answered {code}"),
        };
        f.write_str(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_of_aws_has_a_code_of_its_own() {
        for (action, answer, message, code) in [
            (DECRYPT, "ThrottlingException", "", "aws_throttled"),
            (DECRYPT, "DisabledException", "", "kms_key_disabled"),
            (DECRYPT, "KMSInvalidStateException", "", "kms_key_unusable"),
            (GENERATE_DATA_KEY, "NotFoundException", "", "kms_key_missing"),
            (DECRYPT, "IncorrectKeyException", "", "kms_wrong_key"),
            (DECRYPT, "InvalidCiphertextException", "", "kms_ciphertext_refused"),
            (DECRYPT, "AccessDeniedException", "KMS", "aws_denied"),
            (DECRYPT, "AccessDeniedException", "The ciphertext refers to a customer master key that", "kms_wrong_key"),
            (GET_SECRET_VALUE, "AccessDeniedException", "not authorized", "aws_denied"),
            (GET_SECRET_VALUE, "AccessDeniedException", "Access to KMS is not allowed", "secret_key_denied"),
            (GET_SECRET_VALUE, "ResourceNotFoundException", "", "secret_missing"),
            (PUT_SECRET_VALUE, "InvalidRequestException", "", "secret_unusable"),
            (DECRYPT, "ExpiredTokenException", "", "aws_credentials_expired"),
            (DECRYPT, "UnrecognizedClientException", "", "aws_credentials_refused"),
            (DECRYPT, "ValidationException", "Value 'secret'", "aws_error"),
        ] {
            let problem = service(action, answer, message);
            assert_eq!(problem.code(), code, "{answer}");
            let e = Call::new("key.default.new", "alias/phi", action).problem(problem);
            assert!(!format!("{e} {e:?}").contains("'secret'") && !e.hint().is_empty(), "{e}");
        }
    }

    #[test]
    fn a_denial_names_the_action_and_a_strange_code_is_not_repeated() {
        let e = Call::new("key.default.new", "alias/phi", DECRYPT).problem(AwsProblem::Denied);
        assert!(e.hint().contains("kms:Decrypt") && e.to_string().contains("alias/phi"), "{e}: {}", e.hint());
        assert_eq!(service(DECRYPT, "\u{1b}[31m", ""), AwsProblem::Other { code: "an unknown error".to_owned() });
    }
}
