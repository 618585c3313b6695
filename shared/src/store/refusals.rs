//! Refused preflights: a record of each, and a count for each hour, user and reason.

use super::Store;
use super::call::Transacted;
use super::configuration::data;
use super::error::StoreError;
use super::item::{Item, expires_at, number, text};
use super::keys::{self, REFUSED};
use super::rows::Row;
use super::tables::{TTL, Table};
use super::write::{Changes, If, Write};
use crate::domain::ledger::refused::{Refused, RefusedHour};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// How long counts are kept, in seconds: longer than the longest look back.
const KEPT_SECONDS: i64 = 3 * 24 * 3_600;

/// The most refusals of one transaction, which has at most 100 parts. Each is a record and may
/// count for two hours or reasons.
const TOGETHER: usize = 30;

/// How many refusals of an hour, user and reason the audit log knows of.
#[derive(Serialize, Deserialize)]
struct LoggedRefusals {
    count: u64,
}

impl Row {
    /// Builds the row that says that the audit log knows of all refusals in `hour`.
    pub fn logged_refusals(organisation_id: &str, hour: &RefusedHour) -> Result<Self, StoreError> {
        let key = keys::logged_refusals(organisation_id, &hour.hour, &hour.user_id, &hour.reason);
        let mut row = Self::new(key, &LoggedRefusals { count: hour.count })?;
        row.expire(hour.last.as_second() + KEPT_SECONDS);
        Ok(row)
    }
}

impl Store {
    /// Records refusals and counts each once. A batch is counted in one transaction. It is counted
    /// one by one only if some of it was recorded before.
    pub async fn record_refusals(
        &self,
        organisation_id: &str,
        refused: &[Refused],
    ) -> Result<(), StoreError> {
        // A batch may repeat a message, and a transaction may name an item only once.
        let mut seen = BTreeSet::new();
        let each = refused.iter().filter(|one| seen.insert(&one.refusal_id));
        let each: Vec<&Refused> = each.collect();
        for some in each.chunks(TOGETHER) {
            if self.record_some(organisation_id, some).await? == Transacted::Applied {
                continue;
            }
            for one in some {
                // If a single refusal is rejected, it is recorded already.
                let _: Transacted = self.record_some(organisation_id, &[one]).await?;
            }
        }
        Ok(())
    }

    async fn record_some(
        &self,
        organisation_id: &str,
        refused: &[&Refused],
    ) -> Result<Transacted, StoreError> {
        let mut parts = Vec::new();
        let mut hours: BTreeMap<(String, String, String), RefusedHour> = BTreeMap::new();
        for &one in refused {
            let mut item: Item = serde_dynamo::to_item(one)?;
            item.extend(keys::refusal(organisation_id, &one.refusal_id).attributes());
            item.insert("type".to_owned(), text("refused_preflight"));
            item.insert(TTL.to_owned(), number(expires_at(one.refused_at)));
            parts.push(Write::put(Table::Ledger, item).only(If::Absent));
            for reason in &one.reasons {
                let (hour, user_id) = (one.hour(), one.counted_user(reason).to_owned());
                let counted = hours
                    .entry((hour.clone(), user_id.clone(), reason.clone()))
                    .or_insert_with(|| RefusedHour {
                        hour,
                        user_id,
                        reason: reason.clone(),
                        first: one.refused_at,
                        last: one.refused_at,
                        count: 0,
                    });
                counted.first = counted.first.min(one.refused_at);
                counted.last = counted.last.max(one.refused_at);
                counted.count += 1;
            }
        }
        for counted in hours.values() {
            parts.push(self.counted_item(organisation_id, counted));
        }
        self.transact(parts).await
    }

    /// Adds to an hour's count, as a part of a transaction.
    fn counted_item(&self, organisation_id: &str, more: &RefusedHour) -> Write {
        let key = keys::refusals(organisation_id, &more.hour, &more.user_id, &more.reason);
        let changes = Changes::default()
            .set("hour", text(&more.hour))
            .set("user_id", text(&more.user_id))
            .set("reason", text(&more.reason))
            .begin("first", text(more.first))
            .set("last", text(more.last))
            .add("count", more.count)
            .set(TTL, number(more.last.as_second() + KEPT_SECONDS));
        Write::update(Table::Ledger, key.attributes(), changes)
    }

    /// Returns at most `most` counts from the hours `first` to `last` that the audit log does not
    /// fully know, each with its number of new refusals.
    pub async fn unlogged_refusals(
        &self,
        organisation_id: &str,
        [first, last]: [&str; 2],
        most: usize,
    ) -> Result<Vec<(RefusedHour, u64)>, StoreError> {
        // `~` sorts after all keys that begin with the last hour.
        let until = format!("{last}~");
        let counted = self
            .client
            .query()
            .table_name(&self.tables.ledger)
            .key_condition_expression("pk = :pk AND sk BETWEEN :first AND :last")
            .expression_attribute_values(":pk", text(keys::refusals_of(organisation_id)))
            .expression_attribute_values(":first", text(first))
            .expression_attribute_values(":last", text(until))
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
            let known: LoggedRefusals = data(row)?;
            told.extend(sk.map(|sk| (sk, known.count)));
        }
        let mut found = Vec::new();
        for mut item in counted {
            for key in ["pk", "sk", TTL] {
                item.remove(key);
            }
            let hour: RefusedHour = serde_dynamo::from_item(item)?;
            let key =
                keys::logged_refusals(organisation_id, &hour.hour, &hour.user_id, &hour.reason);
            let known = told.get(&key.sk).copied().unwrap_or(0);
            if hour.count > known && found.len() < most {
                let new = hour.count - known;
                found.push((hour, new));
            }
        }
        Ok(found)
    }
}
