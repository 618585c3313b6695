//! Checks a price book by a list of what people send, with the price that it must have.

use super::book::{Listed, PriceBook};
use super::matched::MatchKind;
use super::table::NoPrice;
use super::tokens::{ServiceTier, TokenCounts};
use std::collections::BTreeMap;

/// The list of this version. Its head explains the columns.
pub const LIST: &str = include_str!("../../../data/price-spellings.tsv");

const PICO_DECIMALS: usize = 12;

/// A line of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spelling<'a> {
    pub provider: Option<&'a str>,
    pub model: &'a str,
    kind: MatchKind,
    /// The row of the table.
    row: Option<&'a str>,
    counts: TokenCounts,
    tier: ServiceTier,
    /// In pico-USD.
    cost: Option<i128>,
}

/// A line that is not one of the list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {0} is not a spelling")]
pub struct NotASpelling(usize);

/// Reads a list.
pub fn read(text: &str) -> Result<Vec<Spelling<'_>>, NotASpelling> {
    let lines = text.lines().enumerate();
    let lines = lines.filter(|(_, line)| !line.starts_with('#') && !line.is_empty());
    lines
        .map(|(at, line)| Spelling::read(line).ok_or(NotASpelling(at.saturating_add(1))))
        .collect()
}

/// What a check counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Found by their own name, or with a date, at the right price.
    pub right: usize,
    /// Found in another way, at the right price.
    pub inexact: usize,
    /// Not found, and rightly so; or without a price of tokens.
    pub unknown: usize,
    /// How many of these have no price for which reason.
    pub reasons: BTreeMap<&'static str, usize>,
    /// What was found instead.
    pub wrong: Vec<String>,
}

impl Checked {
    fn count(&mut self, kind: MatchKind) {
        let count = match kind {
            MatchKind::None => &mut self.unknown,
            kind if kind.is_unsure() => &mut self.inexact,
            _ => &mut self.right,
        };
        *count = count.saturating_add(1);
    }
}

/// Looks up every spelling of a list.
pub fn check_list(book: &PriceBook, list: &[Spelling<'_>]) -> Checked {
    let mut checked = Checked::default();
    for spelling in list {
        match spelling.fault(book) {
            None => checked.count(spelling.kind),
            Some(fault) => checked.wrong.push(fault),
        }
    }
    checked
}

/// Looks up every name of a book's own table.
pub fn check_table(book: &PriceBook) -> Checked {
    let mut checked = Checked::default();
    for row in book.listed() {
        let quote = book.find(Some(row.provider), row.model);
        let expected = match row.price() {
            Some(_) => (MatchKind::Exact, Some(row.model)),
            None => (MatchKind::None, None),
        };
        let found = (quote.matched.kind, quote.matched.model.as_deref());
        let (provider, model) = (row.provider, row.model);
        if row.no_price() == Some(NoPrice::Unreadable) {
            let fault = format!("{provider} {model}: its rates cannot be read");
            checked.wrong.push(fault);
        } else if found == expected && quote.price == row.price() {
            checked.count(expected.0);
            if let Some(why) = row.no_price() {
                let count = checked.reasons.entry(reason(why, &row)).or_default();
                *count = count.saturating_add(1);
            }
        } else {
            checked.wrong.push(format!(
                "{provider} {model}: found {found:?} at another price"
            ));
        }
    }
    checked
}

/// Says why the tokens of a row have no price. What a model is for says by which unit it is
/// charged.
fn reason(why: NoPrice, row: &Listed<'_>) -> &'static str {
    match (why, row.mode()) {
        (NoPrice::OtherUnit, "image_generation" | "image_edit") => {
            "pictures, charged by the picture or pixel"
        }
        (NoPrice::OtherUnit, "audio_speech") => "speech, charged by the character or picture",
        (NoPrice::OtherUnit, "audio_transcription" | "realtime") => {
            "sound, charged by the second or message"
        }
        (NoPrice::OtherUnit, _) => "charged by the hour, second, session, character or picture",
        (NoPrice::Zero, _) => "zeros of a provider that does charge: its price is not known",
        (NoPrice::Part, _) => "routers, whose fee comes on top of the model's price",
        (NoPrice::Half, _) => "no rate for the input, or none for the output",
        (NoPrice::Unreadable, _) => "rates that cannot be read",
    }
}

impl<'a> Spelling<'a> {
    fn read(line: &'a str) -> Option<Self> {
        const KINDS: [MatchKind; 5] = [
            MatchKind::Exact,
            MatchKind::Dated,
            MatchKind::Alias,
            MatchKind::DearestProvider,
            MatchKind::None,
        ];
        let given = |text: &'a str| Some(text).filter(|text| *text != "-");
        let mut columns = line.split('\t');
        let provider = given(columns.next()?);
        let model = columns.next()?;
        let kind = columns.next()?;
        let kind = KINDS.into_iter().find(|known| known.as_str() == kind)?;
        let row = given(columns.next()?);
        let (counts, tier) = read_usage(columns.next()?)?;
        let cost = match given(columns.next()?) {
            Some(cost) => Some(read_dollars(cost)?),
            None => None,
        };
        Some(Self {
            provider,
            model,
            kind,
            row,
            counts,
            tier,
            cost,
        })
    }

    /// Returns what is wrong with what `book` finds, if anything is.
    fn fault(&self, book: &PriceBook) -> Option<String> {
        let quote = book.find(self.provider, self.model);
        let cost = quote.price.map(|price| price.cost(self.counts, self.tier));
        let matched = quote.matched;
        let found = (matched.kind, matched.model.as_deref(), cost);
        let expected = (self.kind, self.row, self.cost);
        let name = format!("{} {}", self.provider.unwrap_or("-"), self.model);
        (found != expected).then(|| format!("{name}: found {found:?}, expected {expected:?}"))
    }
}

/// Reads usage: `input=1000 cached=400 output=50 tier=batch`.
fn read_usage(text: &str) -> Option<(TokenCounts, ServiceTier)> {
    let mut counts = TokenCounts::default();
    let mut tier = ServiceTier::Default;
    for word in text.split(' ') {
        let (name, value) = word.split_once('=')?;
        let count = match name {
            "tier" => {
                tier = match value {
                    "batch" => ServiceTier::Batch,
                    "flex" => ServiceTier::Flex,
                    "priority" => ServiceTier::Priority,
                    _ => return None,
                };
                continue;
            }
            "input" => &mut counts.input,
            "cached" => &mut counts.cached_input,
            "write" => &mut counts.cache_write,
            "write_1h" => &mut counts.cache_write_1h,
            "audio" => &mut counts.audio_input,
            "image" => &mut counts.image_input,
            "output" => &mut counts.output,
            "reasoning" => &mut counts.reasoning,
            "audio_output" => &mut counts.audio_output,
            _ => return None,
        };
        *count = value.parse().ok()?;
    }
    Some((counts, tier))
}

/// Reads US dollars as pico-USD.
fn read_dollars(text: &str) -> Option<i128> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_short = fraction.len() <= PICO_DECIMALS;
    let digits = is_short.then(|| format!("{whole}{fraction:0<PICO_DECIMALS$}"))?;
    digits.parse().ok()
}
