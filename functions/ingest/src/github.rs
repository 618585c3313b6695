//! Receives GitHub's webhooks: checked by their signature, read by the organisation's table, queued as risk events.

use super::{App, send};
use axum::extract::{Path, State};
use axum::response::Response;
use hmac::{Hmac, KeyInit, Mac};
use http::HeaderMap;
use serde::Serialize;
use serde_json::Value;
use sha2::Sha256;
use shared::domain::github::{Read, Sighting, default_rows, read, user_of};
use shared::domain::identity::GITHUB_PREFIX;
use shared::domain::name::is_slug;
use shared::domain::usage::{Event, EventMessage, Risk, RiskLevel, RiskOrigin};
use shared::runtime::error::{ApiError, ErrorCode};
use shared::runtime::http::{Body, json};
use shared::runtime::logs::{self, Metric};
use shared::runtime::openapi::{Invalid, Slug, TooLarge, Unsigned};
use utoipa::ToSchema;

#[derive(Serialize, ToSchema)]
#[schema(as = ReceivedWebhook)]
struct ReceivedView {
    /// The event that was queued; none where the webhook is no risk.
    #[schema(required = true)]
    event_id: Option<String>,
    #[schema(required = true)]
    risk_level: Option<RiskLevel>,
    #[schema(required = true)]
    user_id: Option<String>,
    message: &'static str,
}

/// Whether `header` is the signature of `body`, compared in constant time.
fn is_signed(secret: &str, header: &str, body: &[u8]) -> bool {
    let Some(hex) = header.strip_prefix("sha256=").filter(|hex| hex.len() == 64) else {
        return false;
    };
    let byte = |at: usize| {
        let digits = hex.get(at..at + 2)?;
        u8::from_str_radix(digits, 16).ok()
    };
    let given: Option<Vec<u8>> = (0..64).step_by(2).map(byte).collect();
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else {
        return false;
    };
    mac.update(body);
    given.is_some_and(|given| mac.verify_slice(&given).is_ok())
}

fn header<'a>(headers: &'a HeaderMap, name: &str, most: usize) -> Result<&'a str, ApiError> {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    let value = value.filter(|value| {
        (1..=most).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_graphic())
    });
    let rule = format!("must be 1 to {most} visible ASCII characters, as GitHub sends it");
    value.ok_or_else(|| ApiError::field(name, rule))
}

/// Receives a webhook of GitHub for one organisation. A signature stands for the key.
#[utoipa::path(
    post,
    path = "/v1/integrations/github/{id}",
    operation_id = "receiveGithub",
    tag = "GitHub",
    params(
        ("id" = Slug, Path, description = "The organisation."),
        ("X-GitHub-Event" = String, Header, min_length = 1, max_length = 64, pattern = "^[!-~]+$",
            description = "The event."),
        ("X-GitHub-Delivery" = String, Header, min_length = 1, max_length = 100, pattern = "^[!-~]+$",
            description = "The delivery; it counts once."),
        ("X-Hub-Signature-256" = String, Header, pattern = "^sha256=[0-9a-f]{64}$",
            description = "HMAC-SHA256 of the body by the integration's secret."),
    ),
    request_body(content = Value, content_type = "application/json", description = "The webhook as GitHub sends it."),
    responses(
        (status = 202, description = "It is queued, or no risk.", body = ReceivedView),
        Invalid, TooLarge, Unsigned
    ),
    security(()),
)]
pub(crate) async fn receive(
    State(app): State<App>,
    Path(organisation_id): Path<String>,
    headers: HeaderMap,
    Body(body): Body,
) -> Result<Response, ApiError> {
    // The same answer whether there is no such organisation, no integration, or another secret.
    let unsigned = || {
        let message = "the signature does not fit; X-Hub-Signature-256 must be made with the integration's secret";
        ApiError::new(ErrorCode::Unauthorized, message)
    };
    let signature = headers.get("x-hub-signature-256");
    let signature = signature
        .and_then(|value| value.to_str().ok())
        .filter(|_| is_slug(&organisation_id))
        .ok_or_else(unsigned)?;
    let integration = app.store.github(&organisation_id).await?;
    let integration = integration.ok_or_else(unsigned)?;
    let secret = app
        .sealer
        .open(&organisation_id, &integration.sealed_secret)
        .ok_or_else(unsigned)?;
    if !is_signed(&secret, signature, &body) {
        return Err(unsigned());
    }
    let event = header(&headers, "x-github-event", 64)?;
    let delivery = header(&headers, "x-github-delivery", 100)?;
    let json_body: Value = serde_json::from_slice(&body)
        .map_err(|_| ApiError::field("body", "must be JSON: choose application/json in GitHub"))?;
    let own = app.store.github_risks(&organisation_id).await?;
    let rows = own.map_or_else(default_rows, |own| own.rows);
    let sighting = match read(event, &json_body, &rows) {
        Read::Risk(sighting) => sighting,
        Read::Ignored(message) => return Ok(answer(None, None, None, message)),
    };
    let Sighting {
        risk_level,
        login,
        repository,
        summary,
    } = sighting;
    let user_id = user_of(&integration.users, login.as_deref()).map(str::to_owned);
    // A webhook that GitHub sends again has the same delivery, and an event id counts once.
    let event_id = format!("{GITHUB_PREFIX}{delivery}");
    let now = app.clock.now();
    let message = EventMessage {
        organisation_id,
        received_at: now,
        event: Event::IpRisk(Risk {
            event_id: event_id.clone(),
            occurred_at: now,
            user_id: user_id.clone(),
            risk_level,
            repository,
            summary,
            source: Some("github".to_owned()),
            origin: RiskOrigin::Github,
        }),
    };
    if !send::all(&app.sqs, &app.queue_url, &[(0, message)])
        .await
        .is_empty()
    {
        let message = "the queue does not answer; redeliver the webhook, it counts once";
        return Err(ApiError::new(ErrorCode::Unavailable, message));
    }
    logs::count(&[(Metric::EventsAccepted, 1)]);
    let said = "queued; a delivery counts once";
    Ok(answer(Some(event_id), Some(risk_level), user_id, said))
}

fn answer(
    event_id: Option<String>,
    risk_level: Option<RiskLevel>,
    user_id: Option<String>,
    message: &'static str,
) -> Response {
    let view = ReceivedView {
        event_id,
        risk_level,
        user_id,
        message,
    };
    json(202, serde_json::to_string(&view).unwrap_or_default())
}
