//! A budget's figures in a cell.

use crate::domain::amount::Unit;
use crate::domain::ledger::cell::Cell;
use crate::domain::org::budget::Budget;
use crate::domain::period::Month;

/// A budget's figures at one moment, as they are counted: tokens or pico-USD.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figures {
    /// The month's own amount.
    pub amount: i128,
    /// The amount carried over from the month before.
    pub carried: i128,
    /// The amount added for this month only.
    pub topped_up: i128,
    /// The amount that exemptions gave beyond all of these, held or spent.
    pub exempted: i128,
    /// amount + carried + topped_up + exempted.
    pub limit: i128,
    /// The usage of records.
    pub spent: i128,
    /// The amount of live holds, including those under exemptions.
    pub held: i128,
    /// The part of `held` under exemptions.
    pub held_exempt: i128,
    pub remaining: i128,
    /// remaining - held: the room for a new hold.
    pub available: i128,
}

/// A budget's figures as people see them: tokens or micro-USD.
///
/// They add up: `remaining` is amount + carried + exempted - spent, and `available` is remaining -
/// held. Both are never more than there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShownFigures {
    pub amount: i64,
    pub carried: i64,
    pub topped_up: i64,
    /// The part beyond amount + carried: see [`Figures::beyond`].
    pub exempted: i64,
    /// Rounded up, as is `held`.
    pub spent: i64,
    pub held: i64,
    pub remaining: i64,
    pub available: i64,
}

impl Figures {
    /// Returns the figures of `budget` in `cell`, the cell of `period` and of one epoch with the
    /// budget. A level without a counter is unused.
    pub fn of(budget: &Budget, period: Month, cell: &Cell) -> Self {
        let node = budget.counter();
        let amount = budget.unit.counted(budget.amount_in(period));
        let carried = cell.carried(node);
        let topped_up = budget.unit.counted(budget.topped_up_in(period));
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
    /// change, in tokens or micro-USD.
    pub fn changed(budget: &Budget, period: Month, cell: &Cell, given: i64) -> Self {
        let before = Self::of(budget, period, cell);
        let Some(rest) = cell.nodes.get(&budget.counter()) else {
            return before;
        };
        let more = budget.gives_in(period).saturating_sub(given);
        let available = rest.saturating_add(budget.unit.counted(more));
        let remaining = available.saturating_add(before.held);
        Self {
            spent: before.limit.saturating_sub(remaining),
            remaining,
            available,
            ..before
        }
    }

    /// Returns amount + carried + topped_up: the limit without exemptions.
    pub fn own_limit(&self) -> i128 {
        let amount = self.amount.saturating_add(self.carried);
        amount.saturating_add(self.topped_up)
    }

    /// Returns the part beyond amount + carried: given by exemptions, held or spent, or added for
    /// this month only.
    pub fn beyond(&self) -> i128 {
        self.exempted.saturating_add(self.topped_up)
    }

    /// Returns the usage of the own limit, without the part that exemptions gave.
    pub fn own_spent(&self) -> i128 {
        let spent_exempt = self.exempted.saturating_sub(self.held_exempt);
        self.spent.saturating_sub(spent_exempt)
    }

    /// Returns spent and held together as a share of the own limit, in whole percent. 100 if
    /// nothing is allowed and nothing used.
    pub fn used_percent(&self) -> i64 {
        let used = self.own_limit().saturating_sub(self.available);
        match self.own_limit() {
            0 => 100,
            limit => i64::try_from(used.saturating_mul(100) / limit).unwrap_or(i64::MAX),
        }
    }

    /// Returns the figures as people see them, of a budget in `unit`.
    pub fn shown(&self, unit: Unit) -> ShownFigures {
        let amount = unit.rounded_down(self.amount);
        let carried = unit.rounded_down(self.carried);
        let (spent, held) = (unit.rounded_up(self.spent), unit.rounded_up(self.held));
        let remaining = unit.rounded_down(self.remaining);
        // The amount that exemptions gave may have a fraction. Round it so that the figures add up.
        let exempted = remaining.saturating_add(spent);
        let exempted = exempted.saturating_sub(amount).saturating_sub(carried);
        ShownFigures {
            amount,
            carried,
            topped_up: unit.rounded_down(self.topped_up),
            exempted,
            spent,
            held,
            remaining,
            available: remaining.saturating_sub(held),
        }
    }
}

impl ShownFigures {
    /// Returns amount + carried + topped_up: the limit without exemptions.
    pub fn own_limit(&self) -> i64 {
        let amount = self.amount.saturating_add(self.carried);
        amount.saturating_add(self.topped_up)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::amount::Amounts;
    use crate::domain::ledger::hold_id::HoldKey;
    use crate::domain::samples::{budget, hold, month};
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn what_is_shown_adds_up_within_a_micro_dollar_and_says_never_more_than_there_is(
            amount in 0_i64..5, carried in 0_i64..3, topped_up in 0_i64..3,
            exempted in 0_i128..3_000_000, held in 0_i128..3_000_000,
            rest in -3_000_000_i128..3_000_000, asked in 1_i128..3_000_000,
        ) {
            let mut budget = budget(Some("eng"), Unit::Usd, amount);
            budget.top_up(topped_up, month("2026-11")).unwrap();
            let node = budget.counter();
            let rid = HoldKey::derive("acme", "ada", "r-1");
            let cell = Cell {
                nodes: BTreeMap::from([(node, rest)]),
                carried: BTreeMap::from([(node, Unit::Usd.counted(carried))]),
                exempted: BTreeMap::from([(node, exempted)]),
                holds: BTreeMap::from([(rid, hold(0, held))]),
                ..Cell::default()
            };
            let exact = Figures::of(&budget, month("2026-11"), &cell);
            let shown = exact.shown(Unit::Usd);
            let sum = shown.amount + shown.carried + shown.exempted - shown.spent;
            prop_assert_eq!(shown.remaining, sum);
            prop_assert_eq!(shown.available, shown.remaining - shown.held);
            let micro = 1_000_000;
            for (shown, exact) in [(shown.spent, exact.spent), (shown.held, exact.held)] {
                let off = Unit::Usd.counted(shown) - exact;
                prop_assert!((0..micro).contains(&off), "{shown} {exact}");
            }
            let off = exact.remaining - Unit::Usd.counted(shown.remaining);
            prop_assert!((0..micro).contains(&off));
            let off = Unit::Usd.counted(shown.exempted) - exact.beyond();
            prop_assert!((1 - micro..micro).contains(&off));
            prop_assert!(Unit::Usd.counted(shown.available) <= exact.available);
            // So a refusal never says that there is as much as was asked for.
            if exact.available < asked {
                prop_assert!(shown.available < Amounts::new(0, asked).micro_usd());
            }
        }
    }
}
