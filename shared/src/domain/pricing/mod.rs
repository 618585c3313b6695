//! Prices of usage: tokens by kind, names of models, the price book, and the match between a name
//! and a price.

pub mod book;
#[cfg(test)]
mod book_tests;
pub mod changes;
mod choose;
#[cfg(test)]
mod choose_tests;
mod dates;
pub mod identity;
mod image_rules;
pub mod images;
pub mod in_force;
pub mod matched;
mod name;
pub mod overlay;
pub mod own;
pub mod price;
#[cfg(test)]
mod price_tests;
pub mod quote;
pub mod rates;
pub mod reported_cost;
mod rules;
pub mod source;
mod source_rates;
#[cfg(test)]
mod source_tests;
pub mod spellings;
pub mod table;
pub mod timeline;
pub mod tokens;
