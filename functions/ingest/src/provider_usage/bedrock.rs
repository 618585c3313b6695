//! Bedrock's usage, of the Converse API.

use super::{count, optional_count, with_or_without};
use shared::domain::pricing::tokens::TokenCounts;
use shared::runtime::fields::Fields;
use shared::runtime::parse;

pub(super) const FIELDS: &[&str] = &[
    "inputTokens",
    "outputTokens",
    "totalTokens",
    "cacheReadInputTokens",
    "cacheWriteInputTokens",
    "cacheDetails",
];

/// The most entries of `cacheDetails`: there is one for each duration.
const MAX_DETAILS: usize = 20;

/// Reads usage whose `inputTokens` are only those that were neither read from the cache nor written
/// to it: "total input tokens = inputTokens + cacheReadInputTokens + cacheWriteInputTokens" (Amazon
/// Bedrock, "Prompt caching"). `cacheDetails` says for how long they were written; without it, for
/// five minutes. `totalTokens` has what was cached, but not for every model.
pub(super) fn read(fields: &mut Fields) -> TokenCounts {
    let whole = parse::whole(0, super::MAX_TOKENS);
    let fresh = fields.required("inputTokens", &whole);
    let output = fields.required("outputTokens", &whole);
    let total = optional_count(fields, "totalTokens");
    // A wrong count makes the total wrong, too: it alone is named.
    let total = total.filter(|_| !fields.is_invalid());
    let cached_input = count(fields, "cacheReadInputTokens");
    let written = optional_count(fields, "cacheWriteInputTokens");
    let entries = fields.objects("cacheDetails", (0, MAX_DETAILS), |detail| {
        detail.forget_nulls(|_| true);
        let duration = detail.optional("ttl", parse::text);
        let tokens = count(detail, "inputTokens");
        detail.ignore_rest();
        (duration.is_some_and(|duration| duration == "1h"), tokens)
    });
    let (mut split, mut hour) = (0_i64, 0_i64);
    for (is_hour, tokens) in entries.unwrap_or_default() {
        split = split.saturating_add(tokens);
        hour = hour.saturating_add(if is_hour { tokens } else { 0 });
    }
    let written = written.unwrap_or(split);
    if split != 0 && split != written {
        let message = "must be cacheWriteInputTokens in all";
        fields.also_invalid("cacheDetails", message);
    }
    let sums = with_or_without(fresh.saturating_add(output), &[cached_input, written]);
    if total.is_some_and(|total| !sums.contains(&total)) {
        let message = "must be inputTokens and outputTokens, with what was read from the cache or \
                       written to it or without";
        fields.also_invalid("totalTokens", message);
    }
    TokenCounts {
        input: fresh.saturating_add(cached_input).saturating_add(written),
        cached_input,
        cache_write: written.saturating_sub(hour).max(0),
        cache_write_1h: hour,
        output,
        ..TokenCounts::default()
    }
}
