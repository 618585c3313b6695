//! Usage for reports: sums of records by hour, day and month, for each user, path, provider and
//! model. They are written in the record's own transaction, so each record counts in them once.

use super::Store;
use super::entry::Entry;
use super::item::{expires_at, number, text};
use super::keys;
use super::tables::{TTL, Table};
use super::totals::UNPRICED_TOKENS;
use super::write::{Changes, Write};
use crate::domain::amount::Amounts;
use crate::domain::ledger::buckets::of_usage;
use crate::domain::org::configuration::Configuration;
use crate::domain::org::department::Path;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// The model and provider that reports show for abandoned holds that were charged.
pub(super) const ABANDONED_HOLD: &str = "abandoned_hold";
/// The amounts that a record adds to a row.
#[derive(Clone, Copy, Default)]
pub(crate) struct Added {
    requests: i64,
    input: i64,
    output: i64,
    cached_input: i64,
    amounts: Amounts,
    unpriced: i64,
}

/// The key of a row.
pub(crate) struct RowOf<'a> {
    pub(crate) user_id: &'a str,
    pub(crate) path: &'a str,
    pub(crate) provider: &'a str,
    pub(crate) model: &'a str,
    /// When it may expire, in seconds.
    pub(crate) expires_at: i64,
}

impl RowOf<'_> {
    fn sk(&self) -> String {
        let group = digest_of_parts(&[self.path, self.provider, self.model]);
        format!("{}#{group}", self.user_id)
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
    /// Adds `entries` to their rows, at most three for each, as parts of their transaction.
    pub(crate) fn usage_items<'a>(
        &self,
        configuration: &Configuration,
        entries: impl IntoIterator<Item = &'a Entry<'a>>,
    ) -> Vec<Write> {
        let organisation = &configuration.organisation;
        let zone = organisation.zone();
        let mut rows: BTreeMap<(String, String), (Added, &Entry<'_>)> = BTreeMap::new();
        for entry in entries {
            let usage = entry.report.usage;
            let path = entry.path.to_text();
            let group = digest_of_parts(&[&path, &usage.provider, &usage.model]);
            let sk = format!("{}#{group}", usage.user_id);
            for bucket in of_usage(usage.occurred_at, entry.period, &zone) {
                let row = rows
                    .entry((bucket, sk.clone()))
                    .or_insert((Added::default(), entry));
                row.0 = row.0.plus(entry);
            }
        }
        let each = rows.into_iter().map(|((bucket, _), (added, entry))| {
            let usage = entry.report.usage;
            let of = RowOf {
                user_id: &usage.user_id,
                path: &entry.path.to_text(),
                provider: &usage.provider,
                model: &usage.model,
                expires_at: expires_at(entry.received_at),
            };
            self.usage_item(&organisation.id, &bucket, added, &of)
        });
        each.collect()
    }

    /// Adds to the rows of abandoned holds of a path, one in each of the buckets, as parts of a
    /// transaction. These rows have no user: an abandoned hold is in the total of its department
    /// and not of its user.
    pub(crate) fn abandoned_rows(
        &self,
        organisation_id: &str,
        (buckets, path): (&[String], &Path),
        added: Added,
        expires_at: i64,
    ) -> Vec<Write> {
        let of = RowOf {
            user_id: "",
            path: &path.to_text(),
            provider: ABANDONED_HOLD,
            model: ABANDONED_HOLD,
            expires_at,
        };
        let each = buckets.iter();
        each.map(|bucket| self.usage_item(organisation_id, bucket, added, &of))
            .collect()
    }

    /// Adds to a row of `bucket`, as a part of a transaction.
    pub(crate) fn usage_item(
        &self,
        organisation_id: &str,
        bucket: &str,
        added: Added,
        of: &RowOf<'_>,
    ) -> Write {
        let key = keys::usage(organisation_id, bucket, &of.sk());
        let mut changes = Changes::default()
            .add("requests", added.requests)
            .add("input_tokens", added.input)
            .add("output_tokens", added.output)
            .add("cached_input_tokens", added.cached_input)
            .add("tokens", added.amounts.tokens)
            .add("pico_usd", added.amounts.pico_usd)
            .set("user_id", text(of.user_id))
            .set("path", text(of.path))
            .set("provider", text(of.provider))
            .set("model", text(of.model))
            .set(TTL, number(of.expires_at));
        if added.unpriced != 0 {
            changes = changes.add(UNPRICED_TOKENS, added.unpriced);
        }
        Write::update(Table::Ledger, key.attributes(), changes)
    }
}
