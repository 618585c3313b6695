//! Queries of the rows of usage, a window at a time.
//!
//! A bucket of a report has several sources: the rows of a month are in several partitions, and
//! earlier releases kept rows of their own for each hour, day and month. A window is what one look
//! into a source has found: everything up to a place.

use super::Store;
use super::error::StoreError;
use super::item::Item;
use super::keys;
use super::usage_row::{DayRow, UsageRow, earlier_row};
use aws_sdk_dynamodb::types::{AttributeValue, ReturnConsumedCapacity};
use std::collections::BTreeMap;

/// The most rows that one query reads.
const ROWS_A_READ: i32 = 500;
/// A text behind every place of a user or a row.
const BEHIND: char = '\u{7f}';

/// Where to read in a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Range {
    first: String,
    last: String,
}

impl Range {
    /// All rows, or those of one user.
    pub(super) fn of(user_id: Option<&str>) -> Self {
        match user_id {
            None => Self::between("\u{1}", &BEHIND.to_string()),
            Some(user_id) => Self::between(&format!("{user_id}#"), &format!("{user_id}#{BEHIND}")),
        }
    }

    pub(super) fn between(first: &str, last: &str) -> Self {
        Self {
            first: first.to_owned(),
            last: last.to_owned(),
        }
    }

    /// The rest of it from `place` on.
    fn from(self, place: &str) -> Self {
        Self {
            first: place.to_owned().max(self.first),
            last: self.last,
        }
    }

    fn behind(self, place: &str) -> Self {
        self.from(&format!("{place}{BEHIND}"))
    }
}

/// Rows by their place, which is the user and the digest of path, provider and model.
#[derive(Clone, Debug)]
pub(super) struct Window<T> {
    pub(super) rows: Vec<(String, T)>,
    /// The place up to which nothing is missing. None if the source has no more.
    pub(super) until: Option<String>,
}

/// What a day's list leads to.
#[derive(Clone, Debug)]
pub(super) enum Listed {
    Row(DayRow),
    /// A row of an earlier release.
    Earlier(UsageRow),
}

fn sort_key(item: &Item) -> Result<&str, StoreError> {
    let sk = item.get("sk").and_then(|sk| sk.as_s().ok());
    sk.map(String::as_str)
        .ok_or_else(|| StoreError::unreadable("a usage row"))
}

/// Returns the user in a place or a sort key.
fn user_in(place: &str) -> &str {
    place.split_once('#').map_or(place, |(user_id, _)| user_id)
}

/// Sums the rows of each user over their days. If there are more, the last user is left out.
fn summed(
    items: &[Item],
    has_more: bool,
    after: Option<&str>,
) -> Result<Window<UsageRow>, StoreError> {
    let last = items.last().map(sort_key).transpose()?.unwrap_or_default();
    let cut = has_more.then(|| user_in(last).to_owned());
    let mut sums: BTreeMap<String, UsageRow> = BTreeMap::new();
    for item in items {
        if cut.as_deref() == Some(user_in(sort_key(item)?)) {
            break;
        }
        let Some(row) = DayRow::read(item)? else {
            continue;
        };
        match sums.get_mut(&row.place) {
            Some(sum) => sum.add(&row.whole()),
            None => drop(sums.insert(row.place.clone(), row.whole())),
        }
    }
    // Nothing is missing before the first row of the user who is cut.
    let until = cut.map(|user_id| format!("{user_id}#"));
    let is_new = |place: &String| after.is_none_or(|after| place.as_str() > after);
    Ok(Window {
        rows: sums
            .into_iter()
            .filter(|(place, _)| is_new(place))
            .collect(),
        until,
    })
}

impl Store {
    /// Returns some items of a partition in order, and whether there may be more.
    pub(super) async fn usage_items_of(
        &self,
        pk: &str,
        range: &Range,
        after: Option<&str>,
    ) -> Result<(Vec<Item>, bool), StoreError> {
        if range.first > range.last {
            return Ok((Vec::new(), false));
        }
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let start =
            after.map(|sk| [("pk".to_owned(), text(pk)), ("sk".to_owned(), text(sk))].into());
        let answer = self
            .client
            .query()
            .table_name(&self.tables.ledger)
            .key_condition_expression("pk = :pk AND sk BETWEEN :first AND :last")
            .expression_attribute_values(":pk", text(pk))
            .expression_attribute_values(":first", text(&range.first))
            .expression_attribute_values(":last", text(&range.last))
            .set_exclusive_start_key(start)
            .limit(ROWS_A_READ)
            .consistent_read(true)
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send()
            .await?;
        let has_more = answer.last_evaluated_key.is_some();
        Ok((answer.items.unwrap_or_default(), has_more))
    }

    /// Returns all items of a partition in `range`.
    pub(super) async fn all_usage_items(
        &self,
        pk: &str,
        range: &Range,
    ) -> Result<Vec<Item>, StoreError> {
        let mut all: Vec<Item> = Vec::new();
        loop {
            let after = all.last().map(sort_key).transpose()?.map(str::to_owned);
            let (some, has_more) = self.usage_items_of(pk, range, after.as_deref()).await?;
            let is_last = some.is_empty() || !has_more;
            all.extend(some);
            if is_last {
                return Ok(all);
            }
        }
    }

    /// Returns rows of an earlier release in a bucket, after a place.
    pub(super) async fn earlier_window(
        &self,
        organisation_id: &str,
        bucket: &str,
        user_id: Option<&str>,
        after: Option<&str>,
    ) -> Result<Window<UsageRow>, StoreError> {
        let pk = keys::usage(organisation_id, bucket, "").pk;
        let range = Range::of(user_id);
        let range = after.map_or(range.clone(), |after| range.behind(after));
        let (items, has_more) = self.usage_items_of(&pk, &range, None).await?;
        let mut rows = Vec::with_capacity(items.len());
        for item in items {
            let place = sort_key(&item)?.to_owned();
            rows.push((place, earlier_row(item)?));
        }
        let last = rows.last().map(|(place, _)| place.clone());
        Ok(Window {
            rows,
            until: last.filter(|_| has_more),
        })
    }

    /// Returns rows of a partition of a month, summed over its days, after a place.
    pub(super) async fn month_window(
        &self,
        pk: &str,
        user_id: Option<&str>,
        after: Option<&str>,
    ) -> Result<Window<UsageRow>, StoreError> {
        // The rows of a user are in the order of their days: read the whole user again.
        let range = Range::of(user_id);
        let range = match after {
            Some(after) => range.from(&format!("{}#", user_in(after))),
            None => range,
        };
        let (mut items, mut has_more) = self.usage_items_of(pk, &range, None).await?;
        // The last user may have more rows, and must not be the only one.
        while has_more {
            let last = items.last().map(sort_key).transpose()?.unwrap_or_default();
            let first = items.first().map(sort_key).transpose()?.unwrap_or_default();
            if user_in(first) != user_in(last) {
                break;
            }
            let last = last.to_owned();
            let (more, is_more) = self.usage_items_of(pk, &range, Some(&last)).await?;
            items.extend(more);
            has_more = is_more;
        }
        summed(&items, has_more, after)
    }

    /// Returns what a day's list leads to after a place.
    pub(super) async fn day_window(
        &self,
        organisation_id: &str,
        day: &str,
        user_id: Option<&str>,
        after: Option<&str>,
    ) -> Result<Window<Listed>, StoreError> {
        let pk = keys::usage(organisation_id, day, "").pk;
        let range = Range::of(user_id);
        let range = after.map_or(range.clone(), |after| range.behind(after));
        let (items, has_more) = self.usage_items_of(&pk, &range, None).await?;
        // An entry has the month behind the place of its rows, so those of a place are together. If
        // there is more, the last place may have more entries.
        let place_of =
            |sk: &str| -> String { sk.splitn(3, '#').take(2).collect::<Vec<_>>().join("#") };
        let last = items.last().map(sort_key).transpose()?.unwrap_or_default();
        let cut = has_more.then(|| place_of(last));
        let mut rows: Vec<(String, Listed)> = Vec::new();
        let mut asked: Vec<Item> = Vec::new();
        let mut until = None;
        for item in items {
            let sk = sort_key(&item)?.to_owned();
            let place = place_of(&sk);
            if cut.as_ref() == Some(&place) {
                break;
            }
            let mut parts = sk.splitn(3, '#');
            match (parts.next(), parts.next(), parts.next()) {
                (Some(user_id), Some(group), Some(month)) => {
                    let key = keys::usage_row(organisation_id, (month, day), user_id, group);
                    asked.push(key.attributes());
                }
                _ => rows.push((place.clone(), Listed::Earlier(earlier_row(item)?))),
            }
            until = Some(place);
        }
        for item in self.items(&self.tables.ledger, asked, None).await? {
            if let Some(row) = DayRow::read(&item)? {
                rows.push((row.place.clone(), Listed::Row(row)));
            }
        }
        rows.sort_by(|(one, _), (other, _)| one.cmp(other));
        Ok(Window {
            rows,
            until: until.filter(|_| has_more),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::item::{number, text};

    fn row(sk: &str, tokens: i64) -> Item {
        let texts = [
            ("sk", sk),
            ("path", "/eng/"),
            ("provider", "p"),
            ("model", "m"),
        ];
        let texts = texts.map(|(name, value)| (name.to_owned(), text(value)));
        let mut item = Item::from(texts);
        item.insert("t1s".to_owned(), number(tokens));
        item
    }

    fn places(window: &Window<UsageRow>) -> Vec<(&str, i64)> {
        let rows = window.rows.iter();
        rows.map(|(place, row)| (place.as_str(), row.tokens))
            .collect()
    }

    #[test]
    fn days_of_a_user_are_summed_and_a_user_who_may_have_more_waits_for_the_next_look() {
        let items = [
            row("ada#2026-11-01#g", 1),
            row("ada#2026-11-02#f", 20),
            row("ada#2026-11-02#g", 300),
            row("bob#2026-11-01#g", 4_000),
        ];
        let all = summed(&items, false, None).unwrap();
        let expected = [("ada#f", 20), ("ada#g", 301), ("bob#g", 4_000)];
        assert_eq!(
            (places(&all).as_slice(), &all.until),
            (&expected[..], &None)
        );
        let some = summed(&items, true, None).unwrap();
        let until = Some("bob#".to_owned());
        assert_eq!(
            (places(&some).as_slice(), &some.until),
            (&expected[..2], &until)
        );
        let rest = summed(&items, false, Some("ada#f")).unwrap();
        assert_eq!(places(&rest), expected[1..]);
    }

    #[test]
    fn the_tokens_of_a_day_beside_the_rows_are_in_no_report() {
        let beside = Item::from([
            ("sk".to_owned(), text("ada#2026-11-01#+")),
            ("of_day".to_owned(), number(7)),
        ]);
        assert!(summed(&[beside], false, None).unwrap().rows.is_empty());
    }

    #[test]
    fn a_range_of_a_user_ends_before_the_next_one() {
        let ada = Range::of(Some("ada"));
        let is_in = |sk: &str| *ada.first <= *sk && *sk <= *ada.last;
        assert!(is_in("ada#2026-11-01#g") && is_in("ada#=g"));
        assert!(!is_in("ada-2#2026-11-01#g") && !is_in("ad#2026-11-01#g"));
        let rest = ada.behind("ada#2026-11-01");
        assert!(rest.first.as_str() > "ada#2026-11-01#g" && rest.first.as_str() < "ada#2026-11-02");
    }
}
