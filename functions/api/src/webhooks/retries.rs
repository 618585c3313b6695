//! Retries many deliveries that a webhook gave up.

use super::deliveries::queue;
use super::find_webhook;
use crate::App;
use crate::body::no_fields;
use crate::json::to_json;
use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use shared::domain::notice::delivery::{Delivery, DeliveryStatus, event_time};
use shared::domain::notice::health::Health;
use shared::runtime::auth::Caller;
use shared::runtime::error::ApiError;
use shared::runtime::http::{Body, json};
use shared::runtime::list::Parameters;
use shared::runtime::openapi::{
    Conflict, Cursor, Denied, Invalid, Moment, Slug, TooLarge, Unknown,
};
use shared::store::{Page, Place};
use utoipa::ToSchema;

/// The most deliveries that one call retries.
const MAX_RETRIED: usize = 100;
/// How much older than its delivery an event may be. Deliveries are sorted by event. The queue of
/// notices keeps a message for two weeks, and a mail's incident has the time of the mail's subject,
/// a day before.
const TOLD_LATE: SignedDuration = SignedDuration::from_hours(15 * 24);
/// The largest difference between the clocks of two machines.
const CLOCKS_APART: SignedDuration = SignedDuration::from_secs(1);

#[derive(Serialize, ToSchema)]
#[schema(as = RetriedDeliveries)]
struct RetriedView {
    /// The number of deliveries that are queued again.
    retried: usize,
    /// The number that changed at the same moment and were skipped.
    skipped: usize,
    /// Whether there may be more: call again with `next_cursor` as `cursor`.
    has_more: bool,
    /// The place after these deliveries; null at the end.
    #[schema(required = true)]
    next_cursor: Option<String>,
    /// None of the remaining deliveries is older than this. If it is the `since` of a call without
    /// a cursor, that call reads some of these again. Null at the end.
    #[schema(value_type = Option<Moment>, required = true)]
    next_since: Option<String>,
}

/// Queues given-up deliveries again that were made since a time.
///
/// A call retries at most 100, those of the oldest events first. It skips deliveries that wait or
/// were taken, so it may be repeated. If the webhook is paused, the first one is tried at once and
/// the others follow it. 409 if the receiver has ended the webhook.
#[shared::endpoint(POST "/v1/webhooks/{id}/retry", ADMIN)]
#[utoipa::path(
    operation_id = "retryDeliveries",
    tag = "Webhooks",
    params(
        ("id" = Slug, Path, description = "The webhook."),
        ("since" = Moment, Query, description = "Only those that were made at this time or later."),
        (
            "cursor" = Option<Cursor>, Query,
            description = "The `next_cursor` of the call before, unchanged.",
        ),
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
    no_fields(&body)?;
    find_webhook(&app, organisation_id, &id).await?;
    let list = format!("{organisation_id} retry {id}");
    let asked = read_request(&app, &list, query.as_deref())?;
    let health = app.store.health(organisation_id, &id).await?;
    let is_paused = health.as_ref().is_some_and(Health::is_paused);
    if health.is_some_and(|health| health.is_ended()) {
        let message = "its receiver has ended the webhook; change its url, or test it once the \
            receiver takes deliveries again";
        return Err(ApiError::conflict(message));
    }
    let is_wanted = |delivery: &Delivery| {
        let is_stuck = !is_paused && is_unqueued(delivery);
        delivery.created_at >= asked.since
            && (delivery.status == DeliveryStatus::Failed || is_stuck)
    };
    let given_up = given_up(&app, organisation_id, &id, &asked, is_wanted).await?;
    let now = app.clock.now();
    let mut retried = 0;
    let mut skipped = 0;
    for delivery in &given_up.items {
        let again = delivery.clone().again(now);
        // The first one is tried even if the webhook is paused. The others then wait for it.
        let again = if retried == 0 { again.by_hand() } else { again };
        if app.store.renew_delivery(organisation_id, &again).await? {
            queue(&app, organisation_id, &again).await?;
            retried += 1;
        } else {
            skipped += 1;
        }
    }
    let left = given_up.left;
    let view = RetriedView {
        retried,
        skipped,
        has_more: left.is_some(),
        next_cursor: left
            .as_ref()
            .map(|left| app.cursors.write(&list, &left.after)),
        next_since: left.map(|left| left.since.to_string()),
    };
    Ok(json(202, to_json(&view)))
}

/// The parameters of a call.
struct RetryRequest {
    since: Timestamp,
    /// The id of the delivery after which it continues.
    after: Option<String>,
}

fn read_request(app: &App, list: &str, query: Option<&str>) -> Result<RetryRequest, ApiError> {
    let mut parameters = Parameters::of_query(query);
    let rule = "must be a time like 2026-11-23T12:00:00Z";
    let time = |text: &str| -> Option<Timestamp> {
        text.contains(['T', 't'])
            .then(|| text.parse().ok())
            .flatten()
    };
    let is_time = |text: &str| text.len() <= 40 && time(text).is_some();
    let since = parameters.required("since", rule, is_time);
    // A cursor may come with the `since` of the first call or with the `next_since` beside it.
    let after = parameters.take(
        "cursor",
        "must be a next_cursor of retrying this webhook's deliveries, unchanged",
        |text| app.cursors.read(list, text),
    );
    parameters.finish()?;
    let since = time(&since).ok_or_else(|| ApiError::field("since", rule))?;
    Ok(RetryRequest { since, after })
}

/// Returns whether a delivery was made due again and not attempted since. The previous call may
/// have stopped before the delivery was queued.
fn is_unqueued(delivery: &Delivery) -> bool {
    let last = delivery.attempts.last();
    delivery.status == DeliveryStatus::Pending
        && delivery.tries == 0
        && last.is_some_and(|last| last.at < delivery.begun_at)
}

/// The deliveries given up since a time, and where the next call continues if there may be more.
struct GivenUp {
    items: Vec<Delivery>,
    left: Option<Left>,
}

/// The place at which the next call continues.
#[derive(Debug, PartialEq, Eq)]
struct Left {
    /// It continues after the delivery of this id.
    after: String,
    /// None of the remaining deliveries was made before this.
    since: Timestamp,
}

async fn given_up(
    app: &App,
    organisation_id: &str,
    webhook_id: &str,
    asked: &RetryRequest,
    is_wanted: impl Fn(&Delivery) -> bool + Copy,
) -> Result<GivenUp, ApiError> {
    let begin = asked.since.saturating_sub(TOLD_LATE).unwrap_or(asked.since);
    let place = match &asked.after {
        Some(after) => Place::After(after),
        None => Place::Since(begin),
    };
    let Page { items, next } = app
        .store
        .deliveries_since(organisation_id, webhook_id, place, MAX_RETRIED, is_wanted)
        .await?;
    let Some(after) = next else {
        return Ok(GivenUp { items, left: None });
    };
    let place = Place::After(&after);
    let ahead = app
        .store
        .deliveries_since(organisation_id, webhook_id, place, MAX_RETRIED, is_wanted)
        .await?;
    let left = left(after, &ahead, asked.since);
    Ok(GivenUp { items, left })
}

/// Returns where the next call continues, after a call for deliveries made since `since` that ended
/// at the delivery `after`. `ahead` are the deliveries found after it, and None means that none is
/// left. A search that stopped early says nothing about the deliveries after its end.
fn left(after: String, ahead: &Page<Delivery>, since: Timestamp) -> Option<Left> {
    let found = ahead.items.iter().map(|delivery| delivery.created_at);
    let beyond = ahead.next.as_deref().map(earliest);
    let first = found.chain(beyond).min()?;
    let after = match &ahead.next {
        Some(next) if ahead.items.is_empty() => next.clone(),
        _ => after,
    };
    Some(Left {
        after,
        since: first.max(since),
    })
}

/// No delivery after this id was made before the returned time. Its event happened later, and the
/// notice followed the event.
fn earliest(id: &str) -> Timestamp {
    let at = event_time(id).unwrap_or(Timestamp::MIN);
    at.saturating_sub(CLOCKS_APART).unwrap_or(Timestamp::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::domain::notice::event_type::EventType;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_795_000_000 + second).unwrap()
    }

    fn id(second: i64) -> String {
        format!("evt_{:012x}0000", at(second).as_millisecond())
    }

    /// Builds a page of deliveries, given as pairs of event time and creation time, and its end.
    fn found(deliveries: &[(i64, i64)], next: Option<i64>) -> Page<Delivery> {
        let of = |(event, made): &(i64, i64)| {
            let kind = EventType::UserBlocked;
            Delivery::new(
                id(*event),
                "whk_1".to_owned(),
                kind,
                "{}".to_owned(),
                at(*made),
            )
        };
        Page {
            items: deliveries.iter().map(of).collect(),
            next: next.map(id),
        }
    }

    fn goes_on(deliveries: &[(i64, i64)], next: Option<i64>) -> Option<Left> {
        left(id(100), &found(deliveries, next), at(0))
    }

    fn after(event: i64, since: i64) -> Option<Left> {
        Some(Left {
            after: id(event),
            since: at(since),
        })
    }

    #[test]
    fn a_call_goes_on_behind_its_last_one_with_all_that_is_left() {
        assert_eq!(goes_on(&[], None), None);
        // The earliest delivery is not that of the earliest event.
        let ahead = [(101, 119), (102, 118), (103, 117)];
        assert_eq!(goes_on(&ahead, None), after(100, 117));
        // Of the deliveries beyond the search only the earliest event time is known.
        assert_eq!(goes_on(&ahead, Some(110)), after(100, 109));
        assert_eq!(goes_on(&ahead, Some(150)), after(100, 117));
    }

    #[test]
    fn a_look_that_ends_before_the_end_is_not_the_end() {
        assert_eq!(goes_on(&[], Some(900)), after(900, 899));
        // The next call need not ask for an earlier time than this one did.
        assert_eq!(goes_on(&[], Some(-900)), after(-900, 0));
    }
}
