//! The ingest function on AWS Lambda.

use ingest::{App, router};
use lambda_http::Error;
use shared::runtime::clock::Clock;
use shared::runtime::sealing::Vault;
use shared::runtime::secrets::{Secret, SecretReader};
use shared::runtime::token::Tokens;
use shared::runtime::{logs, settings};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    logs::start();
    let aws = settings::aws(settings::Patience::USUAL).await;
    let queue_url = settings::required("EVENTS_QUEUE_URL")?;
    let sqs = aws_sdk_sqs::Client::new(&aws);
    let reader = SecretReader::new(&aws);
    let sealing_key = Secret::new(&reader, settings::required("SEALING_KEY_SECRET")?);
    let token_key = Secret::new(&reader, settings::required("TOKEN_KEY_SECRET")?);
    for secret in [&sealing_key, &token_key] {
        secret.versions().await?;
    }
    let secrets = (Vault::new(sealing_key), Tokens::new(token_key));
    let store = settings::store(&aws)?;
    let app = App::new(store, sqs, queue_url, secrets, Clock::default());
    lambda_http::run(router(app)).await
}
