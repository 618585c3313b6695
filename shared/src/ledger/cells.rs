//! Opens the cells of months, and brings them up to date.

use crate::backoff::back_off;
use crate::domain::ledger::cell::Cell;
use crate::domain::org::configuration::Configuration;
use crate::domain::period::Month;
use crate::store::{ATTEMPTS, Store, StoreError, Transacted};

impl Store {
    /// Opens the cell of `period`, or updates one that is behind `configuration` because its period
    /// was not in force for a while. Each level gets its budget's amount and what was carried into
    /// it, less what the period's records have spent and its living holds take.
    ///
    /// The transaction checks two things: the configuration's epoch, so that a stale caller cannot
    /// open a month with old amounts, and that no usage was recorded after the totals were read.
    /// Returns false if it did not take effect: the caller must read the cell again.
    pub(crate) async fn open_cell(
        &self,
        configuration: &Configuration,
        period: Month,
        behind: Option<&Cell>,
    ) -> Result<bool, StoreError> {
        let organisation = &configuration.organisation;
        // This must be read before the totals: a charge recorded without a cell is counted here.
        let uncounted = self.charges_without_cell(&organisation.id, period).await?;
        let totals = self.department_totals(&organisation.id, period).await?;
        let holds = behind.map(|cell| cell.holds.clone()).unwrap_or_default();
        if self
            .finish_resolved(&organisation.id, period, &holds)
            .await?
        {
            return Ok(false);
        }
        let spent = |department_id: Option<&str>| totals.spent_under(department_id);
        let cell = Cell::open(configuration, period, behind, spent);
        let opened = self.opened_cell_item(organisation, period, &cell, behind);
        let opened = opened.await?;
        let parts = vec![
            opened,
            self.same_epoch_item(configuration),
            self.charges_are_item(&organisation.id, period, uncounted),
        ];
        Ok(self.transact(parts).await? == Transacted::Applied)
    }

    /// Returns the cell of a period in force, and opens or updates it first if necessary. Returns
    /// None if `configuration` is not in force.
    pub async fn cell_in_force(
        &self,
        configuration: &Configuration,
        period: Month,
    ) -> Result<Option<Cell>, StoreError> {
        let organisation_id = &configuration.organisation.id;
        for attempt in 0..ATTEMPTS {
            let cell = self.cell(organisation_id, period).await?;
            match &cell {
                Some(known) if known.epoch == configuration.epoch => return Ok(cell),
                Some(known) if known.epoch > configuration.epoch => return Ok(None),
                behind => {
                    let head = self.head(organisation_id).await?;
                    if head.is_none_or(|head| head.epoch != configuration.epoch) {
                        return Ok(None);
                    }
                    self.open_cell(configuration, period, behind.as_ref())
                        .await?;
                }
            }
            back_off(attempt).await;
        }
        Err(StoreError::Contended)
    }
}
