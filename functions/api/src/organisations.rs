//! Organisations for the operator, and the settings of one's own.

use super::api_keys::{API_KEY, NewKey};
use super::change::{Actor, Proposal, answered_before, change, check_version, respond};
use super::openapi::bodies::{CreateOrganisation, UpdateOrganisation};
use super::replay::{Answer, IdempotentRequest};
use super::{App, view};
use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use http::HeaderMap;
use serde::Serialize;
use shared::domain::change::{Audited, Author, Change, Update};
use shared::domain::ledger::estimate::MAX_TOKENS;
use shared::domain::name::is_slug;
use shared::domain::org::api_key::ApiKey;
use shared::domain::org::authority::{Maker, OPERATOR};
use shared::domain::org::organisation::{
    AbandonedHolds, OnUnavailable, Organisation, Reserve, UnknownModel,
};
use shared::domain::org::people::Role;
use shared::runtime::auth::Caller;
use shared::runtime::error::ApiError;
use shared::runtime::fields::Fields;
use shared::runtime::http::{Body, RequestId, json};
use shared::runtime::list::PageBody;
use shared::runtime::openapi::{
    Conflict, Denied, IdempotencyKey, IfMatch, Invalid, Page, Slug, TooLarge, Unknown,
};
use shared::runtime::parse;
use shared::store::{Created, StoreError};
use utoipa::ToSchema;

const RESERVES: &[(&str, Reserve)] =
    &[("estimate", Reserve::Estimate), ("strict", Reserve::Strict)];
const ABANDONED: &[(&str, AbandonedHolds)] = &[
    ("release", AbandonedHolds::Release),
    ("charge", AbandonedHolds::Charge),
];
const UNKNOWN_MODELS: &[(&str, UnknownModel)] = &[
    ("refuse", UnknownModel::Refuse),
    ("count", UnknownModel::Count),
];
const ON_UNAVAILABLE: &[(&str, OnUnavailable)] = &[
    ("allow", OnUnavailable::Allow),
    ("deny", OnUnavailable::Deny),
];

/// The most output tokens an organisation may reserve by default.
const MAX_OUTPUT_RESERVE: i64 = 10_000_000;
/// The allowed lifetime of holds in seconds.
const HOLD_SECONDS: (i64, i64) = (30, 3600);
const USER_HOLDS_PERCENT: (i64, i64) = (1, 100);
/// How long a rollover waits for late usage, in hours. At most four weeks, so that a month's carry
/// is final before the next month ends.
const ROLLOVER_GRACE_HOURS: (i64, i64) = (0, 672);
/// No organisation may have this id: GitHub's table of risks has the path of its receiver.
const RESERVED_ID: &str = "risks";
const LIST: &str = "@operator organisations";

#[derive(Serialize, ToSchema)]
#[schema(as = CreatedOrganisation)]
struct CreatedView<'a> {
    organisation: view::OrganisationView<'a>,
    admin_key: &'a str,
}

#[derive(Serialize, ToSchema)]
#[schema(as = AdminKey)]
struct AdminKeyView<'a> {
    key_id: &'a str,
    admin_key: &'a str,
}

fn new_admin_key(now: jiff::Timestamp) -> Result<(ApiKey, String), ApiError> {
    let key = NewKey {
        role: Role::Admin,
        user_id: None,
        description: Some("made by the operator".to_owned()),
    };
    key.made(API_KEY, Maker::operator(), now)
}

fn operator(request_id: String) -> Author {
    Author {
        name: OPERATOR.to_owned(),
        authority: None,
        request_id,
    }
}

fn described(organisation: &Organisation) -> String {
    view::text(&view::organisation(organisation))
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
        body: view::text(&CreatedView {
            organisation: view::organisation(&organisation),
            admin_key: &secret,
        }),
        secrets: vec![secret],
    };
    let kept = idempotent.as_ref().map(|i| i.keep(&answer)).transpose()?;
    let json = described(&organisation);
    let organisation = Audited::new(organisation, json);
    let author = operator(request_id);
    let made = app
        .store
        .create_organisation(organisation, vec![key], &author, kept.as_ref(), now)
        .await?;
    match made {
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
            body = PageBody<view::OrganisationView>,
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
    let items: Vec<_> = page.items.iter().map(view::organisation).collect();
    let body = PageBody::new(items, page.next.as_deref(), &app.cursors, LIST);
    Ok(json(200, view::text(&body)))
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
    super::no_fields(&body)?;
    let path = format!("/v1/organisations/{id}/admin-keys");
    let idempotent = IdempotentRequest::of(&headers, &caller, &path, &body)?;
    let (key, secret) = new_admin_key(app.clock.now())?;
    let answer = Answer {
        status: 201,
        body: view::text(&AdminKeyView {
            key_id: &key.id,
            admin_key: &secret,
        }),
        secrets: vec![secret],
    };
    let actor = Actor {
        organisation_id: id,
        author: operator(request_id),
    };
    change(&app, &actor, idempotent.as_ref(), async |_| {
        let json = view::text(&view::api_key(&key, None));
        let created = Change::ApiKeyCreated(Audited::new(key.clone(), json));
        Ok(Proposal::answering(created, answer.clone()))
    })
    .await
}

/// Shows the settings of the organisation that the key belongs to.
#[shared::endpoint(GET "/v1/organisation", OWN)]
#[utoipa::path(
    operation_id = "getOrganisation",
    tag = "Organisations",
    responses(
        (status = 200, description = "The settings.", body = view::OrganisationView),
        Unknown, Denied,
    ),
)]
pub(crate) async fn read(State(app): State<App>, caller: Caller) -> Result<Response, ApiError> {
    let owner = caller.owner()?;
    let head = app.store.head(&owner.organisation_id).await?;
    let head = head.ok_or_else(|| ApiError::not_found("organisation"))?;
    Ok(json(
        200,
        view::text(&view::organisation(&head.organisation)),
    ))
}

/// Changes settings of the organisation. They are in force at once.
#[shared::endpoint(PATCH "/v1/organisation", ADMIN)]
#[utoipa::path(
    operation_id = "updateOrganisation",
    tag = "Organisations",
    params(IfMatch),
    request_body = UpdateOrganisation,
    responses(
        (
            status = 200,
            description = "The settings as they are now.",
            body = view::OrganisationView,
        ),
        Invalid, Unknown, Conflict, TooLarge, Denied,
    ),
)]
pub(crate) async fn update(
    State(app): State<App>,
    caller: Caller,
    RequestId(request_id): RequestId,
    headers: HeaderMap,
    Body(body): Body,
) -> Result<Response, ApiError> {
    let owner = caller.owner()?;
    let mut fields = Fields::of_body(&body)?;
    let name = fields.changed_value("name", parse::display_name);
    let timezone = fields.changed_value("timezone", parse::timezone);
    let reserve = fields.changed_value("reserve", parse::one_of(RESERVES));
    let output_reserve =
        fields.changed_value("output_reserve_tokens", parse::whole(0, MAX_OUTPUT_RESERVE));
    let hold_seconds =
        fields.changed_value("hold_seconds", parse::whole(HOLD_SECONDS.0, HOLD_SECONDS.1));
    let user_holds = fields.changed_value(
        "user_holds_percent",
        parse::whole(USER_HOLDS_PERCENT.0, USER_HOLDS_PERCENT.1),
    );
    let abandoned_holds = fields.changed_value("abandoned_holds", parse::one_of(ABANDONED));
    let unknown_model = fields.changed_value("unknown_model", parse::one_of(UNKNOWN_MODELS));
    let on_unavailable = fields.changed_value("on_unavailable", parse::one_of(ON_UNAVAILABLE));
    let grace_hours = fields.changed_value(
        "rollover_grace_hours",
        parse::whole(ROLLOVER_GRACE_HOURS.0, ROLLOVER_GRACE_HOURS.1),
    );
    let max_tokens = fields.changed_value("max_tokens_per_request", parse::whole(1, MAX_TOKENS));
    fields.finish()?;
    let actor = Actor::of(owner, &request_id);
    let now = app.clock.now();
    change(&app, &actor, None, async |snapshot| {
        let before = &snapshot.head.organisation;
        check_version(&headers, before.version)?;
        let mut after = Organisation {
            id: before.id.clone(),
            name: name.clone().unwrap_or_else(|| before.name.clone()),
            timezone: before.timezone.clone(),
            zone_begun: before.zone_begun,
            reserve: reserve.unwrap_or(before.reserve),
            output_reserve_tokens: output_reserve.unwrap_or(before.output_reserve_tokens),
            hold_seconds: hold_seconds
                .and_then(|seconds| u32::try_from(seconds).ok())
                .unwrap_or(before.hold_seconds),
            user_holds_percent: user_holds
                .and_then(|percent| u32::try_from(percent).ok())
                .unwrap_or(before.user_holds_percent),
            abandoned_holds: abandoned_holds.unwrap_or(before.abandoned_holds),
            unknown_model: unknown_model.unwrap_or(before.unknown_model),
            on_unavailable: on_unavailable.unwrap_or(before.on_unavailable),
            rollover_grace_hours: grace_hours
                .and_then(|hours| u32::try_from(hours).ok())
                .unwrap_or(before.rollover_grace_hours),
            max_tokens_per_request: max_tokens.unwrap_or(before.max_tokens_per_request),
            version: before.version + 1,
            created_at: before.created_at,
        };
        if let Some(timezone) = &timezone {
            after.change_zone(timezone.clone(), now);
        }
        let organisation = Update::new(before.clone(), after, described);
        let body = organisation.after.json.clone();
        let updated = Change::OrganisationUpdated(organisation);
        Ok(Proposal::showing(updated, 200, body))
    })
    .await
}
