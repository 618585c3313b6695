//! Reads the `usage` object of a provider's answer and maps it to counts.
//!
//! Its fields say whose it is. Fields that no provider here has are ignored, because providers add
//! some. Fields of two providers, and counts that contradict each other, are refused by name.

mod anthropic;
mod bedrock;
mod gemini;
mod openai;
#[cfg(test)]
mod tests;

use shared::domain::ledger::estimate::MAX_TOKENS;
use shared::domain::pricing::tokens::{ServiceTier, TokenCounts};
use shared::runtime::fields::Fields;
use shared::runtime::parse;

/// What a provider's usage says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ProviderUsage {
    pub(crate) counts: TokenCounts,
    /// None if it does not say.
    pub(crate) tier: Option<ServiceTier>,
}

/// The usage objects that are understood.
struct Shape {
    /// Its name for people.
    name: &'static str,
    /// The fields that only mean something to it. A field may belong to several shapes.
    fields: &'static [&'static str],
    read: fn(&mut Fields) -> TokenCounts,
}

/// If an object fits several, the first reads it: these read it alike then.
const SHAPES: [Shape; 6] = [
    Shape {
        name: "OpenAI chat completions or embeddings",
        fields: openai::CHAT.fields,
        read: |fields| openai::read(fields, &openai::CHAT),
    },
    Shape {
        name: "OpenAI responses or real time",
        fields: openai::RESPONSES.fields,
        read: |fields| openai::read(fields, &openai::RESPONSES),
    },
    Shape {
        name: "Anthropic messages",
        fields: anthropic::FIELDS,
        read: anthropic::read,
    },
    Shape {
        name: "Gemini",
        fields: gemini::FIELDS,
        read: gemini::read,
    },
    Shape {
        name: "Bedrock Converse",
        fields: bedrock::FIELDS,
        read: bedrock::read,
    },
    Shape {
        name: "LiteLLM",
        fields: openai::LITELLM.fields,
        read: |fields| openai::read(fields, &openai::LITELLM),
    },
];

/// Reads the fields of a `usage` object. Returns None if it has no field of any shape.
pub(crate) fn read(fields: &mut Fields) -> Option<ProviderUsage> {
    fields.forget_nulls(|_| true);
    let tier = tier(fields);
    let shape = shape(fields);
    let is_of_one = shape.is_some_and(|shape| is_of_one(fields, shape));
    let counts = shape.map(|shape| match is_of_one {
        true => (shape.read)(fields),
        false => TokenCounts::default(),
    });
    fields.ignore_rest();
    counts.map(|counts| ProviderUsage { counts, tier })
}

/// Returns the shape that has the most fields of an object, the first of several.
fn shape(fields: &Fields) -> Option<&'static Shape> {
    let known = |shape: &Shape| {
        let known = shape.fields.iter().filter(|name| fields.has(name));
        known.count()
    };
    let most = SHAPES.iter().map(known).max().filter(|most| *most > 0)?;
    SHAPES.iter().find(|shape| known(shape) == most)
}

/// Reports the fields of an object that belong to other shapes. Returns true if there are none.
fn is_of_one(fields: &mut Fields, shape: &Shape) -> bool {
    let others = SHAPES.iter().flat_map(|other| other.fields);
    let mut foreign: Vec<&str> = others
        .filter(|name| fields.has(name) && !shape.fields.contains(name))
        .copied()
        .collect();
    foreign.sort_unstable();
    foreign.dedup();
    for name in &foreign {
        let message = format!("must not be given together with fields of {}", shape.name);
        fields.also_invalid(name, message);
    }
    foreign.is_empty()
}

/// Reads the service tier in the words of the providers. Words that are unknown here, such as those
/// of new tiers, mean the default.
fn tier(fields: &mut Fields) -> Option<ServiceTier> {
    let names = ["service_tier", "serviceTier", "trafficType"];
    let said = names.map(|name| fields.optional(name, parse::text));
    let tiers = said.into_iter().flatten().map(|text| {
        // Vertex AI says ON_DEMAND, ON_DEMAND_PRIORITY, ON_DEMAND_FLEX.
        let word = text.to_ascii_lowercase();
        match word.rsplit('_').next() {
            Some("batch") => ServiceTier::Batch,
            Some("flex") => ServiceTier::Flex,
            Some("priority") => ServiceTier::Priority,
            // OpenAI's `default`, `auto` and `scale`, Anthropic's and Gemini's `standard`.
            _ => ServiceTier::Default,
        }
    });
    tiers.reduce(|one, other| if one.is_default() { other } else { one })
}

/// Reads a count. Zero if it is missing.
fn count(fields: &mut Fields, name: &str) -> i64 {
    optional_count(fields, name).unwrap_or(0)
}

fn optional_count(fields: &mut Fields, name: &str) -> Option<i64> {
    fields.optional(name, parse::whole(0, MAX_TOKENS))
}

/// Returns every sum of `sum` with some of `parts`: not every version of a provider's counts all of
/// them in a total.
fn with_or_without(sum: i64, parts: &[i64]) -> Vec<i64> {
    parts.iter().fold(vec![sum], |sums, part| {
        let with = sums.iter().map(|sum| sum.saturating_add(*part));
        let with: Vec<i64> = with.collect();
        [sums, with].concat()
    })
}

/// Reads a count that is a part of `whole`, which has a name. Zero if it is missing.
fn part(fields: &mut Fields, name: &str, whole: (&str, i64)) -> i64 {
    optional_part(fields, name, whole).unwrap_or(0)
}

fn optional_part(fields: &mut Fields, name: &str, (whole_name, whole): (&str, i64)) -> Option<i64> {
    let count = optional_count(fields, name)?;
    if count > whole {
        fields.also_invalid(name, format!("must be at most {whole_name}"));
    }
    Some(count.min(whole))
}

/// Reads an object of details, if there is one.
fn details<T: Default>(fields: &mut Fields, name: &str, read: impl FnOnce(&mut Fields) -> T) -> T {
    let found = fields.object(name, |details| {
        details.forget_nulls(|_| true);
        let found = read(details);
        details.ignore_rest();
        found
    });
    found.unwrap_or_default()
}

/// Reads how much of an answer was thought: `reasoning_tokens`, or `thinking_tokens` as Anthropic
/// says.
fn thought(details: &mut Fields, output: (&str, i64)) -> i64 {
    let reasoning = part(details, "reasoning_tokens", output);
    reasoning.max(part(details, "thinking_tokens", output))
}

/// Makes the parts of input and output disjoint. A provider may count cached sound as cached and as
/// sound; it is taken for the latter, which costs more, so that what else was cached is none. Each
/// part is at most its whole.
fn without_overlap(mut counts: TokenCounts) -> TokenCounts {
    let sum = |parts: &[(&str, i64)]| {
        let counts = parts.iter().map(|(_, count)| *count);
        counts.fold(0, i64::saturating_add)
    };
    let mut excess = sum(&counts.input_parts()).saturating_sub(counts.input);
    for part in [
        &mut counts.cached_input,
        &mut counts.image_input,
        &mut counts.cache_write,
        &mut counts.cache_write_1h,
    ] {
        let taken = excess.clamp(0, *part);
        *part -= taken;
        excess -= taken;
    }
    let has_both = counts.audio_input > 0 && counts.cached_input > 0;
    if has_both && counts.cached_audio.is_none() {
        counts.cached_audio = Some(0);
    }
    counts.cached_audio = counts.cached_sound();
    let excess = sum(&counts.output_parts()).saturating_sub(counts.output);
    counts.reasoning -= excess.clamp(0, counts.reasoning);
    counts
}
