//! The preflight function on AWS Lambda.

use aws_sdk_sqs::config::retry::RetryConfig;
use lambda_http::Error;
use preflight::{App, Refusals, read_ahead, router};
use shared::domain::org::organisation::OnUnavailable;
use shared::runtime::clock::Clock;
use shared::runtime::secrets::{Secret, SecretReader};
use shared::runtime::settings::Patience;
use shared::runtime::token::Tokens;
use shared::runtime::{logs, settings};
use std::env::VarError;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    logs::start();
    let aws = settings::aws(Patience::SHORT).await;
    let at_start = settings::with_patience(&aws, Patience::USUAL);
    let default = match std::env::var("ON_UNAVAILABLE").as_deref() {
        Ok("deny") => OnUnavailable::Deny,
        Ok("allow") | Err(VarError::NotPresent) => OnUnavailable::Allow,
        _ => return Err("ON_UNAVAILABLE must be allow or deny".into()),
    };
    // A refusal that is not recorded at once is not worth waiting for.
    let sqs = aws_sdk_sqs::config::Builder::from(&aws).retry_config(RetryConfig::disabled());
    let sqs = aws_sdk_sqs::Client::from_conf(sqs.build());
    let refusals = Refusals::new(sqs, settings::required("EVENTS_QUEUE_URL")?);
    let store = settings::store(&aws)?;
    let reader = SecretReader::new(&at_start);
    let token_key = Secret::new(&reader, settings::required("TOKEN_KEY_SECRET")?);
    let tokens = Tokens::new(token_key.clone());
    let app = App::new(store, Clock::default(), default, (tokens, refusals))
        .starting_with(settings::store(&at_start)?);
    // An access token reads the secret if it could not be read now; keys need none.
    tokio::join!(app.make_ready(), read_ahead(token_key.versions()));
    lambda_http::run(router(app)).await
}
