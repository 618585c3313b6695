//! Items and their values.

use super::error::StoreError;
use crate::domain::ledger::usage::MAX_AGE;
use crate::domain::wide_number;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use std::collections::HashMap;

pub(crate) type Item = HashMap<String, AttributeValue>;

pub(crate) fn number(value: impl ToString) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

pub(crate) fn text(value: impl ToString) -> AttributeValue {
    AttributeValue::S(value.to_string())
}

/// Reads digits of `name` as an amount that is counted, in tokens or pico-USD.
pub(crate) fn counted(name: &str, digits: &str) -> Result<i128, StoreError> {
    let unreadable = || StoreError::unreadable(format!("number {name}"));
    wide_number::parse(digits).ok_or_else(unreadable)
}

/// The attributes with sums of pico-USD.
const PICO_USD: [&str; 2] = ["pico_usd", "offset_pico_usd"];

/// Reads an item with sums of pico-USD. `serde_dynamo` would read a number of more than 64 bits as
/// a fraction, so it gets the digits.
pub(crate) fn from_item<T: DeserializeOwned>(mut item: Item) -> Result<T, StoreError> {
    for name in PICO_USD {
        if let Some(value) = item.get_mut(name)
            && let AttributeValue::N(digits) = value
        {
            *value = AttributeValue::S(std::mem::take(digits));
        }
    }
    Ok(serde_dynamo::from_item(item)?)
}

/// Returns when rows of the time `at` may expire: 13 months later, and at least one day more.
pub(crate) fn expires_at(at: Timestamp) -> i64 {
    at.as_second() + MAX_AGE.as_secs() + 24 * 3600
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::amount::Amounts;
    use crate::domain::ledger::resolution::Resolution;
    use serde::Deserialize;

    #[derive(Debug, PartialEq, Eq, Deserialize)]
    struct Row {
        sk: String,
        #[serde(flatten)]
        amounts: Amounts,
    }

    #[test]
    fn a_sum_of_money_of_any_size_is_read_as_written() {
        let beyond = i128::from(i64::MAX) * 1_000 + 1;
        for pico_usd in [0, 21_300, -5, beyond, -beyond, wide_number::MAX] {
            let amounts = Amounts::new(7, pico_usd);
            let item = Item::from([
                ("sk".to_owned(), AttributeValue::S("a".to_owned())),
                ("tokens".to_owned(), number(7)),
                ("pico_usd".to_owned(), number(pico_usd)),
            ]);
            let sk = "a".to_owned();
            assert_eq!(from_item::<Row>(item).unwrap(), Row { sk, amounts });
            let resolution = Resolution::Expired { charged: amounts };
            let item: Item = serde_dynamo::to_item(&resolution).unwrap();
            assert_eq!(from_item::<Resolution>(item).unwrap(), resolution);
        }
    }

    #[test]
    fn a_number_that_no_amount_has_is_unreadable() {
        for digits in ["1.5", "1e3", "", "1000000000000000000000000000001"] {
            assert!(counted("u0", digits).is_err(), "{digits}");
            let item = Item::from([
                ("sk".to_owned(), AttributeValue::S("a".to_owned())),
                ("tokens".to_owned(), number(7)),
                ("pico_usd".to_owned(), number(digits)),
            ]);
            assert!(from_item::<Row>(item).is_err(), "{digits}");
        }
    }
}
