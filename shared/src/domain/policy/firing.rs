//! Finds the policies that an event fires, and their subjects.

use super::facts::{Facts, Kind};
use super::subject::Subject;
use super::unusual::{MAX_LATE_DAYS, Unusual};
use super::usage_totals::UsageTotals;
use super::{ActivePolicy, Limit, Match, Rule, Threshold, TotalScope, Trigger};
use crate::domain::amount::Unit;
use crate::domain::org::budget::Budget;
use crate::domain::org::configuration::Configuration;
use crate::domain::org::department::Path;
use crate::domain::period::Month;
use jiff::Span;

/// The figure that reached a threshold. Both are as counted: tokens or pico-USD.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measured {
    pub unit: Unit,
    pub value: i128,
    pub threshold: i128,
}

impl Measured {
    /// Returns the figure and the threshold as people see them, in tokens or micro-USD.
    pub fn shown(&self) -> (i64, i64) {
        let shown = |counted| self.unit.rounded_up(counted);
        (shown(self.value), shown(self.threshold))
    }
}

/// A policy that an event fires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Firing {
    pub subject: Subject,
    /// The department concerned: the one with the total, or the user's.
    pub path: Path,
    /// The figure, if the trigger has a threshold.
    pub measured: Option<Measured>,
}

/// Returns the firings of `policy` if `facts` arrive and `usage_totals` has counted them.
/// Thresholds are found by level, so every later event finds the same subject again. The caller
/// ensures that it fires once.
pub fn firings(
    policy: &ActivePolicy,
    facts: &Facts,
    usage_totals: &UsageTotals,
    configuration: &Configuration,
) -> Vec<Firing> {
    let rule = &policy.rule;
    let matched = Matched {
        facts,
        usage_totals,
        configuration,
    };
    let found = match (&rule.trigger, &facts.kind) {
        (Trigger::IpRiskEvent, Kind::Risk { .. }) => {
            let identity = facts.identity.clone();
            vec![Firing {
                subject: Subject::Event { identity },
                path: facts.path.clone(),
                measured: None,
            }]
        }
        (Trigger::TokenBudgetExceeded { subject, limit }, Kind::Usage { spent, .. })
            if !facts.is_of_old_month(spent.period) =>
        {
            match subject {
                TotalScope::User => matched
                    .user_total(limit, spent.period)
                    .into_iter()
                    .collect(),
                TotalScope::Department => (1..=facts.path.0.len())
                    .filter_map(|depth| matched.department_total(limit, depth, spent.period))
                    .collect(),
            }
        }
        (
            Trigger::DepartmentThreshold {
                department_id,
                limit,
            },
            Kind::Usage { spent, .. },
        ) if !facts.is_of_old_month(spent.period) => {
            let at = facts.path.0.iter().position(|id| id == department_id);
            let firing = at.and_then(|at| matched.department_total(limit, at + 1, spent.period));
            firing.into_iter().collect()
        }
        (Trigger::UnusualUsagePattern(unusual), Kind::Usage { .. }) => {
            matched.unusual_day(unusual).into_iter().collect()
        }
        _ => Vec::new(),
    };
    let found = found.into_iter();
    found
        .filter(|firing| rule.conditions_hold(facts, &firing.path))
        .collect()
}

/// An event with the totals that it reached.
struct Matched<'a> {
    facts: &'a Facts,
    usage_totals: &'a UsageTotals,
    configuration: &'a Configuration,
}

impl Matched<'_> {
    /// Returns the firing if the month's total of the event's user has reached a limit.
    fn user_total(&self, limit: &Limit, period: Month) -> Option<Firing> {
        let facts = self.facts;
        let user_id = facts.user_id.as_ref()?;
        let thresholds = limit.for_user(&facts.path, period, self.configuration);
        let amounts = self.usage_totals.of_user(user_id, period);
        let measured = reached(&thresholds, |unit| amounts.of(unit))?;
        Some(Firing {
            subject: Subject::User {
                user_id: user_id.clone(),
                period,
            },
            path: facts.path.clone(),
            measured: Some(measured),
        })
    }

    /// Returns the firing if the month's total of the `depth`th department on the event's path has
    /// reached a limit.
    fn department_total(&self, limit: &Limit, depth: usize, period: Month) -> Option<Firing> {
        let path = Path(self.facts.path.0[..depth].to_vec());
        let (subject, measured) =
            of_department(limit, &path, period, self.usage_totals, self.configuration)?;
        Some(Firing {
            subject,
            path,
            measured: Some(measured),
        })
    }

    /// Returns the firing if the day of the event's user is far above their own last days.
    fn unusual_day(&self, unusual: &Unusual) -> Option<Firing> {
        let facts = self.facts;
        let last = facts.day.saturating_add(Span::new().days(MAX_LATE_DAYS));
        if let Some(user_id) = &facts.user_id
            && facts.received_day <= last
        {
            let (today, before) = self.usage_totals.days(user_id, facts.day);
            let threshold = unusual.threshold(before).map(|value| Threshold {
                unit: Unit::Tokens,
                value: value.into(),
            });
            let measured = reached(threshold.as_slice(), |_| today.into())?;
            return Some(Firing {
                subject: Subject::UserDay {
                    user_id: user_id.clone(),
                    day: facts.day,
                },
                path: facts.path.clone(),
                measured: Some(measured),
            });
        }
        None
    }
}

/// Returns the first threshold that is reached. A total of zero never reaches a threshold.
fn reached(thresholds: &[Threshold], value: impl Fn(Unit) -> i128) -> Option<Measured> {
    thresholds.iter().find_map(|threshold| {
        let value = value(threshold.unit);
        (value > 0 && value >= threshold.value).then_some(Measured {
            unit: threshold.unit,
            value,
            threshold: threshold.value,
        })
    })
}

/// Returns the last department of `path` if its total has reached a limit.
fn of_department(
    limit: &Limit,
    path: &Path,
    period: Month,
    usage_totals: &UsageTotals,
    configuration: &Configuration,
) -> Option<(Subject, Measured)> {
    let department_id = path.department_id()?;
    let thresholds = limit.for_department(department_id, period, configuration);
    let amounts = usage_totals.of_department(department_id, period);
    let measured = reached(&thresholds, |unit| amounts.of(unit))?;
    let subject = Subject::Department {
        department_id: department_id.to_owned(),
        period,
    };
    Some((subject, measured))
}

/// Returns `percent` of `amount`, as counted, rounded up.
fn share(amount: i128, percent: u32) -> i128 {
    let parts = amount.saturating_mul(percent.into());
    parts.saturating_add(99) / 100
}

/// Returns the threshold at `percent` of what `budget` has in `period`.
fn share_of(budget: &Budget, percent: u32, period: Month) -> Threshold {
    let amount = budget.unit.counted(budget.amount_in(period));
    Threshold {
        unit: budget.unit,
        value: share(amount, percent),
    }
}

impl Limit {
    fn absolute(self) -> Option<Threshold> {
        match self {
            Self::Tokens(value) => Some(Threshold {
                unit: Unit::Tokens,
                value: Unit::Tokens.counted(value),
            }),
            Self::Usd(value) => Some(Threshold {
                unit: Unit::Usd,
                value: Unit::Usd.counted(value),
            }),
            Self::BudgetPercent(_) => None,
        }
    }

    fn percent(self) -> u32 {
        match self {
            Self::BudgetPercent(percent) => percent,
            Self::Tokens(_) | Self::Usd(_) => 0,
        }
    }

    /// Returns the threshold for a user on `path`. A percentage refers to the nearest budget that
    /// counts in `period`. None without one.
    fn for_user(self, path: &Path, period: Month, configuration: &Configuration) -> Vec<Threshold> {
        if let Some(threshold) = self.absolute() {
            return vec![threshold];
        }
        let nearest = configuration.budgets_on(path, period).into_iter().next();
        let threshold = nearest.map(|budget| share_of(budget, self.percent(), period));
        threshold.into_iter().collect()
    }

    /// Returns the thresholds for a department. A percentage refers to each of its own budgets that
    /// count in `period`. None without one.
    fn for_department(
        self,
        department_id: &str,
        period: Month,
        configuration: &Configuration,
    ) -> Vec<Threshold> {
        if let Some(threshold) = self.absolute() {
            return vec![threshold];
        }
        let all = configuration.budgets.values();
        let own = all.filter(|budget| budget.department_id.as_deref() == Some(department_id));
        let own = own.filter(|budget| budget.counts_in(period));
        own.map(|budget| share_of(budget, self.percent(), period))
            .collect()
    }
}

impl Rule {
    /// Returns true if the conditions hold for `facts`, seen from the department `path`, or if
    /// there are no conditions.
    pub fn conditions_hold(&self, facts: &Facts, path: &Path) -> bool {
        let mut each = self.conditions.iter();
        match self.combine {
            Match::All => each.all(|condition| condition.verdict(facts, path).holds),
            Match::Any => {
                self.conditions.is_empty()
                    || each.any(|condition| condition.verdict(facts, path).holds)
            }
        }
    }

    /// Explains each condition and the value found, a line each.
    pub fn why(&self, facts: &Facts, path: &Path) -> Vec<String> {
        let each = self.conditions.iter();
        each.map(|condition| condition.why(facts, path)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_a_budget_is_rounded_up() {
        let shares = [(1_001, 80), (1_000, 80), (1, 1), (0, 80), (1 << 100, 100)];
        let shares = shares.map(|(amount, percent)| share(amount, percent));
        assert_eq!(shares, [801, 800, 1, 0, 1 << 100]);
    }
}
