//! Rows of usage, as they are stored and as reports show them.
//!
//! A row has a user's usage of one path, provider and model on one day, as far as it counts in one
//! month. Its hours are in it: six numbers for each, under a letter and the code of the hour.

use super::error::StoreError;
use super::item::{Item, counted, from_item};
use crate::domain::amount::Amounts;
use crate::domain::ledger::buckets::hour_of_code;
use crate::domain::wide_number;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::civil::Date;
use serde::Deserialize;
use std::collections::BTreeMap;

/// The model and provider that reports show for abandoned holds that were charged.
pub(super) const ABANDONED_HOLD: &str = "abandoned_hold";
/// The first character of the group of corrections.
pub(super) const IS_CORRECTION: char = '=';

/// The letters of an hour's numbers.
pub(super) const REQUESTS: char = 'n';
pub(super) const INPUT: char = 'i';
pub(super) const OUTPUT: char = 'o';
pub(super) const CACHED_INPUT: char = 'c';
pub(super) const TOKENS: char = 't';
pub(super) const PICO_USD: char = 'p';
pub(super) const UNPRICED: char = 'u';
const FIGURES: [char; 7] = [
    REQUESTS,
    INPUT,
    OUTPUT,
    CACHED_INPUT,
    TOKENS,
    PICO_USD,
    UNPRICED,
];

/// The sums of the records of one bucket, user, path, provider and model.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct UsageRow {
    #[serde(default)]
    pub bucket: String,
    pub user_id: String,
    /// The path of the user's department at the time of the usage: `/engineering/backend/`.
    pub path: String,
    pub provider: String,
    pub model: String,
    /// The number of records.
    pub requests: i64,
    /// Input tokens including the cached ones, as far as they were counted.
    pub input_tokens: i64,
    /// Output tokens, as far as they were counted.
    pub output_tokens: i64,
    /// Input tokens that the provider had cached.
    pub cached_input_tokens: i64,
    /// Tokens charged: input and output, or a hold's estimate if nobody counted.
    pub tokens: i64,
    #[serde(with = "wide_number")]
    pub pico_usd: i128,
    /// Those of `tokens` that have no price.
    #[serde(default, rename = "unpriced_tokens")]
    pub unpriced: i64,
}

impl UsageRow {
    /// Whether it is a row of abandoned holds that all were replaced by late usage.
    pub(super) fn is_of_nothing(&self) -> bool {
        let is_abandoned = self.provider == ABANDONED_HOLD && self.model == ABANDONED_HOLD;
        is_abandoned && self.requests == 0 && self.tokens == 0 && self.pico_usd == 0
    }

    pub(super) fn amounts(&self) -> Amounts {
        Amounts::new(self.tokens, self.pico_usd)
    }

    /// Adds the figures of another row of the same user, path, provider and model.
    pub(super) fn add(&mut self, other: &Self) {
        let add = |sum: &mut i64, more: i64| *sum = sum.saturating_add(more);
        add(&mut self.requests, other.requests);
        add(&mut self.input_tokens, other.input_tokens);
        add(&mut self.output_tokens, other.output_tokens);
        add(&mut self.cached_input_tokens, other.cached_input_tokens);
        add(&mut self.tokens, other.tokens);
        self.pico_usd = self.pico_usd.saturating_add(other.pico_usd);
        add(&mut self.unpriced, other.unpriced);
    }
}

/// Reads a row of an earlier release: the sums of an hour, a day or a month.
pub(super) fn earlier_row(item: Item) -> Result<UsageRow, StoreError> {
    from_item(item)
}

/// A row, by hour.
#[derive(Clone, Debug)]
pub(super) struct DayRow {
    pub(super) day: Date,
    /// User and group: its place among the rows of a bucket.
    pub(super) place: String,
    /// Whether it is of corrections, which are in no user's day.
    pub(super) is_correction: bool,
    hours: BTreeMap<String, UsageRow>,
    /// Everything but the figures.
    of: UsageRow,
}

impl DayRow {
    /// Reads a row. Returns None for an item beside the rows that has only the tokens of a day.
    pub(super) fn read(item: &Item) -> Result<Option<Self>, StoreError> {
        let unreadable = || StoreError::unreadable("a row of usage");
        let text = |name: &str| item.get(name).and_then(|value| value.as_s().ok());
        let mut parts = text("sk").ok_or_else(unreadable)?.splitn(3, '#');
        let mut part = || parts.next().ok_or_else(unreadable);
        let (user_id, day, group) = (part()?, part()?, part()?);
        let (Some(path), Some(provider), Some(model)) =
            (text("path"), text("provider"), text("model"))
        else {
            return Ok(None);
        };
        let of = UsageRow {
            user_id: user_id.to_owned(),
            path: path.clone(),
            provider: provider.clone(),
            model: model.clone(),
            ..UsageRow::default()
        };
        let mut hours: BTreeMap<String, UsageRow> = BTreeMap::new();
        for (name, value) in item {
            let mut letters = name.chars();
            let (Some(letter), code) = (letters.next(), letters.as_str()) else {
                continue;
            };
            let AttributeValue::N(digits) = value else {
                continue;
            };
            // A later release knows what the others are.
            if code.len() != 2 || !FIGURES.contains(&letter) {
                continue;
            }
            let hour = hours.entry(code.to_owned()).or_insert_with(|| of.clone());
            set(hour, letter, counted(name, digits)?).ok_or_else(unreadable)?;
        }
        Ok(Some(Self {
            day: day.parse().map_err(|_| unreadable())?,
            place: format!("{user_id}#{group}"),
            is_correction: group.starts_with(IS_CORRECTION),
            hours,
            of,
        }))
    }

    /// Returns its sums.
    pub(super) fn whole(&self) -> UsageRow {
        let mut sum = self.of.clone();
        for hour in self.hours.values() {
            sum.add(hour);
        }
        sum
    }

    /// Returns the sums of an hour such as `2026-11-24T15:30Z`, if it has any.
    pub(super) fn in_hour(&self, hour: &str) -> Option<UsageRow> {
        let day = self.day.to_string();
        let mut hours = self.hours.iter();
        let (_, row) = hours.find(|(code, _)| hour_of_code(code, &day).as_deref() == Some(hour))?;
        Some(row.clone())
    }
}

/// Sets a number of an hour. Returns None if there is no such number, or it is too large.
fn set(hour: &mut UsageRow, letter: char, value: i128) -> Option<()> {
    if letter == PICO_USD {
        hour.pico_usd = value;
        return Some(());
    }
    let number = match letter {
        REQUESTS => &mut hour.requests,
        INPUT => &mut hour.input_tokens,
        OUTPUT => &mut hour.output_tokens,
        CACHED_INPUT => &mut hour.cached_input_tokens,
        TOKENS => &mut hour.tokens,
        UNPRICED => &mut hour.unpriced,
        _ => return None,
    };
    *number = i64::try_from(value).ok()?;
    Some(())
}
