//! Gemini's `usageMetadata`, of `generateContent` and of the Live API.

use super::{count, optional_count, part, with_or_without, without_overlap};
use shared::domain::pricing::tokens::TokenCounts;
use shared::runtime::fields::Fields;
use shared::runtime::parse;

pub(super) const FIELDS: &[&str] = &[
    "promptTokenCount",
    "cachedContentTokenCount",
    "toolUsePromptTokenCount",
    "candidatesTokenCount",
    "responseTokenCount",
    "thoughtsTokenCount",
    "totalTokenCount",
    "promptTokensDetails",
    "cacheTokensDetails",
    "toolUsePromptTokensDetails",
    "candidatesTokensDetails",
    "responseTokensDetails",
];

/// The most entries of a list by modality: there is one for each.
const MAX_MODALITIES: usize = 20;

/// The tokens of a list by modality. Text, documents and video cost the same.
#[derive(Default)]
struct Modalities {
    audio: i64,
    image: i64,
}

/// Reads usage. Its prompt includes cached tokens but no results of tools, and its candidates
/// include no thoughts. The total is the sum of all four, but not every version counts tools and
/// thoughts in it. If the usage does not list thoughts and its total is larger, the rest are
/// thoughts.
pub(super) fn read(fields: &mut Fields) -> TokenCounts {
    let prompt = fields.required("promptTokenCount", parse::whole(0, super::MAX_TOKENS));
    let of_tools = count(fields, "toolUsePromptTokenCount");
    let cached_input = part(
        fields,
        "cachedContentTokenCount",
        ("promptTokenCount", prompt),
    );
    let candidates = count(fields, "candidatesTokenCount");
    let said = candidates.max(count(fields, "responseTokenCount"));
    let stated = optional_count(fields, "thoughtsTokenCount");
    let thoughts = stated.unwrap_or(0);
    let total = optional_count(fields, "totalTokenCount");
    let input = prompt.saturating_add(of_tools);
    let sum = input.saturating_add(said).saturating_add(thoughts);
    let beyond = total.map_or(0, |total| total.saturating_sub(sum).max(0));
    let sums = with_or_without(prompt.saturating_add(said), &[of_tools, thoughts]);
    let is_sum = |total: i64| sums.contains(&total) || (stated.is_none() && total > sum);
    if total.is_some_and(|total| !is_sum(total)) {
        let message = "must be promptTokenCount and candidatesTokenCount, with thoughtsTokenCount \
                       and toolUsePromptTokenCount or without";
        fields.also_invalid("totalTokenCount", message);
    }
    let output = said.saturating_add(thoughts).saturating_add(beyond);
    let of_prompt = modalities(fields, "promptTokensDetails", prompt);
    let of_cache = modalities(fields, "cacheTokensDetails", cached_input);
    let has_sound = cached_input > 0 && (of_prompt.audio > 0 || of_cache.audio > 0);
    let of_candidates = modalities(fields, "candidatesTokensDetails", said);
    let of_response = modalities(fields, "responseTokensDetails", said);
    let counts = without_overlap(TokenCounts {
        input: prompt,
        cached_input,
        cached_audio: has_sound.then_some(of_cache.audio),
        audio_input: of_prompt.audio.saturating_sub(of_cache.audio).max(0),
        image_input: of_prompt.image.saturating_sub(of_cache.image).max(0),
        output,
        reasoning: thoughts.saturating_add(beyond),
        audio_output: of_candidates.audio.max(of_response.audio),
        ..TokenCounts::default()
    });
    TokenCounts { input, ..counts }
}

/// Reads a list by modality, whose parts are at most `whole`.
fn modalities(fields: &mut Fields, name: &str, whole: i64) -> Modalities {
    let entries = fields.objects(name, (0, MAX_MODALITIES), |entry| {
        entry.forget_nulls(|_| true);
        let modality = entry.optional("modality", parse::text);
        let tokens = count(entry, "tokenCount");
        entry.ignore_rest();
        (modality.unwrap_or_default(), tokens)
    });
    let mut sums = Modalities::default();
    for (modality, tokens) in entries.unwrap_or_default() {
        match modality.as_str() {
            "AUDIO" => sums.audio = sums.audio.saturating_add(tokens),
            "IMAGE" => sums.image = sums.image.saturating_add(tokens),
            _ => {}
        }
    }
    if sums.audio.saturating_add(sums.image) > whole {
        fields.also_invalid(name, "must not be more than its count in all");
        return Modalities::default();
    }
    sums
}
