//! OpenAI's usage: chat completions and embeddings, responses, and sessions and transcriptions in
//! real time. Other providers answer in the form of chat completions too.

use super::{count, details, optional_count, part, thought, without_overlap};
use shared::domain::pricing::tokens::TokenCounts;
use shared::runtime::fields::Fields;

/// The names of the fields of one API.
pub(super) struct Names {
    pub(super) fields: &'static [&'static str],
    input: &'static str,
    /// The spellings of one field.
    input_details: &'static [&'static str],
    output: &'static str,
    output_details: &'static [&'static str],
}

pub(super) const CHAT: Names = Names {
    fields: &[
        "prompt_tokens",
        "completion_tokens",
        "total_tokens",
        "prompt_tokens_details",
        "completion_tokens_details",
    ],
    input: "prompt_tokens",
    input_details: &["prompt_tokens_details"],
    output: "completion_tokens",
    output_details: &["completion_tokens_details"],
};

pub(super) const RESPONSES: Names = Names {
    fields: &[
        "input_tokens",
        "output_tokens",
        "total_tokens",
        "input_tokens_details",
        "output_tokens_details",
        "input_token_details",
        "output_token_details",
    ],
    input: "input_tokens",
    // In real time they are called otherwise, and mean the same.
    input_details: &["input_tokens_details", "input_token_details"],
    output: "output_tokens",
    output_details: &["output_tokens_details", "output_token_details"],
};

const TOTAL: &str = "total_tokens";
const CACHED_DETAILS: &str = "cached_tokens_details";

/// Reads usage whose input includes what was cached, and whose output includes what was thought.
///
/// xAI and Gemini's compatible API leave what was thought out of `completion_tokens`, but not out
/// of `total_tokens`. So what the total has beyond both was thought: all that the details say, if
/// they say it. In responses they do. An embedding has no completion: its total is its input.
pub(super) fn read(fields: &mut Fields, names: &Names) -> TokenCounts {
    let input = fields.required(names.input, super::parse::whole(0, super::MAX_TOKENS));
    let said = optional_count(fields, names.output);
    let total = optional_count(fields, TOTAL);
    if said.is_none() && total.is_none() {
        fields.is_required(names.output);
    }
    let sum = input.saturating_add(said.unwrap_or(0));
    let total = total.unwrap_or(sum);
    let beyond = total.saturating_sub(sum).max(0);
    let output = said.unwrap_or(0).saturating_add(beyond);
    let of_input = spelled(fields, names.input_details, |details| {
        parts_of_input(details, (names.input, input))
    });
    let (reasoning, audio_output) = spelled(fields, names.output_details, |details| {
        let whole = (names.output, output);
        (
            thought(details, whole),
            part(details, "audio_tokens", whole),
        )
    });
    let is_said = names.output == RESPONSES.output || reasoning > 0;
    let may_be_thought = said.is_some() && (!is_said || reasoning == beyond);
    if total < sum || (beyond > 0 && !may_be_thought) {
        let (input, output) = (names.input, names.output);
        let message = format!("must be {input} and {output}, with what was thought or without");
        fields.also_invalid(TOTAL, message);
    }
    without_overlap(TokenCounts {
        input,
        output,
        reasoning: reasoning.max(beyond),
        audio_output,
        ..of_input
    })
}

/// Reads an object of details that has several spellings. Two of them contradict each other.
fn spelled<T: Default>(
    fields: &mut Fields,
    spellings: &[&str],
    read: impl FnOnce(&mut Fields) -> T,
) -> T {
    let found: Vec<&str> = spellings
        .iter()
        .copied()
        .filter(|name| fields.has(name))
        .collect();
    let Some((name, others)) = found.split_first() else {
        return T::default();
    };
    for other in others {
        fields.also_invalid(other, format!("must not be given together with {name}"));
    }
    details(fields, name, read)
}

/// Reads the parts of an input. Its sound and its pictures include those that were cached, if
/// `cached_tokens_details` says how much of each was.
fn parts_of_input(details: &mut Fields, whole: (&str, i64)) -> TokenCounts {
    let cached_input = part(details, "cached_tokens", whole);
    let cache_write = part(details, "cache_write_tokens", whole);
    let audio = part(details, "audio_tokens", whole);
    let image = part(details, "image_tokens", whole);
    let cached = super::details(details, CACHED_DETAILS, |cached| {
        let sound = part(cached, "audio_tokens", ("those of the input", audio));
        let pictures = part(cached, "image_tokens", ("those of the input", image));
        Some([sound, pictures, count(cached, "text_tokens")])
    });
    let sum = cached.map_or(0, |parts| parts.into_iter().fold(0, i64::saturating_add));
    if sum > cached_input {
        details.also_invalid(CACHED_DETAILS, "must be at most cached_tokens in all");
    }
    let [cached_sound, cached_image, _] = cached.unwrap_or_default();
    TokenCounts {
        cached_input,
        cached_audio: cached
            .filter(|_| audio > 0 && cached_input > 0)
            .map(|_| cached_sound),
        cache_write,
        audio_input: audio.saturating_sub(cached_sound),
        image_input: image.saturating_sub(cached_image),
        ..TokenCounts::default()
    }
}
