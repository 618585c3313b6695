//! One attempt of a delivery, and what follows from it.

use super::post::{Answered, Signed};
use super::{App, Failure};
use jiff::Timestamp;
use serde_json::{Value, json};
use shared::domain::alert::Severity;
use shared::domain::incident::{Cause, Incident, Opened};
use shared::domain::notice::{Notice, NoticeMessage, RecipientStatus};
use shared::domain::webhook::{
    Attempt, Delivery, DeliveryStatus, EventType, Health, Webhook, body_signature,
    standard_signature,
};
use shared::runtime::logs::{self, Metric};
use shared::store::new_id;
use std::time::Duration;

/// What a receiver is sent of a notice; the same bytes on each attempt.
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

/// Makes and queues a delivery of a notice to a webhook.
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

/// Attempts a delivery that is due; one that is not yet is queued again, one that ended is left alone.
pub(super) async fn attempt(
    app: &App,
    organisation_id: &str,
    webhook_id: &str,
    delivery_id: &str,
) -> Result<(), Failure> {
    let known = app
        .store
        .delivery(organisation_id, webhook_id, delivery_id)
        .await?;
    let Some(delivery) = known.filter(|known| known.status == DeliveryStatus::Pending) else {
        return Ok(());
    };
    let now = app.clock.now();
    if is_early(&delivery, now) {
        return wait(app, organisation_id, &delivery, now).await;
    }
    let Some(webhook) = app.store.webhook(organisation_id, webhook_id).await? else {
        // Deleted while it was on its way: there is nobody to tell.
        return Ok(());
    };
    let health = app.store.health(organisation_id, webhook_id).await?;
    let (attempt, retry_after) = post(app, organisation_id, &webhook, &delivery, now).await;
    let error = attempt.error.clone();
    tracing::info!(
        webhook_id,
        delivery_id,
        status_code = attempt.status_code,
        error,
        "attempted a delivery"
    );
    let is_paused = health.is_some_and(|health| health.paused_at.is_some());
    let after = delivery.after(attempt, retry_after, is_paused);
    let outcome = match after.status {
        DeliveryStatus::Delivered => Metric::DeliveriesTaken,
        DeliveryStatus::Pending | DeliveryStatus::Failed => Metric::DeliveriesRefused,
    };
    logs::count(&[(outcome, 1)]);
    let health_after = health_after(&after, health, now);
    let is_given_up = after.status == DeliveryStatus::Failed;
    let opened = if is_given_up && !is_paused && !tells_of_telling(&after) {
        Some(given_up(app, organisation_id, &webhook, &after, now).await?)
    } else {
        None
    };
    if is_given_up {
        // Before it is kept as given up: a stop in between repeats this.
        app.given_up
            .queue(&message(organisation_id, &after))
            .await?;
    }
    let is_kept = app
        .store
        .set_delivery(
            organisation_id,
            &after,
            health_after.as_ref(),
            opened.as_ref(),
        )
        .await?;
    if let Some(opened) = opened.filter(|_| is_kept) {
        app.notices
            .tell_or_leave(organisation_id, &opened.notice.id)
            .await;
    }
    let kept = if is_kept {
        Some(after)
    } else {
        // Somebody else attempted it at the same moment; what they kept is right.
        app.store
            .delivery(organisation_id, webhook_id, delivery_id)
            .await?
    };
    match kept.filter(|kept| kept.status == DeliveryStatus::Pending) {
        Some(pending) => wait(app, organisation_id, &pending, now).await,
        None => Ok(()),
    }
}

fn is_early(delivery: &Delivery, now: Timestamp) -> bool {
    delivery.next_attempt_at.is_some_and(|at| at > now)
}

fn message(organisation_id: &str, delivery: &Delivery) -> NoticeMessage {
    NoticeMessage::Delivery {
        organisation_id: organisation_id.to_owned(),
        webhook_id: delivery.webhook_id.clone(),
        delivery_id: delivery.id.clone(),
    }
}

/// Queues a delivery for its next attempt.
async fn wait(
    app: &App,
    organisation_id: &str,
    delivery: &Delivery,
    now: Timestamp,
) -> Result<(), Failure> {
    let due = delivery.next_attempt_at.unwrap_or(now);
    let left = Duration::try_from(due.duration_since(now)).unwrap_or_default();
    let message = message(organisation_id, delivery);
    Ok(app.notices.queue_later(&message, left).await?)
}

async fn post(
    app: &App,
    organisation_id: &str,
    webhook: &Webhook,
    delivery: &Delivery,
    now: Timestamp,
) -> (Attempt, Option<i64>) {
    let old = webhook.old_secret.as_ref().filter(|old| now < old.until);
    let sealed = [Some(&webhook.sealed_secret), old.map(|old| &old.sealed)];
    let secrets: Vec<String> = sealed
        .into_iter()
        .flatten()
        .filter_map(|sealed| app.sealer.open(organisation_id, sealed))
        .collect();
    let attempt = |status_code, error| Attempt {
        at: now,
        status_code,
        error,
    };
    let Some(newest) = secrets.first() else {
        let error = "its secret cannot be read any more; rotate it";
        return (attempt(None, Some(error.to_owned())), None);
    };
    let signed = Signed {
        id: delivery.id.clone(),
        timestamp: now.as_second().to_string(),
        standard: standard_signature(&secrets, &delivery.id, now, &delivery.body),
        of_body: body_signature(newest, &delivery.body),
    };
    let posted = app
        .poster
        .post(&webhook.url, signed, delivery.body.clone(), now)
        .await;
    match posted {
        Ok(Answered {
            status,
            retry_after,
        }) => (attempt(Some(status), None), retry_after),
        Err(error) => (attempt(None, Some(error)), None),
    }
}

/// How the receiver does after an attempt: well with the first delivery it takes; paused where one is given up and it took
/// nothing since that one was made.
fn health_after(delivery: &Delivery, before: Option<Health>, now: Timestamp) -> Option<Health> {
    let failing_since = before.map_or(now, |health| health.failing_since);
    let paused_at = before.and_then(|health| health.paused_at);
    let took_nothing = failing_since <= delivery.created_at;
    match delivery.status {
        DeliveryStatus::Delivered => None,
        DeliveryStatus::Failed if took_nothing => Some(Health {
            failing_since,
            paused_at: paused_at.or(Some(now)),
        }),
        DeliveryStatus::Failed | DeliveryStatus::Pending => Some(Health {
            failing_since,
            paused_at,
        }),
    }
}

/// Whether a delivery tells that telling has failed. One that is given up opens no further incident, or two receivers that refuse
/// each other's would never come to an end.
fn tells_of_telling(delivery: &Delivery) -> bool {
    let mut body: Value = serde_json::from_str(&delivery.body).unwrap_or_default();
    let cause = serde_json::from_value::<Cause>(body["data"]["cause"].take());
    delivery.kind == EventType::IncidentCreated && cause.is_ok_and(Cause::is_of_telling)
}

/// The incident of a delivery that was given up, with its notice to the administrators. The incident's id is the delivery's, so that
/// it is opened once.
async fn given_up(
    app: &App,
    organisation_id: &str,
    webhook: &Webhook,
    delivery: &Delivery,
    now: Timestamp,
) -> Result<Opened, Failure> {
    let last = delivery.attempts.last();
    let why = last.map_or(String::new(), |attempt| match attempt.status_code {
        Some(code) => format!("the last answer was {code}"),
        None => attempt.error.clone().unwrap_or_default(),
    });
    let suffix = delivery.id.strip_prefix("evt_").unwrap_or(&delivery.id);
    let title = "A webhook was given up".to_owned();
    let message = format!(
        "{} was attempted {} times for the webhook {}: {why}. Where it took nothing else meanwhile it is paused: each delivery is tried once until one is taken. Mend \
         the receiver, then POST /v1/webhooks/{}/deliveries/{}/retry.",
        delivery.id, delivery.tries, webhook.id, webhook.id, delivery.id
    );
    let metadata = json!({"webhook_id": webhook.id, "delivery_id": delivery.id});
    let id = format!("inc_{suffix}-{}", webhook.id);
    let incident = Incident::opened(id, Severity::Medium, [title, message], metadata, now);
    let recipients = app
        .store
        .administrator_recipients(organisation_id, "you are an administrator")
        .await?;
    let notice = incident.notice(new_id("ntc_", now, 0)?, Cause::Delivery, recipients);
    Ok(Opened { incident, notice })
}
