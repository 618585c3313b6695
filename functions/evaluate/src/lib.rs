//! Records and settles usage, tells of crossings, evaluates policies: one message of the queue is one event.
//!
//! A message that fails is named in the answer and comes again, its neighbours are done; one that can never be read
//! ends in the dead-letter queue. Every step may be repeated: an event that comes again changes nothing more.

mod crossings;
mod finishing;
mod firing;
mod policies;
mod troubles;

use aws_lambda_events::event::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use futures::FutureExt;
use jiff::Timestamp;
use policies::Counted;
use serde::Deserialize;
use shared::domain::configuration::Configuration;
use shared::domain::identity::{BodyDigest, EventIdentity};
use shared::domain::price::PriceBooks;
use shared::domain::refused::{RefusalMessage, Refused};
use shared::domain::usage::{Event, EventMessage, Usage};
use shared::ledger::Recorded;
use shared::runtime::clock::Clock;
use shared::runtime::logs::{self, ErrorType, Metric, report};
use shared::runtime::queue::Notices;
use shared::store::{Mark, Store, StoreError};
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;

/// What the function has for all its batches.
#[derive(Clone, Debug)]
pub struct App {
    store: Store,
    notices: Notices,
    clock: Clock,
    policies: policies::Kept,
}

impl App {
    /// The function on `store`, which queues its notices on `notices`.
    pub fn new(store: Store, notices: Notices, clock: Clock) -> Self {
        Self {
            store,
            notices,
            clock,
            policies: policies::Kept::default(),
        }
    }
}

/// A message of the batch and the event it carries.
struct Delivery {
    message_id: String,
    received_at: Timestamp,
    event: Event,
}

impl Delivery {
    /// The identity under which its event is recorded and counted; none if it is kept and not counted.
    fn counted_as(&self, recorded: Recorded) -> Option<EventIdentity> {
        let identity = EventIdentity::of(&self.event);
        match recorded {
            Recorded::Counted { .. } | Recorded::Duplicate { .. } => Some(identity),
            Recorded::Conflict { is_charged: true } => {
                Some(identity.in_conflict(&BodyDigest::of(&self.event)))
            }
            Recorded::Conflict { is_charged: false } | Recorded::HeldBack => None,
        }
    }
}

/// What the queue carries.
#[derive(Deserialize)]
#[serde(untagged)]
enum QueueMessage {
    Event(EventMessage),
    Refusal(RefusalMessage),
}

/// Why a message is not done.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("the message is not an event")]
    Unreadable(#[source] serde_json::Error),
    #[error("there is no organisation {0:?}")]
    UnknownOrganisation(String),
    #[error("the store failed")]
    Store(#[from] StoreError),
    #[error("it counts, but a crossing may not be told yet")]
    NotTold,
    #[error("it counts, but a policy may not have acted yet")]
    NotActed,
    #[error("it is kept, but what is wrong with it may not be told yet")]
    TroubleNotTold,
    #[error("the code failed")]
    Panicked,
}

/// Records a batch. The answer names the messages that have to come again.
pub async fn handle(app: &App, batch: SqsEvent) -> SqsBatchResponse {
    let mut failed: Vec<String> = Vec::new();
    let mut organisations: BTreeMap<String, Vec<Delivery>> = BTreeMap::new();
    let mut refusals: BTreeMap<String, Vec<(String, Refused)>> = BTreeMap::new();
    for message in batch.records {
        let message_id = message.message_id.clone().unwrap_or_default();
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
    // What was refused can wait for what was used.
    for (organisation_id, refused) in refusals {
        failed.extend(record_refusals(app, &organisation_id, refused).await);
    }
    let mut answer = SqsBatchResponse::default();
    answer.batch_item_failures = failed.into_iter().map(item_failure).collect();
    answer
}

/// Records what was refused to users of one organisation; the messages that failed.
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

fn item_failure(message_id: String) -> BatchItemFailure {
    let mut failure = BatchItemFailure::default();
    failure.item_identifier = message_id;
    failure
}

fn read(message: &SqsMessage) -> Result<QueueMessage, Failure> {
    let body = message.body.as_deref().unwrap_or_default();
    serde_json::from_str(body).map_err(Failure::Unreadable)
}

/// Records the events of one organisation, together where they can be; the messages that failed.
async fn record_all(app: &App, organisation_id: &str, deliveries: &[Delivery]) -> Vec<String> {
    let together = AssertUnwindSafe(Box::pin(record(app, organisation_id, deliveries)));
    let results = match together.catch_unwind().await {
        Ok(results) => results,
        Err(_) => {
            // One of them brings the code down: each goes alone, so that only that one fails.
            let mut results = Vec::with_capacity(deliveries.len());
            for delivery in deliveries {
                let one = std::slice::from_ref(delivery);
                let alone = AssertUnwindSafe(Box::pin(record(app, organisation_id, one)));
                match alone.catch_unwind().await {
                    Ok(result) => results.extend(result),
                    Err(_) => results.push(Err(Failure::Panicked)),
                }
            }
            results
        }
    };
    count(app.clock.now(), deliveries, &results);
    let mut failed = Vec::new();
    for (delivery, result) in deliveries.iter().zip(results) {
        let event_id = delivery.event.event_id();
        match result {
            Ok(
                Recorded::Counted {
                    mark: Mark::Settled,
                    ..
                }
                | Recorded::Duplicate { .. },
            ) => {}
            Ok(Recorded::Counted { mark, .. }) => {
                tracing::info!(event_id, ?mark, "charged directly");
            }
            Ok(Recorded::HeldBack) => tracing::warn!(event_id, "too large to be true"),
            Ok(Recorded::Conflict { is_charged }) => {
                tracing::warn!(event_id, is_charged, "an event came with another body");
            }
            Err(failure) => {
                let of = match failure {
                    Failure::Panicked => ErrorType::Panicked,
                    _ => ErrorType::EventNotRecorded,
                };
                report(of, "an event has to come again", &failure);
                failed.push(delivery.message_id.clone());
            }
        }
    }
    failed
}

/// Counts what was recorded, and how long it had waited for that.
fn count(now: Timestamp, deliveries: &[Delivery], results: &[Result<Recorded, Failure>]) {
    let recorded = deliveries
        .iter()
        .zip(results)
        .filter(|(_, result)| matches!(result, Ok(Recorded::Counted { .. })));
    let ages = recorded.map(|(delivery, _)| now.duration_since(delivery.received_at).as_millis());
    let ages: Vec<u64> = ages.map(|age| u64::try_from(age).unwrap_or(0)).collect();
    if let Some(oldest) = ages.iter().max() {
        let recorded = logs::number_of(ages.len());
        logs::count(&[
            (Metric::EventsRecorded, recorded),
            (Metric::EventAge, *oldest),
        ]);
    }
}

async fn record(
    app: &App,
    organisation_id: &str,
    deliveries: &[Delivery],
) -> Vec<Result<Recorded, Failure>> {
    let configuration = match app.store.configuration(organisation_id).await {
        Ok(Some(configuration)) => configuration,
        Ok(None) => {
            let unknown = || Err(Failure::UnknownOrganisation(organisation_id.to_owned()));
            return deliveries.iter().map(|_| unknown()).collect();
        }
        Err(error) => {
            report(
                ErrorType::of(&error),
                "the configuration cannot be read",
                &error,
            );
            return deliveries
                .iter()
                .map(|_| Err(StoreError::Contended.into()))
                .collect();
        }
    };
    let usages: Vec<(&Usage, Timestamp)> = deliveries
        .iter()
        .filter_map(|delivery| match &delivery.event {
            Event::LlmRequest(usage) => Some((usage, delivery.received_at)),
            Event::IpRisk(_) => None,
        })
        .collect();
    let books = PriceBooks::built_in();
    let now = app.clock.now();
    let recorded = app
        .store
        .record_usages(&configuration, books, &usages, now)
        .await;
    // Told before the messages are done: where it fails, they come again, and so does this.
    let told = crossings::tell(&app.store, &app.notices, &configuration, &usages, now).await;
    let mut recorded = recorded.into_iter();
    let mut results = Vec::with_capacity(deliveries.len());
    for delivery in deliveries {
        results.push(match &delivery.event {
            Event::LlmRequest(_) => match recorded.next() {
                Some(Ok(recorded)) if told.is_ok() => Ok(recorded),
                Some(Ok(_)) => Err(Failure::NotTold),
                Some(Err(error)) => Err(error.into()),
                None => Err(Failure::Panicked),
            },
            Event::IpRisk(risk) => {
                let kept = app
                    .store
                    .record_risk(&configuration, risk, delivery.received_at);
                kept.await.map_err(Failure::from)
            }
        });
    }
    act(app, &configuration, deliveries, &mut results).await;
    troubles::tell(app, &configuration, deliveries, &mut results).await;
    results
}

/// Lets the policies see every event that is recorded. Those for which one could not act come again.
async fn act(
    app: &App,
    configuration: &Configuration,
    deliveries: &[Delivery],
    results: &mut [Result<Recorded, Failure>],
) {
    let each = deliveries.iter().zip(results.iter());
    let identities: Vec<Option<EventIdentity>> = each
        .map(|(delivery, result)| match result {
            Ok(recorded) => delivery.counted_as(*recorded),
            Err(Failure::NotTold) => delivery.counted_as(Recorded::Duplicate { exceeded_at: None }),
            Err(_) => None,
        })
        .collect();
    let events: Vec<Counted<'_>> = deliveries
        .iter()
        .zip(&identities)
        .filter_map(|(delivery, identity)| {
            identity.as_ref().map(|identity| Counted {
                identity,
                event: &delivery.event,
                received_at: delivery.received_at,
            })
        })
        .collect();
    let failed = policies::act(app, configuration, &events).await;
    if let Err(error) = &failed {
        report(
            ErrorType::PolicyNotActed,
            "events were not evaluated",
            error,
        );
    }
    for (identity, result) in identities.iter().zip(results) {
        let Some(identity) = identity else { continue };
        let has_acted = failed
            .as_ref()
            .is_ok_and(|failed| !failed.contains(identity));
        if result.is_ok() && !has_acted {
            *result = Err(Failure::NotActed);
        }
    }
}
