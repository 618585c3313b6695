//! Which policies an event fires, and for whom.

use super::facts::{Facts, Kind};
use super::unusual::MAX_LATE_DAYS;
use super::usage_totals::UsageTotals;
use super::{ActivePolicy, Limit, Match, Rule, Threshold, TotalScope, Trigger};
use crate::domain::amount::Unit;
use crate::domain::configuration::{Configuration, Path};
use crate::domain::identity::EventIdentity;
use crate::domain::period::Month;
use jiff::Span;
use jiff::civil::Date;
use std::fmt;

/// For whom a policy fires: once for each of these.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// One event.
    Event {
        /// What no other event has.
        identity: EventIdentity,
    },
    /// A user's month.
    User {
        /// The user.
        user_id: String,
        /// The month.
        period: Month,
    },
    /// A department's month.
    Department {
        /// The department.
        department_id: String,
        /// The month.
        period: Month,
    },
    /// A user's day.
    UserDay {
        /// The user.
        user_id: String,
        /// The local day.
        day: Date,
    },
}

impl fmt::Display for Subject {
    /// A text that no other subject has; it is part of a key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Event { identity } => write!(f, "event#{identity}"),
            Self::User { user_id, period } => write!(f, "user#{period}#{user_id}"),
            Self::Department {
                department_id,
                period,
            } => {
                write!(f, "department#{period}#{department_id}")
            }
            Self::UserDay { user_id, day } => write!(f, "day#{day}#{user_id}"),
        }
    }
}

/// The figure that reached a threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measured {
    /// What is counted.
    pub unit: Unit,
    /// What it had come to.
    pub value: i64,
    /// What it had to reach.
    pub threshold: i64,
}

/// A policy that an event fires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Firing {
    /// For whom.
    pub subject: Subject,
    /// The department it is about: the one whose total it is, or the user's.
    pub path: Path,
    /// The figure, where the trigger looks at one.
    pub measured: Option<Measured>,
}

/// What `policy` fires for when `facts` arrive and `usage_totals` has counted them. A threshold is found by level, so the same
/// subject is found again by every later event; that it fires once is seen to by the caller.
pub fn firings(
    policy: &ActivePolicy,
    facts: &Facts,
    usage_totals: &UsageTotals,
    configuration: &Configuration,
) -> Vec<Firing> {
    let rule = &policy.rule;
    let mut found = Vec::new();
    let mut add = |subject: Subject, path: Path, measured: Option<Measured>| {
        if rule.conditions_hold(facts, &path) {
            found.push(Firing {
                subject,
                path,
                measured,
            });
        }
    };
    match (&rule.trigger, &facts.kind) {
        (Trigger::IpRiskEvent, Kind::Risk { .. }) => {
            let identity = facts.identity.clone();
            add(Subject::Event { identity }, facts.path.clone(), None);
        }
        (Trigger::TokenBudgetExceeded { subject, limit }, Kind::Usage { spent, .. })
            if !facts.is_of_old_month(spent.period) =>
        {
            let period = spent.period;
            match (subject, &facts.user_id) {
                (TotalScope::User, Some(user_id)) => {
                    let thresholds = limit.for_user(&facts.path, period, configuration);
                    let amounts = usage_totals.of_user(user_id, period);
                    let user_id = user_id.clone();
                    if let Some(measured) = reached(&thresholds, |unit| amounts.of(unit)) {
                        let subject = Subject::User { user_id, period };
                        add(subject, facts.path.clone(), Some(measured));
                    }
                }
                (TotalScope::User, None) => {}
                (TotalScope::Department, _) => {
                    for depth in 1..=facts.path.0.len() {
                        let path = Path(facts.path.0[..depth].to_vec());
                        if let Some((subject, measured)) =
                            of_department(limit, &path, period, usage_totals, configuration)
                        {
                            add(subject, path, Some(measured));
                        }
                    }
                }
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
            if let Some(at) = at {
                let path = Path(facts.path.0[..=at].to_vec());
                if let Some((subject, measured)) =
                    of_department(limit, &path, spent.period, usage_totals, configuration)
                {
                    add(subject, path, Some(measured));
                }
            }
        }
        (Trigger::UnusualUsagePattern(unusual), Kind::Usage { .. }) => {
            let last = facts.day.saturating_add(Span::new().days(MAX_LATE_DAYS));
            if let Some(user_id) = &facts.user_id
                && facts.received_day <= last
            {
                let (today, before) = usage_totals.days(user_id, facts.day);
                let threshold = unusual.threshold(before).map(|value| Threshold {
                    unit: Unit::Tokens,
                    value,
                });
                if let Some(measured) = reached(threshold.as_slice(), |_| today) {
                    let subject = Subject::UserDay {
                        user_id: user_id.clone(),
                        day: facts.day,
                    };
                    add(subject, facts.path.clone(), Some(measured));
                }
            }
        }
        _ => {}
    }
    found
}

/// The first threshold that is reached. Nothing that is nothing reaches one.
fn reached(thresholds: &[Threshold], value: impl Fn(Unit) -> i64) -> Option<Measured> {
    thresholds.iter().find_map(|threshold| {
        let value = value(threshold.unit);
        (value > 0 && value >= threshold.value).then_some(Measured {
            unit: threshold.unit,
            value,
            threshold: threshold.value,
        })
    })
}

/// The last department of `path`, where its total has reached a limit.
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

/// `percent` of `amount`, rounded up.
fn share(amount: i64, percent: u32) -> i64 {
    let share = (i128::from(amount) * i128::from(percent) + 99) / 100;
    i64::try_from(share).unwrap_or(i64::MAX)
}

impl Limit {
    fn absolute(self) -> Option<Threshold> {
        match self {
            Self::Tokens(value) => Some(Threshold {
                unit: Unit::Tokens,
                value,
            }),
            Self::Usd(value) => Some(Threshold {
                unit: Unit::Usd,
                value,
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

    /// What it comes to for a user on `path`: a share is that of the nearest budget that counts in `period`. None without
    /// one.
    fn for_user(self, path: &Path, period: Month, configuration: &Configuration) -> Vec<Threshold> {
        if let Some(threshold) = self.absolute() {
            return vec![threshold];
        }
        let nearest = configuration.budgets_on(path, period).into_iter().next();
        let threshold = nearest.map(|budget| Threshold {
            unit: budget.unit,
            value: share(budget.amount_in(period), self.percent()),
        });
        threshold.into_iter().collect()
    }

    /// What it comes to for a department: a share is that of each of its own budgets that count in `period`. None without
    /// one.
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
        own.map(|budget| Threshold {
            unit: budget.unit,
            value: share(budget.amount_in(period), self.percent()),
        })
        .collect()
    }
}

impl Rule {
    /// Whether the conditions hold for `facts`, looked at for the department `path`. Where there are none, they do.
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

    /// What each condition asked and found, a line each.
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
        let shares = [(1_001, 80), (1_000, 80), (1, 1), (0, 80), (i64::MAX, 100)];
        let shares = shares.map(|(amount, percent)| share(amount, percent));
        assert_eq!(shares, [801, 800, 1, 0, i64::MAX]);
    }
}
