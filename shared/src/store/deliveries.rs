//! The deliveries of webhooks.

use super::Store;
use super::call::Transacted;
use super::error::StoreError;
use super::idempotency::Idempotency;
use super::item::{expires_at, number};
use super::keys::{self, WEBHOOK};
use super::pages::Page;
use super::rows::Row;
use super::tables::{TTL, Table};
use super::write::{If, Write};
use crate::domain::notice::delivery::Delivery;
use jiff::Timestamp;

/// The most pages of rows that one search for deliveries reads.
const MAX_PAGES: u32 = 10;

/// Where a search for deliveries begins.
#[derive(Clone, Copy, Debug)]
pub enum Place<'a> {
    /// At deliveries made at this time.
    Since(Timestamp),
    /// After the delivery with this id.
    After(&'a str),
}

impl Store {
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

    /// Makes a delivery due again. Returns false if it changed since its version or its webhook is
    /// deleted.
    pub async fn renew_delivery(
        &self,
        organisation_id: &str,
        delivery: &Delivery,
    ) -> Result<bool, StoreError> {
        let webhook = format!("{WEBHOOK}{}", delivery.webhook_id);
        let webhook = keys::governance(organisation_id, webhook).attributes();
        let parts = vec![
            self.delivery_item(organisation_id, delivery)?,
            Write::check(Table::Governance, webhook, If::Present),
        ];
        Ok(self.transact(parts).await? == Transacted::Applied)
    }

    /// This is always a part of a larger transaction: DynamoDB recognises a repeated one.
    pub(super) fn delivery_item(
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
        let before = number(delivery.version.saturating_sub(1));
        let condition = If::Is("data.version", before);
        Ok(Write::put(Table::Governance, item).only(condition))
    }
}
