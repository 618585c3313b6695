//! Reads records as the index by day has them.

use super::Store;
use super::error::StoreError;
use super::item::{Item, from_item};
use super::keys;
use super::tables::BY_DAY;
use crate::domain::ledger::hold_id::HoldId;
use crate::domain::ledger::identity::EventIdentity;
use crate::domain::wide_number;
use aws_sdk_dynamodb::types::AttributeValue;
use serde::Deserialize;

/// A record as the index shows it.
#[derive(Deserialize)]
pub(crate) struct IndexedRecord {
    pk: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) event_id: String,
    #[serde(default)]
    pub(crate) user_id: String,
    #[serde(default)]
    pub(crate) path: String,
    #[serde(default)]
    pub(crate) period: String,
    #[serde(default)]
    pub(crate) tokens: i64,
    #[serde(default, with = "wide_number")]
    pub(crate) pico_usd: i128,
    /// The tokens of it that a charged hold had paid already.
    #[serde(default)]
    pub(crate) offset_tokens: i64,
    #[serde(default, with = "wide_number")]
    pub(crate) offset_pico_usd: i128,
    #[serde(default)]
    pub(crate) mark: String,
    #[serde(default)]
    pub(crate) hold_id: Option<String>,
}

impl IndexedRecord {
    pub(crate) fn identity(&self, organisation_id: &str) -> Option<EventIdentity> {
        keys::identity_of(organisation_id, &self.pk)
    }

    /// Returns the hold of an abandoned hold's record.
    pub(crate) fn abandoned_hold(&self, organisation_id: &str) -> Option<HoldId> {
        keys::abandoned_hold_of(organisation_id, &self.pk)
    }
}

impl Store {
    /// Returns a page of the records that arrived on `day` in UTC, and where the next page begins.
    pub(crate) async fn indexed_records(
        &self,
        organisation_id: &str,
        day: &str,
        after: Option<Item>,
    ) -> Result<(Vec<IndexedRecord>, Option<Item>), StoreError> {
        let answer = self
            .client
            .query()
            .table_name(&self.tables.ledger)
            .index_name(BY_DAY)
            .key_condition_expression("#day = :day")
            .expression_attribute_names("#day", "day")
            .expression_attribute_values(":day", AttributeValue::S(keys::day(organisation_id, day)))
            .set_exclusive_start_key(after)
            .send()
            .await?;
        let items = answer.items.unwrap_or_default().into_iter();
        let records: Result<_, _> = items.map(from_item).collect();
        Ok((records?, answer.last_evaluated_key))
    }
}
