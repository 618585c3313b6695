//! Reads the prices of a model as LiteLLM names them.

use super::rates::{Listing, Part};
use super::tokens::ServiceTier;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

const TOKENS_PER_K: i64 = 1_000;

/// A price that is not a number, or is negative or too large.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{model}: {key} is not a price: {text}")]
pub struct NotAPrice {
    model: String,
    key: String,
    text: String,
}

/// Reads the prices of tokens, which are numbers of 10^-`decimals` pico-USD.
pub(super) fn listing(
    model: &str,
    prices: &BTreeMap<String, Box<RawValue>>,
    decimals: i64,
) -> Result<Listing, NotAPrice> {
    let mut listing = Listing::default();
    for (key, value) in prices {
        let Some((part, tier, above)) = rate_of(key) else {
            continue;
        };
        let text = value.get();
        if text == "null" {
            continue;
        }
        let rate = shifted(text, decimals).ok_or_else(|| NotAPrice {
            model: model.to_owned(),
            key: key.clone(),
            text: text.chars().take(40).collect(),
        })?;
        listing.set(part, tier, above, rate);
    }
    Ok(listing)
}

/// Returns what a price is for, or None if it is not for tokens of a kind and tier that we know.
fn rate_of(key: &str) -> Option<(Part, ServiceTier, i64)> {
    let tiers = [
        ("_batches", ServiceTier::Batch),
        ("_flex", ServiceTier::Flex),
        ("_priority", ServiceTier::Priority),
    ];
    let of_tier = |(end, tier)| Some((key.strip_suffix(end)?, tier));
    let (key, tier) = tiers
        .into_iter()
        .find_map(of_tier)
        .unwrap_or((key, ServiceTier::Default));
    let (key, above) = match key
        .strip_suffix("k_tokens")
        .and_then(|key| key.rsplit_once('_'))
    {
        Some((key, size)) => {
            let size: i64 = size.parse().ok()?;
            (key.strip_suffix("_above")?, size.checked_mul(TOKENS_PER_K)?)
        }
        None => (key, 0),
    };
    let part = match key {
        "input_cost_per_token" => Part::Input,
        "cache_read_input_token_cost" => Part::Cached,
        "cache_read_input_audio_token_cost" => Part::CachedAudio,
        "cache_read_input_image_token_cost" => Part::CachedImage,
        "cache_creation_input_token_cost" => Part::Write,
        "cache_creation_input_token_cost_above_1hr" => Part::WriteHour,
        "input_cost_per_audio_token" => Part::Audio,
        "input_cost_per_image_token" => Part::Image,
        "output_cost_per_token" => Part::Output,
        "output_cost_per_reasoning_token" => Part::Reasoning,
        "output_cost_per_audio_token" => Part::AudioOutput,
        "output_cost_per_image_token" => Part::ImageOutput,
        _ => return None,
    };
    Some((part, tier, above))
}

/// Returns a JSON number times 10^`decimals`, rounded up to a whole number. None if it is negative,
/// or too large.
fn shifted(text: &str, decimals: i64) -> Option<i64> {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    if whole.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let exponent: i64 = exponent.parse().ok()?;
    let fraction = i64::try_from(fraction.len()).ok()?;
    let shift = exponent.checked_add(decimals)?.checked_sub(fraction)?;
    let number: i128 = digits.parse().ok()?;
    let scale = 10_i128.checked_pow(u32::try_from(shift.unsigned_abs()).ok()?);
    let value = match (shift >= 0, scale) {
        (true, scale) => number.checked_mul(scale?)?,
        (false, Some(scale)) => number.checked_add(scale - 1)?.div_euclid(scale),
        (false, None) => i128::from(number > 0),
    };
    i64::try_from(value).ok()
}
