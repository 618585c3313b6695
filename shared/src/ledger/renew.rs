//! Renews living holds: extends their time or raises their amount.
//!
//! The cell changes first, in one conditional write: each hard cap on the hold's path must have
//! room for the increase. Then a row at the place of the hold's resolution says until when it
//! lives. The end of its time can be written there only from that moment on, so a caller who read
//! the hold before cannot end it early. An earlier resolution wins: the hold has ended, and the
//! increase is released with it. Repeated after a lost answer, a call changes nothing.

use super::gather::{Gathered, Gathering, Want};
use super::hold::ATTEMPTS_TO_HOLD;
use crate::backoff::back_off;
use crate::domain::ledger::cell::Cell;
use crate::domain::ledger::hold::Hold;
use crate::domain::ledger::hold_id::HoldId;
use crate::domain::ledger::hold_request::{HoldRejection, HoldRequest};
use crate::domain::ledger::node::Node;
use crate::domain::ledger::renewal::{CannotRenew, Wanted, Wish, gain};
use crate::domain::org::configuration::Configuration;
use crate::domain::org::department::Path;
use crate::domain::org::people::User;
use crate::store::{Store, StoreError, Transacted, Updated};
use jiff::Timestamp;

/// A hold with the context of an answer.
#[derive(Debug)]
pub struct RenewedHold {
    /// The hold as it is now.
    pub hold: Hold,
    /// The path that it counts on.
    pub path: Path,
    /// The cell that includes it.
    pub cell: Cell,
}

/// The outcome of a renewal.
#[derive(Debug)]
pub enum RenewOutcome {
    /// The hold is as requested.
    Renewed(RenewedHold),
    /// Hard counters have less left than the increase. The hold is unchanged.
    InsufficientBudget {
        /// The hold, which is unchanged.
        known: RenewedHold,
        /// The increase that was requested.
        asked: HoldRequest,
        nodes: Vec<Node>,
    },
    /// The request is invalid, whatever the counters have left. The hold is unchanged.
    Impossible(CannotRenew),
    /// The hold was settled or voided, or its time is over.
    Ended,
    /// There never was such a hold.
    Unknown,
    /// The configuration is not in force: the caller must read it again.
    StaleConfiguration,
}

/// The outcome of one try.
enum Tried {
    Done(RenewOutcome),
    /// A concurrent writer was faster.
    Again,
}

/// A living hold and its requested state.
struct Renewal<'a> {
    configuration: &'a Configuration,
    hold_id: &'a HoldId,
    before: &'a Hold,
    path: Path,
    wanted: Wanted,
    asked: HoldRequest,
    /// False if the hold's month is over: then only its time can be extended.
    is_in_force: bool,
    now: Timestamp,
}

impl Store {
    /// Renews a living hold of `user` as `wish` says, under the caps of its path and in its own
    /// month.
    pub async fn renew(
        &self,
        configuration: &Configuration,
        user: &User,
        hold_id: &HoldId,
        wish: &Wish,
        now: Timestamp,
    ) -> Result<RenewOutcome, StoreError> {
        let organisation_id = &configuration.organisation.id;
        for attempt in 0..ATTEMPTS_TO_HOLD {
            let cell = self.cell_of_hold(organisation_id, hold_id).await?;
            let known = cell.as_ref().and_then(|cell| cell.holds.get(&hold_id.rid));
            let before = known.filter(|hold| hold_id.names(hold));
            let (Some(cell), Some(before)) = (&cell, before) else {
                let known = self.resolution(organisation_id, hold_id).await?;
                return Ok(known.map_or(RenewOutcome::Unknown, |_| RenewOutcome::Ended));
            };
            if before.has_lapsed(now) {
                return Ok(RenewOutcome::Ended);
            }
            let current = configuration.period_of(now);
            let is_in_force = hold_id.period >= current;
            if is_in_force && cell.epoch != configuration.epoch {
                match self.home_in_force(configuration, hold_id.period).await? {
                    Some(_) => continue,
                    None => return Ok(RenewOutcome::StaleConfiguration),
                }
            }
            if !is_in_force && !self.is_in_force(configuration, current).await? {
                return Ok(RenewOutcome::StaleConfiguration);
            }
            let Some(path) = configuration.path_at(before.department, before.tree) else {
                return Ok(RenewOutcome::StaleConfiguration);
            };
            let wanted = match wish.of(configuration, hold_id, before, &path, now) {
                Ok(wanted) => wanted,
                Err(impossible) => return Ok(RenewOutcome::Impossible(impossible)),
            };
            let renewal = Renewal {
                asked: gain(
                    configuration,
                    user,
                    hold_id,
                    before,
                    &path,
                    wanted.gains,
                    now,
                ),
                configuration,
                hold_id,
                before,
                path,
                wanted,
                is_in_force,
                now,
            };
            match self.try_to_renew(&renewal, cell).await? {
                Tried::Done(outcome) => return Ok(outcome),
                Tried::Again => back_off(attempt).await,
            }
        }
        Err(StoreError::Contended)
    }

    /// Tries the renewal under the caps, and with an exemption if only that admits it. `cell` is
    /// the one that was read.
    async fn try_to_renew(&self, renewal: &Renewal<'_>, cell: &Cell) -> Result<Tried, StoreError> {
        let mut admitted = None;
        loop {
            let asked = admitted.as_ref().unwrap_or(&renewal.asked);
            let grown = asked.growth(renewal.before, renewal.wanted.expires_at);
            let Some((mut updates, after)) = grown else {
                let nodes = renewal.asked.short(cell);
                return Ok(Tried::Done(renewal.is_short(nodes, cell.clone())));
            };
            if !renewal.is_in_force {
                updates.forget_epoch();
            }
            let organisation_id = &renewal.configuration.organisation.id;
            let period = renewal.hold_id.period;
            let updated = match after == *renewal.before {
                true => Updated::Applied(Some(cell.clone())),
                false => self.update_cells(organisation_id, period, updates).await?,
            };
            let refused = match updated {
                Updated::Applied(known) => {
                    let number = renewal.hold_id.rid.cell();
                    let cell = self.known_or_read(organisation_id, period, number, known);
                    return self.renewed(renewal, after, cell.await?).await;
                }
                Updated::Refused(None) => return Ok(Tried::Again),
                Updated::Refused(Some(cell)) => cell,
            };
            let is_as_read = refused.epoch == renewal.configuration.epoch
                && refused.holds.get(&renewal.hold_id.rid) == Some(renewal.before);
            if !is_as_read || admitted.is_some() {
                return Ok(Tried::Again);
            }
            if refused.is_one_of_several(&renewal.hold_id.rid) {
                return self.grow_from_others(renewal, &refused).await;
            }
            // The increase meets the same limits as a new hold of that amount beside this one.
            let others = refused.without(&renewal.hold_id.rid);
            match renewal.asked.rejection(&others, renewal.now) {
                HoldRejection::InsufficientBudget(nodes) => {
                    return Ok(Tried::Done(renewal.is_short(nodes, refused)));
                }
                HoldRejection::Exempt(request) => admitted = Some(*request),
                HoldRejection::Lapsed(lapsed) => {
                    self.expire(renewal.configuration, period, lapsed, renewal.now)
                        .await?;
                    return Ok(Tried::Again);
                }
                _ => return Ok(Tried::Again),
            }
        }
    }

    /// Grows the hold by what other cells have. `own` is its cell as it refused.
    async fn grow_from_others(
        &self,
        renewal: &Renewal<'_>,
        own: &Cell,
    ) -> Result<Tried, StoreError> {
        let gathering = Gathering {
            configuration: renewal.configuration,
            period: renewal.hold_id.period,
            request: &renewal.asked,
            want: Want::Growth(renewal.before, renewal.wanted.expires_at),
            now: renewal.now,
        };
        match self.gather(gathering, own).await? {
            Gathered::Placed { hold, cell } => self.renewed(renewal, hold, cell).await,
            Gathered::Short(nodes, sum) => Ok(Tried::Done(renewal.is_short(nodes, sum))),
            Gathered::Full(_) | Gathered::Again => Ok(Tried::Again),
        }
    }

    /// Confirms a hold that is renewed in the cell. If it ended before, removes it and its increase
    /// from the cell.
    async fn renewed(
        &self,
        renewal: &Renewal<'_>,
        hold: Hold,
        cell: Cell,
    ) -> Result<Tried, StoreError> {
        let organisation_id = &renewal.configuration.organisation.id;
        let hold_id = renewal.hold_id;
        let lives = self.lives_item(organisation_id, hold_id, &hold, renewal.now);
        if self.transact(vec![lives]).await? != Transacted::Applied
            && let Some(known) = self.resolution(organisation_id, hold_id).await?
        {
            let charged = known.resolution.charged();
            let (configuration, now) = (renewal.configuration, renewal.now);
            self.finish_hold(configuration, hold_id, &known.hold, charged, now)
                .await?;
            return Ok(Tried::Done(RenewOutcome::Ended));
        }
        let path = renewal.path.clone();
        let renewed = RenewedHold { hold, path, cell };
        Ok(Tried::Done(RenewOutcome::Renewed(renewed)))
    }
}

impl Renewal<'_> {
    fn is_short(&self, nodes: Vec<Node>, cell: Cell) -> RenewOutcome {
        RenewOutcome::InsufficientBudget {
            known: RenewedHold {
                hold: self.before.clone(),
                path: self.path.clone(),
                cell,
            },
            asked: self.asked.clone(),
            nodes,
        }
    }
}
