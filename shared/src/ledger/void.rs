//! Voids holds: their requests were not sent.

use crate::domain::ledger::hold::Hold;
use crate::domain::ledger::hold_id::HoldId;
use crate::domain::ledger::resolution::Resolution;
use crate::domain::org::configuration::Configuration;
use crate::domain::org::department::Path;
use crate::store::{Resolved, Store, StoreError, Transacted};
use jiff::Timestamp;

/// The outcome of voiding a hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VoidOutcome {
    /// Nothing is held: this call, an earlier try, a settlement or the hold's end released it. Or
    /// its usage was accepted and will settle it.
    NotHeld,
    /// There never was such a hold.
    Unknown,
    /// The configuration is older than the hold: the caller must read it again.
    StaleConfiguration,
}

impl Store {
    /// Voids a hold. Writes the resolution first, then updates the cell. Repeated, it changes
    /// nothing.
    pub async fn void(
        &self,
        configuration: &Configuration,
        hold_id: &HoldId,
        now: Timestamp,
    ) -> Result<VoidOutcome, StoreError> {
        let organisation_id = &configuration.organisation.id;
        let cell = self.cell_of_hold(organisation_id, hold_id).await?;
        let hold = cell.and_then(|mut cell| cell.holds.remove(&hold_id.rid));
        let Some(hold) = hold.filter(|hold| hold_id.names(hold)) else {
            let known = self.resolution(organisation_id, hold_id).await?;
            return Ok(match known {
                Some(_) => VoidOutcome::NotHeld,
                None => VoidOutcome::Unknown,
            });
        };
        let Some(path) = configuration.path_at(hold.department, hold.tree) else {
            return Ok(VoidOutcome::StaleConfiguration);
        };
        let voiding = self.resolve_voided(organisation_id, hold_id, hold, path, now);
        if let Some(ended) = voiding.await? {
            let charged = ended.resolution.charged();
            self.finish_hold(configuration, hold_id, &ended.hold, charged, now)
                .await?;
        }
        Ok(VoidOutcome::NotHeld)
    }

    /// Writes that a hold was voided, and returns how it ended: so, or as it was resolved before.
    /// None if its usage was accepted, which will settle it.
    pub(super) async fn resolve_voided(
        &self,
        organisation_id: &str,
        hold_id: &HoldId,
        hold: Hold,
        path: Path,
        now: Timestamp,
    ) -> Result<Option<Resolved>, StoreError> {
        let resolved = Resolved {
            resolution: Resolution::Voided,
            path,
            hold,
            offset_by: None,
            reported_in: Vec::new(),
        };
        let part = self.resolution_item(organisation_id, hold_id, &resolved, now)?;
        let known = match self.transact(vec![part]).await? {
            Transacted::Applied => None,
            Transacted::Refused(_) => match self.resolution(organisation_id, hold_id).await? {
                Some(known) => Some(known),
                None => return Ok(None),
            },
        };
        Ok(Some(known.unwrap_or(resolved)))
    }
}
