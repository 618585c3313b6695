//! Checks events and makes them durable: `POST /v1/events`, and GitHub's webhooks. Accepted means that the queue has it; nothing is recorded
//! here, and one bad event never refuses its neighbours.

mod body;
mod github;
pub mod openapi;
mod read;
mod send;

use axum::Router;
use axum::extract::{FromRef, State};
use axum::response::Response;
use axum::routing::post;
use openapi::EventsBody;
use serde::Serialize;
use shared::domain::people::Role;
use shared::domain::usage::{Event, EventMessage};
use shared::runtime::auth::{Caller, Keys, may_act_for};
use shared::runtime::clock::Clock;
use shared::runtime::error::{ApiError, Detail, ErrorCode};
use shared::runtime::fields::Fields;
use shared::runtime::http::{Body, finished, json};
use shared::runtime::logs::{self, Metric};
use shared::runtime::openapi::{Denied, Invalid, TooLarge};
use shared::runtime::parse;
use shared::runtime::rate::{self, Rates};
use shared::runtime::sealing::Sealer;
use shared::runtime::token::Tokens;
use shared::store::{KeyOwner, Store};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use tokio::sync::Semaphore;
use utoipa::ToSchema;

/// The most events of one request.
pub const MAX_EVENTS: usize = 500;
/// The most users that an instance remembers to exist.
const MAX_KNOWN_USERS: usize = 100_000;

/// What the function has for all its requests.
#[derive(Clone, Debug)]
pub struct App {
    store: Store,
    keys: Keys,
    sqs: aws_sdk_sqs::Client,
    queue_url: String,
    clock: Clock,
    sealer: Sealer,
    /// Users that were found to exist, by organisation and id; they never cease to.
    known_users: Arc<Mutex<HashSet<(String, String)>>>,
    /// Places for bodies of webhooks that are larger than those of other requests.
    large_bodies: Arc<Semaphore>,
}

impl App {
    /// The function in front of the queue at `queue_url`.
    pub fn new(
        store: Store,
        sqs: aws_sdk_sqs::Client,
        queue_url: String,
        (sealer, tokens): (Sealer, Tokens),
        clock: Clock,
    ) -> Self {
        let keys = Keys::new(
            store.clone(),
            tokens,
            Rates::of(rate::TRAFFIC),
            clock.clone(),
        );
        Self {
            sealer,
            keys,
            store,
            sqs,
            queue_url,
            clock,
            known_users: Arc::default(),
            large_bodies: Arc::new(Semaphore::new(body::LARGE_AT_ONCE)),
        }
    }

    async fn user_exists(&self, organisation_id: &str, user_id: &str) -> Result<bool, ApiError> {
        let key = (organisation_id.to_owned(), user_id.to_owned());
        if self
            .known_users
            .lock()
            .is_ok_and(|known| known.contains(&key))
        {
            return Ok(true);
        }
        let exists = self.store.user(organisation_id, user_id).await?.is_some();
        if exists && let Ok(mut known) = self.known_users.lock() {
            if known.len() >= MAX_KNOWN_USERS {
                known.clear();
            }
            known.insert(key);
        }
        Ok(exists)
    }
}

impl App {
    /// The same with other limits for each key.
    #[must_use]
    pub fn with_rates(self, rates: Rates) -> Self {
        Self {
            keys: self.keys.with_rates(rates),
            ..self
        }
    }
}

impl FromRef<App> for Keys {
    fn from_ref(app: &App) -> Self {
        app.keys.clone()
    }
}

/// The function's routes.
pub fn router(app: App) -> Router {
    finished(routes()).with_state(app)
}

/// The routes without what surrounds them, to be served beside those of other functions.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/v1/events", post(events))
        .route("/v1/integrations/github/{id}", post(github::receive))
}

/// An event that was not accepted.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RejectedEvent)]
struct Rejected {
    index: usize,
    #[schema(required = true)]
    event_id: Option<String>,
    error: &'static str,
    message: String,
    details: Vec<Detail>,
}

impl Rejected {
    fn new(index: usize, event_id: Option<String>, error: &'static str, message: &str) -> Self {
        Self {
            index,
            event_id,
            error,
            message: message.to_owned(),
            details: Vec::new(),
        }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = AcceptedEvents)]
struct EventsView {
    accepted: usize,
    rejected: Vec<Rejected>,
}

/// Takes up to 500 events. Accepted means durable; each counts once, by its `event_id`, however often it is sent.
///
/// One bad event never refuses its neighbours: it is in `rejected`, and the status is 202.
#[utoipa::path(
    post,
    path = "/v1/events",
    operation_id = "reportEvents",
    tag = "Requests",
    request_body(content = EventsBody, example = json!({"events": [{
        "event_id": "e-1", "type": "llm_request", "occurred_at": "2026-11-23T12:00:00Z", "user_id": "ada",
        "provider": "openai", "model": "gpt-4o", "input_tokens": 1000, "output_tokens": 500
    }]})),
    responses(
        (status = 202, description = "How many are durable, and which are not.", body = EventsView),
        Invalid, TooLarge, Denied
    ),
)]
async fn events(
    State(app): State<App>,
    caller: Caller,
    Body(body): Body,
) -> Result<Response, ApiError> {
    let owner = caller.owner()?;
    let mut fields = Fields::of_body(&body)?;
    let raw_events = fields.required("events", parse::list(1, MAX_EVENTS));
    fields.finish()?;
    let now = app.clock.now();
    let mut rejected = Vec::new();
    let mut messages = Vec::new();
    let mut checked: HashMap<String, bool> = HashMap::new();
    for (index, raw) in raw_events.iter().enumerate() {
        let event = match read::event(raw, index, &owner.organisation_id, now) {
            Ok(event) => event,
            Err((event_id, details)) => {
                let error = ApiError::invalid(details);
                rejected.push(Rejected {
                    details: error.details,
                    ..Rejected::new(index, event_id, error.code.as_str(), &error.message)
                });
                continue;
            }
        };
        if let Some((code, message)) = refusal(&app, owner, &event, &mut checked).await? {
            let event_id = Some(event.event_id().to_owned());
            rejected.push(Rejected::new(index, event_id, code, message));
            continue;
        }
        let message = EventMessage {
            organisation_id: owner.organisation_id.clone(),
            received_at: now,
            event,
        };
        messages.push((index, message));
    }
    let sent = messages.len();
    let failed = send::all(&app.sqs, &app.queue_url, &messages).await;
    if sent > 0 && failed.len() == sent {
        return Err(ApiError::new(
            ErrorCode::Unavailable,
            "the queue does not answer; the request may be repeated, each event counts once",
        ));
    }
    logs::count(&[(Metric::EventsAccepted, logs::number_of(sent - failed.len()))]);
    for (index, message) in &messages {
        if failed.contains(index) {
            let event_id = Some(message.event.event_id().to_owned());
            let said = "the queue did not take it; send it again, it counts once";
            rejected.push(Rejected::new(*index, event_id, "unavailable", said));
        }
    }
    rejected.sort_by_key(|rejected| rejected.index);
    let view = EventsView {
        accepted: sent - failed.len(),
        rejected,
    };
    Ok(json(202, serde_json::to_string(&view).unwrap_or_default()))
}

/// Why a well-formed event may not be reported by this key, if so.
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
