//! The rows of an administrator's change of the ledger: an event that was held back is counted or
//! discarded, or usage is corrected.

use super::Store;
use super::entry::{Entry, Mark};
use super::error::StoreError;
use super::item::{Item, expires_at, number, text};
use super::keys::by_day;
use super::keys::{self, CORRECTION};
use super::pages::Page;
use super::records::{PRICE, UNCOUNTED};
use super::rows::Row;
use super::tables::{TTL, Table};
use super::totals::{Sums, UNPRICED_TOKENS};
use super::usage_rows::{Added, RowOf};
use super::write::{Changes, If, Write};
use crate::domain::ledger::buckets::of_usage;
use crate::domain::ledger::correction::{Correction, MODEL};
use crate::domain::ledger::flagged::FlaggedEvent;
use crate::domain::ledger::identity::EventIdentity;
use crate::domain::ledger::usage::Charge;
use crate::domain::org::configuration::Configuration;
use aws_sdk_dynamodb::types::AttributeValue;
use std::collections::BTreeMap;

/// A change's write to the ledger.
#[derive(Clone, Copy, Debug)]
pub(crate) enum LedgerWrite<'a> {
    /// Counts an event that was held back.
    Count(&'a FlaggedEvent),
    /// Discards an event that was held back.
    Discard(&'a FlaggedEvent),
    Correct(&'a Correction),
}

impl Row {
    /// Builds the row of a correction in the list.
    pub fn correction(organisation_id: &str, correction: &Correction) -> Result<Self, StoreError> {
        let sk = format!("{CORRECTION}{}", correction.id);
        let mut row = Self::new(keys::governance(organisation_id, sk), correction)?;
        row.expire(expires_at(correction.created_at));
        Ok(row)
    }
}

impl Store {
    /// Lists the corrections that are `wanted`, the newest first.
    pub async fn corrections(
        &self,
        organisation_id: &str,
        wanted: impl Fn(&Correction) -> bool,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<Correction>, StoreError> {
        self.newest_first(organisation_id, CORRECTION, after, limit, wanted)
            .await
    }

    /// Updates the record of an event that was held back with the decision, on condition that it is
    /// still held back.
    fn decided_item(
        &self,
        organisation_id: &str,
        identity: &EventIdentity,
        changes: Changes,
    ) -> Write {
        let key = keys::record(organisation_id, identity).attributes();
        Write::update(Table::Ledger, key, changes).only(If::Is("mark", text("held_back")))
    }

    pub(crate) fn record_discarded_item(
        &self,
        organisation_id: &str,
        identity: &EventIdentity,
    ) -> Result<Write, StoreError> {
        let mark = serde_dynamo::to_attribute_value(Mark::Discarded)?;
        let changes = Changes::default().set("mark", mark);
        Ok(self.decided_item(organisation_id, identity, changes))
    }

    pub(crate) fn record_counted_item(
        &self,
        organisation_id: &str,
        entry: &Entry<'_>,
    ) -> Result<Write, StoreError> {
        let Charge {
            amounts,
            matched,
            is_estimated,
        } = &entry.charge;
        let changes = Changes::default()
            .set("mark", serde_dynamo::to_attribute_value(entry.mark)?)
            .set("tokens", number(amounts.tokens))
            .set("pico_usd", number(amounts.pico_usd))
            .set("offset_tokens", number(entry.offset.tokens))
            .set("offset_pico_usd", number(entry.offset.pico_usd))
            .set(PRICE, serde_dynamo::to_attribute_value(matched)?)
            .set("estimated", AttributeValue::Bool(*is_estimated))
            .remove(UNCOUNTED);
        Ok(self.decided_item(organisation_id, &entry.report.identity, changes))
    }

    /// Writes a correction: its record, its department's total and its row of usage.
    pub(crate) fn correction_items(
        &self,
        configuration: &Configuration,
        correction: &Correction,
    ) -> Vec<Write> {
        let organisation_id = &configuration.organisation.id;
        let expires_at = expires_at(correction.created_at);
        let mut parts = vec![self.correction_item(organisation_id, correction)];
        let sums = Sums {
            requests: 0,
            unpriced: correction.unpriced,
            ..Sums::one(correction.amounts)
        };
        let month = correction.month;
        let department = keys::department_total(organisation_id, month, &correction.path);
        parts.push(self.add_to_total(&department, sums, expires_at));
        let row = RowOf {
            user_id: correction.user_id.as_deref().unwrap_or_default(),
            path: &correction.path,
            provider: MODEL,
            model: MODEL,
            is_correction: true,
            expires_at,
        };
        let zone = configuration.organisation.zone();
        let [hour, day, month] = of_usage(correction.counts_at, month, &zone);
        let added = Added::correction(correction.amounts, correction.unpriced);
        let hours = [(hour.as_str(), added)];
        parts.push(self.usage_item(organisation_id, (&month, &day), hours, &row));
        parts
    }

    /// Builds the record of a correction. The index lists it with the records of usage. It is made
    /// by an update, as everything that its transaction writes to the ledger: so a role needs one
    /// permission for all of it, and holds however IAM sees the keys of a transaction.
    fn correction_item(&self, organisation_id: &str, correction: &Correction) -> Write {
        let created_at = correction.created_at;
        let mut item = Item::new();
        item.extend(by_day(organisation_id, created_at, &correction.id));
        item.insert("type".to_owned(), text("correction"));
        item.insert("path".to_owned(), text(&correction.path));
        let user_id = correction.user_id.as_deref();
        item.extend(user_id.map(|user_id| ("user_id".to_owned(), text(user_id))));
        item.insert("period".to_owned(), text(correction.month));
        item.insert("tokens".to_owned(), number(correction.amounts.tokens));
        item.insert("pico_usd".to_owned(), number(correction.amounts.pico_usd));
        if correction.unpriced != 0 {
            let tokens = number(correction.unpriced);
            item.insert(UNPRICED_TOKENS.to_owned(), tokens);
        }
        item.insert("received_at".to_owned(), text(created_at));
        item.insert(TTL.to_owned(), number(expires_at(created_at)));
        let begun = BTreeMap::from_iter(item)
            .into_iter()
            .fold(Changes::default(), |all, (name, value)| {
                all.set(&name, value)
            });
        let key = keys::correction(organisation_id, &correction.id);
        Write::update(Table::Ledger, key.attributes(), begun).only(If::Absent)
    }
}
