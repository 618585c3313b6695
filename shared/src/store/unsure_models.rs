//! Models whose price is unsure, as they are listed: what was used of each in a month.

use super::Store;
use super::error::StoreError;
use super::item::{Item, text};
use super::keys;
use super::pages::Page;
use super::usage_rows::digest_of_parts;
use crate::domain::period::Month;
use crate::domain::pricing::matched::{PriceMatch, Unsure};
use jiff::Timestamp;
use serde::Deserialize;

/// The most rows that one query reads.
const ROWS_A_READ: i32 = 1_000;

/// The most queries of one page. Only the first model of a page may take more.
const READS_A_PAGE: usize = 50;

/// The usage of a model in a month.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnsureModel {
    pub provider: String,
    /// The name as it was reported.
    pub model: String,
    /// How its price was found last.
    pub price: PriceMatch,
    /// When its first usage was received.
    pub first_seen: Timestamp,
    pub last_seen: Timestamp,
    pub tokens: i64,
    pub requests: i64,
    /// The number of different users.
    pub users: u64,
}

/// What one user used of it.
#[derive(Deserialize)]
struct ModelOfUser {
    sk: String,
    user_id: String,
    provider: String,
    model: String,
    price: PriceMatch,
    first_seen: Timestamp,
    last_seen: Timestamp,
    tokens: i64,
    requests: i64,
}

/// Returns what a model is known by: its provider and name, whatever their case, so that spellings
/// of one model are one row and one alert.
pub(super) fn model_digest(provider: &str, model: &str) -> String {
    let folded = [provider, model].map(|name| name.trim().to_lowercase());
    digest_of_parts(&[&folded[0], &folded[1]])
}

impl ModelOfUser {
    /// Returns the part of the sort key that all rows of a model have in common.
    fn of_model(&self) -> &str {
        self.sk.rsplit_once('#').map_or("", |(model, _)| model)
    }
}

impl UnsureModel {
    fn of(row: ModelOfUser) -> Self {
        Self {
            provider: row.provider,
            model: row.model,
            price: row.price,
            first_seen: row.first_seen,
            last_seen: row.last_seen,
            tokens: row.tokens,
            requests: row.requests,
            users: 1,
        }
    }

    fn add(&mut self, row: ModelOfUser) {
        if row.last_seen > self.last_seen {
            self.price = row.price;
        }
        self.first_seen = self.first_seen.min(row.first_seen);
        self.last_seen = self.last_seen.max(row.last_seen);
        self.tokens = self.tokens.saturating_add(row.tokens);
        self.requests = self.requests.saturating_add(row.requests);
        self.users = self.users.saturating_add(1);
    }
}

impl Store {
    /// Returns a page of the models of `month` whose price is unsure, with the usage of the users
    /// that are `wanted`. A page may be short if such users are rare.
    pub async fn unsure_models(
        &self,
        organisation_id: &str,
        (month, unsure): (Month, Unsure),
        wanted: impl Fn(&str) -> bool,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<UnsureModel>, StoreError> {
        // `$` is the next character after `#`.
        let mut from = match after {
            Some(model) => format!("{model}$"),
            None => format!("{}#", unsure.as_str()),
        };
        let until = format!("{}$", unsure.as_str());
        let pk = keys::models(organisation_id, month);
        let mut items: Vec<UnsureModel> = Vec::with_capacity(limit);
        // The model of the last row, and whether it is the last of `items`.
        let (mut last, mut is_listed) = (None::<String>, false);
        for read in 1.. {
            let (rows, next) = self.rows_of_models(&pk, &from, &until).await?;
            for row in rows {
                if last.as_deref() != Some(row.of_model()) {
                    if last.is_some() && (items.len() == limit || read > READS_A_PAGE) {
                        return Ok(Page { items, next: last });
                    }
                    last = Some(row.of_model().to_owned());
                    is_listed = false;
                }
                match items.last_mut().filter(|_| is_listed) {
                    _ if !wanted(&row.user_id) => {}
                    Some(model) => model.add(row),
                    None => {
                        items.push(UnsureModel::of(row));
                        is_listed = true;
                    }
                }
            }
            match next {
                Some(next) => from = next,
                None => break,
            }
        }
        Ok(Page { items, next: None })
    }

    /// Returns some rows from a sort key on, and where the next ones begin, if there are more.
    async fn rows_of_models(
        &self,
        pk: &str,
        from: &str,
        until: &str,
    ) -> Result<(Vec<ModelOfUser>, Option<String>), StoreError> {
        let answer = self
            .client
            .query()
            .table_name(&self.tables.ledger)
            .key_condition_expression("pk = :pk AND sk BETWEEN :from AND :until")
            .expression_attribute_values(":pk", text(pk))
            .expression_attribute_values(":from", text(from))
            .expression_attribute_values(":until", text(until))
            .limit(ROWS_A_READ)
            .consistent_read(true)
            .send()
            .await?;
        let next = answer.last_evaluated_key.as_ref().map(|key| {
            let sk = key.get("sk").and_then(|sk| sk.as_s().ok());
            // No sort key is between that one and this.
            sk.map(|sk| format!("{sk}\u{0}"))
                .ok_or_else(|| StoreError::unreadable("a row of a model"))
        });
        let rows = answer.items.unwrap_or_default().into_iter();
        let rows: Result<Vec<ModelOfUser>, _> = rows
            .map(|row: Item| serde_dynamo::from_item(row).map_err(StoreError::from))
            .collect();
        Ok((rows?, next.transpose()?))
    }
}
