//! Reads usage for reports.

use super::Store;
use super::error::StoreError;
use super::item::{Item, from_item};
use super::keys;
use super::pages::Page;
use super::totals::Sums;
use super::usage_rows::ABANDONED_HOLD;
use crate::domain::amount::Amounts;
use crate::domain::org::department::Path;
use crate::domain::period::Month;
use crate::domain::wide_number;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnConsumedCapacity};
use serde::Deserialize;
use std::collections::BTreeMap;

/// The most queries of one page of a report.
const MAX_READS_A_PAGE: u32 = 200;

/// The most rows that one query reads.
const ROWS_A_READ: i32 = 500;

/// The sums of the records of one bucket, user, path, provider and model.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct UsageRow {
    #[serde(default)]
    pub bucket: String,
    pub user_id: String,
    /// The path of the user's department at the time of the usage: `/engineering/backend/`.
    pub path: String,
    pub provider: String,
    pub model: String,
    /// The number of records.
    pub requests: i64,
    /// Input tokens including the cached ones, as far as they were counted.
    pub input_tokens: i64,
    /// Output tokens, as far as they were counted.
    pub output_tokens: i64,
    /// Input tokens that the provider had cached.
    pub cached_input_tokens: i64,
    /// Tokens charged: input and output, or a hold's estimate if nobody counted.
    pub tokens: i64,
    #[serde(with = "wide_number")]
    pub pico_usd: i128,
    /// Those of `tokens` that have no price.
    #[serde(default, rename = "unpriced_tokens")]
    pub unpriced: i64,
}

impl UsageRow {
    /// Whether it is a row of abandoned holds that all were replaced by late usage.
    fn is_of_nothing(&self) -> bool {
        let is_abandoned = self.provider == ABANDONED_HOLD && self.model == ABANDONED_HOLD;
        is_abandoned && self.requests == 0 && self.tokens == 0 && self.pico_usd == 0
    }
}

/// The filter of a report. None selects all.
#[derive(Clone, Debug, Default)]
pub struct UsageFilter {
    pub user_id: Option<String>,
    /// Selects the subtree of this department.
    pub department_id: Option<String>,
    pub model: Option<String>,
    pub provider: Option<String>,
}

impl UsageFilter {
    fn wants(&self, row: &UsageRow) -> bool {
        let is = |wanted: &Option<String>, value: &str| {
            wanted.as_ref().is_none_or(|wanted| wanted == value)
        };
        !row.is_of_nothing()
            && is(&self.user_id, &row.user_id)
            && is(&self.model, &row.model)
            && is(&self.provider, &row.provider)
            && Path::from_text(&row.path).is_under(self.department_id.as_deref())
    }
}

impl Store {
    /// Returns all rows of a bucket, or those of one user.
    async fn usage_of(
        &self,
        organisation_id: &str,
        bucket: &str,
        user_id: Option<&str>,
    ) -> Result<Vec<UsageRow>, StoreError> {
        let mut rows = Vec::new();
        let mut after = None;
        loop {
            let (some, next) = self
                .usage_page_of(organisation_id, bucket, user_id, after)
                .await?;
            rows.extend(some.into_iter().map(|(_, row)| row));
            match next {
                Some(next) => after = Some(next),
                None => return Ok(rows),
            }
        }
    }

    /// Returns some rows of a bucket after a sort key, each with its own, and the last sort key if
    /// there may be more.
    async fn usage_page_of(
        &self,
        organisation_id: &str,
        bucket: &str,
        user_id: Option<&str>,
        after: Option<String>,
    ) -> Result<(Vec<(String, UsageRow)>, Option<String>), StoreError> {
        let start = after.map(|sk| keys::usage(organisation_id, bucket, &sk).attributes());
        let pk = keys::usage(organisation_id, bucket, "").pk;
        let query = self
            .client
            .query()
            .table_name(&self.tables.ledger)
            .expression_attribute_values(":pk", AttributeValue::S(pk))
            .set_exclusive_start_key(start)
            .limit(ROWS_A_READ)
            .consistent_read(true)
            .return_consumed_capacity(ReturnConsumedCapacity::Total);
        let query = match user_id {
            None => query.key_condition_expression("pk = :pk"),
            Some(user_id) => query
                .key_condition_expression("pk = :pk AND begins_with(sk, :sk)")
                .expression_attribute_values(":sk", AttributeValue::S(format!("{user_id}#"))),
        };
        let answer = query.send().await?;
        let key_of = |item: &Item| match item.get("sk") {
            Some(AttributeValue::S(sk)) => Ok(sk.clone()),
            _ => Err(StoreError::unreadable("a usage row")),
        };
        let next = answer.last_evaluated_key.as_ref().map(key_of).transpose()?;
        let mut rows = Vec::new();
        for item in answer.items.unwrap_or_default() {
            let sk = key_of(&item)?;
            rows.push((
                sk,
                UsageRow {
                    bucket: bucket.to_owned(),
                    ..from_item(item)?
                },
            ));
        }
        Ok((rows, next))
    }

    /// Returns a page of the rows of `buckets` that match `filter`, in the order of the buckets.
    /// `after` is [`Page::next`] of the page before. A page may be short if matching rows are rare.
    pub async fn usage_rows(
        &self,
        organisation_id: &str,
        buckets: &[String],
        filter: &UsageFilter,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<UsageRow>, StoreError> {
        let (mut from, mut after_key) = match after.and_then(|after| after.split_once(' ')) {
            Some((bucket, sk)) => (Some(bucket), Some(sk).filter(|sk| !sk.is_empty())),
            None => (None, None),
        };
        let mut items = Vec::with_capacity(limit);
        let mut last = after.map(str::to_owned);
        let mut reads = 0;
        for bucket in buckets {
            if from.is_some_and(|from| from != bucket) {
                continue;
            }
            from = None;
            let mut start = after_key.take().map(str::to_owned);
            loop {
                if reads == MAX_READS_A_PAGE {
                    return Ok(Page { items, next: last });
                }
                reads += 1;
                let user_id = filter.user_id.as_deref();
                let (rows, next) = self
                    .usage_page_of(organisation_id, bucket, user_id, start)
                    .await?;
                for (sk, row) in rows {
                    if filter.wants(&row) {
                        if items.len() == limit {
                            return Ok(Page { items, next: last });
                        }
                        items.push(row);
                    }
                    last = Some(format!("{bucket} {sk}"));
                }
                match next {
                    Some(next) => start = Some(next),
                    None => break,
                }
            }
            // This place sorts after every row of the bucket that matches the query.
            let user = filter.user_id.as_ref();
            let behind = user.map_or(String::new(), |id| format!("{id}#"));
            last = Some(format!("{bucket} {behind}\u{7f}"));
        }
        Ok(Page { items, next: None })
    }

    /// Returns the sums of one user in `period`.
    pub async fn user_total(
        &self,
        organisation_id: &str,
        period: Month,
        user_id: &str,
    ) -> Result<Sums, StoreError> {
        let month = period.to_string();
        let rows = self
            .usage_of(organisation_id, &month, Some(user_id))
            .await?;
        let sums = rows.iter().map(|row| Sums {
            tokens: row.tokens,
            pico_usd: row.pico_usd,
            requests: row.requests,
            unpriced: row.unpriced,
        });
        Ok(sums.fold(Sums::default(), Sums::plus))
    }

    /// Returns the spending of each user in `period`.
    pub(crate) async fn user_totals(
        &self,
        organisation_id: &str,
        period: Month,
    ) -> Result<BTreeMap<String, Amounts>, StoreError> {
        let mut users: BTreeMap<String, Amounts> = BTreeMap::new();
        let month = period.to_string();
        for row in self.usage_of(organisation_id, &month, None).await? {
            let sum = users.entry(row.user_id).or_default();
            *sum = sum.saturating_add(Amounts::new(row.tokens, row.pico_usd));
        }
        Ok(users)
    }
}
