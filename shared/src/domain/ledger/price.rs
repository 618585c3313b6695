//! Model prices: a versioned price book, kept as data.

use crate::domain::amount::Amounts;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Deserialize;
use std::collections::HashMap;
use std::sync::OnceLock;

const TOKENS_PER_PRICE: i128 = 1_000_000;

/// List prices of one model, in micro-USD per million tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Price {
    #[serde(rename = "input_micro_usd_per_million_tokens")]
    pub input: i64,
    #[serde(rename = "output_micro_usd_per_million_tokens")]
    pub output: i64,
    /// For input tokens that the provider had cached. None if they cost as much as other input.
    #[serde(rename = "cached_input_micro_usd_per_million_tokens")]
    pub cached_input: Option<i64>,
    /// The longest answer of the model, in tokens.
    pub max_output_tokens: Option<i64>,
    /// The longest input of the model, in tokens.
    pub max_input_tokens: Option<i64>,
}

/// Tokens of one request by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokenCounts {
    /// Input tokens, including cached ones.
    pub input: i64,
    /// The part of `input` that the provider had cached. Capped at `input`.
    pub cached_input: i64,
    pub output: i64,
}

impl TokenCounts {
    pub fn total(self) -> i64 {
        self.input.saturating_add(self.output)
    }
}

impl Price {
    /// Returns the cost of `counts` in micro-USD, rounded up once.
    pub fn cost_micro_usd(&self, counts: TokenCounts) -> i64 {
        let cached_price = self.cached_input.unwrap_or(self.input);
        let cached = counts.cached_input.clamp(0, counts.input.max(0));
        let fresh = i128::from(counts.input) - i128::from(cached);
        let scaled = fresh * i128::from(self.input)
            + i128::from(cached) * i128::from(cached_price)
            + i128::from(counts.output) * i128::from(self.output);
        let rounded_up = (scaled + TOKENS_PER_PRICE - 1).div_euclid(TOKENS_PER_PRICE);
        i64::try_from(rounded_up).unwrap_or(i64::MAX)
    }

    /// Returns a price that is at least as high as either in every respect.
    fn most_of(self, other: Self) -> Self {
        let cached = |price: Self| price.cached_input.unwrap_or(price.input);
        // A limit counts only if both have one.
        let most = |one: Option<i64>, other: Option<i64>| Some(one?.max(other?));
        Self {
            input: self.input.max(other.input),
            output: self.output.max(other.output),
            cached_input: Some(cached(self).max(cached(other))),
            max_output_tokens: most(self.max_output_tokens, other.max_output_tokens),
            max_input_tokens: most(self.max_input_tokens, other.max_input_tokens),
        }
    }

    /// Returns the most output tokens that cost at most `micro_usd` together with `input` uncached
    /// input tokens. None if the input alone costs more. `i64::MAX` if output is free.
    pub fn output_tokens_within(&self, input: i64, micro_usd: i64) -> Option<i64> {
        let left =
            i128::from(micro_usd) * TOKENS_PER_PRICE - i128::from(input) * i128::from(self.input);
        if left < 0 {
            return None;
        }
        match i128::from(self.output) {
            0 => Some(i64::MAX),
            price => Some(i64::try_from(left / price).unwrap_or(i64::MAX)),
        }
    }
}

/// How a price was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// By the provider and the model's exact name.
    ProviderAndModel,
    /// By the model's exact name, with another provider or none.
    Model,
    /// By the longest known name that is a prefix of the model's name.
    Prefix,
}

/// Prices from one date on.
#[derive(Debug)]
pub struct PriceBook {
    version: String,
    effective_from: Timestamp,
    by_provider: HashMap<String, HashMap<String, Price>>,
    by_model: HashMap<String, Price>,
    largest_output: i64,
}

#[derive(Deserialize)]
struct BookFile {
    version: String,
    /// From the beginning of this day, in UTC.
    effective_from: Date,
    models: Vec<BookEntry>,
}

#[derive(Deserialize)]
struct BookEntry {
    model: String,
    provider: String,
    #[serde(flatten)]
    price: Price,
}

impl PriceBook {
    /// Reads a price book file (`shared/data/prices-*.json`).
    pub fn from_json(text: &str) -> Result<Self, serde_json::Error> {
        let file: BookFile = serde_json::from_str(text)?;
        let start = file.effective_from.to_zoned_datetime(TimeZone::UTC);
        let mut book = Self {
            version: file.version,
            effective_from: start.map_or(Timestamp::MIN, |start| start.timestamp()),
            by_provider: HashMap::new(),
            by_model: HashMap::new(),
            largest_output: 0,
        };
        for BookEntry {
            model,
            provider,
            price,
        } in file.models
        {
            book.largest_output = book
                .largest_output
                .max(price.max_output_tokens.unwrap_or(0));
            // Several providers sell models of the same name. Without the provider, use the highest
            // price, so that a hold is never too small.
            book.by_model
                .entry(model.clone())
                .and_modify(|known| *known = known.most_of(price))
                .or_insert(price);
            book.by_provider
                .entry(provider)
                .or_default()
                .insert(model, price);
        }
        Ok(book)
    }

    /// Returns the version that each priced record keeps: `2026-11`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Returns the longest output of any known model, in tokens.
    pub fn largest_output(&self) -> i64 {
        self.largest_output
    }

    /// Returns the price of `model`: by provider and model, then by the model's exact name, then by
    /// the longest known prefix. None if the model is unknown, so that it counts in tokens only.
    pub fn price(&self, provider: Option<&str>, model: &str) -> Option<(&Price, Found)> {
        let of_provider = provider.and_then(|p| self.by_provider.get(p));
        if let Some(price) = of_provider.and_then(|models| models.get(model)) {
            return Some((price, Found::ProviderAndModel));
        }
        if let Some(price) = self.by_model.get(model) {
            return Some((price, Found::Model));
        }
        (1..model.len())
            .rev()
            .filter_map(|end| model.get(..end))
            .find_map(|prefix| {
                of_provider
                    .and_then(|models| models.get(prefix))
                    .or_else(|| self.by_model.get(prefix))
            })
            .map(|price| (price, Found::Prefix))
    }
}

/// The price books of all dates.
#[derive(Debug)]
pub struct PriceBooks {
    /// Ascending by the date of effect.
    books: Vec<PriceBook>,
    none: PriceBook,
}

/// The built-in files. Add new ones here and never change old ones, so that a record's version
/// identifies its prices.
const FILES: [&str; 1] = [include_str!("../../../data/prices-2026-11.json")];

impl PriceBooks {
    pub fn new(mut books: Vec<PriceBook>) -> Self {
        books.sort_by_key(|book| book.effective_from);
        let none = PriceBook {
            version: "none".to_owned(),
            effective_from: Timestamp::MIN,
            by_provider: HashMap::new(),
            by_model: HashMap::new(),
            largest_output: 0,
        };
        Self { books, none }
    }

    pub fn built_in() -> &'static Self {
        static BOOKS: OnceLock<PriceBooks> = OnceLock::new();
        BOOKS.get_or_init(|| {
            let books = FILES.iter().map(|text| PriceBook::from_json(text));
            Self::new(books.filter_map(Result::ok).collect())
        })
    }

    /// Returns the prices of `at`: of the latest effective book, or of the earliest if none is
    /// effective yet.
    pub fn at(&self, at: Timestamp) -> &PriceBook {
        let effective = self.books.iter().rev().find(|b| b.effective_from <= at);
        effective.or(self.books.first()).unwrap_or(&self.none)
    }
}

/// Returns the value of usage: tokens always, micro-USD if the model has a price.
pub fn value(price: Option<&Price>, counts: TokenCounts) -> Amounts {
    Amounts::new(
        counts.total(),
        price.map_or(0, |price| price.cost_micro_usd(counts)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn book() -> PriceBook {
        PriceBook::from_json(
            r#"{"version": "t", "effective_from": "2026-01-01", "models": [
                {"model": "m", "provider": "a", "input_micro_usd_per_million_tokens": 1,
                "output_micro_usd_per_million_tokens": 2},
                {"model": "m", "provider": "b", "input_micro_usd_per_million_tokens": 5,
                "output_micro_usd_per_million_tokens": 9},
                {"model": "m-mini", "provider": "a", "input_micro_usd_per_million_tokens": 7,
                "output_micro_usd_per_million_tokens": 7}
            ]}"#,
        )
        .unwrap()
    }

    #[test]
    fn the_provider_comes_first_then_the_name_then_the_longest_prefix() {
        let book = book();
        let found = |provider, model| book.price(provider, model).map(|(p, f)| (p.input, f));
        assert_eq!(found(Some("a"), "m"), Some((1, Found::ProviderAndModel)));
        assert_eq!(found(Some("zzz"), "m"), Some((5, Found::Model)));
        assert_eq!(found(None, "m"), Some((5, Found::Model)));
        assert_eq!(found(None, "m-mini-2027"), Some((7, Found::Prefix)));
        assert_eq!(found(Some("a"), "m-2027"), Some((1, Found::Prefix)));
        assert_eq!(found(Some("a"), "M"), None);
        assert_eq!(found(None, ""), None);
        assert_eq!(found(None, "ünknown"), None);
    }

    #[test]
    fn a_cost_is_rounded_up_once() {
        let price = Price {
            input: 2_500_000,
            output: 10_000_000,
            cached_input: Some(1_250_000),
            max_output_tokens: None,
            max_input_tokens: None,
        };
        let cost = |input, cached_input, output| {
            price.cost_micro_usd(TokenCounts {
                input,
                cached_input,
                output,
            })
        };
        assert_eq!(cost(0, 0, 0), 0);
        assert_eq!(cost(1, 0, 0), 3);
        assert_eq!(cost(2, 0, 0), 5);
        assert_eq!(cost(1000, 400, 100), 1500 + 500 + 1000);
    }

    #[test]
    fn the_built_in_book_has_its_models() {
        let books = PriceBooks::built_in();
        assert_eq!(books.books.len(), FILES.len());
        let book = books.at("2026-11-24T00:00:00Z".parse().unwrap());
        assert_eq!(book.version(), "2026-11");
        assert!(book.price(Some("openai"), "gpt-4o").is_some());
        assert!(book.largest_output() > 100_000);
    }

    #[test]
    fn each_moment_has_the_prices_of_its_date() {
        let book = |version: &str, from: &str, price: i64| {
            let text = format!(
                r#"{{"version": "{version}", "effective_from": "{from}", "models": [
                    {{"model": "m", "provider": "a", "input_micro_usd_per_million_tokens": {price},
                      "output_micro_usd_per_million_tokens": 0}}
                ]}}"#
            );
            PriceBook::from_json(&text).unwrap()
        };
        let books = PriceBooks::new(vec![
            book("2027-02", "2027-02-01", 9_000_000),
            book("2026-11", "2026-11-01", 3_000_000),
        ]);
        for (at, version, cost) in [
            ("2020-01-01T00:00:00Z", "2026-11", 3),
            ("2027-01-31T23:59:59Z", "2026-11", 3),
            ("2027-02-01T00:00:00Z", "2027-02", 9),
        ] {
            let book = books.at(at.parse().unwrap());
            let price = book.price(Some("a"), "m").map(|(price, _)| *price);
            let one = TokenCounts {
                input: 1,
                ..TokenCounts::default()
            };
            assert_eq!(book.version(), version, "{at}");
            assert_eq!(value(price.as_ref(), one).micro_usd, cost, "{at}");
        }
        let empty = PriceBooks::new(Vec::new());
        assert!(empty.at(Timestamp::UNIX_EPOCH).price(None, "m").is_none());
    }

    proptest! {
        #[test]
        fn a_cost_is_never_below_zero_and_more_tokens_never_cost_less(
            input in 0_i64..1_000_000_000, cached_input in 0_i64..2_000_000_000,
                output in 0_i64..1_000_000_000,
            more in 0_i64..1_000,
        ) {
            let price = Price { input: 2_500_000, output: 10_000_000,
                cached_input: Some(1_250_000), max_output_tokens: None, max_input_tokens: None };
            let cost = price.cost_micro_usd(TokenCounts { input, cached_input, output });
            prop_assert!(cost >= 0);
            let of_more = price.cost_micro_usd(TokenCounts { input, cached_input,
                output: output + more });
            prop_assert!(of_more >= cost);
        }

        #[test]
        fn the_offered_output_costs_at_most_the_rest_and_one_more_token_costs_more(
            input_price in 0_i64..100_000_000, output_price in 1_i64..100_000_000,
            input in 0_i64..1_000_000, rest in 0_i64..1_000_000_000,
        ) {
            let price = Price { input: input_price, output: output_price, cached_input: None,
                max_output_tokens: None, max_input_tokens: None };
            let cost = |output| price.cost_micro_usd(TokenCounts { input, cached_input: 0,
                output });
            match price.output_tokens_within(input, rest) {
                Some(output) => {
                    prop_assert!(cost(output) <= rest);
                    prop_assert!(cost(output + 1) > rest);
                }
                None => prop_assert!(cost(0) > rest),
            }
        }
    }

    #[test]
    fn without_a_provider_the_most_of_each_counts_and_a_limit_only_where_all_have_one() {
        let book = PriceBook::from_json(
            r#"{"version": "t", "effective_from": "2026-01-01", "models": [
                {"model": "m", "provider": "a", "input_micro_usd_per_million_tokens": 9,
                "output_micro_usd_per_million_tokens": 2,
                 "cached_input_micro_usd_per_million_tokens": 1, "max_output_tokens": 100,
                 "max_input_tokens": 50},
                {"model": "m", "provider": "b", "input_micro_usd_per_million_tokens": 5,
                "output_micro_usd_per_million_tokens": 7,
                 "max_input_tokens": 70}
            ]}"#,
        )
        .unwrap();
        let most = Price {
            input: 9,
            output: 7,
            cached_input: Some(5),
            max_output_tokens: None,
            max_input_tokens: Some(70),
        };
        assert_eq!(book.price(None, "m"), Some((&most, Found::Model)));
        assert_eq!(book.price(None, "m-2027"), Some((&most, Found::Prefix)));
        assert_eq!(book.largest_output(), 100);
    }
}
