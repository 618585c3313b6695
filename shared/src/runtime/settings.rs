//! The environment of a deployed function, and the clients it creates before its first request.

use crate::store::{Store, Tables};
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use std::env;
use std::time::Duration;

/// A setting that is missing.
#[derive(Debug, thiserror::Error)]
#[error("the environment has no {0}")]
pub struct MissingSetting(&'static str);

pub fn required(name: &'static str) -> Result<String, MissingSetting> {
    optional(name).ok_or(MissingSetting(name))
}

pub fn optional(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

impl Tables {
    /// Reads `COUNTERS_TABLE`, `LEDGER_TABLE`, `GOVERNANCE_TABLE` and `AUDIT_TABLE`.
    pub fn from_env() -> Result<Self, MissingSetting> {
        Ok(Self {
            counters: required("COUNTERS_TABLE")?,
            ledger: required("LEDGER_TABLE")?,
            governance: required("GOVERNANCE_TABLE")?,
            audit: required("AUDIT_TABLE")?,
        })
    }
}

/// How long a call to AWS may take.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// The time of one attempt.
    pub attempt: Duration,
    /// The number of attempts.
    pub attempts: u32,
}

impl Patience {
    /// The limits for background work.
    pub const USUAL: Self = Self {
        attempt: Duration::from_millis(1_000),
        attempts: 3,
    };
    /// For one call of a decision that a person waits for. The decision has a deadline of its own.
    pub const SHORT: Self = Self {
        attempt: Duration::from_millis(150),
        attempts: 2,
    };
}

impl Patience {
    /// Returns how long a client waits: for an attempt, and for all of them.
    pub fn timeouts(self) -> TimeoutConfig {
        TimeoutConfig::builder()
            .operation_attempt_timeout(self.attempt)
            .operation_timeout(self.attempt * (self.attempts + 1))
            .build()
    }

    /// Returns how often a client tries. It waits a tenth of an attempt before the second one: the
    /// default wait would exceed the total time.
    pub fn retries(self) -> RetryConfig {
        RetryConfig::standard()
            .with_max_attempts(self.attempts)
            .with_initial_backoff(self.attempt / 10)
    }
}

/// How long a connection may be idle before it is closed. It is less than the minute after which a
/// service closes it: a request on a connection that is being closed fails, and is made again.
const IDLE: Duration = Duration::from_secs(45);

/// Loads the AWS configuration of the environment. Every client that is made of it uses the same
/// connections.
pub async fn aws(patience: Patience) -> SdkConfig {
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
        .pool_idle_timeout(IDLE)
        .build_https();
    aws_config::defaults(BehaviorVersion::latest())
        .http_client(http)
        .timeout_config(patience.timeouts())
        .retry_config(patience.retries())
        .load()
        .await
}

/// Returns the same configuration, with the same connections, for clients that wait longer or less.
pub fn with_patience(aws: &SdkConfig, patience: Patience) -> SdkConfig {
    aws.to_builder()
        .timeout_config(patience.timeouts())
        .retry_config(patience.retries())
        .build()
}

/// Creates the store of the environment.
pub fn store(aws: &SdkConfig) -> Result<Store, MissingSetting> {
    Ok(Store::new(
        aws_sdk_dynamodb::Client::new(aws),
        Tables::from_env()?,
    ))
}
