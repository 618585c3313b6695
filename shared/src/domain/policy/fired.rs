//! What a firing leaves behind.

use super::Subject;
use crate::domain::ledger::identity::EventIdentity;
use crate::domain::notice::Notice;
use crate::domain::notice::alert::Alert;
use crate::domain::notice::incident::Incident;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A policy's firing for a subject.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fired {
    /// The event that caused it.
    pub event: EventIdentity,
    pub at: Timestamp,
    /// The alert about it.
    pub alert_id: String,
    /// The notice of the alert.
    pub notice_id: String,
    /// Further notices: of the incident that it opened and of the user whom it blocked.
    #[serde(default)]
    pub more_notice_ids: Vec<String>,
    /// Whether the event's user was unknown.
    #[serde(default)]
    pub is_nobodys: bool,
}

impl Fired {
    /// Returns the name of a firing, which follows from its policy and subject.
    pub fn name(policy_id: &str, subject: &Subject) -> String {
        format!("{policy_id}#{subject}")
    }
}

/// Everything that a firing writes, or that is written when it is completed.
#[derive(Clone, Debug)]
pub struct FiringRecord {
    pub policy_id: String,
    pub subject: Subject,
    pub fired: Fired,
    /// None if the firing's alert is gone when it is completed.
    pub alert: Option<Alert>,
    pub incident: Option<Incident>,
    pub notices: Vec<Notice>,
}
