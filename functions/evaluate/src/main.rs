//! The evaluate function on AWS Lambda.

use evaluate::{App, handle};
use lambda_runtime::Error;
use shared::runtime::clock::Clock;
use shared::runtime::queue::Notices;
use shared::runtime::{batch, logs, settings};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    logs::start();
    let aws = settings::aws(settings::Patience::USUAL).await;
    let queue_url = settings::required("NOTICES_QUEUE_URL")?;
    let notices = Notices::new(aws_sdk_sqs::Client::new(&aws), queue_url);
    let app = App::new(settings::store(&aws)?, notices, Clock::default());
    let app = &app;
    batch::run(|event| handle(app, event)).await
}
