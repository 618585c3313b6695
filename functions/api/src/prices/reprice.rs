//! Prices recorded usage anew, and books the difference of each department and month as one
//! correction.

use super::booking::{Batch, Run};
use super::difference::RepriceView;
use super::priced::{Part, Priced, Start, hour};
use super::schema::Reprice;
use crate::App;
use crate::change::{Actor, answered_before, respond};
use crate::crossings::alert_crossings;
use crate::in_force::read_configuration;
use crate::replay::IdempotentRequest;
use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;
use jiff::{SignedDuration, Timestamp};
use shared::runtime::auth::Caller;
use shared::runtime::error::ApiError;
use shared::runtime::fields::Fields;
use shared::runtime::http::{Body, RequestId, json};
use shared::runtime::openapi::{Conflict, Denied, IdempotencyKey, Invalid, TooLarge};
use shared::runtime::parse;
use std::time::Instant;

/// The longest window, in hours.
const MAX_HOURS: i64 = 31 * 24;
/// How long ago usage may have arrived, in hours. Records expire after thirteen months.
const MAX_HOURS_AGO: i64 = 365 * 24;

/// What a request wants to price.
struct Asked {
    /// In hours since 1970, UTC.
    from: i64,
    /// The hour after the last one.
    to: i64,
    is_dry_run: bool,
}

impl Asked {
    /// Returns a conflict if some of the usage may be gone.
    fn check_age(&self, now: Timestamp) -> Result<(), ApiError> {
        match hour(now).saturating_sub(self.from) > MAX_HOURS_AGO {
            true => Err(ApiError::taken("from", "must be at most 365 days ago")),
            false => Ok(()),
        }
    }

    /// The list that a cursor belongs to.
    fn place(&self, list: &str) -> String {
        format!("{list} {} {} {}", self.from, self.to, self.is_dry_run)
    }
}

fn read(app: &App, list: &str, body: &[u8]) -> Result<(Asked, Option<Start>), ApiError> {
    let mut fields = Fields::of_body(body)?;
    let moment = |raw: &str| parse::timestamp(raw).map(Some);
    let (from, to) = (
        fields.required("from", moment),
        fields.required("to", moment),
    );
    let is_dry_run = fields.optional("dry_run", parse::boolean).unwrap_or(false);
    let last = |at: Timestamp| {
        at.saturating_sub(SignedDuration::from_nanos(1))
            .unwrap_or(at)
    };
    let window = from
        .zip(to)
        .map(|(from, to)| (hour(from), hour(last(to)).saturating_add(1)));
    match window {
        Some((from, to)) if to <= from => fields.also_invalid("to", "must be after from"),
        Some((from, to)) if to.saturating_sub(from) > MAX_HOURS => {
            fields.also_invalid("to", "must be at most 31 days after from");
        }
        _ => {}
    }
    let window = window.unwrap_or_default();
    let asked = Asked {
        from: window.0,
        to: window.1,
        is_dry_run,
    };
    let place = asked.place(list);
    let cursor = fields.optional("cursor", |raw| {
        let cursor = parse::text(raw)?;
        let known = app.cursors.read(&place, &cursor);
        let rule = "must be a next_cursor of the same request, unchanged";
        known
            .and_then(|start| Start::from_text(&start))
            .ok_or(rule.to_owned())
    });
    fields.finish()?;
    Ok((asked, cursor))
}

/// Returns what an earlier call has read of an hour.
async fn kept(app: &App, organisation_id: &str, run: &str) -> Result<Part, ApiError> {
    let part = app.store.paused(organisation_id, run).await?;
    let gone = "what was read is no longer kept after an hour; start again without a cursor";
    part.ok_or_else(|| ApiError::field("cursor", gone))
}

/// Prices recorded usage anew, and books the difference.
///
/// `from` and `to` say when the usage arrived; they are widened to whole hours (UTC). Each event
/// gets the price that is in force now for its `occurred_at`. Usage that nobody counted, or whose
/// model has no price, keeps its charge; tokens that had no price and have one now are no longer
/// `unpriced_tokens`. Each department and month gets one correction, which counts like late usage;
/// with `dry_run` the answer only shows it. A repeated call, or one with an overlapping window,
/// books only what is not booked yet. A long window takes several calls: send `next_cursor` as
/// `cursor` within an hour to continue. An hour with much usage may take several calls, too: it is
/// booked by the last of them.
#[shared::endpoint(POST "/v1/prices/reprice", ADMIN)]
#[utoipa::path(
    operation_id = "reprice",
    tag = "Prices",
    params(IdempotencyKey),
    request_body(content = Reprice, example = json!({
        "from": "2026-11-01T00:00:00Z", "to": "2026-11-24T00:00:00Z", "dry_run": true
    })),
    responses(
        (status = 200, description = "The differences.", body = RepriceView),
        Invalid, Conflict, TooLarge, Denied,
    ),
)]
pub(crate) async fn reprice(
    State(app): State<App>,
    caller: Caller,
    RequestId(request_id): RequestId,
    headers: HeaderMap,
    Body(body): Body,
) -> Result<Response, ApiError> {
    let owner = caller.owner()?;
    let until = Instant::now() + app.test_time;
    let organisation_id = &owner.organisation_id;
    let list = format!("{organisation_id} reprice");
    let (asked, cursor) = read(&app, &list, &body)?;
    let idempotent = IdempotentRequest::of(&headers, &caller, "/v1/prices/reprice", &body)?;
    if let Some(answer) = answered_before(&app, idempotent.as_ref()).await? {
        return Ok(respond(answer));
    }
    asked.check_age(app.clock.now())?;
    let configuration = read_configuration(&app, owner).await?;
    let start = cursor.unwrap_or(Start {
        from: asked.from,
        to: asked.to,
        ..Start::default()
    });
    let part = match &start.run {
        Some(run) => Some(kept(&app, organisation_id, run).await?),
        None => None,
    };
    let hours = (start.from, start.to);
    let priced = Priced::read(&app, &configuration, hours, part, until).await?;
    let run = Run {
        app: &app,
        actor: &Actor::of(owner, &request_id),
        configuration: &configuration,
        priced: &priced,
        is_dry_run: asked.is_dry_run,
        now: app.clock.now(),
    };
    let Batch { items, next } = run.batch(asked.to, &start).await?;
    let place = asked.place(&list);
    let next = next.map(|start| app.cursors.write(&place, &start.to_text()));
    let answer = match asked.is_dry_run {
        true => json(200, run.shown(&items, next.as_deref())),
        false => {
            run.book(items, next.as_deref(), idempotent.as_ref())
                .await?
        }
    };
    alert_crossings(&app, owner, run.now).await;
    Ok(answer)
}
