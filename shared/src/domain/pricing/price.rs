//! The price of a model, and what usage costs by it. All of it is exact: the unit is a pico-USD
//! (10^-12 US dollars), and every rate is a whole number of them per token, which is the same as
//! micro-USD per million tokens.

use super::rates::{Answers, Band, Listing, Part, TIERS};
use super::tokens::{ServiceTier, TokenCounts};
use crate::domain::amount::{Amounts, MAX_AMOUNT, Unit};

/// Every rate of a model.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Price {
    /// Ascending by size, the first for all sizes. The largest that a request exceeds is for all of
    /// its tokens.
    bands: Vec<Band<i64>>,
    /// The longest input of the model, in tokens.
    pub max_input_tokens: Option<i64>,
    /// The longest answer of the model, in tokens.
    pub max_output_tokens: Option<i64>,
}

impl Price {
    /// Returns the price that `listing` lists, without limits, or None if it has no price of
    /// tokens.
    pub fn listed(listing: &Listing, answers: Answers) -> Option<Self> {
        Some(Self {
            bands: listing.resolve(answers)?,
            max_input_tokens: None,
            max_output_tokens: None,
        })
    }

    /// Returns a price that has one rate for all input and one for all output, in pico-USD per
    /// token.
    pub fn flat(input: i64, output: i64) -> Self {
        let mut band = Band::new(0, input);
        let outputs = [
            Part::Output,
            Part::Reasoning,
            Part::AudioOutput,
            Part::ImageOutput,
        ];
        for tier in TIERS {
            for part in outputs {
                band.set(part, tier, output);
            }
        }
        Self {
            bands: vec![band],
            max_input_tokens: None,
            max_output_tokens: None,
        }
    }

    /// Returns the rate of a kind of token in a request with `input` input tokens, in pico-USD.
    pub fn rate(&self, part: Part, tier: ServiceTier, input: i64) -> i64 {
        self.band(input).map_or(0, |band| band.rate(part, tier))
    }

    pub fn is_free(&self) -> bool {
        self.rates().all(|(above, tier, part)| {
            let input = above.saturating_add(1);
            self.rate(part, tier, input) == 0
        })
    }

    /// Returns every size (above so many input tokens), tier and part that has a rate.
    pub fn rates(&self) -> impl Iterator<Item = (i64, ServiceTier, Part)> {
        self.bands.iter().flat_map(|band| {
            let tiers = TIERS.into_iter();
            tiers.flat_map(|tier| Part::ALL.map(|part| (band.above, tier, part)))
        })
    }

    fn band(&self, input: i64) -> Option<&Band<i64>> {
        let exceeded = self.bands.iter().rev().find(|band| input > band.above);
        exceeded.or(self.bands.first())
    }

    /// Returns the cost of `counts` in pico-USD, exactly.
    pub fn cost(&self, counts: TokenCounts, tier: ServiceTier) -> i128 {
        let parts = [
            counts.cached_input,
            counts.cache_write,
            counts.cache_write_1h,
            counts.audio_input,
            counts.image_input,
        ];
        let fresh = without(counts.input, &parts);
        let said = without(counts.output, &[counts.reasoning, counts.audio_output]);
        let Some(band) = self.band(counts.input) else {
            return 0;
        };
        let rate = |part| band.rate(part, tier);
        let cached_sound = counts.cached_sound().unwrap_or(0);
        let cached = counts.cached_input.saturating_sub(cached_sound);
        [
            (fresh, rate(Part::Input)),
            (cached, cached_rate(band, counts, tier)),
            (cached_sound, rate(Part::CachedAudio)),
            (counts.cache_write, rate(Part::Write)),
            (counts.cache_write_1h, rate(Part::WriteHour)),
            (counts.audio_input, rate(Part::Audio)),
            (counts.image_input, rate(Part::Image)),
            (said, rate(Part::Output)),
            (counts.reasoning, rate(Part::Reasoning)),
            (counts.audio_output, rate(Part::AudioOutput)),
        ]
        .into_iter()
        .map(|(tokens, rate)| i128::from(tokens.max(0)).saturating_mul(i128::from(rate)))
        .fold(0, i128::saturating_add)
    }

    /// Returns a price that is at least as high as either in every respect.
    #[must_use]
    pub fn most_of(&self, other: &Self) -> Self {
        let mut sizes: Vec<i64> = [&self.bands, &other.bands]
            .into_iter()
            .flatten()
            .map(|band| band.above)
            .collect();
        sizes.sort_unstable();
        sizes.dedup();
        let both = |above: i64| {
            let mut band = Band::new(above, 0);
            for tier in TIERS {
                for part in Part::ALL {
                    let rate = |of: &Self| of.rate(part, tier, above.saturating_add(1));
                    band.set(part, tier, rate(self).max(rate(other)));
                }
            }
            band
        };
        Self {
            bands: sizes.into_iter().map(both).collect(),
            // Where one of them lists no limit, the model has that of the other.
            max_output_tokens: self.max_output_tokens.max(other.max_output_tokens),
            max_input_tokens: self.max_input_tokens.max(other.max_input_tokens),
        }
    }

    /// Whether both cost the same, whatever is asked.
    pub fn is_as_dear_as(&self, other: &Self) -> bool {
        self.bands == other.bands
    }

    /// Returns a price with every rate as `change` makes it of the rates of its size, its tier and
    /// its part.
    #[must_use]
    pub fn with_each_rate(mut self, change: impl Fn(&Band<i64>, ServiceTier, Part) -> i64) -> Self {
        for band in &mut self.bands {
            let before = band.clone();
            for tier in TIERS {
                for part in Part::ALL {
                    band.set(part, tier, change(&before, tier, part));
                }
            }
        }
        self
    }

    /// Returns a price at which all input costs as much as its dearest kind, and all output as its
    /// dearest: nobody knows of which kind the tokens of a request will be.
    #[must_use]
    pub fn ceiling(self) -> Self {
        self.with_each_rate(|band, tier, part| {
            let alike = Part::ALL
                .into_iter()
                .filter(|of| of.is_output() == part.is_output());
            alike.map(|of| band.rate(of, tier)).max().unwrap_or(0)
        })
    }

    /// Returns the most output tokens that cost at most `pico_usd` together with the input of
    /// `counts`. None if the input alone costs more. `i64::MAX` if output is free.
    pub fn output_tokens_within(
        &self,
        counts: TokenCounts,
        pico_usd: i128,
        tier: ServiceTier,
    ) -> Option<i64> {
        let input = TokenCounts {
            output: 0,
            reasoning: 0,
            audio_output: 0,
            ..counts
        };
        let left = pico_usd.saturating_sub(self.cost(input, tier));
        if left < 0 {
            return None;
        }
        match i128::from(self.rate(Part::Output, tier, counts.input)) {
            0 => Some(i64::MAX),
            price => Some(i64::try_from(left / price).unwrap_or(i64::MAX)),
        }
    }
}

/// Returns what is in none of the parts of `whole`.
fn without(whole: i64, parts: &[i64]) -> i64 {
    let parts = parts.iter().map(|part| (*part).max(0));
    parts.fold(whole, i64::saturating_sub).max(0)
}

/// Returns the rate of the cached input that is not known to be sound. What is cached of a request
/// with sound or pictures may be those, unless somebody says how much of it is sound.
fn cached_rate(band: &Band<i64>, counts: TokenCounts, tier: ServiceTier) -> i64 {
    let text = band.rate(Part::Cached, tier);
    let of = |part, tokens: i64| if tokens > 0 { band.rate(part, tier) } else { 0 };
    let sound = match counts.cached_audio {
        None => of(Part::CachedAudio, counts.audio_input),
        Some(_) => 0,
    };
    text.max(sound)
        .max(of(Part::CachedImage, counts.image_input))
}

/// Returns the value of usage: tokens always, money if the model has a price. One request costs at
/// most as much as a budget may have, so that no sum of requests is too large to count.
pub fn value(price: Option<&Price>, counts: TokenCounts, tier: ServiceTier) -> Amounts {
    let cost = price.map_or(0, |price| price.cost(counts, tier));
    Amounts::new(counts.total(), cost.min(Unit::Usd.counted(MAX_AMOUNT)))
}
