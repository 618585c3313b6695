//! Retrying what a webhook gave up, many deliveries at once.

use super::webhooks::{known, queue};
use super::{App, view};
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
/// How much older than its delivery an event may be, by which deliveries are sorted: the queue of notices keeps
/// a message for two weeks, and the incident of a mail has the time of what the mail tells of, a day before.
const TOLD_LATE: SignedDuration = SignedDuration::from_hours(15 * 24);
/// How far the clocks of two machines may be apart.
const CLOCKS_APART: SignedDuration = SignedDuration::from_secs(1);

#[derive(Serialize, ToSchema)]
#[schema(as = RetriedDeliveries)]
struct RetriedView {
    /// How many deliveries are queued again.
    retried: usize,
    /// How many changed at the same moment and were left alone.
    skipped: usize,
    /// Whether there may be more: call again with `next_cursor` as `cursor`.
    has_more: bool,
    /// What goes on behind these; null at the end.
    #[schema(required = true)]
    next_cursor: Option<String>,
    /// None of those that are left was made before this: as `since` of a call without a cursor, it looks
    /// at some of these again. Null at the end.
    #[schema(value_type = Option<Moment>, required = true)]
    next_since: Option<String>,
}

/// Queues the deliveries again that were given up, of those that were made since a time.
///
/// At most 100 a call, those of the oldest events first. One that waits or was taken is left alone, so a call may
/// be repeated. If the webhook is paused, the first one is tried at once and the others follow it. 409 if the
/// receiver has ended the webhook.
#[shared::endpoint(POST "/v1/webhooks/{id}/retry", ADMIN)]
#[utoipa::path(
    operation_id = "retryDeliveries",
    tag = "Webhooks",
    params(
        ("id" = Slug, Path, description = "The webhook."),
        ("since" = Moment, Query, description = "Those that were made at this time or later."),
        ("cursor" = Option<Cursor>, Query, description = "The `next_cursor` of the call before, unchanged."),
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
    let list = format!("{organisation_id} retry {id}");
    let asked = asked(&app, &list, query.as_deref())?;
    let health = app.store.health(organisation_id, &id).await?;
    let is_paused = health.as_ref().is_some_and(Health::is_paused);
    if health.is_some_and(|health| health.is_ended()) {
        let message = "its receiver has ended the webhook; change its url, or test it once the receiver takes deliveries again";
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
        // The first one is tried also if the webhook is paused; the others wait for it then.
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
    Ok(json(202, view::text(&view)))
}

/// What a call asks for.
struct Asked {
    since: Timestamp,
    /// The id of the delivery that it goes on behind.
    after: Option<String>,
}

fn asked(app: &App, list: &str, query: Option<&str>) -> Result<Asked, ApiError> {
    let mut parameters = Parameters::of_query(query);
    let rule = "must be a time like 2026-11-23T12:00:00Z";
    let time = |text: &str| -> Option<Timestamp> {
        text.contains(['T', 't'])
            .then(|| text.parse().ok())
            .flatten()
    };
    let is_time = |text: &str| text.len() <= 40 && time(text).is_some();
    let since = parameters.required("since", rule, is_time);
    // It may come with either `since`, that of the first call or the `next_since` beside it.
    let after = parameters.take(
        "cursor",
        "must be a next_cursor of retrying this webhook's deliveries, unchanged",
        |text| app.cursors.read(list, text),
    );
    parameters.finish()?;
    let since = time(&since).ok_or_else(|| ApiError::field("since", rule))?;
    Ok(Asked { since, after })
}

/// Whether a delivery was made due again and was not attempted since: the call before may have been
/// stopped before the queue had it.
fn is_unqueued(delivery: &Delivery) -> bool {
    let last = delivery.attempts.last();
    delivery.status == DeliveryStatus::Pending
        && delivery.tries == 0
        && last.is_some_and(|last| last.at < delivery.begun_at)
}

/// What was given up since a time, and where the next call goes on if there may be more.
struct GivenUp {
    items: Vec<Delivery>,
    left: Option<Left>,
}

/// Where the next call goes on.
#[derive(Debug, PartialEq, Eq)]
struct Left {
    /// Behind the delivery of this id.
    after: String,
    /// None of those that are left was made before.
    since: Timestamp,
}

async fn given_up(
    app: &App,
    organisation_id: &str,
    webhook_id: &str,
    asked: &Asked,
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

/// Where the call after this one goes on, which was asked for what was made since `since` and has come to the
/// delivery `after`; `ahead` is what was found behind it. None if nothing is left there. A look that ended
/// before the end shows nothing of what is behind it.
fn left(after: String, ahead: &Page<Delivery>, since: Timestamp) -> Option<Left> {
    let seen = ahead.items.iter().map(|delivery| delivery.created_at);
    let unseen = ahead.next.as_deref().map(earliest);
    let first = seen.chain(unseen).min()?;
    let after = match &ahead.next {
        Some(next) if ahead.items.is_empty() => next.clone(),
        _ => after,
    };
    Some(Left {
        after,
        since: first.max(since),
    })
}

/// No delivery behind that of this id was made before: its event happened later, and was told afterwards.
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

    /// What was found: deliveries by when their event happened and when they were made, and where it ended.
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
        // The one that was made first is not the one of the first event.
        let ahead = [(101, 119), (102, 118), (103, 117)];
        assert_eq!(goes_on(&ahead, None), after(100, 117));
        // Of what was not looked at it is only known when it happened.
        assert_eq!(goes_on(&ahead, Some(110)), after(100, 109));
        assert_eq!(goes_on(&ahead, Some(150)), after(100, 117));
    }

    #[test]
    fn a_look_that_ends_before_the_end_is_not_the_end() {
        assert_eq!(goes_on(&[], Some(900)), after(900, 899));
        // It is of no use to ask for what was made before the time that was asked for.
        assert_eq!(goes_on(&[], Some(-900)), after(-900, 0));
    }
}
