//! Events for review: in conflict with another, beyond their hold, or implausibly large.

use crate::domain::amount::Amounts;
use crate::domain::ledger::identity::EventIdentity;
use crate::domain::ledger::plausible::Excess;
use crate::domain::ledger::usage::Event;
use crate::domain::period::Month;
use crate::domain::pricing::matched::PriceMatch;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Why an event is up for review, and the decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = EventFlag))]
#[serde(rename_all = "snake_case")]
pub enum Flag {
    /// It is implausibly large and waits for an administrator. No total includes it.
    HeldBack,
    /// It was held back, and an administrator counted it.
    Counted,
    /// It was held back, and an administrator discarded it.
    Discarded,
    /// Another body has the same identity.
    Conflict,
    /// It used more than its hold, and the organisation reserves strictly.
    ExceededHold,
    /// Its hold lapsed before it was reported.
    Lapsed,
    /// The rule in force forbade its model when it was recorded.
    ModelNotAllowed,
}

impl Flag {
    /// Returns the name in the API and in keys.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::HeldBack => "held_back",
            Self::Counted => "counted",
            Self::Discarded => "discarded",
            Self::Conflict => "conflict",
            Self::ExceededHold => "exceeded_hold",
            Self::Lapsed => "lapsed",
            Self::ModelNotAllowed => "model_not_allowed",
        }
    }
}

/// An administrator's decision about an event that was held back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// The actor's name in the audit log.
    pub by: String,
    pub at: Timestamp,
    pub reason: String,
}

/// An event for review.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlaggedEvent {
    pub flag: Flag,
    /// The identity of its record.
    pub identity: EventIdentity,
    pub event: Event,
    pub received_at: Timestamp,
    /// The path of its user's department: `/eng/backend/`.
    pub path: String,
    /// The month in which it counts or would count.
    pub period: Month,
    /// Its charge. Zero while it is held back.
    pub charged: Amounts,
    /// How its price was found. None for a risk.
    #[serde(default)]
    pub price: Option<PriceMatch>,
    /// The amounts of its hold, if it names one.
    #[serde(default)]
    pub held: Option<Amounts>,
    /// The implausible figure, if it was held back.
    #[serde(default)]
    pub excess: Option<Excess>,
    #[serde(default)]
    pub decision: Option<Decision>,
    /// Whether the rule in force forbade its model when it was recorded.
    #[serde(default)]
    pub model_not_allowed: bool,
}
