//! The preflight function on AWS Lambda.

use lambda_http::Error;
use preflight::{App, router};
use shared::domain::configuration::OnUnavailable;
use shared::runtime::clock::Clock;
use shared::runtime::settings;
use std::env::VarError;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    settings::start_logs();
    let aws = settings::aws(settings::Patience::SHORT).await;
    let default = match std::env::var("ON_UNAVAILABLE").as_deref() {
        Ok("deny") => OnUnavailable::Deny,
        Ok("allow") | Err(VarError::NotPresent) => OnUnavailable::Allow,
        _ => return Err("ON_UNAVAILABLE must be allow or deny".into()),
    };
    let app = App::new(settings::store(&aws)?, Clock::default(), default);
    lambda_http::run(router(app)).await
}
