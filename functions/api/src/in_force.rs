//! The configuration of an organisation and the cells of its months, as they are in force.

use super::App;
use jiff::Timestamp;
use shared::domain::ledger::cell::Cell;
use shared::domain::org::configuration::Configuration;
use shared::domain::period::Month;
use shared::runtime::error::ApiError;
use shared::store::{KeyOwner, StoreError};

/// Reads the configuration in force.
pub(crate) async fn read_configuration(
    app: &App,
    owner: &KeyOwner,
) -> Result<Configuration, ApiError> {
    let configuration = app.store.configuration(&owner.organisation_id).await?;
    configuration.ok_or_else(|| ApiError::not_found("organisation"))
}

/// Reads the configuration and the cell of the current period, both of one epoch.
pub(crate) async fn configuration_and_cell(
    app: &App,
    owner: &KeyOwner,
    now: Timestamp,
) -> Result<(Configuration, Cell), ApiError> {
    for _ in 0..20 {
        let configuration = read_configuration(app, owner).await?;
        let period = configuration.period_of(now);
        if let Some(cell) = app.store.cell_in_force(&configuration, period).await? {
            return Ok((configuration, cell));
        }
    }
    Err(StoreError::Contended.into())
}

/// Returns the existing cells of the periods in force.
pub(crate) async fn cells_in_force(
    app: &App,
    configuration: &Configuration,
    now: Timestamp,
) -> Result<Vec<(Month, Cell)>, ApiError> {
    let mut cells = Vec::new();
    for period in configuration.periods_in_force(now) {
        let cell = app
            .store
            .cell(&configuration.organisation.id, period)
            .await?;
        cells.extend(cell.map(|cell| (period, cell)));
    }
    Ok(cells)
}
