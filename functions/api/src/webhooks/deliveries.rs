//! Lists, tests and retries the deliveries of a webhook.

use super::find_webhook;
use super::view::{DeliveryView, delivery_view};
use crate::App;
use crate::body::no_fields;
use crate::change::{answered_before, respond};
use crate::json::to_json;
use crate::replay::{Answer, IdempotentRequest};
use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use http::HeaderMap;
use serde_json::json;
use shared::domain::name::is_slug;
use shared::domain::notice::NoticeMessage;
use shared::domain::notice::delivery::{Delivery, DeliveryStatus};
use shared::domain::notice::event_type::EventType;
use shared::runtime::auth::Caller;
use shared::runtime::error::{ApiError, ErrorCode};
use shared::runtime::http::{Body, json};
use shared::runtime::list::PageBody;
use shared::runtime::logs::{ErrorType, report};
use shared::runtime::openapi::{
    Conflict, Denied, IdempotencyKey, Invalid, Page, Slug, TooLarge, Unknown,
};
use shared::store::new_id;

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
    no_fields(&body)?;
    let path = format!("/v1/webhooks/{id}/test");
    let idempotent = IdempotentRequest::of(&headers, &caller, &path, &body)?;
    let organisation_id = &owner.organisation_id;
    find_webhook(&app, organisation_id, &id).await?;
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
        body: to_json(&delivery_view(&delivery, None)),
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
    let answered: serde_json::Value = serde_json::from_str(&answer.body).unwrap_or_default();
    let delivery_id = answered["id"].as_str().unwrap_or_default();
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
pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let owner = caller.owner()?;
    let organisation_id = &owner.organisation_id;
    let list = format!("{organisation_id} deliveries {id}");
    let asked = app.page(query.as_deref(), &list)?;
    find_webhook(&app, organisation_id, &id).await?;
    let health = app.store.health(organisation_id, &id).await?;
    let page = app
        .store
        .deliveries(organisation_id, &id, asked.after.as_deref(), asked.limit)
        .await?;
    let show = |delivery| delivery_view(delivery, health.as_ref());
    let items = page.items.iter().map(show).collect();
    let body = PageBody::new(items, page.next.as_deref(), &app.cursors, &list);
    Ok(json(200, to_json(&body)))
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
    no_fields(&body)?;
    let organisation_id = &owner.organisation_id;
    find_webhook(&app, organisation_id, &id).await?;
    let unknown = || ApiError::not_found("delivery");
    if !is_slug(&delivery_id) {
        return Err(unknown());
    }
    let delivery = app
        .store
        .delivery(organisation_id, &id, &delivery_id)
        .await?;
    let delivery = delivery.ok_or_else(unknown)?.again(app.clock.now());
    let delivery = delivery.by_hand();
    if !app.store.renew_delivery(organisation_id, &delivery).await? {
        let message = "it is being attempted at this moment; look at it again";
        return Err(ApiError::conflict(message));
    }
    queue(&app, organisation_id, &delivery).await?;
    Ok(json(202, to_json(&delivery_view(&delivery, None))))
}
