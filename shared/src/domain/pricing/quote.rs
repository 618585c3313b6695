//! The answer of a price book about a model.

use super::matched::{MatchKind, PriceMatch};
use super::price::Price;

/// What a model costs, and how sure that is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quote {
    /// None if the model is unknown, or if its tokens have no price.
    pub price: Option<Price>,
    /// What a model without a price costs at most: the dearest of its provider. It values nothing,
    /// but a reported cost far below it is doubtful.
    pub dearest: Option<Price>,
    pub matched: PriceMatch,
    /// The longest input of the model, in tokens.
    pub max_input_tokens: Option<i64>,
    /// The longest answer of the model, in tokens.
    pub max_output_tokens: Option<i64>,
    /// Who may sell it, if nobody is named who surely does. Empty if somebody is, or if the model
    /// is unknown.
    pub sellers: Vec<String>,
    /// Who sells it by the organisation's alias, whoever is named.
    pub alias_of: Option<String>,
}

impl Quote {
    /// Returns a quote of `price` under the name `model` of the table.
    pub fn of(price: Price, kind: MatchKind, model: &str, version: &str) -> Self {
        Self {
            max_input_tokens: price.max_input_tokens,
            max_output_tokens: price.max_output_tokens,
            price: Some(price),
            dearest: None,
            matched: PriceMatch {
                kind,
                model: Some(model.to_owned()),
                version: version.to_owned(),
            },
            sellers: Vec::new(),
            alias_of: None,
        }
    }

    /// Returns the quote of a model without a price with the price `dearest` of a version, marked
    /// as an estimate if it `counts`, and otherwise beside it.
    #[must_use]
    pub fn with_dearest(mut self, (dearest, version): (Price, String), counts: bool) -> Self {
        if counts {
            self.price = Some(dearest);
            self.matched.kind = MatchKind::Estimate;
            self.matched.version = version;
        } else {
            self.dearest = Some(dearest);
        }
        self
    }

    /// Returns the quote of a model that has no price.
    pub fn none(version: &str) -> Self {
        Self {
            price: None,
            dearest: None,
            matched: PriceMatch {
                kind: MatchKind::None,
                model: None,
                version: version.to_owned(),
            },
            max_input_tokens: None,
            max_output_tokens: None,
            sellers: Vec::new(),
            alias_of: None,
        }
    }
}
