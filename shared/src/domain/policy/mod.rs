//! Policies: rules over the stream of events. An event is evaluated against each active policy: its
//! trigger, then its conditions, then its actions.
//!
//! Everything here is pure, so that live evaluation and tests on stored events run the same code:
//! [`firings`] over the [`Facts`] of an event and a [`UsageTotals`], the totals before it.

mod condition;
mod facts;
mod field;
mod fired;
mod firing;
mod replay;
mod subject;
mod telling;
#[cfg(test)]
mod tests;
mod unusual;
mod usage_totals;

pub use condition::{Condition, Operand, Scalar, Verdict, minute_of_day};
pub use facts::{Facts, Kind, Spent};
pub use field::{Field, Op};
pub use fired::{Fired, FiringRecord};
pub use firing::{Firing, Measured, firings};
pub use replay::{ActionCounts, Figures, Replay, Sample, Tally, Window};
pub use subject::Subject;
pub use telling::FiringReport;
pub use unusual::{BASELINE_DAYS, MAX_LATE_DAYS, Unusual};
pub use usage_totals::{Needs, UsageTotals};

use crate::domain::amount::Unit;
use crate::domain::notice::alert::Severity;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The most active policies of an organisation.
pub const MAX_ACTIVE: u64 = 100;
/// The most policies of an organisation, including drafts and disabled ones.
pub const MAX_POLICIES: u64 = 1_000;
/// The most conditions of a policy.
pub const MAX_CONDITIONS: usize = 20;
/// The most actions of a policy.
pub const MAX_ACTIONS: usize = 10;

/// The owner of a total that a threshold compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum TotalScope {
    /// The total of the event's user.
    User,
    /// The total of each department on the event's path, including its subtree.
    Department,
}

/// The limit that a total has to reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    Tokens(i64),
    Usd(i64),
    /// A percentage of a budget's amount: of the department's own budgets, or, for a user, of the
    /// nearest budget on their path.
    BudgetPercent(u32),
}

/// The trigger of a policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Trigger {
    /// A user's or a department's total of the month is at or above a limit. Fires once for each
    /// subject and month.
    TokenBudgetExceeded { subject: TotalScope, limit: Limit },
    /// A risk was reported.
    IpRiskEvent,
    /// A user's day is far above their own last days. Fires once for each user and day.
    UnusualUsagePattern(Unusual),
    /// The total of a department's subtree in the month is at or above a limit. Fires once for each
    /// month.
    DepartmentThreshold { department_id: String, limit: Limit },
}

/// How conditions are combined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Combination))]
#[serde(rename_all = "lowercase")]
pub enum Match {
    All,
    Any,
}

/// How long a policy's block lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BlockUntil {
    Released,
    /// Until the end of the month.
    PeriodEnd,
    /// For this many hours.
    Hours(u32),
}

/// An action of a policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Action {
    /// Sends a mail to the event's user.
    EmailUser,
    /// Sends a mail to their manager.
    EmailManager,
    /// Blocks the user from LLMs.
    BlockAccess {
        until: BlockUntil,
    },
    CreateIncident {
        /// The severity. None copies the event's.
        severity: Option<Severity>,
    },
    Webhook {
        webhook_id: String,
    },
}

/// One version of a policy's content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    pub name: String,
    /// A description, possibly empty.
    pub description: String,
    pub trigger: Trigger,
    /// How the conditions are combined. Without conditions it always holds.
    pub combine: Match,
    pub conditions: Vec<Condition>,
    pub actions: Vec<Action>,
}

/// The state of a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum PolicyStatus {
    Draft,
    /// Its published version is evaluated.
    Active,
    /// It was published, and is not evaluated now.
    Disabled,
}

/// A policy with all of its versions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    pub id: String,
    pub status: PolicyStatus,
    /// The evaluated version if it is active, or otherwise the one to activate.
    pub rule: Rule,
    /// A draft beside the published version.
    pub draft: Option<Rule>,
    /// Counts the changes, from 1.
    pub version: u64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub published_at: Option<Timestamp>,
}

impl Policy {
    /// Returns the version to edit. The published version of an active policy stays as it is, and
    /// its draft is edited.
    pub fn editable(&mut self) -> &mut Rule {
        match self.status {
            PolicyStatus::Active => self.draft.get_or_insert_with(|| self.rule.clone()),
            PolicyStatus::Draft | PolicyStatus::Disabled => {
                self.draft.as_mut().unwrap_or(&mut self.rule)
            }
        }
    }

    pub fn newest(&self) -> &Rule {
        self.draft.as_ref().unwrap_or(&self.rule)
    }
}

/// A policy for the evaluation: the published version, never a draft.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActivePolicy {
    pub id: String,
    /// The policy's version at publication.
    pub version: u64,
    pub rule: Rule,
}

/// The value of a limit, as it is counted: tokens or pico-USD.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Threshold {
    pub unit: Unit,
    pub value: i128,
}
