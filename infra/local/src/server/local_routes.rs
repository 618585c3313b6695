//! The routes under `/local`, for tests and demonstrations: the clock, queues, mails and the
//! schedule.

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use shared::domain::notice::suppression::Reason;
use shared::runtime::clock::Clock;
use shared::runtime::error::{ApiError, ErrorCode};
use shared::runtime::fields::Fields;
use shared::runtime::http::Body;
use shared::runtime::logs::note;
use shared::runtime::{parse, random};
use shared::store::Store;
use std::time::{Duration, Instant};

use super::bounces::{BOUNCE_KINDS, Bounce};
use crate::drain;
use crate::event_source::Mappings;
use crate::names::{DEAD_EVENTS, NOTICES, ORGANISATION};
use crate::services::Services;
use crate::sqs::QueueError;

/// The most dead letters in an answer.
const MAX_DEAD_LETTERS: usize = 10;
/// The most notices in an answer.
const MAX_NOTICES: usize = 100;
/// The years that the clock may be set to. Within them, no sum of times overflows.
const YEARS: std::ops::RangeInclusive<i16> = 2000..=2099;

/// The time limit of a run of the schedule.
const SCHEDULE_TIME: Duration = Duration::from_secs(300);

/// The parts of a system that the local routes show and change.
#[derive(Clone, Debug)]
pub(crate) struct LocalState {
    pub(crate) services: Services,
    pub(crate) store: Store,
    pub(crate) clock: Clock,
    pub(crate) mappings: Mappings,
    pub(crate) reset: reset::App,
}

pub(crate) fn routes() -> Router<LocalState> {
    Router::new()
        .route("/local/emails", get(emails))
        .route("/local/bounces", post(bounces))
        .route("/local/bus", get(bus))
        .route("/local/bucket", get(bucket))
        .route("/local/queues", get(queues))
        .route("/local/notices", get(notices))
        .route("/local/meter", get(meter))
        .route("/local/drain", post(drain))
        .route("/local/clock", get(clock).put(set_clock))
        .route("/local/schedule", post(schedule))
}

async fn emails(State(local): State<LocalState>) -> Json<Value> {
    Json(json!({"items": local.services.mails.sent()}))
}

/// Reports that the newest mail to an address bounced, or that its recipient complained.
async fn bounces(
    State(local): State<LocalState>,
    Body(body): Body,
) -> Result<Json<Value>, ApiError> {
    let mut fields = Fields::of_body(&body)?;
    let email = fields.required("email", parse::email);
    let kind = fields.required("type", parse::one_of(BOUNCE_KINDS));
    let permanent = fields.optional("permanent", parse::boolean);
    fields.finish()?;
    let sent = local.services.mails.sent();
    let of_mail = sent.iter().rev().find(|mail| mail.to == email);
    let bounce = Bounce {
        email: &email,
        kind: kind.unwrap_or(Reason::Bounce),
        is_permanent: permanent.unwrap_or(true),
        tags: of_mail.map(|mail| mail.tags.clone()),
        at: local.clock.now(),
    };
    let id = random::id("feedback-")?;
    let message = bounce.message(&id);
    local
        .services
        .queues
        .send(NOTICES, &message, Duration::ZERO)
        .map_err(queues_failed)?;
    Ok(Json(json!({"queued": true, "feedback_id": id})))
}

/// Lists the newest events of the bus, oldest first.
async fn bus(State(local): State<LocalState>) -> Json<Value> {
    Json(json!({"items": local.services.bus.events()}))
}

/// Lists the objects in the bucket of the audit logs' heads.
async fn bucket(State(local): State<LocalState>) -> Json<Value> {
    let objects = local.services.bucket.objects().into_iter();
    let items = objects.map(|(name, body)| json!({"name": name, "body": body}));
    Json(json!({"items": items.collect::<Vec<_>>()}))
}

/// Reports the round trips and write units of each function since the start, in tenths of a unit.
async fn meter(State(local): State<LocalState>) -> Json<Value> {
    Json(json!({"callers": local.services.engine.meter().callers}))
}

#[derive(Serialize)]
struct QueueBody {
    name: String,
    visible: usize,
    in_flight: usize,
    released: usize,
    delayed: usize,
}

async fn queues(State(local): State<LocalState>) -> Result<Json<Value>, ApiError> {
    let items: Vec<QueueBody> = local
        .services
        .queues
        .depths()
        .into_iter()
        .map(|(name, counts)| QueueBody {
            name,
            visible: counts.visible,
            in_flight: counts.in_flight,
            released: counts.released,
            delayed: counts.delayed,
        })
        .collect();
    let dead = local
        .services
        .queues
        .peek(DEAD_EVENTS, MAX_DEAD_LETTERS)
        .map_err(queues_failed)?;
    let dead_letters: Vec<String> = dead.into_iter().map(|message| message.body).collect();
    Ok(Json(json!({"items": items, "dead_letters": dead_letters})))
}

/// Lists the newest notices of the organisation `demo`.
async fn notices(State(local): State<LocalState>) -> Result<Json<Value>, ApiError> {
    let page = local.store.notices(ORGANISATION, None, MAX_NOTICES).await?;
    Ok(Json(json!({"items": page.items})))
}

async fn drain(State(local): State<LocalState>) -> Result<Json<Value>, ApiError> {
    drain::drain(&local.mappings, &local.services.queues)
        .await
        .map_err(queues_failed)?;
    Ok(Json(json!({"drained": true})))
}

fn queues_failed(error: QueueError) -> ApiError {
    note("the queues failed", &error);
    ApiError::new(
        ErrorCode::Internal,
        "the local queues failed; the log says why",
    )
}

async fn clock(State(local): State<LocalState>) -> Json<Value> {
    Json(json!({"now": local.clock.now().to_string()}))
}

async fn set_clock(
    State(local): State<LocalState>,
    Body(body): Body,
) -> Result<Json<Value>, ApiError> {
    let mut fields = Fields::of_body(&body)?;
    let now = fields.required("now", time_of_clock);
    fields.finish()?;
    let before = local.clock.now();
    local.clock.set(now);
    // Delayed messages are due sooner by the time that passed.
    let passed = now.duration_since(before);
    local
        .services
        .queues
        .shorten_delays(Duration::try_from(passed).unwrap_or_default());
    Ok(clock(State(local)).await)
}

fn time_of_clock(raw: &str) -> Result<Timestamp, String> {
    let now = parse::timestamp(raw)?;
    let year = now.to_zoned_datetime(jiff::tz::TimeZone::UTC).year();
    if YEARS.contains(&year) {
        Ok(now)
    } else {
        Err(format!(
            "must be in the years {} to {}",
            YEARS.start(),
            YEARS.end()
        ))
    }
}

/// Runs the schedule now, as EventBridge does each hour.
async fn schedule(State(local): State<LocalState>) -> Result<Json<Value>, ApiError> {
    let report = reset::handle(&local.reset, Instant::now() + SCHEDULE_TIME).await?;
    Ok(Json(json!({"fired": true, "report": report})))
}
