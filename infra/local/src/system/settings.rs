//! What a system is started with, and why it may not start.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::{
    BehaviorVersion, Credentials, Region, StalledStreamProtectionConfig,
};
use jiff::Timestamp;
use notify::{Bus, Lookup, Mailer, Poster};
use reset::{Archive, Heads, NotSigned, Signer};
use shared::domain::configuration::OnUnavailable;
use shared::domain::egress_policy::EgressPolicy;
use shared::runtime::settings::Patience;
use shared::store::StoreError;

use super::{BUCKET, BUS, CONFIGURATION_SET, MAIL_SENDER, OPERATOR_KEY};
use crate::bucket::LocalBucket;
use crate::bus::LocalBus;
use crate::demo::DemoError;
use crate::engine::{Engine, EngineError};
use crate::mail::Mails;
use crate::mapping::FIRST_RETRY;
use crate::queue::{QueueError, Queues};

/// Long enough for 25 megabytes over a slow line.
const TIME_TO_SEND: Duration = Duration::from_secs(30);

/// What a new system has in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contents {
    /// A company with departments, users, budgets and some usage.
    Demo,
    /// The organisation and its keys.
    Empty,
}

/// How a system is started. The default is the demo company in memory, which handles events at once.
#[derive(Clone, Debug)]
pub struct SystemSettings {
    /// The directory that keeps the data; none keeps it in memory, as long as the system lives.
    pub data: Option<PathBuf>,
    /// What is put into it. What is there already stays.
    pub contents: Contents,
    /// Where the clock stands still, from before anything is made until it is set; none lets the computer's run.
    pub now: Option<Timestamp>,
    /// How the functions' clients try again. With [`RetryConfig::disabled`] a function sees every injected fault.
    pub retry: RetryConfig,
    /// Whether events are handled as they come. Otherwise they wait until the system is drained.
    pub delivers_events: bool,
    /// How long `preflight` waits for the database, as it does where it is deployed; none waits for ever. It is not the
    /// default: an engine in the same process is slow under a thousand racing requests, which DynamoDB is not.
    pub preflight_patience: Option<Patience>,
    /// How long a decision of `preflight` may take. None has no limit, for the same reason.
    pub decision_time: Option<Duration>,
    /// How long each batch of events waits before it is handled.
    pub evaluate_delay: Option<Duration>,
    /// How long a message that failed once waits until it is delivered again.
    pub first_retry: Duration,
    /// What `preflight` answers where not even the configuration can be read.
    pub on_unavailable: OnUnavailable,
    /// How long one call of a policy's test evaluates; none as where it is deployed.
    pub test_time: Option<Duration>,
    /// Whether webhooks may go to names, as they do. Otherwise no name is known, and they reach this machine's addresses only.
    pub resolves_names: bool,
    /// How long a client may take to send the header of a request, and again its body.
    pub time_to_send: Duration,
    /// Whether keys may make only so many requests a minute, as they may where it is deployed.
    pub is_limited: bool,
    /// How long keys are believed without asking again; none as where they are deployed.
    pub keys_believed: Option<Duration>,
}

impl Default for SystemSettings {
    fn default() -> Self {
        Self {
            data: None,
            contents: Contents::Demo,
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
            keys_believed: None,
        }
    }
}

impl SystemSettings {
    /// The organisation and its keys in memory, nothing else, no way out of this machine, and nobody who waits.
    pub fn empty() -> Self {
        Self {
            contents: Contents::Empty,
            first_retry: Duration::from_millis(1),
            resolves_names: false,
            ..Self::default()
        }
    }

    /// The client of one function.
    pub(super) fn dynamodb(
        &self,
        engine: &Engine,
        function: &'static str,
    ) -> aws_sdk_dynamodb::Client {
        let config = aws_sdk_dynamodb::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::from_static("us-east-1"))
            .retry_config(self.retry.clone())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .http_client(engine.http_client_of(function));
        // Nobody in this process looks at a signature, and it would be a tenth of each call.
        let config = if engine.is_another() {
            config.credentials_provider(credentials())
        } else {
            config.allow_no_auth()
        };
        let patience = self.preflight_patience.filter(|_| function == "preflight");
        let config = match patience {
            Some(patience) => config
                .timeout_config(patience.timeouts())
                .retry_config(patience.retries()),
            None => config,
        };
        aws_sdk_dynamodb::Client::from_conf(config.build())
    }

    /// What posts to webhooks.
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

    /// What sends mails, to nobody but this machine.
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

    /// The bus, which is on this machine only.
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

    /// What signs the audit logs' heads, and the bucket that they are put into.
    pub(super) fn heads(&self, bucket: &LocalBucket) -> Result<Heads, StartError> {
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::from_static("us-east-1"))
            .credentials_provider(credentials())
            .retry_config(self.retry.clone())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .http_client(bucket.http_client_of("reset"));
        let s3 = aws_sdk_s3::Client::from_conf(config.build());
        let archive = Archive::new(s3, BUCKET.to_owned());
        Ok(Heads::new(Signer::new(OPERATOR_KEY)?, Some(archive)))
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

/// The clients sign their requests, and nobody checks it.
fn credentials() -> Credentials {
    Credentials::new("local", "local", None, None, "local")
}

/// Why a system did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Another process has the directory.
    #[error("the data in {} is used by another process", .0.display())]
    InUse(PathBuf),
    /// The queues.
    #[error("the queues cannot be opened")]
    Queues(#[from] QueueError),
    /// What posts to webhooks.
    #[error("webhooks cannot be posted")]
    Poster(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The database.
    #[error("the database cannot be opened")]
    Engine(#[from] EngineError),
    /// The tables or the organisation.
    #[error("the tables cannot be made ready")]
    Store(#[from] StoreError),
    /// What signs the audit logs' heads.
    #[error(transparent)]
    Signature(#[from] NotSigned),
    /// The demo data.
    #[error("the demo data cannot be made")]
    Demo(#[from] DemoError),
}
