//! Raises alerts about events that do not add up.

use super::App;
use super::delivery::{Delivery, Failure};
use jiff::Timestamp;
use shared::domain::ledger::plausible::excess_of;
use shared::domain::ledger::usage::Event;
use shared::domain::notice::event_alert::{Trouble, TroubledEvent};
use shared::domain::org::configuration::Configuration;
use shared::domain::pricing::book::PriceBooks;
use shared::ledger::Recorded;
use shared::runtime::logs::{self, ErrorType, Metric, report};
use shared::store::{Mark, StoreError};
use std::collections::BTreeMap;

/// Raises the alerts about the events of a batch. If an alert cannot be raised, its event comes
/// again and is found to be recorded.
pub(super) async fn notify(
    app: &App,
    configuration: &Configuration,
    deliveries: &[Delivery],
    results: &mut [Result<Recorded, Failure>],
) {
    // An alert that is raised once is raised for the first event of the batch.
    let mut troubles: BTreeMap<String, (TroubledEvent<'_>, Vec<usize>)> = BTreeMap::new();
    let mut failed = Vec::new();
    let zone = configuration.organisation.zone();
    for (at, (delivery, result)) in deliveries.iter().zip(results.iter()).enumerate() {
        let (trouble, received_at) = match trouble_of(app, configuration, delivery, result).await {
            Ok(Some(found)) => found,
            Ok(None) => continue,
            Err(error) => {
                log_failure(&error);
                failed.push(at);
                continue;
            }
        };
        let event = TroubledEvent {
            trouble,
            event: &delivery.event,
            received_at,
            zone: &zone,
        };
        let (_, same) = troubles
            .entry(event.told_as())
            .or_insert_with(|| (event, Vec::new()));
        same.push(at);
    }
    for (event, same) in troubles.into_values() {
        if let Err(error) = notify_one(app, configuration, &event).await {
            log_failure(&error);
            failed.extend(same);
        }
    }
    for at in failed {
        results[at] = Err(Failure::AlertNotRaised);
    }
}

fn log_failure(error: &StoreError) {
    let message = "an alert about an event was not raised";
    report(ErrorType::CrossingNotTold, message, error);
}

/// Returns what is wrong with an event, and when it was first received.
async fn trouble_of(
    app: &App,
    configuration: &Configuration,
    delivery: &Delivery,
    result: &Result<Recorded, Failure>,
) -> Result<Option<(Trouble, Timestamp)>, StoreError> {
    let received_at = delivery.received_at;
    let Ok(recorded) = result else {
        return Ok(None);
    };
    Ok(match (recorded, &delivery.event) {
        (Recorded::Conflict { is_charged }, _) => {
            let is_charged = *is_charged;
            Some((Trouble::Conflict { is_charged }, received_at))
        }
        (Recorded::Counted { mark, .. }, _) if *mark == Mark::Lapsed => {
            Some((Trouble::LapsedHold, received_at))
        }
        (
            Recorded::Counted {
                exceeded_hold: true,
                ..
            },
            _,
        ) => Some((Trouble::ExceededHold, received_at)),
        (
            Recorded::Duplicate {
                exceeded_at: Some(first),
            },
            _,
        ) => Some((Trouble::ExceededHold, *first)),
        // The event may have come again because its alert was not raised. How its hold ended does
        // not change.
        (Recorded::Duplicate { .. }, Event::LlmRequest(usage)) => {
            let organisation_id = &configuration.organisation.id;
            let lapsed = app.store.lapsed_before(organisation_id, usage).await?;
            lapsed.then_some((Trouble::LapsedHold, received_at))
        }
        (Recorded::HeldBack, Event::LlmRequest(usage)) => {
            let excess = excess_of(configuration, PriceBooks::built_in(), usage);
            excess.map(|excess| (Trouble::HeldBack(excess), received_at))
        }
        _ => None,
    })
}

async fn notify_one(
    app: &App,
    configuration: &Configuration,
    event: &TroubledEvent<'_>,
) -> Result<(), StoreError> {
    let now = app.clock.now();
    let Some(told) = app
        .store
        .raise_trouble_alert(configuration, event, now)
        .await?
    else {
        return Ok(());
    };
    let alert_id = &told.alert.id;
    tracing::info!(alert_id, title = told.alert.title, "alert");
    logs::count(&[(Metric::AlertsRaised, 1)]);
    let organisation_id = &configuration.organisation.id;
    app.notices
        .tell_or_leave(organisation_id, &told.notice_id)
        .await;
    Ok(())
}
