//! Refused preflights: a record each, and a count for each hour, user and reason.

use super::Store;
use super::call::{StoreError, Transacted};
use super::configuration::data;
use super::expression::{Item, number};
use super::keys::{self, REFUSED};
use super::resolutions::expires_at;
use super::rows::Row;
use super::tables::TTL;
use crate::domain::refused::{Refused, RefusedHour};
use aws_sdk_dynamodb::types::{AttributeValue, Put, TransactWriteItem, Update};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How long counts and what was told of them are kept, in seconds: longer than anybody looks back.
const KEPT_SECONDS: i64 = 3 * 24 * 3_600;

/// How many refusals of an hour, user and reason the audit log knows of.
#[derive(Serialize, Deserialize)]
struct Told {
    count: u64,
}

fn text(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

impl Row {
    /// That the audit log knows of all that `hour` counts.
    pub fn refused_told(organisation_id: &str, hour: &RefusedHour) -> Result<Self, StoreError> {
        let key = keys::refused_told(organisation_id, &hour.hour, &hour.user_id, &hour.reason);
        let mut row = Self::new(key, &Told { count: hour.count })?;
        row.expire(hour.last.as_second() + KEPT_SECONDS);
        Ok(row)
    }
}

impl Store {
    /// Records a refusal and counts it, once.
    pub async fn record_refusal(
        &self,
        organisation_id: &str,
        refused: &Refused,
    ) -> Result<(), StoreError> {
        let mut item: Item = serde_dynamo::to_item(refused)?;
        item.extend(keys::refusal(organisation_id, &refused.refusal_id).attributes());
        item.insert("type".to_owned(), text("refused_preflight"));
        item.insert(TTL.to_owned(), number(expires_at(refused.refused_at)));
        let put = Put::builder()
            .table_name(&self.tables.ledger)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(pk)")
            .build()?;
        let mut parts = vec![TransactWriteItem::builder().put(put).build()];
        let at = refused.refused_at.to_string();
        for reason in &refused.reasons {
            let (hour, user_id) = (refused.hour(), refused.counted_user(reason));
            let update = Update::builder()
                .table_name(&self.tables.ledger)
                .set_key(Some(
                    keys::refusals(organisation_id, &hour, user_id, reason).attributes(),
                ))
                .update_expression(
                    "SET #hour = :hour, user_id = :user, reason = :reason, #first = if_not_exists(#first, :at), \
                     #last = :at, #count = if_not_exists(#count, :zero) + :one, #ttl = :ttl",
                )
                .expression_attribute_names("#hour", "hour")
                .expression_attribute_names("#first", "first")
                .expression_attribute_names("#last", "last")
                .expression_attribute_names("#count", "count")
                .expression_attribute_names("#ttl", TTL)
                .expression_attribute_values(":hour", text(&hour))
                .expression_attribute_values(":user", text(user_id))
                .expression_attribute_values(":reason", text(reason))
                .expression_attribute_values(":at", text(&at))
                .expression_attribute_values(":zero", number(0))
                .expression_attribute_values(":one", number(1))
                .expression_attribute_values(
                    ":ttl",
                    number(refused.refused_at.as_second() + KEPT_SECONDS),
                )
                .build()?;
            parts.push(TransactWriteItem::builder().update(update).build());
        }
        // Where it was refused, it is recorded already.
        let _: Transacted = self.transact(parts).await?;
        Ok(())
    }

    /// What was refused in the hours from `first` to `last` that the audit log does not know of, `most` at the most: each
    /// with how many of them are new.
    pub async fn untold_refusals(
        &self,
        organisation_id: &str,
        [first, last]: [&str; 2],
        most: usize,
    ) -> Result<Vec<(RefusedHour, u64)>, StoreError> {
        // The hour after a prefix sorts last among those that begin with it.
        let until = format!("{last}~");
        let counted = self
            .client
            .query()
            .table_name(&self.tables.ledger)
            .key_condition_expression("pk = :pk AND sk BETWEEN :first AND :last")
            .expression_attribute_values(":pk", text(&keys::refusals_of(organisation_id)))
            .expression_attribute_values(":first", text(first))
            .expression_attribute_values(":last", text(&until))
            .consistent_read(true)
            .into_paginator()
            .items()
            .send();
        let counted: Vec<Item> = counted.try_collect().await?;
        if counted.is_empty() {
            return Ok(Vec::new());
        }
        let mut told: BTreeMap<String, u64> = BTreeMap::new();
        for row in self.rows_under(organisation_id, REFUSED).await? {
            let sk = row.get("sk").and_then(|sk| sk.as_s().ok()).cloned();
            let known: Told = data(row)?;
            told.extend(sk.map(|sk| (sk, known.count)));
        }
        let mut found = Vec::new();
        for mut item in counted {
            for key in ["pk", "sk", TTL] {
                item.remove(key);
            }
            let hour: RefusedHour = serde_dynamo::from_item(item)?;
            let key = keys::refused_told(organisation_id, &hour.hour, &hour.user_id, &hour.reason);
            let known = told.get(&key.sk).copied().unwrap_or(0);
            if hour.count > known && found.len() < most {
                let new = hour.count - known;
                found.push((hour, new));
            }
        }
        Ok(found)
    }
}
