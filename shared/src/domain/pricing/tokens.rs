//! The tokens of one request by kind, and the tier at which it was served.

use serde::{Deserialize, Serialize};

/// Tokens of one request by kind. The parts of `input` do not overlap, nor do those of `output`:
/// what is in no part is fresh text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TokenCounts {
    /// All input tokens.
    pub input: i64,
    /// The part of `input` that the provider had cached.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cached_input: i64,
    /// How much of `cached_input` was sound. None if nobody says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached_audio: Option<i64>,
    /// The part of `input` that the provider wrote into its cache for five minutes.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cache_write: i64,
    /// The part of `input` that the provider wrote into its cache for an hour.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cache_write_1h: i64,
    /// The part of `input` that was sound and not cached.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub audio_input: i64,
    /// The part of `input` that was pictures.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub image_input: i64,
    /// All output tokens.
    pub output: i64,
    /// The part of `output` that the model thought and did not say.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub reasoning: i64,
    /// The part of `output` that was sound.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub audio_output: i64,
}

fn is_zero(count: &i64) -> bool {
    *count == 0
}

impl TokenCounts {
    pub fn total(self) -> i64 {
        self.input.saturating_add(self.output)
    }

    /// Returns how much of what was cached was sound, if it is known: no more than was cached.
    pub fn cached_sound(self) -> Option<i64> {
        let cached = self.cached_input.max(0);
        self.cached_audio.map(|sound| sound.clamp(0, cached))
    }

    /// Returns the parts of `input`, each with its name in the API.
    pub fn input_parts(self) -> [(&'static str, i64); 5] {
        [
            ("cached_input_tokens", self.cached_input),
            ("cache_write_tokens", self.cache_write),
            ("cache_write_1h_tokens", self.cache_write_1h),
            ("audio_input_tokens", self.audio_input),
            ("image_input_tokens", self.image_input),
        ]
    }

    /// Returns the parts of `output`, each with its name in the API.
    pub fn output_parts(self) -> [(&'static str, i64); 2] {
        [
            ("reasoning_tokens", self.reasoning),
            ("audio_output_tokens", self.audio_output),
        ]
    }
}

/// The provider's service tier, which decides between its price lists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum ServiceTier {
    #[default]
    Default,
    /// Answered within a day, at about half the price.
    Batch,
    /// Answered when there is room, at a lower price.
    Flex,
    /// Answered faster, at a higher price.
    Priority,
}

impl ServiceTier {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Batch => "batch",
            Self::Flex => "flex",
            Self::Priority => "priority",
        }
    }

    pub fn is_default(&self) -> bool {
        *self == Self::Default
    }
}
