//! Reads the totals that the triggers of policies look at.

use super::Store;
use super::error::StoreError;
use super::item::{Item, from_item};
use super::keys;
use super::totals::{Sums, day_attribute};
use crate::domain::org::configuration::Configuration;
use crate::domain::period::Month;
use crate::domain::policy::{BASELINE_DAYS, Facts, Kind, Needs, UsageTotals};
use jiff::Span;
use jiff::civil::Date;
use std::collections::BTreeSet;

impl Store {
    /// Returns the current totals of the users and departments of `events`, which already include
    /// the events. Takes one read for all users and one for each month of departments.
    pub async fn usage_totals(
        &self,
        configuration: &Configuration,
        needs: &Needs,
        events: &[Facts],
    ) -> Result<UsageTotals, StoreError> {
        let organisation_id = &configuration.organisation.id;
        let mut usage_totals = UsageTotals::default();
        let mut months: BTreeSet<(&str, Month)> = BTreeSet::new();
        let mut departments: BTreeSet<(Month, &str)> = BTreeSet::new();
        for facts in events {
            let Kind::Usage { spent, .. } = &facts.kind else {
                continue;
            };
            if let Some(user_id) = &facts.user_id {
                if needs.users {
                    months.insert((user_id, spent.period));
                }
                if needs.days {
                    let first = facts.day.saturating_sub(Span::new().days(BASELINE_DAYS));
                    let mut month = Month::of_date(first);
                    while month <= Month::of_date(facts.day) {
                        months.insert((user_id, month));
                        month = month.next();
                    }
                }
            }
            let wanted = facts.path.0.iter().filter(|id| needs.wants(id));
            departments.extend(wanted.map(|id| (spent.period, id.as_str())));
        }
        let keys = months
            .iter()
            .map(|(user_id, month)| keys::user_month(organisation_id, user_id, *month));
        let keys = keys.map(|key| key.attributes()).collect();
        for item in self.items(&self.tables.ledger, keys, None).await? {
            let (user_id, month) = whose(&item)?;
            let user_id = user_id.to_owned();
            for day in days_of(month) {
                if let Some(tokens) = item.get(&day_attribute(day)) {
                    let tokens = serde_dynamo::from_attribute_value(tokens.clone())?;
                    usage_totals.set_day(&user_id, day, tokens);
                }
            }
            let sums: Sums = from_item(item)?;
            usage_totals.set_user(&user_id, month, sums.amounts());
        }
        let periods: BTreeSet<Month> = departments.iter().map(|(period, _)| *period).collect();
        for period in periods {
            let totals = self.department_totals(organisation_id, period).await?;
            for (_, id) in departments.iter().filter(|(of, _)| *of == period) {
                usage_totals.set_department(id, period, totals.spent_under(Some(id)));
            }
        }
        Ok(usage_totals)
    }
}

/// Returns the user and month of a row.
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
