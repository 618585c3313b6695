//! Totals: sums of records for departments. The total of a parent is computed from the rows of its
//! subtree and never stored, so spending from before a move stays with the old parent.
//!
//! A department's total is the sum of up to sixteen rows. An instance adds to the first one, until
//! it meets another there. So the rows of a department are as many as its traffic needs.

use super::Store;
use super::error::StoreError;
use super::item::{from_item, number};
use super::keys::{self, DEPARTMENT_TOTAL, Key};
use super::tables::{TTL, Table};
use super::write::{Changes, Write};
use crate::domain::amount::Amounts;
use crate::domain::ledger::usage::Charge;
use crate::domain::org::department::Path;
use crate::domain::period::Month;
use crate::domain::wide_number;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::civil::Date;
use serde::Deserialize;
use std::collections::BTreeMap;

/// The attribute of totals, rows and corrections with the tokens that have no price.
pub(super) const UNPRICED_TOKENS: &str = "unpriced_tokens";

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Sums {
    #[serde(default)]
    pub tokens: i64,
    #[serde(default, with = "wide_number")]
    pub pico_usd: i128,
    #[serde(default)]
    pub requests: i64,
    /// The tokens without a price, which are in no amount of dollars.
    #[serde(default, rename = "unpriced_tokens")]
    pub unpriced: i64,
}

impl Sums {
    pub(crate) fn one(amounts: Amounts) -> Self {
        Self {
            tokens: amounts.tokens,
            pico_usd: amounts.pico_usd,
            requests: 1,
            unpriced: 0,
        }
    }

    /// Returns the sums of usage with this charge.
    pub(crate) fn charged(charge: &Charge) -> Self {
        Self {
            unpriced: charge.unpriced_tokens(),
            ..Self::one(charge.amounts)
        }
    }

    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            tokens: self.tokens.saturating_add(other.tokens),
            pico_usd: self.pico_usd.saturating_add(other.pico_usd),
            requests: self.requests.saturating_add(other.requests),
            unpriced: self.unpriced.saturating_add(other.unpriced),
        }
    }

    pub fn amounts(&self) -> Amounts {
        Amounts::new(self.tokens, self.pico_usd)
    }
}

/// The rows of one period: paths and their sums.
#[derive(Clone, Debug, Default)]
pub struct DepartmentTotals(Vec<(Path, Sums)>);

impl DepartmentTotals {
    /// Returns the spending in the subtree of a department, or of the whole organisation for None.
    pub fn spent_under(&self, department_id: Option<&str>) -> Amounts {
        self.sums_under(department_id).amounts()
    }

    /// Returns each path with usage, and the sums of that path alone.
    pub fn rows(&self) -> &[(Path, Sums)] {
        &self.0
    }

    /// Returns the tokens without a price of a path alone.
    pub fn unpriced_on(&self, path: &Path) -> i64 {
        let rows = self.0.iter().filter(|(of, _)| of == path);
        rows.fold(0, |sum, (_, row)| sum.saturating_add(row.unpriced))
    }

    /// Returns the spending of each path alone.
    pub(crate) fn by_path(&self) -> BTreeMap<String, Amounts> {
        let rows = self.0.iter();
        rows.map(|(path, sums)| (path.to_text(), sums.amounts()))
            .collect()
    }

    /// Returns all sums of the subtree of a department, or of the whole organisation for None.
    pub fn sums_under(&self, department_id: Option<&str>) -> Sums {
        self.0
            .iter()
            .filter(|(path, _)| path.is_under(department_id))
            .fold(Sums::default(), |sum, (_, row)| sum.plus(*row))
    }
}

#[derive(Deserialize)]
struct TotalRow {
    sk: String,
    #[serde(flatten)]
    sums: Sums,
}

impl Store {
    /// Reads the totals of all departments in `period` consistently.
    pub async fn department_totals(
        &self,
        organisation_id: &str,
        period: Month,
    ) -> Result<DepartmentTotals, StoreError> {
        let pages = self
            .client
            .query()
            .table_name(&self.tables.ledger)
            .key_condition_expression("pk = :pk AND begins_with(sk, :sk)")
            .expression_attribute_values(
                ":pk",
                AttributeValue::S(keys::totals(organisation_id, period)),
            )
            .expression_attribute_values(":sk", AttributeValue::S(DEPARTMENT_TOTAL.to_owned()))
            .consistent_read(true)
            .into_paginator()
            .items()
            .send();
        let rows = pages.try_collect().await?;
        let mut totals: BTreeMap<String, Sums> = BTreeMap::new();
        for row in rows {
            let row: TotalRow = from_item(row)?;
            let named = row.sk.strip_prefix(DEPARTMENT_TOTAL).unwrap_or_default();
            // All but the first row of a department have a number behind its path.
            let path = named.split_once('#').map_or(named, |(path, _)| path);
            let sum = totals.entry(path.to_owned()).or_default();
            *sum = sum.plus(row.sums);
        }
        let each = totals.into_iter();
        let totals = each.map(|(path, sums)| (Path::from_text(&path), sums));
        Ok(DepartmentTotals(totals.collect()))
    }

    /// Adds to the total under `key`, as a part of a transaction. It may expire after `expires_at`.
    pub(super) fn add_to_total(&self, key: &Key, sums: Sums, expires_at: i64) -> Write {
        let mut changes = Changes::default()
            .set(TTL, number(expires_at))
            .add("tokens", sums.tokens)
            .add("pico_usd", sums.pico_usd)
            .add("requests", sums.requests);
        if sums.unpriced != 0 {
            changes = changes.add(UNPRICED_TOKENS, sums.unpriced);
        }
        Write::update(Table::Ledger, key.attributes(), changes).spread()
    }
}

/// Returns the attribute of a user's month with the tokens of one day, as earlier releases summed
/// them: `d24`.
pub(crate) fn day_attribute(day: Date) -> String {
    format!("d{:02}", day.day())
}
