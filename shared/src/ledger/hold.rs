//! Places holds and voids them.

use super::gather::{Gathered, Gathering, Want};
use crate::backoff::back_off;
use crate::domain::ledger::cell::Cell;
use crate::domain::ledger::hold::{Exempt, Hold};
use crate::domain::ledger::hold_id::HoldKey;
use crate::domain::ledger::hold_request::{HoldRejection, HoldRequest};
use crate::domain::ledger::node::Node;
use crate::domain::org::configuration::Configuration;
use crate::domain::org::placement::HOME;
use crate::domain::period::Month;
use crate::store::{Store, StoreError, Updated};
use jiff::Timestamp;
use std::borrow::Cow;

/// How often a hold is tried. A cell full of lapsed holds is released in at most 80 rounds.
pub(super) const ATTEMPTS_TO_HOLD: u32 = 120;

/// The outcome of a request for a hold.
#[derive(Debug)]
pub enum HoldOutcome {
    /// It is held, by this call or an earlier try of the same request.
    Held {
        /// Its cell, and its key there.
        rid: HoldKey,
        /// Of a lease, all of it or the first hold that lives.
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

/// What follows from a refusal by a cell.
enum Next {
    Done(HoldOutcome),
    /// Try this request, which an exemption admits.
    Try(Box<HoldRequest>),
    /// The obstacle is gone: try again.
    Again,
    /// Others are writing the same: try again a little later.
    Later,
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
        let mut earlier = request.earlier.clone();
        for attempt in 0..ATTEMPTS_TO_HOLD {
            if let Some(number) = earlier.first().copied() {
                let met = self.look_back(configuration, (period, number), request, now);
                match met.await? {
                    Next::Done(outcome) => return Ok(outcome),
                    Next::Try(_) => earlier.pop_first(),
                    Next::Again | Next::Later => None,
                };
                continue;
            }
            let tried = std::mem::replace(&mut candidate, Cow::Borrowed(request));
            let updated = self.update_cells(organisation_id, period, tried.update());
            let next = match updated.await? {
                Updated::Applied(known) => {
                    let number = request.rid.cell();
                    let cell = self.known_or_read(organisation_id, period, number, known);
                    let HoldRequest { rid, hold, .. } = tried.into_owned();
                    let cell = cell.await?;
                    return Ok(HoldOutcome::Held { rid, hold, cell });
                }
                Updated::Refused(Some(cell)) => {
                    self.refused(configuration, period, request, cell, now)
                        .await?
                }
                Updated::Refused(None) => {
                    let number = request.rid.cell();
                    match self.open_for(configuration, period, number).await? {
                        true => Next::Again,
                        false => Next::Done(HoldOutcome::StaleConfiguration),
                    }
                }
            };
            match next {
                Next::Done(outcome) => return Ok(outcome),
                Next::Try(admitted) => candidate = Cow::Owned(*admitted),
                Next::Again => {}
                Next::Later => back_off(attempt).await,
            }
        }
        Err(StoreError::Contended)
    }

    /// Finds what was in the way, and clears it away if that can be done.
    async fn refused(
        &self,
        configuration: &Configuration,
        period: Month,
        request: &HoldRequest,
        cell: Cell,
        now: Timestamp,
    ) -> Result<Next, StoreError> {
        let gathering = Gathering {
            configuration,
            period,
            request,
            want: Want::NewHold,
            now,
        };
        Ok(match request.rejection(&cell, now) {
            HoldRejection::SameHold(hold) => {
                self.held_before(configuration, period, request, hold, cell)
                    .await?
            }
            HoldRejection::BodyMismatch => Next::Done(HoldOutcome::BodyMismatch),
            HoldRejection::StaleConfiguration => {
                let is_newer = cell.epoch > configuration.epoch;
                match is_newer || self.home_in_force(configuration, period).await?.is_none() {
                    true => Next::Done(HoldOutcome::StaleConfiguration),
                    false => Next::Again,
                }
            }
            HoldRejection::InsufficientBudget(_) | HoldRejection::Exempt(_)
                if cell.is_one_of_several(&request.rid) =>
            {
                match self.gather(gathering, &cell).await? {
                    Gathered::Placed { hold, cell } => {
                        let rid = request.rid.clone();
                        Next::Done(HoldOutcome::Held { rid, hold, cell })
                    }
                    Gathered::Short(nodes, cell) => {
                        Next::Done(HoldOutcome::InsufficientBudget { nodes, cell })
                    }
                    Gathered::Full(cell) => Next::Done(HoldOutcome::Full { cell }),
                    Gathered::Again => Next::Later,
                }
            }
            HoldRejection::Full => Next::Done(HoldOutcome::Full { cell }),
            HoldRejection::InsufficientBudget(nodes) => {
                Next::Done(HoldOutcome::InsufficientBudget { nodes, cell })
            }
            HoldRejection::Exempt(admitted) => Next::Try(admitted),
            HoldRejection::Lapsed(lapsed) => {
                self.expire(configuration, period, lapsed, now).await?;
                Next::Again
            }
            HoldRejection::Cleared => Next::Later,
        })
    }

    /// Returns what a request holds in its cell already. What has ended is removed.
    async fn held_before(
        &self,
        configuration: &Configuration,
        period: Month,
        request: &HoldRequest,
        hold: Hold,
        cell: Cell,
    ) -> Result<Next, StoreError> {
        let known = request.known_in(&cell).collect();
        let finishing = self.finish_resolved(configuration, period, &known, true);
        if finishing.await? {
            return Ok(Next::Again);
        }
        let rid = request.rid.clone();
        Ok(Next::Done(HoldOutcome::Held { rid, hold, cell }))
    }

    /// Looks for what an earlier try of the request holds in `number`, the cell that its user had
    /// then. [`Next::Try`] says that there is nothing.
    async fn look_back(
        &self,
        configuration: &Configuration,
        (period, number): (Month, u32),
        request: &HoldRequest,
        now: Timestamp,
    ) -> Result<Next, StoreError> {
        let organisation_id = &configuration.organisation.id;
        let nothing = || Next::Try(Box::new(request.clone()));
        let Some(cell) = self.cell_at(organisation_id, period, number).await? else {
            return Ok(nothing());
        };
        if cell.epoch > configuration.epoch {
            return Ok(Next::Done(HoldOutcome::StaleConfiguration));
        }
        let there = request.in_cell(number);
        Ok(match there.held_in(&cell, now) {
            None => nothing(),
            Some(HoldRejection::SameHold(hold)) => {
                self.held_before(configuration, period, &there, hold, cell)
                    .await?
            }
            Some(HoldRejection::Lapsed(lapsed)) => {
                self.expire(configuration, period, lapsed, now).await?;
                Next::Again
            }
            Some(_) => Next::Done(HoldOutcome::BodyMismatch),
        })
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
            let exempt = match request.rejection_by(&cell, false, now) {
                HoldRejection::SameHold(hold) => {
                    let rid = request.rid.clone();
                    return Ok(HoldOutcome::Held { rid, hold, cell });
                }
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
        let home = self.cell_at(&configuration.organisation.id, period, HOME);
        let cell = home.await?;
        if cell.is_some_and(|cell| cell.epoch == configuration.epoch) {
            return Ok(true);
        }
        Ok(self.home_in_force(configuration, period).await?.is_some())
    }
}
