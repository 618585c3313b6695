//! OAuth 2.0 client credentials (RFC 6749, section 4.4). Clients are created, listed and deleted
//! like keys. They exchange their id and secret for a token that is valid for an hour.

mod schema;
pub(crate) mod tokens;
mod view;

use self::view::{ClientView, client_view};
use super::App;
use super::api_keys::body::{NewKey, check_bound};
use super::api_keys::filter::KeyFilter;
use super::api_keys::schema::CreateApiKey;
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

/// The prefixes of a client's id and of its secret.
const CLIENT: [&str; 2] = ["oac_", "tks_"];

/// Creates a client that may ask for tokens. Its secret is shown once.
#[shared::endpoint(POST "/v1/oauth/clients", ADMIN)]
#[utoipa::path(
    operation_id = "createOauthClient",
    tag = "Keys",
    params(IdempotencyKey),
    request_body = CreateApiKey,
    responses(
        (status = 201, description = "The client.", body = ClientView),
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
    let idempotent = IdempotentRequest::of(&headers, &caller, "/v1/oauth/clients", &body)?;
    let (client, secret) = new.issue(CLIENT, owner.as_maker(), app.clock.now())?;
    let actor = Actor::of(owner, &request_id);
    change(&app, &actor, idempotent.as_ref(), async |_| {
        let user = user_of(&app, &owner.organisation_id, client.user_id.as_ref()).await?;
        check_bound(&client, user.as_ref())?;
        let answer = Answer {
            status: 201,
            body: to_json(&client_view(&client, Some(&secret))),
            secrets: vec![secret.clone()],
        };
        let json = to_json(&client_view(&client, None));
        let created = Change::OauthClientCreated(Audited::new(client.clone(), json));
        Ok(Proposal::answering(created, answer))
    })
    .await
}

/// Lists the clients without their secrets: all of them, or those that one user has, answers for or
/// has made.
#[shared::endpoint(GET "/v1/oauth/clients", ADMIN)]
#[utoipa::path(
    operation_id = "listOauthClients",
    tag = "Keys",
    params(
        (
            "user_id" = Option<UserId>, Query,
            description = "Only those that are bound to this user.",
        ),
        (
            "responsible_user_id" = Option<UserId>, Query,
            description = "Only those that this user answers for: also clients without a user that \
                they made, or keys of theirs.",
        ),
        (
            "maker_user_id" = Option<UserId>, Query,
            description = "Only those that this user made, for any user, with one of their keys or \
                with a key that one of those made: the maker of a client has seen its secret.",
        ),
        Page,
    ),
    responses(
        (status = 200, description = "A page of them.", body = PageBody<ClientView>),
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
    let list = format!("{} oauth-clients {filter:?}", owner.organisation_id);
    let asked = app.cursors.page(&mut parameters, &list);
    parameters.finish()?;
    let page = app
        .store
        .clients(
            &owner.organisation_id,
            |client| filter.admits(client),
            asked.after.as_deref(),
            asked.limit,
        )
        .await?;
    let items = page.items.iter().map(|client| client_view(client, None));
    let body = PageBody::new(items.collect(), page.next.as_deref(), &app.cursors, &list);
    Ok(json(200, to_json(&body)))
}

/// Deletes a client. Its tokens stop working within five seconds.
#[shared::endpoint(DELETE "/v1/oauth/clients/{id}", ADMIN)]
#[utoipa::path(
    operation_id = "deleteOauthClient",
    tag = "Keys",
    params(("id" = Slug, Path, description = "The client.")),
    responses(
        (status = 204, description = "It is gone."),
        Invalid, Unknown, Denied,
    ),
)]
pub(crate) async fn remove(
    State(app): State<App>,
    caller: Caller,
    RequestId(request_id): RequestId,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let owner = caller.owner()?;
    if !is_slug(&id) {
        return Err(ApiError::not_found("client"));
    }
    let actor = Actor::of(owner, &request_id);
    change(&app, &actor, None, async |_| {
        let client = app.store.client_of(&owner.organisation_id, &id).await?;
        let client = client.ok_or_else(|| ApiError::not_found("client"))?;
        let json = to_json(&client_view(&client, None));
        let deleted = Change::OauthClientDeleted(Audited::new(client, json));
        Ok(Proposal::silent(deleted))
    })
    .await
}
