//! OpenAI's usage: chat completions and embeddings, and responses. Other providers answer in the
//! form of chat completions too.

use super::{details, optional_count, part, thought, without_overlap};
use shared::domain::pricing::tokens::TokenCounts;
use shared::runtime::fields::Fields;

/// The names of the fields of one API.
pub(super) struct Names {
    pub(super) fields: &'static [&'static str],
    input: &'static str,
    input_details: &'static str,
    output: &'static str,
    output_details: &'static str,
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
    input_details: "prompt_tokens_details",
    output: "completion_tokens",
    output_details: "completion_tokens_details",
};

pub(super) const RESPONSES: Names = Names {
    fields: &[
        "input_tokens",
        "output_tokens",
        "total_tokens",
        "input_tokens_details",
        "output_tokens_details",
    ],
    input: "input_tokens",
    input_details: "input_tokens_details",
    output: "output_tokens",
    output_details: "output_tokens_details",
};

const TOTAL: &str = "total_tokens";

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
    let of_input = details(fields, names.input_details, |details| {
        let whole = (names.input, input);
        TokenCounts {
            cached_input: part(details, "cached_tokens", whole),
            cache_write: part(details, "cache_write_tokens", whole),
            audio_input: part(details, "audio_tokens", whole),
            image_input: part(details, "image_tokens", whole),
            ..TokenCounts::default()
        }
    });
    let (reasoning, audio_output) = details(fields, names.output_details, |details| {
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
