//! An organisation's own webhooks and the health of their receivers.

use super::Store;
use super::call::Transacted;
use super::error::StoreError;
use super::item::{number, text};
use super::keys::{self, WEBHOOK};
use super::pages::Page;
use super::rows::Row;
use super::tables::Table;
use super::write::{If, Write};
use crate::domain::notice::delivery::Delivery;
use crate::domain::notice::health::Health;
use crate::domain::notice::incident::Opened;
use crate::domain::notice::webhook::Webhook;

impl Row {
    pub fn webhook(organisation_id: &str, webhook: &Webhook) -> Result<Self, StoreError> {
        let key = keys::governance(organisation_id, format!("{WEBHOOK}{}", webhook.id));
        Self::replacing(key, webhook)
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
            self.webhook_check(organisation_id, &delivery.webhook_id, url),
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
            None => If::Absent,
            // An earlier release wrote the row, without a version.
            Some(Health { version: 0, .. }) => {
                If::All(vec![If::Present, If::Lacks("data.version")])
            }
            Some(known) => If::Is("data.version", number(known.version)),
        };
        if before == after {
            return Ok(Write::check(Table::Governance, key.attributes(), condition));
        }
        let write = match after {
            Some(after) => {
                let mut item = key.attributes();
                item.insert("data".to_owned(), serde_dynamo::to_attribute_value(after)?);
                Write::put(Table::Governance, item)
            }
            None => Write::delete(Table::Governance, key.attributes()),
        };
        Ok(write.only(condition))
    }

    /// Checks that a webhook exists and posts to `url`.
    fn webhook_check(&self, organisation_id: &str, webhook_id: &str, url: &str) -> Write {
        let key = keys::governance(organisation_id, format!("{WEBHOOK}{webhook_id}"));
        let condition = If::Is("data.url", text(url));
        Write::check(Table::Governance, key.attributes(), condition)
    }
}
