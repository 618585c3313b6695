//! Reads rows: one or all under a prefix of the governance table, or in pages.

use super::Store;
use super::configuration::data;
use super::error::StoreError;
use super::item::Item;
use super::keys::{self, Key};
use super::tables::Table;
use aws_sdk_dynamodb::types::AttributeValue;
use serde::de::DeserializeOwned;
use std::time::{Duration, Instant};

/// The factor between one read of a page and the next. A further read means that wanted rows are
/// rarer than expected.
const GROWTH: usize = 4;

/// The most rows that one read asks for. DynamoDB returns at most 1 MB of them.
const MAX_ROWS_A_READ: usize = 1_000;

/// The most rows that a page reads before it returns the few it has found.
const ROWS_OF_A_SHORT_PAGE: usize = 2_000;

/// The most rows that a page reads at all. Only after these it may be empty although there are
/// more.
const MAX_ROWS_OF_A_PAGE: usize = 100_000;

const MAX_READING: Duration = Duration::from_secs(8);

/// The direction of a list.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Ascending,
    Descending,
}

/// The rows of `pk` whose sort key begins with `prefix`.
#[derive(Clone, Copy)]
pub(super) struct List<'a> {
    pub(super) table: &'a str,
    pub(super) pk: &'a str,
    pub(super) prefix: &'a str,
    pub(super) order: Order,
}

/// A part of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// Where the next page begins. None at the end.
    pub next: Option<String>,
}

impl Store {
    pub(super) async fn row<T: DeserializeOwned>(&self, key: Key) -> Result<Option<T>, StoreError> {
        let item = self.item(Table::Governance, key.attributes()).await?;
        item.map(data).transpose()
    }

    /// Reads all rows of `pk` whose sort key begins with `prefix`, consistently.
    pub(super) async fn rows_under(
        &self,
        pk: &str,
        prefix: impl Into<String>,
    ) -> Result<Vec<Item>, StoreError> {
        let rows = self
            .client
            .query()
            .table_name(&self.tables.governance)
            .key_condition_expression("pk = :pk AND begins_with(sk, :sk)")
            .expression_attribute_values(":pk", AttributeValue::S(pk.to_owned()))
            .expression_attribute_values(":sk", AttributeValue::S(prefix.into()))
            .consistent_read(true)
            .into_paginator()
            .items()
            .send();
        Ok(rows.try_collect().await?)
    }

    /// Reads the rows of `pk` whose sort key begins with `prefix`, after `after`, until `limit` of
    /// them are `wanted`.
    pub(super) async fn page<T: DeserializeOwned>(
        &self,
        pk: &str,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
        wanted: impl Fn(&T) -> bool,
    ) -> Result<Page<T>, StoreError> {
        let list = self.governance_list(pk, prefix, Order::Ascending);
        self.page_of(list, after, limit, wanted).await
    }

    /// Reads the same from the last row to the first.
    pub(super) async fn newest_first<T: DeserializeOwned>(
        &self,
        pk: &str,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
        wanted: impl Fn(&T) -> bool,
    ) -> Result<Page<T>, StoreError> {
        let list = self.governance_list(pk, prefix, Order::Descending);
        self.page_of(list, after, limit, wanted).await
    }

    fn governance_list<'a>(&'a self, pk: &'a str, prefix: &'a str, order: Order) -> List<'a> {
        List {
            table: &self.tables.governance,
            pk,
            prefix,
            order,
        }
    }

    /// Reads the rows of a list after `after` until `limit` of them are `wanted`.
    pub(super) async fn page_of<T: DeserializeOwned>(
        &self,
        list: List<'_>,
        after: Option<&str>,
        limit: usize,
        wanted: impl Fn(&T) -> bool,
    ) -> Result<Page<T>, StoreError> {
        let List {
            table,
            pk,
            prefix,
            order,
        } = list;
        let mut items = Vec::with_capacity(limit);
        let mut after = after.map(str::to_owned);
        let until = Instant::now() + MAX_READING;
        let (mut rows, mut seen) = (limit.saturating_add(1), 0);
        loop {
            rows = rows.min(MAX_ROWS_A_READ);
            let start = after
                .as_ref()
                .map(|after| keys::governance(pk, format!("{prefix}{after}")).attributes());
            let query = self
                .client
                .query()
                .table_name(table)
                .expression_attribute_values(":pk", AttributeValue::S(pk.to_owned()))
                .set_exclusive_start_key(start)
                .limit(i32::try_from(rows).unwrap_or(i32::MAX))
                .scan_index_forward(order == Order::Ascending)
                .consistent_read(true);
            let query = if prefix.is_empty() {
                query.key_condition_expression("pk = :pk")
            } else {
                query
                    .key_condition_expression("pk = :pk AND begins_with(sk, :sk)")
                    .expression_attribute_values(":sk", AttributeValue::S(prefix.to_owned()))
            };
            let answer = query.send().await?;
            let has_more_rows = answer.last_evaluated_key.is_some();
            let answered = answer.items.unwrap_or_default();
            seen += answered.len().max(1);
            for row in answered {
                let name = name_of(&row, prefix)?;
                let item: T = data(row)?;
                if !wanted(&item) {
                    after = Some(name);
                    continue;
                }
                if items.len() == limit {
                    return Ok(Page { items, next: after });
                }
                items.push(item);
                after = Some(name);
            }
            if !has_more_rows {
                return Ok(Page { items, next: None });
            }
            let is_short_enough = !items.is_empty() && seen >= ROWS_OF_A_SHORT_PAGE;
            if is_short_enough || seen >= MAX_ROWS_OF_A_PAGE || Instant::now() >= until {
                // Wanted rows are rare: the next page continues here.
                return Ok(Page { items, next: after });
            }
            rows = rows.saturating_mul(GROWTH);
        }
    }
}

fn name_of(row: &Item, prefix: &str) -> Result<String, StoreError> {
    row.get("sk")
        .and_then(|sk| sk.as_s().ok())
        .and_then(|sk| sk.strip_prefix(prefix))
        .map(str::to_owned)
        .ok_or_else(|| StoreError::unreadable("a row of a list"))
}
