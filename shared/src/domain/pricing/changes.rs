//! The difference between two price books.

use super::book::{Listed, PriceBook};
use super::price::Price;
use super::rates::Part;
use super::table::write_rate;
use super::tokens::ServiceTier;
use std::collections::BTreeMap;

/// What another book changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// By provider and model, as are the others.
    pub new: Vec<String>,
    pub gone: Vec<String>,
    pub changed: Vec<Changed>,
}

/// A model whose price changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    pub model: String,
    /// The rate that changes most. None if it had no price, or has none any more.
    pub rate: Option<ChangedRate>,
}

/// A rate that changes, in pico-USD per token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChangedRate {
    pub part: Part,
    pub tier: ServiceTier,
    /// For requests with more than so many input tokens.
    pub above: i64,
    pub before: i64,
    pub after: i64,
}

impl ChangedRate {
    /// The rates in US dollars per million tokens.
    pub fn usd(self) -> [String; 2] {
        [self.before, self.after].map(write_rate)
    }

    /// The change in hundredths of a per cent of what it was, without its sign. A rate that was
    /// zero changes infinitely.
    pub fn hundredths(self) -> i128 {
        let (before, after) = (i128::from(self.before), i128::from(self.after));
        let change = after.saturating_sub(before).abs().saturating_mul(10_000);
        match (change, before) {
            (0, _) => 0,
            (_, 0) => i128::MAX,
            _ => change.div_euclid(before.abs()),
        }
    }
}

/// Returns what differs in `after`, if it differs by more than `percent`.
pub fn changes(before: &PriceBook, after: &PriceBook, percent: i64) -> Changes {
    let by_name = |book| -> BTreeMap<String, Listed<'_>> {
        let rows = PriceBook::listed(book);
        rows.map(|row| (format!("{} {}", row.provider, row.model), row))
            .collect()
    };
    let (old, new) = (by_name(before), by_name(after));
    let missing = |from: &BTreeMap<String, Listed<'_>>, of: &BTreeMap<String, Listed<'_>>| {
        let names = of.keys().filter(|name| !from.contains_key(*name));
        names.cloned().collect::<Vec<_>>()
    };
    let changed = old.iter().filter_map(|(model, row)| {
        let rate = match (row.price(), new.get(model)?.price()) {
            (None, None) => return None,
            (Some(before), Some(after)) => Some(most_changed(&before, &after, percent)?),
            _ => None,
        };
        Some(Changed {
            model: model.clone(),
            rate,
        })
    });
    Changes {
        changed: changed.collect(),
        new: missing(&old, &new),
        gone: missing(&new, &old),
    }
}

fn most_changed(before: &Price, after: &Price, percent: i64) -> Option<ChangedRate> {
    let rates = before.rates().chain(after.rates());
    let changes = rates.map(|(above, tier, part)| {
        let rate = |of: &Price| of.rate(part, tier, above.saturating_add(1));
        ChangedRate {
            part,
            tier,
            above,
            before: rate(before),
            after: rate(after),
        }
    });
    // Of those that change alike, the first.
    let most = changes.reduce(|most, rate| {
        if rate.hundredths() > most.hundredths() {
            rate
        } else {
            most
        }
    })?;
    let limit = i128::from(percent).saturating_mul(100);
    (most.hundredths() > limit).then_some(most)
}
