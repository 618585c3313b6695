//! Alerts and notices about the audit log and the books: broken entries, differences, and the heads
//! of each day.

use crate::domain::ledger::self_audit::{Difference, Subject};
use crate::domain::notice::alert::{Alert, AlertKind, AlertStatus, Severity};
use crate::domain::notice::event_type::EventType;
use crate::domain::notice::{Notice, Recipient};
use crate::domain::org::audit::Break;
use crate::domain::org::audit_head::AuditHead;
use jiff::Timestamp;
use serde_json::{Value, json};

impl Break {
    /// Returns the alert for this break.
    pub fn alert(&self, id: String, now: Timestamp) -> Alert {
        let Self { seq, message } = self;
        Alert {
            id,
            kind: AlertKind::AnomalyDetected,
            severity: Severity::Critical,
            status: AlertStatus::Open,
            title: "the audit log was altered".to_owned(),
            message: format!(
                "Entry {seq}: {message}. The runbook says how to investigate. No head is signed \
                 until the log is intact again."
            ),
            user_id: None,
            department_id: None,
            budget_id: None,
            policy_id: None,
            metadata: json!({"seq": seq, "message": message}),
            created_at: now,
            resolved_at: None,
        }
    }
}

impl Difference {
    /// Returns the alert for this difference.
    pub fn alert(&self, id: String, now: Timestamp) -> Alert {
        Alert {
            id,
            kind: AlertKind::AnomalyDetected,
            severity: Severity::Critical,
            status: AlertStatus::Open,
            title: "the books of a month do not agree".to_owned(),
            message: format!("{self}. The runbook says how to investigate and repair it."),
            user_id: match &self.subject {
                Subject::User { id } if !id.is_empty() => Some(id.clone()),
                _ => None,
            },
            department_id: match &self.subject {
                Subject::Level { department_id } => department_id.clone(),
                _ => None,
            },
            budget_id: match &self.subject {
                Subject::Budget { id } | Subject::Carry { id } => Some(id.clone()),
                _ => None,
            },
            policy_id: None,
            metadata: json!(self),
            created_at: now,
            resolved_at: None,
        }
    }
}

impl AuditHead {
    /// Returns the notice that carries the head out of the database.
    pub fn notice(
        &self,
        id: String,
        public_key: &Value,
        recipients: Vec<Recipient>,
        now: Timestamp,
    ) -> Notice {
        let Self { day, seq, hash, .. } = self;
        let payload = json!({
            "title": format!("the audit log of {day} ends with entry {seq}"),
            "message": format!(
                "Entry {seq} has the hash {hash}. It covers every entry before it. Keep this in a \
                 place that is safe from changes to the log.",
            ),
            "day": day,
            "seq": seq,
            "hash": hash,
            "at": self.at,
            "signed_head": self.signed_head,
            "public_key": public_key,
            "what_now": format!(
                "GET /v1/audit-log/verify?seq={seq}&hash={hash} checks that the log still agrees \
                 with it.",
            ),
        });
        Notice::new(id, EventType::AuditHead, payload, recipients, now)
    }
}
