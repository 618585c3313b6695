//! Events that somebody should look at: in conflict with another, beyond what their hold had, or too large to be true.

use super::amount::Amounts;
use super::identity::EventIdentity;
use super::period::Month;
use super::plausible::Excess;
use super::usage::Event;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Why an event is looked at, and what was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = EventFlag))]
#[serde(rename_all = "snake_case")]
pub enum Flag {
    /// It is too large to be true, and waits for an administrator. No total has it.
    HeldBack,
    /// It was held back, and an administrator had it counted.
    Counted,
    /// It was held back, and an administrator discarded it.
    Discarded,
    /// Its identity is another body's.
    Conflict,
    /// It used more than its hold, in an organisation that reserves strictly.
    ExceededHold,
    /// Its hold's time was over before it was reported.
    Lapsed,
}

impl Flag {
    /// The name in the API and in keys.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::HeldBack => "held_back",
            Self::Counted => "counted",
            Self::Discarded => "discarded",
            Self::Conflict => "conflict",
            Self::ExceededHold => "exceeded_hold",
            Self::Lapsed => "lapsed",
        }
    }
}

/// What an administrator decided about an event that was held back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// Who, as the audit log names them.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: String,
}

/// An event that somebody should look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlaggedEvent {
    /// Why.
    pub flag: Flag,
    /// The identity of its record.
    pub identity: EventIdentity,
    /// What was reported.
    pub event: Event,
    /// When it was accepted.
    pub received_at: Timestamp,
    /// The path of its user's department: `/eng/backend/`.
    pub path: String,
    /// The month that it counts in, or would.
    pub period: Month,
    /// What is charged for it; nothing while it is held back.
    pub charged: Amounts,
    /// What its hold had, if it names one.
    #[serde(default)]
    pub held: Option<Amounts>,
    /// What is too large about it, if it was held back.
    #[serde(default)]
    pub excess: Option<Excess>,
    /// What an administrator decided.
    #[serde(default)]
    pub decision: Option<Decision>,
}
