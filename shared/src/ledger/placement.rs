//! Gives an organisation more cells when its cells are crowded.

use super::change::{ChangeRequest, Changed, Snapshot, Step};
use crate::domain::change::{Author, Change, Update};
use crate::domain::org::configuration::Configuration;
use crate::domain::org::placement::Placement;
use crate::store::{ATTEMPTS, Store, StoreError};
use jiff::Timestamp;
use std::sync::Arc;

impl Store {
    /// Returns the placement that [`Placement::split`] plans for the live holds of the current
    /// month. None if nothing needs to change.
    pub async fn planned_cells(
        &self,
        organisation_id: &str,
        now: Timestamp,
    ) -> Result<Option<Placement>, StoreError> {
        match self.configuration(organisation_id).await? {
            Some(configuration) => self.plan(&configuration, now).await,
            None => Ok(None),
        }
    }

    async fn plan(
        &self,
        configuration: &Configuration,
        now: Timestamp,
    ) -> Result<Option<Placement>, StoreError> {
        let organisation = &configuration.organisation;
        let period = configuration.period_of(now);
        let cell = self.cell(&organisation.id, period).await?;
        let load = cell.map(|cell| cell.load(now)).unwrap_or_default();
        let placement = &configuration.placement;
        Ok(placement.split(&load, organisation.hold_seconds, now))
    }

    /// Gives the departments of crowded cells more of them. Live holds stay where they are. The new
    /// cells are opened by the first requests that need them. Returns the new placement, or None if
    /// nothing needed to change.
    pub async fn split_cells(
        &self,
        organisation_id: &str,
        author: &Author,
        now: Timestamp,
    ) -> Result<Option<Placement>, StoreError> {
        self.place_cells(organisation_id, author, now, None).await
    }

    /// Places departments in cells as told, or as a split plans if nothing is told. Returns None if
    /// nothing needed to change.
    pub async fn place_cells(
        &self,
        organisation_id: &str,
        author: &Author,
        now: Timestamp,
        told: Option<&Placement>,
    ) -> Result<Option<Placement>, StoreError> {
        let request = ChangeRequest {
            organisation_id,
            author,
            now,
            attempts: ATTEMPTS,
        };
        let prepare = async |snapshot: Arc<Snapshot>| {
            let after = match told {
                Some(told) => Some(told.clone()),
                None => self.plan(&snapshot.configuration, now).await?,
            };
            let Some(after) = after else {
                return Ok::<_, StoreError>(Step::Stop(None));
            };
            let before = snapshot.configuration.placement.clone();
            let update = Update::new(before, after.clone(), Placement::described);
            Ok(Step::commit(Change::CellsPlaced(update), Some(after)))
        };
        match self.change(&request, prepare).await? {
            Changed::Committed(committed) => Ok(committed.value),
            Changed::Stopped(_) | Changed::UnknownOrganisation => Ok(None),
            Changed::Contended | Changed::AnsweredBefore => Err(StoreError::Contended),
        }
    }
}
