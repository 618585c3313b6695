//! The naive model: a list of charges by civil month, and the rollover computed again from the
//! first month on.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use std::collections::BTreeMap;

/// The first of a month.
pub(super) fn month_of(at: Timestamp, zone: &TimeZone) -> Date {
    at.to_zoned_datetime(zone.clone()).date().first_of_month()
}

/// The first moment of a month.
pub(super) fn start(month: Date, zone: &TimeZone) -> Timestamp {
    month.to_zoned_datetime(zone.clone()).unwrap().timestamp()
}

pub(super) fn next(month: Date) -> Date {
    month.checked_add(1.month()).unwrap()
}

/// One month of one budget as its history should have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) amount: i64,
    pub(super) carried_in: i64,
    pub(super) spent: i64,
    pub(super) unused: i64,
    pub(super) carried_out: i64,
}

/// A charge: the place that it counts in, and the time from which it is known.
#[derive(Clone, Copy, Debug)]
struct Spending {
    month: Date,
    amount: i64,
}

#[derive(Clone, Debug)]
pub(super) struct Budget {
    pub(super) cap_percent: i64,
    /// In tokens or micro-dollars, as people set and see it.
    pub(super) amount: i64,
    /// The parts of each of these that usage counts: a token, or a millionth of a micro-dollar.
    parts: i64,
    /// The amount at the end of each month that was closed or corrected.
    amounts: BTreeMap<Date, i64>,
    spendings: Vec<Spending>,
    held: BTreeMap<Date, i64>,
    pub(super) rows: BTreeMap<Date, Row>,
}

impl Budget {
    pub(super) fn new(amount: i64, cap_percent: i64) -> Self {
        Self {
            cap_percent,
            amount,
            parts: 1,
            amounts: BTreeMap::new(),
            spendings: Vec::new(),
            held: BTreeMap::new(),
            rows: BTreeMap::new(),
        }
    }

    pub(super) fn in_dollars(self) -> Self {
        Self {
            parts: 1_000_000,
            ..self
        }
    }

    /// An amount that is used, as people see it: a part counts as a whole.
    fn shown(&self, used: i64) -> i64 {
        (used + self.parts - 1).div_euclid(self.parts)
    }

    pub(super) fn spend(&mut self, month: Date, amount: i64) {
        self.spendings.push(Spending { month, amount });
    }

    pub(super) fn hold(&mut self, month: Date, amount: i64) {
        *self.held.entry(month).or_default() += amount;
    }

    /// The amount spent, as people see it.
    pub(super) fn spent(&self, month: Date) -> i64 {
        self.shown(self.parts_spent(month))
    }

    /// The amount held, as people see it.
    pub(super) fn held(&self, month: Date) -> i64 {
        self.shown(self.parts_held(month))
    }

    fn parts_spent(&self, month: Date) -> i64 {
        let of_month = self.spendings.iter().filter(|s| s.month == month);
        of_month.map(|s| s.amount).sum()
    }

    fn parts_held(&self, month: Date) -> i64 {
        self.held.get(&month).copied().unwrap_or(0)
    }

    pub(super) fn carried_into(&self, month: Date) -> i64 {
        let before = month.checked_sub(1.month()).unwrap();
        self.rows.get(&before).map_or(0, |row| row.carried_out)
    }

    /// Called when a month is over: its amount stays as it is now.
    pub(super) fn end(&mut self, month: Date) {
        self.amounts.entry(month).or_insert(self.amount);
    }

    /// Computes the month from the charges known by now.
    pub(super) fn work_out(&mut self, month: Date) {
        let amount = self.amounts[&month];
        let carried_in = self.carried_into(month);
        let spent = self.parts_spent(month) + self.parts_held(month);
        let of_own = (spent - carried_in * self.parts).max(0);
        let unused = (amount * self.parts - of_own).max(0);
        let row = Row {
            amount,
            carried_in,
            spent: self.shown(spent),
            unused: unused / self.parts,
            carried_out: unused * self.cap_percent / 100 / self.parts,
        };
        self.rows.insert(month, row);
    }
}

/// When months are closed and corrected: at passes of the schedule only.
#[derive(Debug)]
pub(super) struct Calendar {
    pub(super) zone: TimeZone,
    pub(super) grace_hours: i64,
    next_to_close: Date,
    next_to_correct: Date,
}

impl Calendar {
    pub(super) fn new(zone: TimeZone, first: Date, grace_hours: i64) -> Self {
        Self {
            zone,
            grace_hours,
            next_to_close: first,
            next_to_correct: first,
        }
    }

    /// A pass of the schedule at `now`.
    pub(super) fn fire(&mut self, now: Timestamp, budgets: &mut [Budget]) {
        loop {
            let close = self.next_to_close;
            let is_over = |month: Date| start(next(month), &self.zone) <= now;
            if self.next_to_correct < close {
                let correct = self.next_to_correct;
                let final_at = start(next(correct), &self.zone) + self.grace_hours.hours();
                if final_at > now && !is_over(close) {
                    return;
                }
                budgets.iter_mut().for_each(|b| b.work_out(correct));
                self.next_to_correct = close;
            } else if is_over(close) {
                budgets.iter_mut().for_each(|b| b.work_out(close));
                self.next_to_close = next(close);
            } else {
                return;
            }
        }
    }
}
