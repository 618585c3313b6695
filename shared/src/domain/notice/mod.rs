//! Notices: notifications for people and systems, frozen at the time of the event. A notice is
//! written in the same transaction as its event and never rebuilt from later state.

pub mod alert;
pub mod audit;
pub mod blocking;
pub mod closing;
pub mod delivery;
pub mod egress_policy;
pub mod event_alert;
pub mod event_type;
pub mod exemption;
pub mod feedback;
pub mod health;
pub mod incident;
pub mod mail;
pub mod mail_layout;
pub mod signature;
pub mod suppression;
pub mod unsure_price;
pub mod webhook;

use crate::domain::notice::event_type::EventType;
use crate::domain::org::people::User;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The recipient of a notice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "channel", rename_all = "snake_case")]
pub enum Address {
    Mail {
        user_id: String,
        email: String,
        name: String,
        /// The reason for getting it.
        because: String,
    },
    Webhook {
        webhook_id: String,
    },
}

/// The state of a notice for one recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecipientStatus {
    Queued,
    /// It became a delivery of the webhook or a letter, which has its own status.
    Delivering,
    /// The webhook was deleted.
    Gone,
    /// The address is suppressed.
    Suppressed,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipient {
    #[serde(flatten)]
    pub address: Address,
    pub status: RecipientStatus,
}

impl Recipient {
    /// A mail to `user`, with the reason for getting it.
    pub fn mail(user: &User, because: String) -> Self {
        Self {
            address: Address::Mail {
                user_id: user.id.clone(),
                email: user.email.clone(),
                name: user.name.clone(),
                because,
            },
            status: RecipientStatus::Queued,
        }
    }

    pub fn webhook(webhook_id: &str) -> Self {
        Self {
            address: Address::Webhook {
                webhook_id: webhook_id.to_owned(),
            },
            status: RecipientStatus::Queued,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// `ntc_...`, made by the server. Later ids sort last.
    pub id: String,
    pub kind: EventType,
    pub created_at: Timestamp,
    /// The content as of the creation.
    pub payload: Value,
    /// The recipients. Webhooks that subscribe to its kind are added when it is sent out.
    pub recipients: Vec<Recipient>,
    /// True if it was passed on to every recipient. The rest is up to the deliveries and letters.
    #[serde(default)]
    pub is_told: bool,
}

impl Notice {
    /// Returns a notice that was not sent out yet.
    pub fn new(
        id: String,
        kind: EventType,
        payload: Value,
        recipients: Vec<Recipient>,
        now: Timestamp,
    ) -> Self {
        Self {
            id,
            kind,
            created_at: now,
            payload,
            recipients,
            is_told: false,
        }
    }

    /// Returns the id of the event for webhooks.
    pub fn event_id(&self) -> String {
        let suffix = self.id.strip_prefix("ntc_").unwrap_or(&self.id);
        format!("evt_{suffix}")
    }
}

/// A message of the queue of notices.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "of", rename_all = "snake_case")]
pub enum NoticeMessage {
    /// A notice to send out.
    Notice {
        organisation_id: String,
        notice_id: String,
    },
    /// A delivery to a webhook, due now or later.
    Delivery {
        organisation_id: String,
        webhook_id: String,
        delivery_id: String,
    },
    /// The mailbox of an address, whose letters become a mail.
    Mailbox {
        organisation_id: String,
        /// The digest of the address.
        mailbox: String,
        /// The number of failed attempts of its mail.
        attempt: usize,
        due_at: Timestamp,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_event_of_a_notice_has_its_number_under_another_name() {
        let now = "2026-11-24T12:00:00Z".parse().unwrap();
        let id = "ntc_01k".to_owned();
        let notice = Notice::new(id, EventType::WebhookTest, Value::Null, Vec::new(), now);
        assert_eq!(notice.event_id(), "evt_01k");
    }
}
