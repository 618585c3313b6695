//! Publishes and disables policies.

use super::edit::change_policy;
use super::find_policy;
use super::view::{PolicyView, policy_answer, policy_json};
use crate::App;
use crate::body::no_fields;
use crate::change::{Actor, Proposal, check_version};
use axum::extract::{Path, State};
use axum::response::Response;
use http::HeaderMap;
use shared::domain::change::{Change, Update};
use shared::domain::policy::{MAX_ACTIVE, PolicyStatus};
use shared::runtime::auth::Caller;
use shared::runtime::error::ApiError;
use shared::runtime::http::{Body, RequestId, json};
use shared::runtime::openapi::{Conflict, Denied, IfMatch, Invalid, Slug, TooLarge, Unknown};

/// Publishes the newest version. It is evaluated from the next batch of events on. Publishing it
/// again changes nothing.
#[shared::endpoint(POST "/v1/policies/{id}/publish", ADMIN)]
#[utoipa::path(
    operation_id = "publishPolicy",
    tag = "Policies",
    params(("id" = Slug, Path, description = "The policy."), IfMatch),
    responses(
        (status = 200, description = "The policy as it is now.", body = PolicyView),
        Invalid, Unknown, Conflict, TooLarge, Denied,
    ),
)]
pub(crate) async fn publish(
    State(app): State<App>,
    caller: Caller,
    RequestId(request_id): RequestId,
    headers: HeaderMap,
    Path(id): Path<String>,
    Body(body): Body,
) -> Result<Response, ApiError> {
    let owner = caller.owner()?;
    no_fields(&body)?;
    let policy = find_policy(&app, &owner.organisation_id, &id).await?;
    if policy.status == PolicyStatus::Active && policy.draft.is_none() {
        check_version(&headers, policy.version)?;
        return Ok(json(200, policy_json(&policy)));
    }
    let actor = Actor::of(owner, &request_id);
    let now = app.clock.now();
    change_policy(
        &app,
        &actor,
        &headers,
        &id,
        async |snapshot, before, mut after| {
            let is_new = before.status != PolicyStatus::Active;
            if is_new && snapshot.head.policies.active >= MAX_ACTIVE {
                let message =
                    format!("at most {MAX_ACTIVE} policies may be active; disable one first");
                return Err(ApiError::conflict(message));
            }
            after.rule = after.newest().clone();
            after.draft = None;
            after.status = PolicyStatus::Active;
            after.published_at = Some(now);
            let answer = policy_answer(200, &after, &[]);
            let policy = Update::new(before, after, policy_json);
            Ok(Proposal::answering(Change::PolicyPublished(policy), answer))
        },
    )
    .await
}

/// Stops the evaluation and deletes nothing. Disabling it again changes nothing.
#[shared::endpoint(POST "/v1/policies/{id}/disable", ADMIN)]
#[utoipa::path(
    operation_id = "disablePolicy",
    tag = "Policies",
    params(("id" = Slug, Path, description = "The policy."), IfMatch),
    responses(
        (status = 200, description = "The policy as it is now.", body = PolicyView),
        Invalid, Unknown, Conflict, TooLarge, Denied,
    ),
)]
pub(crate) async fn disable(
    State(app): State<App>,
    caller: Caller,
    RequestId(request_id): RequestId,
    headers: HeaderMap,
    Path(id): Path<String>,
    Body(body): Body,
) -> Result<Response, ApiError> {
    let owner = caller.owner()?;
    no_fields(&body)?;
    let policy = find_policy(&app, &owner.organisation_id, &id).await?;
    if policy.status == PolicyStatus::Disabled {
        check_version(&headers, policy.version)?;
        return Ok(json(200, policy_json(&policy)));
    }
    let actor = Actor::of(owner, &request_id);
    change_policy(&app, &actor, &headers, &id, async |_, before, mut after| {
        if before.status == PolicyStatus::Draft {
            let message = "it is a draft and was never published; delete it, or leave it";
            return Err(ApiError::conflict(message));
        }
        after.status = PolicyStatus::Disabled;
        let answer = policy_answer(200, &after, &[]);
        let policy = Update::new(before, after, policy_json);
        Ok(Proposal::answering(Change::PolicyDisabled(policy), answer))
    })
    .await
}
