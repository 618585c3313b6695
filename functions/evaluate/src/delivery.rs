//! A message of the batch, and why it may have to come again.

use jiff::Timestamp;
use shared::domain::ledger::identity::{BodyDigest, EventIdentity};
use shared::domain::ledger::usage::Event;
use shared::ledger::Recorded;
use shared::store::StoreError;

/// A message of the batch with its event.
pub(crate) struct Delivery {
    pub(crate) message_id: String,
    pub(crate) received_at: Timestamp,
    pub(crate) event: Event,
}

impl Delivery {
    /// Returns the identity under which its event is recorded and counted. None if the event is
    /// stored but not counted.
    pub(crate) fn counted_as(&self, recorded: Recorded) -> Option<EventIdentity> {
        let identity = EventIdentity::of(&self.event);
        match recorded {
            Recorded::Counted { .. } | Recorded::Duplicate { .. } => Some(identity),
            Recorded::Conflict { is_charged: true } => {
                Some(identity.in_conflict(&BodyDigest::of(&self.event)))
            }
            Recorded::Conflict { is_charged: false } | Recorded::HeldBack => None,
        }
    }
}

/// Why a message has to come again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("the message is not an event")]
    Unreadable(#[source] serde_json::Error),
    #[error("there is no organisation {0:?}")]
    UnknownOrganisation(String),
    #[error("the store failed")]
    Store(#[from] StoreError),
    #[error("it counts, but a crossing may not have been reported")]
    CrossingNotReported,
    #[error("it counts, but a policy may not have acted")]
    PolicyNotActed,
    #[error("it is stored, but its alert may not have been raised")]
    AlertNotRaised,
    #[error("the code failed")]
    Panicked,
}
