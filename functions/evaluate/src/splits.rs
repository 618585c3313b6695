//! Gives an organisation more cells when its cells have been crowded for a while.

use super::App;
use jiff::Timestamp;
use shared::domain::change::Author;
use shared::domain::ledger::cell::Cell;
use shared::domain::org::configuration::Configuration;
use shared::runtime::logs::{ErrorType, report};

/// Splits the cells of an organisation if they are crowded for a minute. `sum` is the sum of the
/// cells of the current month. If it fails, the next batch tries again.
pub(super) async fn consider(app: &App, configuration: &Configuration, sum: &Cell, now: Timestamp) {
    let organisation_id = &configuration.organisation.id;
    let is_crowded = configuration.placement.is_crowded(&sum.load(now), now);
    if !app.crowded.look(organisation_id, is_crowded, now) {
        return;
    }
    match app
        .store
        .split_cells(organisation_id, &Author::schedule(), now)
        .await
    {
        Ok(Some(placement)) => {
            let cells = placement.others + 1;
            tracing::info!(organisation_id, cells, "more cells");
        }
        Ok(None) => {}
        Err(error) => report(
            ErrorType::of(&error),
            "crowded cells could not be split",
            &error,
        ),
    }
}
