//! Policies: rules over the event stream. An event is evaluated against each active policy: its trigger, then its
//! conditions, then its actions.
//!
//! Everything here is values in and values out, so the live evaluation and the test against stored events are the same
//! code: [`firings`] over [`Facts`] of an event and a [`Standing`] of what was counted before it.

mod condition;
mod facts;
mod firing;
mod replay;
mod standing;
mod telling;
#[cfg(test)]
mod tests;
mod unusual;

pub use condition::{Condition, Field, Op, Operand, Scalar, Verdict, minute_of_day};
pub use facts::{Facts, Kind, Spent};
pub use firing::{Firing, Measured, Subject, firings};
pub use replay::{ActionCounts, Figures, Replay, Sample, Tally, Window};
pub use standing::{Needs, Standing};
pub use telling::FiringReport;
pub use unusual::{BASELINE_DAYS, MAX_LATE_DAYS, Unusual};

use super::alert::Severity;
use super::amount::Unit;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The most active policies of an organisation.
pub const MAX_ACTIVE: u64 = 100;
/// The most policies of an organisation, drafts and disabled ones included.
pub const MAX_POLICIES: u64 = 1_000;
/// The most conditions of a policy.
pub const MAX_CONDITIONS: usize = 20;
/// The most actions of a policy.
pub const MAX_ACTIONS: usize = 10;

/// Whose total a threshold looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Whose {
    /// The total of the user whose event it is.
    User,
    /// The total of each department on the event's path, with its subtree.
    Department,
}

/// What a total has to reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// Tokens.
    Tokens(i64),
    /// Micro-USD.
    Usd(i64),
    /// This share of a budget's amount, in percent: of the department's own budgets, or, for a user, of the nearest budget
    /// on their path.
    BudgetPercent(u32),
}

/// When a policy looks at its conditions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Trigger {
    /// A user's or a department's total of the month is at or above a limit. Once for each subject and month.
    TokenBudgetExceeded {
        /// Whose total.
        subject: Whose,
        /// The limit.
        limit: Limit,
    },
    /// A risk was reported.
    IpRiskEvent,
    /// A user's day is far above their own last days. Once for each user and day.
    UnusualUsagePattern(Unusual),
    /// The total of a department's subtree in the month is at or above a limit. Once for each month.
    DepartmentThreshold {
        /// The department.
        department_id: String,
        /// The limit.
        limit: Limit,
    },
}

/// How conditions are combined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Combination))]
#[serde(rename_all = "lowercase")]
pub enum Match {
    /// All must hold.
    All,
    /// One must hold.
    Any,
}

/// How long a block of a policy lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BlockUntil {
    /// Until an administrator releases it.
    Released,
    /// Until the month ends.
    PeriodEnd,
    /// For so many hours.
    Hours(u32),
}

/// What a policy does when it fires.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Action {
    /// Mail to the user whose event it was.
    EmailUser,
    /// Mail to their manager.
    EmailManager,
    /// Keeps the user from LLMs.
    BlockAccess {
        /// For how long.
        until: BlockUntil,
    },
    /// Opens an incident.
    CreateIncident {
        /// How grave; none takes it from the event.
        severity: Option<Severity>,
    },
    /// Posts to a webhook.
    Webhook {
        /// Which.
        webhook_id: String,
    },
}

/// What a policy says, in one version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// For people.
    pub name: String,
    /// For people; may be empty.
    pub description: String,
    /// When it looks.
    pub trigger: Trigger,
    /// How the conditions are combined; where there are none, they hold.
    pub combine: Match,
    /// What narrows it.
    pub conditions: Vec<Condition>,
    /// What it does.
    pub actions: Vec<Action>,
}

/// Where a policy is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum PolicyStatus {
    /// Never published.
    Draft,
    /// Its published version is evaluated.
    Active,
    /// Published once, and not evaluated any more.
    Disabled,
}

/// A policy with all that is known of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Made here: `pol_...`.
    pub id: String,
    /// Where it is in its life.
    pub status: PolicyStatus,
    /// What is evaluated while it is active; otherwise what would be.
    pub rule: Rule,
    /// A version beside the published one, until it is published.
    pub draft: Option<Rule>,
    /// Counts the changes, from 1.
    pub version: u64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// When it was last published.
    pub published_at: Option<Timestamp>,
}

impl Policy {
    /// What an edit changes: an active policy's published version stays as it is, and a draft beside it is changed.
    pub fn editable(&mut self) -> &mut Rule {
        match self.status {
            PolicyStatus::Active => self.draft.get_or_insert_with(|| self.rule.clone()),
            PolicyStatus::Draft | PolicyStatus::Disabled => {
                self.draft.as_mut().unwrap_or(&mut self.rule)
            }
        }
    }

    /// What would be published now.
    pub fn newest(&self) -> &Rule {
        self.draft.as_ref().unwrap_or(&self.rule)
    }
}

/// What the evaluation sees of a policy: the published version, never a draft.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActivePolicy {
    /// The policy's id.
    pub id: String,
    /// The policy's version when it was published.
    pub version: u64,
    /// What it says.
    pub rule: Rule,
}

/// What a limit comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Threshold {
    /// What is counted.
    pub unit: Unit,
    /// Tokens or micro-USD.
    pub value: i64,
}
