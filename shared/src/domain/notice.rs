//! Notices: what people and systems are told of, as it was at that moment. A notice is written with what it tells of, in one
//! transaction, and never read anew from the state.

use super::people::User;
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
    /// It is a delivery of the webhook or a letter, which has a status of its own.
    Delivering,
    /// The webhook is no more.
    Gone,
    /// Nothing is sent to the address any more.
    Suppressed,
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

impl Recipient {
    /// A mail to `user`, and why they get it.
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

    /// A webhook.
    pub fn webhook(webhook_id: &str) -> Self {
        Self {
            address: Address::Webhook {
                webhook_id: webhook_id.to_owned(),
            },
            status: RecipientStatus::Queued,
        }
    }
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
    /// Whom it is for; webhooks that are told of every event of its kind join them when it is told.
    pub recipients: Vec<Recipient>,
    /// Whether everybody was told: what is left is up to the deliveries and letters.
    #[serde(default)]
    pub is_told: bool,
}

impl Notice {
    /// A notice that nobody was told of yet.
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
    /// The box of an address, whose letters become a mail.
    Mailbox {
        /// The organisation.
        organisation_id: String,
        /// The digest of the address.
        mailbox: String,
        /// How often a mail of it failed.
        attempt: usize,
        /// When it is due.
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
