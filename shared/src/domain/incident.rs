//! Incidents: what somebody has to look into, until it is resolved.

use super::alert::{AlertStatus, Severity};
use super::notice::{Notice, Recipient};
use super::webhook::EventType;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The most notes of an incident.
pub const MAX_NOTES: usize = 50;

/// What somebody wrote when they changed an incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = IncidentNote))]
pub struct Note {
    /// When.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub at: Timestamp,
    /// Who, as the audit log names them.
    pub by: String,
    /// What.
    pub text: String,
}

/// Something to look into.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = IncidentRecord))]
pub struct Incident {
    /// Made here: `inc_...`, later ones sort last.
    pub id: String,
    /// How grave it is.
    pub severity: Severity,
    /// What has become of it.
    pub status: AlertStatus,
    /// One line.
    pub title: String,
    /// What happened.
    pub message: String,
    /// Whose event it was, where that is known.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub user_id: Option<String>,
    /// The department it is about.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub department_id: Option<String>,
    /// The policy that opened it.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub policy_id: Option<String>,
    /// The event that it was opened for.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub event_id: Option<String>,
    /// The alert that tells of the same.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub alert_id: Option<String>,
    /// The facts of that moment.
    pub metadata: Value,
    /// What people wrote, the oldest first.
    pub notes: Vec<Note>,
    /// When it was opened.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub created_at: Timestamp,
    /// When it was last changed.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub updated_at: Timestamp,
    /// When it was resolved.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime, required = true))]
    pub resolved_at: Option<Timestamp>,
}

/// What opened an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// A policy that fired.
    Policy,
    /// A delivery to a webhook that was given up.
    Delivery,
    /// A mail that was given up.
    Mail,
    /// An address that nothing is sent to any more.
    Suppression,
}

impl Cause {
    /// Whether telling has failed. Where telling of it fails too, that opens no further incident: there would be no end.
    pub fn is_of_telling(self) -> bool {
        match self {
            Self::Delivery | Self::Mail => true,
            Self::Policy | Self::Suppression => false,
        }
    }
}

impl Incident {
    /// An incident with a title and a message that is about no user, policy or event.
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

    /// The notice that tells of it, which is written with it.
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

/// An incident that is opened, with the notice that tells of it: they are written together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The incident.
    pub incident: Incident,
    /// What tells of it.
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
