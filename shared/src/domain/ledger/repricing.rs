//! Prices recorded usage anew: what it was charged, what it costs by the prices of now, and how
//! much of the difference is booked already. Tokens that had no price and have one now are a
//! difference, too.

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
    /// When it arrived, in UTC, and a name: `2026-11-24T12:30:00.000Z#..`. Records are in this
    /// order.
    pub at: String,
    pub usage: Usage,
    pub month: Month,
    /// The path that it counts on: `/eng/backend/`.
    pub path: String,
    pub charged: Amounts,
    /// The tokens of the charge that had no price.
    pub unpriced: i64,
}

/// The month and path that usage counts in. Differences are booked for each.
pub type Place = (Month, String);

/// What usage costs, or a difference of that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    #[serde(with = "wide_number")]
    pub pico_usd: i128,
    /// The tokens without a price.
    pub unpriced: i64,
}

impl Cost {
    pub fn is_zero(self) -> bool {
        self == Self::default()
    }

    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            pico_usd: self.pico_usd.saturating_add(other.pico_usd),
            unpriced: self.unpriced.saturating_add(other.unpriced),
        }
    }

    fn minus(self, other: Self) -> Self {
        Self {
            pico_usd: self.pico_usd.saturating_sub(other.pico_usd),
            unpriced: self.unpriced.saturating_sub(other.unpriced),
        }
    }
}

/// What usage cost when it was recorded, and what it costs now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Costs {
    pub recorded: Cost,
    pub anew: Cost,
}

impl Costs {
    pub fn add(&mut self, other: Self) {
        self.recorded = self.recorded.plus(other.recorded);
        self.anew = self.anew.plus(other.anew);
    }

    /// Returns by how much it is dearer. Below zero if it is cheaper.
    fn difference(self) -> Cost {
        self.anew.minus(self.recorded)
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
    /// The tokens without a price.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unpriced: BTreeMap<String, i64>,
}

impl Booked {
    fn at(&self, hour: &str) -> Cost {
        let Pico(pico_usd) = self.hours.get(hour).copied().unwrap_or_default();
        Cost {
            pico_usd,
            unpriced: self.unpriced.get(hour).copied().unwrap_or_default(),
        }
    }

    fn set(&mut self, hour: &str, difference: Cost) {
        set_or_remove(&mut self.hours, hour, Pico(difference.pico_usd));
        set_or_remove(&mut self.unpriced, hour, difference.unpriced);
    }
}

/// Sets the value of an hour. Zero is left out.
fn set_or_remove<T: Default + PartialEq>(values: &mut BTreeMap<String, T>, hour: &str, value: T) {
    if value == T::default() {
        values.remove(hour);
    } else {
        values.insert(hour.to_owned(), value);
    }
}

/// Returns what usage was charged and what it costs now. Usage that nobody counted, and that of a
/// model without a price, keeps its charge: an estimate is no price.
pub fn costs(of: &RecordedUsage, pricing: &Pricing<'_>, source: PriceSource) -> Costs {
    let recorded = Cost {
        pico_usd: of.charged.pico_usd,
        unpriced: of.unpriced,
    };
    let charge = of.usage.charge(&of.usage.quote(pricing), source, None);
    let is_known = of.usage.tokens.is_counted() || charge.matched.kind.is_reported();
    let is_guess = charge.matched.kind == MatchKind::Estimate;
    let anew = match is_known && !is_guess && !charge.matched.is_unpriced() {
        true => Cost {
            pico_usd: charge.amounts.pico_usd,
            unpriced: 0,
        },
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

    /// Returns what is left to book beside what is `booked`.
    pub fn left(&self, booked: Option<&Booked>) -> Cost {
        let left = self.0.iter().map(|(hour, costs)| {
            let known = booked.map_or_else(Cost::default, |of| of.at(hour));
            costs.difference().minus(known)
        });
        left.fold(Cost::default(), Cost::plus)
    }

    /// Returns what is booked afterwards.
    pub fn booked(&self, (month, path): &Place, before: Option<&Booked>) -> Booked {
        let mut booked = before.cloned().unwrap_or_else(|| Booked {
            month: *month,
            path: path.clone(),
            hours: BTreeMap::new(),
            unpriced: BTreeMap::new(),
        });
        for (hour, costs) in &self.0 {
            booked.set(hour, costs.difference());
        }
        booked
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

    fn usd(pico_usd: i128) -> Cost {
        Cost {
            pico_usd,
            unpriced: 0,
        }
    }

    fn costs_of(recorded: i128, anew: i128) -> Costs {
        Costs {
            recorded: usd(recorded),
            anew: usd(anew),
        }
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
            at: "2026-11-24T12:30:00.000Z#e-1".to_owned(),
            usage: usage("e-1", 100, 10),
            month: month("2026-11"),
            path: "/eng/".to_owned(),
            charged: Amounts::of_micro_usd(110, 7),
            unpriced: 110,
        };
        let before = Cost {
            pico_usd: 7_000_000,
            unpriced: 110,
        };
        let anew = usd(300_000_000);
        let recorded = before;
        assert_eq!(costs(&counted), Costs { recorded, anew });
        let mut unknown = counted.clone();
        unknown.usage.model = "nobody-knows".to_owned();
        let mut estimated = counted;
        estimated.usage.tokens.has_output = false;
        for kept in [unknown, estimated] {
            let anew = before;
            assert_eq!(costs(&kept), Costs { recorded, anew });
        }
    }

    #[test]
    fn a_difference_is_booked_once_and_taken_back_if_the_price_is_as_before() {
        let mut dearer = Repriced::default();
        dearer.add("2026-11-24T12", costs_of(5_000_000, 7_000_001));
        dearer.add("2026-11-24T13", costs_of(9_000_000, 4_000_000));
        assert_eq!(dearer.left(None), usd(2_000_001 - 5_000_000));
        let booked = dearer.booked(&place(), None);
        assert!(dearer.left(Some(&booked)).is_zero());
        let mut again = Repriced::default();
        again.add("2026-11-24T12", costs_of(5_000_000, 5_000_000));
        assert_eq!(again.left(Some(&booked)), usd(-2_000_001));
        let after = again.booked(&place(), Some(&booked));
        assert_eq!(
            after.hours,
            BTreeMap::from([("2026-11-24T13".to_owned(), Pico(-5_000_000))])
        );
    }

    /// A row that was written before tokens without a price were booked.
    #[test]
    fn what_was_booked_without_its_tokens_still_counts() {
        let row = r#"{"month": "2026-11", "path": "/eng/", "hours": {"2026-11-24T12": "5"}}"#;
        let booked: Booked = serde_json::from_str(row).unwrap();
        let mut priced = Repriced::default();
        let before = Cost {
            pico_usd: 0,
            unpriced: 9,
        };
        let (recorded, anew) = (before, usd(5));
        priced.add("2026-11-24T12", Costs { recorded, anew });
        let tokens = Cost {
            pico_usd: 0,
            unpriced: -9,
        };
        assert_eq!(priced.left(Some(&booked)), tokens);
    }

    fn cost() -> impl Strategy<Value = Cost> {
        let each = (0_i128..1_000_000_000, 0_i64..1_000_000);
        each.prop_map(|(pico_usd, unpriced)| Cost { pico_usd, unpriced })
    }

    proptest! {
        #[test]
        fn windows_that_overlap_book_as_much_as_one(
            hours in vec((cost(), cost()), 1..20), cut in 0_usize..20, overlap in 0_usize..5,
        ) {
            let window = |from: usize, to: usize| {
                let mut repriced = Repriced::default();
                let some = hours.iter().enumerate().take(to).skip(from);
                some.for_each(|(n, &(recorded, anew))| {
                    repriced.add(&format!("{n:02}"), Costs { recorded, anew });
                });
                repriced
            };
            let first = window(0, cut);
            let second = window(cut.saturating_sub(overlap), hours.len());
            let booked = first.booked(&place(), None);
            let in_two = first.left(None).plus(second.left(Some(&booked)));
            let whole = window(0, hours.len());
            prop_assert_eq!(in_two, whole.left(None));
            let booked = second.booked(&place(), Some(&booked));
            prop_assert!(whole.left(Some(&booked)).is_zero());
            let exact = whole.costs();
            prop_assert_eq!(whole.left(None), exact.anew.minus(exact.recorded));
        }
    }
}
