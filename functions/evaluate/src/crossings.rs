//! Raises alerts for the levels that budgets have reached.

use super::{App, splits};
use jiff::Timestamp;
use shared::domain::ledger::usage::Usage;
use shared::domain::org::configuration::Configuration;
use shared::domain::period::Month;
use shared::runtime::logs::{self, ErrorType, Metric, report};
use shared::store::StoreError;
use std::collections::BTreeSet;

/// How often the configuration is read again because it changed meanwhile.
const ATTEMPTS: u32 = 8;

/// Raises an alert for each level that a budget has reached in the months of `usages`, once. The
/// levels are those of the whole cell, so the last of several batches sees the usage of all.
pub(super) async fn notify(
    app: &App,
    configuration: &Configuration,
    usages: &[(&Usage, Timestamp)],
    now: Timestamp,
) -> Result<(), StoreError> {
    let months: BTreeSet<Month> = usages
        .iter()
        .flat_map(|(usage, _)| {
            let of_hold = usage.hold().map(|hold| hold.period);
            // Late usage of an unknown hold counts in the month in which it occurred.
            of_hold
                .into_iter()
                .chain([configuration.period_of(usage.occurred_at)])
        })
        .collect();
    for month in months {
        if let Err(error) = notify_month(app, configuration, month, now).await {
            report(
                ErrorType::CrossingNotTold,
                "crossings were not reported",
                &error,
            );
            return Err(error);
        }
    }
    Ok(())
}

async fn notify_month(
    app: &App,
    configuration: &Configuration,
    month: Month,
    now: Timestamp,
) -> Result<(), StoreError> {
    let App { store, notices, .. } = app;
    let organisation_id = &configuration.organisation.id;
    let mut newer;
    let mut configuration = configuration;
    for _ in 0..ATTEMPTS {
        let cell = match store.cell(organisation_id, month).await? {
            Some(cell) => Some(cell),
            // Late usage may be the first of its month. The month's budgets count it too.
            None if configuration.has_budgets_in(month) => {
                store.swept_cell(configuration, month, now).await?
            }
            None => return Ok(()),
        };
        let Some(cell) = cell else {
            continue;
        };
        if month == configuration.period_of(now) {
            splits::consider(app, configuration, &cell, now).await;
        }
        let is_over = configuration.is_over(month, now);
        if cell.epoch == configuration.epoch || (is_over && cell.epoch < configuration.epoch) {
            for told in store
                .raise_crossing_alerts(configuration, month, &cell, now)
                .await?
            {
                let (alert_id, title) = (&told.alert.id, &told.alert.title);
                tracing::info!(alert_id, title, "alert");
                logs::count(&[(Metric::AlertsRaised, 1)]);
                notices
                    .tell_or_leave(organisation_id, &told.notice_id)
                    .await;
            }
            return Ok(());
        }
        match store.configuration(organisation_id).await? {
            Some(read) => newer = read,
            None => return Ok(()),
        }
        configuration = &newer;
        // Brings a cell with an older epoch up to date.
        store.cell_in_force(configuration, month).await?;
    }
    Err(StoreError::Contended)
}
