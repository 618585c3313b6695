//! Values usage and estimates: by a reported cost, or by a price.

use crate::domain::amount::Amounts;
use crate::domain::pricing::matched::{MatchKind, PriceMatch, PriceSource};
use crate::domain::pricing::price;
use crate::domain::pricing::quote::Quote;
use crate::domain::pricing::tokens::{ServiceTier, TokenCounts};

/// How many times less or more than our price a reported cost is plausible.
const TIMES_OURS: i128 = 10;
/// The difference in pico-USD up to which nobody doubts a cost: gateways round to four decimals.
const ROUNDED: i128 = 100_000_000;

/// What a request used or may use.
#[derive(Clone, Copy, Debug)]
pub struct Consumption {
    pub counts: TokenCounts,
    /// False if nobody counted some of them.
    pub is_counted: bool,
    pub tier: ServiceTier,
    /// The cost that a gateway reports.
    pub reported_pico_usd: Option<i64>,
}

/// The value of a consumption, and how it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Valuation {
    /// Tokens always, money if it is known.
    pub amounts: Amounts,
    pub matched: PriceMatch,
}

impl Consumption {
    /// Returns the value: by the reported cost if there is one and `source` wants it, otherwise by
    /// the price that was found. A cost that is far from a sure price counts, and is marked.
    pub fn value(self, quote: &Quote, source: PriceSource) -> Valuation {
        if let (PriceSource::Reported, Some(pico_usd)) = (source, self.reported_pico_usd) {
            return Valuation {
                amounts: Amounts::new(self.counts.total(), pico_usd.into()),
                matched: PriceMatch {
                    kind: match self.is_doubtful(quote, pico_usd.into()) {
                        true => MatchKind::ReportedDoubtful,
                        false => MatchKind::Reported,
                    },
                    ..quote.matched.clone()
                },
            };
        }
        Valuation {
            amounts: self.by_price(quote),
            matched: quote.matched.clone(),
        }
    }

    /// Returns the value by the price that was found, whatever is reported.
    pub fn by_price(self, quote: &Quote) -> Amounts {
        price::value(quote.price.as_ref(), self.counts, self.tier)
    }

    /// Whether a reported cost is less than a tenth or more than ten times of what a sure price
    /// makes it. What our price says is free, or what nobody counted, says nothing about a cost.
    fn is_doubtful(self, quote: &Quote, reported: i128) -> bool {
        use MatchKind::{Dated, Exact, Organisation};
        let is_sure = matches!(quote.matched.kind, Exact | Dated | Organisation);
        let ours = self.by_price(quote).pico_usd;
        let is_far = reported.saturating_mul(TIMES_OURS) < ours
            || reported > ours.saturating_mul(TIMES_OURS);
        let difference = reported.saturating_sub(ours).saturating_abs();
        self.is_counted && is_sure && ours > 0 && is_far && difference > ROUNDED
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::pricing::book::PriceBooks;
    use crate::domain::pricing::price::Price;
    use jiff::Timestamp;

    fn value(
        model: &str,
        source: PriceSource,
        reported_pico_usd: Option<i64>,
    ) -> (i128, MatchKind) {
        let book = PriceBooks::built_in().at(Timestamp::UNIX_EPOCH);
        let used = Consumption {
            counts: TokenCounts {
                input: 1_000,
                output: 100,
                ..TokenCounts::default()
            },
            is_counted: true,
            tier: ServiceTier::Default,
            reported_pico_usd,
        };
        let value = used.value(&book.find(Some("openai"), model), source);
        assert_eq!(value.amounts.tokens, 1_100);
        (value.amounts.pico_usd, value.matched.kind)
    }

    #[test]
    fn a_reported_cost_counts_only_if_the_organisation_says_so() {
        use MatchKind::{Exact, None as NoPrice, Reported};
        // gpt-4o: 1,000 at 2.5 and 100 at 10 micro-USD.
        let listed = (3_500_000_000, Exact);
        let cost = Some(1_234_000_001);
        assert_eq!(value("gpt-4o", PriceSource::Table, cost), listed);
        assert_eq!(value("gpt-4o", PriceSource::Table, None), listed);
        assert_eq!(value("gpt-4o", PriceSource::Reported, None), listed);
        assert_eq!(
            value("gpt-4o", PriceSource::Reported, cost),
            (1_234_000_001, Reported)
        );
        assert_eq!(
            value("our-own", PriceSource::Reported, cost),
            (1_234_000_001, Reported)
        );
        assert_eq!(value("our-own", PriceSource::Table, cost), (0, NoPrice));
    }

    #[test]
    fn a_cost_below_a_tenth_or_above_ten_times_of_a_sure_price_counts_and_is_doubted() {
        use MatchKind::{Reported, ReportedDoubtful};
        let kind = |model: &str, cost| {
            let (pico_usd, kind) = value(model, PriceSource::Reported, Some(cost));
            assert_eq!(pico_usd, i128::from(cost), "it counts as it is");
            kind
        };
        // Our price makes it 3,500 micro-USD.
        for (cost, expected) in [
            (0, ReportedDoubtful),
            (349_999_999, ReportedDoubtful),
            (350_000_000, Reported),
            (3_500_000_000, Reported),
            (35_000_000_000, Reported),
            (35_000_000_001, ReportedDoubtful),
        ] {
            assert_eq!(kind("gpt-4o", cost), expected, "{cost}");
        }
        assert_eq!(kind("gpt-4o-2024-11-20", 0), ReportedDoubtful);
        // No price of ours is sure enough to doubt it.
        assert_eq!(kind("our-own", 1), Reported);
        assert_eq!(kind("gpt-4o-2023-01-01", 1), Reported);
    }

    #[test]
    fn what_is_rounded_free_or_not_counted_is_not_doubted() {
        let book = PriceBooks::built_in().at(Timestamp::UNIX_EPOCH);
        let kind = |input, is_counted, cost, quote: &Quote| {
            let used = Consumption {
                counts: TokenCounts {
                    input,
                    ..TokenCounts::default()
                },
                is_counted,
                tier: ServiceTier::Default,
                reported_pico_usd: Some(cost),
            };
            used.value(quote, PriceSource::Reported).matched.kind
        };
        let sure = book.find(Some("openai"), "gpt-4o");
        // 40 tokens are 100 micro-USD.
        assert_eq!(kind(40, true, 0, &sure), MatchKind::Reported);
        assert_eq!(kind(41, true, 0, &sure), MatchKind::ReportedDoubtful);
        assert_eq!(kind(41, false, 0, &sure), MatchKind::Reported);
        assert_eq!(kind(0, true, 5_000_000_000, &sure), MatchKind::Reported);
        let free = Quote {
            price: Some(Price::flat(0, 0)),
            ..sure
        };
        assert_eq!(kind(41, true, 5_000_000_000, &free), MatchKind::Reported);
    }
}
