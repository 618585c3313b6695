//! The fields of an event, and how conditions compare them.

use serde::{Deserialize, Serialize};

/// The field that a condition compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Field {
    /// The severity of a risk. Usage has none.
    RiskLevel,
    /// The event's user. A risk may have none.
    UserId,
    /// The department of the event at its time, or the department whose total is compared.
    DepartmentId,
    /// Input and output tokens charged for this event. A risk has none.
    TokenCount,
    /// The time of the event by the organisation's clock, in minutes of the day.
    TimeOfDay,
    /// The model, as reported and as its price was found. A risk has none.
    ModelId,
    /// Whether the model was permitted when the usage was recorded. A risk has none.
    ModelAllowed,
}

/// The comparison of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Op {
    /// Equal. A department also equals those above it.
    Eq,
    EqExact,
    /// Not equal. A department must be neither the given one nor below it.
    Ne,
    In,
    NotIn,
    Gt,
    Gte,
    Lt,
    Lte,
    /// From the first to the second, both included. Times of day may cross midnight.
    Between,
    /// Equal, with `*` for any characters.
    Matches,
}

impl Field {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RiskLevel => "risk_level",
            Self::UserId => "user_id",
            Self::DepartmentId => "department_id",
            Self::TokenCount => "token_count",
            Self::TimeOfDay => "time_of_day",
            Self::ModelId => "model_id",
            Self::ModelAllowed => "model_allowed",
        }
    }

    /// Returns the comparisons that make sense for it.
    pub fn ops(self) -> &'static [Op] {
        use Op::{Between, Eq, EqExact, Gt, Gte, In, Lt, Lte, Matches, Ne, NotIn};
        match self {
            Self::RiskLevel | Self::TokenCount => &[Eq, Ne, In, NotIn, Gt, Gte, Lt, Lte, Between],
            Self::UserId => &[Eq, Ne, In, NotIn],
            Self::DepartmentId => &[Eq, EqExact, Ne, In, NotIn],
            Self::TimeOfDay => &[Between, Gt, Gte, Lt, Lte],
            Self::ModelId => &[Eq, Ne, In, NotIn, Matches],
            Self::ModelAllowed => &[Eq, Ne],
        }
    }
}

impl Op {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Eq => "eq",
            Self::EqExact => "eq_exact",
            Self::Ne => "ne",
            Self::In => "in",
            Self::NotIn => "not_in",
            Self::Gt => "gt",
            Self::Gte => "gte",
            Self::Lt => "lt",
            Self::Lte => "lte",
            Self::Between => "between",
            Self::Matches => "matches",
        }
    }

    /// Returns true if it is a negation, which also holds for a missing field.
    pub(super) fn is_denial(self) -> bool {
        matches!(self, Self::Ne | Self::NotIn)
    }
}
