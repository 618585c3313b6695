//! Webhooks that an organisation has set up for itself, how their receivers do, and what is on its way to them.

use super::Store;
use super::call::{StoreError, Transacted};
use super::change::Idempotency;
use super::expression::number;
use super::governance::Page;
use super::keys::{self, WEBHOOK};
use super::resolutions::expires_at;
use super::rows::Row;
use super::tables::TTL;
use crate::domain::incident::Opened;
use crate::domain::webhook::{Delivery, Health, Webhook};
use aws_sdk_dynamodb::types::{ConditionCheck, Put, TransactWriteItem};
use jiff::Timestamp;

impl Row {
    /// A webhook as it will be.
    pub fn webhook(organisation_id: &str, webhook: &Webhook) -> Result<Self, StoreError> {
        let key = keys::governance(organisation_id, format!("{WEBHOOK}{}", webhook.id));
        Self::new(key, webhook)
    }

    /// A webhook no more, nor what was known of its receiver.
    pub fn no_webhook(organisation_id: &str, id: &str) -> [Self; 2] {
        let key = keys::governance(organisation_id, format!("{WEBHOOK}{id}"));
        [
            Self::gone(key),
            Self::gone(keys::health(organisation_id, id)),
        ]
    }

    /// How a receiver does; none where it does well.
    pub fn health(
        organisation_id: &str,
        webhook_id: &str,
        health: Option<&Health>,
    ) -> Result<Self, StoreError> {
        let key = keys::health(organisation_id, webhook_id);
        health.map_or_else(
            || Ok(Self::gone(key.clone())),
            |health| Self::new(key.clone(), health),
        )
    }
}

impl Store {
    /// A webhook by its id.
    pub async fn webhook(
        &self,
        organisation_id: &str,
        id: &str,
    ) -> Result<Option<Webhook>, StoreError> {
        self.row(keys::governance(organisation_id, format!("{WEBHOOK}{id}")))
            .await
    }

    /// Webhooks by id.
    pub async fn webhooks(
        &self,
        organisation_id: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<Webhook>, StoreError> {
        self.page(organisation_id, WEBHOOK, after, limit, |_| true)
            .await
    }

    /// How a receiver does; none where it does well.
    pub async fn health(
        &self,
        organisation_id: &str,
        webhook_id: &str,
    ) -> Result<Option<Health>, StoreError> {
        self.row(keys::health(organisation_id, webhook_id)).await
    }

    /// A delivery by its webhook and id.
    pub async fn delivery(
        &self,
        organisation_id: &str,
        webhook_id: &str,
        id: &str,
    ) -> Result<Option<Delivery>, StoreError> {
        self.row(keys::delivery(organisation_id, webhook_id, id))
            .await
    }

    /// Deliveries of a webhook, the newest first.
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

    /// Makes a delivery where there is none of its webhook and id.
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

    /// Makes a delivery that a request asked for, together with the answer under the request's idempotency key; false where that key has
    /// an answer already.
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

    /// Keeps what has become of a delivery, how its receiver does by now, and the incident of one that was given up, where nobody
    /// changed the delivery since its version before; whether it was so.
    pub async fn set_delivery(
        &self,
        organisation_id: &str,
        delivery: &Delivery,
        health: Option<&Health>,
        opened: Option<&Opened>,
    ) -> Result<bool, StoreError> {
        let health = Row::health(organisation_id, &delivery.webhook_id, health)?;
        let mut parts = vec![
            self.delivery_item(organisation_id, delivery)?,
            self.row_item(health)?,
        ];
        if let Some(opened) = opened {
            for row in Row::opened(organisation_id, opened)? {
                parts.push(self.row_item(row)?);
            }
        }
        Ok(self.transact(parts).await? == Transacted::Applied)
    }

    /// Makes a delivery due again, where nobody changed it since its version before and its webhook is still there; whether it
    /// was so.
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
            TransactWriteItem::builder().condition_check(check).build(),
        ];
        Ok(self.transact(parts).await? == Transacted::Applied)
    }

    /// Always a part of a transaction of several: those are known again where their answer was lost.
    fn delivery_item(
        &self,
        organisation_id: &str,
        delivery: &Delivery,
    ) -> Result<TransactWriteItem, StoreError> {
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
        Ok(TransactWriteItem::builder().put(put).build())
    }
}
