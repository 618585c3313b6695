//! Where a delivery goes, and its message in the queue.

use shared::domain::notice::NoticeMessage;
use shared::domain::notice::delivery::Delivery;
use shared::domain::notice::webhook::Webhook;

/// The webhook of a delivery.
#[derive(Clone, Copy)]
pub(super) struct Target<'a> {
    pub(super) organisation_id: &'a str,
    pub(super) webhook: &'a Webhook,
}

pub(super) fn message(organisation_id: &str, delivery: &Delivery) -> NoticeMessage {
    NoticeMessage::Delivery {
        organisation_id: organisation_id.to_owned(),
        webhook_id: delivery.webhook_id.clone(),
        delivery_id: delivery.id.clone(),
    }
}
