//! Reads and shows the rates of a price.

use serde::Serialize;
use shared::domain::amount::micro_usd_from_json;
use shared::domain::pricing::own::{MAX_RATE, Rates};
use shared::runtime::fields::Fields;
use shared::runtime::wire::Usd;
use utoipa::ToSchema;

/// Reads US dollars per million tokens.
fn rate(raw: &str) -> Result<i64, String> {
    match micro_usd_from_json(raw) {
        Ok(rate) if (0..=MAX_RATE).contains(&rate) => Ok(rate),
        Ok(_) => Err("must be from 0 to 1000000".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// The fields of a price.
pub(super) const FIELDS: [&str; 9] = [
    "input_usd_per_million",
    "output_usd_per_million",
    "cached_input_usd_per_million",
    "cache_write_usd_per_million",
    "cache_write_1h_usd_per_million",
    "audio_input_usd_per_million",
    "image_input_usd_per_million",
    "reasoning_usd_per_million",
    "audio_output_usd_per_million",
];

/// Reads the rates of a price, of which there is at least one.
pub(super) fn read(fields: &mut Fields) -> Rates {
    fields.forget_nulls(|name| FIELDS.contains(&name));
    if !FIELDS.iter().any(|name| fields.has(name)) {
        let [input, others @ ..] = FIELDS;
        let message = format!("is required, or one of {}", others.join(", "));
        fields.also_invalid(input, message);
    }
    Rates {
        input: fields.optional("input_usd_per_million", rate),
        output: fields.optional("output_usd_per_million", rate),
        cached_input: fields.optional("cached_input_usd_per_million", rate),
        cache_write: fields.optional("cache_write_usd_per_million", rate),
        cache_write_1h: fields.optional("cache_write_1h_usd_per_million", rate),
        audio_input: fields.optional("audio_input_usd_per_million", rate),
        image_input: fields.optional("image_input_usd_per_million", rate),
        reasoning: fields.optional("reasoning_usd_per_million", rate),
        audio_output: fields.optional("audio_output_usd_per_million", rate),
    }
}

/// US dollars per million tokens.
#[derive(Serialize, ToSchema)]
#[schema(as = PriceRates)]
pub(super) struct RatesView {
    #[schema(required = true)]
    input_usd_per_million: Option<Usd>,
    #[schema(required = true)]
    output_usd_per_million: Option<Usd>,
    #[schema(required = true)]
    cached_input_usd_per_million: Option<Usd>,
    #[schema(required = true)]
    cache_write_usd_per_million: Option<Usd>,
    #[schema(required = true)]
    cache_write_1h_usd_per_million: Option<Usd>,
    #[schema(required = true)]
    audio_input_usd_per_million: Option<Usd>,
    #[schema(required = true)]
    image_input_usd_per_million: Option<Usd>,
    #[schema(required = true)]
    reasoning_usd_per_million: Option<Usd>,
    #[schema(required = true)]
    audio_output_usd_per_million: Option<Usd>,
}

pub(super) fn shown(rates: &Rates) -> RatesView {
    RatesView {
        input_usd_per_million: rates.input.map(Usd),
        output_usd_per_million: rates.output.map(Usd),
        cached_input_usd_per_million: rates.cached_input.map(Usd),
        cache_write_usd_per_million: rates.cache_write.map(Usd),
        cache_write_1h_usd_per_million: rates.cache_write_1h.map(Usd),
        audio_input_usd_per_million: rates.audio_input.map(Usd),
        image_input_usd_per_million: rates.image_input.map(Usd),
        reasoning_usd_per_million: rates.reasoning.map(Usd),
        audio_output_usd_per_million: rates.audio_output.map(Usd),
    }
}
