//! Opens the cells of months, and brings them up to date.

use crate::backoff::back_off;
use crate::domain::ledger::cell::Cell;
use crate::domain::ledger::cell_update::CellUpdate;
use crate::domain::ledger::cell_updates::CellUpdates;
use crate::domain::org::configuration::Configuration;
use crate::domain::org::placement::HOME;
use crate::domain::period::Month;
use crate::store::{ATTEMPTS, Store, StoreError, Transacted};

impl Store {
    /// Opens the home cell of `period`, or updates the cells of one that is behind `configuration`
    /// because its period was not in force for a while. Each level gets its budget's amount and
    /// what was carried into it, less what the period's records have spent and its living holds
    /// take. With several cells, `behind` are all of them; the difference is made at home.
    ///
    /// The transaction checks two things: the configuration's epoch, so that a stale caller cannot
    /// open a month with old amounts, and that no usage was recorded after the totals were read.
    /// Returns false if it did not take effect: the caller must read the cell again.
    pub(crate) async fn open_cell(
        &self,
        configuration: &Configuration,
        period: Month,
        behind: Option<&[Cell]>,
    ) -> Result<bool, StoreError> {
        let organisation = &configuration.organisation;
        // This must be read before the totals: a charge recorded without a cell is counted here.
        let uncounted = self.charges_without_cell(&organisation.id, period).await?;
        let totals = self.department_totals(&organisation.id, period).await?;
        let sum = behind.map(Cell::sum);
        let holds = sum.as_ref().map(|cell| cell.holds.clone());
        let holds = holds.unwrap_or_default();
        let is_current = sum
            .as_ref()
            .is_some_and(|sum| sum.epoch == configuration.epoch);
        if self
            .finish_resolved(configuration, period, &holds, is_current)
            .await?
        {
            return Ok(false);
        }
        let spent = |department_id: Option<&str>| totals.spent_under(department_id);
        let opened = Cell::open(configuration, period, sum.as_ref(), spent);
        let caps = configuration.caps_in(period);
        let cells = opened.divided_as(behind.unwrap_or_default(), &caps.hard);
        let mut parts = vec![
            self.same_epoch_item(configuration),
            self.charges_are_item(&organisation.id, period, uncounted),
        ];
        for (number, cell) in (HOME..).zip(&cells) {
            let at = usize::try_from(number).unwrap_or(usize::MAX);
            let before = behind.and_then(|cells| cells.get(at));
            let place = (period, number);
            let opened = self.opened_cell_item(organisation, place, cell, before);
            parts.push(opened.await?);
        }
        Ok(self.transact(parts).await? == Transacted::Applied)
    }

    /// Opens the cells that the placement has and the month has not, empty: what their requests
    /// need moves there with them. Returns false if another caller was first.
    async fn open_other_cells(
        &self,
        configuration: &Configuration,
        period: Month,
        home: &Cell,
    ) -> Result<bool, StoreError> {
        let organisation = &configuration.organisation;
        let others = configuration.placement.others;
        let more = CellUpdate {
            others: Some(others),
            ..CellUpdate::default()
        };
        let mut updates = CellUpdates::of(HOME, more);
        updates.require_epoch(configuration.epoch);
        updates.require_others(home.others);
        let mut parts = self.cells_items(&organisation.id, period, updates);
        parts.push(self.same_epoch_item(configuration));
        let empty = Cell {
            epoch: configuration.epoch,
            ..Cell::default()
        };
        for number in home.others + 1..=others {
            let opened = self.opened_cell_item(organisation, (period, number), &empty, None);
            parts.push(opened.await?);
        }
        Ok(self.transact(parts).await? == Transacted::Applied)
    }

    /// Makes sure that the cell `number` of a period in force is there, for the first request that
    /// needs it. Returns false if `configuration` is not in force.
    pub(crate) async fn open_for(
        &self,
        configuration: &Configuration,
        period: Month,
        number: u32,
    ) -> Result<bool, StoreError> {
        for attempt in 0..ATTEMPTS {
            let Some(home) = self.home_in_force(configuration, period).await? else {
                return Ok(false);
            };
            if number <= home.others || configuration.placement.others <= home.others {
                return Ok(true);
            }
            self.open_other_cells(configuration, period, &home).await?;
            back_off(attempt).await;
        }
        Err(StoreError::Contended)
    }

    /// Returns the home cell of a period in force, and opens or updates it first if necessary.
    /// Returns None if `configuration` is not in force.
    pub(crate) async fn home_in_force(
        &self,
        configuration: &Configuration,
        period: Month,
    ) -> Result<Option<Cell>, StoreError> {
        let organisation_id = &configuration.organisation.id;
        for attempt in 0..ATTEMPTS {
            let home = self.cell_at(organisation_id, period, HOME).await?;
            match &home {
                Some(known) if known.epoch > configuration.epoch => return Ok(None),
                Some(known) if known.epoch == configuration.epoch => return Ok(home),
                _ => {
                    let head = self.head(organisation_id).await?;
                    if head.is_none_or(|head| head.epoch != configuration.epoch) {
                        return Ok(None);
                    }
                    let behind = self.all_cells(organisation_id, period).await?;
                    self.open_cell(configuration, period, behind.as_deref())
                        .await?;
                }
            }
            back_off(attempt).await;
        }
        Err(StoreError::Contended)
    }

    /// Returns the cells of a period in force, home first, and opens or updates them first if
    /// necessary. Returns None if `configuration` is not in force.
    pub(crate) async fn cells_in_force(
        &self,
        configuration: &Configuration,
        period: Month,
    ) -> Result<Option<Vec<Cell>>, StoreError> {
        let organisation_id = &configuration.organisation.id;
        for attempt in 0..ATTEMPTS {
            let Some(home) = self.home_in_force(configuration, period).await? else {
                return Ok(None);
            };
            if home.others == 0 {
                return Ok(Some(vec![home]));
            }
            let cells = self.all_cells(organisation_id, period).await?;
            let is_in_force = |cells: &Vec<Cell>| {
                let epoch = cells.first().map(|home| home.epoch);
                epoch == Some(configuration.epoch)
            };
            if let Some(cells) = cells.filter(is_in_force) {
                return Ok(Some(cells));
            }
            back_off(attempt).await;
        }
        Err(StoreError::Contended)
    }

    /// Returns the cell `number` of a period in force. One that is not there yet is empty. Returns
    /// None if `configuration` is not in force.
    pub async fn own_cell_in_force(
        &self,
        configuration: &Configuration,
        period: Month,
        number: u32,
    ) -> Result<Option<Cell>, StoreError> {
        let home = self.home_in_force(configuration, period).await?;
        if number == HOME || home.is_none() {
            return Ok(home);
        }
        let organisation_id = &configuration.organisation.id;
        let own = self.cell_at(organisation_id, period, number).await?;
        Ok(Some(own.unwrap_or_default()))
    }

    /// Returns the sum of the cells of a period in force, as [`Self::cells_in_force`] reads them.
    pub async fn cell_in_force(
        &self,
        configuration: &Configuration,
        period: Month,
    ) -> Result<Option<Cell>, StoreError> {
        let cells = self.cells_in_force(configuration, period).await?;
        Ok(cells.map(Cell::sum_of))
    }
}
