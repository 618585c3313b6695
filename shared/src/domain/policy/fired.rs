//! What a firing leaves behind.

use super::Subject;
use crate::domain::alert::Alert;
use crate::domain::identity::EventIdentity;
use crate::domain::incident::Incident;
use crate::domain::notice::Notice;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// That a policy fired for a subject.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fired {
    /// The event that did it.
    pub event: EventIdentity,
    /// When.
    pub at: Timestamp,
    /// The alert that tells of it.
    pub alert_id: String,
    /// What was queued for it.
    pub notice_id: String,
    /// What else was: the notices of the incident that it opened and of the user whom it blocked.
    #[serde(default)]
    pub more_notice_ids: Vec<String>,
    /// Whether nobody knew whose the event was.
    #[serde(default)]
    pub is_nobodys: bool,
}

impl Fired {
    /// The name of a firing: the same for the same policy and subject.
    pub fn name(policy_id: &str, subject: &Subject) -> String {
        format!("{policy_id}#{subject}")
    }
}

/// Everything that a firing writes, or that is written when it is completed.
#[derive(Clone, Debug)]
pub struct FiringRecord {
    pub policy_id: String,
    pub subject: Subject,
    /// The marker.
    pub fired: Fired,
    /// None if the firing's alert is gone when it is completed.
    pub alert: Option<Alert>,
    pub incident: Option<Incident>,
    pub notices: Vec<Notice>,
}
