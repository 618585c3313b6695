//! Telling of events that do not add up.

use super::{App, Delivery, Failure};
use shared::domain::configuration::Configuration;
use shared::domain::event_alert::{Trouble, TroubledEvent};
use shared::runtime::logs::{self, ErrorType, Metric, report};
use shared::store::{Recorded, StoreError};
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
    let zone = configuration.organisation.zone();
    for (at, (delivery, result)) in deliveries.iter().zip(results.iter()).enumerate() {
        let Some(trouble) = trouble_of(result) else {
            continue;
        };
        let event = TroubledEvent {
            trouble,
            event: &delivery.event,
            day: zone.to_datetime(delivery.received_at).date(),
        };
        let (_, same) = troubles
            .entry(event.told_as())
            .or_insert_with(|| (event, Vec::new()));
        same.push(at);
    }
    for (event, same) in troubles.into_values() {
        if let Err(error) = tell_one(app, configuration, &event).await {
            report(
                ErrorType::CrossingNotTold,
                "what is wrong with an event was not told",
                &error,
            );
            for at in same {
                results[at] = Err(Failure::TroubleNotTold);
            }
        }
    }
}

fn trouble_of(result: &Result<Recorded, Failure>) -> Option<Trouble> {
    match result {
        Ok(Recorded::Conflict { is_charged }) => Some(Trouble::Conflict {
            is_charged: *is_charged,
        }),
        _ => None,
    }
}

async fn tell_one(
    app: &App,
    configuration: &Configuration,
    event: &TroubledEvent<'_>,
) -> Result<(), StoreError> {
    let now = app.clock.now();
    let Some(told) = app.store.tell_trouble(configuration, event, now).await? else {
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
