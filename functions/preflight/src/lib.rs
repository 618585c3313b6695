//! Decides and holds before a request leaves the browser: `POST /v1/preflight`, `PATCH` and `DELETE /v1/holds/{id}`.
//!
//! A warm decision is one conditional write. What it knows of the organisation is cached and right exactly while
//! the cell has the same epoch, which every decision checks.

mod answer;
mod cold;
mod decide;
mod holding;
#[cfg(feature = "openapi")]
pub mod openapi;
mod places;
mod refusals;
mod renew;
mod undecided;

pub use refusals::Refusals;

use axum::Router;
use axum::extract::{FromRef, Path, State};
use axum::response::{IntoResponse, Response};
use decide::{Decision, Verdict};
use http::StatusCode;
#[cfg(feature = "openapi")]
use openapi::PreflightBody;
use places::Places;
use refusals::AskedFor;
use shared::domain::configuration::OnUnavailable;
use shared::domain::estimate::{Input, MAX_INPUT_BYTES, MAX_TOKENS, PreflightRequest};
use shared::domain::hold::HoldId;
use shared::ledger::VoidOutcome;
use shared::runtime::auth::{Caller, Keys, may_act_for};
use shared::runtime::clock::Clock;
use shared::runtime::configuration_cache::ConfigurationCache;
use shared::runtime::error::{ApiError, ErrorCode};
use shared::runtime::fields::Fields;
use shared::runtime::http::finished;
use shared::runtime::logs::{self, ErrorType, Metric};
#[cfg(feature = "openapi")]
use shared::runtime::openapi::{
    Conflict, Denied, HoldId as HoldIdText, Invalid, TooLarge, Unknown,
};
use shared::runtime::parse;
use shared::runtime::rate::{self, Rates};
use shared::runtime::token::Tokens;
use shared::store::{KeyOwner, Store};
use std::time::Duration;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout_at};
use undecided::Known;

/// How often a decision is begun anew because the configuration changed meanwhile.
const ATTEMPTS: u32 = 8;

/// What the function has for all its requests.
#[derive(Clone, Debug)]
pub struct App {
    store: Store,
    keys: Keys,
    cache: ConfigurationCache,
    clock: Clock,
    on_unavailable: OnUnavailable,
    refusals: Refusals,
    places: Places,
    time: Option<Duration>,
}

/// How long a decision may take: what a person waits for who has sent nothing yet.
const TIME: Duration = Duration::from_millis(1_500);

/// When a decision has to be made, by a clock that nobody sets; none waits for ever.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(Option<Instant>);

impl Deadline {
    /// Does `work` unless that takes too long.
    pub(crate) async fn limit<T>(self, work: impl Future<Output = T>) -> Result<T, Elapsed> {
        match self.0 {
            Some(at) => timeout_at(at, work).await,
            None => Ok(work.await),
        }
    }
}

impl App {
    /// The function on `store`, which tells of what it refuses to `refusals`; `on_unavailable` is the answer where not even the configuration can be read.
    pub fn new(
        store: Store,
        clock: Clock,
        on_unavailable: OnUnavailable,
        (tokens, refusals): (Tokens, Refusals),
    ) -> Self {
        let keys = Keys::new(
            store.clone(),
            tokens,
            Rates::of(rate::TRAFFIC),
            clock.clone(),
        );
        Self {
            keys: keys.through_outages("/v1/preflight"),
            cache: ConfigurationCache::new(store.clone()),
            store,
            clock,
            on_unavailable,
            refusals,
            places: Places::default(),
            time: Some(TIME),
        }
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

impl App {
    /// The same with another time for a decision; none has no limit.
    #[must_use]
    pub fn with_time(self, time: Option<Duration>) -> Self {
        Self { time, ..self }
    }

    /// The end of a decision that begins now.
    fn deadline(&self) -> Deadline {
        Deadline(self.time.and_then(|time| Instant::now().checked_add(time)))
    }
}

impl FromRef<App> for Keys {
    fn from_ref(app: &App) -> Self {
        app.keys.clone()
    }
}

shared::endpoints! {
    #[cfg(feature = "openapi")]
    App: preflight, void, renew::renew
}

/// The function's routes.
pub fn router(app: App) -> Router {
    finished(routes()).with_state(app)
}

/// Decides whether a request may be sent, and holds what it may use at every level above its user.
///
/// A refusal is a 200 too. While its hold lives, the same `request_id` of the same user gets the same hold again: a
/// client's retry holds once. A `request_id` is made for one request and must not be a user's to choose behind a
/// gateway. Nothing is held for a request of no tokens.
#[shared::endpoint(POST "/v1/preflight", TRAFFIC, WHILE_BLOCKED)]
#[cfg_attr(feature = "openapi", utoipa::path(
    operation_id = "preflight",
    tag = "Requests",
    request_body(content = PreflightBody, example = json!({
        "request_id": "r-1", "user_id": "ada", "provider": "openai", "model": "gpt-4o",
        "input_tokens": 1000, "max_output_tokens": 3000
    })),
    responses(
        (status = 200, description = "The decision.", body = answer::DecisionBody),
        Invalid, Conflict, TooLarge, Denied
    ),
))]
async fn preflight(State(app): State<App>, asked: cold::Asked) -> Result<Response, ApiError> {
    let cold::Asked {
        caller,
        has_answered,
        body,
        deadline,
    } = asked;
    let caller = match caller {
        Ok(caller) => caller,
        // Whose key it is cannot be asked: the deployment decides, and nothing of an organisation is told.
        Err(error) if error.code == ErrorCode::Unavailable => {
            let request = read(&body)?;
            let decision = Known::nothing(app.on_unavailable).undecided(has_answered);
            return Ok(answered(&decision, &request));
        }
        Err(error) => return Err(error),
    };
    let owner = caller.owner()?;
    let request = read(&body)?;
    if !may_act_for(owner, &request.user_id) {
        return Err(ApiError::forbidden("this key acts for its own user only"));
    }
    let decision = decide::decide(&app, &owner.organisation_id, &request, deadline).await?;
    let asked = AskedFor {
        request_id: &request.request_id,
        user_id: &request.user_id,
        model: &request.model,
    };
    app.refusals
        .tell(&owner.organisation_id, asked, &decision, app.clock.now())
        .await;
    Ok(answered(&decision, &request))
}

/// The answer to a request, which is counted.
fn answered(decision: &Decision, request: &PreflightRequest) -> Response {
    let outcome = match decision.verdict {
        Verdict::Allow(_) => Metric::PreflightsAllowed,
        Verdict::Block { .. } => Metric::PreflightsBlocked,
    };
    logs::count(&[(outcome, 1)]);
    if decision.is_degraded {
        let error_type = ErrorType::DecisionWithoutDatabase.as_str();
        tracing::error!(error_type, "a decision without the database");
    }
    answer::response(decision, request)
}

fn read(body: &[u8]) -> Result<PreflightRequest, ApiError> {
    let mut fields = Fields::of_body(body)?;
    let request_id = fields.required("request_id", parse::client_id);
    let user_id = fields.required("user_id", parse::user_id);
    let model = fields.required("model", parse::sentence(200));
    let provider = fields.optional("provider", parse::sentence(100));
    let input = match (fields.has("input_tokens"), fields.has("input_bytes")) {
        (true, false) => {
            Input::Tokens(fields.required("input_tokens", parse::whole(0, MAX_TOKENS)))
        }
        (false, true) => {
            Input::Bytes(fields.required("input_bytes", parse::whole(0, MAX_INPUT_BYTES)))
        }
        (has_tokens, _) => {
            fields.take_only_one("input_tokens", "input_bytes", has_tokens);
            Input::Tokens(0)
        }
    };
    let max_output_tokens = fields.optional("max_output_tokens", parse::whole(0, MAX_TOKENS));
    fields.finish()?;
    Ok(PreflightRequest {
        request_id,
        user_id,
        model,
        provider,
        input,
        max_output_tokens,
    })
}

/// Reads the id of a hold that the owner of a key may act on. Those of others are unknown to them.
fn own_hold_id(owner: &KeyOwner, id: &str) -> Result<HoldId, ApiError> {
    let unknown = || ApiError::not_found("hold");
    let hold_id = HoldId::parse(id).ok_or_else(unknown)?;
    let organisation_id = &owner.organisation_id;
    let is_own = |user_id: &String| hold_id.rid.belongs_to(organisation_id, user_id);
    if !may_act_for(owner, "") && !owner.user_id.as_ref().is_some_and(is_own) {
        return Err(unknown());
    }
    Ok(hold_id)
}

/// Gives a hold back that nobody will use. Given back again, nothing changes.
#[shared::endpoint(DELETE "/v1/holds/{id}", TRAFFIC, WHILE_BLOCKED)]
#[cfg_attr(feature = "openapi", utoipa::path(
    operation_id = "releaseHold",
    tag = "Requests",
    params(("id" = HoldIdText, Path, description = "The hold.")),
    responses((status = 204, description = "Nothing of it is held any more, or its usage was accepted and is about to settle it."), Invalid, Unknown, Denied),
))]
async fn void(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let owner = caller.owner()?;
    let organisation_id = &owner.organisation_id;
    let hold_id = own_hold_id(owner, &id)?;
    for _ in 0..ATTEMPTS {
        let configuration = app.cache.configuration(organisation_id).await?;
        let now = app.clock.now();
        match app.store.void(&configuration, &hold_id, now).await? {
            VoidOutcome::NotHeld => return Ok(StatusCode::NO_CONTENT.into_response()),
            VoidOutcome::Unknown => return Err(ApiError::not_found("hold")),
            VoidOutcome::AnotherEpoch => app.cache.forget(&configuration),
        }
    }
    Err(shared::store::StoreError::Contended.into())
}
