//! Values as JSON shows them.

use crate::domain::amount::{Unit, micro_usd_to_json};
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
