//! Values usage and estimates: by a reported cost, or by a price.

use crate::domain::amount::Amounts;
use crate::domain::pricing::matched::{MatchKind, PriceMatch, PriceSource};
use crate::domain::pricing::price;
use crate::domain::pricing::quote::Quote;
use crate::domain::pricing::tokens::{ServiceTier, TokenCounts};

/// What a request used or may use.
#[derive(Clone, Copy, Debug)]
pub struct Consumption {
    pub counts: TokenCounts,
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
    /// the price that was found.
    pub fn value(self, quote: &Quote, source: PriceSource) -> Valuation {
        if let (PriceSource::Reported, Some(pico_usd)) = (source, self.reported_pico_usd) {
            return Valuation {
                amounts: Amounts::new(self.counts.total(), pico_usd.into()),
                matched: PriceMatch {
                    kind: MatchKind::Reported,
                    ..quote.matched.clone()
                },
            };
        }
        Valuation {
            amounts: price::value(quote.price.as_ref(), self.counts, self.tier),
            matched: quote.matched.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::pricing::book::PriceBooks;
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
            value("gpt-4o", PriceSource::Reported, Some(0)),
            (0, Reported)
        );
        assert_eq!(
            value("our-own", PriceSource::Reported, cost),
            (1_234_000_001, Reported)
        );
        assert_eq!(value("our-own", PriceSource::Table, cost), (0, NoPrice));
    }
}
