//! Voids a lease: all of its holds that live, in a few writes of the cell.

use super::resolve::RELEASES_AT_ONCE;
use super::void::VoidOutcome;
use super::within::Within;
use crate::domain::amount::Amounts;
use crate::domain::ledger::hold::Hold;
use crate::domain::ledger::hold_id::{HoldId, HoldKey};
use crate::domain::ledger::settlement::{finish, finishable};
use crate::domain::org::configuration::Configuration;
use crate::store::{Store, StoreError, Updated};
use futures::StreamExt as _;
use jiff::Timestamp;

impl Store {
    /// Voids the hold with this id and all others of its lease. As for one hold, the resolutions
    /// are written first. A hold whose usage was accepted stays and will be settled. Repeated, it
    /// changes nothing.
    pub async fn void_lease(
        &self,
        configuration: &Configuration,
        hold_id: &HoldId,
        now: Timestamp,
    ) -> Result<VoidOutcome, StoreError> {
        let organisation_id = &configuration.organisation.id;
        let cell = self.cell_of_hold(organisation_id, hold_id).await?;
        let holds = cell.map(|cell| cell.lease_of(hold_id)).unwrap_or_default();
        if holds.is_empty() {
            // Says whether there ever was such a hold.
            return self.void(configuration, hold_id, now).await;
        }
        let mut voiding = Vec::new();
        for (rid, hold) in holds {
            let Some(path) = configuration.path_at(hold.department, hold.tree) else {
                return Ok(VoidOutcome::StaleConfiguration);
            };
            voiding.push(async move {
                let id = HoldId::new(hold_id.period, rid.clone(), &hold);
                let voiding = self.resolve_voided(organisation_id, &id, hold, path, now);
                let ended = voiding.await?;
                Ok::<_, StoreError>(ended.map(|ended| {
                    let charged = ended.resolution.charged();
                    (rid, ended.hold, charged)
                }))
            });
        }
        let mut ended: Vec<(HoldKey, Hold, Amounts)> = Vec::new();
        let mut voiding = futures::stream::iter(voiding).buffer_unordered(RELEASES_AT_ONCE);
        while let Some(result) = voiding.next().await {
            ended.extend(result?);
        }
        for part in finishable(&ended) {
            self.take_out(configuration, hold_id, part, now).await?;
        }
        Ok(VoidOutcome::NotHeld)
    }

    /// Takes holds that have ended out of the cell: together, or one by one if one of them has
    /// changed meanwhile.
    async fn take_out(
        &self,
        configuration: &Configuration,
        hold_id: &HoldId,
        ended: &[(HoldKey, Hold, Amounts)],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let each = ended
            .iter()
            .map(|(rid, hold, charged)| (rid, hold, *charged));
        let mut updates = finish(each);
        let within = Within::new(configuration, hold_id.period, now);
        within.assume_enough(&mut updates, hold_id.rid.cell());
        let organisation_id = &configuration.organisation.id;
        let updated = self.update_cells(organisation_id, hold_id.period, updates);
        if matches!(updated.await?, Updated::Applied(_)) {
            return Ok(());
        }
        for (rid, hold, charged) in ended {
            let id = HoldId::new(hold_id.period, rid.clone(), hold);
            self.finish_hold(configuration, &id, hold, *charged, now)
                .await?;
        }
        Ok(())
    }
}
