//! The reset function on AWS Lambda.

use lambda_runtime::{Error, LambdaEvent, service_fn};
use reset::{App, Archive, AuditRequest, Heads, audit, handle};
use serde_json::Value;
use shared::runtime::clock::Clock;
use shared::runtime::queue::Notices;
use shared::runtime::secrets::{Secret, SecretReader};
use shared::runtime::{logs, settings};
use std::time::{Duration, Instant};

/// The part of the function's time that is reserved, so that a pass ends by itself.
const RESERVE: Duration = Duration::from_secs(30);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    logs::start();
    let aws = settings::aws(settings::Patience::USUAL).await;
    let queue_url = settings::required("NOTICES_QUEUE_URL")?;
    let notices = Notices::new(aws_sdk_sqs::Client::new(&aws), queue_url);
    let reader = SecretReader::new(&aws);
    let audit_key = Secret::new(&reader, settings::required("AUDIT_KEY_SECRET")?);
    audit_key.versions().await?;
    let bucket = settings::optional("AUDIT_BUCKET");
    let archive = bucket.map(|bucket| Archive::new(aws_sdk_s3::Client::new(&aws), bucket));
    let heads = Heads::new(audit_key, archive);
    let app = App::new(settings::store(&aws)?, notices, heads, Clock::default());
    let app = &app;
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Value>| async move {
        let deadline = event.context.deadline();
        let left = deadline
            .duration_since(std::time::SystemTime::now())
            .unwrap_or_default();
        let until = Instant::now() + left.saturating_sub(RESERVE);
        // Invoked by hand with {"audit": "<organisation>", "repair": false}.
        if event.payload.get("audit").is_some() {
            let request: AuditRequest = serde_json::from_value(event.payload)?;
            return Ok(serde_json::to_value(audit(app, &request, until).await?)?);
        }
        Ok::<Value, Error>(serde_json::to_value(handle(app, until).await?)?)
    }))
    .await
}
