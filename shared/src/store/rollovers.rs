//! The history rows of budgets' months.

use super::Store;
use super::configuration::data;
use super::error::StoreError;
use super::keys::{self, ROLLOVER};
use super::pages::Page;
use super::rows::Row;
use crate::domain::ledger::node::Node;
use crate::domain::ledger::rollover::Rollover;
use crate::domain::period::Month;
use std::collections::BTreeMap;

impl Row {
    /// Builds the history row of a budget's month, which never expires.
    pub fn rollover(organisation_id: &str, rollover: &Rollover) -> Result<Self, StoreError> {
        let key = keys::rollover(organisation_id, rollover.from_period, &rollover.budget_id);
        Self::replacing(key, rollover)
    }
}

impl Store {
    /// Returns the rollovers out of `period`, by the counter of their level. A level has one budget
    /// at the end of a month.
    pub(crate) async fn rollovers_from(
        &self,
        organisation_id: &str,
        period: Month,
    ) -> Result<BTreeMap<Node, Rollover>, StoreError> {
        let prefix = keys::rollover(organisation_id, period, "").sk;
        let rows = self.rows_under(organisation_id, prefix).await?;
        let rows = rows.into_iter().map(data::<Rollover>);
        rows.map(|row| row.map(|row| (row.counter(), row)))
            .collect()
    }

    /// Lists the rollovers that are `wanted`, the newest month first. `after` is [`Page::next`] of
    /// the page before.
    pub async fn rollovers(
        &self,
        organisation_id: &str,
        wanted: impl Fn(&Rollover) -> bool,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<Rollover>, StoreError> {
        self.newest_first(organisation_id, ROLLOVER, after, limit, wanted)
            .await
    }
}
