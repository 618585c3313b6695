//! A budget's figures in a cell.

use crate::domain::ledger::cell::Cell;
use crate::domain::org::budget::Budget;
use crate::domain::period::Month;

/// A budget's figures at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figures {
    /// The month's own amount.
    pub amount: i64,
    /// The amount carried over from the month before.
    pub carried: i64,
    /// The amount added for this month only.
    pub topped_up: i64,
    /// The amount that exemptions gave beyond all of these, held or spent.
    pub exempted: i64,
    /// amount + carried + topped_up + exempted.
    pub limit: i64,
    /// The usage of records.
    pub spent: i64,
    /// The amount of live holds, including those under exemptions.
    pub held: i64,
    /// The part of `held` under exemptions.
    pub held_exempt: i64,
    pub remaining: i64,
    /// remaining - held: the room for a new hold.
    pub available: i64,
}

impl Figures {
    /// Returns the figures of `budget` in `cell`, the cell of `period` and of one epoch with the
    /// budget. A level without a counter is unused.
    pub fn of(budget: &Budget, period: Month, cell: &Cell) -> Self {
        let node = budget.counter();
        let amount = budget.amount_in(period);
        let carried = cell.carried(node);
        let topped_up = budget.topped_up_in(period);
        let own_limit = amount.saturating_add(carried).saturating_add(topped_up);
        let available = cell.nodes.get(&node).copied().unwrap_or(own_limit);
        let exempted = cell.exempted(node);
        let limit = own_limit.saturating_add(exempted);
        let held_exempt = cell.held_exempt(node);
        let held = cell.held(node).saturating_add(held_exempt);
        Self {
            amount,
            carried,
            topped_up,
            exempted,
            limit,
            spent: limit.saturating_sub(available).saturating_sub(held),
            held,
            held_exempt,
            remaining: available.saturating_add(held),
            available,
        }
    }

    /// Returns the future figures of `budget` in `cell`, if the budget gave `given` before its
    /// change.
    pub fn changed(budget: &Budget, period: Month, cell: &Cell, given: i64) -> Self {
        let before = Self::of(budget, period, cell);
        let Some(rest) = cell.nodes.get(&budget.counter()) else {
            return before;
        };
        let more = budget.gives_in(period).saturating_sub(given);
        let available = rest.saturating_add(more);
        let remaining = available.saturating_add(before.held);
        Self {
            spent: before.limit.saturating_sub(remaining),
            remaining,
            available,
            ..before
        }
    }

    /// Returns amount + carried + topped_up: the limit without exemptions.
    pub fn own_limit(&self) -> i64 {
        let amount = self.amount.saturating_add(self.carried);
        amount.saturating_add(self.topped_up)
    }

    /// Returns the part beyond amount + carried: given by exemptions, held or spent, or added for
    /// this month only.
    pub fn beyond(&self) -> i64 {
        self.exempted.saturating_add(self.topped_up)
    }

    /// Returns the usage of the own limit, without the part that exemptions gave.
    pub fn own_spent(&self) -> i64 {
        let spent_exempt = self.exempted.saturating_sub(self.held_exempt);
        self.spent.saturating_sub(spent_exempt)
    }

    /// Returns spent and held together as a share of the own limit, in whole percent. 100 if
    /// nothing is allowed and nothing used.
    pub fn used_percent(&self) -> i64 {
        let used = i128::from(self.own_limit()) - i128::from(self.available);
        match i128::from(self.own_limit()) {
            0 => 100,
            limit => i64::try_from(used * 100 / limit).unwrap_or(i64::MAX),
        }
    }
}
