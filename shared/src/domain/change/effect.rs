//! What decisions and counters see of a change.

use super::Change;
use crate::domain::exemption::ExemptionStatus;
use crate::domain::ledger::cell::Cell;
use crate::domain::ledger::cell_update::Condition;
use crate::domain::ledger::cell_updates::CellUpdates;
use crate::domain::ledger::node::Node;
use crate::domain::ledger::rollover::Rollover;
use crate::domain::ledger::settlement::carry;
use crate::domain::org::budget::Budget;
use crate::domain::org::configuration::Caps;
use crate::domain::org::people::User;
use crate::domain::org::placement::HOME;
use crate::domain::period::Month;
use std::collections::BTreeMap;

/// What a change means for decisions and for the counters in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect<'a> {
    /// No decision could see the change.
    Unseen,
    /// Decisions see it, so that a new epoch begins; no counter changes.
    NewEpoch,
    /// A budget is created, changed or deleted: a new epoch, and its counter gets the difference.
    Budget {
        /// None if it is created.
        before: Option<&'a Budget>,
        /// None if it is deleted.
        after: Option<&'a Budget>,
    },
    /// A new epoch, in which counters of a month have these carries from the month before, in
    /// tokens or micro-USD.
    Carry(Month, BTreeMap<Node, i64>),
}

impl Change {
    /// The effect. An event that is counted and a correction have none: the ledger charges them to
    /// the counters, and no decision made before would be another after them.
    pub fn effect(&self) -> Effect<'_> {
        match self {
            Self::OrganisationUpdated(_)
            | Self::CellsPlaced(_)
            | Self::DepartmentCreated { .. }
            | Self::DepartmentUpdated(_)
            | Self::DepartmentMoved { .. }
            | Self::DepartmentDeleted { .. }
            | Self::ExemptionApproved { .. }
            | Self::Prices(_)
            | Self::PolicyBlocked { .. }
            | Self::FiringBlocked { .. } => Effect::NewEpoch,
            Self::BudgetCreated { budget, .. } => of_budget(None, Some(&budget.value)),
            Self::BudgetUpdated { budget, .. } | Self::BudgetToppedUp { budget, .. } => {
                of_budget(Some(&budget.before.value), Some(&budget.after.value))
            }
            Self::BudgetDeleted { budget, .. } => of_budget(Some(&budget.value), None),
            Self::UserUpdated { user, .. }
            | Self::UserBlocked { user, .. }
            | Self::UserReleased { user, .. } => of_user(&user.before.value, &user.after.value),
            // A request that waits for a decision admits nothing yet.
            Self::ExemptionRevoked { exemption, .. } => {
                match exemption.before.value.decided == ExemptionStatus::Approved {
                    true => Effect::NewEpoch,
                    false => Effect::Unseen,
                }
            }
            Self::MonthClosed {
                period, rollovers, ..
            } => of_rollovers(*period, &[], rollovers),
            Self::MonthCorrected {
                period,
                before,
                after,
                ..
            } => of_rollovers(*period, before, after),
            // By its time an exemption is over anyway, and a new user has no holds.
            Self::ExemptionRequested { .. }
            | Self::ExemptionDenied { .. }
            | Self::ExemptionEnding { .. }
            | Self::ExemptionExpired { .. }
            | Self::OrganisationCreated { .. }
            | Self::UserCreated { .. }
            | Self::ApiKeyCreated(_)
            | Self::ApiKeyDeleted(_)
            | Self::OauthClientCreated(_)
            | Self::OauthClientDeleted(_)
            | Self::PolicyCreated { .. }
            | Self::PolicyUpdated { .. }
            | Self::PolicyPublished(_)
            | Self::PolicyDisabled(_)
            | Self::PolicyDeleted(_)
            | Self::WebhookCreated(_)
            | Self::WebhookUpdated(_)
            | Self::WebhookSecretRotated(_)
            | Self::WebhookDeleted(_)
            | Self::AlertUpdated(_)
            | Self::IncidentUpdated { .. }
            | Self::SuppressionReleased(_)
            | Self::GithubPut(_)
            | Self::GithubRisksPut { .. }
            | Self::EventCounted(_)
            | Self::EventDiscarded(_)
            | Self::CorrectionCreated { .. }
            | Self::UsageRepriced { .. }
            | Self::FiringAttributed { .. }
            | Self::DenialsLogged(_) => Effect::Unseen,
        }
    }
}

fn of_budget<'a>(before: Option<&'a Budget>, after: Option<&'a Budget>) -> Effect<'a> {
    Effect::Budget { before, after }
}

fn of_user(before: &User, after: &User) -> Effect<'static> {
    let decided_by = |user: &User| (user.department_id.clone(), user.status, user.block.clone());
    match decided_by(before) == decided_by(after) {
        true => Effect::Unseen,
        false => Effect::NewEpoch,
    }
}

/// `before` are rows that were credited to the month after `period` already, `after` as they are to
/// be.
fn of_rollovers(period: Month, before: &[Rollover], after: &[Rollover]) -> Effect<'static> {
    let credited_before = |row: &Rollover| {
        let known = before.iter().find(|of| of.counter() == row.counter());
        known.map_or(0, |before| before.carried_out)
    };
    let changed = after.iter();
    let changed = changed.filter(|row| row.carried_out != credited_before(row));
    let carried: BTreeMap<Node, i64> = changed
        .map(|row| (row.counter(), row.carried_out))
        .collect();
    match carried.is_empty() {
        true => Effect::Unseen,
        false => Effect::Carry(period.next(), carried),
    }
}

impl Effect<'_> {
    /// Whether a new epoch begins.
    pub fn is_seen(&self) -> bool {
        match self {
            Self::Unseen => false,
            Self::NewEpoch | Self::Budget { .. } | Self::Carry(..) => true,
        }
    }

    /// The month whose counters get another carry. None if no carry changes.
    pub fn carries_into(&self) -> Option<Month> {
        match self {
            Self::Carry(into, _) => Some(*into),
            Self::Unseen | Self::NewEpoch | Self::Budget { .. } => None,
        }
    }

    /// The updates of `cells`, those of `period`, home first. A month before the current one keeps
    /// its amounts: only its epoch changes. `caps` are the hard counters of the period before the
    /// change.
    pub fn updates(
        &self,
        cells: &[Cell],
        caps: &Caps,
        period: Month,
        current: Month,
    ) -> CellUpdates {
        let mut updates = CellUpdates::default();
        let mut kept = caps.clone();
        let Some(home) = cells.first() else {
            return updates;
        };
        match self {
            Self::Unseen | Self::NewEpoch => {}
            Self::Budget { before, after } if period >= current => {
                let gives = |budget: &Budget| budget.unit.counted(budget.gives_in(period));
                if let Some(gone) = before {
                    let amount = gives(gone).saturating_neg();
                    updates.at(HOME).add_to(gone.counter(), amount);
                }
                if let Some(new) = after {
                    updates.at(HOME).add_to(new.counter(), gives(new));
                }
                if let Some(budget) = after.or(*before) {
                    let is_hard = |of: &Budget| of.hard_cap && of.counts_in(period);
                    let (was, is) = (before.is_some_and(is_hard), after.is_some_and(is_hard));
                    let node = budget.counter();
                    harden(&mut updates, node, (was, is), cells);
                    if !is {
                        kept.hard.retain(|hard| *hard != node);
                    }
                }
            }
            Self::Budget { .. } => {}
            // Only changes touch a carry, and no two changes cross.
            Self::Carry(into, carried) if *into == period => {
                updates = CellUpdates::of(HOME, carry(home, carried));
            }
            Self::Carry(..) => {}
        }
        // What the change takes from a hard counter, home may not have.
        updates.charge_within(&kept, HOME, Some(home), home);
        updates
    }
}

/// Shuts a counter that becomes hard, and opens one that is hard no longer. A soft counter may be
/// less than nothing in some cells. With one cell there is nothing to do: see
/// [`CellUpdates::charge_within`].
fn harden(updates: &mut CellUpdates, node: Node, (was, is): (bool, bool), cells: &[Cell]) {
    let others = u32::try_from(cells.len().saturating_sub(1)).unwrap_or(u32::MAX);
    if others == 0 || was == is {
        return;
    }
    if is {
        updates.shut(node, others);
        return;
    }
    for (number, cell) in (HOME..).zip(cells) {
        let update = updates.at(number);
        match cell.shut.contains(&node) {
            true => {
                update.conditions.push(Condition::IsShut(node));
                update.reopen.insert(node);
            }
            false => update.conditions.push(Condition::IsOpen(node)),
        }
    }
    updates.require_others(others);
}
