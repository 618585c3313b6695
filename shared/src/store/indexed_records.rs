//! Reads records as the index by day has them.

use super::Store;
use super::error::StoreError;
use super::item::from_item;
use super::keys;
use super::tables::BY_DAY;
use crate::domain::ledger::hold_id::HoldId;
use crate::domain::ledger::identity::EventIdentity;
use crate::domain::wide_number;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnConsumedCapacity};
use serde::Deserialize;

/// A record as the index shows it.
#[derive(Deserialize)]
pub(crate) struct IndexedRecord {
    pk: String,
    /// Its place in the index, with the identity of its event.
    at: String,
    #[serde(default, rename = "type")]
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
    /// Whether it is the resolution of the hold that it settled, so that the two cannot differ.
    pub(crate) fn is_resolution(&self) -> bool {
        keys::resolved_hold_of(&self.pk).is_some()
    }

    pub(crate) fn identity(&self, organisation_id: &str) -> Option<EventIdentity> {
        keys::identity_of(organisation_id, &self.pk)
    }

    /// Returns the hold of an abandoned hold's record.
    pub(crate) fn abandoned_hold(&self, organisation_id: &str) -> Option<HoldId> {
        keys::abandoned_hold_of(organisation_id, &self.pk)
    }
}

impl Store {
    /// Returns at most `limit` of the records that arrived on `day` in UTC after the place `after`,
    /// and the place after which the others are, if there may be any.
    pub(crate) async fn indexed_records(
        &self,
        organisation_id: &str,
        day: &str,
        after: Option<&str>,
        limit: i32,
    ) -> Result<(Vec<IndexedRecord>, Option<String>), StoreError> {
        let query = self
            .client
            .query()
            .table_name(&self.tables.ledger)
            .index_name(BY_DAY)
            .expression_attribute_names("#day", "day")
            .expression_attribute_values(":day", AttributeValue::S(keys::day(organisation_id, day)))
            .limit(limit)
            .return_consumed_capacity(ReturnConsumedCapacity::Total);
        let query = match after {
            None => query.key_condition_expression("#day = :day"),
            Some(after) => query
                .key_condition_expression("#day = :day AND #at > :after")
                .expression_attribute_names("#at", "at")
                .expression_attribute_values(":after", AttributeValue::S(after.to_owned())),
        };
        let answer = query.send().await?;
        let items = answer.items.unwrap_or_default().into_iter();
        let records: Result<Vec<IndexedRecord>, _> = items.map(from_item).collect();
        let records = records?;
        let last = records.last().map(|record| record.at.clone());
        Ok((
            records,
            last.filter(|_| answer.last_evaluated_key.is_some()),
        ))
    }
}
