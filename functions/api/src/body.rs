//! Reads what request bodies of several subjects have in common.

use shared::runtime::error::{ApiError, Detail};
use shared::runtime::fields::Fields;

/// Accepts a missing body or an empty object.
pub(crate) fn no_fields(body: &[u8]) -> Result<(), ApiError> {
    if body.is_empty() {
        return Ok(());
    }
    Fields::of_body(body)?.finish()
}

/// Says all faults of a value inside a body in one message.
pub(crate) fn one_message(details: Vec<Detail>) -> String {
    let all = details
        .into_iter()
        .map(|d| format!("{} {}", d.field, d.message));
    all.collect::<Vec<_>>().join(", ")
}
