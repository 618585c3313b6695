//! Alerts about events that somebody reported and that do not add up.

use super::alert::{Alert, AlertKind, AlertStatus, Severity};
use super::identity::EventIdentity;
use super::usage::Event;
use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::json;

/// What is wrong with an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Its identity was used for another body before.
    Conflict {
        /// Whether it is charged all the same, to the hold that it names.
        is_charged: bool,
    },
    /// It is usage of a hold whose time was over before it came.
    LapsedHold,
}

/// An event that something is wrong with.
#[derive(Clone, Copy, Debug)]
pub struct TroubledEvent<'a> {
    /// What.
    pub trouble: Trouble,
    /// The event.
    pub event: &'a Event,
    /// The local day on which it was received.
    pub day: Date,
}

impl TroubledEvent<'_> {
    /// Whose event it is.
    pub fn user_id(&self) -> Option<&str> {
        match self.event {
            Event::LlmRequest(usage) => Some(&usage.user_id),
            Event::IpRisk(risk) => risk.user_id.as_deref(),
        }
    }

    /// What it is told under: once for each of these.
    pub fn told_as(&self) -> String {
        let whose = self.user_id().unwrap_or_default();
        match self.trouble {
            Trouble::Conflict { .. } => format!("{}#conflict#{whose}", self.day),
            Trouble::LapsedHold => format!("{}#lapsed_hold#{whose}", self.day),
        }
    }

    fn severity(&self) -> Severity {
        match self.trouble {
            Trouble::Conflict { .. } => Severity::High,
            Trouble::LapsedHold => Severity::Medium,
        }
    }

    fn title(&self) -> String {
        let whose = self.user_id().unwrap_or("nobody");
        match self.trouble {
            Trouble::Conflict { .. } => format!("event ids of {whose} are used twice"),
            Trouble::LapsedHold => format!("{whose} used a hold after its time was over"),
        }
    }

    fn message(&self) -> String {
        let event_id = self.event.event_id();
        match self.trouble {
            Trouble::Conflict { is_charged } => {
                let counted = match is_charged {
                    true => "It is charged, because it names a hold of its own",
                    false => "It is not counted",
                };
                format!(
                    "The event {event_id} came with another body than before. {counted}. Further ones of \
                     this day are marked and not told again: GET /v1/events?status=conflict lists them. Look for \
                     a client that counts its events from 1, or that changes an event and sends it again."
                )
            }
            Trouble::LapsedHold => format!(
                "The event {event_id} names a hold that had lapsed. It is charged in full and marked as lapsed, but \
                 nothing was held for it by then, so it may pass a cap. Further ones of this day are marked and not \
                 told again. Let the client extend the hold while the answer goes on (PATCH /v1/holds/{{id}}), or \
                 raise hold_seconds."
            ),
        }
    }

    /// The alert that tells of it.
    pub fn alert(&self, id: String, department_id: Option<String>, now: Timestamp) -> Alert {
        let kind = match self.event {
            Event::LlmRequest(_) => "llm_request",
            Event::IpRisk(_) => "ip_risk",
        };
        let identity = EventIdentity::of(self.event);
        Alert {
            id,
            kind: AlertKind::AnomalyDetected,
            severity: self.severity(),
            status: AlertStatus::Open,
            title: self.title(),
            message: self.message(),
            user_id: self.user_id().map(str::to_owned),
            department_id,
            budget_id: None,
            policy_id: None,
            metadata: json!({
                "trouble": match self.trouble {
                    Trouble::Conflict { .. } => "conflict",
                    Trouble::LapsedHold => "lapsed_hold",
                },
                "event": {
                    "event_id": self.event.event_id(),
                    "type": kind,
                    "identity": identity.as_str(),
                    "occurred_at": self.event.occurred_at().to_string(),
                },
                "day": self.day.to_string(),
            }),
            created_at: now,
            resolved_at: None,
        }
    }
}
