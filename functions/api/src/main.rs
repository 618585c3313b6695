//! The management API on AWS Lambda.

use api::{App, router};
use lambda_http::Error;
use shared::runtime::clock::Clock;
use shared::runtime::queue::Notices;
use shared::runtime::sealing::Sealer;
use shared::runtime::token::Tokens;
use shared::runtime::{logs, settings};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    logs::start();
    let aws = settings::aws(settings::Patience::USUAL).await;
    let operator_key = settings::required("OPERATOR_KEY")?;
    let sealer = Sealer::new(&settings::required("SEALING_KEY")?);
    let store = settings::store(&aws)?;
    let queue_url = settings::required("NOTICES_QUEUE_URL")?;
    let notices = Notices::new(aws_sdk_sqs::Client::new(&aws), queue_url);
    let tokens = Tokens::new(&settings::required("TOKEN_KEY")?);
    let secrets = (sealer, tokens);
    let app = App::new(store, &operator_key, secrets, notices, Clock::default());
    lambda_http::run(router(app)).await
}
