//! The published rules for the tokens of pictures, as data.
//!
//! - **OpenAI**: "Images and vision", Calculating costs
//!   (developers.openai.com/api/docs/guides/images-vision, as of September 2026). Tiles: a picture
//!   is scaled down to fit 2048 x 2048 pixels, then until its shorter side is at most 768; a base
//!   and each tile of 512 x 512 that it begins are counted. Patches: a picture is scaled down until
//!   its longer side is within a limit and it has at most so many patches of 32 x 32; each counts
//!   by the multiplier of its model. Where the guide has no multiplier it is 1.2, that of the
//!   calculator on OpenAI's page of prices. The detail is taken to be `auto`, as if nobody named
//!   one.
//! - **Anthropic**: "Vision", Evaluate image size
//!   (platform.claude.com/docs/en/build-with-claude/vision, as of September 2026): a token for each
//!   patch of 28 x 28. From Claude 4.7 on, a picture is scaled down to 2576 pixels and 4,784
//!   tokens, before to 1568 pixels and 1,568 tokens.
//! - **Gemini**: "Image understanding", Token calculation
//!   (ai.google.dev/gemini-api/docs/image-understanding): 258 if both sides are at most 384 pixels;
//!   otherwise 258 for each tile, whose side is two thirds of the shorter side, from 256 to 768.
//!   What is larger than 3072 x 3072 is scaled down. From Gemini 3 on, "Media resolution"
//!   (ai.google.dev/gemini-api/docs/media-resolution): 1,120 by default, whatever its size.

/// The rule by which a model counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// 512-pixel tiles of OpenAI.
    Tiles { base: i64, tile: i64 },
    /// 32-pixel patches of OpenAI, each this many hundredths of a token.
    Patches {
        hundredths: i64,
        most: i64,
        longest_side: i64,
    },
    /// 28-pixel patches of Anthropic.
    Anthropic { most: i64, longest_side: i64 },
    /// Tiles of Gemini, each 258 tokens.
    Gemini,
    /// Any size counts as much.
    Flat(i64),
    /// It is not known which of these counts: the one with the most does.
    MostOf(&'static [Rule]),
}

const fn small(hundredths: i64) -> Rule {
    Rule::Patches {
        hundredths,
        most: 1_536,
        longest_side: 2_048,
    }
}

const fn tiles(base: i64, tile: i64) -> Rule {
    Rule::Tiles { base, tile }
}

const GPT_4O: Rule = tiles(85, 170);
const GPT_5_4: Rule = Rule::Patches {
    hundredths: 120,
    most: 2_500,
    longest_side: 2_048,
};
const GPT_5_5: Rule = Rule::Patches {
    hundredths: 120,
    most: 10_000,
    longest_side: 6_000,
};
/// From GPT-5.6 on nothing is scaled down.
const GPT_5_6: Rule = Rule::Patches {
    hundredths: 120,
    most: i64::MAX,
    longest_side: i64::MAX,
};
const CLAUDE_4: Rule = Rule::Anthropic {
    most: 1_568,
    longest_side: 1_568,
};
const CLAUDE: Rule = Rule::Anthropic {
    most: 4_784,
    longest_side: 2_576,
};
const GEMINI_3: Rule = Rule::Flat(1_120);
/// A name that does not say which of Google's models it is.
const GOOGLE: Rule = Rule::MostOf(&[Rule::Gemini, GEMINI_3]);
/// A name that does not say which of OpenAI's models it is, such as that of a deployment.
const OPENAI: Rule = Rule::MostOf(&[GPT_4O, small(246), GPT_5_4]);
/// A model of another provider.
pub(super) const UNKNOWN: Rule = Rule::MostOf(&[GPT_4O, CLAUDE, Rule::Gemini]);

/// Rules by a part of the model's name without its signs. The first that fits counts. No digit may
/// follow the part, unless it ends in `*`.
pub(super) const BY_NAME: [(&str, Rule); 38] = [
    ("claude2*", CLAUDE_4),
    ("claude3*", CLAUDE_4),
    ("claudeinstant*", CLAUDE_4),
    ("opus4", CLAUDE_4),
    ("opus41", CLAUDE_4),
    ("opus45", CLAUDE_4),
    ("opus46", CLAUDE_4),
    ("sonnet4", CLAUDE_4),
    ("sonnet45", CLAUDE_4),
    ("sonnet46", CLAUDE_4),
    ("haiku45", CLAUDE_4),
    ("claude*", CLAUDE),
    ("gemini1*", Rule::Gemini),
    ("gemini2*", Rule::Gemini),
    ("gemini3*", GEMINI_3),
    ("gemini4*", GEMINI_3),
    ("gemini*", GOOGLE),
    ("gpt4omini*", tiles(2_833, 5_667)),
    ("gpt41mini*", small(162)),
    ("gpt41nano*", small(246)),
    ("gpt4*", GPT_4O),
    ("gpt5mini*", small(162)),
    ("gpt54mini*", small(162)),
    ("gpt5nano*", small(246)),
    ("gpt54nano*", small(246)),
    ("gpt5codexmini*", small(162)),
    ("gpt51codexmini*", small(162)),
    // It is made of o4-mini.
    ("codexmini", small(172)),
    ("gpt5", tiles(70, 140)),
    // The guide does not say how it counts.
    ("gpt51", GPT_4O),
    ("gpt52", small(120)),
    ("gpt53", small(120)),
    ("gpt54", GPT_5_4),
    ("gpt55", GPT_5_5),
    ("gpt5*", GPT_5_6),
    ("gpt6*", GPT_5_6),
    ("computeruse*", tiles(65, 129)),
    ("o4mini*", small(172)),
];

/// Rules by the beginning of the model's name without its signs.
pub(super) const BY_BEGINNING: [(&str, Rule); 5] = [
    ("o1", tiles(75, 150)),
    ("o3", tiles(75, 150)),
    ("o4", OPENAI),
    ("gpt", OPENAI),
    ("chatgpt", OPENAI),
];

/// Rules by a part of the provider's name.
pub(super) const BY_PROVIDER: [(&str, Rule); 6] = [
    ("anthropic", CLAUDE),
    ("openai", OPENAI),
    ("azure", OPENAI),
    ("google", GOOGLE),
    ("gemini", GOOGLE),
    ("vertex", GOOGLE),
];
