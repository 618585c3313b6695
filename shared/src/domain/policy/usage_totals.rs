//! Totals at a moment, for triggers. Live evaluation reads them from the database, a test counts
//! them from the records. Both continue with the same code.

use super::facts::{Facts, Kind, Spent};
use super::unusual::{BASELINE_DAYS, MAX_LATE_DAYS};
use super::{TotalScope, Trigger};
use crate::domain::amount::Amounts;
use crate::domain::period::Month;
use jiff::Span;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// The totals that some policies need.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    pub users: bool,
    pub days: bool,
    /// Every department on the path of an event.
    pub departments: bool,
    pub named: BTreeSet<String>,
}

impl Needs {
    /// Returns the totals that `triggers` need.
    pub fn of<'a>(triggers: impl IntoIterator<Item = &'a Trigger>) -> Self {
        let mut needs = Self::default();
        for trigger in triggers {
            match trigger {
                Trigger::IpRiskEvent => {}
                Trigger::UnusualUsagePattern(_) => needs.days = true,
                Trigger::TokenBudgetExceeded {
                    subject: TotalScope::User,
                    ..
                } => needs.users = true,
                Trigger::TokenBudgetExceeded {
                    subject: TotalScope::Department,
                    ..
                } => {
                    needs.departments = true;
                }
                Trigger::DepartmentThreshold { department_id, .. } => {
                    needs.named.insert(department_id.clone());
                }
            }
        }
        needs
    }

    /// Returns true if a department's total is needed.
    pub fn wants(&self, department_id: &str) -> bool {
        self.departments || self.named.contains(department_id)
    }
}

/// The usage of a user.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct OfUser {
    months: BTreeMap<Month, Amounts>,
    days: BTreeMap<Date, i64>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageTotals {
    users: HashMap<String, OfUser>,
    departments: HashMap<String, BTreeMap<Month, Amounts>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Forth,
    Back,
}

impl Direction {
    fn add(self, sum: &mut i64, more: i64) {
        *sum = match self {
            Self::Forth => sum.saturating_add(more),
            Self::Back => sum.saturating_sub(more),
        };
    }

    fn add_both(self, sum: &mut Amounts, more: Amounts) {
        *sum = match self {
            Self::Forth => sum.saturating_add(more),
            Self::Back => sum.saturating_sub(more),
        };
    }
}

/// Returns the entry of `key`. Allocates a key only if there is none.
fn entry<'a, V: Default>(map: &'a mut HashMap<String, V>, key: &str) -> &'a mut V {
    if !map.contains_key(key) {
        map.insert(key.to_owned(), V::default());
    }
    map.entry(key.to_owned()).or_default()
}

impl UsageTotals {
    /// Sets the usage of a user in a month.
    pub fn set_user(&mut self, user_id: &str, period: Month, amounts: Amounts) {
        entry(&mut self.users, user_id)
            .months
            .insert(period, amounts);
    }

    /// Sets the tokens of a user's day.
    pub fn set_day(&mut self, user_id: &str, day: Date, tokens: i64) {
        entry(&mut self.users, user_id).days.insert(day, tokens);
    }

    /// Sets the usage of a department's subtree in a month.
    pub fn set_department(&mut self, department_id: &str, period: Month, amounts: Amounts) {
        let months = entry(&mut self.departments, department_id);
        months.insert(period, amounts);
    }

    pub fn count(&mut self, facts: &Facts, needs: &Needs) {
        self.change(facts, needs, Direction::Forth);
    }

    /// Subtracts an event that is already counted here.
    pub fn subtract(&mut self, facts: &Facts, needs: &Needs) {
        self.change(facts, needs, Direction::Back);
    }

    /// Drops entries of this user that no event after `facts` needs, so that a long replay stays
    /// small.
    pub fn forget_old(&mut self, facts: &Facts) {
        let user_id = facts.user_id.as_deref();
        if let Some(user) = user_id.and_then(|user_id| self.users.get_mut(user_id)) {
            let oldest = facts.received_period.prev();
            user.months.retain(|month, _| *month >= oldest);
            let kept = Span::new().days(BASELINE_DAYS + MAX_LATE_DAYS);
            let oldest = facts.received_day.saturating_sub(kept);
            while user
                .days
                .first_key_value()
                .is_some_and(|(day, _)| *day < oldest)
            {
                user.days.pop_first();
            }
        }
    }

    fn change(&mut self, facts: &Facts, needs: &Needs, direction: Direction) {
        let (spent, has_user, has_day) = match &facts.kind {
            Kind::Usage { spent, .. } => (*spent, true, true),
            Kind::Correction(spent) => (*spent, true, false),
            Kind::AbandonedHold(spent) => (*spent, false, false),
            Kind::Risk { .. } => return,
        };
        let Spent {
            period,
            charged,
            offset,
        } = spent;
        let user_id = facts.user_id.as_deref().filter(|_| has_user);
        if let Some(user_id) = user_id.filter(|_| needs.users || needs.days) {
            let user = entry(&mut self.users, user_id);
            if needs.users {
                let sum = user.months.entry(period).or_default();
                direction.add_both(sum, charged);
            }
            if needs.days && has_day {
                direction.add(user.days.entry(facts.day).or_default(), charged.tokens);
            }
        }
        for id in facts.path.0.iter().filter(|id| needs.wants(id)) {
            let months = entry(&mut self.departments, id);
            let sum = months.entry(period).or_default();
            direction.add_both(sum, charged.saturating_sub(offset));
        }
    }

    /// Returns the usage of a user in a month.
    pub fn of_user(&self, user_id: &str, period: Month) -> Amounts {
        let user = self.users.get(user_id);
        let month = user.and_then(|user| user.months.get(&period));
        month.copied().unwrap_or_default()
    }

    /// Returns the usage of a department's subtree in a month.
    pub fn of_department(&self, department_id: &str, period: Month) -> Amounts {
        let months = self.departments.get(department_id);
        let month = months.and_then(|months| months.get(&period));
        month.copied().unwrap_or_default()
    }

    /// Returns the tokens of a user's day, and of the days before it.
    pub fn days(&self, user_id: &str, day: Date) -> (i64, Vec<i64>) {
        let Some(user) = self.users.get(user_id) else {
            return (0, Vec::new());
        };
        let first = day.saturating_sub(Span::new().days(BASELINE_DAYS));
        let before = user.days.range(first..day).map(|(_, tokens)| *tokens);
        (
            user.days.get(&day).copied().unwrap_or_default(),
            before.collect(),
        )
    }

    /// Returns the number of months and days of users and departments.
    pub fn entries(&self) -> usize {
        let of_users = self
            .users
            .values()
            .map(|u| 1 + u.months.len() + u.days.len());
        let of_departments = self.departments.values().map(|months| 1 + months.len());
        of_users.chain(of_departments).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ledger::identity::EventIdentity;
    use crate::domain::org::department::Path;
    use crate::domain::samples::{NOW, at, month};
    use jiff::tz::TimeZone;

    fn day(text: &str) -> Date {
        text.parse().unwrap()
    }

    #[test]
    fn what_a_late_event_may_still_look_at_is_not_forgotten() {
        let facts = Facts::new(
            EventIdentity::from_key("llm_request#ada#e-1"),
            "e-1".to_owned(),
            [at(NOW), at(NOW)],
            &TimeZone::UTC,
            Some("ada".to_owned()),
            Path::from_text("/eng/backend/"),
            Kind::AbandonedHold(Spent {
                period: month("2026-11"),
                charged: Amounts::ZERO,
                offset: Amounts::ZERO,
            }),
        );
        let mut usage_totals = UsageTotals::default();
        for (date, tokens) in [("2026-10-24", 13), ("2026-10-25", 17), ("2026-11-22", 19)] {
            usage_totals.set_day("ada", day(date), tokens);
        }
        for text in ["2026-09", "2026-10", "2026-11"] {
            usage_totals.set_user("ada", month(text), Amounts::new(101, 7));
        }
        usage_totals.forget_old(&facts);
        // Usage of the 22nd may arrive today. It is compared with the 28 days before the 22nd.
        assert_eq!(usage_totals.days("ada", day("2026-11-22")), (19, vec![17]));
        let months = ["2026-09", "2026-10", "2026-11"];
        let months = months.map(|text| usage_totals.of_user("ada", month(text)).tokens);
        assert_eq!(months, [0, 101, 101]);
        assert_eq!(usage_totals.entries(), 1 + 2 + 2);
    }
}
