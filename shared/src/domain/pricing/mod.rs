//! What usage costs: tokens by kind, the names of models, the price book and the match between them.

pub mod matched;
pub mod tokens;
