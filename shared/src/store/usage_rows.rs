//! Usage for reports: sums of records by hour, day and month, each for a user, path, provider and model. They are
//! written in the record's own transaction, so each record counts in them once.

use super::Store;
use super::call::StoreError;
use super::expression::{Item, number};
use super::governance::Page;
use super::keys;
use super::resolutions::expires_at;
use super::tables::TTL;
use super::totals::Sums;
use super::usage::Entry;
use crate::domain::amount::Amounts;
use crate::domain::buckets::of_usage;
use crate::domain::configuration::{Configuration, Path};
use crate::domain::period::Month;
use aws_sdk_dynamodb::types::{AttributeValue, TransactWriteItem, Update};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// What reports show in the place of a model and its provider for holds that were charged because nobody settled them.
const ABANDONED_HOLD: &str = "abandoned_hold";
/// The most queries that one page of a report makes.
const MAX_READS_A_PAGE: u32 = 200;
/// The most rows that one of them looks at.
const ROWS_A_READ: i32 = 500;

/// What records of one bucket, user, path, provider and model add up to.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct UsageRow {
    /// The bucket's id.
    #[serde(default)]
    pub bucket: String,
    /// The user.
    pub user_id: String,
    /// The path of their department when it was used: `/engineering/backend/`.
    pub path: String,
    /// Who ran the model.
    pub provider: String,
    /// The model.
    pub model: String,
    /// Records.
    pub requests: i64,
    /// Input tokens, the cached ones included, as far as they were counted.
    pub input_tokens: i64,
    /// Output tokens, as far as they were counted.
    pub output_tokens: i64,
    /// Input tokens that the provider had cached.
    pub cached_input_tokens: i64,
    /// Tokens charged: input and output, or a hold's estimate where nobody counted.
    pub tokens: i64,
    /// Micro-USD charged.
    pub micro_usd: i64,
}

impl UsageRow {
    /// Whether it is one of abandoned holds, and late usage was set against each of them.
    fn is_of_nothing(&self) -> bool {
        let is_abandoned = self.provider == ABANDONED_HOLD && self.model == ABANDONED_HOLD;
        is_abandoned && self.requests == 0 && self.tokens == 0 && self.micro_usd == 0
    }
}

/// Which rows a report wants.
#[derive(Clone, Debug, Default)]
pub struct UsageFilter {
    /// Of this user only.
    pub user_id: Option<String>,
    /// Of this department's subtree only.
    pub department_id: Option<String>,
    /// Of this model only.
    pub model: Option<String>,
    /// Of this provider only.
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

/// What a record adds to a row.
#[derive(Clone, Copy, Default)]
pub(super) struct Added {
    requests: i64,
    input: i64,
    output: i64,
    cached_input: i64,
    amounts: Amounts,
}

/// What a row is of.
pub(super) struct RowOf<'a> {
    pub(super) user_id: &'a str,
    pub(super) path: &'a str,
    pub(super) provider: &'a str,
    pub(super) model: &'a str,
    /// When it may go, in seconds.
    pub(super) expires_at: i64,
}

impl RowOf<'_> {
    fn sk(&self) -> String {
        let group = group(self.path, self.provider, self.model);
        format!("{}#{group}", self.user_id)
    }
}

impl Added {
    /// What a correction adds: no request.
    pub(super) fn correction(amounts: Amounts) -> Self {
        Self {
            amounts,
            ..Self::default()
        }
    }

    /// What a hold adds that is charged because nobody settled it: a request, as in the total of its department. Nobody
    /// knows what of its tokens was input.
    pub(super) fn abandoned(charged: Amounts) -> Self {
        Self {
            requests: 1,
            amounts: charged,
            ..Self::default()
        }
    }

    /// What takes the same away again.
    pub(super) fn taken_away(self) -> Self {
        Self {
            requests: self.requests.saturating_neg(),
            input: self.input.saturating_neg(),
            output: self.output.saturating_neg(),
            cached_input: self.cached_input.saturating_neg(),
            amounts: Amounts::ZERO.saturating_sub(self.amounts),
        }
    }

    fn plus(self, entry: &Entry<'_>) -> Self {
        let usage = entry.report.usage;
        let charged = entry.charge.amounts;
        let add = |sum: i64, more: i64| sum.saturating_add(more);
        Self {
            requests: add(self.requests, 1),
            input: add(self.input, usage.input_tokens.unwrap_or(0)),
            output: add(self.output, usage.output_tokens.unwrap_or(0)),
            cached_input: add(self.cached_input, usage.cached_input_tokens),
            amounts: Amounts::new(
                add(self.amounts.tokens, charged.tokens),
                add(self.amounts.micro_usd, charged.micro_usd),
            ),
        }
    }
}

/// The part of a row's sort key after the user: the same for the same path, provider and model.
fn group(path: &str, provider: &str, model: &str) -> String {
    let mut hash = Sha256::new();
    for part in [path, provider, model] {
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hex::encode(&hash.finalize()[..8])
}

impl Store {
    /// The rows that `entries` add to, at most three for each, as parts of their transaction.
    pub(super) fn usage_items<'a>(
        &self,
        configuration: &Configuration,
        entries: impl IntoIterator<Item = &'a Entry<'a>>,
    ) -> Result<Vec<TransactWriteItem>, StoreError> {
        let organisation = &configuration.organisation;
        let zone = organisation.zone();
        let mut rows: BTreeMap<(String, String), (Added, &Entry<'_>)> = BTreeMap::new();
        for entry in entries {
            let usage = entry.report.usage;
            let group = group(&entry.path.to_text(), &usage.provider, &usage.model);
            let sk = format!("{}#{group}", usage.user_id);
            for bucket in of_usage(usage.occurred_at, entry.period, &zone) {
                let row = rows
                    .entry((bucket, sk.clone()))
                    .or_insert((Added::default(), entry));
                row.0 = row.0.plus(entry);
            }
        }
        let each = rows.into_iter().map(|((bucket, _), (added, entry))| {
            let usage = entry.report.usage;
            let of = RowOf {
                user_id: &usage.user_id,
                path: &entry.path.to_text(),
                provider: &usage.provider,
                model: &usage.model,
                expires_at: expires_at(entry.received_at),
            };
            self.usage_item(&organisation.id, &bucket, added, &of)
        });
        each.collect()
    }

    /// Adds to the rows of abandoned holds of a path, one in each of the buckets, as parts of a transaction. They are
    /// nobody's: a hold that nobody settled is in its department's total and not in its user's.
    pub(super) fn abandoned_rows(
        &self,
        organisation_id: &str,
        (buckets, path): (&[String], &Path),
        added: Added,
        expires_at: i64,
    ) -> Result<Vec<TransactWriteItem>, StoreError> {
        let of = RowOf {
            user_id: "",
            path: &path.to_text(),
            provider: ABANDONED_HOLD,
            model: ABANDONED_HOLD,
            expires_at,
        };
        let each = buckets.iter();
        each.map(|bucket| self.usage_item(organisation_id, bucket, added, &of))
            .collect()
    }

    /// Adds to a row of `bucket`, as a part of a transaction.
    pub(super) fn usage_item(
        &self,
        organisation_id: &str,
        bucket: &str,
        added: Added,
        of: &RowOf<'_>,
    ) -> Result<TransactWriteItem, StoreError> {
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let key = keys::usage(organisation_id, bucket, &of.sk());
        let update = Update::builder()
            .table_name(&self.tables.ledger)
            .set_key(Some(key.attributes()))
            .update_expression(format!(
                "ADD requests :r, input_tokens :i, output_tokens :o, cached_input_tokens :c, tokens :t, micro_usd :m \
                 SET user_id = :user, #path = :path, provider = :provider, model = :model, {TTL} = :y"
            ))
            .expression_attribute_names("#path", "path")
            .expression_attribute_values(":r", number(added.requests))
            .expression_attribute_values(":i", number(added.input))
            .expression_attribute_values(":o", number(added.output))
            .expression_attribute_values(":c", number(added.cached_input))
            .expression_attribute_values(":t", number(added.amounts.tokens))
            .expression_attribute_values(":m", number(added.amounts.micro_usd))
            .expression_attribute_values(":user", text(of.user_id))
            .expression_attribute_values(":path", text(of.path))
            .expression_attribute_values(":provider", text(of.provider))
            .expression_attribute_values(":model", text(of.model))
            .expression_attribute_values(":y", number(of.expires_at))
            .build()?;
        Ok(TransactWriteItem::builder().update(update).build())
    }

    /// All rows of a bucket, or those of one user.
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

    /// Some rows of a bucket after a sort key, each with its own, and the last sort key where there may be more.
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
            .consistent_read(true);
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
                    ..serde_dynamo::from_item(item)?
                },
            ));
        }
        Ok((rows, next))
    }

    /// A page of the rows of `buckets`, in their order, that `filter` wants. `after` is [`Page::next`] of the page
    /// before. A page may be short where what is wanted is rare.
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
            // Behind every row of the bucket that the query's condition takes.
            let user = filter.user_id.as_ref();
            let behind = user.map_or(String::new(), |id| format!("{id}#"));
            last = Some(format!("{bucket} {behind}\u{7f}"));
        }
        Ok(Page { items, next: None })
    }

    /// The sums of one user in `period`.
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
            micro_usd: row.micro_usd,
            requests: row.requests,
        });
        Ok(sums.fold(Sums::default(), Sums::plus))
    }

    /// What each user has spent in `period`.
    pub(super) async fn user_totals(
        &self,
        organisation_id: &str,
        period: Month,
    ) -> Result<BTreeMap<String, Amounts>, StoreError> {
        let mut users: BTreeMap<String, Amounts> = BTreeMap::new();
        let month = period.to_string();
        for row in self.usage_of(organisation_id, &month, None).await? {
            let sum = users.entry(row.user_id).or_default();
            sum.tokens = sum.tokens.saturating_add(row.tokens);
            sum.micro_usd = sum.micro_usd.saturating_add(row.micro_usd);
        }
        Ok(users)
    }
}
