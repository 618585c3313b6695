//! Users, keys and organisations: reading them, one or in pages.

use super::Store;
use super::call::StoreError;
use super::configuration::data;
use super::expression::Item;
use super::keys::{self, API_KEY, Key, ORGANISATIONS, USER};
use super::rows::Row;
use crate::domain::api_key::ApiKey;
use crate::domain::configuration::Organisation;
use crate::domain::people::{Role, Status, User};
use aws_sdk_dynamodb::types::AttributeValue;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use std::time::{Duration, Instant};

/// How much larger each read of a page is than the one before: what is wanted is rarer than the first read has hoped.
const GROWTH: usize = 4;
/// The most rows that are asked for at once; one read has at most a megabyte of them.
const MAX_ROWS_A_READ: usize = 1_000;
/// How many rows a page that has something looks at before it is answered although it is short.
const ROWS_OF_A_SHORT_PAGE: usize = 2_000;
/// The most rows that a page looks at, and the longest that it reads: only then it may be empty although there is more.
const MAX_ROWS_OF_A_PAGE: usize = 100_000;
const MAX_READING: Duration = Duration::from_secs(8);

/// Which way a list goes through its rows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    Ascending,
    Descending,
}

/// A part of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// What the next page begins after; none at the end.
    pub next: Option<String>,
}

/// The SHA-256 of a secret, in hex: all that is ever stored or cached of it.
pub fn digest_of(secret: &str) -> String {
    hex::encode(Sha256::digest(secret.as_bytes()))
}

impl Row {
    /// The organisation's entry in the operator's list.
    pub fn organisation(organisation: &Organisation) -> Result<Self, StoreError> {
        Self::new(keys::organisation_entry(&organisation.id), organisation)
    }
}

impl Store {
    pub(super) async fn row<T: DeserializeOwned>(&self, key: Key) -> Result<Option<T>, StoreError> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.tables.governance)
            .set_key(Some(key.attributes()))
            .consistent_read(true)
            .send()
            .await?;
        answer.item.map(data).transpose()
    }

    /// All rows of `pk` whose sort key begins with `prefix`, read consistently.
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

    /// A user as they are at this moment.
    pub async fn user(&self, organisation_id: &str, id: &str) -> Result<Option<User>, StoreError> {
        self.row(keys::governance(organisation_id, format!("{USER}{id}")))
            .await
    }

    /// A key by its id.
    pub async fn api_key(
        &self,
        organisation_id: &str,
        id: &str,
    ) -> Result<Option<ApiKey>, StoreError> {
        self.row(keys::governance(organisation_id, format!("{API_KEY}{id}")))
            .await
    }

    /// Users by id, those that are `wanted` only.
    pub async fn users(
        &self,
        organisation_id: &str,
        wanted: impl Fn(&User) -> bool,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<User>, StoreError> {
        self.page(organisation_id, USER, after, limit, wanted).await
    }

    /// Every user that is `wanted`; it reads all of the organisation.
    pub async fn users_that(
        &self,
        organisation_id: &str,
        wanted: impl Fn(&User) -> bool,
    ) -> Result<Vec<User>, StoreError> {
        let mut found: Vec<User> = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let page = self.page(organisation_id, USER, after.as_deref(), 1_000, &wanted);
            let page = page.await?;
            found.extend(page.items);
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(found),
            }
        }
    }

    /// Administrators who are active, `most` at the most.
    pub async fn administrators(
        &self,
        organisation_id: &str,
        most: usize,
    ) -> Result<Vec<User>, StoreError> {
        let wanted = |user: &User| user.role == Role::Admin && user.status == Status::Active;
        let mut found: Vec<User> = Vec::new();
        let mut after = None;
        loop {
            let left = most.saturating_sub(found.len());
            let page = self
                .page(organisation_id, USER, after.as_deref(), left, wanted)
                .await?;
            found.extend(page.items);
            match page.next {
                Some(next) if found.len() < most => after = Some(next),
                _ => return Ok(found),
            }
        }
    }

    /// Keys by id, those that are `wanted` only.
    pub async fn api_keys(
        &self,
        organisation_id: &str,
        wanted: impl Fn(&ApiKey) -> bool,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<ApiKey>, StoreError> {
        self.page(organisation_id, API_KEY, after, limit, wanted)
            .await
    }

    /// Organisations by id.
    pub async fn organisations(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<Organisation>, StoreError> {
        self.page(ORGANISATIONS, "", after, limit, |_| true).await
    }

    /// The rows of `pk` whose sort key begins with `prefix`, after `after`, until `limit` are `wanted`.
    pub(super) async fn page<T: DeserializeOwned>(
        &self,
        pk: &str,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
        wanted: impl Fn(&T) -> bool,
    ) -> Result<Page<T>, StoreError> {
        self.page_in(Order::Ascending, pk, prefix, after, limit, wanted)
            .await
    }

    /// The same from the last row to the first.
    pub(super) async fn newest_first<T: DeserializeOwned>(
        &self,
        pk: &str,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
        wanted: impl Fn(&T) -> bool,
    ) -> Result<Page<T>, StoreError> {
        self.page_in(Order::Descending, pk, prefix, after, limit, wanted)
            .await
    }

    async fn page_in<T: DeserializeOwned>(
        &self,
        order: Order,
        pk: &str,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
        wanted: impl Fn(&T) -> bool,
    ) -> Result<Page<T>, StoreError> {
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
                .table_name(&self.tables.governance)
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
                // What was asked for is rare: the next page goes on from here.
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
