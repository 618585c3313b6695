//! Reads the totals that the triggers of policies look at.

use super::Store;
use super::error::StoreError;
use super::item::{Item, from_item};
use super::keys;
use super::totals::{Sums, day_attribute};
use super::usage_query::Range;
use super::usage_row::DayRow;
use super::usage_rows::OF_DAY;
use crate::domain::amount::Amounts;
use crate::domain::org::configuration::Configuration;
use crate::domain::period::Month;
use crate::domain::policy::{BASELINE_DAYS, Facts, Kind, Needs, UsageTotals};
use futures::StreamExt as _;
use jiff::Span;
use jiff::civil::Date;
use std::collections::{BTreeMap, BTreeSet};

impl Store {
    /// Returns the current totals of the users and departments of `events`, which already include
    /// the events. Takes one read for each month of a user and one for each month of departments.
    pub async fn usage_totals(
        &self,
        configuration: &Configuration,
        needs: &Needs,
        events: &[Facts],
    ) -> Result<UsageTotals, StoreError> {
        let organisation_id = &configuration.organisation.id;
        let mut usage_totals = UsageTotals::default();
        // Each with the first day that is needed of it, if not all of it is.
        let mut months: BTreeMap<(&str, Month), Option<Date>> = BTreeMap::new();
        let mut departments: BTreeSet<(Month, &str)> = BTreeSet::new();
        for facts in events {
            let Kind::Usage { spent, .. } = &facts.kind else {
                continue;
            };
            if let Some(user_id) = &facts.user_id {
                if needs.users {
                    months.insert((user_id, spent.period), None);
                }
                if needs.days {
                    let first = facts.day.saturating_sub(Span::new().days(BASELINE_DAYS));
                    let mut month = Month::of_date(first);
                    while month <= Month::of_date(facts.day) {
                        let needed = months.entry((user_id, month)).or_insert(Some(first));
                        *needed = (*needed).map(|known| known.min(first));
                        month = month.next();
                    }
                }
            }
            let wanted = facts.path.0.iter().filter(|id| needs.wants(id));
            departments.extend(wanted.map(|id| (spent.period, id.as_str())));
        }
        self.read_users(organisation_id, needs, &months, &mut usage_totals)
            .await?;
        let periods: BTreeSet<Month> = departments.iter().map(|(period, _)| *period).collect();
        for period in periods {
            let totals = self.department_totals(organisation_id, period).await?;
            for (_, id) in departments.iter().filter(|(of, _)| *of == period) {
                usage_totals.set_department(id, period, totals.spent_under(Some(id)));
            }
        }
        Ok(usage_totals)
    }

    /// Reads the totals of users in `months`: those of their days if they are needed, and those of
    /// the months.
    async fn read_users(
        &self,
        organisation_id: &str,
        needs: &Needs,
        months: &BTreeMap<(&str, Month), Option<Date>>,
        usage_totals: &mut UsageTotals,
    ) -> Result<(), StoreError> {
        let keys = months.keys().map(|(user_id, month)| {
            keys::user_month(organisation_id, user_id, *month).attributes()
        });
        let mut sums: BTreeMap<(String, Month), OfUser> = BTreeMap::new();
        for item in self
            .items(&self.tables.ledger, keys.collect(), None)
            .await?
        {
            let (user_id, month) = whose(&item)?;
            let of = sums.entry((user_id.to_owned(), month)).or_default();
            of.add_earlier(month, item)?;
        }
        let each = months.iter().map(|((user_id, month), first)| async move {
            // Without the month's sum, only the days from the first one on are needed.
            let first = first.filter(|_| !needs.users);
            let first = first.map_or(String::new(), |day| day.to_string());
            let range = Range::between(&format!("{user_id}#{first}"), &format!("{user_id}#\u{7f}"));
            let pk = keys::usage_of(organisation_id, &month.to_string(), user_id);
            let items = self.all_usage_items(&pk, &range).await?;
            Ok::<_, StoreError>(((*user_id).to_owned(), *month, items))
        });
        let each: Vec<_> = each.collect();
        let mut reads = futures::stream::iter(each).buffer_unordered(READS_AT_ONCE);
        while let Some(read) = reads.next().await {
            let (user_id, month, items) = read?;
            let of = sums.entry((user_id, month)).or_default();
            for item in items {
                of.add(month, &item)?;
            }
        }
        for ((user_id, month), of) in sums {
            for (day, tokens) in of.days {
                usage_totals.set_day(&user_id, day, tokens);
            }
            usage_totals.set_user(&user_id, month, of.amounts);
        }
        Ok(())
    }
}

/// How many users' months are read at the same time.
const READS_AT_ONCE: usize = 16;

/// The totals of a user's month, and of the days that are in it.
#[derive(Default)]
struct OfUser {
    amounts: Amounts,
    days: BTreeMap<Date, i64>,
}

impl OfUser {
    /// Adds the totals that earlier releases kept in one item.
    fn add_earlier(&mut self, month: Month, item: Item) -> Result<(), StoreError> {
        for day in days_of(month) {
            if let Some(tokens) = item.get(&day_attribute(day)) {
                let tokens = serde_dynamo::from_attribute_value(tokens.clone())?;
                self.add_day(day, tokens);
            }
        }
        let sums: Sums = from_item(item)?;
        self.amounts = self.amounts.saturating_add(sums.amounts());
        Ok(())
    }

    /// Adds a row of usage that counts in `month`, or the tokens of a day of the month that count
    /// in another.
    fn add(&mut self, month: Month, item: &Item) -> Result<(), StoreError> {
        let Some(row) = DayRow::read(item)? else {
            let (day, tokens) = elsewhere(item)?;
            self.add_day(day, tokens);
            return Ok(());
        };
        let sum = row.whole();
        if Month::of_date(row.day) == month && !row.is_correction {
            self.add_day(row.day, sum.tokens);
        }
        self.amounts = self.amounts.saturating_add(sum.amounts());
        Ok(())
    }

    fn add_day(&mut self, day: Date, tokens: i64) {
        let sum = self.days.entry(day).or_default();
        *sum = sum.saturating_add(tokens);
    }
}

/// Reads the tokens of a day that count in another month.
fn elsewhere(item: &Item) -> Result<(Date, i64), StoreError> {
    let unreadable = || StoreError::unreadable("a day's tokens");
    let sk = item.get("sk").and_then(|sk| sk.as_s().ok());
    let day = sk.and_then(|sk| sk.split('#').nth(1)?.parse().ok());
    let tokens = item.get(OF_DAY).and_then(|tokens| tokens.as_n().ok());
    let tokens = tokens.and_then(|tokens| tokens.parse().ok());
    day.zip(tokens).ok_or_else(unreadable)
}

/// Returns the user and month of an item of earlier releases.
fn whose(item: &Item) -> Result<(&str, Month), StoreError> {
    let text = |name: &str| item.get(name).and_then(|value| value.as_s().ok());
    let user_id = text("pk").and_then(|pk| pk.rsplit('#').next());
    let month = text("sk").and_then(|sk| sk.parse().ok());
    let whose = user_id.zip(month);
    whose.ok_or_else(|| StoreError::unreadable("a user's month"))
}

fn days_of(month: Month) -> impl Iterator<Item = Date> {
    (1..=31).filter_map(move |day| month.day(day))
}
