//! Budgets with the amounts, top-ups and rollovers of their months.

use crate::domain::amount::{MAX_AMOUNT, Unit};
use crate::domain::node::Node;
use crate::domain::period::Month;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The most budgets of an organisation.
pub const MAX_BUDGETS: usize = 500;
/// How many earlier values of a setting a budget remembers: as many months as late usage may cover.
pub(super) const MAX_EARLIER: usize = 14;

/// An earlier amount of a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EarlierAmount {
    /// The last month with this amount.
    pub until: Month,
    /// Tokens or micro-USD a month.
    pub amount: i64,
}

/// An earlier rollover of a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EarlierRollover {
    /// The last month with this rollover.
    pub until: Month,
    /// The share of the unused amount that carried over, in percent. None if nothing did.
    pub cap_percent: Option<u32>,
}

/// An addition to a budget for one month. It does not carry over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopUp {
    pub period: Month,
    /// Tokens or micro-USD: the sum of all top-ups of the month.
    pub amount: i64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    pub id: String,
    /// The number of its level's counters: see [`Node`]. A budget that is created again continues
    /// with their values.
    pub node: u32,
    pub name: String,
    /// The department that it limits. None for the whole organisation.
    pub department_id: Option<String>,
    pub unit: Unit,
    /// Tokens or micro-USD a month.
    pub amount: i64,
    /// The first month in which it counts.
    pub since: Month,
    /// Its amounts of earlier months, ascending, if they differ.
    #[serde(default)]
    pub earlier_amounts: Vec<EarlierAmount>,
    /// The top-ups of single months, ascending.
    #[serde(default)]
    pub top_ups: Vec<TopUp>,
    /// True if requests are denied at the limit.
    pub hard_cap: bool,
    /// Percentages of the limit that raise an alert, ascending.
    pub thresholds: Vec<u32>,
    /// The share of the unused amount that carries over, in percent.
    pub rollover_cap_percent: Option<u32>,
    /// Its rollovers of earlier months, ascending, if they differ.
    #[serde(default)]
    pub earlier_rollovers: Vec<EarlierRollover>,
    /// Counts the changes, from 1.
    pub version: u64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

impl Budget {
    /// Returns its counter in a cell.
    pub fn counter(&self) -> Node {
        Node {
            unit: self.unit,
            index: self.node,
        }
    }

    /// Returns true if it counts in `period`: from the month of its creation on.
    pub fn counts_in(&self, period: Month) -> bool {
        self.since <= period
    }

    /// Returns its part of the level's counter in `period`: its amount and top-ups.
    pub fn gives_in(&self, period: Month) -> i64 {
        if !self.counts_in(period) {
            return 0;
        }
        let amount = self.amount_in(period);
        amount.saturating_add(self.topped_up_in(period))
    }

    /// Returns the sum of its top-ups for `period`.
    pub fn topped_up_in(&self, period: Month) -> i64 {
        let known = self.top_ups.iter().find(|known| known.period == period);
        known.map_or(0, |known| known.amount)
    }

    /// Adds `amount` for `period` only. None if the total would exceed [`MAX_AMOUNT`].
    pub fn top_up(&mut self, amount: i64, period: Month) -> Option<()> {
        let sum = self.topped_up_in(period).checked_add(amount)?;
        let all = sum.checked_add(self.amount)?;
        if sum < 0 || all > MAX_AMOUNT {
            return None;
        }
        self.top_ups.retain(|known| known.period != period);
        self.top_ups.push(TopUp {
            period,
            amount: sum,
        });
        self.top_ups.sort_by_key(|known| known.period);
        forget_oldest(&mut self.top_ups);
        Some(())
    }

    /// Returns its amount in `period`. For a past month it is the amount at that month's end.
    pub fn amount_in(&self, period: Month) -> i64 {
        let known = self.earlier_amounts.iter();
        let earlier = known.filter(|e| e.until >= period).min_by_key(|e| e.until);
        earlier.map_or(self.amount, |earlier| earlier.amount)
    }

    /// Changes the amount from `period`, the current month, on. Earlier months keep theirs.
    pub fn change_amount(&mut self, amount: i64, period: Month) {
        let until = period.prev();
        let old = self.amount_in(until);
        self.earlier_amounts.retain(|e| e.until <= until);
        self.amount = amount;
        if self.amount_in(until) != old {
            self.earlier_amounts
                .push(EarlierAmount { until, amount: old });
            forget_oldest(&mut self.earlier_amounts);
        }
    }

    /// Returns the share of the unused amount of `period` that carries over, in percent. For a past
    /// month it is the share at that month's end.
    pub fn rollover_in(&self, period: Month) -> Option<u32> {
        let known = self.earlier_rollovers.iter();
        let earlier = known.filter(|e| e.until >= period).min_by_key(|e| e.until);
        earlier.map_or(self.rollover_cap_percent, |earlier| earlier.cap_percent)
    }

    /// Changes the rollover from `period`, the current month, on. Earlier months keep theirs.
    pub fn change_rollover(&mut self, cap_percent: Option<u32>, period: Month) {
        let until = period.prev();
        let old = self.rollover_in(until);
        self.earlier_rollovers.retain(|e| e.until <= until);
        self.rollover_cap_percent = cap_percent;
        if self.rollover_in(until) != old {
            self.earlier_rollovers.push(EarlierRollover {
                until,
                cap_percent: old,
            });
            forget_oldest(&mut self.earlier_rollovers);
        }
    }
}

/// Drops entries older than any usage that may still arrive.
fn forget_oldest<T>(known: &mut Vec<T>) {
    let surplus = known.len().saturating_sub(MAX_EARLIER);
    known.drain(..surplus);
}

/// A deleted budget. It counts in the months that it completed, until they are closed and
/// corrected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedBudget {
    /// Its last state before the deletion.
    pub budget: Budget,
    /// The last month in which it counts.
    pub until: Month,
}

impl EndedBudget {
    /// Returns true if it counts in `period`.
    pub fn counts_in(&self, period: Month) -> bool {
        self.budget.counts_in(period) && period <= self.until
    }
}
