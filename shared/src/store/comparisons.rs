//! How far the comparison of an organisation's records with its totals has come.
//!
//! The sums are many, so they are in rows of their own, and what has come so far is one row that
//! names them. They are written beside those in force, and take effect with that row: a writer that
//! is stopped in between has changed nothing, and of two writers one is first.

use super::Store;
use super::call::{Transacted, new_token};
use super::configuration::data;
use super::error::StoreError;
use super::item::number;
use super::keys;
use super::rows::{Row, row};
use super::tables::Table;
use super::write::{If, Write};
use crate::domain::ledger::comparison::Comparison;
use crate::domain::ledger::comparison_sums::{Sums, TextOf, UnreadableSum};
use futures::future::join_all;
use serde::{Deserialize, Serialize};

/// How many sums a row has: some 50 KB.
const SUMS_A_ROW: usize = 500;
/// How many rows are written at the same time.
const ROWS_AT_ONCE: usize = 8;
/// How long rows of sums are kept that nothing writes: longer than an organisation may wait for its
/// comparison.
const KEPT_SECONDS: i64 = 90 * 24 * 3600;

/// A comparison as it is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptComparison {
    /// Counts the writes.
    version: u64,
    /// The rows of sums that belong to it have this.
    token: String,
    /// How many they are.
    rows: usize,
    pub comparison: Comparison,
}

/// A row of sums.
#[derive(Serialize, Deserialize)]
struct SumsRow {
    token: String,
    lines: Vec<String>,
}

impl KeptComparison {
    /// The place of its sums. Two take turns, so that those in force are never written over.
    fn place(&self) -> u64 {
        self.version % 2
    }
}

impl Store {
    /// Returns how far the comparison of an organisation has come.
    pub async fn comparison(&self, organisation_id: &str) -> Result<KeptComparison, StoreError> {
        let kept = self.row(keys::comparison(organisation_id)).await?;
        Ok(kept.unwrap_or_default())
    }

    /// Returns the sums of a comparison. None if they are not those that it was stored with.
    pub(crate) async fn comparison_sums(
        &self,
        organisation_id: &str,
        kept: &KeptComparison,
    ) -> Result<Option<Sums>, StoreError> {
        let pk = keys::books(organisation_id);
        let rows = self.rows_under(&pk, keys::sums_at(kept.place())).await?;
        let mut lines: Vec<String> = Vec::new();
        let mut found = 0;
        for row in rows.into_iter().take(kept.rows) {
            let row: SumsRow = data(row)?;
            if row.token == kept.token {
                lines.extend(row.lines);
                found += 1;
            }
        }
        if found != kept.rows {
            return Ok(None);
        }
        let read = lines.iter().map(|line| {
            let TextOf(account, line) = line.parse()?;
            Ok((account, line))
        });
        let read: Result<Sums, UnreadableSum> = read.collect();
        let unreadable = |error: UnreadableSum| StoreError::unreadable(error.to_string());
        read.map(Some).map_err(unreadable)
    }

    /// Stores a comparison and its sums, if it is still as `before` says. Returns None if somebody
    /// else has stored it meanwhile. `now` is in seconds.
    pub(crate) async fn keep_comparison(
        &self,
        organisation_id: &str,
        before: &KeptComparison,
        comparison: &Comparison,
        sums: &Sums,
        now: i64,
    ) -> Result<Option<KeptComparison>, StoreError> {
        let lines: Vec<String> = sums
            .lines()
            .map(|(account, line)| TextOf(account.clone(), *line).to_string())
            .collect();
        let rows: Vec<&[String]> = lines.chunks(SUMS_A_ROW).collect();
        let kept = KeptComparison {
            version: before.version.saturating_add(1),
            token: new_token()?,
            rows: rows.len(),
            comparison: comparison.clone(),
        };
        let mut writes = Vec::with_capacity(rows.len());
        for (n, lines) in rows.iter().enumerate() {
            let key = keys::sums(organisation_id, kept.place(), n);
            let row = SumsRow {
                token: kept.token.clone(),
                lines: lines.to_vec(),
            };
            let mut row = Row::new(key, &row)?;
            row.expire(now.saturating_add(KEPT_SECONDS));
            writes.push(self.row_item(row)?);
        }
        for some in writes.chunks(ROWS_AT_ONCE) {
            let each = some.iter().map(|write| self.transact(vec![write.clone()]));
            for written in join_all(each).await {
                written?;
            }
        }
        let write = self.comparison_item(organisation_id, before, &kept)?;
        let is_first = self.transact(vec![write]).await? == Transacted::Applied;
        Ok(is_first.then_some(kept))
    }

    fn comparison_item(
        &self,
        organisation_id: &str,
        before: &KeptComparison,
        kept: &KeptComparison,
    ) -> Result<Write, StoreError> {
        let item = row(&keys::comparison(organisation_id), kept)?;
        let condition = match before.version {
            0 => If::Absent,
            version => If::Is("data.version", number(version)),
        };
        Ok(Write::put(Table::Governance, item).only(condition))
    }
}
