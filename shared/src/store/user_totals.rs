//! Reads the totals of users, which are sums of their rows of usage.

use super::Store;
use super::error::StoreError;
use super::keys;
use super::totals::Sums;
use super::usage_query::Range;
use super::usage_row::{DayRow, UsageRow, earlier_row};
use crate::domain::amount::Amounts;
use crate::domain::period::Month;
use futures::future::try_join_all;
use std::collections::BTreeMap;

fn sums_of(row: &UsageRow) -> Sums {
    Sums {
        tokens: row.tokens,
        pico_usd: row.pico_usd,
        requests: row.requests,
        unpriced: row.unpriced,
    }
}

impl Store {
    /// Returns the sums of one user in `period`.
    pub async fn user_total(
        &self,
        organisation_id: &str,
        period: Month,
        user_id: &str,
    ) -> Result<Sums, StoreError> {
        let month = period.to_string();
        let range = Range::of(Some(user_id));
        let partitions = [keys::usage_of(organisation_id, &month, user_id)];
        let rows = self.month_rows(organisation_id, &month, &partitions, &range);
        let sums = rows.await?;
        Ok(sums.iter().map(sums_of).fold(Sums::default(), Sums::plus))
    }

    /// Returns the spending of each user in `period`.
    pub(crate) async fn user_totals(
        &self,
        organisation_id: &str,
        period: Month,
    ) -> Result<BTreeMap<String, Amounts>, StoreError> {
        let month = period.to_string();
        let partitions = keys::months_usage(organisation_id, &month);
        let range = Range::of(None);
        let rows = self.month_rows(organisation_id, &month, &partitions, &range);
        let mut users: BTreeMap<String, Amounts> = BTreeMap::new();
        for row in rows.await? {
            let more = row.amounts();
            let sum = users.entry(row.user_id).or_default();
            *sum = sum.saturating_add(more);
        }
        Ok(users)
    }

    /// Returns the rows of a month in these partitions, those of earlier releases too.
    async fn month_rows(
        &self,
        organisation_id: &str,
        month: &str,
        partitions: &[String],
        range: &Range,
    ) -> Result<Vec<UsageRow>, StoreError> {
        let each = partitions.iter().map(|pk| self.all_usage_items(pk, range));
        let earlier = keys::usage(organisation_id, month, "").pk;
        let earlier = self.all_usage_items(&earlier, range);
        let (found, earlier) = futures::try_join!(try_join_all(each), earlier)?;
        let mut rows = Vec::new();
        for item in found.iter().flatten() {
            rows.extend(DayRow::read(item)?.map(|row| row.whole()));
        }
        for item in earlier {
            rows.push(earlier_row(item)?);
        }
        Ok(rows)
    }
}
