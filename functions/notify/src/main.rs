//! The notify function on AWS Lambda.

use aws_sdk_ses::config::retry::RetryConfig;
use aws_sdk_ses::config::timeout::TimeoutConfig;
use lambda_runtime::Error;
use notify::{App, Bus, Mailer, Poster, handle};
use shared::domain::notice::egress_policy::EgressPolicy;
use shared::domain::notice::mail_layout::Layout;
use shared::runtime::clock::Clock;
use shared::runtime::queue::Notices;
use shared::runtime::sealing::Vault;
use shared::runtime::secrets::{Secret, SecretReader};
use shared::runtime::{batch, logs, settings};
use std::time::Duration;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    logs::start();
    let aws = settings::aws(settings::Patience::USUAL).await;
    let sqs = aws_sdk_sqs::Client::new(&aws);
    let notices = Notices::new(sqs.clone(), settings::required("NOTICES_QUEUE_URL")?);
    let given_up = Notices::new(sqs, settings::required("DEAD_NOTICES_QUEUE_URL")?);
    let reader = SecretReader::new(&aws);
    let sealing_key = Secret::new(&reader, settings::required("SEALING_KEY_SECRET")?);
    sealing_key.versions().await?;
    let poster = Poster::new(EgressPolicy::Public)?;
    let console = settings::optional("CONSOLE_URL");
    let sender = settings::optional("MAIL_SENDER");
    let parts = ["MAIL_SUBJECT", "MAIL_TEXT", "MAIL_HTML"].map(settings::optional);
    let mailer = Mailer::new(ses(&aws), sender, console)
        .with_layout(Layout::new(parts)?)
        .with_configuration_set(settings::optional("MAIL_CONFIGURATION_SET"));
    let store = settings::store(&aws)?;
    let events = aws_sdk_eventbridge::Client::new(&aws);
    let bus = Bus::new(events, settings::optional("BUS_NAME"));
    let queues = [notices, given_up];
    let vault = Vault::new(sealing_key);
    let channels = (poster, mailer, bus);
    let app = App::new(store, queues, vault, channels, Clock::default());
    let app = &app;
    batch::run(|event| handle(app, event)).await
}

/// SES cannot tell later whether it took a mail, so each call is made once, with a long timeout. If
/// it fails, the mail is sent again later.
fn ses(aws: &aws_config::SdkConfig) -> aws_sdk_ses::Client {
    let timeouts = TimeoutConfig::builder()
        .operation_timeout(Duration::from_secs(12))
        .build();
    let config = aws_sdk_ses::config::Builder::from(aws)
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts);
    aws_sdk_ses::Client::from_conf(config.build())
}
