//! Resolutions: how holds ended.

use crate::domain::amount::Amounts;
use crate::domain::ledger::identity::EventIdentity;
use serde::{Deserialize, Serialize};

/// The end of a hold. It is written once for each hold, before the cell is updated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Resolution {
    /// Settled by the usage of this event.
    Settled {
        /// The identity of the event's record.
        event: EventIdentity,
        charged: Amounts,
    },
    /// Voided by its owner, unused.
    Voided,
    Expired {
        /// The charge of abandoned holds: nothing, or all of it.
        charged: Amounts,
    },
}

impl Resolution {
    /// Returns the part of the hold that stays spent.
    pub fn charged(&self) -> Amounts {
        match self {
            Self::Settled { charged, .. } | Self::Expired { charged } => *charged,
            Self::Voided => Amounts::ZERO,
        }
    }
}
