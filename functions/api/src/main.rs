//! The management API on AWS Lambda.

use api::{App, router};
use lambda_http::Error;
use shared::runtime::clock::Clock;
use shared::runtime::settings;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    settings::start_logs();
    let aws = settings::aws(settings::Patience::USUAL).await;
    let operator_key = settings::required("OPERATOR_KEY")?;
    let app = App::new(settings::store(&aws)?, &operator_key, Clock::default());
    lambda_http::run(router(app)).await
}
