//! Creates, lists and revokes API keys. Lists do not show secrets.

pub(crate) mod body;
pub(crate) mod filter;
pub(crate) mod schema;
pub(crate) mod view;

use self::body::{API_KEY, NewKey, check_bound};
use self::filter::KeyFilter;
use self::schema::CreateApiKey;
use self::view::{ApiKeyView, api_key_view};
use super::App;
use super::change::{Actor, Proposal, change, user_of};
use super::json::to_json;
use super::replay::{Answer, IdempotentRequest};
use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use http::HeaderMap;
use shared::domain::change::{Audited, Change};
use shared::domain::name::is_slug;
use shared::runtime::auth::Caller;
use shared::runtime::error::ApiError;
use shared::runtime::http::{Body, RequestId, json};
use shared::runtime::list::{PageBody, Parameters};
use shared::runtime::openapi::{
    Conflict, Denied, IdempotencyKey, Invalid, Page, Slug, TooLarge, Unknown, UserId,
};

/// Creates a key. Its secret is shown once.
#[shared::endpoint(POST "/v1/api-keys", ADMIN)]
#[utoipa::path(
    operation_id = "createApiKey",
    tag = "Keys",
    params(IdempotencyKey),
    request_body = CreateApiKey,
    responses(
        (status = 201, description = "The key.", body = ApiKeyView),
        Invalid, Unknown, Conflict, TooLarge, Denied,
    ),
)]
pub(crate) async fn create(
    State(app): State<App>,
    caller: Caller,
    RequestId(request_id): RequestId,
    headers: HeaderMap,
    Body(body): Body,
) -> Result<Response, ApiError> {
    let owner = caller.owner()?;
    let new = NewKey::read(&body)?;
    let idempotent = IdempotentRequest::of(&headers, &caller, "/v1/api-keys", &body)?;
    let (key, secret) = new.issue(API_KEY, owner.as_maker(), app.clock.now())?;
    let actor = Actor::of(owner, &request_id);
    change(&app, &actor, idempotent.as_ref(), async |_| {
        let user = user_of(&app, &owner.organisation_id, key.user_id.as_ref()).await?;
        check_bound(&key, user.as_ref())?;
        let answer = Answer {
            status: 201,
            body: to_json(&api_key_view(&key, Some(&secret))),
            secrets: vec![secret.clone()],
        };
        let json = to_json(&api_key_view(&key, None));
        let created = Change::ApiKeyCreated(Audited::new(key.clone(), json));
        Ok(Proposal::answering(created, answer))
    })
    .await
}

/// Lists the keys without their secrets: all of them, or those that one user has, answers for or
/// has made.
#[shared::endpoint(GET "/v1/api-keys", ADMIN)]
#[utoipa::path(
    operation_id = "listApiKeys",
    tag = "Keys",
    params(
        (
            "user_id" = Option<UserId>, Query,
            description = "Only those that are bound to this user.",
        ),
        (
            "responsible_user_id" = Option<UserId>, Query,
            description = "Only those that this user answers for: also keys without a user that \
                they made, or keys of theirs.",
        ),
        (
            "maker_user_id" = Option<UserId>, Query,
            description = "Only those that this user made, for any user, with one of their keys or \
                with a key that one of those made: the maker of a key has seen its secret.",
        ),
        Page,
    ),
    responses(
        (status = 200, description = "A page of them.", body = PageBody<ApiKeyView>),
        Invalid, Denied,
    ),
)]
pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let owner = caller.owner()?;
    let mut parameters = Parameters::of_query(query.as_deref());
    let filter = KeyFilter::read(&mut parameters);
    let list = format!("{} api-keys {filter:?}", owner.organisation_id);
    let asked = app.cursors.page(&mut parameters, &list);
    parameters.finish()?;
    let page = app
        .store
        .api_keys(
            &owner.organisation_id,
            |key| filter.admits(key),
            asked.after.as_deref(),
            asked.limit,
        )
        .await?;
    let items: Vec<_> = page
        .items
        .iter()
        .map(|key| api_key_view(key, None))
        .collect();
    let body = PageBody::new(items, page.next.as_deref(), &app.cursors, &list);
    Ok(json(200, to_json(&body)))
}

/// Revokes a key. It stops working within five seconds.
#[shared::endpoint(DELETE "/v1/api-keys/{id}", ADMIN)]
#[utoipa::path(
    operation_id = "deleteApiKey",
    tag = "Keys",
    params(("id" = Slug, Path, description = "The key.")),
    responses((status = 204, description = "It is gone."), Invalid, Unknown, Denied),
)]
pub(crate) async fn remove(
    State(app): State<App>,
    caller: Caller,
    RequestId(request_id): RequestId,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let owner = caller.owner()?;
    if !is_slug(&id) {
        return Err(ApiError::not_found("key"));
    }
    let actor = Actor::of(owner, &request_id);
    change(&app, &actor, None, async |_| {
        let key = app.store.api_key(&owner.organisation_id, &id).await?;
        let key = key.ok_or_else(|| ApiError::not_found("key"))?;
        let json = to_json(&api_key_view(&key, None));
        let deleted = Change::ApiKeyDeleted(Audited::new(key, json));
        Ok(Proposal::silent(deleted))
    })
    .await
}
