//! Notices: what people and systems are told of, as it was at that moment. A notice is written with what it tells of, in one
//! transaction, and never read anew from the state.

use super::webhook::EventType;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Whom a notice is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "channel", rename_all = "snake_case")]
pub enum Address {
    /// A mail.
    Mail {
        /// The user.
        user_id: String,
        /// Where it goes.
        email: String,
        /// For people.
        name: String,
        /// Why they get it.
        because: String,
    },
    /// A webhook.
    Webhook {
        /// Which.
        webhook_id: String,
    },
}

/// What has become of a notice for one recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecipientStatus {
    /// It waits to be sent.
    Queued,
    /// It is a delivery of the webhook, which has a status of its own.
    Delivering,
    /// The webhook is no more.
    Gone,
}

/// One recipient of a notice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipient {
    /// Where it goes.
    #[serde(flatten)]
    pub address: Address,
    /// What has become of it.
    pub status: RecipientStatus,
}

/// A notice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// Made here: `ntc_...`, later ones sort last.
    pub id: String,
    /// What it tells of.
    pub kind: EventType,
    /// When it was made.
    pub created_at: Timestamp,
    /// What it tells, as it was then.
    pub payload: Value,
    /// Whom it is for.
    pub recipients: Vec<Recipient>,
}

impl Notice {
    /// The id of the event that webhooks are told of.
    pub fn event_id(&self) -> String {
        let suffix = self.id.strip_prefix("ntc_").unwrap_or(&self.id);
        format!("evt_{suffix}")
    }
}

/// One message of the queue of notices.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "of", rename_all = "snake_case")]
pub enum NoticeMessage {
    /// A notice that nobody was told of yet.
    Notice {
        /// The organisation.
        organisation_id: String,
        /// The notice.
        notice_id: String,
    },
    /// A delivery to a webhook that is due, or will be.
    Delivery {
        /// The organisation.
        organisation_id: String,
        /// The webhook.
        webhook_id: String,
        /// The delivery.
        delivery_id: String,
    },
}
