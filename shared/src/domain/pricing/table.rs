//! The text of a price table: one row a line, sorted by the key of its name, so that a model is
//! found without reading the rest. Nothing is read at the start but the head.
//!
//! ```text
//! version<tab>2026-11
//! ..
//! <empty line>
//! anthropic<tab>claude-opus-5<tab>chat<tab>200000<tab>64000<tab>input=3 output=15; batch input=1.5
//! ```
//! A row has the provider, the model, what it is for, its longest input and output in tokens, and
//! its rates in US dollars per million tokens: first those of every request, then those of a tier
//! (`batch`) or of requests above a size (`>200k`).

use super::name::{self, Name};
use super::price::Price;
use super::rates::{Answers, Listing, Part, TIERS};
use super::rules::Rules;
use super::tokens::ServiceTier;
use std::cmp::Ordering;

/// Digits behind the point of a rate.
const DECIMALS: usize = 6;
const TOKENS_PER_K: i64 = 1_000;

/// A row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Row<'a> {
    pub(super) provider: &'a str,
    pub(super) model: &'a str,
    pub(super) mode: &'a str,
    pub(super) max_input_tokens: Option<i64>,
    pub(super) max_output_tokens: Option<i64>,
    rates: &'a str,
}

impl<'a> Row<'a> {
    pub(super) fn read(line: &'a str) -> Option<Self> {
        let mut columns = line.split('\t');
        let row = Self {
            provider: columns.next()?,
            model: columns.next()?,
            mode: columns.next()?,
            max_input_tokens: columns.next()?.parse().ok(),
            max_output_tokens: columns.next()?.parse().ok(),
            rates: columns.next()?,
        };
        columns.next().is_none().then_some(row)
    }

    /// Returns the price of its tokens, if they have one.
    pub(super) fn price(&self) -> Option<Price> {
        self.priced().ok()
    }

    /// Returns the price of its tokens, or why they have none.
    pub(super) fn priced(&self) -> Result<Price, NoPrice> {
        let rules = Rules::get();
        if self.rates.is_empty() {
            return Err(NoPrice::OtherUnit);
        }
        let listing = self.listing().ok_or(NoPrice::Unreadable)?;
        if rules.is_partial(self.model) {
            return Err(NoPrice::Part);
        }
        if listing.is_free() && !rules.is_free(self.provider) {
            return Err(NoPrice::Zero);
        }
        let mut price = Price::listed(&listing, self.answers()).ok_or(NoPrice::Half)?;
        price.max_input_tokens = self.max_input_tokens;
        price.max_output_tokens = self.max_output_tokens;
        Ok(price)
    }

    /// Returns the rates that it lists. None if it lists none.
    pub(super) fn listing(&self) -> Option<Listing> {
        read_rates(self.rates)
    }

    /// Whether it answers to people's questions, with text.
    pub(super) fn is_chat(&self) -> bool {
        matches!(self.mode, "chat" | "responses" | "completion")
    }

    fn answers(&self) -> Answers {
        match self.mode {
            "embedding" | "rerank" | "moderation" => Answers::Nothing,
            "image_generation" | "image_edit" => Answers::Pictures,
            _ if self.model.contains("-image") => Answers::Pictures,
            _ => Answers::Tokens,
        }
    }
}

/// Why the tokens of a row have no price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoPrice {
    /// It lists no rate: it is charged by something else than tokens.
    OtherUnit,
    /// It lists zeros, and its provider charges for what the table lists at zero.
    Zero,
    /// It lists a part of the price only.
    Part,
    /// It lists no rate for its input, or none for its output.
    Half,
    /// Its rates cannot be read.
    Unreadable,
}

/// Why a text is not a price table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the head of a price table has no valid {0}")]
pub struct NoTable(pub(super) &'static str);

/// Returns the value of a line of the head.
pub(super) fn head<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let lines = text.lines().take_while(|line| !line.is_empty());
    let values = lines.filter_map(|line| line.split_once('\t'));
    values
        .into_iter()
        .find_map(|(key, value)| (key == name).then_some(value))
}

/// Returns the rows of a text, behind its head.
pub(super) fn rows(text: &str) -> &str {
    text.split_once("\n\n").map_or("", |(_, rows)| rows)
}

/// Returns the rows of a model by the key of its name, each with its own name.
pub(super) fn find<'a>(rows: &'a str, key: &str) -> Vec<(Row<'a>, Name)> {
    // The rows before `from` have smaller keys, and that at `to` has none.
    let (mut from, mut to) = (0, rows.len());
    while from < to {
        let (start, end) = line_at(rows, from.midpoint(to));
        let line = rows.get(start..end).unwrap_or("");
        let model = line.split('\t').nth(1).unwrap_or("");
        match name::key(model).as_str().cmp(key) {
            Ordering::Less => from = end.saturating_add(1),
            Ordering::Equal | Ordering::Greater => to = start,
        }
    }
    let lines = rows.get(from..).unwrap_or("").lines();
    let named = lines.map_while(|line| {
        let row = Row::read(line)?;
        let name = Name::read(row.model)?;
        (name.key() == key).then_some((row, name))
    });
    named.collect()
}

/// Returns where the line begins and ends that has the byte at `at`.
fn line_at(text: &str, at: usize) -> (usize, usize) {
    let bytes = text.as_bytes();
    let before = bytes.get(..at).unwrap_or(bytes);
    let start = before
        .iter()
        .rposition(|b| *b == b'\n')
        .map_or(0, |at| at.saturating_add(1));
    let behind = bytes.get(at..).unwrap_or(&[]);
    let length = behind
        .iter()
        .position(|b| *b == b'\n')
        .unwrap_or(behind.len());
    (start, at.saturating_add(length))
}

/// Reads rates: `input=2.5 output=10; batch input=1.25; >200k priority input=5`.
fn read_rates(text: &str) -> Option<Listing> {
    let mut listing = Listing::default();
    for group in text.split(';') {
        let (mut tier, mut above) = (ServiceTier::Default, 0);
        for word in group.split_whitespace() {
            if let Some((part, rate)) = word.split_once('=') {
                listing.set(Part::parse(part)?, tier, above, read_rate(rate)?);
            } else if let Some(size) = word.strip_prefix('>') {
                let size: i64 = size.strip_suffix('k')?.parse().ok()?;
                above = size.checked_mul(TOKENS_PER_K)?;
            } else {
                tier = TIERS.into_iter().find(|tier| tier_word(*tier) == word)?;
            }
        }
    }
    (!listing.is_empty()).then_some(listing)
}

/// Writes what `read_rates` reads.
pub(super) fn write_rates(listing: &Listing) -> String {
    let mut groups = Vec::new();
    for band in listing.bands() {
        for tier in TIERS {
            let rates: Vec<String> = Part::ALL
                .into_iter()
                .filter_map(|part| {
                    let rate = band.rate(part, tier)?;
                    Some(format!("{}={}", part.as_str(), write_rate(rate)))
                })
                .collect();
            if rates.is_empty() {
                continue;
            }
            let mut words = Vec::new();
            if band.above > 0 {
                words.push(format!(">{}k", band.above / TOKENS_PER_K));
            }
            if tier != ServiceTier::Default {
                words.push(tier_word(tier).to_owned());
            }
            words.extend(rates);
            groups.push(words.join(" "));
        }
    }
    groups.join("; ")
}

/// The word of a tier in a table.
pub fn tier_word(tier: ServiceTier) -> &'static str {
    match tier {
        ServiceTier::Default => "default",
        ServiceTier::Batch => "batch",
        ServiceTier::Flex => "flex",
        ServiceTier::Priority => "priority",
    }
}

/// Reads US dollars per million tokens as pico-USD per token.
fn read_rate(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_number = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if fraction.len() > DECIMALS || !is_number(whole) || !is_number(fraction) {
        return None;
    }
    format!("{whole}{fraction:0<DECIMALS$}").parse().ok()
}

/// Writes what `read_rate` reads.
pub(super) fn write_rate(rate: i64) -> String {
    let digits = format!("{rate:0>width$}", width = DECIMALS.saturating_add(1));
    let (whole, fraction) = digits.split_at(digits.len().saturating_sub(DECIMALS));
    let text = format!("{whole}.{fraction}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
