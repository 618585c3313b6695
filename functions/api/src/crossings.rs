//! Crossings of a budget's levels. A level that is reached alerts at once, and its marker keeps it
//! from alerting again. A change that leaves a level clears its marker.

use super::App;
use super::in_force::configuration_and_cell;
use jiff::Timestamp;
use shared::domain::change::CrossingMarker;
use shared::domain::ledger::cell::Cell;
use shared::domain::ledger::correction::Correction;
use shared::domain::ledger::figures::Figures;
use shared::domain::ledger::settlement::debit;
use shared::domain::notice::alert::Level;
use shared::domain::org::budget::Budget;
use shared::domain::org::configuration::Configuration;
use shared::domain::org::placement::HOME;
use shared::domain::period::Month;
use shared::runtime::error::ApiError;
use shared::runtime::logs::{ErrorType, report};
use shared::store::KeyOwner;
use std::collections::BTreeSet;

/// Alerts at once if a change left a budget above one of its levels. The change is committed by
/// now: an alert that fails here is found again by the next usage or the schedule.
pub(crate) async fn alert_crossings(app: &App, owner: &KeyOwner, now: Timestamp) {
    let alerted = async {
        let (configuration, cell) = configuration_and_cell(app, owner, now).await?;
        let period = configuration.period_of(now);
        let raised = app
            .store
            .raise_crossing_alerts(&configuration, period, &cell, now)
            .await?;
        for alert in raised {
            let organisation_id = &owner.organisation_id;
            let notice_id = &alert.notice_id;
            app.notices.tell_or_leave(organisation_id, notice_id).await;
        }
        Ok::<(), ApiError>(())
    };
    if let Err(error) = alerted.await {
        report(
            ErrorType::CrossingNotTold,
            "crossings are left to the next look",
            &error,
        );
    }
}

/// Returns the markers of levels that are no longer reached, so that these levels alert again.
///
/// `versions` are the budget as it was, if it existed, and as it will be. The levels of both are
/// checked.
pub(crate) fn cleared_by_budget(
    cells: &[(Month, Cell)],
    versions: &[&Budget],
    after: &Budget,
) -> Vec<CrossingMarker> {
    let before = versions
        .iter()
        .find(|budget| budget.version < after.version);
    let mut markers = Vec::new();
    for (period, cell) in cells {
        let given = before.map_or(0, |before| before.gives_in(*period));
        let figures = Figures::changed(after, *period, cell, given);
        let levels = versions.iter().flat_map(|budget| Level::all_of(budget));
        let levels: BTreeSet<Level> = levels.filter(|l| !l.is_reached(&figures)).collect();
        markers.extend(levels.into_iter().map(|level| CrossingMarker {
            period: *period,
            counter: after.counter(),
            level,
        }));
    }
    markers
}

/// The most levels that one correction resets for new alerts, as its transaction is limited.
const MAX_CLEARED: usize = 50;

/// Returns the markers of levels that budgets no longer reach, so that these levels alert again.
pub(crate) fn cleared_by_correction(
    configuration: &Configuration,
    cells: &[(Month, Cell)],
    correction: &Correction,
) -> Vec<CrossingMarker> {
    let period = correction.month;
    let mut markers = Vec::new();
    for (_, cell) in cells.iter().filter(|(of, _)| *of == period) {
        let path = correction.path();
        let counters = configuration.counters_on(&path);
        let update = debit(HOME, &counters, correction.amounts);
        let mut after = Some(cell.clone());
        let (Ok(()), Some(after)) = (update.apply(&mut after), after) else {
            continue;
        };
        for budget in configuration.budgets_on(&path, period) {
            let was = Figures::of(budget, period, cell);
            let is = Figures::of(budget, period, &after);
            let levels = Level::all_of(budget).into_iter();
            let left = levels.filter(|l| l.is_reached(&was) && !l.is_reached(&is));
            markers.extend(left.map(|level| CrossingMarker {
                period,
                counter: budget.counter(),
                level,
            }));
        }
    }
    markers.truncate(MAX_CLEARED);
    markers
}
