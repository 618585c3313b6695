//! Writes usage for reports and for the totals of users: one row for each user, path, provider,
//! model and day, with its hours. It is written in the record's own transaction, so each record
//! counts in it once.
//!
//! The rows of a month are in partitions by user, so that a user's month is one query. Before a row
//! is written first, its day's list gets an entry that leads to it. The entry says nothing else, so
//! it may be written often, and an instance writes it once an hour.

use super::Store;
use super::entry::Entry;
use super::item::{expires_at, number, text};
use super::keys;
use super::tables::{TTL, Table};
use super::usage_row::{
    ABANDONED_HOLD, CACHED_INPUT, INPUT, IS_CORRECTION, OUTPUT, PICO_USD, REQUESTS, TOKENS,
    UNPRICED,
};
use super::write::{Changes, Write};
use crate::domain::amount::Amounts;
use crate::domain::ledger::buckets::{code_of_hour, of_usage};
use crate::domain::org::configuration::Configuration;
use crate::domain::org::department::Path;
use crate::domain::period::Month;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// The group of the item with the tokens of a day that count in other months.
pub(super) const ELSEWHERE: &str = "+";
/// Its attribute with them.
pub(super) const OF_DAY: &str = "of_day";

/// The amounts that a record adds to an hour.
#[derive(Clone, Copy, Default)]
pub(crate) struct Added {
    requests: i64,
    input: i64,
    output: i64,
    cached_input: i64,
    amounts: Amounts,
    unpriced: i64,
}

/// What a row is of.
pub(crate) struct RowOf<'a> {
    pub(crate) user_id: &'a str,
    pub(crate) path: &'a str,
    pub(crate) provider: &'a str,
    pub(crate) model: &'a str,
    pub(crate) is_correction: bool,
    /// When it may expire, in seconds.
    pub(crate) expires_at: i64,
}

impl RowOf<'_> {
    fn group(&self) -> String {
        let digest = digest_of_parts(&[self.path, self.provider, self.model]);
        match self.is_correction {
            true => format!("{IS_CORRECTION}{digest}"),
            false => digest,
        }
    }
}

impl Added {
    /// Returns the amounts of a correction, which is not a request.
    pub(crate) fn correction(amounts: Amounts, unpriced: i64) -> Self {
        Self {
            amounts,
            unpriced,
            ..Self::default()
        }
    }

    /// Returns the amounts of an abandoned hold that is charged: one request, as in the total of
    /// its department. It is unknown which of its tokens were input.
    pub(crate) fn abandoned(charged: Amounts) -> Self {
        Self {
            requests: 1,
            amounts: charged,
            ..Self::default()
        }
    }

    /// Returns the negated amounts.
    pub(crate) fn taken_away(self) -> Self {
        Self {
            requests: self.requests.saturating_neg(),
            input: self.input.saturating_neg(),
            output: self.output.saturating_neg(),
            cached_input: self.cached_input.saturating_neg(),
            amounts: Amounts::ZERO.saturating_sub(self.amounts),
            unpriced: self.unpriced.saturating_neg(),
        }
    }

    fn plus(self, entry: &Entry<'_>) -> Self {
        let counts = entry.report.usage.tokens.counts;
        let charged = entry.charge.amounts;
        let add = |sum: i64, more: i64| sum.saturating_add(more);
        Self {
            requests: add(self.requests, 1),
            input: add(self.input, counts.input),
            output: add(self.output, counts.output),
            cached_input: add(self.cached_input, counts.cached_input),
            amounts: self.amounts.saturating_add(charged),
            unpriced: add(self.unpriced, entry.charge.unpriced_tokens()),
        }
    }
}

/// Returns a digest for sort keys, which are too short for the texts themselves. Other `parts` have
/// another digest.
pub(super) fn digest_of_parts(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hex::encode(&hash.finalize()[..8])
}

impl Store {
    /// Adds `entries` to their rows, one for each user, path, provider, model and day, as parts of
    /// their transaction. All of them count in one month.
    pub(crate) fn usage_items<'a>(
        &self,
        configuration: &Configuration,
        entries: impl IntoIterator<Item = &'a Entry<'a>>,
    ) -> Vec<Write> {
        let organisation = &configuration.organisation;
        let zone = organisation.zone();
        let mut rows: BTreeMap<(String, &str, String), RowSums<'_>> = BTreeMap::new();
        let mut elsewhere: BTreeMap<(&str, String), (i64, &Entry<'_>)> = BTreeMap::new();
        for entry in entries {
            let usage = entry.report.usage;
            let path = entry.path.to_text();
            let group = digest_of_parts(&[&path, &usage.provider, &usage.model]);
            let [hour, day, month] = of_usage(usage.occurred_at, entry.period, &zone);
            if is_elsewhere(entry) {
                let of = elsewhere.entry((&usage.user_id, day.clone()));
                let (tokens, _) = of.or_insert((0, entry));
                *tokens = tokens.saturating_add(entry.charge.amounts.tokens);
            }
            let row = rows.entry((day.clone(), &usage.user_id, group));
            let row = row.or_insert_with(|| RowSums {
                entry,
                day,
                month,
                hours: BTreeMap::new(),
            });
            let added = row.hours.entry(hour).or_default();
            *added = added.plus(entry);
        }
        let rows = rows.into_values().map(|row| {
            let usage = row.entry.report.usage;
            let of = RowOf {
                user_id: &usage.user_id,
                path: &row.entry.path.to_text(),
                provider: &usage.provider,
                model: &usage.model,
                is_correction: false,
                expires_at: expires_at(row.entry.received_at),
            };
            let hours = row
                .hours
                .iter()
                .map(|(hour, added)| (hour.as_str(), *added));
            self.usage_item(&organisation.id, (&row.month, &row.day), hours, &of)
        });
        let elsewhere = elsewhere
            .into_iter()
            .map(|((user_id, day), (tokens, entry))| {
                let month = Month::of_date(entry.day).to_string();
                let key = keys::usage_row(&organisation.id, (&month, &day), user_id, ELSEWHERE);
                let changes = Changes::default()
                    .add(OF_DAY, tokens)
                    .set(TTL, number(expires_at(entry.received_at)));
                Write::update(Table::Ledger, key.attributes(), changes)
            });
        rows.chain(elsewhere).collect()
    }

    /// Adds to the row of abandoned holds of a path, as a part of a transaction. `buckets` are its
    /// hour, day and month, or none. The row has no user: an abandoned hold is in the total of its
    /// department and not of its user.
    pub(crate) fn abandoned_rows(
        &self,
        organisation_id: &str,
        (buckets, path): (&[String], &Path),
        added: Added,
        expires_at: i64,
    ) -> Option<Write> {
        let [hour, day, month] = buckets else {
            return None;
        };
        let of = RowOf {
            user_id: "",
            path: &path.to_text(),
            provider: ABANDONED_HOLD,
            model: ABANDONED_HOLD,
            is_correction: false,
            expires_at,
        };
        let hours = [(hour.as_str(), added)];
        Some(self.usage_item(organisation_id, (month, day), hours, &of))
    }

    /// Adds to the hours of a row, as a part of a transaction.
    pub(crate) fn usage_item<'a>(
        &self,
        organisation_id: &str,
        (month, day): (&str, &str),
        hours: impl IntoIterator<Item = (&'a str, Added)>,
        of: &RowOf<'_>,
    ) -> Write {
        let group = of.group();
        let key = keys::usage_row(organisation_id, (month, day), of.user_id, &group);
        let mut changes = Changes::default()
            .set("path", text(of.path))
            .set("provider", text(of.provider))
            .set("model", text(of.model))
            .set(TTL, number(of.expires_at));
        for (hour, added) in hours {
            // The hours and days are those of `of_usage`.
            let code = code_of_hour(hour, day).unwrap_or_default();
            let of_hour = |letter: char| format!("{letter}{code}");
            let Amounts { tokens, pico_usd } = added.amounts;
            for (letter, more) in [
                (REQUESTS, added.requests),
                (INPUT, added.input),
                (OUTPUT, added.output),
                (CACHED_INPUT, added.cached_input),
                (TOKENS, tokens),
                (UNPRICED, added.unpriced),
            ] {
                // A number that is missing is zero: rows cost by their size.
                if more != 0 {
                    changes = changes.add(&of_hour(letter), more);
                }
            }
            if pico_usd != 0 {
                changes = changes.add(&of_hour(PICO_USD), pico_usd);
            }
        }
        let entry = format!("{}#{group}#{month}", of.user_id);
        let listed = keys::usage(organisation_id, day, &entry).attributes();
        let expires = Changes::default().set(TTL, number(of.expires_at));
        Write::update(Table::Ledger, key.attributes(), changes).after(Write::update(
            Table::Ledger,
            listed,
            expires,
        ))
    }
}

/// What entries add to a row.
struct RowSums<'a> {
    /// One of them.
    entry: &'a Entry<'a>,
    day: String,
    month: String,
    hours: BTreeMap<String, Added>,
}

/// Whether a usage counts in another month than the one of its day. Then the tokens of the user's
/// day are beside the rows of the day's month, too.
pub(crate) fn is_elsewhere(entry: &Entry<'_>) -> bool {
    Month::of_date(entry.day) != entry.period
}
