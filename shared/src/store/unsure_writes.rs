//! Writes what each user used of the models whose price is unsure. A row is written in the
//! record's own transaction, so each record counts once. It is the user's own, so that usage of
//! several users does not contend for it.

use super::Store;
use super::call::Transacted;
use super::entry::Entry;
use super::error::StoreError;
use super::item::{expires_at, number, text};
use super::keys;
use super::tables::{TTL, Table};
use super::unsure_models::model_digest;
use super::write::{Changes, If, Write};
use crate::domain::period::Month;
use crate::domain::pricing::matched::Unsure;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use std::collections::BTreeMap;

/// The attribute with the moment when a model was seen last.
const LAST_SEEN: &str = "last_seen";

/// The write of a row, in the two forms that it may need: batches race, and a row must not forget
/// the usage that it saw last.
pub(crate) struct ModelRow {
    /// Sets when the model was seen last and by which price, on condition that the row has seen
    /// nothing newer.
    newest: Write,
    /// Leaves both as they are.
    older: Write,
}

impl ModelRow {
    /// Returns the write that needs no condition.
    pub(crate) fn into_older(self) -> Write {
        self.older
    }
}

/// What entries add to a row.
struct More<'a> {
    /// The last of them.
    entry: &'a Entry<'a>,
    first_seen: Timestamp,
    tokens: i64,
    requests: i64,
}

/// Returns a moment as a text of a fixed length, which sorts by time.
fn moment(at: Timestamp) -> AttributeValue {
    text(at.strftime("%Y-%m-%dT%H:%M:%S%.9fZ"))
}

impl Store {
    /// Writes all of `parts` and `rows` or nothing. A row that has seen newer usage meanwhile keeps
    /// that.
    pub(crate) async fn transact_with_models(
        &self,
        parts: Vec<Write>,
        rows: &[ModelRow],
    ) -> Result<Transacted, StoreError> {
        let mut is_newest = vec![true; rows.len()];
        loop {
            let each = rows.iter().zip(&is_newest);
            let each = each.map(|(row, is_newest)| match is_newest {
                true => row.newest.clone(),
                false => row.older.clone(),
            });
            let all: Vec<Write> = parts.iter().cloned().chain(each).collect();
            let done = self.transact(all).await?;
            // Each round takes a condition away, or is the last one.
            let mut is_other = false;
            for (at, is_newest) in is_newest.iter_mut().enumerate() {
                let was_refused = done.was_refused_at(parts.len().saturating_add(at));
                is_other |= *is_newest && was_refused;
                *is_newest &= !was_refused;
            }
            let is_refused = (0..parts.len()).any(|at| done.was_refused_at(at));
            if !is_other || is_refused {
                return Ok(done);
            }
        }
    }

    /// Adds those of `entries` whose price is unsure to the rows of their models, at most one for
    /// each, as parts of their transaction.
    pub(crate) fn unsure_items<'a>(
        &self,
        organisation_id: &str,
        entries: impl IntoIterator<Item = &'a Entry<'a>>,
    ) -> Result<Vec<ModelRow>, StoreError> {
        let mut rows: BTreeMap<(Unsure, Month, String, &str), More<'_>> = BTreeMap::new();
        for entry in entries {
            let Some(unsure) = entry.charge.matched.kind.unsure() else {
                continue;
            };
            let usage = entry.report.usage;
            let model = model_digest(&usage.provider, &usage.model);
            let of = (unsure, entry.period, model, usage.user_id.as_str());
            let row = rows.entry(of).or_insert(More {
                entry,
                first_seen: entry.received_at,
                tokens: 0,
                requests: 0,
            });
            row.first_seen = row.first_seen.min(entry.received_at);
            if entry.received_at > row.entry.received_at {
                row.entry = entry;
            }
            row.tokens = row.tokens.saturating_add(entry.charge.amounts.tokens);
            row.requests = row.requests.saturating_add(1);
        }
        let each = rows
            .into_iter()
            .map(|((unsure, month, model, user_id), more)| {
                let key = keys::model_of_user(organisation_id, month, unsure, &model, user_id);
                self.unsure_item(&key, &more)
            });
        each.collect()
    }

    fn unsure_item(&self, key: &keys::Key, more: &More<'_>) -> Result<ModelRow, StoreError> {
        let entry = more.entry;
        let usage = entry.report.usage;
        let price: AttributeValue = serde_dynamo::to_attribute_value(&entry.charge.matched)?;
        let last = moment(entry.received_at);
        let changes = Changes::default()
            .add("tokens", more.tokens)
            .add("requests", more.requests)
            .set("user_id", text(&usage.user_id))
            .set("provider", text(&usage.provider))
            .set("model", text(&usage.model))
            .begin("first_seen", moment(more.first_seen))
            .set(TTL, number(expires_at(entry.received_at)));
        let write = |changes| Write::update(Table::Ledger, key.attributes(), changes);
        let newest = changes.clone().set("price", price.clone());
        let newest = write(newest.set(LAST_SEEN, last.clone()));
        let is_newest = vec![If::Lacks(LAST_SEEN), If::AtMost(LAST_SEEN, last.clone())];
        Ok(ModelRow {
            newest: newest.only(If::Any(is_newest)),
            older: write(changes.begin("price", price).begin(LAST_SEEN, last)),
        })
    }
}
