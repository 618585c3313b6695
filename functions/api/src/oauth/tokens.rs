//! Gives clients tokens for their id and secret.

use super::CLIENT;
use super::schema::TokenRequest;
use crate::App;
use crate::json::to_json;
use axum::extract::State;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, CACHE_CONTROL};
use http::{Extensions, HeaderMap, HeaderValue};
use serde::Serialize;
use shared::runtime::error::{ApiError, Detail, ErrorCode};
use shared::runtime::http::{Body, json};
use shared::runtime::list::form_pairs;
use shared::runtime::openapi::{Invalid, TooLarge, Unsigned};
use shared::runtime::random::{could_be_id, could_be_secret};
use shared::runtime::token::TOKEN_SECONDS;
use shared::store::{Credential, digest_of};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// The largest body of a request for a token, in bytes.
const MAX_FORM_BYTES: usize = 8 * 1024;

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
fn read_credentials(headers: &HeaderMap, body: &[u8]) -> Result<(String, String), ApiError> {
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
pub(crate) async fn create(
    State(app): State<App>,
    headers: HeaderMap,
    extensions: Extensions,
    Body(body): Body,
) -> Result<Response, ApiError> {
    let (id, secret) = read_credentials(&headers, &body)?;
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
        access_token: app.tokens.issue(&owner.organisation_id, &id, now).await?,
        token_type: "bearer",
        expires_in: TOKEN_SECONDS,
    };
    let mut response = json(200, to_json(&body));
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}
