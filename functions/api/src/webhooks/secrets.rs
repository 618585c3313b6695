//! Rotates the secrets of webhooks.

use super::find_webhook;
use super::view::{WebhookView, audit_json, webhook_view};
use crate::App;
use crate::body::no_fields;
use crate::change::{Actor, Proposal, change};
use crate::json::to_json;
use crate::replay::{Answer, IdempotentRequest};
use axum::extract::{Path, State};
use axum::response::Response;
use http::HeaderMap;
use shared::domain::change::{Change, Update};
use shared::domain::name::is_slug;
use shared::domain::notice::webhook::{OLD_SECRET_LIVES, OldSecret};
use shared::runtime::auth::Caller;
use shared::runtime::error::ApiError;
use shared::runtime::http::{Body, RequestId};
use shared::runtime::openapi::{
    Conflict, Denied, IdempotencyKey, Invalid, Slug, TooLarge, Unknown,
};
use shared::runtime::random;

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
    no_fields(&body)?;
    if !is_slug(&id) {
        return Err(ApiError::not_found("webhook"));
    }
    let path = format!("/v1/webhooks/{id}/rotate-secret");
    let idempotent = IdempotentRequest::of(&headers, &caller, &path, &body)?;
    let organisation_id = &owner.organisation_id;
    let secret = random::signing_secret()?;
    let sealed_secret = app.vault.seal(organisation_id, &secret).await?;
    let actor = Actor::of(owner, &request_id);
    let now = app.clock.now();
    change(&app, &actor, idempotent.as_ref(), async |_| {
        let before = find_webhook(&app, organisation_id, &id).await?;
        let mut after = before.clone();
        after.old_secret = Some(OldSecret {
            sealed: before.sealed_secret.clone(),
            until: now.saturating_add(OLD_SECRET_LIVES).unwrap_or(now),
        });
        after.sealed_secret.clone_from(&sealed_secret);
        after.version += 1;
        let answer = Answer {
            status: 200,
            body: to_json(&webhook_view(&after, None, Some(&secret), now)),
            secrets: vec![secret.clone()],
        };
        let webhook = Update::new(before, after, |webhook| audit_json(webhook, now));
        let rotated = Change::WebhookSecretRotated(webhook);
        Ok(Proposal::answering(rotated, answer))
    })
    .await
}
