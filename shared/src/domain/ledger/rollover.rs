//! The carry of a budget into the next month, derived from the figures of the month that ended.

use crate::domain::amount::Unit;
use crate::domain::ledger::cell::Cell;
use crate::domain::ledger::figures::Figures;
use crate::domain::ledger::node::Node;
use crate::domain::org::budget::Budget;
use crate::domain::org::configuration::Configuration;
use crate::domain::period::Month;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// A closed month of one budget: the history of its rollover.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollover {
    pub budget_id: String,
    pub unit: Unit,
    /// The number of its level's counters. A budget that is created again at that level has its
    /// carry.
    pub level: u32,
    pub from_period: Month,
    /// The month that receives the carry.
    pub to_period: Month,
    /// The month's own amount, at its end. Tokens or micro-USD, as all figures here.
    pub amount: i64,
    /// The carry from the month before.
    pub carried_in: i64,
    /// The amount beyond the two: exemptions, and top-ups for this month only. It is not part of
    /// the unused amount.
    #[serde(default)]
    pub exempted: i64,
    /// The spent amount, including live holds: a hold counts as spent until it settles. Rounded up,
    /// as is `held`.
    pub spent: i64,
    /// The part of `spent` in live holds.
    pub held: i64,
    /// The part of the own amount that was not spent. The earlier carry is used up first.
    pub unused: i64,
    /// The share of `unused` that carries over, in percent.
    pub cap_percent: u32,
    /// The gain of the next month.
    pub carried_out: i64,
    pub closed_at: Timestamp,
    /// When late usage was corrected, if that changed anything.
    pub corrected_at: Option<Timestamp>,
}

/// Returns the unused part of `amount` after `spent` of `amount + carried_in`. The carry is used
/// first, so it never carries again. Never below zero.
fn unused(amount: i128, carried_in: i128, spent: i128) -> i128 {
    let of_own = spent.saturating_sub(carried_in).max(0);
    amount.saturating_sub(of_own).max(0)
}

/// Returns `floor(cap_percent x unused)`, at most `unused`.
fn carried_out(cap_percent: u32, unused: i128) -> i128 {
    unused.saturating_mul(cap_percent.min(100).into()) / 100
}

impl Rollover {
    /// Returns the counter of its level, which has the carry of any budget there.
    pub fn counter(&self) -> Node {
        Node {
            unit: self.unit,
            index: self.level,
        }
    }

    /// Closes `period`, whose cell is `cell`, for `budget`. None if nothing carries into it or out
    /// of it.
    pub fn close(budget: &Budget, period: Month, cell: &Cell, now: Timestamp) -> Option<Self> {
        let carries = budget.rollover_in(period).is_some() || cell.carried(budget.counter()) != 0;
        carries.then(|| Self::of(budget, period, cell, now))
    }

    /// Returns the figures of `period` for `budget`, also if nothing carries into it or out of it.
    pub fn of(budget: &Budget, period: Month, cell: &Cell, now: Timestamp) -> Self {
        let blank = Self {
            budget_id: budget.id.clone(),
            unit: budget.unit,
            level: budget.node,
            from_period: period,
            to_period: period.next(),
            amount: 0,
            carried_in: 0,
            exempted: 0,
            spent: 0,
            held: 0,
            unused: 0,
            cap_percent: budget.rollover_in(period).unwrap_or(0),
            carried_out: 0,
            closed_at: now,
            corrected_at: None,
        };
        blank.with_figures(&Figures::of(budget, period, cell))
    }

    /// Returns the corrected row by the present figures of the month, in which `budget` counted at
    /// its level. None if nothing changed.
    pub fn correct(&self, budget: &Budget, cell: &Cell, now: Timestamp) -> Option<Self> {
        let mut corrected = self
            .clone()
            .with_figures(&Figures::of(budget, self.from_period, cell));
        if corrected == *self {
            return None;
        }
        corrected.corrected_at = Some(now);
        Some(corrected)
    }

    fn with_figures(self, figures: &Figures) -> Self {
        let spent = figures.spent.saturating_add(figures.held);
        let of_own = spent.saturating_sub(figures.exempted);
        let unused = unused(figures.amount, figures.carried, of_own);
        let carry = carried_out(self.cap_percent, unused);
        let shown = figures.shown(self.unit);
        let spent = self.unit.rounded_up(spent);
        let left = self.unit.rounded_down(figures.available);
        let exempted = left.saturating_add(spent).saturating_sub(shown.amount);
        Self {
            amount: shown.amount,
            carried_in: shown.carried,
            // Rounded to where amount + carried_in + exempted - spent is what is left.
            exempted: exempted.saturating_sub(shown.carried),
            spent,
            held: shown.held,
            unused: self.unit.rounded_down(unused),
            // A carry is whole: what people set and see as the next month's.
            carried_out: self.unit.rounded_down(carry),
            ..self
        }
    }
}

/// The next step for an organisation's months.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// This month has ended: close it and credit its rollover.
    Close(Month),
    /// The grace of this closed month is over: correct it for late usage.
    Correct(Month),
}

/// Returns the first due step at `now`, if any. `closed` and `corrected` are the last such months.
/// A month is corrected before the next one is closed, so each close builds on a final carry.
pub fn due(
    configuration: &Configuration,
    closed: Option<Month>,
    corrected: Option<Month>,
    now: Timestamp,
) -> Option<Due> {
    let organisation = &configuration.organisation;
    let ended = configuration.ended.iter().map(|ended| &ended.budget);
    let budgets = configuration.budgets.values().chain(ended);
    // If a clock was set back, budgets are older than their organisation.
    let begun = budgets
        .map(|budget| budget.created_at)
        .fold(organisation.created_at, Timestamp::min);
    let before_first = configuration.period_of(begun).prev();
    // A slow clock may still hold in a closed month. The correction covers that.
    let current = configuration.period_of(now);
    let closed = closed.unwrap_or(before_first);
    let corrected = corrected.unwrap_or(before_first);
    if corrected < closed {
        let month = corrected.next();
        let grace = SignedDuration::from_hours(i64::from(organisation.rollover_grace_hours));
        let end = organisation.month_end(month);
        let is_final = end.saturating_add(grace).is_ok_and(|at| at <= now);
        let is_next_over = month.next() < current;
        return (is_final || is_next_over).then_some(Due::Correct(month));
    }
    let month = closed.next();
    (month < current).then_some(Due::Close(month))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::samples;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[test]
    fn an_earlier_carry_is_used_first_and_does_not_carry_again() {
        assert_eq!(unused(100, 0, 40), 60);
        assert_eq!(unused(100, 30, 40), 90, "10 of the own amount");
        assert_eq!(
            unused(100, 30, 20),
            100,
            "nothing of the own amount, and the rest of the carry is gone"
        );
        assert_eq!(unused(100, 30, 500), 0, "a debt does not carry");
        assert_eq!(carried_out(50, 61), 30);
        assert_eq!(carried_out(0, 61), 0);
        assert_eq!(carried_out(100, 1 << 100), 1 << 100);
    }

    fn eng() -> Budget {
        Budget {
            id: "bud_1".into(),
            node: Node::level(Some(0)),
            name: "b".into(),
            department_id: Some("eng".into()),
            unit: Unit::Tokens,
            amount: 1_000,
            since: Month::new(2026, 10).unwrap(),
            earlier_amounts: Vec::new(),
            top_ups: Vec::new(),
            hard_cap: true,
            thresholds: Vec::new(),
            rollover_cap_percent: Some(50),
            earlier_rollovers: Vec::new(),
            version: 1,
            created_at: Timestamp::UNIX_EPOCH,
            updated_at: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn a_month_is_closed_and_corrected_with_the_rollover_of_its_end() {
        let (november, december) = (Month::new(2026, 11).unwrap(), Month::new(2026, 12).unwrap());
        let now = "2026-12-01T00:30:00Z".parse().unwrap();
        let cell = |rest| Cell {
            nodes: BTreeMap::from([(eng().counter(), rest)]),
            ..Cell::default()
        };
        for changed in [Some(10), None] {
            let mut budget = eng();
            budget.change_rollover(changed, december);
            let row = Rollover::close(&budget, november, &cell(600), now).unwrap();
            assert_eq!((row.cap_percent, row.carried_out), (50, 300), "{changed:?}");
            let row = row.correct(&budget, &cell(400), now).unwrap();
            assert_eq!((row.cap_percent, row.carried_out), (50, 200), "{changed:?}");
        }
        let mut budget = eng();
        budget.change_rollover(None, november);
        budget.change_rollover(Some(100), december);
        let closed = Rollover::close(&budget, november, &cell(600), now);
        assert_eq!(closed, None, "it had no rollover in november");
    }

    proptest! {
        #[test]
        fn what_carries_over_is_a_share_of_the_own_amount_and_never_more_for_more_spent(
            amount in 0_i128..1_000_000, carried_in in 0_i128..1_000_000,
            spent in 0_i128..2_500_000, more in 0_i128..1_000, cap in 0_u32..=100,
        ) {
            let out = carried_out(cap, unused(amount, carried_in, spent));
            prop_assert!((0..=amount).contains(&out));
            prop_assert!(out * 100 <= amount * i128::from(cap));
            prop_assert!(carried_out(cap, unused(amount, carried_in, spent + more)) <= out);
            prop_assert_eq!(unused(amount, 0, spent), (amount - spent).max(0));
        }
    }

    #[test]
    fn a_fraction_of_a_micro_dollar_does_not_carry_over() {
        let budget = Budget {
            rollover_cap_percent: Some(50),
            ..samples::budget(Some("eng"), Unit::Usd, 1_001)
        };
        // 1.5 micro-dollars are left, and half of that carries over.
        let cell = samples::cell([(budget.counter(), 1_500_000)]);
        let now = samples::at("2026-12-01T00:10:00Z");
        let row = Rollover::close(&budget, samples::month("2026-11"), &cell, now).unwrap();
        assert_eq!(row.carried_out, 0);
    }

    #[test]
    fn what_exemptions_gave_beyond_a_budget_lowers_no_carry() {
        let budget = Budget {
            rollover_cap_percent: Some(33),
            ..samples::budget(Some("eng"), Unit::Tokens, 1_001)
        };
        let node = budget.counter();
        let mut cell = samples::cell([(node, 1_001 + 50 + 207 - 650)]);
        cell.carried.insert(node, 50);
        cell.exempted.insert(node, 207);
        let now = samples::at("2026-12-01T00:10:00Z");
        let row = Rollover::close(&budget, samples::month("2026-11"), &cell, now).unwrap();
        assert_eq!((row.spent, row.exempted, row.carried_in), (650, 207, 50));
        // 443 of the own amount are spent, 50 of them carried in. A third of the remaining 601 of
        // 1,001 is 200.64.
        assert_eq!((row.unused, row.carried_out), (608, 200));
        assert_eq!(row.correct(&budget, &cell, now), None);
    }

    #[test]
    fn a_month_is_closed_when_the_next_has_begun_and_corrected_once_its_grace_is_over() {
        let configuration = samples::configuration([]);
        let month = samples::month;
        let due = |closed: Option<&str>, corrected: Option<&str>, now| {
            let (closed, corrected) = (closed.map(month), corrected.map(month));
            due(&configuration, closed, corrected, samples::at(now))
        };
        let october = Some("2026-10");
        assert_eq!(due(None, None, "2026-10-31T23:59:59Z"), None);
        let close = Some(Due::Close(month("2026-10")));
        assert_eq!(due(None, None, "2026-11-01T00:00:00Z"), close);
        assert_eq!(due(october, None, "2026-11-01T23:59:59Z"), None);
        let correct = Some(Due::Correct(month("2026-10")));
        assert_eq!(due(october, None, "2026-11-02T00:00:00Z"), correct);
        assert_eq!(due(october, october, "2026-11-30T23:59:59Z"), None);
        let next = Some(Due::Close(month("2026-11")));
        assert_eq!(due(october, october, "2026-12-01T00:00:00Z"), next);
    }
}
