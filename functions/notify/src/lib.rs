//! Tells people and systems what happened: one message of the queue is one notice, one delivery to a webhook or box of letters that
//! is due, or one report of the mail service.
//!
//! At least once in, once in effect: a notice becomes deliveries under ids of its own, which are made once; a delivery that ended
//! is not attempted again. A receiver may see the same `webhook-id` twice where the function was stopped between the answer and
//! keeping it, and knows by it that it is the same. Nothing sleeps here: what is due later waits in the queue.

mod attempt;
mod bus;
mod deliver;
mod feedback;
mod mails;
mod post;
mod resume;
mod tell;

use aws_lambda_events::event::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
pub use bus::Bus;
pub use mails::Mailer;
pub use post::{Lookup, Poster};
use shared::domain::feedback::{Feedback, Unreadable};
use shared::domain::notice::NoticeMessage;
use shared::runtime::clock::Clock;
use shared::runtime::logs::{ErrorType, report};
use shared::runtime::queue::{NotQueued, Notices};
use shared::runtime::sealing::Sealer;
use shared::store::{Store, StoreError};
use tell::Told;

/// What the function has for all its batches.
#[derive(Clone, Debug)]
pub struct App {
    store: Store,
    notices: Notices,
    /// Where deliveries go that were given up.
    given_up: Notices,
    sealer: Sealer,
    poster: Poster,
    mailer: Mailer,
    bus: Bus,
    clock: Clock,
}

impl App {
    /// The function on `store`: it queues for later on `notices`, and what is given up on `given_up`.
    pub fn new(
        store: Store,
        [notices, given_up]: [Notices; 2],
        sealer: Sealer,
        (poster, mailer, bus): (Poster, Mailer, Bus),
        clock: Clock,
    ) -> Self {
        Self {
            store,
            notices,
            given_up,
            sealer,
            poster,
            mailer,
            bus,
            clock,
        }
    }
}

/// Why a message has to come again.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("the message is not one of this queue")]
    Unreadable(#[source] serde_json::Error),
    #[error("the mail service's report cannot be heeded")]
    Feedback(#[source] Unreadable),
    #[error("the store failed")]
    Store(#[from] StoreError),
    #[error("the queue failed")]
    Queue(#[from] NotQueued),
    #[error("the bus did not take it")]
    Bus,
}

/// Handles a batch. The answer names the messages that have to come again.
pub async fn handle(app: &App, batch: SqsEvent) -> SqsBatchResponse {
    let each = batch.records.iter().map(|message| one(app, message));
    let outcomes = futures::future::join_all(each).await;
    let mut failed: Vec<String> = Vec::new();
    let mut fail = |message: &SqsMessage, failure: &Failure| {
        let of = match failure {
            Failure::Unreadable(_) | Failure::Feedback(_) => ErrorType::UnreadableMessage,
            _ => ErrorType::NoticeNotSent,
        };
        report(of, "a notice has to come again", failure);
        failed.push(message.message_id.clone().unwrap_or_default());
    };
    let mut told: Vec<(&SqsMessage, Told)> = Vec::new();
    for (message, outcome) in batch.records.iter().zip(outcomes) {
        match outcome {
            Ok(None) => {}
            Ok(Some(one)) => told.push((message, one)),
            Err(failure) => fail(message, &failure),
        }
    }
    // All notices of the batch are put on the bus together, and only then kept as told.
    let events: Vec<bus::BusEvent> = told.iter().map(|(_, told)| told.bus_event()).collect();
    let on_bus = app.bus.put(&events).await;
    for ((message, told), is_on_bus) in told.into_iter().zip(on_bus) {
        if !is_on_bus {
            fail(message, &Failure::Bus);
        } else if let Err(failure) = told.keep(app).await {
            fail(message, &failure);
        }
    }
    let item = |id: String| {
        let mut failure = BatchItemFailure::default();
        failure.item_identifier = id;
        failure
    };
    let mut answer = SqsBatchResponse::default();
    answer.batch_item_failures = failed.into_iter().map(item).collect();
    answer
}

/// Handles a message; a notice that everybody was told of is left to be put on the bus.
async fn one(app: &App, message: &SqsMessage) -> Result<Option<Told>, Failure> {
    let body = message.body.as_deref().unwrap_or_default();
    let read = match serde_json::from_str(body) {
        Ok(read) => read,
        // Not from a function of ours: the topic of the mail service is subscribed by the same queue.
        Err(error) => return reported(app, body, error).await,
    };
    match read {
        NoticeMessage::Notice {
            organisation_id,
            notice_id,
        } => return tell::tell(app, organisation_id, &notice_id).await,
        NoticeMessage::Delivery {
            organisation_id,
            webhook_id,
            delivery_id,
        } => deliver::handle(app, &organisation_id, &webhook_id, &delivery_id).await?,
        NoticeMessage::Mailbox {
            organisation_id,
            mailbox,
            attempt,
            due_at,
        } => mails::send(app, &organisation_id, &mailbox, attempt, due_at).await?,
    }
    Ok(None)
}

/// Handles a message that is no notice: a report of the mail service, or nothing that is known.
async fn reported(
    app: &App,
    body: &str,
    error: serde_json::Error,
) -> Result<Option<Told>, Failure> {
    match Feedback::read(body) {
        Ok(Some(report)) => feedback::heed(app, &report).await?,
        Ok(None) => {}
        Err(Unreadable::NoReport) => return Err(Failure::Unreadable(error)),
        Err(unreadable) => return Err(Failure::Feedback(unreadable)),
    }
    Ok(None)
}
