//! Telling of events that do not add up.

use super::{App, Delivery, Failure};
use jiff::Timestamp;
use shared::domain::configuration::Configuration;
use shared::domain::event_alert::{Trouble, TroubledEvent};
use shared::domain::plausible::excess_of;
use shared::domain::price::PriceBooks;
use shared::domain::usage::Event;
use shared::ledger::Recorded;
use shared::runtime::logs::{self, ErrorType, Metric, report};
use shared::store::{Mark, StoreError};
use std::collections::BTreeMap;

/// Raises the alerts about the events of a batch. Those whose alert was not raised come again, and find
/// that they are recorded.
pub(super) async fn tell(
    app: &App,
    configuration: &Configuration,
    deliveries: &[Delivery],
    results: &mut [Result<Recorded, Failure>],
) {
    // What is told once is told for the first of the batch.
    let mut troubles: BTreeMap<String, (TroubledEvent<'_>, Vec<usize>)> = BTreeMap::new();
    let mut untold = Vec::new();
    let zone = configuration.organisation.zone();
    for (at, (delivery, result)) in deliveries.iter().zip(results.iter()).enumerate() {
        let (trouble, received_at) = match trouble_of(app, configuration, delivery, result).await {
            Ok(Some(found)) => found,
            Ok(None) => continue,
            Err(error) => {
                not_told(&error);
                untold.push(at);
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
        if let Err(error) = tell_one(app, configuration, &event).await {
            not_told(&error);
            untold.extend(same);
        }
    }
    for at in untold {
        results[at] = Err(Failure::TroubleNotTold);
    }
}

fn not_told(error: &StoreError) {
    let message = "what is wrong with an event was not told";
    report(ErrorType::CrossingNotTold, message, error);
}

/// What is wrong with an event, and when it was received first.
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
        // It may have come again because this was not told. How its hold ended stays as it is.
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

async fn tell_one(
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
