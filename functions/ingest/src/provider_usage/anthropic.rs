//! Anthropic's usage, of the Messages API.

use super::{count, details, optional_count, thought};
use shared::domain::pricing::tokens::TokenCounts;
use shared::runtime::fields::Fields;

pub(super) const FIELDS: &[&str] = &[
    "input_tokens",
    "output_tokens",
    "output_tokens_details",
    "cache_creation_input_tokens",
    "cache_read_input_tokens",
    "cache_creation",
    "server_tool_use",
];

/// Reads usage whose `input_tokens` are only those that were neither read from the cache nor
/// written to it. `cache_creation` says for how long they were written; without it, or if it is all
/// zero, for five minutes. Otherwise it is all of `cache_creation_input_tokens`.
pub(super) fn read(fields: &mut Fields) -> TokenCounts {
    let whole = super::parse::whole(0, super::MAX_TOKENS);
    let fresh = fields.required("input_tokens", &whole);
    let output = fields.required("output_tokens", &whole);
    let cached_input = count(fields, "cache_read_input_tokens");
    let written = optional_count(fields, "cache_creation_input_tokens");
    let (five_minutes, hour) = details(fields, "cache_creation", durations);
    let split = five_minutes.saturating_add(hour);
    let written = written.unwrap_or(split);
    // A client that adds up the events of a stream may leave the split as it was at first: zero.
    if split != 0 && split != written {
        let message = "must be cache_creation_input_tokens in all";
        fields.also_invalid("cache_creation", message);
    }
    let reasoning = details(fields, "output_tokens_details", |details| {
        thought(details, ("output_tokens", output))
    });
    TokenCounts {
        input: fresh.saturating_add(cached_input).saturating_add(written),
        cached_input,
        cache_write: written.saturating_sub(hour).max(0),
        cache_write_1h: hour,
        output,
        reasoning,
        ..TokenCounts::default()
    }
}

/// Reads how much was written to the cache for five minutes, and for an hour.
pub(super) fn durations(details: &mut Fields) -> (i64, i64) {
    (
        count(details, "ephemeral_5m_input_tokens"),
        count(details, "ephemeral_1h_input_tokens"),
    )
}
