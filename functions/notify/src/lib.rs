//! Notifies people and systems. One message of the queue is one notice, one delivery to a webhook,
//! one mailbox with letters that are due, or one report of the mail service.
//!
//! Messages come at least once and take effect once: the deliveries of a notice have ids of their
//! own and are created once, and a delivery that ended is not attempted again. If the function
//! stops between a receiver's answer and storing it, the receiver sees the same `webhook-id` twice.
//! Nothing sleeps here: a message that is due later waits in the queue.

mod app;
mod attempt;
mod bus;
mod deliver;
mod feedback;
mod mailer;
mod mails;
mod notices;
mod post;
mod resume;
mod target;

pub use app::App;
use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
pub use bus::Bus;
pub use mailer::Mailer;
use notices::SentNotice;
pub use post::{Lookup, Poster};
use shared::domain::notice::NoticeMessage;
use shared::domain::notice::feedback::{Feedback, Unreadable};
use shared::runtime::batch;
use shared::runtime::logs::{ErrorType, report};
use shared::runtime::queue::NotQueued;
use shared::runtime::secrets::Unread;
use shared::store::StoreError;

/// Why a message has to come again.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("the message is not one of this queue")]
    Unreadable(#[source] serde_json::Error),
    #[error("the mail service's report cannot be applied")]
    Feedback(#[source] Unreadable),
    #[error("the store failed")]
    Store(#[from] StoreError),
    #[error("the queue failed")]
    Queue(#[from] NotQueued),
    #[error("the key of what is sealed is not known")]
    Secret(#[from] Unread),
    #[error("the bus did not take it")]
    Bus,
}

/// Handles a batch. The answer names the messages that have to come again.
pub async fn handle(app: &App, event: SqsEvent) -> SqsBatchResponse {
    let messages = event.records.iter();
    let each = messages.map(|message| handle_message(app, message));
    let outcomes = futures::future::join_all(each).await;
    let mut failed: Vec<String> = Vec::new();
    let mut fail = |message: &SqsMessage, failure: &Failure| {
        let of = match failure {
            Failure::Unreadable(_) | Failure::Feedback(_) => ErrorType::UnreadableMessage,
            _ => ErrorType::NoticeNotSent,
        };
        report(of, "a notice has to come again", failure);
        failed.push(batch::message_id(message));
    };
    let mut sent: Vec<(&SqsMessage, SentNotice)> = Vec::new();
    for (message, outcome) in event.records.iter().zip(outcomes) {
        match outcome {
            Ok(None) => {}
            Ok(Some(notice)) => sent.push((message, notice)),
            Err(failure) => fail(message, &failure),
        }
    }
    // The notices of the batch go to the bus together. Only then each is stored as sent.
    let events: Vec<bus::BusEvent> = sent.iter().map(|(_, sent)| sent.bus_event()).collect();
    let on_bus = app.bus.put(&events).await;
    for ((message, notice), is_on_bus) in sent.into_iter().zip(on_bus) {
        if !is_on_bus {
            fail(message, &Failure::Bus);
        } else if let Err(failure) = notice.store(app).await {
            fail(message, &failure);
        }
    }
    batch::response(failed)
}

/// Handles a message. Returns a notice that was sent to everybody but not yet put on the bus.
async fn handle_message(app: &App, message: &SqsMessage) -> Result<Option<SentNotice>, Failure> {
    let body = message.body.as_deref().unwrap_or_default();
    let read = match serde_json::from_str(body) {
        Ok(read) => read,
        // The mail service's reports come through the same queue.
        Err(error) => return handle_report(app, body, error).await,
    };
    match read {
        NoticeMessage::Notice {
            organisation_id,
            notice_id,
        } => return notices::notify(app, organisation_id, &notice_id).await,
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

/// Handles a message that is not one of ours: a report of the mail service, or an unknown one.
async fn handle_report(
    app: &App,
    body: &str,
    error: serde_json::Error,
) -> Result<Option<SentNotice>, Failure> {
    match Feedback::read(body) {
        Ok(Some(report)) => feedback::apply_feedback(app, &report).await?,
        Ok(None) => {}
        Err(Unreadable::NoReport) => return Err(Failure::Unreadable(error)),
        Err(unreadable) => return Err(Failure::Feedback(unreadable)),
    }
    Ok(None)
}
