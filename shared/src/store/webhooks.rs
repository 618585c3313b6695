//! An organisation's own webhooks, the health of their receivers, and their deliveries.

use super::Store;
use super::call::{StoreError, Transacted};
use super::change::Idempotency;
use super::governance::Page;
use super::item::{expires_at, number};
use super::keys::{self, WEBHOOK};
use super::rows::Row;
use super::tables::TTL;
use super::write::Write;
use crate::domain::health::Health;
use crate::domain::incident::Opened;
use crate::domain::webhook::{Delivery, Webhook};
use aws_sdk_dynamodb::types::{AttributeValue, ConditionCheck, Delete, Put};
use jiff::Timestamp;
use std::collections::HashMap;

/// The most pages of rows that one search for deliveries reads.
const MAX_PAGES: u32 = 10;

impl Row {
    pub fn webhook(organisation_id: &str, webhook: &Webhook) -> Result<Self, StoreError> {
        let key = keys::governance(organisation_id, format!("{WEBHOOK}{}", webhook.id));
        Self::new(key, webhook)
    }

    /// Deletes a webhook and the health of its receiver.
    pub fn no_webhook(organisation_id: &str, id: &str) -> [Self; 2] {
        let key = keys::governance(organisation_id, format!("{WEBHOOK}{id}"));
        [Self::gone(key), Self::no_health(organisation_id, id)]
    }

    /// Deletes the health of a receiver, because the webhook has a new one.
    pub fn no_health(organisation_id: &str, webhook_id: &str) -> Self {
        Self::gone(keys::health(organisation_id, webhook_id))
    }
}

/// Where a search for deliveries begins.
#[derive(Clone, Copy, Debug)]
pub enum Place<'a> {
    /// At deliveries made at this time.
    Since(Timestamp),
    /// After the delivery with this id.
    After(&'a str),
}

/// The outcome of storing an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptOutcome {
    Done,
    /// Another sender attempted the delivery at the same moment. Its result stays.
    Elsewhere,
    /// The webhook or the health of its receiver changed since it was read. Nothing is stored.
    Stale,
}

/// The health of a receiver before and after an attempt.
#[derive(Clone, Copy, Debug)]
pub struct HealthChange<'a> {
    /// As it was read. None if it was healthy.
    pub before: Option<&'a Health>,
    /// As it will be.
    pub after: Option<&'a Health>,
}

impl Store {
    pub async fn webhook(
        &self,
        organisation_id: &str,
        id: &str,
    ) -> Result<Option<Webhook>, StoreError> {
        self.row(keys::governance(organisation_id, format!("{WEBHOOK}{id}")))
            .await
    }

    /// Lists the webhooks by id.
    pub async fn webhooks(
        &self,
        organisation_id: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<Webhook>, StoreError> {
        self.page(organisation_id, WEBHOOK, after, limit, |_| true)
            .await
    }

    /// Returns the health of a receiver, or None if it is healthy.
    pub async fn health(
        &self,
        organisation_id: &str,
        webhook_id: &str,
    ) -> Result<Option<Health>, StoreError> {
        self.row(keys::health(organisation_id, webhook_id)).await
    }

    pub async fn delivery(
        &self,
        organisation_id: &str,
        webhook_id: &str,
        id: &str,
    ) -> Result<Option<Delivery>, StoreError> {
        self.row(keys::delivery(organisation_id, webhook_id, id))
            .await
    }

    /// Lists the deliveries of a webhook, the newest first.
    pub async fn deliveries(
        &self,
        organisation_id: &str,
        webhook_id: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<Delivery>, StoreError> {
        let prefix = keys::deliveries(webhook_id);
        self.newest_first(organisation_id, &prefix, after, limit, |_| true)
            .await
    }

    /// Stores a new delivery, if the webhook has none with this id.
    pub async fn add_delivery(
        &self,
        organisation_id: &str,
        delivery: &Delivery,
    ) -> Result<(), StoreError> {
        let key = keys::delivery(organisation_id, &delivery.webhook_id, &delivery.id);
        let mut row = Row::new(key, delivery)?.if_absent();
        row.expire(expires_at(delivery.created_at));
        self.transact(vec![self.row_item(row)?]).await?;
        Ok(())
    }

    /// Stores a delivery that a request asked for, together with the answer under the request's
    /// idempotency key. Returns false if that key has an answer already.
    pub async fn add_answered_delivery(
        &self,
        organisation_id: &str,
        delivery: &Delivery,
        answer: Option<&Idempotency>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let key = keys::delivery(organisation_id, &delivery.webhook_id, &delivery.id);
        let mut row = Row::new(key, delivery)?;
        row.expire(expires_at(delivery.created_at));
        let mut parts = vec![self.row_item(row)?];
        if let Some(answer) = answer {
            parts.push(self.idempotency_item(answer, now)?);
        }
        Ok(self.transact(parts).await? == Transacted::Applied)
    }

    /// Returns the deliveries of a webhook since `since` that are `wanted`, the oldest first. Reads
    /// a limited number of rows; `next` is the place of the last one if there may be more.
    pub async fn deliveries_since(
        &self,
        organisation_id: &str,
        webhook_id: &str,
        since: Place<'_>,
        limit: usize,
        wanted: impl Fn(&Delivery) -> bool,
    ) -> Result<Page<Delivery>, StoreError> {
        let prefix = keys::deliveries(webhook_id);
        let mut after = match since {
            // Ids sort by time. A delivery is made a little after its event.
            Place::Since(since) => {
                let ms = since.as_millisecond().max(0);
                format!("evt_{ms:012x}")
            }
            Place::After(name) => name.to_owned(),
        };
        let mut items = Vec::new();
        for _ in 0..MAX_PAGES {
            let left = limit.saturating_sub(items.len());
            let page = self
                .page(organisation_id, &prefix, Some(&after), left, &wanted)
                .await?;
            items.extend(page.items);
            match page.next {
                Some(next) if items.len() < limit => after = next,
                next => return Ok(Page { items, next }),
            }
        }
        Ok(Page {
            items,
            next: Some(after),
        })
    }

    /// Stores the result of an attempt, the new health of the receiver, and the incident about it,
    /// all or none. Requires that the delivery still has its version, that the health is as it was
    /// read, and that the webhook still posts to `url`.
    pub async fn keep_attempt(
        &self,
        organisation_id: &str,
        delivery: &Delivery,
        url: &str,
        health: HealthChange<'_>,
        opened: Option<&Opened>,
    ) -> Result<AttemptOutcome, StoreError> {
        let mut parts = vec![
            self.delivery_item(organisation_id, delivery)?,
            self.health_item(organisation_id, &delivery.webhook_id, health)?,
            self.webhook_check(organisation_id, &delivery.webhook_id, url)?,
        ];
        if let Some(opened) = opened {
            for row in Row::opened(organisation_id, opened)? {
                parts.push(self.row_item(row)?);
            }
        }
        let transacted = self.transact(parts).await?;
        Ok(match transacted {
            Transacted::Applied => AttemptOutcome::Done,
            _ if transacted.was_refused_at(0) => AttemptOutcome::Elsewhere,
            Transacted::Refused(_) => AttemptOutcome::Stale,
        })
    }

    /// Stores the new state of a delivery without an attempt. Returns false if another sender
    /// changed it.
    pub async fn set_delivery(
        &self,
        organisation_id: &str,
        delivery: &Delivery,
    ) -> Result<bool, StoreError> {
        let part = self.delivery_item(organisation_id, delivery)?;
        Ok(self.transact(vec![part]).await? == Transacted::Applied)
    }

    /// Stores the health of a receiver. Returns false if it is not as it was read.
    pub async fn set_health(
        &self,
        organisation_id: &str,
        webhook_id: &str,
        health: HealthChange<'_>,
    ) -> Result<bool, StoreError> {
        let part = self.health_item(organisation_id, webhook_id, health)?;
        Ok(self.transact(vec![part]).await? == Transacted::Applied)
    }

    /// Writes the health of a receiver or, if it is unchanged, checks that it is as it was read.
    fn health_item(
        &self,
        organisation_id: &str,
        webhook_id: &str,
        HealthChange { before, after }: HealthChange<'_>,
    ) -> Result<Write, StoreError> {
        let key = keys::health(organisation_id, webhook_id);
        let condition = match before {
            None => "attribute_not_exists(pk)",
            // An earlier release wrote the row, without a version.
            Some(Health { version: 0, .. }) => {
                "attribute_exists(pk) AND attribute_not_exists(#data.#version)"
            }
            Some(_) => "#data.#version = :before",
        };
        let has_row = before.is_some();
        let names = has_row.then(|| {
            HashMap::from([
                ("#data".to_owned(), "data".to_owned()),
                ("#version".to_owned(), "version".to_owned()),
            ])
        });
        let version = before.map(|before| before.version);
        let values = version.filter(|version| *version > 0);
        let values = values.map(|version| HashMap::from([(":before".to_owned(), number(version))]));
        if before == after {
            let check = ConditionCheck::builder()
                .table_name(&self.tables.governance)
                .set_key(Some(key.attributes()))
                .condition_expression(condition)
                .set_expression_attribute_names(names)
                .set_expression_attribute_values(values)
                .build()?;
            return Ok(Write::Check(check));
        }
        Ok(match after {
            Some(after) => {
                let mut item = key.attributes();
                item.insert("data".to_owned(), serde_dynamo::to_attribute_value(after)?);
                let put = Put::builder()
                    .table_name(&self.tables.governance)
                    .set_item(Some(item))
                    .condition_expression(condition)
                    .set_expression_attribute_names(names)
                    .set_expression_attribute_values(values)
                    .build()?;
                Write::Put(put)
            }
            None => {
                let delete = Delete::builder()
                    .table_name(&self.tables.governance)
                    .set_key(Some(key.attributes()))
                    .condition_expression(condition)
                    .set_expression_attribute_names(names)
                    .set_expression_attribute_values(values)
                    .build()?;
                Write::Delete(delete)
            }
        })
    }

    /// Checks that a webhook exists and posts to `url`.
    fn webhook_check(
        &self,
        organisation_id: &str,
        webhook_id: &str,
        url: &str,
    ) -> Result<Write, StoreError> {
        let key = keys::governance(organisation_id, format!("{WEBHOOK}{webhook_id}"));
        let check = ConditionCheck::builder()
            .table_name(&self.tables.governance)
            .set_key(Some(key.attributes()))
            .condition_expression("#data.#url = :url")
            .expression_attribute_names("#data", "data")
            .expression_attribute_names("#url", "url")
            .expression_attribute_values(":url", AttributeValue::S(url.to_owned()))
            .build()?;
        Ok(Write::Check(check))
    }

    /// Makes a delivery due again. Returns false if it changed since its version or its webhook is
    /// deleted.
    pub async fn renew_delivery(
        &self,
        organisation_id: &str,
        delivery: &Delivery,
    ) -> Result<bool, StoreError> {
        let webhook = format!("{WEBHOOK}{}", delivery.webhook_id);
        let check = ConditionCheck::builder()
            .table_name(&self.tables.governance)
            .set_key(Some(
                keys::governance(organisation_id, webhook).attributes(),
            ))
            .condition_expression("attribute_exists(pk)")
            .build()?;
        let parts = vec![
            self.delivery_item(organisation_id, delivery)?,
            Write::Check(check),
        ];
        Ok(self.transact(parts).await? == Transacted::Applied)
    }

    /// This is always a part of a larger transaction: DynamoDB recognises a repeated one.
    fn delivery_item(
        &self,
        organisation_id: &str,
        delivery: &Delivery,
    ) -> Result<Write, StoreError> {
        let key = keys::delivery(organisation_id, &delivery.webhook_id, &delivery.id);
        let mut item = key.attributes();
        item.insert(
            "data".to_owned(),
            serde_dynamo::to_attribute_value(delivery)?,
        );
        item.insert(TTL.to_owned(), number(expires_at(delivery.created_at)));
        let put = Put::builder()
            .table_name(&self.tables.governance)
            .set_item(Some(item))
            .condition_expression("#data.#version = :before")
            .expression_attribute_names("#data", "data")
            .expression_attribute_names("#version", "version")
            .expression_attribute_values(":before", number(delivery.version.saturating_sub(1)))
            .build()?;
        Ok(Write::Put(put))
    }
}
