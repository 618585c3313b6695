//! Telling of events that do not add up.

use super::{App, Delivery, Failure};
use shared::domain::configuration::Configuration;
use shared::domain::event_alert::{Trouble, TroubledEvent};
use shared::domain::usage::Event;
use shared::runtime::logs::{self, ErrorType, Metric, report};
use shared::store::{Mark, Recorded, StoreError};
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
        let trouble = match trouble_of(app, configuration, delivery, result).await {
            Ok(Some(trouble)) => trouble,
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
            day: zone.to_datetime(delivery.received_at).date(),
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

async fn trouble_of(
    app: &App,
    configuration: &Configuration,
    delivery: &Delivery,
    result: &Result<Recorded, Failure>,
) -> Result<Option<Trouble>, StoreError> {
    Ok(match (result, &delivery.event) {
        (Ok(Recorded::Conflict { is_charged }), _) => Some(Trouble::Conflict {
            is_charged: *is_charged,
        }),
        (Ok(Recorded::Counted(Mark::Lapsed)), _) => Some(Trouble::LapsedHold),
        // It may have come again because this was not told. How its hold ended stays as it is.
        (Ok(Recorded::Duplicate), Event::LlmRequest(usage)) => {
            let organisation_id = &configuration.organisation.id;
            let lapsed = app.store.lapsed_before(organisation_id, usage).await?;
            lapsed.then_some(Trouble::LapsedHold)
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
