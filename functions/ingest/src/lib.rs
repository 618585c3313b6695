//! Checks events and makes them durable: `POST /v1/events`, and GitHub's webhooks. Accepted means that the queue has it. Nothing is recorded
//! here, only claimed, and one bad event never refuses its neighbours.

mod body;
mod claims;
mod github;
pub mod openapi;
mod read;
mod send;

use axum::Router;
use axum::extract::{FromRef, State};
use axum::response::Response;
use claims::{Candidate, Sorted, Standing};
use openapi::{EventsBody, NothingAccepted};
use serde::Serialize;
use shared::domain::people::Role;
use shared::domain::usage::{Event, EventMessage, Operation};
use shared::runtime::auth::{Caller, Keys, may_act_for};
use shared::runtime::clock::Clock;
use shared::runtime::error::{ApiError, Detail, ErrorCode};
use shared::runtime::fields::Fields;
use shared::runtime::http::{Body, RequestId, finished, json_of};
use shared::runtime::logs::{self, Metric};
use shared::runtime::openapi::{Denied, TooLarge};
use shared::runtime::parse;
use shared::runtime::rate::{self, Rates};
use shared::runtime::sealing::Sealer;
use shared::runtime::token::Tokens;
use shared::store::{KeyOwner, Store};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;
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

    /// The same, believing keys for so long.
    #[must_use]
    pub fn believing_keys(self, believed: Duration) -> Self {
        Self {
            keys: self.keys.believing(believed),
            ..self
        }
    }
}

impl FromRef<App> for Keys {
    fn from_ref(app: &App) -> Self {
        app.keys.clone()
    }
}

shared::endpoints! {
    App: events, github::receive
}

/// The function's routes.
pub fn router(app: App) -> Router {
    finished(routes()).with_state(app)
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
    fn of(candidate: &Candidate, error: &'static str, message: &str) -> Self {
        let event_id = candidate.event.event_id().to_owned();
        Self::new(candidate.index, Some(event_id), error, message)
    }

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
    /// Events that are new and durable.
    accepted: usize,
    /// Events that came before with the same body. They count once.
    duplicates: usize,
    /// Events that are wrong, each with what is wrong.
    rejected: Vec<Rejected>,
    /// Events that came before with another body. They are kept and marked; one that names a hold of its
    /// own is charged to it, and no other counts.
    conflicts: Vec<Rejected>,
}

/// The answer if nothing was accepted.
#[derive(Serialize)]
struct NothingAcceptedView {
    error: &'static str,
    message: &'static str,
    details: Vec<Detail>,
    request_id: String,
    #[serde(flatten)]
    events: EventsView,
}

/// The most fields that the answer names of events of which none was accepted.
const MAX_DETAILS: usize = 100;

/// Takes up to 500 events. Accepted means durable. Each counts once, however often it is sent.
///
/// An event is the same as another if its user, `type` and `event_id` are. The same body again is in
/// `duplicates`, another body in `conflicts`. One bad event never refuses its neighbours: it is in `rejected`. The
/// status is 202 if any event is accepted or a duplicate, otherwise 400.
#[shared::endpoint(POST "/v1/events", TRAFFIC, WHILE_BLOCKED)]
#[utoipa::path(
    operation_id = "reportEvents",
    tag = "Requests",
    request_body(content = EventsBody, example = json!({"events": [{
        "event_id": "e-1", "type": "llm_request", "occurred_at": "2026-11-23T12:00:00Z", "user_id": "ada",
        "provider": "openai", "model": "gpt-4o", "input_tokens": 1000, "output_tokens": 500
    }]})),
    responses(
        (status = 202, description = "How many are durable, and which are not.", body = EventsView),
        (status = 400, description = "The input is wrong: as a whole, or every event of it.", body = NothingAccepted),
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

/// What is said of each event, in the order of the request.
fn view_of(
    sorted: &[Sorted<'_>],
    mut rejected: Vec<Rejected>,
    failed: &HashSet<usize>,
) -> EventsView {
    let (mut accepted, mut duplicates, mut conflicts) = (0, 0, Vec::new());
    for of in sorted {
        if of.carried_by.is_some_and(|index| failed.contains(&index)) {
            let said = "it could not be taken now; send it again, it counts once";
            rejected.push(Rejected::of(of.candidate, "unavailable", said));
            continue;
        }
        match of.standing {
            Standing::New => accepted += 1,
            Standing::Duplicate => duplicates += 1,
            Standing::Conflict => {
                let said = "another event of this user and type has this event_id; give each event an id of its own";
                conflicts.push(Rejected::of(of.candidate, "conflict", said));
            }
        }
    }
    rejected.sort_by_key(|rejected| rejected.index);
    EventsView {
        accepted,
        duplicates,
        rejected,
        conflicts,
    }
}

/// 202 if anything is durable, otherwise what is in the way of all of it.
fn answer(view: EventsView, has_failed: bool, request_id: String) -> Result<Response, ApiError> {
    if view.accepted + view.duplicates > 0 {
        return Ok(json_of(202, &view));
    }
    if has_failed {
        return Err(ApiError::new(
            ErrorCode::Unavailable,
            "events cannot be taken at the moment; the request may be repeated, each event counts once",
        ));
    }
    let details = view.rejected.iter().flat_map(|rejected| &rejected.details);
    let view = NothingAcceptedView {
        error: ErrorCode::BadRequest.as_str(),
        message: "no event was accepted; rejected and conflicts say why",
        details: details.take(MAX_DETAILS).cloned().collect(),
        request_id,
        events: view,
    };
    Ok(json_of(400, &view))
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
    if let Event::LlmRequest(usage) = event
        && matches!(usage.operation, Operation::Batch | Operation::Aggregate)
        && owner.user_id.is_some()
    {
        let said = "operation: a key that is bound to a user reports single requests, and no batches or sums of them";
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
