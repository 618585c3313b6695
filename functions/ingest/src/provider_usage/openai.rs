//! OpenAI's usage: chat completions and embeddings, responses, and sessions and transcriptions in
//! real time. Other providers answer in the form of chat completions too, and LiteLLM does for all
//! of them.

use super::{count, details, optional_count, optional_part, part, thought, without_overlap};
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
    /// Whether it says of the cache what Anthropic says, too.
    has_cache_beside: bool,
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
    has_cache_beside: false,
};

/// Its prompt includes what was read from the cache and what was written to it.
pub(super) const LITELLM: Names = Names {
    fields: &[
        "prompt_tokens",
        "completion_tokens",
        "total_tokens",
        "prompt_tokens_details",
        "completion_tokens_details",
        CACHE_READ,
        CACHE_WRITTEN,
        "server_tool_use",
    ],
    has_cache_beside: true,
    ..CHAT
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
    has_cache_beside: false,
};

const TOTAL: &str = "total_tokens";
const CACHED_DETAILS: &str = "cached_tokens_details";
const CACHE_READ: &str = "cache_read_input_tokens";
const CACHE_WRITTEN: &str = "cache_creation_input_tokens";

/// What is said of the cache beside the details. None if it is not said.
#[derive(Clone, Copy, Default)]
struct Beside {
    read: Option<i64>,
    written: Option<i64>,
}

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
    let whole = (names.input, input);
    let beside = names.has_cache_beside.then(|| beside(fields, whole));
    let of_input = spelled(fields, names.input_details, |details| {
        parts_of_input(details, whole, beside)
    });
    let of_input = of_input.unwrap_or_else(|| TokenCounts {
        cached_input: beside.and_then(|of| of.read).unwrap_or(0),
        cache_write: beside.and_then(|of| of.written).unwrap_or(0),
        ..TokenCounts::default()
    });
    let of_output = spelled(fields, names.output_details, |details| {
        let whole = (names.output, output);
        (
            thought(details, whole),
            part(details, "audio_tokens", whole),
        )
    });
    let (reasoning, audio_output) = of_output.unwrap_or_default();
    let is_said = names.output == RESPONSES.output || reasoning > 0;
    let may_be_thought = said.is_some() && (!is_said || reasoning == beyond);
    let is_contrary = total < sum || (beyond > 0 && !may_be_thought);
    if is_contrary && !fields.is_invalid() {
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

/// Reads what is said of the cache beside the details. Both are parts of `whole`.
fn beside(fields: &mut Fields, whole: (&str, i64)) -> Beside {
    let (name, tokens) = whole;
    let [read, written] =
        [CACHE_READ, CACHE_WRITTEN].map(|name| optional_part(fields, name, whole));
    if read.unwrap_or(0).saturating_add(written.unwrap_or(0)) > tokens {
        fields.also_invalid(
            name,
            format!("must include {CACHE_READ} and {CACHE_WRITTEN}"),
        );
    }
    Beside { read, written }
}

/// Reads a part of `whole` that may have been said under another name. It must be the same then.
fn same(
    details: &mut Fields,
    name: &str,
    whole: (&str, i64),
    (other_name, other): (&str, Option<i64>),
) -> Option<i64> {
    let own = optional_part(details, name, whole);
    if own.is_some_and(|own| other.is_some_and(|other| other != own)) {
        details.also_invalid(name, format!("must be {other_name}"));
    }
    own.or(other)
}

/// Reads an object of details that has several spellings. Two of them contradict each other. None
/// if there is none.
fn spelled<T: Default>(
    fields: &mut Fields,
    spellings: &[&str],
    read: impl FnOnce(&mut Fields) -> T,
) -> Option<T> {
    let found: Vec<&str> = spellings
        .iter()
        .copied()
        .filter(|name| fields.has(name))
        .collect();
    let (name, others) = found.split_first()?;
    for other in others {
        fields.also_invalid(other, format!("must not be given together with {name}"));
    }
    Some(details(fields, name, read))
}

/// Reads the parts of an input. Its sound and its pictures include those that were cached, if
/// `cached_tokens_details` says how much of each was.
fn parts_of_input(details: &mut Fields, whole: (&str, i64), beside: Option<Beside>) -> TokenCounts {
    let of = beside.unwrap_or_default();
    let cached_input = same(details, "cached_tokens", whole, (CACHE_READ, of.read)).unwrap_or(0);
    let mut written = of.written;
    if beside.is_some() {
        written = same(
            details,
            "cache_creation_tokens",
            whole,
            (CACHE_WRITTEN, written),
        );
    }
    let written = same(
        details,
        "cache_write_tokens",
        whole,
        (CACHE_WRITTEN, written),
    );
    let (cache_write, cache_write_1h) = durations(details, written.unwrap_or(0));
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
        cache_write_1h,
        audio_input: audio.saturating_sub(cached_sound),
        image_input: image.saturating_sub(cached_image),
        ..TokenCounts::default()
    }
}

/// Splits what was written to the cache into what is kept for five minutes, and for an hour.
fn durations(details: &mut Fields, written: i64) -> (i64, i64) {
    let name = "cache_creation_token_details";
    let (five_minutes, hour) = super::details(details, name, super::anthropic::durations);
    let split = five_minutes.saturating_add(hour);
    if split != 0 && split != written {
        details.also_invalid(name, format!("must be {CACHE_WRITTEN} in all"));
    }
    let hour = hour.min(written);
    (written - hour, hour)
}
