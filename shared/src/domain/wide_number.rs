//! Whole numbers of up to 128 bits in serde's formats, for `#[serde(with = "..")]`.
//!
//! A number that fits 64 bits is written as a number, a larger one as its digits. Neither
//! `serde_dynamo` nor a JSON value knows more than 64 bits, and serde cannot keep more of them for
//! an enum with a tag or a flattened field.

use serde::de::{Deserializer, Error, Unexpected, Visitor};
use serde::ser::Serializer;
use std::fmt;

/// The largest number. A number of DynamoDB has 38 digits.
pub const MAX: i128 = 1_000_000_000_000_000_000_000_000_000_000;

pub fn serialize<S: Serializer>(value: &i128, serializer: S) -> Result<S::Ok, S::Error> {
    match i64::try_from(*value) {
        Ok(value) => serializer.serialize_i64(value),
        Err(_) => serializer.collect_str(value),
    }
}

pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i128, D::Error> {
    deserializer.deserialize_any(WideNumber)
}

/// Reads digits as a number. None if it is not a whole number, or beyond [`MAX`].
pub fn parse(digits: &str) -> Option<i128> {
    let value: i128 = digits.parse().ok()?;
    (-MAX..=MAX).contains(&value).then_some(value)
}

struct WideNumber;

impl Visitor<'_> for WideNumber {
    type Value = i128;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a whole number of at most {MAX}")
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<i128, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<i128, E> {
        Ok(value.into())
    }

    fn visit_str<E: Error>(self, digits: &str) -> Result<i128, E> {
        parse(digits).ok_or_else(|| E::invalid_value(Unexpected::Str(digits), &self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::{Deserialize, Serialize};
    use serde_json::json;

    #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
    struct Sum {
        #[serde(with = "super")]
        pico_usd: i128,
    }

    #[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
    #[serde(tag = "kind")]
    enum Tagged {
        Charged { sum: Sum },
    }

    #[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
    struct Flat {
        sk: String,
        #[serde(flatten)]
        sum: Sum,
    }

    #[test]
    fn a_number_of_any_size_is_read_as_written_in_every_form() {
        let most = i128::from(i64::MAX);
        for pico_usd in [0, -1, most, -most - 1, most + 1, -most - 2, MAX, -MAX] {
            let sum = Sum { pico_usd };
            let text = serde_json::to_string(&sum).unwrap();
            assert_eq!(serde_json::from_str::<Sum>(&text).unwrap(), sum, "{text}");
            let value = serde_json::to_value(&sum).unwrap();
            assert_eq!(serde_json::from_value::<Sum>(value).unwrap(), sum);
            let tagged = Tagged::Charged { sum: sum.clone() };
            let text = serde_json::to_string(&tagged).unwrap();
            assert_eq!(serde_json::from_str::<Tagged>(&text).unwrap(), tagged);
            let sk = "a".to_owned();
            let flat = Flat { sk, sum };
            let text = serde_json::to_string(&flat).unwrap();
            assert_eq!(serde_json::from_str::<Flat>(&text).unwrap(), flat);
        }
    }

    #[test]
    fn what_is_no_whole_number_or_too_large_is_refused() {
        let beyond = (MAX + 1).to_string();
        for pico_usd in [
            json!(1.5),
            json!(1e30),
            json!("1.5"),
            json!(""),
            json!(beyond),
        ] {
            let read = serde_json::from_value::<Sum>(json!({"pico_usd": pico_usd}));
            assert!(read.is_err(), "{pico_usd}");
        }
    }
}
