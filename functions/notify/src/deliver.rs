//! Handles the message of a delivery: attempts it, lets it wait, or ends it.

use super::target::{Target, message};
use super::{App, Failure, attempt, resume};
use jiff::Timestamp;
use serde_json::json;
use shared::domain::notice::delivery::{Delivery, DeliveryStatus};
use shared::domain::notice::health::{Health, Mode};
use shared::domain::notice::{Notice, RecipientStatus};
use std::time::Duration;

/// Returns the body that a receiver gets. It has the same bytes on each attempt.
pub(super) fn body(organisation_id: &str, notice: &Notice) -> String {
    json!({
        "id": notice.event_id(),
        "type": notice.kind,
        "created_at": notice.created_at.to_string(),
        "org_id": organisation_id,
        "data": notice.payload,
    })
    .to_string()
}

/// Creates and queues a delivery of a notice to a webhook, unless its receiver has ended the
/// webhook.
pub(super) async fn begin(
    app: &App,
    organisation_id: &str,
    notice: &Notice,
    webhook_id: &str,
) -> Result<RecipientStatus, Failure> {
    let webhook = app.store.webhook(organisation_id, webhook_id).await?;
    if webhook.is_none() {
        return Ok(RecipientStatus::Gone);
    }
    let health = app.store.health(organisation_id, webhook_id).await?;
    if health.is_some_and(|health| health.is_ended()) {
        return Ok(RecipientStatus::Gone);
    }
    let delivery = Delivery::new(
        notice.event_id(),
        webhook_id.to_owned(),
        notice.kind,
        body(organisation_id, notice),
        app.clock.now(),
    );
    app.store.add_delivery(organisation_id, &delivery).await?;
    app.notices
        .queue(&message(organisation_id, &delivery))
        .await?;
    Ok(RecipientStatus::Delivering)
}

/// Attempts a delivery if it is due. If it is not due yet, it is queued again; if it has ended,
/// nothing happens. A delivery has one message at a time, which comes until the delivery has ended.
pub(super) async fn handle(
    app: &App,
    organisation_id: &str,
    webhook_id: &str,
    delivery_id: &str,
) -> Result<(), Failure> {
    let known = app
        .store
        .delivery(organisation_id, webhook_id, delivery_id)
        .await?;
    let delivery = match known {
        Some(known) if known.status == DeliveryStatus::Pending => known,
        Some(known) if known.status == DeliveryStatus::Delivered => {
            return taken_before(app, organisation_id, &known).await;
        }
        _ => return Ok(()),
    };
    let now = app.clock.now();
    if is_early(&delivery, now) {
        return wait(app, organisation_id, &delivery, None).await;
    }
    let Some(webhook) = app.store.webhook(organisation_id, webhook_id).await? else {
        // The webhook was deleted meanwhile, so there is no receiver.
        return Ok(());
    };
    let target = Target {
        organisation_id,
        webhook: &webhook,
    };
    let health = app.store.health(organisation_id, webhook_id).await?;
    let (own, health) = match health {
        Some(health) if health.is_ended() && !delivery.is_by_hand => {
            let why = "its receiver has ended the webhook with the answer 410";
            let over = delivery.given_up(why, now);
            app.store.set_delivery(organisation_id, &over).await?;
            return Ok(());
        }
        Some(health) if health.is_paused() && !delivery.is_by_hand => {
            let health = resume::in_turn(app, target, &delivery, health).await?;
            // The function that had the turn may have posted it.
            let kept = app.store.delivery(organisation_id, webhook_id, delivery_id);
            (kept.await?, health)
        }
        health => {
            let attempted = attempt::make(app, target, delivery, health, Mode::Alone).await?;
            let own = attempted.delivery.clone();
            (own, resume::after(app, target, attempted).await?)
        }
    };
    match own.filter(|own| own.status == DeliveryStatus::Pending) {
        Some(pending) => wait(app, organisation_id, &pending, health.as_ref()).await,
        None => Ok(()),
    }
}

/// Handles the second message of a delivery that was taken. If the other deliveries of its webhook
/// should have followed and that was interrupted, they follow now.
async fn taken_before(
    app: &App,
    organisation_id: &str,
    delivery: &Delivery,
) -> Result<(), Failure> {
    let webhook_id = &delivery.webhook_id;
    let health = app.store.health(organisation_id, webhook_id).await?;
    let Some(health) = health.filter(|health| health.is_paused() && health.resumed_at.is_some())
    else {
        return Ok(());
    };
    if health.due() > app.clock.now() {
        return wait(app, organisation_id, delivery, Some(&health)).await;
    }
    let webhook = app.store.webhook(organisation_id, webhook_id).await?;
    let Some(webhook) = webhook else {
        return Ok(());
    };
    let target = Target {
        organisation_id,
        webhook: &webhook,
    };
    resume::go_on(app, target, &health).await?;
    Ok(())
}

fn is_early(delivery: &Delivery, now: Timestamp) -> bool {
    delivery.next_attempt_at.is_some_and(|at| at > now)
}

/// Queues a delivery for its next attempt. If the webhook is paused, the delivery waits at least
/// until the webhook is due.
async fn wait(
    app: &App,
    organisation_id: &str,
    delivery: &Delivery,
    health: Option<&Health>,
) -> Result<(), Failure> {
    let now = app.clock.now();
    let due = delivery.next_attempt_at.unwrap_or(now);
    let due = match health.filter(|health| health.is_paused()) {
        Some(health) => due.max(health.due()),
        None => due,
    };
    let left = Duration::try_from(due.duration_since(now)).unwrap_or_default();
    let message = message(organisation_id, delivery);
    Ok(app.notices.queue_later(&message, left).await?)
}
