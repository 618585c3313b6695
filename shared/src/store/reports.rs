//! Reads usage for reports.

use super::Store;
use super::error::StoreError;
use super::keys;
use super::pages::Page;
use super::usage_query::{Listed, Window};
use super::usage_row::UsageRow;
use crate::domain::ledger::buckets::days_of_hour;
use crate::domain::org::configuration::Configuration;
use crate::domain::org::department::Path;
use futures::future::try_join_all;
use std::collections::{BTreeMap, HashMap};

/// The most looks of one page of a report.
const MAX_LOOKS_A_PAGE: u32 = 200;

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

/// A report as it is read.
struct Reading<'a> {
    store: &'a Store,
    configuration: &'a Configuration,
    user_id: Option<&'a str>,
    /// The days that were read to their ends, for their other hours.
    days: HashMap<String, Window<Listed>>,
}

impl Reading<'_> {
    /// Returns the rows of a bucket after a place, merged from all of its sources.
    async fn look(
        &mut self,
        bucket: &str,
        after: Option<&str>,
    ) -> Result<Window<UsageRow>, StoreError> {
        let windows = match bucket.len() {
            7 => self.month(bucket, after).await?,
            10 => {
                let day = self.day(bucket, after).await?;
                let rows = day.rows.into_iter().map(|(place, listed)| match listed {
                    Listed::Row(row) => (place, row.whole()),
                    Listed::Earlier(row) => (place, row),
                });
                vec![Window {
                    rows: rows.collect(),
                    until: day.until,
                }]
            }
            _ => self.hour(bucket, after).await?,
        };
        Ok(merged(windows))
    }

    async fn month(
        &self,
        month: &str,
        after: Option<&str>,
    ) -> Result<Vec<Window<UsageRow>>, StoreError> {
        let organisation_id = &self.configuration.organisation.id;
        let partitions = match self.user_id {
            Some(user_id) => vec![keys::usage_of(organisation_id, month, user_id)],
            None => keys::months_usage(organisation_id, month),
        };
        let each = partitions.iter();
        let each = each.map(|pk| self.store.month_window(pk, self.user_id, after));
        let earlier = self.earlier(month, after);
        let (windows, earlier) = futures::try_join!(try_join_all(each), earlier)?;
        Ok(windows.into_iter().chain([earlier]).collect())
    }

    async fn day(&mut self, day: &str, after: Option<&str>) -> Result<Window<Listed>, StoreError> {
        if let (Some(known), None) = (self.days.get(day), after) {
            return Ok(known.clone());
        }
        let organisation_id = &self.configuration.organisation.id;
        let reading = self
            .store
            .day_window(organisation_id, day, self.user_id, after);
        let window = reading.await?;
        if after.is_none() && window.until.is_none() {
            self.days.insert(day.to_owned(), window.clone());
        }
        Ok(window)
    }

    async fn hour(
        &mut self,
        hour: &str,
        after: Option<&str>,
    ) -> Result<Vec<Window<UsageRow>>, StoreError> {
        let organisation = &self.configuration.organisation;
        let had_another = organisation.zone_begun.is_some();
        let mut windows = Vec::new();
        let mut has_earlier = after.is_some();
        for day in days_of_hour(hour, &organisation.zone(), had_another) {
            let window = self.day(&day, after).await?;
            has_earlier |= window.until.is_some();
            let mut rows = Vec::new();
            for (place, listed) in window.rows {
                match listed {
                    Listed::Row(row) => rows.extend(row.in_hour(hour).map(|row| (place, row))),
                    Listed::Earlier(_) => has_earlier = true,
                }
            }
            windows.push(Window {
                rows,
                until: window.until,
            });
        }
        // A release that kept rows by the hour kept rows of their days, too.
        if has_earlier {
            windows.push(self.earlier(hour, after).await?);
        }
        Ok(windows)
    }

    async fn earlier(
        &self,
        bucket: &str,
        after: Option<&str>,
    ) -> Result<Window<UsageRow>, StoreError> {
        let organisation_id = &self.configuration.organisation.id;
        let window = self
            .store
            .earlier_window(organisation_id, bucket, self.user_id, after);
        window.await
    }
}

/// Adds up rows of the same place. Nothing is missing up to the first end of the windows.
fn merged(windows: Vec<Window<UsageRow>>) -> Window<UsageRow> {
    let until = windows
        .iter()
        .filter_map(|window| window.until.clone())
        .min();
    let mut sums: BTreeMap<String, UsageRow> = BTreeMap::new();
    for (place, row) in windows.into_iter().flat_map(|window| window.rows) {
        if until.as_ref().is_some_and(|until| place > *until) {
            continue;
        }
        match sums.get_mut(&place) {
            Some(sum) => sum.add(&row),
            None => drop(sums.insert(place, row)),
        }
    }
    Window {
        rows: sums.into_iter().collect(),
        until,
    }
}

impl Store {
    /// Returns a page of the rows of `buckets` that match `filter`, in the order of the buckets.
    /// `after` is [`Page::next`] of the page before. A page may be short if matching rows are rare.
    pub async fn usage_rows(
        &self,
        configuration: &Configuration,
        buckets: &[String],
        filter: &UsageFilter,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<UsageRow>, StoreError> {
        let (mut from, mut after_place) = match after.and_then(|after| after.split_once(' ')) {
            Some((bucket, place)) => (Some(bucket), Some(place).filter(|place| !place.is_empty())),
            None => (None, None),
        };
        let mut reading = Reading {
            store: self,
            configuration,
            user_id: filter.user_id.as_deref(),
            days: HashMap::new(),
        };
        let mut items = Vec::with_capacity(limit);
        let mut last = after.map(str::to_owned);
        let mut looks = 0;
        for bucket in buckets {
            if from.is_some_and(|from| from != bucket) {
                continue;
            }
            from = None;
            let mut start = after_place.take().map(str::to_owned);
            loop {
                if looks == MAX_LOOKS_A_PAGE {
                    return Ok(Page { items, next: last });
                }
                looks += 1;
                let window = reading.look(bucket, start.as_deref()).await?;
                for (place, row) in window.rows {
                    if filter.wants(&row) {
                        if items.len() == limit {
                            return Ok(Page { items, next: last });
                        }
                        let bucket = bucket.clone();
                        items.push(UsageRow { bucket, ..row });
                    }
                    last = Some(format!("{bucket} {place}"));
                }
                match window.until {
                    Some(until) => {
                        last = Some(format!("{bucket} {until}"));
                        start = Some(until);
                    }
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
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(rows: &[(&str, i64)], until: Option<&str>) -> Window<UsageRow> {
        let row = |(place, tokens): &(&str, i64)| {
            let row = UsageRow {
                tokens: *tokens,
                ..UsageRow::default()
            };
            ((*place).to_owned(), row)
        };
        Window {
            rows: rows.iter().map(row).collect(),
            until: until.map(str::to_owned),
        }
    }

    #[test]
    fn sources_are_merged_by_place_up_to_the_first_that_has_more() {
        let found = merged(vec![
            window(&[("a#1", 1), ("c#1", 2), ("e#1", 4)], None),
            window(&[("a#1", 10), ("b#1", 20), ("d#1", 40)], Some("d#1")),
            window(&[("b#2", 100)], Some("c#1")),
        ]);
        let rows = found.rows.iter();
        let rows: Vec<(&str, i64)> = rows.map(|(at, row)| (at.as_str(), row.tokens)).collect();
        assert_eq!(rows, [("a#1", 11), ("b#1", 20), ("b#2", 100), ("c#1", 2)]);
        assert_eq!(found.until.as_deref(), Some("c#1"));
    }
}
