//! Makes one attempt of a delivery, and stores its result.

use super::post::{Answered, Signed};
use super::target::{Target, message};
use super::{App, Failure};
use jiff::Timestamp;
use serde_json::{Value, json};
use shared::domain::notice::alert::Severity;
use shared::domain::notice::delivery::{Attempt, Delivery, DeliveryStatus};
use shared::domain::notice::event_type::EventType;
use shared::domain::notice::health::{Health, Mode, News, Outcome, Tried};
use shared::domain::notice::incident::{Cause, Incident, Opened};
use shared::domain::notice::signature::{body_signature, standard_signature};
use shared::runtime::logs::{self, Metric};
use shared::store::{AttemptOutcome, HealthChange, StoreError, new_id};

/// How often the result of an attempt is stored again because of other changes.
const ATTEMPTS: u32 = 24;

/// The result of an attempt.
pub(super) struct Attempted {
    /// The delivery as it is stored. None if it was deleted.
    pub(super) delivery: Option<Delivery>,
    /// The health of the receiver. None if it is fine.
    pub(super) health: Option<Health>,
}

impl Attempted {
    /// Returns whether the receiver took the delivery.
    pub(super) fn is_taken(&self) -> bool {
        let delivery = self.delivery.as_ref();
        delivery.is_some_and(|delivery| delivery.status == DeliveryStatus::Delivered)
    }
}

/// Posts a delivery and stores the result. A post takes seconds, and the receiver's health may
/// change meanwhile. So the result follows from the health that is stored when the post has ended.
pub(super) async fn make(
    app: &App,
    target: Target<'_>,
    delivery: Delivery,
    health: Option<Health>,
    mode: Mode,
) -> Result<Attempted, Failure> {
    let now = app.clock.now();
    let (attempt, retry_after) = post(app, target, &delivery, now).await?;
    let over_at = app.clock.now();
    tracing::info!(
        webhook_id = delivery.webhook_id,
        delivery_id = delivery.id,
        status_code = attempt.status_code,
        error = attempt.error,
        "attempted a delivery"
    );
    let is_taken = attempt.status_code.is_some_and(is_success);
    let metric = match is_taken {
        true => Metric::DeliveriesTaken,
        false => Metric::DeliveriesRefused,
    };
    logs::count(&[(metric, 1)]);
    let made = Made {
        delivery,
        attempt,
        over_at,
        retry_after,
        mode,
    };
    keep(app, target, &made, health).await
}

fn is_success(code: u16) -> bool {
    (200..300).contains(&code)
}

/// An attempt that was made, before its result is stored.
struct Made {
    /// The delivery before it.
    delivery: Delivery,
    attempt: Attempt,
    over_at: Timestamp,
    retry_after: Option<i64>,
    mode: Mode,
}

async fn keep(
    app: &App,
    target: Target<'_>,
    made: &Made,
    mut health: Option<Health>,
) -> Result<Attempted, Failure> {
    let organisation_id = target.organisation_id;
    let webhook_id = &target.webhook.id;
    let tried = Tried {
        attempt: &made.attempt,
        over_at: made.over_at,
        retry_after: made.retry_after,
        receiver: target.webhook.receiver,
        mode: made.mode,
    };
    let mut is_queued = false;
    for _ in 0..ATTEMPTS {
        let Outcome {
            delivery,
            health: after,
            news,
        } = Outcome::of(made.delivery.clone(), tried, health.as_ref());
        if news == Some(News::GivenUp) && !is_queued {
            // Queued before it is stored as given up: if the function stops in between, this
            // repeats.
            app.given_up
                .queue(&message(organisation_id, &delivery))
                .await?;
            is_queued = true;
        }
        let opened = opened(app, target, &delivery, news).await?;
        let change = HealthChange {
            before: health.as_ref(),
            after: after.as_ref(),
        };
        let url = &target.webhook.url;
        let kept = app
            .store
            .keep_attempt(organisation_id, &delivery, url, change, opened.as_ref());
        match kept.await? {
            AttemptOutcome::Done => {
                if let Some(opened) = opened {
                    let notice_id = &opened.notice.id;
                    app.notices.tell_or_leave(organisation_id, notice_id).await;
                }
                return Ok(Attempted {
                    delivery: Some(delivery),
                    health: after,
                });
            }
            AttemptOutcome::Elsewhere => break,
            AttemptOutcome::Stale => {
                let webhook = app.store.webhook(organisation_id, webhook_id).await?;
                let Some(webhook) = webhook else { break };
                if webhook.url != *url {
                    return elsewhere(app, target, made).await;
                }
                health = app.store.health(organisation_id, webhook_id).await?;
            }
        }
    }
    as_it_is(app, target, made).await
}

/// Stores an attempt if the webhook has another url by now. If the old receiver took the delivery,
/// it is delivered; otherwise the attempt does not count. It says nothing about the new receiver.
async fn elsewhere(app: &App, target: Target<'_>, made: &Made) -> Result<Attempted, Failure> {
    let delivery = made.delivery.clone();
    if made.attempt.status_code.is_some_and(is_success) {
        let taken = delivery.taken(&made.attempt);
        app.store
            .set_delivery(target.organisation_id, &taken)
            .await?;
    }
    as_it_is(app, target, made).await
}

/// Returns the stored delivery and health.
async fn as_it_is(app: &App, target: Target<'_>, made: &Made) -> Result<Attempted, Failure> {
    let (organisation_id, webhook_id) = (target.organisation_id, &target.webhook.id);
    let delivery = app
        .store
        .delivery(organisation_id, webhook_id, &made.delivery.id)
        .await?;
    let health = app.store.health(organisation_id, webhook_id).await?;
    Ok(Attempted { delivery, health })
}

async fn post(
    app: &App,
    target: Target<'_>,
    delivery: &Delivery,
    now: Timestamp,
) -> Result<(Attempt, Option<i64>), Failure> {
    let webhook = target.webhook;
    let old = webhook.old_secret.as_ref().filter(|old| now < old.until);
    let sealed = [Some(&webhook.sealed_secret), old.map(|old| &old.sealed)];
    let mut secrets = Vec::with_capacity(sealed.len());
    for sealed in sealed.into_iter().flatten() {
        secrets.extend(app.vault.open(target.organisation_id, sealed).await?);
    }
    let attempt = |status_code, error| Attempt {
        at: now,
        status_code,
        error,
    };
    let Some(newest) = secrets.first() else {
        let error = "its secret cannot be read any more; rotate it";
        return Ok((attempt(None, Some(error.to_owned())), None));
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
    Ok(match posted {
        Ok(Answered {
            status,
            retry_after,
        }) => (attempt(Some(status), None), retry_after),
        Err(error) => (attempt(None, Some(error)), None),
    })
}

/// Returns whether a delivery is about a failed notification. If such a delivery is given up, no
/// further incident is opened; otherwise two failing receivers would produce incidents for ever.
fn is_about_notifying(delivery: &Delivery) -> bool {
    let mut body: Value = serde_json::from_str(&delivery.body).unwrap_or_default();
    let cause = serde_json::from_value::<Cause>(body["data"]["cause"].take());
    delivery.kind == EventType::IncidentCreated && cause.is_ok_and(Cause::is_of_telling)
}

/// Returns the incident about `news`, with its notice to the administrators. Its id is made of the
/// delivery's id, so that it is opened once. The end of a webhook always opens one: it ends only
/// once.
async fn opened(
    app: &App,
    target: Target<'_>,
    delivery: &Delivery,
    news: Option<News>,
) -> Result<Option<Opened>, StoreError> {
    let Some(news) = news.filter(|news| *news == News::Ended || !is_about_notifying(delivery))
    else {
        return Ok(None);
    };
    let now = app.clock.now();
    let webhook_id = &target.webhook.id;
    let (title, message) = match news {
        News::GivenUp => given_up(delivery),
        News::Ended => ended(delivery),
    };
    let metadata = json!({"webhook_id": webhook_id, "delivery_id": delivery.id});
    let suffix = delivery.id.strip_prefix("evt_").unwrap_or(&delivery.id);
    let id = format!("inc_{suffix}-{webhook_id}");
    let title = title.to_owned();
    let incident = Incident::opened(id, Severity::Medium, [title, message], metadata, now);
    let recipients = app
        .store
        .administrator_recipients(target.organisation_id, "you are an administrator")
        .await?;
    let notice = incident.notice(new_id("ntc_", now, 0)?, Cause::Delivery, recipients);
    Ok(Some(Opened { incident, notice }))
}

fn given_up(delivery: &Delivery) -> (&'static str, String) {
    let Delivery {
        id,
        webhook_id,
        tries,
        ..
    } = delivery;
    let last = delivery.attempts.last();
    let why = last.map_or(String::new(), |attempt| match attempt.status_code {
        Some(code) => format!("the last answer was {code}"),
        None => attempt.error.clone().unwrap_or_default(),
    });
    let message = format!(
        "{id} was attempted {tries} times for the webhook {webhook_id}: {why}. If it took nothing \
         else meanwhile it is paused: younger deliveries wait for up to seven days. The oldest is \
         tried every 15 minutes, and when one is taken the others follow. Fix the receiver, then \
         POST /v1/webhooks/{webhook_id}/deliveries/{id}/retry, or \
         /v1/webhooks/{webhook_id}/retry?since= for all that were given up."
    );
    ("A webhook was given up", message)
}

fn ended(delivery: &Delivery) -> (&'static str, String) {
    let Delivery { id, webhook_id, .. } = delivery;
    let message = format!(
        "The receiver of the webhook {webhook_id} answered 410 to {id}: it wants no further \
         deliveries, and gets none. If that is wrong, PATCH /v1/webhooks/{webhook_id} with another \
         url, or fix the receiver and POST /v1/webhooks/{webhook_id}/test: the webhook goes on \
         when the receiver takes one."
    );
    ("A webhook was ended by its receiver", message)
}
