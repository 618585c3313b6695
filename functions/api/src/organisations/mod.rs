//! Organisations, for the operator.

mod schema;
pub(crate) mod settings;
mod view;

use self::schema::CreateOrganisation;
use self::view::{
    AdminKeyView, CreatedView, OrganisationView, organisation_json, organisation_view,
};
use super::App;
use super::api_keys::body::{API_KEY, NewKey};
use super::api_keys::view::api_key_view;
use super::body::no_fields;
use super::change::{Actor, Proposal, answered_before, change, respond};
use super::json::to_json;
use super::replay::{Answer, IdempotentRequest};
use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use http::HeaderMap;
use shared::domain::change::{Audited, Author, Change};
use shared::domain::name::is_slug;
use shared::domain::org::api_key::ApiKey;
use shared::domain::org::authority::{Maker, OPERATOR};
use shared::domain::org::organisation::Organisation;
use shared::domain::org::people::Role;
use shared::ledger::Created;
use shared::runtime::auth::Caller;
use shared::runtime::error::ApiError;
use shared::runtime::fields::Fields;
use shared::runtime::http::{Body, RequestId, json};
use shared::runtime::list::PageBody;
use shared::runtime::openapi::{
    Conflict, Denied, IdempotencyKey, Invalid, Page, Slug, TooLarge, Unknown,
};
use shared::runtime::parse;
use shared::store::StoreError;

/// No organisation may have this id: GitHub's table of risks has the path of its receiver.
const RESERVED_ID: &str = "risks";
const LIST: &str = "@operator organisations";

fn new_admin_key(now: jiff::Timestamp) -> Result<(ApiKey, String), ApiError> {
    let key = NewKey {
        role: Role::Admin,
        user_id: None,
        description: Some("made by the operator".to_owned()),
    };
    key.issue(API_KEY, Maker::operator(), now)
}

fn operator_author(request_id: String) -> Author {
    Author {
        name: OPERATOR.to_owned(),
        authority: None,
        request_id,
    }
}

/// Creates an organisation with its first key.
///
/// Only for the operator of a deployment. The key is shown once.
#[shared::endpoint(POST "/v1/organisations", OPERATOR)]
#[utoipa::path(
    operation_id = "createOrganisation",
    tag = "Organisations",
    params(IdempotencyKey),
    request_body = CreateOrganisation,
    responses(
        (status = 201, description = "The organisation and its key.", body = CreatedView),
        Invalid, Conflict, TooLarge, Denied,
    ),
)]
pub(crate) async fn create(
    State(app): State<App>,
    caller: Caller,
    RequestId(request_id): RequestId,
    headers: HeaderMap,
    Body(body): Body,
) -> Result<Response, ApiError> {
    let mut fields = Fields::of_body(&body)?;
    let id = fields.required("id", parse::slug);
    let name = fields.required("name", parse::display_name);
    let timezone = fields.required("timezone", parse::timezone);
    if id == RESERVED_ID {
        fields.also_invalid("id", "is reserved");
    }
    fields.finish()?;
    let idempotent = IdempotentRequest::of(&headers, &caller, "/v1/organisations", &body)?;
    if let Some(answer) = answered_before(&app, idempotent.as_ref()).await? {
        return Ok(respond(answer));
    }
    let now = app.clock.now();
    let organisation = Organisation::new(id.clone(), name, timezone, now);
    let (key, secret) = new_admin_key(now)?;
    let answer = Answer {
        status: 201,
        body: to_json(&CreatedView {
            organisation: organisation_view(&organisation),
            admin_key: &secret,
        }),
        secrets: vec![secret],
    };
    let kept = idempotent.as_ref().map(|i| i.keep(&answer)).transpose()?;
    let json = organisation_json(&organisation);
    let organisation = Audited::new(organisation, json);
    let author = operator_author(request_id);
    let outcome = app
        .store
        .create_organisation(organisation, vec![key], &author, kept.as_ref(), now)
        .await?;
    match outcome {
        Created::Done => Ok(respond(answer)),
        Created::AnsweredBefore => match answered_before(&app, idempotent.as_ref()).await? {
            Some(answer) => Ok(respond(answer)),
            None => Err(StoreError::Contended.into()),
        },
        Created::Exists => Err(ApiError::conflict(format!(
            "there is an organisation {id:?} already"
        ))),
    }
}

/// Lists all organisations of the deployment.
///
/// Only for the operator of a deployment.
#[shared::endpoint(GET "/v1/organisations", OPERATOR)]
#[utoipa::path(
    operation_id = "listOrganisations",
    tag = "Organisations",
    params(Page),
    responses(
        (
            status = 200,
            description = "A page of them, by id.",
            body = PageBody<OrganisationView>,
        ),
        Invalid, Denied,
    ),
)]
pub(crate) async fn list(
    State(app): State<App>,
    _: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let asked = app.page(query.as_deref(), LIST)?;
    let page = app
        .store
        .organisations(asked.after.as_deref(), asked.limit)
        .await?;
    let items: Vec<_> = page.items.iter().map(organisation_view).collect();
    let body = PageBody::new(items, page.next.as_deref(), &app.cursors, LIST);
    Ok(json(200, to_json(&body)))
}

/// Creates another administrator key for an organisation that has lost its own.
///
/// Only for the operator of a deployment. The key is shown once.
#[shared::endpoint(POST "/v1/organisations/{id}/admin-keys", OPERATOR)]
#[utoipa::path(
    operation_id = "createAdminKey",
    tag = "Organisations",
    params(("id" = Slug, Path, description = "The organisation."), IdempotencyKey),
    responses(
        (status = 201, description = "The key.", body = AdminKeyView),
        Invalid, Unknown, Conflict, TooLarge, Denied,
    ),
)]
pub(crate) async fn create_admin_key(
    State(app): State<App>,
    caller: Caller,
    RequestId(request_id): RequestId,
    headers: HeaderMap,
    Path(id): Path<String>,
    Body(body): Body,
) -> Result<Response, ApiError> {
    if !is_slug(&id) {
        return Err(ApiError::not_found("organisation"));
    }
    no_fields(&body)?;
    let path = format!("/v1/organisations/{id}/admin-keys");
    let idempotent = IdempotentRequest::of(&headers, &caller, &path, &body)?;
    let (key, secret) = new_admin_key(app.clock.now())?;
    let answer = Answer {
        status: 201,
        body: to_json(&AdminKeyView {
            key_id: &key.id,
            admin_key: &secret,
        }),
        secrets: vec![secret],
    };
    let actor = Actor {
        organisation_id: id,
        author: operator_author(request_id),
    };
    change(&app, &actor, idempotent.as_ref(), async |_| {
        let json = to_json(&api_key_view(&key, None));
        let created = Change::ApiKeyCreated(Audited::new(key.clone(), json));
        Ok(Proposal::answering(created, answer.clone()))
    })
    .await
}
