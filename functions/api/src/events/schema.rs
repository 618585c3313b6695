//! Describes the bodies of requests about events, with the limits of their readers.

#![expect(dead_code, reason = "they describe bodies and are never made")]

use shared::runtime::openapi::{ClientId, NoteText, UserId};
use utoipa::ToSchema;

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(crate) enum EventDecision {
    Count,
    Discard,
}

/// The decision about an event that was held back.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DecideEvent {
    user_id: UserId,
    event_id: ClientId,
    r#type: Option<DecidableType>,
    decision: EventDecision,
    reason: NoteText,
}

#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub(crate) enum DecidableType {
    LlmRequest,
}
