//! Creates, lists and revokes API keys. Lists do not show secrets.

use super::change::{Actor, Proposal, change, check_user, user_of};
use super::openapi::bodies::CreateApiKey;
use super::replay::{Answer, IdempotentRequest};
use super::{App, view};
use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use http::HeaderMap;
use jiff::Timestamp;
use shared::domain::change::{Audited, Change};
use shared::domain::name::{is_slug, is_user_id};
use shared::domain::org::api_key::ApiKey;
use shared::domain::org::authority::{MAX_MAKERS, Maker};
use shared::domain::org::people::{Role, User};
use shared::runtime::auth::{Caller, KEY_PREFIX};
use shared::runtime::error::ApiError;
use shared::runtime::fields::Fields;
use shared::runtime::http::{Body, RequestId, json};
use shared::runtime::list::{PageBody, Parameters};
use shared::runtime::openapi::{
    Conflict, Denied, IdempotencyKey, Invalid, Page, Slug, TooLarge, Unknown, UserId,
};
use shared::runtime::{parse, random};
use shared::store::digest_of;

const ROLES: &[(&str, Option<Role>)] = &[
    ("admin", Some(Role::Admin)),
    ("manager", Some(Role::Manager)),
    ("member", Some(Role::Member)),
    ("agent", Some(Role::Agent)),
];

/// The prefixes of a key's id and of its secret.
pub(crate) const API_KEY: [&str; 2] = ["key_", KEY_PREFIX];

/// The role and the user of a new key or client.
pub(crate) struct NewKey {
    pub(crate) role: Role,
    pub(crate) user_id: Option<String>,
    pub(crate) description: Option<String>,
}

impl NewKey {
    /// Returns the key under a new id and its secret, each with its prefix.
    pub(crate) fn made(
        self,
        [id, secret]: [&str; 2],
        made_by: Maker,
        now: Timestamp,
    ) -> Result<(ApiKey, String), ApiError> {
        if made_by.people().len() > MAX_MAKERS {
            let message = format!(
                "the chain of keys that made this one has {MAX_MAKERS} people already; make the \
                    new key with one whose chain is shorter"
            );
            return Err(ApiError::conflict(message));
        }
        let secret = random::secret(secret)?;
        let key = ApiKey {
            id: random::id(id)?,
            role: self.role,
            user_id: self.user_id,
            description: self.description,
            created_at: now,
            made_by: Some(made_by),
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

/// Creates a key. Its secret is shown once.
#[shared::endpoint(POST "/v1/api-keys", ADMIN)]
#[utoipa::path(
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
    let (key, secret) = new.made(API_KEY, owner.as_maker(), app.clock.now())?;
    let actor = Actor::of(owner, &request_id);
    change(&app, &actor, idempotent.as_ref(), async |_| {
        let user = user_of(&app, &owner.organisation_id, key.user_id.as_ref()).await?;
        check_bound(&key, user.as_ref())?;
        let answer = Answer {
            status: 201,
            body: view::text(&view::api_key(&key, Some(&secret))),
            secrets: vec![secret.clone()],
        };
        let json = view::text(&view::api_key(&key, None));
        let created = Change::ApiKeyCreated(Audited::new(key.clone(), json));
        Ok(Proposal::answering(created, answer))
    })
    .await
}

/// Refuses a key for a user who does not exist, or for a role above its user's.
pub(crate) fn check_bound(key: &ApiKey, user: Option<&User>) -> Result<(), ApiError> {
    check_user("user_id", key.user_id.as_ref(), user)?;
    match user {
        Some(user) if !key.role.is_within(user.role) => Err(ApiError::field(
            "role",
            format!(
                "must not be above the user's own: {} is a {}",
                user.id,
                user.role.as_str()
            ),
        )),
        _ => Ok(()),
    }
}

/// Filters a list of keys or clients.
#[derive(Debug, Default)]
pub(crate) struct KeyFilter {
    user_id: Option<String>,
    responsible_user_id: Option<String>,
    maker_user_id: Option<String>,
}

impl KeyFilter {
    /// Reads the parameters of a list of keys or clients. They may name users who were deleted.
    pub(crate) fn read(parameters: &mut Parameters) -> Self {
        let mut user = |name: &str| {
            parameters.take(name, "must be a user's id", |text| {
                is_user_id(text).then(|| text.to_owned())
            })
        };
        Self {
            user_id: user("user_id"),
            responsible_user_id: user("responsible_user_id"),
            maker_user_id: user("maker_user_id"),
        }
    }

    pub(crate) fn admits(&self, key: &ApiKey) -> bool {
        let fits = |wanted: &Option<String>, is: Option<&str>| {
            wanted.as_ref().is_none_or(|wanted| is == Some(wanted))
        };
        fits(&self.user_id, key.user_id.as_deref())
            && fits(&self.responsible_user_id, key.responsible_user_id())
            && self
                .maker_user_id
                .as_ref()
                .is_none_or(|wanted| key.makers().contains(wanted.as_str()))
    }
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
            description = "Those that are bound to this user only.",
        ),
        (
            "responsible_user_id" = Option<UserId>, Query,
            description = "Those that this user answers for only: also keys without a user that \
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
        .map(|key| view::api_key(key, None))
        .collect();
    let body = PageBody::new(items, page.next.as_deref(), &app.cursors, &list);
    Ok(json(200, view::text(&body)))
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
        let json = view::text(&view::api_key(&key, None));
        let deleted = Change::ApiKeyDeleted(Audited::new(key, json));
        Ok(Proposal::silent(deleted))
    })
    .await
}
