//! What usage costs: tokens by kind, the names of models, the price book and the match between them.

pub mod book;
mod choose;
pub mod matched;
mod name;
pub mod price;
pub mod quote;
pub mod rates;
mod rules;
pub mod source;
pub mod table;
pub mod tokens;
