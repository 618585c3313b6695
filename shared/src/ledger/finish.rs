//! Removes holds that have ended from their cells.

use super::within::Within;
use crate::backoff::back_off;
use crate::domain::amount::Amounts;
use crate::domain::ledger::cell::Cell;
use crate::domain::ledger::hold::Hold;
use crate::domain::ledger::hold_id::{HoldId, HoldKey};
use crate::domain::ledger::settlement::finish_as;
use crate::domain::org::configuration::Configuration;
use crate::domain::org::placement::HOME;
use crate::domain::period::Month;
use crate::store::{ATTEMPTS, Store, StoreError, Updated};
use jiff::Timestamp;
use std::borrow::Cow;
use std::collections::BTreeMap;

impl Store {
    /// Removes a hold that was resolved as `ended` from its cell, even if it has changed: a renewal
    /// came a moment too late. What was used beyond the hold is paid as [`Within`] says. Returns
    /// the new cell, if it is known.
    pub(crate) async fn finish_hold(
        &self,
        configuration: &Configuration,
        hold_id: &HoldId,
        ended: &Hold,
        charged: Amounts,
        now: Timestamp,
    ) -> Result<Option<Cell>, StoreError> {
        let (organisation_id, period) = (&configuration.organisation.id, hold_id.period);
        let mut current = Cow::Borrowed(configuration);
        let mut hold = ended.clone();
        let mut own: Option<Cell> = None;
        for attempt in 0..ATTEMPTS {
            let mut updates = finish_as([(&hold_id.rid, &hold, ended, charged)]);
            let within = Within::new(&current, period, now);
            match &own {
                None => within.assume_enough(&mut updates, hold_id.rid.cell()),
                Some(own) => {
                    let home = self.home_beside(organisation_id, period, own, &hold_id.rid);
                    within.pay(&mut updates, hold_id.rid.cell(), own, &home.await?);
                }
            }
            let updated = self.update_cells(organisation_id, period, updates).await?;
            let refusing = match updated {
                Updated::Applied(cell) => return Ok(cell),
                Updated::Refused(Some(cell)) => cell,
                Updated::Refused(None) => {
                    let Some(cell) = self.cell_of_hold(organisation_id, hold_id).await? else {
                        return Ok(None);
                    };
                    back_off(attempt).await;
                    cell
                }
            };
            let known = refusing.holds.get(&hold_id.rid);
            match known.filter(|known| hold_id.names(known)) {
                Some(known) => hold.clone_from(known),
                None => return Ok(Some(refusing)),
            }
            if refusing.epoch > current.epoch {
                current = self.newer(current).await?;
            }
            own = Some(refusing);
        }
        Err(StoreError::Contended)
    }

    /// Returns the home cell beside `own`, the cell of the hold `rid`, which may be home itself.
    async fn home_beside(
        &self,
        organisation_id: &str,
        period: Month,
        own: &Cell,
        rid: &HoldKey,
    ) -> Result<Cell, StoreError> {
        if rid.cell() == HOME {
            return Ok(own.clone());
        }
        let home = self.cell_at(organisation_id, period, HOME).await?;
        Ok(home.unwrap_or_default())
    }

    /// Completes those of `holds` that are resolved and still in the cell. `is_current` says
    /// whether the cell agrees with `configuration`. Returns whether there were any.
    pub(crate) async fn finish_resolved(
        &self,
        configuration: &Configuration,
        period: Month,
        holds: &BTreeMap<HoldKey, Hold>,
        is_current: bool,
    ) -> Result<bool, StoreError> {
        let organisation_id = &configuration.organisation.id;
        let ids: Vec<HoldId> = holds
            .iter()
            .map(|(rid, hold)| HoldId::new(period, rid.clone(), hold))
            .collect();
        let resolved = self.resolved_among(organisation_id, &ids).await?;
        for hold_id in &resolved {
            if let Some(known) = self.resolution(organisation_id, hold_id).await? {
                let charged = known.resolution.charged();
                // In a period that is not in force nobody holds, so nothing needs to be paid.
                let organisation = &configuration.organisation;
                let now = match is_current {
                    true => organisation.month_start(period),
                    false => organisation.month_start(period.next().next()),
                };
                self.finish_hold(configuration, hold_id, &known.hold, charged, now)
                    .await?;
            }
        }
        Ok(!resolved.is_empty())
    }
}
