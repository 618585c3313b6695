//! How many input tokens a picture is, by the rules that providers publish (`image_rules.rs`).
//!
//! A model that no rule names counts by the rules of its provider, and one of another provider the
//! most of all of them. If only the bytes of a picture are known, it counts the most that any
//! picture of the model can: its bytes say nothing about its sides, and are never read as text.
//! OpenAI has charged scaled pictures for all the patches that they may have, although its own rule
//! gives some fewer; so they count all of them.

use super::image_rules::{BY_BEGINNING, BY_NAME, BY_PROVIDER, Rule, UNKNOWN};
use super::name::Name;

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

const GEMINI_TILE: i64 = 258;
/// The most patches of a picture of unknown size. Some models scale nothing down.
const MOST_PATCHES: i64 = 10_000;

impl Rule {
    fn of(provider: Option<&str>, model: &str) -> Self {
        let lower = model.to_ascii_lowercase();
        let own = Name::read(model).map_or(lower, |name| name.model);
        let letters: String = own.chars().filter(|c| c.is_alphanumeric()).collect();
        let mut named = BY_NAME.iter().filter(|(part, _)| is_part(&letters, part));
        // Two letters may be anything further behind.
        let begun = BY_BEGINNING.iter();
        let mut begun = begun.filter(|(begin, _)| letters.starts_with(begin));
        if let Some((_, rule)) = named.next().or_else(|| begun.next()) {
            return *rule;
        }
        let provider = provider.unwrap_or_default().to_ascii_lowercase();
        let mut known = BY_PROVIDER.iter();
        let known = known.find(|(part, _)| provider.contains(part));
        known.map_or(UNKNOWN, |(_, rule)| *rule)
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
            Self::Patches {
                hundredths,
                most,
                longest_side,
            } => {
                let scale = Scale::down_to(longest_side, longer);
                let patches = scale.tiles(width, 32) * scale.tiles(height, 32);
                divided_up(patches.min(most) * hundredths, 100)
            }
            Self::Anthropic { most, longest_side } => {
                let scale = Scale::down_to(longest_side, longer);
                let patches = scale.tiles(width, 28) * scale.tiles(height, 28);
                patches.min(most)
            }
            Self::Gemini if longer <= 384 => GEMINI_TILE,
            Self::Gemini => {
                let scale = Scale::down_to(3_072, longer);
                let unit = scale.two_thirds(shorter).clamp(256, 768);
                GEMINI_TILE * scale.tiles(width, unit) * scale.tiles(height, unit)
            }
            Self::Flat(tokens) => tokens,
            Self::MostOf(rules) => {
                let each = rules.iter().map(|rule| rule.count(width, height));
                each.fold(0, i64::max)
            }
        }
    }

    /// Returns the most tokens of any picture, or of a picture with [`MOST_PATCHES`].
    fn most(self) -> i64 {
        match self {
            // What is scaled down has the most tiles if it is long.
            Self::Tiles { .. } => self.count(2_048, 768),
            Self::Gemini => self.count(3_072, 384),
            Self::Patches {
                hundredths, most, ..
            } => divided_up(most.min(MOST_PATCHES) * hundredths, 100),
            Self::Anthropic { most, .. } => most,
            Self::Flat(tokens) => tokens,
            Self::MostOf(rules) => rules.iter().map(|rule| rule.most()).fold(0, i64::max),
        }
    }
}

/// Whether `name` has `part` in it, with no digit behind it; or with anything, if it ends in `*`.
fn is_part(name: &str, part: &str) -> bool {
    if let Some(part) = part.strip_suffix('*') {
        return name.contains(part);
    }
    name.match_indices(part).any(|(at, found)| {
        let rest = name.get(at + found.len()..).unwrap_or_default();
        !rest.starts_with(|next: char| next.is_ascii_digit())
    })
}

/// A factor of at most one, as a fraction.
#[derive(Clone, Copy, Debug)]
struct Scale {
    of: i64,
    by: i64,
}

impl Scale {
    const ONE: Self = Self { of: 1, by: 1 };

    /// Returns two thirds of a scaled `side`, rounded down.
    fn two_thirds(self, side: i64) -> i64 {
        (2 * side * self.of).div_euclid(3 * self.by)
    }

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
        for (model, base, tile) in [
            ("gpt-4.1-2025-04-14", 85, 170),
            ("chatgpt-4o-latest", 85, 170),
            ("gpt-5", 70, 140),
            ("gpt-5-2025-08-07", 70, 140),
            ("gpt-5-chat-latest", 70, 140),
            ("azure/gpt-5-codex", 70, 140),
            ("o1-pro", 75, 150),
            ("o3-2025-04-16", 75, 150),
            ("computer-use-preview", 65, 129),
            ("gpt-5.1", 85, 170),
        ] {
            assert_eq!(tokens(model, 1_024, 1_024), base + 4 * tile, "{model}");
        }
    }

    #[test]
    fn other_models_of_openai_count_patches_of_32() {
        // OpenAI's guide: 1024 x 1024 is 1,024 patches, and never more than 1,536 count.
        assert_eq!(tokens("gpt-4.1-mini-2025-04-14", 1_024, 1_024), 1_659);
        assert_eq!(tokens("gpt-41-mini", 4_000, 1_474), 2_489);
        assert_eq!(tokens("o4-mini", 33, 32), 4);
        for (model, hundredths) in [
            ("gpt-4.1-nano", 246),
            ("gpt-5-mini-2025-08-07", 162),
            ("gpt-5.4-mini", 162),
            ("gpt-5-nano", 246),
            ("gpt-5.4-nano", 246),
            ("gpt-5.1-codex-mini", 162),
            ("codex-mini-latest", 172),
            ("gpt-5.2-2025-12-11", 120),
            ("gpt-5.3-codex", 120),
            ("gpt-5.4-2026-03-05", 120),
            ("gpt-5.5", 120),
            ("gpt-5.6-sol", 120),
            ("gpt-6-luna", 120),
        ] {
            let expected = divided_up(1_024 * hundredths, 100);
            assert_eq!(tokens(model, 1_024, 1_024), expected, "{model}");
        }
        // 3200 x 3200 is 10,000 patches, and 4096 x 4096 is 16,384.
        let large = |model, side| tokens(model, side, side);
        assert_eq!(large("gpt-5.2", 3_200), 1_844);
        assert_eq!(large("gpt-5.4", 3_200), 3_000);
        assert_eq!(large("gpt-5.5", 3_200), 12_000);
        assert_eq!(large("gpt-5.5", 4_096), 12_000);
        assert_eq!(large("gpt-5.6-luna", 4_096), 19_661);
        // The longer side is scaled to 2048 pixels, and has 64 patches.
        assert_eq!(tokens("gpt-5.2", 20_480, 320), divided_up(64 * 120, 100));
    }

    #[test]
    fn anthropic_counts_patches_of_28_up_to_the_most_of_its_model() {
        // The examples of Anthropic's guide.
        assert_eq!(tokens("claude-sonnet-4-5", 200, 200), 64);
        assert_eq!(tokens("claude-sonnet-4-5", 1_000, 1_000), 1_296);
        assert_eq!(
            tokens("anthropic.claude-opus-4-1-v1:0", 1_092, 1_092),
            1_521
        );
        assert_eq!(tokens("claude-opus-4-7", 1_920, 1_080), 2_691);
        assert_eq!(tokens("claude-opus-4-7", 3_840, 2_160), 4_784);
        for model in [
            "claude-3-5-haiku-20241022",
            "claude-sonnet-4-20250514",
            "claude-opus-4@20250514",
            "claude-sonnet-4.6",
            "us.anthropic.claude-haiku-4-5-20251001-v1:0",
        ] {
            assert_eq!(tokens(model, 4_000, 4_000), 1_568, "{model}");
        }
        for model in [
            "claude-opus-4-8",
            "claude-opus-4-7-20260416",
            "claude-sonnet-5-5",
            "claude-haiku-5-5",
            "claude-of-tomorrow",
        ] {
            assert_eq!(tokens(model, 4_000, 4_000), 4_784, "{model}");
        }
    }

    #[test]
    fn gemini_counts_258_for_each_tile_by_the_shorter_side() {
        assert_eq!(tokens("gemini-2.5-pro", 384, 384), 258);
        // The example of Google's guide: its tiles have 360 pixels.
        assert_eq!(tokens("gemini-2.5-pro", 960, 540), 6 * 258);
        assert_eq!(tokens("models/gemini-2.5-flash", 1_920, 1_080), 6 * 258);
        assert_eq!(tokens("gemini-2.0-flash", 1_024, 1_024), 4 * 258);
        // No tile is smaller than 256 pixels or larger than 768.
        assert_eq!(tokens("gemini-2.5-pro", 385, 384), 4 * 258);
        assert_eq!(tokens("gemini-2.5-pro", 512, 100), 2 * 258);
        assert_eq!(tokens("gemini-2.5-pro", 30_720, 30_720), 16 * 258);
        for model in ["gemini-3-pro-preview", "gemini-3.8-flash", "gemini-4-argon"] {
            assert_eq!(tokens(model, 1_024, 1_024), 1_120, "{model}");
        }
        assert_eq!(tokens("gemini-flash-latest", 384, 384), 1_120);
        assert_eq!(tokens("gemini-flash-latest", 960, 540), 6 * 258);
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
        assert_eq!(most(None, "gpt-5.6"), 12_000);
        assert_eq!(most(None, "claude-haiku-4-5"), 1_568);
        assert_eq!(most(None, "gemini-2.5-pro"), 24 * 258);
        assert_eq!(most(Some("azure"), "our-deployment"), 3_779);
        assert_eq!(most(Some("bedrock"), "amazon.nova-pro-v1:0"), 6_192);
    }

    #[test]
    fn the_model_decides_before_its_provider_and_an_unknown_one_counts_the_most() {
        let square = ImageSize::Pixels {
            width: 1_000,
            height: 1_000,
        };
        let of = |provider, model| image_tokens(Some(provider), model, &[square]);
        assert_eq!(of("vertex_ai", "claude-sonnet-4-5"), 1_296);
        // 1,024 patches of 2.46.
        assert_eq!(of("azure.ai.openai", "vision"), 2_520);
        assert_eq!(of("gcp.vertex_ai", "vision"), 1_120);
        assert_eq!(of("mistral", "pixtral-12b"), 1_296);
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
                "gpt-5", "gpt-5.5", "gpt-of-tomorrow", "claude-opus-4-5", "claude-opus-5",
                "gemini-2.5-pro", "gemini-3-flash", "gemini-pro-latest", "pixtral"]),
        ) {
            let one = tokens(model, width, height);
            prop_assert!(one >= 1);
            prop_assert!(one <= image_tokens(None, model, &[ImageSize::Bytes(1)]));
        }
    }
}
