//! How many input tokens a picture is, by the rules that providers publish.
//!
//! - **OpenAI**, "Images and vision: calculating costs"
//!   (platform.openai.com/docs/guides/images-vision), at high detail: the picture is scaled down
//!   to fit 2048 x 2048 pixels, then until its shorter side is at most 768. Each tile of 512 x 512
//!   that it begins counts 170 tokens, and 85 are added: 1024 x 1024 is 765. `gpt-4o-mini` counts
//!   5,667 a tile and adds 2,833. Small models (`gpt-4.1-mini`, `gpt-4.1-nano`, `o4-mini`,
//!   `gpt-5-mini`, `gpt-5-nano`) count patches of 32 x 32, at most 1,536, each 1.62, 2.46, 1.72,
//!   1.62 and 2.46 tokens. `gpt-5`, the `o` models and `computer-use-preview` count somewhat less
//!   than 85 and 170; they are taken for these.
//! - **Anthropic**, "Vision: calculate image costs" (platform.claude.com/docs/en/vision): the
//!   picture is scaled down until its longer side is at most 1568 pixels, and counts width x
//!   height / 750: 1000 x 1000 is 1,334.
//! - **Gemini**, "Understand and count tokens" (ai.google.dev/gemini-api/docs/tokens): 258 if both
//!   sides are at most 384 pixels; a larger one is scaled down to fit 3072 x 3072 and counts 258
//!   for each tile of 768 x 768 that it begins. Gemini 3, "Media resolution"
//!   (ai.google.dev/gemini-api/docs/media-resolution): at most 1,120, whatever its size.
//!
//! A model of another provider counts the most of the three. If only the bytes of a picture are
//! known, it counts the most that any picture of the model can: its bytes say nothing about its
//! sides, and are never read as text.

/// The most pictures of one request.
pub const MAX_IMAGES: usize = 100;
/// The longest side of a picture in pixels.
pub const MAX_SIDE: i64 = 100_000;
/// The most bytes of one picture.
pub const MAX_IMAGE_BYTES: i64 = 1_000_000_000;

/// The size of a picture as the client states it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageSize {
    /// Its sides, each at least 1.
    Pixels { width: i64, height: i64 },
    /// The bytes of its file.
    Bytes(i64),
}

/// The rule by which a model counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    /// 512-pixel tiles of OpenAI.
    Tiles {
        base: i64,
        tile: i64,
    },
    /// 32-pixel patches of OpenAI, each this many hundredths of a token.
    Patches {
        hundredths: i64,
    },
    Anthropic,
    /// 768-pixel tiles of Gemini.
    Gemini,
    /// Any size counts as much.
    Flat(i64),
    Unknown,
}

const OPENAI: Rule = Rule::Tiles {
    base: 85,
    tile: 170,
};
const MAX_PATCHES: i64 = 1_536;
const GEMINI_TILE: i64 = 258;

/// Rules by a part of the model's name, without its signs and in lower case. The first that fits
/// counts.
const BY_NAME: [(&str, Rule); 9] = [
    ("claude", Rule::Anthropic),
    ("gemini3", Rule::Flat(1_120)),
    ("gemini", Rule::Gemini),
    (
        "gpt4omini",
        Rule::Tiles {
            base: 2_833,
            tile: 5_667,
        },
    ),
    ("gpt41mini", Rule::Patches { hundredths: 162 }),
    ("gpt5mini", Rule::Patches { hundredths: 162 }),
    ("gpt41nano", Rule::Patches { hundredths: 246 }),
    ("gpt5nano", Rule::Patches { hundredths: 246 }),
    ("o4mini", Rule::Patches { hundredths: 172 }),
];
/// Beginnings of the names of OpenAI's other models, behind what a gateway puts in front.
const OPENAI_NAMES: [&str; 6] = ["gpt", "chatgpt", "o1", "o3", "o4", "computer-use"];
/// Rules by a part of the provider's name.
const BY_PROVIDER: [(&str, Rule); 6] = [
    ("anthropic", Rule::Anthropic),
    ("openai", OPENAI),
    ("azure", OPENAI),
    ("google", Rule::Gemini),
    ("gemini", Rule::Gemini),
    ("vertex", Rule::Gemini),
];

impl Rule {
    fn of(provider: Option<&str>, model: &str) -> Self {
        let model = model.to_ascii_lowercase();
        let letters: String = model.chars().filter(|c| c.is_alphanumeric()).collect();
        let named = BY_NAME.iter().find(|(part, _)| letters.contains(part));
        if let Some((_, rule)) = named {
            return *rule;
        }
        let own = model.rsplit('/').next().unwrap_or_default();
        if OPENAI_NAMES.iter().any(|begin| own.starts_with(begin)) {
            return OPENAI;
        }
        let provider = provider.unwrap_or_default().to_ascii_lowercase();
        let mut known = BY_PROVIDER.iter();
        let known = known.find(|(part, _)| provider.contains(part));
        known.map_or(Self::Unknown, |(_, rule)| *rule)
    }

    /// Returns the tokens of a picture with these sides.
    fn count(self, width: i64, height: i64) -> i64 {
        let (longer, shorter) = (width.max(height), width.min(height));
        match self {
            Self::Tiles { base, tile } => {
                let by_shorter = Scale::down_to(768, shorter);
                let scale = Scale::down_to(2_048, longer).smaller(by_shorter);
                let tiles = scale.tiles(width, 512) * scale.tiles(height, 512);
                base + tile * tiles
            }
            Self::Patches { hundredths } => {
                let patches = Scale::ONE.tiles(width, 32) * Scale::ONE.tiles(height, 32);
                let patches = patches.min(MAX_PATCHES);
                divided_up(patches * hundredths, 100)
            }
            Self::Anthropic => {
                let Scale { of, by } = Scale::down_to(1_568, longer);
                divided_up(width * height * of * of, by * by * 750)
            }
            Self::Gemini if longer <= 384 => GEMINI_TILE,
            Self::Gemini => {
                let scale = Scale::down_to(3_072, longer);
                GEMINI_TILE * scale.tiles(width, 768) * scale.tiles(height, 768)
            }
            Self::Flat(tokens) => tokens,
            Self::Unknown => [OPENAI, Self::Anthropic, Self::Gemini]
                .map(|rule| rule.count(width, height))
                .into_iter()
                .fold(0, i64::max),
        }
    }

    /// Returns the most tokens of any picture.
    fn most(self) -> i64 {
        // Every rule scales down what is larger. OpenAI's tiles are the most if a picture is long,
        // the others if it is square.
        match self {
            Self::Tiles { .. } => self.count(2_048, 768),
            Self::Unknown => [OPENAI, Self::Anthropic, Self::Gemini]
                .map(Self::most)
                .into_iter()
                .fold(0, i64::max),
            _ => self.count(MAX_SIDE, MAX_SIDE),
        }
    }
}

/// A factor of at most one, as a fraction.
#[derive(Clone, Copy, Debug)]
struct Scale {
    of: i64,
    by: i64,
}

impl Scale {
    const ONE: Self = Self { of: 1, by: 1 };

    /// The factor that makes a `side` at most `most` long.
    fn down_to(most: i64, side: i64) -> Self {
        match side > most {
            true => Self { of: most, by: side },
            false => Self::ONE,
        }
    }

    fn smaller(self, other: Self) -> Self {
        match self.of * other.by <= other.of * self.by {
            true => self,
            false => other,
        }
    }

    /// Returns how many tiles of `length` a scaled `side` begins.
    fn tiles(self, side: i64, length: i64) -> i64 {
        divided_up(side * self.of, self.by * length)
    }
}

fn divided_up(value: i64, by: i64) -> i64 {
    value.saturating_add(by - 1).div_euclid(by)
}

/// Returns the input tokens of `images`, at most [`MAX_IMAGES`], for a model.
pub fn image_tokens(provider: Option<&str>, model: &str, images: &[ImageSize]) -> i64 {
    if images.is_empty() {
        return 0;
    }
    let rule = Rule::of(provider, model);
    let each = images.iter().map(|image| match *image {
        ImageSize::Pixels { width, height } => {
            rule.count(width.clamp(1, MAX_SIDE), height.clamp(1, MAX_SIDE))
        }
        ImageSize::Bytes(_) => rule.most(),
    });
    each.fold(0, i64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tokens(model: &str, width: i64, height: i64) -> i64 {
        image_tokens(None, model, &[ImageSize::Pixels { width, height }])
    }

    #[test]
    fn openai_counts_tiles_of_512_after_scaling() {
        // The two examples of OpenAI's guide, and a screen.
        assert_eq!(tokens("gpt-4o", 1_024, 1_024), 765);
        assert_eq!(tokens("gpt-4o", 2_048, 4_096), 1_105);
        assert_eq!(tokens("gpt-4o", 1_920, 1_080), 1_105);
        // A small picture is not scaled up.
        assert_eq!(tokens("gpt-4o", 512, 512), 85 + 170);
        assert_eq!(tokens("gpt-4o", 513, 512), 85 + 2 * 170);
        assert_eq!(tokens("gpt-4o", 1, 1), 85 + 170);
        assert_eq!(
            tokens("openai/gpt-4o-mini", 1_024, 1_024),
            2_833 + 4 * 5_667
        );
        assert_eq!(tokens("o1-pro", 1_024, 1_024), 765);
    }

    #[test]
    fn small_models_of_openai_count_patches_of_32() {
        // OpenAI's guide: 1024 x 1024 is 1,024 patches, and never more than 1,536 count.
        assert_eq!(tokens("gpt-4.1-mini-2025-04-14", 1_024, 1_024), 1_659);
        assert_eq!(tokens("gpt-41-mini", 4_000, 1_474), 2_489);
        assert_eq!(tokens("o4-mini", 33, 32), 4);
    }

    #[test]
    fn anthropic_counts_pixels_up_to_a_longer_side_of_1568() {
        // The examples of Anthropic's guide.
        assert_eq!(tokens("claude-sonnet-4-5", 200, 200), 54);
        assert_eq!(tokens("claude-sonnet-4-5", 1_000, 1_000), 1_334);
        assert_eq!(
            tokens("anthropic.claude-opus-4-1-v1:0", 1_092, 1_092),
            1_590
        );
        assert_eq!(tokens("claude-sonnet-4-5", 1_568, 1_568), 3_279);
        assert_eq!(tokens("claude-sonnet-4-5", 15_680, 15_680), 3_279);
        assert_eq!(tokens("claude-sonnet-4-5", 3_136, 1_568), 1_640);
    }

    #[test]
    fn gemini_counts_258_for_each_tile_of_768() {
        assert_eq!(tokens("gemini-2.5-pro", 384, 384), 258);
        assert_eq!(tokens("gemini-2.5-pro", 385, 384), 258);
        assert_eq!(tokens("gemini-2.5-pro", 769, 384), 2 * 258);
        assert_eq!(tokens("models/gemini-2.5-flash", 1_920, 1_080), 6 * 258);
        assert_eq!(tokens("gemini-2.5-pro", 30_720, 30_720), 16 * 258);
        assert_eq!(tokens("gemini-3-pro-preview", 1_024, 1_024), 1_120);
    }

    #[test]
    fn a_picture_of_unknown_size_counts_the_most_of_its_model_and_not_its_bytes() {
        let most = |provider, model| {
            let small = image_tokens(provider, model, &[ImageSize::Bytes(1)]);
            let large = image_tokens(provider, model, &[ImageSize::Bytes(20_000_000)]);
            assert_eq!(small, large);
            small
        };
        assert_eq!(most(None, "gpt-4o"), 85 + 8 * 170);
        assert_eq!(most(None, "claude-haiku-4-5"), 3_279);
        assert_eq!(most(None, "gemini-2.5-pro"), 16 * 258);
        assert_eq!(most(Some("azure"), "our-deployment"), 1_445);
        assert_eq!(most(Some("bedrock"), "amazon.nova-pro-v1:0"), 4_128);
    }

    #[test]
    fn the_model_decides_before_its_provider_and_an_unknown_one_counts_the_most() {
        let square = ImageSize::Pixels {
            width: 1_000,
            height: 1_000,
        };
        let of = |provider, model| image_tokens(Some(provider), model, &[square]);
        assert_eq!(of("vertex_ai", "claude-sonnet-4-5"), 1_334);
        assert_eq!(of("azure.ai.openai", "vision"), 765);
        assert_eq!(of("gcp.vertex_ai", "vision"), 4 * 258);
        assert_eq!(of("mistral", "pixtral-12b"), 1_334);
        assert_eq!(
            image_tokens(Some("openai"), "gpt-4o", &[square; 100]),
            76_500
        );
        assert_eq!(image_tokens(Some("openai"), "gpt-4o", &[]), 0);
    }

    proptest! {
        #[test]
        fn no_picture_counts_more_than_one_of_unknown_size(
            width in 1..=MAX_SIDE, height in 1..=MAX_SIDE,
            model in prop::sample::select(vec!["gpt-4o", "gpt-4o-mini", "o4-mini", "gpt-5-nano",
                "claude-opus-4-5", "gemini-2.5-pro", "gemini-3-flash", "pixtral"]),
        ) {
            let one = tokens(model, width, height);
            prop_assert!(one >= 1);
            prop_assert!(one <= image_tokens(None, model, &[ImageSize::Bytes(1)]));
        }
    }
}
