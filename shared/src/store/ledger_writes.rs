//! The rows of an administrator's change of the ledger: an event that was held back is counted or
//! discarded, or usage is corrected.

use super::Store;
use super::entry::{Entry, Mark};
use super::error::StoreError;
use super::item::{Item, expires_at, number};
use super::keys::by_day;
use super::keys::{self, CORRECTION};
use super::pages::Page;
use super::records::{PRICE, UNCOUNTED};
use super::rows::Row;
use super::tables::TTL;
use super::totals::Sums;
use super::usage_rows::{Added, RowOf};
use super::write::Write;
use crate::domain::ledger::buckets::of_usage;
use crate::domain::ledger::correction::{Correction, MODEL};
use crate::domain::ledger::flagged::FlaggedEvent;
use crate::domain::ledger::identity::EventIdentity;
use crate::domain::ledger::usage::Charge;
use crate::domain::org::configuration::Configuration;
use aws_sdk_dynamodb::types::{AttributeValue, Put, Update};

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
    fn decided(&self, organisation_id: &str, identity: &EventIdentity) -> UpdateOfRecord {
        let update = Update::builder()
            .table_name(&self.tables.ledger)
            .set_key(Some(keys::record(organisation_id, identity).attributes()))
            .condition_expression("mark = :held_back")
            .expression_attribute_values(":held_back", AttributeValue::S("held_back".to_owned()));
        UpdateOfRecord(update)
    }

    pub(crate) fn record_discarded_item(
        &self,
        organisation_id: &str,
        identity: &EventIdentity,
    ) -> Result<Write, StoreError> {
        let UpdateOfRecord(update) = self.decided(organisation_id, identity);
        let update = update
            .update_expression("SET mark = :mark")
            .expression_attribute_values(
                ":mark",
                serde_dynamo::to_attribute_value(Mark::Discarded)?,
            );
        Ok(Write::Update(update.build()?))
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
        let UpdateOfRecord(update) = self.decided(organisation_id, &entry.report.identity);
        let update = update
            .update_expression(format!(
                "SET mark = :mark, tokens = :t, pico_usd = :p, offset_tokens = :ot, \
                 offset_pico_usd = :op, {PRICE} = :price, estimated = :e REMOVE {UNCOUNTED}"
            ))
            .expression_attribute_values(":mark", serde_dynamo::to_attribute_value(entry.mark)?)
            .expression_attribute_values(":t", number(amounts.tokens))
            .expression_attribute_values(":p", number(amounts.pico_usd))
            .expression_attribute_values(":ot", number(entry.offset.tokens))
            .expression_attribute_values(":op", number(entry.offset.pico_usd))
            .expression_attribute_values(":price", serde_dynamo::to_attribute_value(matched)?)
            .expression_attribute_values(":e", AttributeValue::Bool(*is_estimated));
        Ok(Write::Update(update.build()?))
    }

    /// Writes a correction: its record, and the totals and reports of its month.
    pub(crate) fn correction_items(
        &self,
        configuration: &Configuration,
        correction: &Correction,
    ) -> Result<Vec<Write>, StoreError> {
        let organisation_id = &configuration.organisation.id;
        let expires_at = expires_at(correction.created_at);
        let mut parts = vec![self.correction_item(organisation_id, correction)?];
        let sums = Sums {
            requests: 0,
            ..Sums::one(correction.amounts)
        };
        let month = correction.month;
        let department = keys::department_total(organisation_id, month, &correction.path);
        parts.push(self.add_to_total(&department, Some(sums), None, expires_at)?);
        if let Some(user_id) = &correction.user_id {
            let of_user = keys::user_month(organisation_id, user_id, month);
            parts.push(self.add_to_total(&of_user, Some(sums), None, expires_at)?);
        }
        let row = RowOf {
            user_id: correction.user_id.as_deref().unwrap_or_default(),
            path: &correction.path,
            provider: MODEL,
            model: MODEL,
            expires_at,
        };
        let zone = configuration.organisation.zone();
        for bucket in of_usage(correction.counts_at, month, &zone) {
            let added = Added::correction(correction.amounts);
            parts.push(self.usage_item(organisation_id, &bucket, added, &row)?);
        }
        Ok(parts)
    }

    /// Builds the record of a correction. The index lists it with the records of usage.
    fn correction_item(
        &self,
        organisation_id: &str,
        correction: &Correction,
    ) -> Result<Write, StoreError> {
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let created_at = correction.created_at;
        let mut item: Item = keys::correction(organisation_id, &correction.id).attributes();
        item.extend(by_day(organisation_id, created_at, &correction.id));
        item.insert("type".to_owned(), text("correction"));
        item.insert("path".to_owned(), text(&correction.path));
        let user_id = correction.user_id.as_deref();
        item.extend(user_id.map(|user_id| ("user_id".to_owned(), text(user_id))));
        item.insert("period".to_owned(), text(&correction.month.to_string()));
        item.insert("tokens".to_owned(), number(correction.amounts.tokens));
        item.insert("pico_usd".to_owned(), number(correction.amounts.pico_usd));
        item.insert("received_at".to_owned(), text(&created_at.to_string()));
        item.insert(TTL.to_owned(), number(expires_at(created_at)));
        let put = Put::builder()
            .table_name(&self.tables.ledger)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(pk)")
            .build()?;
        Ok(Write::Put(put))
    }
}

/// An update of a record that is not complete yet.
struct UpdateOfRecord(aws_sdk_dynamodb::types::builders::UpdateBuilder);
