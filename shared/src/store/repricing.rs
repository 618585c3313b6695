//! Reads recorded usage to price it anew, and keeps what is booked of the differences.

use super::Store;
use super::error::StoreError;
use super::governance::short_digest;
use super::item::{Item, expires_at, from_item};
use super::keys::{self, Key, REPRICED};
use super::pages::Page;
use super::records::UNCOUNTED;
use super::rows::Row;
use super::settled::as_record;
use super::tables::BY_DAY;
use crate::domain::amount::Amounts;
use crate::domain::ledger::repricing::{Booked, Place, RecordedUsage};
use crate::domain::ledger::usage::Usage;
use crate::domain::period::Month;
use crate::domain::pricing::matched::PriceMatch;
use crate::domain::wide_number;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use jiff::civil::Date;
use serde::Deserialize;

/// What a record says beside its event.
#[derive(Deserialize)]
struct Charged {
    #[serde(rename = "type")]
    kind: String,
    at: String,
    #[serde(default)]
    path: String,
    period: Option<Month>,
    #[serde(default)]
    tokens: i64,
    #[serde(default, with = "wide_number")]
    pico_usd: i128,
    price: Option<PriceMatch>,
}

fn key(organisation_id: &str, (month, path): &Place) -> Key {
    let digest = short_digest(path);
    keys::governance(organisation_id, format!("{REPRICED}{month}#{digest}"))
}

/// Reads a record. Returns None if it is no usage, or if nothing is charged for it.
fn recorded(item: Item) -> Result<Option<RecordedUsage>, StoreError> {
    if item.contains_key(UNCOUNTED) || !item.contains_key("type") {
        return Ok(None);
    }
    let charged: Charged = from_item(item.clone())?;
    let (true, Some(month)) = (charged.kind == "llm_request", charged.period) else {
        return Ok(None);
    };
    let is_unpriced = charged.price.is_some_and(|price| price.is_unpriced());
    let usage: Usage = serde_dynamo::from_item(as_record(item))?;
    Ok(Some(RecordedUsage {
        at: charged.at,
        usage,
        month,
        path: charged.path,
        charged: Amounts::new(charged.tokens, charged.pico_usd),
        unpriced: if is_unpriced { charged.tokens } else { 0 },
    }))
}

impl Row {
    /// Builds the row of what is booked of a place. It is kept as long as its usage.
    pub(super) fn repriced(
        organisation_id: &str,
        booked: &Booked,
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        let place = (booked.month, booked.path.clone());
        let mut row = Self::new(key(organisation_id, &place), booked)?;
        row.expire(expires_at(now));
        Ok(row)
    }
}

impl Store {
    /// Returns what is booked of a place.
    pub async fn booked(
        &self,
        organisation_id: &str,
        place: &Place,
    ) -> Result<Option<Booked>, StoreError> {
        self.row(key(organisation_id, place)).await
    }

    /// Returns usage that arrived on `day` in UTC, in order of arrival, after an hour
    /// (`2026-11-24T12`), a record's place, or [`Page::next`] of the page before.
    pub async fn recorded_usage(
        &self,
        organisation_id: &str,
        day: Date,
        after: &str,
    ) -> Result<Page<RecordedUsage>, StoreError> {
        let day = keys::day(organisation_id, &day.to_string());
        let answer = self
            .client
            .query()
            .table_name(&self.tables.ledger)
            .index_name(BY_DAY)
            .key_condition_expression("#day = :day AND #at > :after")
            .expression_attribute_names("#day", "day")
            .expression_attribute_names("#at", "at")
            .expression_attribute_values(":day", AttributeValue::S(day))
            .expression_attribute_values(":after", AttributeValue::S(after.to_owned()))
            .send()
            .await?;
        let has_more = answer.last_evaluated_key.is_some();
        let found = answer.items.unwrap_or_default();
        let last = found.last().and_then(|item| item.get("at"));
        // No place is between the last one and this: names of records have no character before `!`.
        let next = last
            .and_then(|at| at.as_s().ok())
            .map(|at| format!("{at}!"));
        let mut items = Vec::with_capacity(found.len());
        for item in found {
            items.extend(recorded(item)?);
        }
        Ok(Page {
            items,
            next: next.filter(|_| has_more),
        })
    }
}
