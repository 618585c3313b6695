//! Receives GitHub's webhooks: checks their signature, reads them by the organisation's table and
//! queues them as risk events.

use super::body::{self, Received};
use super::{App, send};
use axum::extract::{Path, Request, State};
use axum::response::Response;
use hmac::{Hmac, KeyInit, Mac};
use http::HeaderMap;
use serde::Serialize;
use sha2::Sha256;
use shared::domain::github::{Read, Sighting, default_rows, event_id, read, user_of};
use shared::domain::integration::GithubIntegration;
use shared::domain::ledger::usage::{Event, EventMessage, Risk, RiskLevel, RiskOrigin};
use shared::domain::name::is_slug;
use shared::runtime::error::{ApiError, ErrorCode};
use shared::runtime::http::json_of;
use shared::runtime::logs::{self, Metric};
use shared::runtime::openapi::{Invalid, Slug, TooLarge, Unsigned};
use utoipa::ToSchema;

#[derive(Serialize, ToSchema)]
#[schema(as = ReceivedWebhook)]
struct ReceivedView {
    /// The id of the event that was queued; null if the webhook is no risk.
    #[schema(required = true)]
    event_id: Option<String>,
    #[schema(required = true)]
    risk_level: Option<RiskLevel>,
    #[schema(required = true)]
    user_id: Option<String>,
    message: &'static str,
}

/// The signature of a body, from its header.
struct Signature([u8; 32]);

impl Signature {
    /// Reads the header `X-Hub-Signature-256`: `sha256=` and 64 hexadecimal digits.
    fn of(headers: &HeaderMap) -> Option<Self> {
        let header = headers.get("x-hub-signature-256")?.to_str().ok()?;
        let digits = header.strip_prefix("sha256=")?;
        let mut bytes = [0; 32];
        hex::decode_to_slice(digits, &mut bytes).ok()?;
        Some(Self(bytes))
    }

    /// Returns whether this is the signature of `body` by `secret`. Compares in constant time.
    fn is_of(&self, secret: &str, body: &[u8]) -> bool {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else {
            return false;
        };
        mac.update(body);
        mac.verify_slice(&self.0).is_ok()
    }
}

/// The answer is the same if there is no such organisation, no integration, or another secret.
fn unsigned() -> ApiError {
    let message = "the signature does not fit; X-Hub-Signature-256 must be made with the \
                   integration's secret";
    ApiError::new(ErrorCode::Unauthorized, message)
}

fn header<'a>(headers: &'a HeaderMap, name: &str, most: usize) -> Result<&'a str, ApiError> {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    let value = value.filter(|value| {
        (1..=most).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_graphic())
    });
    let rule = format!("must be 1 to {most} visible ASCII characters, as GitHub sends it");
    value.ok_or_else(|| ApiError::field(name, rule))
}

/// Receives a webhook of GitHub, of at most 25 MB, for one organisation. It has a signature instead
/// of a key.
///
/// An event counts once, by its signed body: however often, by however many hooks and with whatever
/// other headers it is delivered. If a webhook is sent again after a login was mapped to a user,
/// the missing parts are completed.
#[shared::endpoint(POST "/v1/integrations/github/{id}", ANYBODY)]
#[utoipa::path(
    operation_id = "receiveGithub",
    tag = "GitHub",
    params(
        ("id" = Slug, Path, description = "The organisation."),
        ("X-GitHub-Event" = String, Header,
            min_length = 1, max_length = 64, pattern = "^[!-~]+$",
            description = "The event. The body must be one of this event."),
        ("X-GitHub-Delivery" = String, Header,
            min_length = 1, max_length = 100, pattern = "^[!-~]+$",
            description = "The delivery. An event counts once by its body, not by its delivery."),
        ("X-Hub-Signature-256" = String, Header, pattern = "^sha256=[0-9a-f]{64}$",
            description = "HMAC-SHA256 of the body by the integration's secret."),
    ),
    request_body(
        content(
            (Value = "application/json"),
            (FormBody = "application/x-www-form-urlencoded"),
        ),
        description = "The webhook as GitHub sends it.",
    ),
    responses(
        (status = 202, description = "It is queued, or no risk.", body = ReceivedView),
        Invalid, TooLarge, Unsigned
    ),
)]
pub(crate) async fn receive(
    State(app): State<App>,
    Path(organisation_id): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    // The body is read last: it costs memory, and its sender is not known yet.
    let (parts, body) = request.into_parts();
    let headers = &parts.headers;
    let signature = Signature::of(headers)
        .filter(|_| is_slug(&organisation_id))
        .ok_or_else(unsigned)?;
    let integration = app.store.github(&organisation_id).await?;
    let integration = integration.ok_or_else(unsigned)?;
    let secret = app
        .vault
        .open(&organisation_id, &integration.sealed_secret)
        .await?
        .ok_or_else(unsigned)?;
    let received = body::read(&app, headers, body).await?;
    if !signature.is_of(&secret, &received.bytes) {
        return Err(unsigned());
    }
    let event = header(headers, "x-github-event", 64)?;
    let delivery = header(headers, "x-github-delivery", 100)?;
    let (risk, message) = risk(&app, &organisation_id, event, &integration, &received).await?;
    let Some(risk) = risk else {
        return Ok(answer(None, message));
    };
    tracing::info!(delivery, event_id = risk.event_id, "a webhook of GitHub");
    queue(&app, organisation_id, risk.clone()).await?;
    Ok(answer(Some(&risk), message))
}

/// Reads the risk from a body, if it is one, and the message for the sender.
async fn risk(
    app: &App,
    organisation_id: &str,
    event: &str,
    integration: &GithubIntegration,
    received: &Received<'_>,
) -> Result<(Option<Risk>, &'static str), ApiError> {
    let body = body::json(&received.bytes)?;
    let own = app.store.github_risks(organisation_id).await?;
    let rows = own.map_or_else(default_rows, |own| own.rows);
    let sighting = match read(event, &body, &rows) {
        Read::Risk(sighting) => sighting,
        Read::Ignored(message) => return Ok((None, message)),
        Read::Mismatch => {
            let message = "the body is not one of this event; redeliver the webhook as it was";
            return Err(ApiError::field("x-github-event", message));
        }
    };
    let Sighting {
        risk_level,
        logins,
        repository,
        summary,
    } = sighting;
    let risk = Risk {
        event_id: event_id(event, &body),
        occurred_at: app.clock.now(),
        user_id: user_of(&integration.users, &logins).map(str::to_owned),
        risk_level,
        repository,
        summary,
        source: Some("github".to_owned()),
        origin: RiskOrigin::Github,
    };
    Ok((Some(risk), "queued; what happened counts once"))
}

async fn queue(app: &App, organisation_id: String, risk: Risk) -> Result<(), ApiError> {
    let message = EventMessage {
        organisation_id,
        received_at: risk.occurred_at,
        event: Event::IpRisk(risk),
    };
    let failed = send::all(&app.sqs, &app.queue_url, &[(0, message)]).await;
    if !failed.is_empty() {
        let message = "the queue does not answer; redeliver the webhook, it counts once";
        return Err(ApiError::new(ErrorCode::Unavailable, message));
    }
    logs::count(&[(Metric::EventsAccepted, 1)]);
    Ok(())
}

fn answer(risk: Option<&Risk>, message: &'static str) -> Response {
    let view = ReceivedView {
        event_id: risk.map(|risk| risk.event_id.clone()),
        risk_level: risk.map(|risk| risk.risk_level),
        user_id: risk.and_then(|risk| risk.user_id.clone()),
        message,
    };
    json_of(202, &view)
}

/// The form that GitHub sends if JSON was not chosen.
#[derive(ToSchema)]
#[schema(as = GithubForm)]
#[expect(dead_code, reason = "it describes a body and is never made")]
pub(crate) struct FormBody {
    /// The webhook, as JSON.
    payload: String,
}
