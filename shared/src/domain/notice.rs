//! Notices: what people and systems are told of, as it was at that moment. A notice is written with what it tells of, in one
//! transaction, and never read anew from the state.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a notice tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoticeKind {
    /// A policy fired.
    PolicyFired,
}

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
pub enum Delivery {
    /// It waits to be sent.
    Queued,
}

/// One recipient of a notice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipient {
    /// Where it goes.
    #[serde(flatten)]
    pub address: Address,
    /// What has become of it.
    pub status: Delivery,
}

/// A notice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// Made here: `ntc_...`, later ones sort last.
    pub id: String,
    /// What it tells of.
    pub kind: NoticeKind,
    /// When it was made.
    pub created_at: Timestamp,
    /// What it tells, as it was then.
    pub payload: Value,
    /// Whom it is for.
    pub recipients: Vec<Recipient>,
}

/// A notice on its way: one message of the queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoticeMessage {
    /// The organisation.
    pub organisation_id: String,
    /// The notice.
    pub notice_id: String,
}
