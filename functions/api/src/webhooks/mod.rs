//! Registers, shows, changes and deletes webhooks.

pub(crate) mod body;
pub(crate) mod deliveries;
pub(crate) mod new;
pub(crate) mod retries;
mod schema;
pub(crate) mod secrets;
mod view;

use self::body::{read_events, read_url};
use self::new::{NewWebhook, check_webhook_room, new_webhook};
use self::schema::{CreateWebhook, UpdateWebhook};
use self::view::{WebhookView, audit_json, webhook_view};
use super::App;
use super::change::{Actor, Proposal, change, check_version};
use super::json::to_json;
use super::replay::{Answer, IdempotentRequest};
use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use http::HeaderMap;
use shared::domain::change::{Audited, Change, Update};
use shared::domain::name::is_slug;
use shared::domain::notice::webhook::Webhook;
use shared::runtime::auth::Caller;
use shared::runtime::error::ApiError;
use shared::runtime::fields::Fields;
use shared::runtime::http::{Body, RequestId, json};
use shared::runtime::list::PageBody;
use shared::runtime::openapi::{
    Conflict, Denied, IdempotencyKey, IfMatch, Invalid, Page, Slug, TooLarge, Unknown,
};
use shared::runtime::parse;

/// Registers a receiver. Its secret is shown once.
#[shared::endpoint(POST "/v1/webhooks", ADMIN)]
#[utoipa::path(
    operation_id = "createWebhook",
    tag = "Webhooks",
    params(IdempotencyKey),
    request_body = CreateWebhook,
    responses(
        (status = 201, description = "The webhook.", body = WebhookView),
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
    let organisation_id = &owner.organisation_id;
    let mut fields = Fields::of_body(&body)?;
    let url = fields.required("url", read_url(app.egress));
    let events = fields.optional("events", read_events);
    let description = fields.optional("description", parse::display_name);
    fields.finish()?;
    let idempotent = IdempotentRequest::of(&headers, &caller, "/v1/webhooks", &body)?;
    let mut new = new_webhook(&app, organisation_id, url).await?;
    new.webhook.events = events;
    new.webhook.description = description;
    let NewWebhook { webhook, secret } = new;
    let actor = Actor::of(owner, &request_id);
    let now = app.clock.now();
    change(&app, &actor, idempotent.as_ref(), async |snapshot| {
        check_webhook_room(&snapshot, 1)?;
        let answer = Answer {
            status: 201,
            body: to_json(&webhook_view(&webhook, None, Some(&secret), now)),
            secrets: vec![secret.clone()],
        };
        let created = Audited::new(webhook.clone(), audit_json(&webhook, now));
        Ok(Proposal::answering(Change::WebhookCreated(created), answer))
    })
    .await
}

/// Lists the webhooks with the state of their receivers.
#[shared::endpoint(GET "/v1/webhooks", ADMIN)]
#[utoipa::path(
    operation_id = "listWebhooks",
    tag = "Webhooks",
    params(Page),
    responses(
        (status = 200, description = "A page of them.", body = PageBody<WebhookView>),
        Invalid, Denied,
    ),
)]
pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let owner = caller.owner()?;
    let list = format!("{} webhooks", owner.organisation_id);
    let asked = app.page(query.as_deref(), &list)?;
    let now = app.clock.now();
    let page = app
        .store
        .webhooks(&owner.organisation_id, asked.after.as_deref(), asked.limit)
        .await?;
    let mut items = Vec::new();
    for webhook in &page.items {
        let health = app.store.health(&owner.organisation_id, &webhook.id);
        items.push(webhook_view(webhook, health.await?.as_ref(), None, now));
    }
    let body = PageBody::new(items, page.next.as_deref(), &app.cursors, &list);
    Ok(json(200, to_json(&body)))
}

/// Finds a webhook of the caller's organisation.
pub(crate) async fn find_webhook(
    app: &App,
    organisation_id: &str,
    id: &str,
) -> Result<Webhook, ApiError> {
    let unknown = || ApiError::not_found("webhook");
    if !is_slug(id) {
        return Err(unknown());
    }
    let webhook = app.store.webhook(organisation_id, id).await?;
    webhook.ok_or_else(unknown)
}

/// Shows a webhook with the state of its receiver.
#[shared::endpoint(GET "/v1/webhooks/{id}", ADMIN)]
#[utoipa::path(
    operation_id = "getWebhook",
    tag = "Webhooks",
    params(("id" = Slug, Path, description = "The webhook.")),
    responses(
        (status = 200, description = "The webhook.", body = WebhookView),
        Invalid, Unknown, Denied,
    ),
)]
pub(crate) async fn read(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let owner = caller.owner()?;
    let webhook = find_webhook(&app, &owner.organisation_id, &id).await?;
    let health = app.store.health(&owner.organisation_id, &id).await?;
    let view = webhook_view(&webhook, health.as_ref(), None, app.clock.now());
    Ok(json(200, to_json(&view)))
}

/// Changes the url, the events or the description of a webhook. Its secret stays.
///
/// Another url is another receiver: the webhook is no longer paused or ended, and waiting
/// deliveries go there.
#[shared::endpoint(PATCH "/v1/webhooks/{id}", ADMIN)]
#[utoipa::path(
    operation_id = "updateWebhook",
    tag = "Webhooks",
    params(("id" = Slug, Path, description = "The webhook."), IfMatch),
    request_body = UpdateWebhook,
    responses(
        (status = 200, description = "The webhook as it is now.", body = WebhookView),
        Invalid, Unknown, Conflict, TooLarge, Denied,
    ),
)]
pub(crate) async fn update(
    State(app): State<App>,
    caller: Caller,
    RequestId(request_id): RequestId,
    headers: HeaderMap,
    Path(id): Path<String>,
    Body(body): Body,
) -> Result<Response, ApiError> {
    let owner = caller.owner()?;
    let organisation_id = &owner.organisation_id;
    let mut fields = Fields::of_body(&body)?;
    let url = fields.changed_value("url", read_url(app.egress));
    let events = fields.changed("events", read_events);
    let description = fields.changed("description", parse::display_name);
    fields.finish()?;
    find_webhook(&app, organisation_id, &id).await?;
    let health = app.store.health(organisation_id, &id).await?;
    let actor = Actor::of(owner, &request_id);
    let now = app.clock.now();
    change(&app, &actor, None, async |_| {
        let before = find_webhook(&app, organisation_id, &id).await?;
        check_version(&headers, before.version)?;
        let mut after = before.clone();
        after.url = url.clone().unwrap_or(after.url);
        after.events = events.clone().unwrap_or(after.events);
        after.description = description.clone().unwrap_or(after.description);
        after.version += 1;
        let is_elsewhere = after.url != before.url;
        if is_elsewhere {
            after.receiver = after.receiver.saturating_add(1);
        }
        let health = health.as_ref().filter(|_| !is_elsewhere);
        let body = to_json(&webhook_view(&after, health, None, now));
        let webhook = Update::new(before, after, |webhook| audit_json(webhook, now));
        Ok(Proposal::showing(
            Change::WebhookUpdated(webhook),
            200,
            body,
        ))
    })
    .await
}

/// Deletes a webhook. Its waiting deliveries are not sent.
#[shared::endpoint(DELETE "/v1/webhooks/{id}", ADMIN)]
#[utoipa::path(
    operation_id = "deleteWebhook",
    tag = "Webhooks",
    params(("id" = Slug, Path, description = "The webhook.")),
    responses((status = 204, description = "It is gone."), Invalid, Unknown, Denied),
)]
pub(crate) async fn remove(
    State(app): State<App>,
    caller: Caller,
    RequestId(request_id): RequestId,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let owner = caller.owner()?;
    let organisation_id = &owner.organisation_id;
    if !is_slug(&id) {
        return Err(ApiError::not_found("webhook"));
    }
    let actor = Actor::of(owner, &request_id);
    let now = app.clock.now();
    change(&app, &actor, None, async |_| {
        let before = find_webhook(&app, organisation_id, &id).await?;
        let json = audit_json(&before, now);
        let deleted = Change::WebhookDeleted(Audited::new(before, json));
        Ok(Proposal::silent(deleted))
    })
    .await
}
