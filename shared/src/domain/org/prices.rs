//! The prices of an organisation.

use super::configuration::Configuration;
use crate::domain::pricing::book::PriceBooks;
use crate::domain::pricing::in_force::Pricing;
use jiff::Timestamp;

impl Configuration {
    /// Returns what models cost the organisation at `at`: usage has the price of its moment.
    pub fn pricing<'a>(&'a self, books: &'a PriceBooks, at: Timestamp) -> Pricing<'a> {
        Pricing::new(books, &self.prices, at)
    }
}
