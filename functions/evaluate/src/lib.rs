//! Records and settles usage, reports crossings and evaluates policies. One message of the queue is
//! one event.
//!
//! If a message fails, the answer names it and it comes again; the others are done. A message that
//! can never be read ends in the dead-letter queue. Every step may be repeated: an event that comes
//! again changes nothing more.

mod app;
mod context;
mod crossings;
mod crowded;
mod delivery;
mod finishing;
mod firing;
mod policies;
mod policy_cache;
mod record;
mod splits;
mod troubles;
mod unsure;

pub use app::App;

use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use delivery::{Delivery, Failure};
use futures::FutureExt;
use record::record_all;
use serde::Deserialize;
use shared::domain::ledger::refused::{RefusalMessage, Refused};
use shared::domain::ledger::usage::EventMessage;
use shared::runtime::batch;
use shared::runtime::logs::{ErrorType, report};
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;

/// A message of the queue.
#[derive(Deserialize)]
#[serde(untagged)]
enum QueueMessage {
    Event(EventMessage),
    Refusal(RefusalMessage),
}

/// Records a batch. The answer names the messages that have to come again.
pub async fn handle(app: &App, event: SqsEvent) -> SqsBatchResponse {
    let mut failed: Vec<String> = Vec::new();
    let mut organisations: BTreeMap<String, Vec<Delivery>> = BTreeMap::new();
    let mut refusals: BTreeMap<String, Vec<(String, Refused)>> = BTreeMap::new();
    for message in event.records {
        let message_id = batch::message_id(&message);
        match read(&message) {
            Ok(QueueMessage::Refusal(refusal)) => refusals
                .entry(refusal.organisation_id)
                .or_default()
                .push((message_id, refusal.refused)),
            Ok(QueueMessage::Event(EventMessage {
                organisation_id,
                received_at,
                event,
            })) => organisations
                .entry(organisation_id)
                .or_default()
                .push(Delivery {
                    message_id,
                    received_at,
                    event,
                }),
            Err(failure) => {
                report(
                    ErrorType::UnreadableMessage,
                    "a message cannot be read",
                    &failure,
                );
                failed.push(message_id);
            }
        }
    }
    for (organisation_id, deliveries) in organisations {
        failed.extend(record_all(app, &organisation_id, &deliveries).await);
    }
    // Refusals can wait: usage comes first.
    for (organisation_id, refused) in refusals {
        failed.extend(record_refusals(app, &organisation_id, refused).await);
    }
    batch::response(failed)
}

/// Records the refusals of one organisation. Returns the ids of the messages that failed.
async fn record_refusals(
    app: &App,
    organisation_id: &str,
    refused: Vec<(String, Refused)>,
) -> Vec<String> {
    let (messages, refused): (Vec<String>, Vec<Refused>) = refused.into_iter().unzip();
    let recording = AssertUnwindSafe(Box::pin(
        app.store.record_refusals(organisation_id, &refused),
    ));
    match recording.catch_unwind().await {
        Ok(Ok(())) => return Vec::new(),
        Ok(Err(error)) => report(
            ErrorType::RefusalNotRecorded,
            "refusals have to come again",
            &error,
        ),
        Err(_) => report(
            ErrorType::Panicked,
            "refusals have to come again",
            &Failure::Panicked,
        ),
    }
    messages
}

fn read(message: &SqsMessage) -> Result<QueueMessage, Failure> {
    let body = message.body.as_deref().unwrap_or_default();
    serde_json::from_str(body).map_err(Failure::Unreadable)
}
