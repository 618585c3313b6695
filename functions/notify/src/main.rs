//! The notify function on AWS Lambda.

use aws_lambda_events::event::sqs::SqsEvent;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use notify::{App, Mailer, Poster, handle};
use shared::domain::reach::Reach;
use shared::runtime::clock::Clock;
use shared::runtime::queue::Notices;
use shared::runtime::sealing::Sealer;
use shared::runtime::settings;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    settings::start_logs();
    let aws = settings::aws(settings::Patience::USUAL).await;
    let sqs = aws_sdk_sqs::Client::new(&aws);
    let notices = Notices::new(sqs.clone(), settings::required("NOTICES_QUEUE_URL")?);
    let given_up = Notices::new(sqs, settings::required("DEAD_NOTICES_QUEUE_URL")?);
    let sealer = Sealer::new(&settings::required("SEALING_KEY")?);
    let poster = Poster::new(Reach::Public)?;
    let console = settings::optional("CONSOLE_URL");
    let sender = settings::optional("MAIL_SENDER");
    let mailer = Mailer::new(aws_sdk_ses::Client::new(&aws), sender, console);
    let store = settings::store(&aws)?;
    let queues = [notices, given_up];
    let app = App::new(store, queues, sealer, poster, mailer, Clock::default());
    let app = &app;
    lambda_runtime::run(service_fn(move |event: LambdaEvent<SqsEvent>| async move {
        Ok::<_, Error>(handle(app, event.payload).await)
    }))
    .await
}
