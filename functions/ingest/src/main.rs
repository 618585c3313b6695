//! The ingest function on AWS Lambda.

use ingest::{App, router};
use lambda_http::Error;
use shared::runtime::clock::Clock;
use shared::runtime::sealing::Sealer;
use shared::runtime::token::Tokens;
use shared::runtime::{logs, settings};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    logs::start();
    let aws = settings::aws(settings::Patience::USUAL).await;
    let queue_url = settings::required("EVENTS_QUEUE_URL")?;
    let sqs = aws_sdk_sqs::Client::new(&aws);
    let sealer = Sealer::new(&settings::required("SEALING_KEY")?);
    let store = settings::store(&aws)?;
    let tokens = Tokens::new(&settings::required("TOKEN_KEY")?);
    let app = App::new(store, sqs, queue_url, (sealer, tokens), Clock::default());
    lambda_http::run(router(app)).await
}
