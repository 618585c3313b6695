//! Values as JSON shows them.

use crate::domain::amount::{Unit, micro_usd_to_json};
use crate::domain::org::models::ModelRule;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

/// Micro-USD, written as a JSON number of dollars, exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usd(pub i64);

impl Serialize for Usd {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        RawValue::from_string(micro_usd_to_json(self.0))
            .map_err(serde::ser::Error::custom)?
            .serialize(serializer)
    }
}

/// A figure in the unit of its budget: tokens, or micro-USD written as dollars.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figure(pub Unit, pub i64);

impl Serialize for Figure {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Unit::Tokens => self.1.serialize(serializer),
            Unit::Usd => Usd(self.1).serialize(serializer),
        }
    }
}

/// Which models may be used. A level with this object decides for itself and for the levels below
/// it that have none; objects of several levels are not merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Models<'a> {
    /// Patterns of permitted models; empty permits all.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    allow: &'a [String],
    /// Patterns of forbidden models, whatever `allow` says.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    deny: &'a [String],
    /// The highest permitted list price of a million output tokens. A model without a price is not
    /// permitted under it.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    max_usd_per_million_output: Option<Usd>,
}

impl<'a> From<&'a ModelRule> for Models<'a> {
    fn from(rule: &'a ModelRule) -> Self {
        Self {
            allow: &rule.allow,
            deny: &rule.deny,
            max_usd_per_million_output: rule.max_output_price.map(Usd),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dollars_are_json_numbers() {
        assert_eq!(serde_json::to_string(&Usd(21_300)).unwrap(), "0.0213");
        assert_eq!(
            serde_json::to_string(&Figure(Unit::Usd, 5_000_000)).unwrap(),
            "5"
        );
        assert_eq!(
            serde_json::to_string(&Figure(Unit::Tokens, 5)).unwrap(),
            "5"
        );
    }
}
