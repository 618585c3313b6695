//! Items and their values.

use crate::domain::ledger::usage::MAX_AGE;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use std::collections::HashMap;

pub(crate) type Item = HashMap<String, AttributeValue>;

pub(crate) fn number(value: impl ToString) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

/// Returns when rows of the time `at` may expire: 13 months later, and at least one day more.
pub(crate) fn expires_at(at: Timestamp) -> i64 {
    at.as_second() + MAX_AGE.as_secs() + 24 * 3600
}
