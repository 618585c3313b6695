//! Tests a policy on stored events. They come in order of arrival and run through the same code as
//! live.

use super::facts::{Facts, Kind};
use super::firing::{Firing, Measured, firings};
use super::subject::Subject;
use super::usage_totals::{Needs, UsageTotals};
use super::{Action, ActivePolicy, Trigger};
use crate::domain::org::configuration::Configuration;
use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashSet};

/// The most firings in a report.
const SAMPLES: usize = 20;

/// The time span of a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Events that arrived since then are evaluated. Earlier ones are only counted.
    pub from: Timestamp,
    /// The latest arrival in the window.
    pub to: Timestamp,
}

/// How often each action would have been taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ActionCounts {
    pub email_user: u64,
    pub email_manager: u64,
    pub block_access: u64,
    pub create_incident: u64,
    pub webhook: u64,
}

/// A firing of the test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    pub event_id: String,
    pub occurred_at: Timestamp,
    pub user_id: Option<String>,
    pub department_id: Option<String>,
    pub figures: Option<Figures>,
    /// An explanation for each condition.
    pub why: Vec<String>,
}

/// A figure and its threshold, in tokens or micro-USD.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Figures {
    pub unit: crate::domain::amount::Unit,
    pub value: i64,
    pub threshold: i64,
}

impl From<Measured> for Figures {
    fn from(measured: Measured) -> Self {
        let (value, threshold) = measured.shown();
        Self {
            unit: measured.unit,
            value,
            threshold,
        }
    }
}

/// The counts of a test.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Events in the window.
    pub events_evaluated: u64,
    pub would_trigger: u64,
    pub by_user: BTreeMap<String, u64>,
    pub by_department: BTreeMap<String, u64>,
    /// Firings by the local day of their event.
    pub by_day: BTreeMap<Date, u64>,
    pub would_do: ActionCounts,
    pub samples: Vec<Sample>,
}

/// A running test. It may be stored and continued later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replay {
    /// The policy when the test began.
    pub policy: ActivePolicy,
    pub window: Window,
    pub tally: Tally,
    standing: UsageTotals,
    /// Subjects that have fired, including before the window.
    fired: HashSet<String>,
    #[serde(skip)]
    needs: Option<Needs>,
}

impl Replay {
    pub fn new(policy: ActivePolicy, window: Window) -> Self {
        Self {
            policy,
            window,
            tally: Tally::default(),
            standing: UsageTotals::default(),
            fired: HashSet::new(),
            needs: None,
        }
    }

    /// Returns the time of the first record to read. A threshold needs the totals of this month and
    /// the one before, which late usage may still reach. Unusual usage needs the days before.
    pub fn begins_at(&self, configuration: &Configuration) -> Timestamp {
        let from = self.window.from;
        let hour = jiff::SignedDuration::from_hours(1);
        match &self.policy.rule.trigger {
            Trigger::IpRiskEvent => from,
            Trigger::TokenBudgetExceeded { .. } | Trigger::DepartmentThreshold { .. } => {
                let month = configuration.period_of(from).prev();
                let start = configuration.organisation.month_start(month);
                // An event may be some minutes ahead of its receiver's clock.
                start.saturating_sub(hour).unwrap_or(start)
            }
            Trigger::UnusualUsagePattern(_) => {
                let days = i64::from(super::BASELINE_DAYS + super::MAX_LATE_DAYS + 1);
                from.saturating_sub(hour * 24 * i32::try_from(days).unwrap_or(31))
                    .unwrap_or(from)
            }
        }
    }

    /// Processes the next event in order of arrival.
    pub fn arrive(&mut self, facts: &Facts, configuration: &Configuration) {
        if facts.received_at > self.window.to {
            return;
        }
        let trigger = &self.policy.rule.trigger;
        let needs = self.needs.get_or_insert_with(|| Needs::of([trigger]));
        self.standing.count(facts, needs);
        self.standing.forget_old(facts);
        let is_event = !matches!(facts.kind, Kind::AbandonedHold(_) | Kind::Correction(_));
        let is_counted = is_event && facts.received_at >= self.window.from;
        if is_counted {
            self.tally.events_evaluated += 1;
        }
        for firing in firings(&self.policy, facts, &self.standing, configuration) {
            let is_new = match &firing.subject {
                // An event arrives once.
                Subject::Event { .. } => true,
                subject => self.fired.insert(subject.to_string()),
            };
            if is_new && is_counted {
                self.tally.add(&self.policy, facts, &firing);
            }
        }
    }

    /// Returns the size of its state, in small entries: months and days of users and departments,
    /// and firings.
    pub fn size(&self) -> usize {
        self.standing.entries() + self.fired.len() + self.tally.by_user.len()
    }
}

impl Tally {
    fn add(&mut self, policy: &ActivePolicy, facts: &Facts, firing: &Firing) {
        self.would_trigger += 1;
        if let Some(user_id) = &facts.user_id {
            *self.by_user.entry(user_id.clone()).or_default() += 1;
        }
        let department_id = firing.path.department_id();
        if let Some(department_id) = department_id {
            *self
                .by_department
                .entry(department_id.to_owned())
                .or_default() += 1;
        }
        *self.by_day.entry(facts.day).or_default() += 1;
        for action in &policy.rule.actions {
            // A risk may name an unknown user. Its record has no department then.
            let is_known = facts.user_id.is_some() && !facts.path.0.is_empty();
            let has_user = u64::from(is_known);
            let would_do = &mut self.would_do;
            match action {
                Action::EmailUser => would_do.email_user += has_user,
                Action::EmailManager => would_do.email_manager += 1,
                Action::BlockAccess { .. } => would_do.block_access += has_user,
                Action::CreateIncident { .. } => would_do.create_incident += 1,
                Action::Webhook { .. } => would_do.webhook += 1,
            }
        }
        if self.samples.len() < SAMPLES {
            self.samples.push(Sample {
                event_id: facts.event_id.clone(),
                occurred_at: facts.occurred_at,
                user_id: facts.user_id.clone(),
                department_id: department_id.map(str::to_owned),
                figures: firing.measured.map(Figures::from),
                why: policy.rule.why(facts, &firing.path),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Limit, Match, Rule, TotalScope, Unusual};
    use super::*;
    use crate::domain::samples::{NOW, at, configuration};

    fn begins_at(trigger: Trigger) -> Timestamp {
        let rule = Rule {
            name: "x".to_owned(),
            description: String::new(),
            trigger,
            combine: Match::All,
            conditions: Vec::new(),
            actions: Vec::new(),
        };
        let policy = ActivePolicy {
            id: "pol_1".to_owned(),
            version: 1,
            rule,
        };
        let window = Window {
            from: at("2026-11-03T10:00:00Z"),
            to: at(NOW),
        };
        Replay::new(policy, window).begins_at(&configuration([]))
    }

    #[test]
    fn a_test_sees_all_that_counts_in_the_month_before_its_window_or_in_the_days_before_it() {
        assert_eq!(begins_at(Trigger::IpRiskEvent), at("2026-11-03T10:00:00Z"));
        let limit = Limit::Tokens(1_001);
        let subject = TotalScope::User;
        let of_user = Trigger::TokenBudgetExceeded { subject, limit };
        assert_eq!(begins_at(of_user), at("2026-09-30T23:00:00Z"));
        let department_id = "eng".to_owned();
        let of_department = Trigger::DepartmentThreshold {
            department_id,
            limit,
        };
        assert_eq!(begins_at(of_department), at("2026-09-30T23:00:00Z"));
        let unusual = Trigger::UnusualUsagePattern(Unusual {
            deviation_hundredths: 300,
            min_days: 7,
            min_tokens: 0,
        });
        // 28 days before a day that may be two days older than its event.
        assert_eq!(begins_at(unusual), at("2026-10-03T10:00:00Z"));
    }
}
