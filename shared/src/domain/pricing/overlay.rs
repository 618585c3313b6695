//! The organisation's own rates over those of the table.

use super::book::PriceBook;
use super::matched::MatchKind;
use super::own::{PriceOf, Rates};
use super::price::Price;
use super::quote::Quote;
use super::rates::Part;
use super::tokens::ServiceTier;

/// Whether an own price says what input and output cost, by itself or with the table.
pub fn has_whole_price(book: &PriceBook, of: &PriceOf, rates: &Rates) -> bool {
    overlaid(&book.find(Some(&of.provider), &of.model), rates).is_some()
}

/// Returns the table's price with the organisation's own rates in it. If the table does not surely
/// have the model of this provider, nothing of it counts.
///
/// - A rate holds for requests of all sizes and in all tiers: their own rates stay in proportion.
/// - What has no own rate costs what the table says. If that is what other input or output costs
///   there, it costs as much as the organisation's other input or output.
/// - Zero for input or output makes all of it free, but for what has a rate of its own.
pub(super) fn overlaid(table: &Quote, rates: &Rates) -> Option<Price> {
    use MatchKind::{Alias, Dated, Exact};
    let is_sure = matches!(table.matched.kind, Exact | Dated | Alias);
    let base = match table.price.as_ref().filter(|_| is_sure) {
        Some(price) => price.clone(),
        None => Price::flat(rates.input?, rates.output?),
    };
    let usual = |part| base.rate(part, ServiceTier::Default, 0);
    let overlaid = base.clone().with_each_rate(|band, tier, part| {
        let rate = band.rate(part, tier);
        let mut of = Some(match part {
            // Cached sound that has no rate of its own there costs as much as other sound.
            Part::CachedAudio
                if rate == band.rate(Part::Audio, tier)
                    && rate != band.rate(Part::Cached, tier) =>
            {
                Part::Audio
            }
            part => part,
        });
        while let Some(known) = of {
            if let Some((own, main)) = own_rate(rates, known)
                && (known == part || band.rate(known, tier) == rate)
            {
                return in_proportion(own, rate, usual(main));
            }
            of = known.parent();
        }
        match whole_rate(rates, part) {
            Some(0) => 0,
            _ => rate,
        }
    });
    Some(overlaid)
}

/// Returns the own rate of a part, and the part that it is given for.
fn own_rate(rates: &Rates, part: Part) -> Option<(i64, Part)> {
    let (own, main) = match part {
        Part::Input => (rates.input, part),
        Part::Cached | Part::CachedAudio | Part::CachedImage => (rates.cached_input, Part::Cached),
        Part::Write => (rates.cache_write, part),
        Part::WriteHour => (rates.cache_write_1h, part),
        Part::Audio => (rates.audio_input, part),
        Part::Image => (rates.image_input, part),
        Part::Output => (rates.output, part),
        Part::Reasoning => (rates.reasoning, part),
        Part::AudioOutput => (rates.audio_output, part),
        Part::ImageOutput => (None, part),
    };
    Some((own?, main))
}

/// Returns the own rate of all input or output that a part belongs to.
fn whole_rate(rates: &Rates, part: Part) -> Option<i64> {
    match part {
        Part::Output | Part::Reasoning | Part::AudioOutput | Part::ImageOutput => rates.output,
        _ => rates.input,
    }
}

/// Returns `own * rate / usual`, rounded up: as much dearer or cheaper than `own` as `rate` is than
/// `usual`.
fn in_proportion(own: i64, rate: i64, usual: i64) -> i64 {
    if usual <= 0 {
        return own;
    }
    let (own, rate, usual) = (i128::from(own), i128::from(rate), i128::from(usual));
    let rounded_up = (own * rate + usual - 1).div_euclid(usual);
    i64::try_from(rounded_up).unwrap_or(i64::MAX)
}

#[cfg(test)]
#[path = "overlay_tests.rs"]
mod tests;
