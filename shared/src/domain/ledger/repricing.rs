//! Prices recorded usage anew: what it was charged, what it costs by the prices of now, and how
//! much of the difference is booked already.

use crate::domain::amount::Amounts;
use crate::domain::ledger::usage::Usage;
use crate::domain::period::Month;
use crate::domain::pricing::in_force::Pricing;
use crate::domain::pricing::matched::{MatchKind, PriceSource};
use crate::domain::wide_number;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Usage as it was recorded and charged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedUsage {
    /// The hour in UTC in which it arrived: `2026-11-24T12`.
    pub hour: String,
    pub usage: Usage,
    pub month: Month,
    /// The path that it counts on: `/eng/backend/`.
    pub path: String,
    pub charged: Amounts,
}

/// The month and path that usage counts in. Differences are booked for each.
pub type Place = (Month, String);

/// Costs of usage in pico-USD.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Costs {
    pub recorded: i128,
    pub anew: i128,
}

impl Costs {
    fn add(&mut self, other: Self) {
        self.recorded = self.recorded.saturating_add(other.recorded);
        self.anew = self.anew.saturating_add(other.anew);
    }

    /// Returns by how many pico-USD it is dearer. Below zero if it is cheaper.
    fn difference(self) -> i128 {
        self.anew.saturating_sub(self.recorded)
    }
}

/// Costs by the hour in which usage arrived. An hour is priced as a whole, so that what is booked
/// of it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repriced(BTreeMap<String, Costs>);

/// A sum of pico-USD.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Pico(#[serde(with = "wide_number")] i128);

/// What is booked of a place, by the hour in which the usage arrived.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Booked {
    pub month: Month,
    pub path: String,
    pub hours: BTreeMap<String, Pico>,
}

/// Returns what usage was charged and what it costs now. Usage that nobody counted, and that of a
/// model without a price, keeps its charge: an estimate is no price.
pub fn costs(of: &RecordedUsage, pricing: &Pricing<'_>, source: PriceSource) -> Costs {
    let recorded = of.charged.pico_usd;
    let charge = of.usage.charge(&of.usage.quote(pricing), source, None);
    let is_known = of.usage.tokens.is_counted() || charge.matched.kind.is_reported();
    let is_guess = charge.matched.kind == MatchKind::Estimate;
    let anew = match is_known && !is_guess && !charge.matched.is_unpriced() {
        true => charge.amounts.pico_usd,
        false => recorded,
    };
    Costs { recorded, anew }
}

impl Repriced {
    pub fn add(&mut self, hour: &str, costs: Costs) {
        self.0.entry(hour.to_owned()).or_default().add(costs);
    }

    pub fn costs(&self) -> Costs {
        let mut sum = Costs::default();
        self.0.values().for_each(|costs| sum.add(*costs));
        sum
    }

    /// Returns the pico-USD that are left to book beside what is `booked`.
    pub fn left(&self, booked: Option<&Booked>) -> i128 {
        let known = |hour: &String| booked.and_then(|of| of.hours.get(hour)).copied();
        let left = self.0.iter().map(|(hour, costs)| {
            let Pico(known) = known(hour).unwrap_or_default();
            costs.difference().saturating_sub(known)
        });
        left.fold(0, i128::saturating_add)
    }

    /// Returns what is booked afterwards.
    pub fn booked(&self, (month, path): &Place, before: Option<&Booked>) -> Booked {
        let mut hours = before.map_or_else(BTreeMap::new, |before| before.hours.clone());
        let priced = self.0.iter();
        hours.extend(priced.map(|(hour, costs)| (hour.clone(), Pico(costs.difference()))));
        hours.retain(|_, difference| *difference != Pico(0));
        Booked {
            month: *month,
            path: path.clone(),
            hours,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::pricing::book::PriceBook;
    use crate::domain::samples::{month, usage};
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn place() -> Place {
        (month("2026-11"), "/eng/".to_owned())
    }

    fn costs_of(recorded: i128, anew: i128) -> Costs {
        Costs { recorded, anew }
    }

    #[test]
    fn what_has_a_price_and_was_counted_costs_what_it_costs_now() {
        let book = PriceBook::from_json(
            r#"{"version": "t", "effective_from": "2026-01-01", "models": [
                {"model": "gpt-4o", "provider": "openai", "prices": {
                 "input_cost_per_token": 2000000, "output_cost_per_token": 10000000}}
            ]}"#,
        );
        let book = book.unwrap();
        let pricing = Pricing::of_table(&book);
        let pricing = pricing.estimating(true);
        let costs = |of: &RecordedUsage| costs(of, &pricing, PriceSource::Table);
        let counted = RecordedUsage {
            hour: "2026-11-24T12".to_owned(),
            usage: usage("e-1", 100, 10),
            month: month("2026-11"),
            path: "/eng/".to_owned(),
            charged: Amounts::of_micro_usd(110, 7),
        };
        assert_eq!(costs(&counted), costs_of(7_000_000, 300_000_000));
        let mut unknown = counted.clone();
        unknown.usage.model = "nobody-knows".to_owned();
        let mut estimated = counted;
        estimated.usage.tokens.has_output = false;
        for kept in [unknown, estimated] {
            assert_eq!(costs(&kept), costs_of(7_000_000, 7_000_000));
        }
    }

    #[test]
    fn a_difference_is_booked_once_and_taken_back_if_the_price_is_as_before() {
        let mut dearer = Repriced::default();
        dearer.add("2026-11-24T12", costs_of(5_000_000, 7_000_001));
        dearer.add("2026-11-24T13", costs_of(9_000_000, 4_000_000));
        assert_eq!(dearer.left(None), 2_000_001 - 5_000_000);
        let booked = dearer.booked(&place(), None);
        assert_eq!(dearer.left(Some(&booked)), 0);
        let mut again = Repriced::default();
        again.add("2026-11-24T12", costs_of(5_000_000, 5_000_000));
        assert_eq!(again.left(Some(&booked)), -2_000_001);
        let after = again.booked(&place(), Some(&booked));
        assert_eq!(
            after.hours,
            BTreeMap::from([("2026-11-24T13".to_owned(), Pico(-5_000_000))])
        );
    }

    proptest! {
        #[test]
        fn windows_that_overlap_book_as_much_as_one(
            hours in vec((0_i128..1_000_000_000, 0_i128..1_000_000_000), 1..20),
            cut in 0_usize..20, overlap in 0_usize..5,
        ) {
            let window = |from: usize, to: usize| {
                let mut repriced = Repriced::default();
                let some = hours.iter().enumerate().take(to).skip(from);
                some.for_each(|(n, (recorded, anew))| {
                    repriced.add(&format!("{n:02}"), costs_of(*recorded, *anew));
                });
                repriced
            };
            let first = window(0, cut);
            let second = window(cut.saturating_sub(overlap), hours.len());
            let booked = first.booked(&place(), None);
            let in_two = first.left(None) + second.left(Some(&booked));
            let whole = window(0, hours.len());
            prop_assert_eq!(in_two, whole.left(None));
            let booked = second.booked(&place(), Some(&booked));
            prop_assert_eq!(whole.left(Some(&booked)), 0);
            let exact = whole.costs();
            prop_assert_eq!(whole.left(None), exact.anew - exact.recorded);
        }
    }
}
