//! Incidents: problems to investigate until they are resolved.

use crate::domain::notice::alert::{AlertStatus, Severity};
use crate::domain::notice::event_type::EventType;
use crate::domain::notice::{Notice, Recipient};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The most notes of an incident.
pub const MAX_NOTES: usize = 50;

/// A note by somebody who changed an incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = IncidentNote))]
pub struct Note {
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub at: Timestamp,
    /// The actor's name in the audit log.
    pub by: String,
    pub text: String,
}

/// A problem to investigate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = IncidentRecord))]
pub struct Incident {
    /// `inc_...`, made by the server. Later ids sort last.
    pub id: String,
    /// How grave the incident is.
    pub severity: Severity,
    /// `open`, `acknowledged` or `resolved`.
    pub status: AlertStatus,
    pub title: String,
    pub message: String,
    /// The user of the event, if known.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub user_id: Option<String>,
    /// The department of the event, if known.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub department_id: Option<String>,
    /// The policy that opened it, if one did.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub policy_id: Option<String>,
    /// The event that it was opened for, if any.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub event_id: Option<String>,
    /// The alert about the same event.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub alert_id: Option<String>,
    /// The facts when it was opened.
    pub metadata: Value,
    /// The notes, oldest first.
    pub notes: Vec<Note>,
    /// When the incident was opened.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub created_at: Timestamp,
    /// When it was last changed.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub updated_at: Timestamp,
    /// When it was resolved. None until then.
    #[cfg_attr(
        feature = "openapi",
        schema(value_type = Option<String>, format = DateTime, required = true)
    )]
    pub resolved_at: Option<Timestamp>,
}

/// The origin of an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    Policy,
    /// A delivery to a webhook was given up.
    Delivery,
    /// A mail was given up.
    Mail,
    /// An address was suppressed.
    Suppression,
}

impl Cause {
    /// Returns true if a notification has failed. If the notification about it fails too, no
    /// further incident is opened: it would never end.
    pub fn is_of_telling(self) -> bool {
        match self {
            Self::Delivery | Self::Mail => true,
            Self::Policy | Self::Suppression => false,
        }
    }
}

impl Incident {
    /// Returns an incident with a title and a message, without user, policy or event.
    pub fn opened(
        id: String,
        severity: Severity,
        [title, message]: [String; 2],
        metadata: Value,
        now: Timestamp,
    ) -> Self {
        Self {
            id,
            severity,
            status: AlertStatus::Open,
            title,
            message,
            user_id: None,
            department_id: None,
            policy_id: None,
            event_id: None,
            alert_id: None,
            metadata,
            notes: Vec::new(),
            created_at: now,
            updated_at: now,
            resolved_at: None,
        }
    }

    /// Returns the notice about the incident. Both are written together.
    pub fn notice(&self, id: String, cause: Cause, recipients: Vec<Recipient>) -> Notice {
        let payload = json!({
            "title": self.title,
            "message": self.message,
            "incident_id": self.id,
            "cause": cause,
            "severity": self.severity,
            "user_id": self.user_id,
            "department_id": self.department_id,
            "policy_id": self.policy_id,
            "alert_id": self.alert_id,
            "facts": self.metadata,
        });
        let kind = EventType::IncidentCreated;
        Notice::new(id, kind, payload, recipients, self.created_at)
    }
}

/// A new incident with its notice. They are written together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    pub incident: Incident,
    pub notice: Notice,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_told_opens_no_incident_that_is_told_the_same_way() {
        let causes = [
            Cause::Policy,
            Cause::Delivery,
            Cause::Mail,
            Cause::Suppression,
        ];
        let of_telling = causes.map(Cause::is_of_telling);
        assert_eq!(of_telling, [false, true, true, false]);
    }
}
