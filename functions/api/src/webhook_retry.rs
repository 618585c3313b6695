//! Retrying what a webhook gave up, many deliveries at once.

use super::webhooks::{known, queue};
use super::{App, view};
use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use jiff::Timestamp;
use serde::Serialize;
use shared::domain::health::Health;
use shared::domain::webhook::{Delivery, DeliveryStatus};
use shared::runtime::auth::Caller;
use shared::runtime::error::ApiError;
use shared::runtime::http::{Body, json};
use shared::runtime::list::Parameters;
use shared::runtime::openapi::{Conflict, Denied, Invalid, Moment, Slug, TooLarge, Unknown};
use shared::store::{Page, Place};
use utoipa::ToSchema;

/// The most deliveries that one call retries.
const MAX_RETRIED: usize = 100;

#[derive(Serialize, ToSchema)]
#[schema(as = RetriedDeliveries)]
struct RetriedView {
    /// How many deliveries are queued again.
    retried: usize,
    /// How many changed at the same moment and were left alone.
    skipped: usize,
    /// Whether there may be more: call again with `since` as `next_since`.
    has_more: bool,
    /// When the next one was made that may be given up; null at the end.
    #[schema(value_type = Option<Moment>, required = true)]
    next_since: Option<String>,
}

/// Queues the deliveries again that were given up, of those that were made since a time.
///
/// At most 100 a call, the oldest first. One that waits or was taken is left alone, so a call may be
/// repeated. If the webhook is paused, the first one is tried at once and the others follow it. 409 if the
/// receiver has ended the webhook.
#[utoipa::path(
    post,
    path = "/v1/webhooks/{id}/retry",
    operation_id = "retryDeliveries",
    tag = "Webhooks",
    params(
        ("id" = Slug, Path, description = "The webhook."),
        ("since" = Moment, Query, description = "Those that were made at this time or later."),
    ),
    responses(
        (status = 202, description = "How many are queued.", body = RetriedView),
        Invalid, Unknown, Conflict, TooLarge, Denied,
    ),
)]
pub(crate) async fn retry_all(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    Body(body): Body,
) -> Result<Response, ApiError> {
    let owner = caller.owner()?;
    let organisation_id = &owner.organisation_id;
    super::no_fields(&body)?;
    known(&app, organisation_id, &id).await?;
    let since = since(query.as_deref())?;
    let health = app.store.health(organisation_id, &id).await?;
    let is_paused = health.as_ref().is_some_and(Health::is_paused);
    if health.is_some_and(|health| health.is_ended()) {
        let message = "its receiver has ended the webhook; change its url, or test it once the receiver takes deliveries again";
        return Err(ApiError::conflict(message));
    }
    let is_wanted = |delivery: &Delivery| {
        let is_stuck = !is_paused && is_unqueued(delivery);
        delivery.created_at >= since && (delivery.status == DeliveryStatus::Failed || is_stuck)
    };
    let given_up = given_up(&app, organisation_id, &id, since, is_wanted).await?;
    let now = app.clock.now();
    let mut retried = 0;
    let mut skipped = 0;
    for delivery in &given_up.items {
        let again = delivery.clone().again(now);
        // The first one is tried also if the webhook is paused; the others wait for it then.
        let again = if retried == 0 { again.by_hand() } else { again };
        if app.store.renew_delivery(organisation_id, &again).await? {
            queue(&app, organisation_id, &again).await?;
            retried += 1;
        } else {
            skipped += 1;
        }
    }
    let next_since = given_up.next.map(|next| next.to_string());
    let view = RetriedView {
        retried,
        skipped,
        has_more: next_since.is_some(),
        next_since,
    };
    Ok(json(202, view::text(&view)))
}

fn since(query: Option<&str>) -> Result<Timestamp, ApiError> {
    let mut parameters = Parameters::of_query(query);
    let rule = "must be a time like 2026-11-23T12:00:00Z";
    let time = |text: &str| {
        text.contains(['T', 't'])
            .then(|| text.parse().ok())
            .flatten()
    };
    let is_time = |text: &str| text.len() <= 40 && time(text).is_some();
    let since = parameters.required("since", rule, is_time);
    parameters.finish()?;
    time(&since).ok_or_else(|| ApiError::field("since", rule))
}

/// Whether a delivery was made due again and was not attempted since: the call before may have been
/// stopped before the queue had it.
fn is_unqueued(delivery: &Delivery) -> bool {
    let last = delivery.attempts.last();
    delivery.status == DeliveryStatus::Pending
        && delivery.tries == 0
        && last.is_some_and(|last| last.at < delivery.begun_at)
}

/// What was given up since a time, and when the next one was made if there is more.
struct GivenUp {
    items: Vec<Delivery>,
    next: Option<Timestamp>,
}

async fn given_up(
    app: &App,
    organisation_id: &str,
    webhook_id: &str,
    since: Timestamp,
    is_wanted: impl Fn(&Delivery) -> bool + Copy,
) -> Result<GivenUp, ApiError> {
    // An event is a little older than its delivery, by which this looks: a day, if the queue stood still.
    let day = jiff::SignedDuration::from_hours(24);
    let begin = since.saturating_sub(day).unwrap_or(since);
    let Page { items, next } = app
        .store
        .deliveries_since(
            organisation_id,
            webhook_id,
            Place::Since(begin),
            MAX_RETRIED,
            is_wanted,
        )
        .await?;
    let next = match next {
        None => None,
        Some(next) => {
            let after = Place::After(&next);
            let more = app
                .store
                .deliveries_since(organisation_id, webhook_id, after, 1, is_wanted)
                .await?;
            more.items.first().map(|delivery| delivery.created_at)
        }
    };
    Ok(GivenUp { items, next })
}
