//! Registers and tests webhooks, rotates their secrets, and lists and retries their deliveries.

use super::change::{Actor, Proposal, answered_before, change, check_version, respond};
use super::openapi::bodies::{CreateWebhook, UpdateWebhook};
use super::replay::{Answer, IdempotentRequest};
use super::{App, view};
use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use http::HeaderMap;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;
use shared::domain::change::{Audited, Change, Update};
use shared::domain::name::is_slug;
use shared::domain::notice::NoticeMessage;
use shared::domain::notice::delivery::{Attempt, Delivery, DeliveryStatus};
use shared::domain::notice::egress_policy::EgressPolicy;
use shared::domain::notice::event_type::{EVENT_TYPES, EventType};
use shared::domain::notice::health::Health;
use shared::domain::notice::webhook::{MAX_WEBHOOKS, OLD_SECRET_LIVES, OldSecret, Webhook};
use shared::runtime::auth::Caller;
use shared::runtime::error::{ApiError, ErrorCode};
use shared::runtime::fields::Fields;
use shared::runtime::http::{Body, RequestId, json};
use shared::runtime::list::PageBody;
use shared::runtime::logs::{ErrorType, report};
use shared::runtime::openapi::{
    Conflict, Denied, IdempotencyKey, IfMatch, Invalid, Moment, Page, Slug, TooLarge, Unknown,
};
use shared::runtime::{parse, random};
use shared::store::{Snapshot, new_id};
use utoipa::ToSchema;

/// A new webhook with its secret, which is shown once.
pub(crate) struct NewWebhook {
    pub(crate) webhook: Webhook,
    pub(crate) secret: String,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Webhook)]
struct WebhookView<'a> {
    id: &'a str,
    url: &'a str,
    /// The events it receives. Null is all events; an empty list is only events that name the
    /// webhook.
    #[schema(required = true)]
    events: Option<&'a [EventType]>,
    #[schema(required = true)]
    description: Option<&'a str>,
    /// Is `paused` after a delivery was given up: others wait for up to seven days, until one is
    /// taken. Is `ended` after the receiver answered 410.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
    #[schema(value_type = Option<Moment>, required = true)]
    failing_since: Option<String>,
    /// The time until which the previous secret signs too.
    #[schema(value_type = Option<Moment>, required = true)]
    old_secret_until: Option<String>,
    #[schema(value_type = Moment)]
    created_at: String,
    version: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    signing_secret: Option<&'a str>,
}

fn shown<'a>(
    webhook: &'a Webhook,
    health: Option<&Health>,
    signing_secret: Option<&'a str>,
    now: Timestamp,
) -> WebhookView<'a> {
    let old = webhook.old_secret.as_ref().filter(|old| now < old.until);
    WebhookView {
        id: &webhook.id,
        url: &webhook.url,
        events: webhook.events.as_deref(),
        description: webhook.description.as_deref(),
        status: Some(match health {
            Some(health) if health.is_ended() => "ended",
            Some(health) if health.is_paused() => "paused",
            _ => "active",
        }),
        failing_since: health.map(|health| health.failing_since.to_string()),
        old_secret_until: old.map(|old| old.until.to_string()),
        created_at: webhook.created_at.to_string(),
        version: webhook.version,
        signing_secret,
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = Delivery)]
struct DeliveryView<'a> {
    id: &'a str,
    webhook_id: &'a str,
    #[serde(rename = "type")]
    kind: EventType,
    status: DeliveryStatus,
    attempts: &'a [Attempt],
    #[schema(value_type = Option<Moment>, required = true)]
    next_attempt_at: Option<Timestamp>,
    #[schema(value_type = Moment)]
    created_at: Timestamp,
}

/// Shows a delivery. While its webhook is paused, its next attempt is not before that of the
/// webhook.
fn shown_delivery<'a>(delivery: &'a Delivery, health: Option<&Health>) -> DeliveryView<'a> {
    let paused = health.filter(|health| health.is_paused() && !delivery.is_by_hand);
    let due = |at: Timestamp| paused.map_or(at, |health| at.max(health.due()));
    DeliveryView {
        id: &delivery.id,
        webhook_id: &delivery.webhook_id,
        kind: delivery.kind,
        status: delivery.status,
        attempts: &delivery.attempts,
        next_attempt_at: delivery.next_attempt_at.map(due),
        created_at: delivery.created_at,
    }
}

/// Reads the url of a receiver.
pub(crate) fn url(egress: EgressPolicy) -> impl Fn(&str) -> Result<String, String> {
    move |raw| {
        let url = parse::text(raw)?;
        match egress.refuses(&url) {
            Some(rule) => Err(rule.to_owned()),
            None => Ok(url),
        }
    }
}

/// Returns a new webhook to `url` with its own secret. It receives only events that name it.
pub(crate) fn made(app: &App, organisation_id: &str, url: String) -> Result<NewWebhook, ApiError> {
    let secret = random::signing_secret()?;
    let webhook = Webhook {
        id: random::id("whk_")?,
        url,
        events: Some(Vec::new()),
        sealed_secret: app.sealer.seal(organisation_id, &secret)?,
        old_secret: None,
        description: None,
        created_at: app.clock.now(),
        receiver: 0,
        version: 1,
    };
    Ok(NewWebhook { webhook, secret })
}

/// Refuses `added` webhooks if they exceed the limit.
pub(crate) fn check_room(snapshot: &Snapshot, added: usize) -> Result<(), ApiError> {
    let added = u64::try_from(added).unwrap_or(u64::MAX);
    if snapshot.head.webhooks.saturating_add(added) > MAX_WEBHOOKS {
        let message = format!("an organisation has at most {MAX_WEBHOOKS} webhooks");
        return Err(ApiError::conflict(message));
    }
    Ok(())
}

/// Returns the webhook for the audit log, without the state of its receiver.
fn described(webhook: &Webhook, now: Timestamp) -> String {
    view::text(&shown(webhook, None, None, now))
}

fn events(raw: &str) -> Result<Vec<EventType>, String> {
    let mut events = Vec::new();
    for value in parse::list(0, EVENT_TYPES.len())(raw)? {
        let event = parse::one_of(EVENT_TYPES)(&value)?;
        if events.contains(&event) {
            return Err("must name each event type once".to_owned());
        }
        events.push(event);
    }
    Ok(events)
}

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
    let url = fields.required("url", url(app.egress));
    let events = fields.optional("events", events);
    let description = fields.optional("description", parse::display_name);
    fields.finish()?;
    let idempotent = IdempotentRequest::of(&headers, &caller, "/v1/webhooks", &body)?;
    let mut new = made(&app, organisation_id, url)?;
    new.webhook.events = events;
    new.webhook.description = description;
    let NewWebhook { webhook, secret } = new;
    let actor = Actor::of(owner, &request_id);
    let now = app.clock.now();
    change(&app, &actor, idempotent.as_ref(), async |snapshot| {
        check_room(&snapshot, 1)?;
        let answer = Answer {
            status: 201,
            body: view::text(&shown(&webhook, None, Some(&secret), now)),
            secrets: vec![secret.clone()],
        };
        let created = Audited::new(webhook.clone(), described(&webhook, now));
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
        items.push(shown(webhook, health.await?.as_ref(), None, now));
    }
    let body = PageBody::new(items, page.next.as_deref(), &app.cursors, &list);
    Ok(json(200, view::text(&body)))
}

/// Finds a webhook of the caller's organisation.
pub(crate) async fn known(app: &App, organisation_id: &str, id: &str) -> Result<Webhook, ApiError> {
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
    let webhook = known(&app, &owner.organisation_id, &id).await?;
    let health = app.store.health(&owner.organisation_id, &id).await?;
    let view = shown(&webhook, health.as_ref(), None, app.clock.now());
    Ok(json(200, view::text(&view)))
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
    let url = fields.changed_value("url", url(app.egress));
    let events = fields.changed("events", events);
    let description = fields.changed("description", parse::display_name);
    fields.finish()?;
    known(&app, organisation_id, &id).await?;
    let health = app.store.health(organisation_id, &id).await?;
    let actor = Actor::of(owner, &request_id);
    let now = app.clock.now();
    change(&app, &actor, None, async |_| {
        let before = app.store.webhook(organisation_id, &id).await?;
        let before = before.ok_or_else(|| ApiError::not_found("webhook"))?;
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
        let body = view::text(&shown(&after, health, None, now));
        let webhook = Update::new(before, after, |webhook| described(webhook, now));
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
        let before = app.store.webhook(organisation_id, &id).await?;
        let before = before.ok_or_else(|| ApiError::not_found("webhook"))?;
        let json = described(&before, now);
        let deleted = Change::WebhookDeleted(Audited::new(before, json));
        Ok(Proposal::silent(deleted))
    })
    .await
}

/// Creates a new secret, shown once. The previous secret signs for another day, the one before it
/// no longer.
#[shared::endpoint(POST "/v1/webhooks/{id}/rotate-secret", ADMIN)]
#[utoipa::path(
    operation_id = "rotateWebhookSecret",
    tag = "Webhooks",
    params(("id" = Slug, Path, description = "The webhook."), IdempotencyKey),
    responses(
        (status = 200, description = "The webhook with its new secret.", body = WebhookView),
        Invalid, Unknown, Conflict, TooLarge, Denied,
    ),
)]
pub(crate) async fn rotate(
    State(app): State<App>,
    caller: Caller,
    RequestId(request_id): RequestId,
    headers: HeaderMap,
    Path(id): Path<String>,
    Body(body): Body,
) -> Result<Response, ApiError> {
    let owner = caller.owner()?;
    super::no_fields(&body)?;
    if !is_slug(&id) {
        return Err(ApiError::not_found("webhook"));
    }
    let path = format!("/v1/webhooks/{id}/rotate-secret");
    let idempotent = IdempotentRequest::of(&headers, &caller, &path, &body)?;
    let organisation_id = &owner.organisation_id;
    let secret = random::signing_secret()?;
    let sealed_secret = app.sealer.seal(organisation_id, &secret)?;
    let actor = Actor::of(owner, &request_id);
    let now = app.clock.now();
    change(&app, &actor, idempotent.as_ref(), async |_| {
        let before = app.store.webhook(organisation_id, &id).await?;
        let before = before.ok_or_else(|| ApiError::not_found("webhook"))?;
        let mut after = before.clone();
        after.old_secret = Some(OldSecret {
            sealed: before.sealed_secret.clone(),
            until: now.saturating_add(OLD_SECRET_LIVES).unwrap_or(now),
        });
        after.sealed_secret.clone_from(&sealed_secret);
        after.version += 1;
        let answer = Answer {
            status: 200,
            body: view::text(&shown(&after, None, Some(&secret), now)),
            secrets: vec![secret.clone()],
        };
        let webhook = Update::new(before, after, |webhook| described(webhook, now));
        let rotated = Change::WebhookSecretRotated(webhook);
        Ok(Proposal::answering(rotated, answer))
    })
    .await
}

/// Queues a delivery that is due now.
pub(crate) async fn queue(
    app: &App,
    organisation_id: &str,
    delivery: &Delivery,
) -> Result<(), ApiError> {
    let message = NoticeMessage::Delivery {
        organisation_id: organisation_id.to_owned(),
        webhook_id: delivery.webhook_id.clone(),
        delivery_id: delivery.id.clone(),
    };
    app.notices.queue(&message).await.map_err(|error| {
        report(
            ErrorType::NoticeNotQueued,
            "a delivery was not queued",
            &error,
        );
        let message = "the queue does not answer; the request may be repeated";
        ApiError::new(ErrorCode::Unavailable, message)
    })
}

/// Sends the receiver an event of the type `webhook.test`, once for each idempotency key.
#[shared::endpoint(POST "/v1/webhooks/{id}/test", ADMIN)]
#[utoipa::path(
    operation_id = "testWebhook",
    tag = "Webhooks",
    params(("id" = Slug, Path, description = "The webhook."), IdempotencyKey),
    responses(
        (status = 202, description = "The delivery, which is queued.", body = DeliveryView),
        Invalid, Unknown, Conflict, TooLarge, Denied,
    ),
)]
pub(crate) async fn test(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    Path(id): Path<String>,
    Body(body): Body,
) -> Result<Response, ApiError> {
    let owner = caller.owner()?;
    super::no_fields(&body)?;
    let path = format!("/v1/webhooks/{id}/test");
    let idempotent = IdempotentRequest::of(&headers, &caller, &path, &body)?;
    let organisation_id = &owner.organisation_id;
    known(&app, organisation_id, &id).await?;
    if let Some(answer) = answered_before(&app, idempotent.as_ref()).await? {
        return tested_before(&app, organisation_id, &id, answer).await;
    }
    let now = app.clock.now();
    let event_id = new_id("evt_", now, 0)?;
    let kind = EventType::WebhookTest;
    let body = json!({
        "id": event_id, "type": kind, "created_at": now.to_string(), "org_id": organisation_id,
        "data": {"message": "This is a test. Nothing has happened."},
    });
    let delivery = Delivery::new(event_id, id.clone(), kind, body.to_string(), now).by_hand();
    let answer = Answer {
        status: 202,
        body: view::text(&shown_delivery(&delivery, None)),
        secrets: Vec::new(),
    };
    let keep = idempotent
        .as_ref()
        .map(|key| key.keep(&answer))
        .transpose()?;
    let is_first = app
        .store
        .add_answered_delivery(organisation_id, &delivery, keep.as_ref(), now)
        .await?;
    if !is_first && let Some(answer) = answered_before(&app, idempotent.as_ref()).await? {
        return tested_before(&app, organisation_id, &id, answer).await;
    }
    queue(&app, organisation_id, &delivery).await?;
    Ok(respond(answer))
}

/// Returns the first answer again. If the first request was stopped before the delivery was queued,
/// it is queued now.
async fn tested_before(
    app: &App,
    organisation_id: &str,
    webhook_id: &str,
    answer: Answer,
) -> Result<Response, ApiError> {
    let shown: serde_json::Value = serde_json::from_str(&answer.body).unwrap_or_default();
    let delivery_id = shown["id"].as_str().unwrap_or_default();
    let delivery = app
        .store
        .delivery(organisation_id, webhook_id, delivery_id)
        .await?;
    let is_untried =
        |delivery: &Delivery| delivery.status == DeliveryStatus::Pending && delivery.tries == 0;
    if let Some(delivery) = delivery.filter(is_untried) {
        queue(app, organisation_id, &delivery).await?;
    }
    Ok(respond(answer))
}

/// Lists the deliveries to a receiver, the newest first.
#[shared::endpoint(GET "/v1/webhooks/{id}/deliveries", ADMIN)]
#[utoipa::path(
    operation_id = "listDeliveries",
    tag = "Webhooks",
    params(("id" = Slug, Path, description = "The webhook."), Page),
    responses(
        (status = 200, description = "A page of it.", body = PageBody<DeliveryView>),
        Invalid, Unknown, Denied,
    ),
)]
pub(crate) async fn deliveries(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let owner = caller.owner()?;
    let organisation_id = &owner.organisation_id;
    let list = format!("{organisation_id} deliveries {id}");
    let asked = app.page(query.as_deref(), &list)?;
    known(&app, organisation_id, &id).await?;
    let health = app.store.health(organisation_id, &id).await?;
    let page = app
        .store
        .deliveries(organisation_id, &id, asked.after.as_deref(), asked.limit)
        .await?;
    let show = |delivery| shown_delivery(delivery, health.as_ref());
    let items = page.items.iter().map(show).collect();
    let body = PageBody::new(items, page.next.as_deref(), &app.cursors, &list);
    Ok(json(200, view::text(&body)))
}

/// Makes a delivery due again at once, in any state, also if the webhook is paused or ended.
#[shared::endpoint(POST "/v1/webhooks/{id}/deliveries/{delivery_id}/retry", ADMIN)]
#[utoipa::path(
    operation_id = "retryDelivery",
    tag = "Webhooks",
    params(
        ("id" = Slug, Path, description = "The webhook."),
        ("delivery_id" = Slug, Path, description = "The delivery."),
    ),
    responses(
        (status = 202, description = "The delivery, which is queued.", body = DeliveryView),
        Invalid, Unknown, Conflict, TooLarge, Denied,
    ),
)]
pub(crate) async fn retry(
    State(app): State<App>,
    caller: Caller,
    Path((id, delivery_id)): Path<(String, String)>,
    Body(body): Body,
) -> Result<Response, ApiError> {
    let owner = caller.owner()?;
    super::no_fields(&body)?;
    let organisation_id = &owner.organisation_id;
    known(&app, organisation_id, &id).await?;
    let unknown = || ApiError::not_found("delivery");
    if !is_slug(&delivery_id) {
        return Err(unknown());
    }
    let known = app
        .store
        .delivery(organisation_id, &id, &delivery_id)
        .await?;
    let delivery = known.ok_or_else(unknown)?.again(app.clock.now());
    let delivery = delivery.by_hand();
    if !app.store.renew_delivery(organisation_id, &delivery).await? {
        let message = "it is being attempted at this moment; look at it again";
        return Err(ApiError::conflict(message));
    }
    queue(&app, organisation_id, &delivery).await?;
    Ok(json(202, view::text(&shown_delivery(&delivery, None))))
}
