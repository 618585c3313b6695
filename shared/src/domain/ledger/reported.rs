//! The tokens of a report, as they were counted.

use crate::domain::pricing::tokens::TokenCounts;
use serde::{Deserialize, Serialize};

/// The tokens of a report by kind, and which of them somebody counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Stored", into = "Stored")]
pub struct ReportedTokens {
    pub counts: TokenCounts,
    /// False if the request was cut off and nobody counted its input: `counts.input` is zero.
    pub has_input: bool,
    /// False if nobody counted its output: `counts.output` is zero.
    pub has_output: bool,
}

impl ReportedTokens {
    /// Returns tokens of which all were counted.
    pub fn counted(counts: TokenCounts) -> Self {
        Self {
            counts,
            has_input: true,
            has_output: true,
        }
    }

    pub fn is_counted(self) -> bool {
        self.has_input && self.has_output
    }

    pub fn input(self) -> Option<i64> {
        self.has_input.then_some(self.counts.input)
    }

    pub fn output(self) -> Option<i64> {
        self.has_output.then_some(self.counts.output)
    }
}

/// The same with the names of the API, as messages and records have it. A part that is missing is
/// zero.
#[derive(Serialize, Deserialize)]
struct Stored {
    #[serde(default)]
    input_tokens: Option<i64>,
    #[serde(default)]
    output_tokens: Option<i64>,
    #[serde(default)]
    cached_input_tokens: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cached_audio_input_tokens: Option<i64>,
    #[serde(default, skip_serializing_if = "is_zero")]
    cache_write_tokens: i64,
    #[serde(default, skip_serializing_if = "is_zero")]
    cache_write_1h_tokens: i64,
    #[serde(default, skip_serializing_if = "is_zero")]
    audio_input_tokens: i64,
    #[serde(default, skip_serializing_if = "is_zero")]
    image_input_tokens: i64,
    #[serde(default, skip_serializing_if = "is_zero")]
    reasoning_tokens: i64,
    #[serde(default, skip_serializing_if = "is_zero")]
    audio_output_tokens: i64,
}

fn is_zero(count: &i64) -> bool {
    *count == 0
}

impl From<Stored> for ReportedTokens {
    fn from(stored: Stored) -> Self {
        Self {
            counts: TokenCounts {
                input: stored.input_tokens.unwrap_or(0),
                cached_input: stored.cached_input_tokens,
                cached_audio: stored.cached_audio_input_tokens,
                cache_write: stored.cache_write_tokens,
                cache_write_1h: stored.cache_write_1h_tokens,
                audio_input: stored.audio_input_tokens,
                image_input: stored.image_input_tokens,
                output: stored.output_tokens.unwrap_or(0),
                reasoning: stored.reasoning_tokens,
                audio_output: stored.audio_output_tokens,
            },
            has_input: stored.input_tokens.is_some(),
            has_output: stored.output_tokens.is_some(),
        }
    }
}

impl From<ReportedTokens> for Stored {
    fn from(tokens: ReportedTokens) -> Self {
        let TokenCounts {
            input: _,
            cached_input,
            cached_audio,
            cache_write,
            cache_write_1h,
            audio_input,
            image_input,
            output: _,
            reasoning,
            audio_output,
        } = tokens.counts;
        Self {
            input_tokens: tokens.input(),
            output_tokens: tokens.output(),
            cached_input_tokens: cached_input,
            cached_audio_input_tokens: cached_audio,
            cache_write_tokens: cache_write,
            cache_write_1h_tokens: cache_write_1h,
            audio_input_tokens: audio_input,
            image_input_tokens: image_input,
            reasoning_tokens: reasoning,
            audio_output_tokens: audio_output,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ledger::usage::Usage;
    use crate::domain::pricing::tokens::ServiceTier;
    use crate::domain::samples::usage;
    use proptest::prelude::*;

    #[test]
    fn usage_that_was_stored_before_its_parts_were_known_is_read() {
        let stored = r#"{"event_id": "e-1", "occurred_at": "2026-11-24T12:00:00Z",
            "user_id": "ada", "provider": "openai", "model": "gpt-4o", "input_tokens": 1000,
            "output_tokens": null, "cached_input_tokens": 400, "hold_id": null,
            "outcome": "aborted", "source": null}"#;
        let read: Usage = serde_json::from_str(stored).unwrap();
        let counts = TokenCounts {
            input: 1_000,
            cached_input: 400,
            ..TokenCounts::default()
        };
        let expected = ReportedTokens {
            counts,
            has_input: true,
            has_output: false,
        };
        assert_eq!(read.tokens, expected);
        assert_eq!(read.service_tier, ServiceTier::Default);
        assert_eq!(read.reported_pico_usd, None);
    }

    #[test]
    fn what_is_stored_has_the_names_of_the_api() {
        let mut usage = usage("e-1", 10, 5);
        usage.tokens.counts.cache_write_1h = 3;
        usage.tokens.counts.reasoning = 2;
        let stored = serde_json::to_value(&usage).unwrap();
        assert_eq!(stored["input_tokens"], 10);
        assert_eq!(stored["output_tokens"], 5);
        assert_eq!(stored["cache_write_1h_tokens"], 3);
        assert_eq!(stored["reasoning_tokens"], 2);
        assert!(stored.get("audio_input_tokens").is_none(), "{stored}");
        assert!(stored.get("service_tier").is_none(), "{stored}");
        assert!(stored.get("reported_pico_usd").is_none(), "{stored}");
    }

    proptest! {
        #[test]
        fn every_count_is_read_as_it_was_stored(
            parts in prop::array::uniform9(0_i64..1_000_000_000),
            has_input: bool, has_output: bool, cost in prop::option::of(0_i64..i64::MAX),
            cached_audio in prop::option::of(0_i64..1_000_000_000),
        ) {
            let [input, cached_input, cache_write, cache_write_1h, audio_input, image_input,
                output, reasoning, audio_output] = parts;
            let counts = TokenCounts {
                input: if has_input { input } else { 0 },
                output: if has_output { output } else { 0 },
                cached_input, cached_audio, cache_write, cache_write_1h, audio_input, image_input,
                reasoning, audio_output,
            };
            let usage = Usage {
                tokens: ReportedTokens { counts, has_input, has_output },
                service_tier: ServiceTier::Flex,
                reported_pico_usd: cost,
                ..usage("e-1", 0, 0)
            };
            let json = serde_json::to_string(&usage).unwrap();
            prop_assert_eq!(&serde_json::from_str::<Usage>(&json).unwrap(), &usage);
        }
    }
}
