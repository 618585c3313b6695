//! Usage for reports: sums of records by hour, day and month, for each user, path, provider and
//! model. They are written in the record's own transaction, so each record counts in them once.

use super::Store;
use super::call::StoreError;
use super::entry::Entry;
use super::governance::Page;
use super::item::{Item, expires_at, number};
use super::keys;
use super::tables::TTL;
use super::totals::Sums;
use super::write::Write;
use crate::domain::amount::Amounts;
use crate::domain::buckets::of_usage;
use crate::domain::configuration::{Configuration, Path};
use crate::domain::hex::hex;
use crate::domain::period::Month;
use aws_sdk_dynamodb::types::{AttributeValue, Update};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// The model and provider that reports show for abandoned holds that were charged.
const ABANDONED_HOLD: &str = "abandoned_hold";
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
    pub micro_usd: i64,
}

impl UsageRow {
    /// Whether it is a row of abandoned holds that all were replaced by late usage.
    fn is_of_nothing(&self) -> bool {
        let is_abandoned = self.provider == ABANDONED_HOLD && self.model == ABANDONED_HOLD;
        is_abandoned && self.requests == 0 && self.tokens == 0 && self.micro_usd == 0
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

/// The amounts that a record adds to a row.
#[derive(Clone, Copy, Default)]
pub(crate) struct Added {
    requests: i64,
    input: i64,
    output: i64,
    cached_input: i64,
    amounts: Amounts,
}

/// The key of a row.
pub(crate) struct RowOf<'a> {
    pub(crate) user_id: &'a str,
    pub(crate) path: &'a str,
    pub(crate) provider: &'a str,
    pub(crate) model: &'a str,
    /// When it may expire, in seconds.
    pub(crate) expires_at: i64,
}

impl RowOf<'_> {
    fn sk(&self) -> String {
        let group = group(self.path, self.provider, self.model);
        format!("{}#{group}", self.user_id)
    }
}

impl Added {
    /// Returns the amounts of a correction, which is not a request.
    pub(crate) fn correction(amounts: Amounts) -> Self {
        Self {
            amounts,
            ..Self::default()
        }
    }

    /// Returns the amounts of an abandoned hold that is charged: one request, as in the total of
    /// its department. It is unknown which of its tokens were input.
    pub(crate) fn abandoned(charged: Amounts) -> Self {
        Self {
            requests: 1,
            amounts: charged,
            ..Self::default()
        }
    }

    /// Returns the negated amounts.
    pub(crate) fn taken_away(self) -> Self {
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

/// Returns the part of a row's sort key after the user, which follows from path, provider and
/// model.
fn group(path: &str, provider: &str, model: &str) -> String {
    let mut hash = Sha256::new();
    for part in [path, provider, model] {
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hex(&hash.finalize()[..8])
}

impl Store {
    /// Adds `entries` to their rows, at most three for each, as parts of their transaction.
    pub(crate) fn usage_items<'a>(
        &self,
        configuration: &Configuration,
        entries: impl IntoIterator<Item = &'a Entry<'a>>,
    ) -> Result<Vec<Write>, StoreError> {
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

    /// Adds to the rows of abandoned holds of a path, one in each of the buckets, as parts of a
    /// transaction. These rows have no user: an abandoned hold is in the total of its department
    /// and not of its user.
    pub(crate) fn abandoned_rows(
        &self,
        organisation_id: &str,
        (buckets, path): (&[String], &Path),
        added: Added,
        expires_at: i64,
    ) -> Result<Vec<Write>, StoreError> {
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
    pub(crate) fn usage_item(
        &self,
        organisation_id: &str,
        bucket: &str,
        added: Added,
        of: &RowOf<'_>,
    ) -> Result<Write, StoreError> {
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let key = keys::usage(organisation_id, bucket, &of.sk());
        let update = Update::builder()
            .table_name(&self.tables.ledger)
            .set_key(Some(key.attributes()))
            .update_expression(format!(
                "ADD requests :r, input_tokens :i, output_tokens :o, cached_input_tokens :c, \
                 tokens :t, micro_usd :m \
                 SET user_id = :user, #path = :path, provider = :provider, model = :model, \
                 {TTL} = :y"
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
        Ok(Write::Update(update))
    }

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
            micro_usd: row.micro_usd,
            requests: row.requests,
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
            sum.tokens = sum.tokens.saturating_add(row.tokens);
            sum.micro_usd = sum.micro_usd.saturating_add(row.micro_usd);
        }
        Ok(users)
    }
}
