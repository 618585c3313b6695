//! Records the events of one organisation, and does all that follows from them.

use super::delivery::{Delivery, Failure};
use super::policies::CountedEvent;
use super::{App, crossings, policies, troubles, unsure};
use futures::FutureExt;
use jiff::Timestamp;
use shared::domain::ledger::identity::EventIdentity;
use shared::domain::ledger::usage::{Event, Usage};
use shared::domain::org::configuration::Configuration;
use shared::domain::pricing::book::PriceBooks;
use shared::ledger::Recorded;
use shared::runtime::logs::{self, ErrorType, Metric, report};
use shared::store::{Mark, StoreError};
use std::panic::AssertUnwindSafe;

/// Records the events of one organisation together. Returns the ids of the messages that failed.
pub(crate) async fn record_all(
    app: &App,
    organisation_id: &str,
    deliveries: &[Delivery],
) -> Vec<String> {
    let together = AssertUnwindSafe(Box::pin(record(app, organisation_id, deliveries)));
    let results = match together.catch_unwind().await {
        Ok(results) => results,
        Err(_) => {
            // One of them panics. Each is recorded alone, so that only this one fails.
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
            Ok(Recorded::HeldBack) => tracing::warn!(event_id, "implausibly large"),
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

/// Counts the recorded events and how long the oldest of them had waited.
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
    // Crossings come before the messages are done: if this fails, the messages come again.
    let reported = crossings::notify(app, &configuration, &usages, now).await;
    let mut recorded = recorded.into_iter();
    let mut results = Vec::with_capacity(deliveries.len());
    for delivery in deliveries {
        results.push(match &delivery.event {
            Event::LlmRequest(_) => match recorded.next() {
                Some(Ok(recorded)) if reported.is_ok() => Ok(recorded),
                Some(Ok(_)) => Err(Failure::CrossingNotReported),
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
    troubles::notify(app, &configuration, deliveries, &mut results).await;
    unsure::notify(app, &configuration, deliveries, &mut results).await;
    results
}

/// Evaluates the policies on every recorded event. If a policy could not act, its event comes
/// again.
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
            Err(Failure::CrossingNotReported) => {
                delivery.counted_as(Recorded::Duplicate { exceeded_at: None })
            }
            Err(_) => None,
        })
        .collect();
    let events: Vec<CountedEvent<'_>> = deliveries
        .iter()
        .zip(&identities)
        .filter_map(|(delivery, identity)| {
            identity.as_ref().map(|identity| CountedEvent {
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
            *result = Err(Failure::PolicyNotActed);
        }
    }
}
