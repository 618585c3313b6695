//! The kinds of events that webhooks and mails carry.

use serde::{Deserialize, Serialize};

/// The kind of an event for webhooks. Names are stable, and their `data` only gains fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum EventType {
    #[serde(rename = "policy.fired", alias = "policy_fired")]
    PolicyFired,
    /// A budget has reached a threshold below its limit.
    #[serde(rename = "budget.threshold")]
    BudgetThreshold,
    /// A budget has reached or exceeded its limit.
    #[serde(rename = "budget.exceeded")]
    BudgetExceeded,
    /// An exemption was requested.
    #[serde(rename = "exemption.requested")]
    ExemptionRequested,
    /// An exemption was approved.
    #[serde(rename = "exemption.approved")]
    ExemptionApproved,
    /// An exemption was denied.
    #[serde(rename = "exemption.denied")]
    ExemptionDenied,
    /// An exemption was ended early, or a request was withdrawn.
    #[serde(rename = "exemption.revoked")]
    ExemptionRevoked,
    /// An exemption ends soon.
    #[serde(rename = "exemption.ending")]
    ExemptionEnding,
    /// An exemption has expired.
    #[serde(rename = "exemption.expired")]
    ExemptionExpired,
    /// An alert about neither a budget nor a policy was raised.
    #[serde(rename = "alert.created")]
    AlertCreated,
    /// A model is used whose price is unknown or inexact: once for each month and model.
    #[serde(rename = "model.unpriced")]
    ModelUnpriced,
    /// An incident was opened.
    #[serde(rename = "incident.created")]
    IncidentCreated,
    /// A user was blocked, by hand or by a policy.
    #[serde(rename = "user.blocked")]
    UserBlocked,
    /// A user's block was ended by hand.
    #[serde(rename = "user.released")]
    UserReleased,
    /// A month was closed and its rollovers were credited.
    #[serde(rename = "period.closed")]
    PeriodClosed,
    /// A day's last entry of the audit log, signed.
    #[serde(rename = "audit.head")]
    AuditHead,
    /// Somebody tests the webhook.
    #[serde(rename = "webhook.test")]
    WebhookTest,
}

/// Every event type by its name in the API.
pub const EVENT_TYPES: &[(&str, EventType)] = &[
    ("policy.fired", EventType::PolicyFired),
    ("budget.threshold", EventType::BudgetThreshold),
    ("budget.exceeded", EventType::BudgetExceeded),
    ("exemption.requested", EventType::ExemptionRequested),
    ("exemption.approved", EventType::ExemptionApproved),
    ("exemption.denied", EventType::ExemptionDenied),
    ("exemption.revoked", EventType::ExemptionRevoked),
    ("exemption.ending", EventType::ExemptionEnding),
    ("exemption.expired", EventType::ExemptionExpired),
    ("alert.created", EventType::AlertCreated),
    ("model.unpriced", EventType::ModelUnpriced),
    ("incident.created", EventType::IncidentCreated),
    ("user.blocked", EventType::UserBlocked),
    ("user.released", EventType::UserReleased),
    ("period.closed", EventType::PeriodClosed),
    ("audit.head", EventType::AuditHead),
    ("webhook.test", EventType::WebhookTest),
];

impl EventType {
    pub fn as_str(self) -> &'static str {
        let found = EVENT_TYPES.iter().find(|(_, kind)| *kind == self);
        found.map_or("", |(name, _)| name)
    }
}
