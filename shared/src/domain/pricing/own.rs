//! An organisation's own prices: prices by provider and model, discounts by provider, and names
//! that stand for models. Each counts from its moment on.

use super::name::Name;
use super::timeline::{Dated, Step};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The most prices of an organisation, as each instance of a function keeps them in memory. What
/// was removed counts until no usage needs it.
pub const MAX_PRICES: usize = 500;
pub const MAX_ALIASES: usize = 500;
pub const MAX_DISCOUNTS: usize = 50;
/// The highest price: a million dollars for a million tokens, in micro-USD.
pub const MAX_RATE: i64 = 1_000_000_000_000;
/// All of a price, in hundredths of a per cent.
pub const WHOLE: i64 = 10_000;

/// What a price is of, as it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriceOf {
    pub provider: String,
    pub model: String,
}

impl PriceOf {
    /// The same text for all spellings of the same names.
    pub fn key(&self) -> String {
        format!("{}\0{}", folded(&self.provider), folded(&self.model))
    }
}

/// A name in the form in which it is compared: names that differ only in case are the same.
pub fn folded(name: &str) -> String {
    name.trim().to_lowercase()
}

/// The prices of a model in micro-USD per million tokens. What is None costs what the table says,
/// or, if that has no such model, as much as other input or output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rates {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cached_input: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_write: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_write_1h: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio_input: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_input: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio_output: Option<i64>,
}

/// What a name stands for. It is no name that stands for another model itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// None for the provider that is reported with the name.
    pub provider: Option<String>,
    pub model: String,
}

pub type OwnPrice = Dated<PriceOf, Rates>;
/// A provider's discount, in hundredths of a per cent: from 0 to [`WHOLE`].
pub type Discount = Dated<String, i64>;
/// A deployment's name, or the ARN of an inference profile.
pub type Alias = Dated<String, Target>;

/// An organisation's own prices, discounts and aliases. Upper and lower case of names are the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnPrices {
    /// By what the names of a model have in common, then by model and provider.
    prices: BTreeMap<[String; 3], OwnPrice>,
    discounts: BTreeMap<String, Discount>,
    aliases: BTreeMap<String, Alias>,
}

/// Returns what all names of a model have in common: its dates, its regions.
fn common(model: &str) -> String {
    Name::read(model).map_or_else(|| folded(model), |name| name.model)
}

fn place(provider: &str, model: &str) -> [String; 3] {
    [common(model), folded(model), folded(provider)]
}

impl OwnPrices {
    pub(super) const fn none() -> Self {
        Self {
            prices: BTreeMap::new(),
            discounts: BTreeMap::new(),
            aliases: BTreeMap::new(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.prices.is_empty() && self.discounts.is_empty() && self.aliases.is_empty()
    }

    pub fn add_price(&mut self, price: OwnPrice) {
        let place = place(&price.of.provider, &price.of.model);
        self.prices.insert(place, price);
    }

    pub fn add_discount(&mut self, discount: Discount) {
        self.discounts.insert(folded(&discount.of), discount);
    }

    pub fn add_alias(&mut self, alias: Alias) {
        self.aliases.insert(folded(&alias.of), alias);
    }

    /// Returns the row of a price, also of one that was removed or is to come.
    pub fn price(&self, provider: &str, model: &str) -> Option<&OwnPrice> {
        self.prices.get(&place(provider, model))
    }

    pub fn discount(&self, provider: &str) -> Option<&Discount> {
        self.discounts.get(&folded(provider))
    }

    pub fn alias(&self, name: &str) -> Option<&Alias> {
        self.aliases.get(&folded(name))
    }

    /// Returns all prices, those of one model together.
    pub fn prices(&self) -> impl Iterator<Item = &OwnPrice> {
        self.prices.values()
    }

    pub fn discounts(&self) -> impl Iterator<Item = &Discount> {
        self.discounts.values()
    }

    pub fn aliases(&self) -> impl Iterator<Item = &Alias> {
        self.aliases.values()
    }

    /// Returns the prices of a model, of any of its versions and by any provider.
    pub(super) fn prices_like(&self, model: &str) -> impl Iterator<Item = &OwnPrice> {
        let common = common(model);
        let first = [common.clone(), String::new(), String::new()];
        let rows = self.prices.range(first..);
        let rows = rows.take_while(move |([of, ..], _)| *of == common);
        rows.map(|(_, price)| price)
    }

    /// Returns what `name` stands for at `at`.
    pub fn target(&self, name: &str, at: Timestamp) -> Option<(&Step<Target>, &Target)> {
        self.alias(name)?.values.at(at)
    }

    /// Returns the alias that stands for `model`, now or later.
    pub fn alias_for(&self, model: &str, now: Timestamp) -> Option<&Alias> {
        let model = folded(model);
        let stands = |alias: &&Alias| {
            let mut targets = alias.values.since(now);
            targets.any(|(_, target)| folded(&target.model) == model)
        };
        self.aliases.values().find(stands)
    }
}

/// Returns `rate` less a discount in hundredths of a per cent, rounded up.
pub fn discounted(rate: i64, hundredths: i64) -> i64 {
    let left = i128::from(WHOLE.saturating_sub(hundredths).clamp(0, WHOLE));
    let whole = i128::from(WHOLE);
    let rounded_up = (i128::from(rate) * left + whole - 1).div_euclid(whole);
    i64::try_from(rounded_up).unwrap_or(rate)
}
