//! The prices of an organisation.

use super::configuration::Configuration;
use super::organisation::UnknownModel;
use crate::domain::pricing::book::PriceBooks;
use crate::domain::pricing::in_force::Pricing;
use jiff::Timestamp;

impl Configuration {
    /// Returns what models cost the organisation at `at`: usage has the price of its moment. A
    /// model without a price has an estimate, if the organisation wants that.
    pub fn pricing<'a>(&'a self, books: &'a PriceBooks, at: Timestamp) -> Pricing<'a> {
        let estimates = self.organisation.unknown_model == UnknownModel::Estimate;
        Pricing::new(books, &self.prices, at).estimating(estimates)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::pricing::matched::MatchKind;
    use crate::domain::pricing::quote::Quote;
    use crate::domain::samples::{NOW, at, configuration};

    #[test]
    fn a_model_without_a_price_costs_the_dearest_of_its_provider_if_the_organisation_wants_that() {
        let books = PriceBooks::built_in();
        let found = |unknown_model, model: &str| {
            let mut configuration = configuration([]);
            configuration.organisation.unknown_model = unknown_model;
            let pricing = configuration.pricing(books, at(NOW));
            pricing.find(Some("anthropic"), model)
        };
        let book = books.at(at(NOW));
        let estimated = found(UnknownModel::Estimate, "nobody-knows");
        assert_eq!(estimated.price, book.dearest_of(Some("anthropic")));
        assert_eq!(
            (estimated.matched.kind, estimated.matched.model.as_deref()),
            (MatchKind::Estimate, None)
        );
        for setting in [UnknownModel::Refuse, UnknownModel::Count] {
            let unpriced = found(setting, "nobody-knows");
            // A reported cost is compared with the dearest.
            let dearest = book.dearest_of(Some("anthropic"));
            let nothing = Quote {
                dearest,
                ..Quote::none(book.version())
            };
            assert_eq!(unpriced, nothing);
        }
        let known = "claude-sonnet-4-5";
        assert_eq!(
            found(UnknownModel::Estimate, known),
            book.find(Some("anthropic"), known)
        );
    }
}
