//! Checks events and makes them durable: `POST /v1/events`, and GitHub's webhooks.
//!
//! Accepted means that the queue has the event. Events are only claimed here, not recorded. One
//! invalid event never causes another to be refused.

mod app;
mod body;
mod claims;
mod github;
pub mod openapi;
mod provider_usage;
mod read;
mod send;
mod usage;
mod view;

pub use app::App;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use claims::Candidate;
use openapi::{EventsBody, NothingAccepted};
use shared::domain::ledger::usage::{Event, EventMessage, Operation};
use shared::domain::org::people::Role;
use shared::runtime::auth::{Caller, acts_for_all, may_act_for};
use shared::runtime::error::ApiError;
use shared::runtime::fields::Fields;
use shared::runtime::http::{Body, RequestId, finished};
use shared::runtime::logs::{self, Metric};
use shared::runtime::openapi::{Denied, TooLarge};
use shared::runtime::parse;
use shared::store::KeyOwner;
use std::collections::HashMap;
use view::{EventsView, Rejected, answer, view_of};

/// The most events of one request.
pub const MAX_EVENTS: usize = 500;

shared::endpoints! {
    App: events, github::receive
}

pub fn router(app: App) -> Router {
    finished(routes()).with_state(app)
}

/// Takes up to 500 events. Accepted means durable. Each counts once, however often it is sent.
///
/// Two events are the same if their user, `type` and `event_id` are equal. The same body again is
/// in `duplicates`, another body in `conflicts`. One invalid event never causes another to be
/// refused: it is in `rejected`. The status is 202 if any event is accepted or a duplicate,
/// otherwise 400.
#[shared::endpoint(POST "/v1/events", TRAFFIC, WHILE_BLOCKED)]
#[utoipa::path(
    operation_id = "reportEvents",
    tag = "Requests",
    request_body(content = EventsBody, example = json!({"events": [{
        "event_id": "e-1", "type": "llm_request", "occurred_at": "2026-11-23T12:00:00Z",
        "user_id": "ada", "provider": "openai", "model": "gpt-4o",
        "input_tokens": 1000, "output_tokens": 500
    }, {
        "event_id": "e-2", "type": "llm_request", "occurred_at": "2026-11-23T12:00:00Z",
        "user_id": "ada", "provider": "anthropic", "model": "claude-sonnet-4-5",
        "usage": {
            "input_tokens": 3, "cache_creation_input_tokens": 12304, "output_tokens": 550
        }
    }]})),
    responses(
        (status = 202, description = "How many are durable, and which are not.", body = EventsView),
        (status = 400, description = "The input is wrong: as a whole, or every event of it.",
            body = NothingAccepted),
        TooLarge, Denied
    ),
)]
async fn events(
    State(app): State<App>,
    caller: Caller,
    RequestId(request_id): RequestId,
    Body(body): Body,
) -> Result<Response, ApiError> {
    let owner = caller.owner()?;
    let mut fields = Fields::of_body(&body)?;
    let raw_events = fields.required("events", parse::list(1, MAX_EVENTS));
    fields.finish()?;
    let now = app.clock.now();
    let mut rejected = Vec::new();
    let mut candidates = Vec::new();
    let mut checked: HashMap<String, bool> = HashMap::new();
    for (index, raw) in raw_events.iter().enumerate() {
        let event = match read::event(raw, index, &owner.organisation_id, now) {
            // Nobody sets their own price.
            Ok(event) if !acts_for_all(owner) => event.without_cost(),
            Ok(event) => event,
            Err((event_id, details)) => {
                let error = ApiError::invalid(details);
                let code = error.code.as_str();
                let mut invalid = Rejected::new(index, event_id, code, &error.message);
                invalid.details = error.details;
                rejected.push(invalid);
                continue;
            }
        };
        if let Some((code, message)) = refusal(&app, owner, &event, &mut checked).await? {
            let event_id = Some(event.event_id().to_owned());
            rejected.push(Rejected::new(index, event_id, code, message));
            continue;
        }
        candidates.push(Candidate::new(index, event));
    }
    let organisation_id = &owner.organisation_id;
    let sorted = claims::sort(&app.store, organisation_id, &request_id, &candidates, now).await;
    let messages: Vec<(usize, EventMessage)> = sorted
        .iter()
        .filter(|of| of.is_kept && of.carried_by == Some(of.candidate.index))
        .map(|of| {
            let message = EventMessage {
                organisation_id: organisation_id.clone(),
                received_at: now,
                event: of.candidate.event.clone(),
            };
            (of.candidate.index, message)
        })
        .collect();
    let mut failed = send::all(&app.sqs, &app.queue_url, &messages).await;
    let not_kept = sorted.iter().filter(|of| !of.is_kept);
    failed.extend(not_kept.filter_map(|of| of.carried_by));
    let view = view_of(&sorted, rejected, &failed);
    logs::count(&[(Metric::EventsAccepted, logs::number_of(view.accepted))]);
    answer(view, !failed.is_empty(), request_id)
}

/// Returns why this key may not report a well-formed event. None if it may.
async fn refusal(
    app: &App,
    owner: &KeyOwner,
    event: &Event,
    checked: &mut HashMap<String, bool>,
) -> Result<Option<(&'static str, &'static str)>, ApiError> {
    let user_id = match event {
        Event::LlmRequest(usage) => Some(&usage.user_id),
        Event::IpRisk(risk) => risk.user_id.as_ref(),
    };
    let Some(user_id) = user_id else {
        let is_bound = matches!(owner.role, Role::Member | Role::Manager);
        return Ok(is_bound.then_some(("forbidden", "this key reports for its own user only")));
    };
    if !may_act_for(owner, user_id) {
        return Ok(Some((
            "forbidden",
            "this key reports for its own user only",
        )));
    }
    if let Event::LlmRequest(usage) = event
        && matches!(usage.operation, Operation::Batch | Operation::Aggregate)
        && owner.user_id.is_some()
    {
        let said = "operation: a key that is bound to a user reports single requests, and no \
                    batches or sums of them";
        return Ok(Some(("forbidden", said)));
    }
    let exists = match checked.get(user_id) {
        Some(exists) => *exists,
        None => {
            let exists = app.user_exists(&owner.organisation_id, user_id).await?;
            checked.insert(user_id.clone(), exists);
            exists
        }
    };
    Ok((!exists).then_some(("unknown_user", "user_id: there is no such user")))
}
