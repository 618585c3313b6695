//! Price books: the prices of a provider's models from one date on.

use super::choose::{Provider, choose, longest_output};
use super::name::Name;
use super::price::Price;
use super::quote::Quote;
use super::rules::{Called, Rules};
use super::source;
use super::table::{self, NoPrice, NoTable, Row};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::OnceLock;

/// Those whose models stand for one of an unknown provider.
const USUAL: [&str; 3] = ["openai", "anthropic", "gemini"];

/// Prices from one date on.
#[derive(Debug)]
pub struct PriceBook {
    version: String,
    effective_from: Timestamp,
    largest_output: i64,
    text: Cow<'static, str>,
    /// The highest price of each seller.
    dearest: OnceLock<HashMap<String, Price>>,
}

impl PriceBook {
    /// Reads the head of a table (`shared/data/prices-*.tsv`). Its rows are read when they are
    /// asked for.
    pub fn of_table(text: impl Into<Cow<'static, str>>) -> Result<Self, NoTable> {
        let text = text.into();
        let head = |name| table::head(&text, name).ok_or(NoTable(name));
        let effective_from: Date = head("effective_from")?
            .parse()
            .map_err(|_| NoTable("effective_from"))?;
        let largest_output = head("largest_output")?
            .parse()
            .map_err(|_| NoTable("largest_output"))?;
        let start = effective_from.to_zoned_datetime(TimeZone::UTC);
        Ok(Self {
            version: head("version")?.to_owned(),
            effective_from: start.map_or(Timestamp::MIN, |start| start.timestamp()),
            largest_output,
            text,
            dearest: OnceLock::new(),
        })
    }

    /// Reads a list of prices in the form of its source: see `source::read`. Its version and date
    /// are `version` and `effective_from`.
    pub fn from_json(text: &str) -> Result<Self, source::SourceError> {
        let source = source::read(text)?;
        Ok(Self::of_table(source.table())?)
    }

    /// Returns the version that each priced record keeps: `2026-11`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Returns the longest output of any known model, in tokens.
    pub fn largest_output(&self) -> i64 {
        self.largest_output
    }

    /// Returns what `model` costs, and how sure that is: of `provider`, or of who is in front of
    /// its name. Without either, or if the provider does not sell it, the dearest of all who do.
    pub fn find(&self, provider: Option<&str>, model: &str) -> Quote {
        let Some(choice) = self.ask(provider, model, choose).flatten() else {
            return Quote::none(&self.version);
        };
        let sellers = choice.sellers.into_iter().map(str::to_owned).collect();
        Quote {
            sellers,
            ..Quote::of(choice.price, choice.kind, choice.model, &self.version)
        }
    }

    /// Returns the longest answer of `model` by `provider`, in tokens, or else by anybody. None if
    /// no row of the model lists one.
    pub fn longest_output_of(&self, provider: Option<&str>, model: &str) -> Option<i64> {
        self.ask(provider, model, longest_output).flatten()
    }

    /// Passes the rows that `model` may mean, its name, and who is named, to `answer`. Returns None
    /// if it is no name.
    fn ask<'a, T>(
        &'a self,
        provider: Option<&str>,
        model: &str,
        answer: impl FnOnce(Vec<(Row<'a>, Name)>, &Name, Option<&Provider<'_>>) -> T,
    ) -> Option<T> {
        let asked = Name::read(model)?;
        let provider = provider.map(|name| name.trim().to_ascii_lowercase());
        let provider = provider.as_deref().filter(|name| !name.is_empty());
        let rows = table::rows(&self.text);
        let mut found = table::find(rows, &asked.key());
        if found.is_empty() && asked.is_tuned {
            // Better the price of its base, and marked, than none.
            let base = Name {
                is_tuned: false,
                ..asked.clone()
            };
            found = table::find(rows, &base.key());
        }
        let named = match provider.map(|name| (name, Rules::get().called_by(name))) {
            Some((_, Some(called))) => Some(Provider::Known(called)),
            Some((name, None)) => Some(Provider::Unknown(name)),
            None => asked.front.as_ref().map(Provider::Known),
        };
        Some(answer(found, &asked, named.as_ref()))
    }

    /// Returns a price that is at least as high as that of any chat model of `provider`. Without a
    /// known provider it is at least as high as any of OpenAI, Anthropic and Google. None if the
    /// book has no such model.
    pub fn dearest_of(&self, provider: Option<&str>) -> Option<Price> {
        let dearest = self.dearest.get_or_init(|| self.dearest_by_seller());
        let most = |sellers: &[&str]| {
            let prices = sellers
                .iter()
                .filter_map(|seller| dearest.get(*seller).cloned());
            prices.reduce(|one, other| one.most_of(&other))
        };
        let name = provider.map(|name| name.trim().to_ascii_lowercase());
        let called = name
            .as_deref()
            .and_then(|name| Rules::get().called_by(name));
        let of_provider = |called: &Called| most(&called.sellers);
        // One that sells nothing but free models says nothing about another model.
        let of_provider = called
            .and_then(of_provider)
            .filter(|price| !price.is_free());
        of_provider.or_else(|| most(&USUAL))
    }

    fn dearest_by_seller(&self) -> HashMap<String, Price> {
        let mut dearest: HashMap<String, Price> = HashMap::new();
        for (row, price) in self.priced().filter(|(row, _)| row.is_chat()) {
            let seller = Rules::get().seller(row.provider).to_owned();
            dearest
                .entry(seller)
                .and_modify(|most| *most = most.most_of(&price))
                .or_insert(price);
        }
        dearest
    }

    /// Returns the rows of the table, for people who look for one.
    pub fn listed(&self) -> impl Iterator<Item = Listed<'_>> {
        let rows = table::rows(&self.text).lines().filter_map(Row::read);
        rows.map(|row| Listed {
            provider: row.provider,
            model: row.model,
            row,
        })
    }

    fn priced(&self) -> impl Iterator<Item = (Row<'_>, Price)> {
        let rows = table::rows(&self.text).lines().filter_map(Row::read);
        rows.filter_map(|row| row.price().map(|price| (row, price)))
    }
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Listed<'a> {
    pub provider: &'a str,
    pub model: &'a str,
    row: Row<'a>,
}

impl Listed<'_> {
    /// Returns its price, or None if its tokens have none.
    pub fn price(&self) -> Option<Price> {
        self.row.price()
    }

    /// Returns why its tokens have no price, if so.
    pub fn no_price(&self) -> Option<NoPrice> {
        self.row.priced().err()
    }

    /// What it is used for: `chat`, `image_generation`.
    pub fn mode(&self) -> &str {
        self.row.mode
    }
}

/// The price books of all dates.
#[derive(Debug)]
pub struct PriceBooks {
    /// Ascending by the date of effect.
    books: Vec<PriceBook>,
    none: PriceBook,
}

/// The built-in tables. Add new ones here and never change old ones, so that a record's version
/// identifies its prices.
const FILES: [&str; 1] = [include_str!("../../../data/prices-2026-11.tsv")];

impl PriceBooks {
    pub fn new(mut books: Vec<PriceBook>) -> Self {
        books.sort_by_key(|book| book.effective_from);
        let none = PriceBook {
            version: "none".to_owned(),
            effective_from: Timestamp::MIN,
            largest_output: 0,
            text: Cow::Borrowed(""),
            dearest: OnceLock::new(),
        };
        Self { books, none }
    }

    pub fn built_in() -> &'static Self {
        static BOOKS: OnceLock<PriceBooks> = OnceLock::new();
        BOOKS.get_or_init(|| {
            let books = FILES.iter().map(|text| PriceBook::of_table(*text));
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
