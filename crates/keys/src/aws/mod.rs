//! AWS as the software development kit's own settings have it: the default chain of credentials, region and endpoints from the environment or
//! a profile, bounded retries with jitter (three attempts, or `AWS_MAX_ATTEMPTS`).

mod failure;
mod kms;
mod secrets_manager;

pub use failure::AwsProblem;
pub(crate) use failure::{Call, DECRYPT, GENERATE_DATA_KEY};
pub(crate) use kms::Kms;
pub(crate) use secrets_manager::SecretsManager;

use aws_config::{BehaviorVersion, SdkConfig, timeout::TimeoutConfig};
use std::time::Duration;

/// Of one attempt, and of a call with its retries.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(4);
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);
const CALL_TIMEOUT: Duration = Duration::from_secs(45);

/// Everything that calls of AWS have in common.
pub(crate) struct Aws {
    config: SdkConfig,
}

impl Aws {
    /// Looks at the environment and the profiles. Credentials are asked for by the first call.
    pub(crate) async fn from_environment() -> Self {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .operation_attempt_timeout(ATTEMPT_TIMEOUT)
            .operation_timeout(CALL_TIMEOUT)
            .build();
        let config = aws_config::defaults(BehaviorVersion::v2026_01_12()).timeout_config(timeouts).load().await;
        Self { config }
    }

    /// Refuses to call where no region says whom.
    fn config(&self, call: &Call<'_>) -> Result<&SdkConfig, crate::KeyError> {
        match self.config.region() {
            Some(_) => Ok(&self.config),
            None => Err(call.problem(AwsProblem::NoRegion)),
        }
    }
}
