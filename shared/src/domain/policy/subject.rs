//! What a policy fires for.

use crate::domain::ledger::identity::EventIdentity;
use crate::domain::period::Month;
use jiff::civil::Date;
use std::fmt;

/// The subject of a firing. A policy fires once for each.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    Event {
        /// Unique in the organisation.
        identity: EventIdentity,
    },
    User {
        user_id: String,
        period: Month,
    },
    Department {
        department_id: String,
        period: Month,
    },
    UserDay {
        user_id: String,
        day: Date,
    },
}

impl fmt::Display for Subject {
    /// Formats a unique text, which is part of a key.
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
