//! Tests a policy on stored events with the same evaluation as live.
//!
//! It reads the records in order of arrival for as long as a call may take. The cursor in the
//! answer continues with the rest. The counts so far are kept for an hour.

mod view;

use self::view::{TestView, test_view};
use super::find_policy;
use super::schema::{TestPolicy, WindowDays};
use crate::App;
use crate::in_force::read_configuration;
use crate::json::to_json;
use axum::extract::{Path, State};
use axum::response::Response;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp};
use shared::domain::org::configuration::Configuration;
use shared::domain::policy::{ActivePolicy, Replay, Window};
use shared::runtime::auth::Caller;
use shared::runtime::error::ApiError;
use shared::runtime::fields::Fields;
use shared::runtime::http::{Body, json};
use shared::runtime::openapi::{Denied, Invalid, Slug, TooLarge, Unknown};
use shared::runtime::{parse, random};
use shared::store::Paused;
use std::time::Instant;

/// The window without `window_days`, in days.
const DEFAULT_DAYS: i64 = 30;
/// The most entries that a test remembers: months and days of users and departments, and firings.
/// They take about ten megabytes if the test has to pause.
const MAX_REMEMBERED: usize = 400_000;

/// Tests a policy on past events: its draft if there is one, the published version otherwise.
///
/// A long window is answered in parts: send `next_cursor` as `cursor` to continue.
#[shared::endpoint(POST "/v1/policies/{id}/test", ADMIN)]
#[utoipa::path(
    operation_id = "testPolicy",
    tag = "Policies",
    params(("id" = Slug, Path, description = "The policy.")),
    request_body(content = Option<TestPolicy>, example = json!({"window_days": 30})),
    responses(
        (status = 200, description = "What it would have done.", body = TestView),
        Invalid, Unknown, TooLarge, Denied,
    ),
)]
pub(crate) async fn test(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Body(body): Body,
) -> Result<Response, ApiError> {
    let owner = caller.owner()?;
    let until = Instant::now() + app.test_time;
    let organisation_id = &owner.organisation_id;
    let list = format!("{organisation_id} test {id}");
    let body: &[u8] = if body.is_empty() { b"{}" } else { &body };
    let mut fields = Fields::of_body(body)?;
    let window_days = fields.optional("window_days", WindowDays::read);
    let run = fields.optional("cursor", |raw| {
        let cursor = parse::text(raw)?;
        let rule = "must be a next_cursor of a test of this policy, unchanged";
        app.cursors.read(&list, &cursor).ok_or(rule.to_owned())
    });
    if run.is_some() && window_days.is_some() {
        fields.also_invalid(
            "window_days",
            "must not be given with a cursor, which has its window",
        );
    }
    fields.finish()?;
    let policy = find_policy(&app, organisation_id, &id).await?;
    let configuration = read_configuration(&app, owner).await?;
    let mut paused = match run {
        Some(run) => {
            let paused = app.store.paused::<Paused>(organisation_id, &run).await?;
            let gone = "the test is no longer kept after an hour; start again without a cursor";
            paused.ok_or_else(|| ApiError::field("cursor", gone))?
        }
        None => {
            let to = app.clock.now();
            let days = SignedDuration::from_hours(24 * window_days.unwrap_or(DEFAULT_DAYS));
            let window = Window {
                from: to.saturating_sub(days).unwrap_or(to),
                to,
            };
            let tried = ActivePolicy {
                id: policy.id.clone(),
                version: policy.version,
                rule: policy.newest().clone(),
            };
            begin(Replay::new(tried, window), &configuration)
        }
    };
    let is_complete = go_on(&app, &configuration, &mut paused, until).await?;
    let next_cursor = if is_complete {
        None
    } else {
        let run = random::id("run_")?;
        let now = app.clock.now();
        app.store.pause(organisation_id, &run, &paused, now).await?;
        Some(app.cursors.write(&list, &run))
    };
    let evaluated_until = match (&paused.after, is_complete) {
        (Some(after), false) => after.split('#').next().unwrap_or_default().to_owned(),
        (None, false) => format!("{}T00:00:00Z", paused.day),
        (_, true) => paused.replay.window.to.to_string(),
    };
    let view = test_view(&paused.replay, evaluated_until, next_cursor);
    Ok(json(200, to_json(&view)))
}

/// Returns the place of the first record that a test has to read.
fn begin(replay: Replay, configuration: &Configuration) -> Paused {
    let first = replay.begins_at(configuration);
    Paused {
        day: day_of(first),
        after: Some(first.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()),
        replay,
    }
}

fn day_of(at: Timestamp) -> jiff::civil::Date {
    at.to_zoned_datetime(TimeZone::UTC).date()
}

/// Evaluates the remaining records. Returns false if the time ran out first.
async fn go_on(
    app: &App,
    configuration: &Configuration,
    paused: &mut Paused,
    until: Instant,
) -> Result<bool, ApiError> {
    let zone = configuration.organisation.zone();
    let last = day_of(paused.replay.window.to);
    while paused.day <= last {
        let page = app
            .store
            .arrivals(configuration, &zone, paused.day, paused.after.as_deref())
            .await?;
        for facts in &page.facts {
            paused.replay.arrive(facts, configuration);
        }
        if paused.replay.size() > MAX_REMEMBERED {
            let message =
                "the window has more users and days than a test can remember; take fewer days";
            return Err(ApiError::field("window_days", message));
        }
        paused.after = page.next;
        if paused.after.is_none() {
            paused.day = paused.day.saturating_add(Span::new().days(1));
        }
        if paused.day <= last && Instant::now() >= until {
            return Ok(false);
        }
    }
    Ok(true)
}
