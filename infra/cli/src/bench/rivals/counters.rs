//! The counters of the rivals: an item for each level of the chain, in a table beside ours.

use super::failed;
use crate::error::CommandError;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, KeysAndAttributes,
    ReturnConsumedCapacity, ScalarAttributeType,
};
use std::collections::HashMap;
use tokio::task::JoinSet;

pub(super) const TABLE: &str = "Rivals";
/// The condition under which a counter admits a hold.
pub(super) const ENOUGH: &str = "remaining >= :amount";
/// Takes a hold from a counter.
pub(super) const TAKE: &str = "SET remaining = remaining - :amount";
/// Gives a hold back.
pub(super) const GIVE: &str = "SET remaining = remaining + :amount";

/// A chain of counters, from the root to the leaf.
#[derive(Clone, Debug)]
pub(in super::super) struct Counters {
    pub(super) client: Client,
    /// What each counter admits at first.
    amounts: Vec<i64>,
}

impl Counters {
    /// Makes the table, and the counters with these amounts.
    pub(in super::super) async fn create(
        client: Client,
        amounts: Vec<i64>,
    ) -> Result<Self, CommandError> {
        let key = KeySchemaElement::builder()
            .attribute_name("k")
            .key_type(KeyType::Hash)
            .build();
        let attribute = AttributeDefinition::builder()
            .attribute_name("k")
            .attribute_type(ScalarAttributeType::S)
            .build();
        client
            .create_table()
            .table_name(TABLE)
            .billing_mode(BillingMode::PayPerRequest)
            .key_schema(key.map_err(failed)?)
            .attribute_definitions(attribute.map_err(failed)?)
            .send()
            .await
            .map_err(failed)?;
        for (level, amount) in amounts.iter().enumerate() {
            let item = HashMap::from([key_of(level), ("remaining".to_owned(), number(*amount))]);
            let put = client.put_item().table_name(TABLE).set_item(Some(item));
            put.send().await.map_err(failed)?;
        }
        Ok(Self { client, amounts })
    }

    pub(super) fn levels(&self) -> std::ops::Range<usize> {
        0..self.amounts.len()
    }

    /// Reads what remains at each level, in one consistent batch.
    pub(super) async fn remaining(&self) -> Result<Vec<i64>, CommandError> {
        let keys = self.levels().map(|level| HashMap::from([key_of(level)]));
        let keys = KeysAndAttributes::builder()
            .set_keys(Some(keys.collect()))
            .consistent_read(true)
            .build()
            .map_err(failed)?;
        let answer = self
            .client
            .batch_get_item()
            .request_items(TABLE, keys)
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send()
            .await
            .map_err(failed)?;
        let items = answer.responses.unwrap_or_default().remove(TABLE);
        let of_level = |level: usize| {
            let (_, key) = key_of(level);
            let mut items = items.iter().flatten();
            let item = items.find(|item| item.get("k") == Some(&key))?;
            item.get("remaining")?.as_n().ok()?.parse().ok()
        };
        let remaining: Option<Vec<i64>> = self.levels().map(of_level).collect();
        remaining.ok_or_else(|| CommandError::Answer("a counter is missing".to_owned()))
    }

    /// The amount that was taken from each level.
    pub(in super::super) async fn taken(&self) -> Result<Vec<i64>, CommandError> {
        let remaining = self.remaining().await?;
        let all = self.amounts.iter().zip(remaining);
        Ok(all.map(|(amount, left)| amount - left).collect())
    }

    /// Changes one counter. Returns false if it does not satisfy the condition.
    pub(super) async fn update(
        &self,
        level: usize,
        update: &str,
        condition: Option<&str>,
        amount: i64,
    ) -> Result<bool, CommandError> {
        let (name, key) = key_of(level);
        let sent = self
            .client
            .update_item()
            .table_name(TABLE)
            .key(name, key)
            .update_expression(update)
            .set_condition_expression(condition.map(str::to_owned))
            .expression_attribute_values(":amount", number(amount))
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send()
            .await;
        match sent {
            Ok(_) => Ok(true),
            Err(error) => match error.as_service_error() {
                Some(known) if known.is_conditional_check_failed_exception() => Ok(false),
                _ => Err(failed(error)),
            },
        }
    }

    /// Changes the counters of some levels at once, each by a call of its own. Returns for each
    /// whether it was changed. If this is dropped, calls that were not sent never are.
    pub(super) async fn update_at_once(
        &self,
        levels: impl Iterator<Item = usize>,
        update: &'static str,
        condition: Option<&'static str>,
        amount: i64,
    ) -> Result<Vec<(usize, bool)>, CommandError> {
        let mut calls = JoinSet::new();
        for level in levels {
            let counters = self.clone();
            calls.spawn(async move {
                let changed = counters.update(level, update, condition, amount).await?;
                Ok::<_, CommandError>((level, changed))
            });
        }
        let mut all = Vec::new();
        while let Some(ended) = calls.join_next().await {
            all.push(ended.map_err(failed)??);
        }
        Ok(all)
    }

    /// The number of holds that have a record.
    pub(in super::super) async fn records(&self) -> Result<usize, CommandError> {
        let mut pages = self
            .client
            .scan()
            .table_name(TABLE)
            .into_paginator()
            .items()
            .send();
        let mut records = 0;
        while let Some(item) = pages.next().await {
            records += usize::from(item.map_err(failed)?.contains_key("amount"));
        }
        Ok(records)
    }
}

pub(super) fn key_of(level: usize) -> (String, AttributeValue) {
    let key = AttributeValue::S(format!("counter#{level}"));
    ("k".to_owned(), key)
}

pub(super) fn number(value: i64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}
