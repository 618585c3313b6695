//! OAuth 2.0 client credentials (RFC 6749, section 4.4). Clients are created, listed and deleted
//! like keys. They exchange their id and secret for a token that is valid for an hour.

use super::api_keys::{KeyFilter, NewKey, check_bound};
use super::change::{Actor, Proposal, change, user_of};
use super::openapi::bodies::{CreateApiKey, TokenRequest};
use super::replay::{Answer, IdempotentRequest};
use super::{App, view};
use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::header::{AUTHORIZATION, CACHE_CONTROL};
use http::{Extensions, HeaderMap, HeaderValue};
use serde::Serialize;
use shared::domain::change::{Audited, Change};
use shared::domain::name::is_slug;
use shared::domain::org::api_key::ApiKey;
use shared::domain::org::people::Role;
use shared::runtime::auth::Caller;
use shared::runtime::error::{ApiError, Detail, ErrorCode};
use shared::runtime::http::{Body, RequestId, json};
use shared::runtime::list::{PageBody, Parameters, form_pairs};
use shared::runtime::openapi::{
    Conflict, Denied, IdempotencyKey, Invalid, Moment, Page, Slug, TooLarge, Unknown, Unsigned,
    UserId,
};
use shared::runtime::random::{could_be_id, could_be_secret};
use shared::runtime::token::TOKEN_SECONDS;
use shared::store::{Credential, digest_of};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// The prefixes of a client's id and of its secret.
const CLIENT: [&str; 2] = ["oac_", "tks_"];
/// The largest body of a request for a token, in bytes.
const MAX_FORM_BYTES: usize = 8 * 1024;

#[derive(Serialize, ToSchema)]
#[schema(as = OauthClient)]
struct ClientView<'a> {
    client_id: &'a str,
    role: Role,
    #[schema(required = true)]
    user_id: Option<&'a str>,
    #[schema(required = true)]
    description: Option<&'a str>,
    #[schema(value_type = Moment)]
    created_at: String,
    /// Who made it, as the audit log names them: `key/key_1`; null if that was not kept.
    #[schema(required = true)]
    created_by: Option<&'a str>,
    /// Who answers for it: its user, or else the nearest user in the chain of keys that made it;
    /// null is the operator.
    #[schema(required = true)]
    responsible_user_id: Option<&'a str>,
    /// Everybody in the chain of keys that made it; the operator is not named.
    maker_user_ids: Vec<&'a str>,
    /// The secret; only in the answer to its creation.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    client_secret: Option<&'a str>,
}

fn shown<'a>(client: &'a ApiKey, secret: Option<&'a str>) -> ClientView<'a> {
    ClientView {
        client_id: &client.id,
        role: client.role,
        user_id: client.user_id.as_deref(),
        description: client.description.as_deref(),
        created_at: client.created_at.to_string(),
        created_by: client.made_by.as_ref().map(|maker| maker.actor.as_str()),
        responsible_user_id: client.responsible_user_id(),
        maker_user_ids: client.makers().into_iter().collect(),
        client_secret: secret,
    }
}

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
    let (client, secret) = new.made(CLIENT, owner.as_maker(), app.clock.now())?;
    let actor = Actor::of(owner, &request_id);
    change(&app, &actor, idempotent.as_ref(), async |_| {
        let user = user_of(&app, &owner.organisation_id, client.user_id.as_ref()).await?;
        check_bound(&client, user.as_ref())?;
        let answer = Answer {
            status: 201,
            body: view::text(&shown(&client, Some(&secret))),
            secrets: vec![secret.clone()],
        };
        let json = view::text(&shown(&client, None));
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
            description = "Those that are bound to this user only.",
        ),
        (
            "responsible_user_id" = Option<UserId>, Query,
            description = "Those that this user answers for only: also clients without a user that \
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
    let items = page.items.iter().map(|client| shown(client, None));
    let body = PageBody::new(items.collect(), page.next.as_deref(), &app.cursors, &list);
    Ok(json(200, view::text(&body)))
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
        let json = view::text(&shown(&client, None));
        let deleted = Change::OauthClientDeleted(Audited::new(client, json));
        Ok(Proposal::silent(deleted))
    })
    .await
}

/// Reads the id and secret of `Authorization: Basic`, if the header is there.
fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (id, secret) = decoded.split_once(':')?;
    Some((id.to_owned(), secret.to_owned()))
}

/// Reads the client's id and secret from the form or the header.
fn asked(headers: &HeaderMap, body: &[u8]) -> Result<(String, String), ApiError> {
    let form = std::str::from_utf8(body).ok();
    let form = form.filter(|form| form.len() <= MAX_FORM_BYTES);
    let form = form.ok_or_else(|| ApiError::field("body", "must be a form"))?;
    let mut fields: BTreeMap<String, String> = BTreeMap::new();
    let mut invalid: Vec<Detail> = Vec::new();
    let mut refuse = |field: &str, message: &str| {
        invalid.push(Detail {
            field: field.to_owned(),
            message: message.to_owned(),
        });
    };
    // A server has to ignore parameters that it does not know (RFC 6749, section 3.2).
    for (name, value) in form_pairs(form) {
        let is_known = ["grant_type", "client_id", "client_secret"].contains(&name.as_str());
        if is_known && fields.insert(name.clone(), value).is_some() {
            refuse(&name, "must be given once");
        }
    }
    match fields.get("grant_type").map(String::as_str) {
        Some("client_credentials") => {}
        Some(_) => refuse("grant_type", "must be client_credentials"),
        None => refuse(
            "grant_type",
            "is required, in a form: grant_type=client_credentials",
        ),
    }
    let mut take = |name: &str| fields.remove(name).unwrap_or_default();
    let by_form = (take("client_id"), take("client_secret"));
    let (id, secret) = basic(headers).unwrap_or(by_form);
    for (name, value) in [("client_id", &id), ("client_secret", &secret)] {
        if value.len() > 256 {
            refuse(name, "must have at most 256 characters");
        }
    }
    if !invalid.is_empty() {
        return Err(ApiError::invalid(invalid));
    }
    // A request without an id or secret gets a 401 (RFC 6749, section 5.2).
    if id.is_empty() || secret.is_empty() {
        let message = "send client_id and client_secret, in the form or as Authorization: Basic";
        return Err(ApiError::new(ErrorCode::Unauthorized, message));
    }
    Ok((id, secret))
}

#[derive(Serialize, ToSchema)]
#[schema(as = Token)]
struct TokenView {
    access_token: String,
    token_type: &'static str,
    expires_in: i64,
}

/// Gives a client a token for an hour. Send its id and secret in the form or as `Authorization:
/// Basic`.
#[shared::endpoint(POST "/v1/oauth/token", ANYBODY)]
#[utoipa::path(
    operation_id = "createToken",
    tag = "Keys",
    request_body(content = TokenRequest, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "The token.", body = TokenView),
        Invalid, TooLarge, Unsigned,
    ),
)]
pub(crate) async fn token(
    State(app): State<App>,
    headers: HeaderMap,
    extensions: Extensions,
    Body(body): Body,
) -> Result<Response, ApiError> {
    let (id, secret) = asked(&headers, &body)?;
    let unknown = || {
        let message = "the client is not known, or its secret is another one";
        app.keys.refusal(&extensions, message)
    };
    // Malformed ids and secrets were never issued, so the database is not asked.
    if !could_be_id(CLIENT[0], &id) || !could_be_secret(CLIENT[1], &secret) {
        return Err(unknown());
    }
    app.keys.check_source(&extensions)?;
    let found = app.store.find_owner(Credential::Client(&id), None).await?;
    let client = found.ok_or_else(unknown)?;
    if client.secret_digest != Some(digest_of(&secret)) {
        return Err(unknown());
    }
    let now = app.clock.now();
    let owner = client.owner.empowered(&client.backing, now);
    // A client without rights gets no token, and no status of its own that tells it apart.
    let owner =
        owner.map_err(|why| ApiError::new(ErrorCode::Unauthorized, why.message("client")))?;
    let body = TokenView {
        access_token: app.tokens.issue(&owner.organisation_id, &id, now)?,
        token_type: "bearer",
        expires_in: TOKEN_SECONDS,
    };
    let mut response = json(200, view::text(&body));
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}
