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
    /// the price that was found. A cost that is far from our price counts, and is marked.
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
    fn by_price(self, quote: &Quote) -> Amounts {
        price::value(quote.price.as_ref(), self.counts, self.tier)
    }

    /// Whether a cost is reported that is less than a tenth of what our price makes it, or the
    /// dearest of its provider if the model has no price.
    pub fn is_reported_too_low(self, quote: &Quote) -> bool {
        let is_too_low = |reported| self.is_too_low(reported, self.ours(quote));
        self.reported_pico_usd
            .map(i128::from)
            .is_some_and(is_too_low)
    }

    /// Whether a reported cost is too low, or more than ten times of what a sure price makes it:
    /// the price of another model may well be less than a tenth.
    fn is_doubtful(self, quote: &Quote, reported: i128) -> bool {
        use MatchKind::{Dated, Exact, Organisation};
        let is_sure = matches!(quote.matched.kind, Exact | Dated | Organisation);
        let ours = self.ours(quote);
        let is_too_high = is_sure
            && self.is_comparable(reported, ours)
            && reported > ours.saturating_mul(TIMES_OURS);
        is_too_high || self.is_too_low(reported, ours)
    }

    fn is_too_low(self, reported: i128, ours: i128) -> bool {
        self.is_comparable(reported, ours) && reported.saturating_mul(TIMES_OURS) < ours
    }

    /// Whether `ours` says anything about a reported cost: not if it is free, nor if nobody counted
    /// the tokens, nor if the two are almost the same.
    fn is_comparable(self, reported: i128, ours: i128) -> bool {
        let difference = reported.saturating_sub(ours).saturating_abs();
        self.is_counted && ours > 0 && difference > ROUNDED
    }

    /// Returns the pico-USD that our price makes it, or the dearest one of an unknown model.
    fn ours(self, quote: &Quote) -> i128 {
        let price = quote.price.as_ref().or(quote.dearest.as_ref());
        price::value(price, self.counts, self.tier).pico_usd
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::pricing::book::PriceBooks;
    use crate::domain::pricing::in_force::Pricing;
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
        let quote = Pricing::of_table(book).find(Some("openai"), model);
        let value = used.value(&quote, source);
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
        // The dearest of OpenAI would cost $0.21, so that this may be.
        let cost = Some(50_000_000_001);
        assert_eq!(
            value("our-own", PriceSource::Reported, cost),
            (50_000_000_001, Reported)
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
    }

    #[test]
    fn a_cost_of_almost_nothing_is_doubted_whatever_our_price_is_and_no_high_one_if_it_is_unsure() {
        use MatchKind::{Alias, DearestProvider, Estimate, None as NoPrice};
        let book = PriceBooks::built_in().at(Timestamp::UNIX_EPOCH);
        let table = Pricing::of_table(book);
        let used = |cost| Consumption {
            counts: TokenCounts {
                input: 1_000,
                output: 100,
                ..TokenCounts::default()
            },
            is_counted: true,
            tier: ServiceTier::Default,
            reported_pico_usd: Some(cost),
        };
        for (pricing, model, matched) in [
            (table, "gpt-41-mini", Alias),
            (table, "gpt-4o-2023-01-01", DearestProvider),
            (table, "our-own", NoPrice),
            (table.estimating(true), "our-own", Estimate),
        ] {
            let quote = pricing.find(Some("openai"), model);
            assert_eq!(quote.matched.kind, matched, "{model}");
            let price = quote.price.as_ref().or(quote.dearest.as_ref());
            let ours = price::value(price, used(0).counts, ServiceTier::Default).pico_usd;
            let tenth = i64::try_from(ours / 10).unwrap();
            let kind = |cost| used(cost).value(&quote, PriceSource::Reported).matched.kind;
            for cost in [0, 1, tenth - 1] {
                assert_eq!(kind(cost), MatchKind::ReportedDoubtful, "{model} {cost}");
                assert!(used(cost).is_reported_too_low(&quote));
            }
            for cost in [tenth, tenth * 2_000] {
                assert_eq!(kind(cost), MatchKind::Reported, "{model} {cost}");
                assert!(!used(cost).is_reported_too_low(&quote));
            }
        }
        let nobody = book.find(Some("openai"), "our-own");
        assert!(
            !used(0).is_reported_too_low(&nobody),
            "nothing to compare it with"
        );
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
