//! Incidents: what somebody has to look into, until it is resolved.

use super::alert::{AlertStatus, Severity};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

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
