//! The rates of a model as a table lists them, and substitutes for the rates that it lacks.

use super::tokens::ServiceTier;

/// A kind of token that may have a rate of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    Input,
    Cached,
    CachedAudio,
    CachedImage,
    /// Written into the cache for five minutes.
    Write,
    /// Written into the cache for an hour.
    WriteHour,
    Audio,
    Image,
    Output,
    Reasoning,
    AudioOutput,
    ImageOutput,
}

impl Part {
    /// Each before those that it stands in for.
    pub const ALL: [Self; 12] = [
        Self::Input,
        Self::Output,
        Self::Cached,
        Self::CachedAudio,
        Self::CachedImage,
        Self::Write,
        Self::WriteHour,
        Self::Audio,
        Self::Image,
        Self::Reasoning,
        Self::AudioOutput,
        Self::ImageOutput,
    ];

    /// The word in the table.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Output => "output",
            Self::Cached => "cached",
            Self::CachedAudio => "cached_audio",
            Self::CachedImage => "cached_image",
            Self::Write => "write",
            Self::WriteHour => "write_1h",
            Self::Audio => "audio",
            Self::Image => "image",
            Self::Reasoning => "reasoning",
            Self::AudioOutput => "audio_output",
            Self::ImageOutput => "image_output",
        }
    }

    pub fn is_output(self) -> bool {
        matches!(
            self,
            Self::Output | Self::Reasoning | Self::AudioOutput | Self::ImageOutput
        )
    }

    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|part| part.as_str() == word)
    }

    /// The kind whose rate stands in if this one has none.
    pub(super) fn parent(self) -> Option<Self> {
        match self {
            Self::Input | Self::Output => None,
            Self::Cached | Self::Write | Self::Audio | Self::Image => Some(Self::Input),
            Self::CachedAudio | Self::CachedImage => Some(Self::Cached),
            Self::WriteHour => Some(Self::Write),
            Self::Reasoning | Self::AudioOutput | Self::ImageOutput => Some(Self::Output),
        }
    }
}

/// The tiers in the order of their columns.
pub const TIERS: [ServiceTier; 4] = [
    ServiceTier::Default,
    ServiceTier::Batch,
    ServiceTier::Flex,
    ServiceTier::Priority,
];

/// The rates of requests that have more than `above` input tokens, by tier and part, in pico-USD
/// per token (micro-USD per million tokens).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Band<T> {
    pub above: i64,
    rates: [[T; Part::ALL.len()]; TIERS.len()],
}

impl<T: Copy> Band<T> {
    pub fn new(above: i64, rate: T) -> Self {
        Self {
            above,
            rates: [[rate; Part::ALL.len()]; TIERS.len()],
        }
    }

    pub fn rate(&self, part: Part, tier: ServiceTier) -> T {
        self.rates[tier as usize][part as usize]
    }

    pub fn set(&mut self, part: Part, tier: ServiceTier, rate: T) {
        self.rates[tier as usize][part as usize] = rate;
    }
}

/// What a model is used for, as far as its rates depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answers {
    /// With text, or sound, that has a rate.
    Tokens,
    /// With pictures, whose tokens may be dearer than those of text.
    Pictures,
    /// With vectors or scores, which are free.
    Nothing,
}

/// The rates that a table lists for a model. `resolve` derives the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// Ascending by size. The first one is for all sizes.
    bands: Vec<Band<Option<i64>>>,
}

impl Default for Listing {
    fn default() -> Self {
        Self {
            bands: vec![Band::new(0, None)],
        }
    }
}

impl Listing {
    /// Lists a rate in pico-USD per token for requests with more than `above` input tokens (0 for
    /// all).
    pub fn set(&mut self, part: Part, tier: ServiceTier, above: i64, rate: i64) {
        let at = self.bands.partition_point(|band| band.above < above);
        if self.bands.get(at).is_none_or(|band| band.above != above) {
            self.bands.insert(at, Band::new(above, None));
        }
        if let Some(band) = self.bands.get_mut(at) {
            band.set(part, tier, Some(rate));
        }
    }

    #[must_use]
    pub fn with(mut self, part: Part, tier: ServiceTier, above: i64, rate: i64) -> Self {
        self.set(part, tier, above, rate);
        self
    }

    pub fn bands(&self) -> &[Band<Option<i64>>] {
        &self.bands
    }

    pub fn is_empty(&self) -> bool {
        self.each().next().is_none()
    }

    /// Whether every rate is zero.
    pub fn is_free(&self) -> bool {
        self.each().all(|rate| rate == 0)
    }

    fn each(&self) -> impl Iterator<Item = i64> {
        self.bands
            .iter()
            .flat_map(|band| band.rates.as_flattened().iter().copied().flatten())
    }

    /// Returns every rate of the model, or None if its tokens have no price.
    ///
    /// A missing rate never makes a request cheaper than its true price could be:
    /// - a part without any rate costs as much as the whole that it belongs to: cached input, cache
    ///   writes, sound and pictures cost as much as input; a cache write for an hour costs as much
    ///   as one for five minutes; thoughts and sound in an answer cost as much as output;
    /// - a part that has a rate, but not in this tier or at this size, costs the highest of three
    ///   rates: its own in the default tier, its own at the smaller size, and that of its whole. So
    ///   a tier without prices has the default ones;
    /// - cached sound without a rate costs as much as other sound, if that has a rate of its own,
    ///   and at least as much as what else is cached;
    /// - a cache write costs at least as much as fresh input: zero in a table says that nothing is
    ///   added;
    /// - the output of a model that draws costs as much as its pictures.
    pub fn resolve(&self, answers: Answers) -> Option<Vec<Band<i64>>> {
        let input = self.whole_input()?;
        let output = self.whole_output(answers)?;
        let mut resolved: Vec<Band<i64>> = Vec::with_capacity(self.bands.len());
        for listed in &self.bands {
            let mut band = Band::new(listed.above, 0);
            for tier in TIERS {
                for part in Part::ALL {
                    let rate = listed
                        .rate(part, tier)
                        .or_else(|| self.stand_in(part, tier, &band, resolved.last()))
                        .unwrap_or(if part == Part::Output { output } else { input });
                    let least = match part {
                        Part::Write => band.rate(Part::Input, tier),
                        Part::WriteHour => band.rate(Part::Write, tier),
                        _ => 0,
                    };
                    band.set(part, tier, rate.max(least));
                }
                if !self.lists(Part::CachedAudio) && self.has_own(Part::Audio, Part::Input) {
                    let sound = band.rate(Part::Audio, tier);
                    let rate = band.rate(Part::CachedAudio, tier).max(sound);
                    band.set(Part::CachedAudio, tier, rate);
                }
                if answers == Answers::Pictures {
                    let pictures = band.rate(Part::ImageOutput, tier);
                    let output = band.rate(Part::Output, tier).max(pictures);
                    band.set(Part::Output, tier, output);
                }
            }
            resolved.push(band);
        }
        Some(resolved)
    }

    /// Derives the rate of a part that `band` does not list. None if there is nothing to derive it
    /// from.
    fn stand_in(
        &self,
        part: Part,
        tier: ServiceTier,
        band: &Band<i64>,
        smaller: Option<&Band<i64>>,
    ) -> Option<i64> {
        let whole = part.parent().map(|parent| band.rate(parent, tier));
        if part
            .parent()
            .is_some_and(|parent| !self.has_own(part, parent))
        {
            return whole;
        }
        let usual = (tier != ServiceTier::Default).then(|| band.rate(part, ServiceTier::Default));
        let smaller = smaller.map(|band| band.rate(part, tier));
        whole.max(usual).max(smaller)
    }

    /// Whether a part has a rate that differs from that of what it is a part of.
    fn has_own(&self, part: Part, parent: Part) -> bool {
        let usual = |part| self.bands.first()?.rate(part, ServiceTier::Default);
        self.lists(part) && usual(part) != usual(parent)
    }

    fn lists(&self, part: Part) -> bool {
        let is_listed =
            |band: &Band<Option<i64>>| TIERS.iter().any(|tier| band.rate(part, *tier).is_some());
        self.bands.iter().any(is_listed)
    }

    /// Returns the rate of input that is not listed otherwise: the dearest of any tier.
    fn whole_input(&self) -> Option<i64> {
        let parts = self.dearest(Part::Audio).max(self.dearest(Part::Image));
        self.dearest(Part::Input).or(parts)
    }

    fn whole_output(&self, answers: Answers) -> Option<i64> {
        let parts = self
            .dearest(Part::AudioOutput)
            .max(self.dearest(Part::ImageOutput));
        let nothing = (answers == Answers::Nothing).then_some(0);
        self.dearest(Part::Output).or(parts).or(nothing)
    }

    fn dearest(&self, part: Part) -> Option<i64> {
        let band = self.bands.first()?;
        TIERS.iter().filter_map(|tier| band.rate(part, *tier)).max()
    }
}
