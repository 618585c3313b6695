//! The settings of a system, and the clients that the functions get from them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::{
    BehaviorVersion, Credentials, Region, SharedCredentialsProvider, StalledStreamProtectionConfig,
};
use jiff::Timestamp;
use notify::{Bus, Lookup, Mailer, Poster};
use reset::Archive;
use shared::domain::notice::egress_policy::EgressPolicy;
use shared::domain::org::organisation::OnUnavailable;
use shared::runtime::secrets::{Secret, SecretReader};
use shared::runtime::settings::Patience;

use crate::bucket::LocalBucket;
use crate::bus::LocalBus;
use crate::dynamodb::Engine;
use crate::event_source::FIRST_RETRY;
use crate::names::{BUCKET, BUS, CONFIGURATION_SET, MAIL_SENDER};
use crate::secrets::LocalSecrets;
use crate::ses::Mails;
use crate::sqs::Queues;
use crate::start_error::StartError;

/// Enough for 25 megabytes over a slow line.
const TIME_TO_SEND: Duration = Duration::from_secs(30);

/// The settings of a system. By default it is in memory and handles events as they come.
#[derive(Clone, Debug)]
pub struct SystemSettings {
    /// The directory of the data. None keeps the data in memory until the system is dropped.
    pub data: Option<PathBuf>,
    /// The time at which the clock stands still until it is set. None uses the system clock.
    pub now: Option<Timestamp>,
    /// The retries of the functions' clients. With [`RetryConfig::disabled`] a function sees each
    /// injected fault.
    pub retry: RetryConfig,
    /// Whether events are handled as they come. Otherwise they wait for a drain.
    pub delivers_events: bool,
    /// How long `preflight` waits for the database, as in a deployment. None, the default, waits
    /// for ever: unlike DynamoDB, an engine in this process is slow under a thousand racing
    /// requests.
    pub preflight_patience: Option<Patience>,
    /// The time limit of a decision of `preflight`. None, the default, has no limit for the same
    /// reason.
    pub decision_time: Option<Duration>,
    /// The delay before each batch of events is handled.
    pub evaluate_delay: Option<Duration>,
    /// The wait after the first failure of a message.
    pub first_retry: Duration,
    /// The answer of `preflight` if the configuration cannot be read.
    pub on_unavailable: OnUnavailable,
    /// The time limit of one call of a policy test or a repricing. None uses the limit of a
    /// deployment.
    pub test_time: Option<Duration>,
    /// Whether the names of webhooks are resolved. Otherwise webhooks reach only addresses of this
    /// machine.
    pub resolves_names: bool,
    /// How long a client may take to send the header of a request, and again its body.
    pub time_to_send: Duration,
    /// Whether the requests of each key are limited, as in a deployment.
    pub is_limited: bool,
    /// Whether `preflight` repeats refusals from memory in a storm, as in a deployment. Suites that
    /// know each answer beforehand leave it off: what was given back is seen a moment later then.
    pub repeats_refusals: bool,
    /// How long keys are cached. None uses the time of a deployment.
    pub keys_believed: Option<Duration>,
}

impl Default for SystemSettings {
    fn default() -> Self {
        Self {
            data: None,
            now: None,
            retry: RetryConfig::standard(),
            delivers_events: true,
            preflight_patience: None,
            decision_time: None,
            evaluate_delay: None,
            first_retry: FIRST_RETRY,
            on_unavailable: OnUnavailable::Allow,
            test_time: None,
            resolves_names: true,
            time_to_send: TIME_TO_SEND,
            is_limited: false,
            repeats_refusals: false,
            keys_believed: None,
        }
    }
}

impl SystemSettings {
    /// The settings of the suites: names are not resolved, and failed messages are retried at once.
    pub fn empty() -> Self {
        Self {
            first_retry: Duration::from_millis(1),
            resolves_names: false,
            ..Self::default()
        }
    }

    /// The client of one function, which waits for an answer as long as `patience` says.
    pub(super) fn dynamodb(
        &self,
        engine: &Engine,
        function: &'static str,
        patience: Option<Patience>,
    ) -> aws_sdk_dynamodb::Client {
        let config = aws_sdk_dynamodb::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::from_static("us-east-1"))
            .retry_config(self.retry.clone())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .http_client(engine.http_client_of(function));
        // Nothing in this process checks a signature, and signing takes a tenth of each call.
        let config = if engine.is_another() {
            config.credentials_provider(credentials())
        } else {
            config.allow_no_auth()
        };
        let config = match patience {
            Some(patience) => config
                .timeout_config(patience.timeouts())
                .retry_config(patience.retries()),
            None => config,
        };
        aws_sdk_dynamodb::Client::from_conf(config.build())
    }

    pub(super) fn poster(&self) -> Result<Poster, StartError> {
        let egress = EgressPolicy::PublicAndLoopback;
        let poster = if self.resolves_names {
            Poster::new(egress)
        } else {
            let nobody: Lookup = Arc::new(|_| Box::pin(async { Ok(Vec::new()) }));
            Poster::with_lookup(egress, nobody)
        };
        poster.map_err(|error| StartError::Poster(error.into()))
    }

    /// The mail client, which reaches only this machine.
    pub(super) fn mailer(&self, mails: &Mails) -> Mailer {
        let config = aws_sdk_ses::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::from_static("us-east-1"))
            .credentials_provider(credentials())
            .retry_config(RetryConfig::disabled())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .http_client(mails.http_client_of("notify"));
        let ses = aws_sdk_ses::Client::from_conf(config.build());
        Mailer::new(ses, Some(MAIL_SENDER.to_owned()), None)
            .with_configuration_set(Some(CONFIGURATION_SET.to_owned()))
    }

    /// The bus client, which reaches only this machine.
    pub(super) fn bus(&self, bus: &LocalBus) -> Bus {
        let config = aws_sdk_eventbridge::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::from_static("us-east-1"))
            .credentials_provider(credentials())
            .retry_config(self.retry.clone())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .http_client(bus.http_client_of("notify"));
        let client = aws_sdk_eventbridge::Client::from_conf(config.build());
        Bus::new(client, Some(BUS.to_owned()))
    }

    /// The client of the bucket of the audit logs' heads.
    pub(super) fn archive(&self, bucket: &LocalBucket) -> Archive {
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::from_static("us-east-1"))
            .credentials_provider(credentials())
            .retry_config(self.retry.clone())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .http_client(bucket.http_client_of("reset"));
        let s3 = aws_sdk_s3::Client::from_conf(config.build());
        Archive::new(s3, BUCKET.to_owned())
    }

    /// A secret of the deployment, as one function reads it.
    pub(super) fn secret(
        &self,
        secrets: &LocalSecrets,
        function: &'static str,
        name: &'static str,
    ) -> Secret {
        let aws = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::from_static("us-east-1"))
            .credentials_provider(SharedCredentialsProvider::new(credentials()))
            .retry_config(self.retry.clone())
            .http_client(secrets.http_client_of(function))
            .build();
        Secret::new(&SecretReader::new(&aws), name)
    }

    /// The client of one function.
    pub(super) fn sqs(&self, queues: &Queues, function: &'static str) -> aws_sdk_sqs::Client {
        let config = aws_sdk_sqs::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::from_static("us-east-1"))
            .credentials_provider(credentials())
            .retry_config(self.retry.clone())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .http_client(queues.http_client_of(function));
        aws_sdk_sqs::Client::from_conf(config.build())
    }
}

/// The clients sign their requests, but nothing checks it.
fn credentials() -> Credentials {
    Credentials::new("local", "local", None, None, "local")
}
