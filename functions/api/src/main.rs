//! The management API on AWS Lambda.

use api::{App, router};
use lambda_http::Error;
use shared::runtime::clock::Clock;
use shared::runtime::queue::Notices;
use shared::runtime::sealing::Vault;
use shared::runtime::secrets::{Secret, SecretReader};
use shared::runtime::token::Tokens;
use shared::runtime::{logs, settings};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    logs::start();
    let aws = settings::aws(settings::Patience::USUAL).await;
    let reader = SecretReader::new(&aws);
    let secrets = [
        settings::required("OPERATOR_KEY_SECRET")?,
        settings::required("SEALING_KEY_SECRET")?,
        settings::required("TOKEN_KEY_SECRET")?,
    ];
    let secrets = secrets.map(|id| Secret::new(&reader, id));
    for secret in &secrets {
        secret.versions().await?;
    }
    let [operator_key, sealing_key, token_key] = secrets;
    let store = settings::store(&aws)?;
    let queue_url = settings::required("NOTICES_QUEUE_URL")?;
    let notices = Notices::new(aws_sdk_sqs::Client::new(&aws), queue_url);
    let secrets = (Vault::new(sealing_key), Tokens::new(token_key));
    let app = App::new(store, operator_key, secrets, notices, Clock::default());
    lambda_http::run(router(app)).await
}
