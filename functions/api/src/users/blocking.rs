//! Blocks and releases users.

use super::edit::{Edit, change_user, check_not_own};
use super::schema::BlockUser;
use super::view::UserView;
use crate::App;
use crate::change::Actor;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};
use shared::domain::notice::blocking::{blocked_by_hand, released};
use shared::domain::org::people::Block;
use shared::runtime::auth::Caller;
use shared::runtime::error::ApiError;
use shared::runtime::fields::Fields;
use shared::runtime::http::{Body, RequestId};
use shared::runtime::openapi::{Conflict, Denied, IfMatch, Invalid, TooLarge, Unknown, UserId};
use shared::runtime::parse;
use shared::runtime::values::Reason;
use shared::store::new_id;

/// Refuses every request of a user from now on, until a time or until the user is released.
#[shared::endpoint(PUT "/v1/users/{id}/block", ADMIN)]
#[utoipa::path(
    operation_id = "blockUser",
    tag = "Users",
    params(("id" = UserId, Path, description = "The user."), IfMatch),
    request_body = BlockUser,
    responses(
        (status = 200, description = "The user with the block.", body = UserView),
        Invalid, Unknown, Conflict, TooLarge, Denied,
    ),
)]
pub(crate) async fn block(
    State(app): State<App>,
    caller: Caller,
    RequestId(request_id): RequestId,
    headers: HeaderMap,
    Path(id): Path<String>,
    Body(body): Body,
) -> Result<Response, ApiError> {
    let owner = caller.owner()?;
    let now = app.clock.now();
    let mut fields = Fields::of_body(&body)?;
    let reason = fields.required("reason", Reason::read);
    let until = fields.optional("until", parse::timestamp);
    if until.is_some_and(|until| until <= now) {
        fields.also_invalid("until", "must be in the future");
    }
    fields.finish()?;
    let actor = Actor::of(owner, &request_id);
    change_user(
        &app,
        &actor,
        &headers,
        &id,
        None,
        async |snapshot, mut user| {
            let superiors = app
                .store
                .superiors_of(&snapshot.configuration, &user)
                .await?;
            let block = Block {
                policy_id: None,
                reason: reason.clone(),
                since: now,
                until,
            };
            let ends_before = |current: &Block| {
                current.is_in_force(now)
                    && until.is_some_and(|until| current.until.is_none_or(|end| until < end))
            };
            if user.block.as_ref().is_some_and(ends_before) {
                check_not_own(owner, &user.id)?;
            }
            let says_the_same = |current: &Block| {
                current.is_in_force(now)
                    && current.policy_id.is_none()
                    && current.reason == reason
                    && current.until == until
            };
            // A repeated block sends no second notice.
            let notice = if user.block.as_ref().is_some_and(says_the_same) {
                None
            } else {
                let id = new_id("ntc_", now, 0)?;
                Some(blocked_by_hand(id, &user, &block, &superiors))
            };
            user.block = Some(block);
            Ok((user, Edit::Blocked(notice)))
        },
    )
    .await
}

/// Ends the block of a user, regardless of its origin. Releasing the user again changes nothing.
#[shared::endpoint(DELETE "/v1/users/{id}/block", ADMIN)]
#[utoipa::path(
    operation_id = "releaseUser",
    tag = "Users",
    params(("id" = UserId, Path, description = "The user."), IfMatch),
    responses(
        (status = 204, description = "The user is not blocked."),
        Invalid, Unknown, Conflict, Denied,
    ),
)]
pub(crate) async fn release(
    State(app): State<App>,
    caller: Caller,
    RequestId(request_id): RequestId,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let owner = caller.owner()?;
    let actor = Actor::of(owner, &request_id);
    let now = app.clock.now();
    change_user(
        &app,
        &actor,
        &headers,
        &id,
        None,
        async |snapshot, mut user| {
            let superiors = app
                .store
                .superiors_of(&snapshot.configuration, &user)
                .await?;
            let ended = user.block.take().filter(|block| block.is_in_force(now));
            let notice = match ended {
                Some(block) => {
                    check_not_own(owner, &user.id)?;
                    let id = new_id("ntc_", now, 0)?;
                    Some(released(id, &user, &block, &superiors, now))
                }
                None => None,
            };
            Ok((user, Edit::Released(notice)))
        },
    )
    .await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
