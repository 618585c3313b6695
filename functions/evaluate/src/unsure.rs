//! Tells administrators of models whose price is unsure.

use super::App;
use super::delivery::{Delivery, Failure};
use shared::domain::ledger::usage::Event;
use shared::domain::notice::unsure_price::UnsurePrice;
use shared::domain::org::configuration::Configuration;
use shared::domain::pricing::book::PriceBooks;
use shared::ledger::Recorded;
use shared::runtime::logs::{self, ErrorType, Metric, report};

/// Raises the alerts about the models of a batch. If that fails, the events of such models come
/// again and are found to be recorded.
pub(super) async fn notify(
    app: &App,
    configuration: &Configuration,
    deliveries: &[Delivery],
    results: &mut [Result<Recorded, Failure>],
) {
    let books = PriceBooks::built_in();
    let (mut unsure, mut places, mut new) = (Vec::new(), Vec::new(), 0);
    for (at, (delivery, result)) in deliveries.iter().zip(results.iter()).enumerate() {
        let (Ok(recorded), Event::LlmRequest(usage)) = (result, &delivery.event) else {
            continue;
        };
        let is_counted = delivery.counted_as(*recorded).is_some();
        let found = UnsurePrice::of(configuration, books, usage).filter(|_| is_counted);
        let Some(found) = found else {
            continue;
        };
        unsure.push(found);
        places.push(at);
        new += u64::from(matches!(recorded, Recorded::Counted { .. }));
    }
    if unsure.is_empty() {
        return;
    }
    let now = app.clock.now();
    let raised = app.store.raise_unsure_alerts(configuration, &unsure, now);
    match raised.await {
        Ok(raised) => {
            logs::count(&[
                (Metric::EventsUnsure, new),
                (Metric::AlertsRaised, logs::number_of(raised.len())),
            ]);
            let organisation_id = &configuration.organisation.id;
            for told in raised {
                let (alert_id, title) = (&told.alert.id, &told.alert.title);
                tracing::info!(alert_id, title, "alert");
                let notices = &app.notices;
                notices
                    .tell_or_leave(organisation_id, &told.notice_id)
                    .await;
            }
        }
        Err(error) => {
            let message = "an alert about a model was not raised";
            report(ErrorType::CrossingNotTold, message, &error);
            for at in places {
                results[at] = Err(Failure::AlertNotRaised);
            }
        }
    }
}
