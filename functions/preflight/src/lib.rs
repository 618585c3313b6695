//! Decides and holds before a request leaves the browser: `POST /v1/preflight`, `PATCH` and
//! `DELETE /v1/holds/{id}`.
//!
//! A warm decision is one conditional write. The organisation's configuration is cached. It is
//! valid while the cell has the same epoch, and every decision checks that.

mod answer;
mod app;
mod cold;
mod deadline;
mod decide;
mod decision;
mod help;
mod holding;
#[cfg(feature = "openapi")]
pub mod openapi;
mod places;
mod refusals;
mod renew;
mod renewal_body;
mod request;
mod storms;
mod sums;
mod undecided;
mod warnings;

pub use app::App;
pub use cold::read_ahead;
pub use refusals::Refusals;

use app::{ATTEMPTS, Timed};
use axum::Router;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use decision::{Decision, Verdict};
use http::StatusCode;
use jiff::Timestamp;
#[cfg(feature = "openapi")]
use openapi::PreflightBody;
use refusals::AskedFor;
use shared::domain::ledger::estimate::PreflightRequest;
use shared::domain::ledger::hold_id::HoldId;
use shared::ledger::VoidOutcome;
use shared::runtime::auth::{acts_for_all, may_act_for};
use shared::runtime::error::{ApiError, ErrorCode};
use shared::runtime::http::finished;
use shared::runtime::list::Parameters;
use shared::runtime::logs::{self, ErrorType, Metric};
#[cfg(feature = "openapi")]
use shared::runtime::openapi::{
    Conflict, Denied, HoldId as HoldIdText, Invalid, TooLarge, Unknown,
};
use shared::store::KeyOwner;
use undecided::Known;

shared::endpoints! {
    #[cfg(feature = "openapi")]
    App: preflight, void, renew::renew
}

pub fn router(app: App) -> Router {
    finished(routes()).with_state(app)
}

/// Decides whether a request may be sent, and holds what it may use at every level above its user.
///
/// A refusal is a 200 too. While its hold lives, the same `request_id` of the same user gets the
/// same hold again, so a retry holds once. Each request needs its own `request_id`. A gateway makes
/// it itself: its users must not be able to choose it. Nothing is held if the request has no
/// tokens.
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
        request,
        deadline,
    } = asked;
    let caller = match caller {
        Ok(caller) => caller,
        // The key's owner cannot be read: the deployment decides, and tells nothing of any
        // organisation.
        Err(error) if error.code == ErrorCode::Unavailable => {
            let request = request?;
            let decision = Known::nothing(app.on_unavailable).undecided(has_answered);
            return Ok(answered(&decision, &request, app.clock.now()));
        }
        Err(error) => return Err(error),
    };
    let owner = caller.owner()?;
    let mut request = request?;
    if !may_act_for(owner, &request.user_id) {
        return Err(ApiError::forbidden("this key acts for its own user only"));
    }
    if !acts_for_all(owner) {
        // Nobody sets their own price.
        request.reported_pico_usd = None;
    }
    let decision = decide::decide(&app, &owner.organisation_id, &request, deadline).await?;
    let asked = AskedFor {
        request_id: &request.request_id,
        user_id: &request.user_id,
        model: &request.model,
    };
    app.refusals
        .notify(
            &owner.organisation_id,
            asked,
            &decision,
            app.clock.now(),
            deadline,
        )
        .await;
    Ok(answered(&decision, &request, app.clock.now()))
}

/// Counts a decision and returns its response.
fn answered(decision: &Decision, request: &PreflightRequest, now: Timestamp) -> Response {
    let outcome = match decision.verdict {
        Verdict::Allow(_) => Metric::PreflightsAllowed,
        Verdict::Block { .. } => Metric::PreflightsBlocked,
    };
    let price = decision.price.as_ref();
    let is_unsure = price.is_some_and(|price| price.kind.is_unsure());
    let unsure = is_unsure.then_some((Metric::PreflightsUnsure, 1));
    let counted: Vec<(Metric, u64)> = [(outcome, 1)].into_iter().chain(unsure).collect();
    logs::count(&counted);
    if decision.is_degraded {
        let error_type = ErrorType::DecisionWithoutDatabase.as_str();
        tracing::error!(error_type, "a decision without the database");
    }
    answer::response(decision, request, now)
}

/// Reads the id of a hold that the owner of a key may act on. A hold of somebody else is unknown.
fn own_hold_id(owner: &KeyOwner, id: &str) -> Result<HoldId, ApiError> {
    let unknown = || ApiError::not_found("hold");
    let hold_id = HoldId::parse(id).ok_or_else(unknown)?;
    let organisation_id = &owner.organisation_id;
    let is_own = |user_id: &String| hold_id.rid.belongs_to(organisation_id, user_id);
    if !acts_for_all(owner) && !owner.user_id.as_ref().is_some_and(is_own) {
        return Err(unknown());
    }
    Ok(hold_id)
}

/// Releases a hold that will not be used, and with `lease=true` all others of its lease that are
/// not settled, too. If it is released again, nothing changes.
#[shared::endpoint(DELETE "/v1/holds/{id}", TRAFFIC, WHILE_BLOCKED)]
#[cfg_attr(feature = "openapi", utoipa::path(
    operation_id = "releaseHold",
    tag = "Requests",
    params(
        ("id" = HoldIdText, Path, description = "The hold."),
        (
            "lease" = Option<bool>, Query,
            description = "Whether to release all holds of its lease. Call it if none of its \
                requests is under way: usage that is reported later counts as usage without a \
                hold.",
        ),
    ),
    responses(
        (status = 204, description =
            "Nothing of it is held any more, or its usage was accepted and is about to settle it."),
        Invalid, Unknown, Denied
    ),
))]
async fn void(
    State(app): State<App>,
    Timed { caller, deadline }: Timed,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let owner = caller.owner()?;
    let mut parameters = Parameters::of_query(query.as_deref());
    let choices = [("true", true), ("false", false)];
    let is_lease = parameters.one_of("lease", &choices).unwrap_or(false);
    parameters.finish()?;
    let hold_id = own_hold_id(owner, &id)?;
    let releasing = released(&app, &owner.organisation_id, &hold_id, is_lease);
    deadline.limit(releasing).await??;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Releases a hold, or all of its lease, under the configuration in force.
async fn released(
    app: &App,
    organisation_id: &str,
    hold_id: &HoldId,
    is_lease: bool,
) -> Result<(), ApiError> {
    for _ in 0..ATTEMPTS {
        let configuration = app.cache.configuration(organisation_id).await?;
        let now = app.clock.now();
        let store = &app.store;
        let voided = match is_lease {
            true => store.void_lease(&configuration, hold_id, now).await?,
            false => store.void(&configuration, hold_id, now).await?,
        };
        match voided {
            VoidOutcome::NotHeld => {
                app.storms.forget(organisation_id);
                return Ok(());
            }
            VoidOutcome::Unknown => return Err(ApiError::not_found("hold")),
            VoidOutcome::StaleConfiguration => app.cache.forget(&configuration),
        }
    }
    Err(shared::store::StoreError::Contended.into())
}
