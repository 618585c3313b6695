//! Keys: made, listed without their secrets, revoked.

use super::act::{Actor, Needs, Prepared, change};
use super::openapi::bodies::CreateApiKey;
use super::replay::{Answer, IdempotentRequest};
use super::{App, view};
use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use http::HeaderMap;
use jiff::Timestamp;
use shared::domain::name::is_slug;
use shared::domain::people::Role;
use shared::runtime::auth::Caller;
use shared::runtime::error::ApiError;
use shared::runtime::fields::Fields;
use shared::runtime::http::{Body, RequestId, json};
use shared::runtime::list::PageBody;
use shared::runtime::openapi::{
    Conflict, Denied, IdempotencyKey, Invalid, Page, Slug, TooLarge, Unknown,
};
use shared::runtime::{parse, random};
use shared::store::{ApiKey, Row, digest_of};

const ROLES: &[(&str, Option<Role>)] = &[
    ("admin", Some(Role::Admin)),
    ("manager", Some(Role::Manager)),
    ("member", Some(Role::Member)),
    ("agent", Some(Role::Agent)),
];

/// What the id of a key and its secret begin with.
pub(crate) const API_KEY: [&str; 2] = ["key_", "tk_"];

/// What a new key or client may do and whom it is bound to.
pub(crate) struct NewKey {
    pub(crate) role: Role,
    pub(crate) user_id: Option<String>,
    pub(crate) description: Option<String>,
}

impl NewKey {
    /// The key under a new id, with its secret: each with its prefix.
    pub(crate) fn made(
        self,
        [id, secret]: [&str; 2],
        now: Timestamp,
    ) -> Result<(ApiKey, String), ApiError> {
        let secret = random::secret(secret)?;
        let key = ApiKey {
            id: random::id(id)?,
            role: self.role,
            user_id: self.user_id,
            description: self.description,
            created_at: now,
            digest: digest_of(&secret),
        };
        Ok((key, secret))
    }

    pub(crate) fn read(body: &[u8]) -> Result<Self, ApiError> {
        let mut fields = Fields::of_body(body)?;
        let role = fields.required("role", parse::one_of(ROLES));
        let user_id = fields.optional("user_id", parse::user_id);
        let description = fields.optional("description", parse::display_name);
        match role {
            Some(Role::Member | Role::Manager) if user_id.is_none() => {
                fields.also_invalid("user_id", "is required for the roles member and manager");
            }
            Some(Role::Agent) if user_id.is_some() => {
                fields.also_invalid("user_id", "must not be given for the role agent");
            }
            _ => {}
        }
        fields.finish()?;
        Ok(Self {
            role: role.unwrap_or(Role::Member),
            user_id,
            description,
        })
    }
}

/// Makes a key, which is shown once.
#[utoipa::path(
    post,
    path = "/v1/api-keys",
    operation_id = "createApiKey",
    tag = "Keys",
    params(IdempotencyKey),
    request_body = CreateApiKey,
    responses(
        (status = 201, description = "The key.", body = view::ApiKeyView),
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
    let (key, secret) = new.made(API_KEY, app.clock.now())?;
    let needs = Needs {
        users: key.user_id.iter().cloned().collect(),
        ..Needs::default()
    };
    let actor = Actor::of(owner, &request_id);
    change(&app, &actor, &needs, idempotent.as_ref(), |loaded| {
        loaded.check_user("user_id", key.user_id.as_ref())?;
        let resource = format!("api_key/{}", key.id);
        let mut prepared = Prepared::new(loaded, "api_key.create", resource);
        prepared
            .rows
            .extend(Row::api_key(&owner.organisation_id, &key)?);
        prepared.after = Some(view::text(&view::api_key(&key, None)));
        let answer = Answer {
            status: 201,
            body: view::text(&view::api_key(&key, Some(&secret))),
            secrets: vec![secret.clone()],
        };
        prepared.answer = Box::new(move |_| answer.clone());
        Ok(prepared)
    })
    .await
}

/// Lists the keys without their secrets.
#[utoipa::path(
    get,
    path = "/v1/api-keys",
    operation_id = "listApiKeys",
    tag = "Keys",
    params(Page),
    responses(
        (status = 200, description = "A page of them.", body = PageBody<view::ApiKeyView>),
        Invalid, Denied,
    ),
)]
pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let owner = caller.owner()?;
    let list = format!("{} api-keys", owner.organisation_id);
    let asked = app.page(query.as_deref(), &list)?;
    let page = app
        .store
        .api_keys(&owner.organisation_id, asked.after.as_deref(), asked.limit)
        .await?;
    let items: Vec<_> = page
        .items
        .iter()
        .map(|key| view::api_key(key, None))
        .collect();
    let body = PageBody::new(items, page.next.as_deref(), &app.cursors, &list);
    Ok(json(200, view::text(&body)))
}

/// Revokes a key, within five seconds.
#[utoipa::path(
    delete,
    path = "/v1/api-keys/{id}",
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
    let needs = Needs {
        api_key: Some(id.clone()),
        ..Needs::default()
    };
    let actor = Actor::of(owner, &request_id);
    change(&app, &actor, &needs, None, |loaded| {
        let key = loaded.api_key.as_ref();
        let key = key.ok_or_else(|| ApiError::not_found("key"))?;
        let mut prepared = Prepared::new(loaded, "api_key.delete", format!("api_key/{id}"));
        prepared
            .rows
            .extend(Row::no_api_key(&owner.organisation_id, key));
        prepared.before = Some(view::text(&view::api_key(key, None)));
        Ok(prepared)
    })
    .await
}
