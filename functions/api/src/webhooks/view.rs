//! Shows webhooks and deliveries as JSON.

use crate::json::to_json;
use jiff::Timestamp;
use serde::Serialize;
use shared::domain::notice::delivery::{Attempt, Delivery, DeliveryStatus};
use shared::domain::notice::event_type::EventType;
use shared::domain::notice::health::Health;
use shared::domain::notice::webhook::Webhook;
use shared::runtime::openapi::Moment;
use utoipa::ToSchema;

#[derive(Serialize, ToSchema)]
#[schema(as = Webhook)]
pub(super) struct WebhookView<'a> {
    id: &'a str,
    url: &'a str,
    /// The events it receives. Null is all events; an empty list is only events that name the
    /// webhook.
    #[schema(required = true)]
    events: Option<&'a [EventType]>,
    #[schema(required = true)]
    description: Option<&'a str>,
    /// Is `paused` after a delivery was given up: others wait for up to seven days, until one is
    /// taken. Is `ended` after the receiver answered 410.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
    #[schema(value_type = Option<Moment>, required = true)]
    failing_since: Option<String>,
    /// The time until which the previous secret signs too.
    #[schema(value_type = Option<Moment>, required = true)]
    old_secret_until: Option<String>,
    #[schema(value_type = Moment)]
    created_at: String,
    version: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    signing_secret: Option<&'a str>,
}

pub(super) fn webhook_view<'a>(
    webhook: &'a Webhook,
    health: Option<&Health>,
    signing_secret: Option<&'a str>,
    now: Timestamp,
) -> WebhookView<'a> {
    let old = webhook.old_secret.as_ref().filter(|old| now < old.until);
    WebhookView {
        id: &webhook.id,
        url: &webhook.url,
        events: webhook.events.as_deref(),
        description: webhook.description.as_deref(),
        status: Some(match health {
            Some(health) if health.is_ended() => "ended",
            Some(health) if health.is_paused() => "paused",
            _ => "active",
        }),
        failing_since: health.map(|health| health.failing_since.to_string()),
        old_secret_until: old.map(|old| old.until.to_string()),
        created_at: webhook.created_at.to_string(),
        version: webhook.version,
        signing_secret,
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = Delivery)]
pub(super) struct DeliveryView<'a> {
    id: &'a str,
    webhook_id: &'a str,
    #[serde(rename = "type")]
    kind: EventType,
    status: DeliveryStatus,
    attempts: &'a [Attempt],
    #[schema(value_type = Option<Moment>, required = true)]
    next_attempt_at: Option<Timestamp>,
    #[schema(value_type = Moment)]
    created_at: Timestamp,
}

/// Shows a delivery. While its webhook is paused, its next attempt is not before that of the
/// webhook.
pub(super) fn delivery_view<'a>(
    delivery: &'a Delivery,
    health: Option<&Health>,
) -> DeliveryView<'a> {
    let paused = health.filter(|health| health.is_paused() && !delivery.is_by_hand);
    let due = |at: Timestamp| paused.map_or(at, |health| at.max(health.due()));
    DeliveryView {
        id: &delivery.id,
        webhook_id: &delivery.webhook_id,
        kind: delivery.kind,
        status: delivery.status,
        attempts: &delivery.attempts,
        next_attempt_at: delivery.next_attempt_at.map(due),
        created_at: delivery.created_at,
    }
}

/// Returns the webhook for the audit log, without the state of its receiver.
pub(super) fn audit_json(webhook: &Webhook, now: Timestamp) -> String {
    to_json(&webhook_view(webhook, None, None, now))
}
