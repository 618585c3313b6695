//! Places holds and voids them.

use crate::backoff::back_off;
use crate::domain::ledger::cell::Cell;
use crate::domain::ledger::hold::{Exempt, Hold};
use crate::domain::ledger::hold_id::HoldId;
use crate::domain::ledger::hold_request::{HoldRejection, HoldRequest};
use crate::domain::ledger::node::Node;
use crate::domain::ledger::resolution::Resolution;
use crate::domain::org::configuration::Configuration;
use crate::domain::period::Month;
use crate::store::{Resolved, Store, StoreError, Transacted, Updated};
use jiff::Timestamp;
use std::borrow::Cow;

/// How often a hold is tried. A cell full of lapsed holds is released in at most 80 rounds.
pub(super) const ATTEMPTS_TO_HOLD: u32 = 120;

/// The outcome of a request for a hold.
#[derive(Debug)]
pub enum HoldOutcome {
    /// It is held, by this call or an earlier try of the same request.
    Held {
        hold: Hold,
        /// The cell that includes it.
        cell: Cell,
    },
    /// Another request with this id holds, with a different body.
    BodyMismatch,
    /// The configuration is not in force: the caller must read it again.
    StaleConfiguration,
    /// The counters admit a request for zero, so nothing is held.
    Admitted {
        /// The exemption that admits it, if the caps alone do not.
        exempt: Option<Exempt>,
        /// The cell at that moment.
        cell: Cell,
    },
    /// The counters admit it, but the cell has no room for another living hold.
    Full {
        /// The cell at that moment.
        cell: Cell,
    },
    /// These hard counters have less left than requested.
    InsufficientBudget {
        nodes: Vec<Node>,
        /// The cell at that moment.
        cell: Cell,
    },
}

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
    /// Holds at every level of the path in one conditional write, or says why not. Usually takes
    /// one round trip. Repeated after a lost answer, it returns the same hold.
    pub async fn hold(
        &self,
        configuration: &Configuration,
        period: Month,
        request: &HoldRequest,
        now: Timestamp,
    ) -> Result<HoldOutcome, StoreError> {
        let organisation_id = &configuration.organisation.id;
        // Try the plain request first. If only an exemption admits it, retry with that.
        let mut candidate = Cow::Borrowed(request);
        for attempt in 0..ATTEMPTS_TO_HOLD {
            let update = candidate.update();
            let cell = match self.update_cell(organisation_id, period, &update).await? {
                Updated::Applied(cell) => {
                    let hold = candidate.into_owned().hold;
                    return Ok(HoldOutcome::Held { hold, cell });
                }
                Updated::Refused(Some(cell)) => cell,
                Updated::Refused(None) => match self.cell_in_force(configuration, period).await? {
                    Some(_) => continue,
                    None => return Ok(HoldOutcome::StaleConfiguration),
                },
            };
            candidate = Cow::Borrowed(request);
            match request.rejection(&cell, now) {
                HoldRejection::SameHold(hold) => {
                    // A hold that is resolved but still in the cell has ended.
                    let id = HoldId::new(period, request.rid.clone(), &hold);
                    match self.resolution(organisation_id, &id).await? {
                        None => return Ok(HoldOutcome::Held { hold, cell }),
                        Some(known) => {
                            let charged = known.resolution.charged();
                            self.finish_hold(organisation_id, &id, &known.hold, charged)
                                .await?;
                        }
                    }
                }
                HoldRejection::BodyMismatch => return Ok(HoldOutcome::BodyMismatch),
                HoldRejection::StaleConfiguration => {
                    let is_newer = cell.epoch > configuration.epoch;
                    if is_newer || self.cell_in_force(configuration, period).await?.is_none() {
                        return Ok(HoldOutcome::StaleConfiguration);
                    }
                }
                HoldRejection::Full => return Ok(HoldOutcome::Full { cell }),
                HoldRejection::InsufficientBudget(nodes) => {
                    return Ok(HoldOutcome::InsufficientBudget { nodes, cell });
                }
                HoldRejection::Exempt(admitted) => candidate = Cow::Owned(*admitted),
                HoldRejection::Lapsed(lapsed) => {
                    self.expire(configuration, period, lapsed, now).await?
                }
                HoldRejection::Cleared => back_off(attempt).await,
            }
        }
        Err(StoreError::Contended)
    }

    /// Decides on a request for zero, by a consistent read. Such a request needs no place in the
    /// cell, so repeating it takes nothing from others.
    pub async fn admit(
        &self,
        configuration: &Configuration,
        period: Month,
        request: &HoldRequest,
        now: Timestamp,
    ) -> Result<HoldOutcome, StoreError> {
        for _ in 0..ATTEMPTS_TO_HOLD {
            let Some(cell) = self.cell_in_force(configuration, period).await? else {
                return Ok(HoldOutcome::StaleConfiguration);
            };
            let exempt = match request.rejection(&cell, now) {
                HoldRejection::SameHold(hold) => return Ok(HoldOutcome::Held { hold, cell }),
                HoldRejection::BodyMismatch => return Ok(HoldOutcome::BodyMismatch),
                HoldRejection::StaleConfiguration => return Ok(HoldOutcome::StaleConfiguration),
                HoldRejection::InsufficientBudget(nodes) => {
                    return Ok(HoldOutcome::InsufficientBudget { nodes, cell });
                }
                HoldRejection::Lapsed(lapsed) => {
                    self.expire(configuration, period, lapsed, now).await?;
                    continue;
                }
                HoldRejection::Exempt(candidate) => candidate.hold.exempt,
                HoldRejection::Full | HoldRejection::Cleared => None,
            };
            return Ok(HoldOutcome::Admitted { exempt, cell });
        }
        Err(StoreError::Contended)
    }

    /// Returns whether `configuration` is in force, by a consistent read. Decisions that hold
    /// nothing are fenced by this.
    pub async fn is_in_force(
        &self,
        configuration: &Configuration,
        period: Month,
    ) -> Result<bool, StoreError> {
        let cell = self.cell(&configuration.organisation.id, period).await?;
        if cell.is_some_and(|cell| cell.epoch == configuration.epoch) {
            return Ok(true);
        }
        Ok(self.cell_in_force(configuration, period).await?.is_some())
    }

    /// Voids a hold. Writes the resolution first, then updates the cell. Repeated, it changes
    /// nothing.
    pub async fn void(
        &self,
        configuration: &Configuration,
        hold_id: &HoldId,
        now: Timestamp,
    ) -> Result<VoidOutcome, StoreError> {
        let organisation_id = &configuration.organisation.id;
        let cell = self.cell(organisation_id, hold_id.period).await?;
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
                // Its usage was accepted, and will settle it.
                None => return Ok(VoidOutcome::NotHeld),
            },
        };
        let ended = known.unwrap_or(resolved);
        let charged = ended.resolution.charged();
        self.finish_hold(organisation_id, hold_id, &ended.hold, charged)
            .await?;
        Ok(VoidOutcome::NotHeld)
    }
}
