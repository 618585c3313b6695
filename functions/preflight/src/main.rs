//! The preflight function on AWS Lambda.

use lambda_http::Error;
use preflight::{App, router};
use shared::domain::configuration::OnUnavailable;
use shared::runtime::clock::Clock;
use shared::runtime::settings;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    settings::start_logs();
    let aws = settings::aws().await;
    let default = match settings::required("ON_UNAVAILABLE").as_deref() {
        Ok("deny") => OnUnavailable::Deny,
        _ => OnUnavailable::Allow,
    };
    let app = App::new(settings::store(&aws)?, Clock::default(), default);
    lambda_http::run(router(app)).await
}
