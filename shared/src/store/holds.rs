//! Holding, and giving a hold back.

use super::Store;
use super::call::{StoreError, Transacted};
use super::cells::Updated;
use super::resolutions::Resolved;
use crate::domain::cell::{Cell, HoldRejection, HoldRequest};
use crate::domain::configuration::Configuration;
use crate::domain::hold::{Exempt, Hold, HoldId, Node};
use crate::domain::period::Month;
use crate::domain::usage::Resolution;
use crate::runtime::backoff::back_off;
use jiff::Timestamp;
use std::borrow::Cow;

/// How often a hold is tried: a cell full of lapsed holds is released in at most 80 rounds.
pub(super) const ATTEMPTS_TO_HOLD: u32 = 120;

/// What became of a request for a hold.
#[derive(Debug)]
pub enum HoldOutcome {
    /// It is held: now, or since an earlier try of the same request.
    Held {
        /// The hold that lives.
        hold: Hold,
        /// The cell with it.
        cell: Cell,
    },
    /// The request id lives with another body.
    BodyMismatch,
    /// The configuration is not the one that is in force: read it again.
    StaleConfiguration,
    /// The counters admit a request that takes nothing from them, so nothing is held.
    Admitted {
        /// The exemption that admits it, if the caps alone do not.
        exempt: Option<Exempt>,
        /// The cell at that moment.
        cell: Cell,
    },
    /// The counters admit it, and the cell has as many live holds as it takes.
    Full {
        /// The cell at that moment.
        cell: Cell,
    },
    /// These hard counters have less than was asked for.
    InsufficientBudget {
        /// The counters.
        nodes: Vec<Node>,
        /// The cell at that moment.
        cell: Cell,
    },
}

/// What became of a hold that its owner gives back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VoidOutcome {
    /// Nothing of it is held any more: now, or since an earlier try, a settlement or its end by time. Or its usage was
    /// accepted and is about to settle it.
    NotHeld,
    /// There never was such a hold.
    Unknown,
    /// The configuration is older than the hold: read it again.
    StaleConfiguration,
}

impl Store {
    /// Holds at every level of the path in one conditional write, or says why not. A warm call is one round trip.
    /// A caller that repeats it after a lost answer gets the same hold.
    pub async fn hold(
        &self,
        configuration: &Configuration,
        period: Month,
        request: &HoldRequest,
        now: Timestamp,
    ) -> Result<HoldOutcome, StoreError> {
        let organisation_id = &configuration.organisation.id;
        // The way that is tried: the request as it is, or under an exemption where that is admitted and it is not.
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
                    // What was resolved and not yet taken out of the cell is no hold any more.
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

    /// Decides on a request that takes nothing from any counter, by a consistent read. It needs no place in the
    /// cell: whoever asks for nothing again and again takes nothing from others.
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

    /// Whether `configuration` is the one in force, by a consistent read: the fence of decisions that hold nothing.
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

    /// Gives all of a hold back. The resolution is written first, then the cell follows; repeated, it changes
    /// nothing more.
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
                // Its usage was accepted, and settles it.
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
