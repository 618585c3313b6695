//! Writes values as JSON.

use serde::Serialize;
use shared::runtime::error::ApiError;

/// Writes a view as JSON. A view of plain fields can always be written. If another one fails, the
/// error is logged and the text is empty, which makes the answer a 500.
pub(crate) fn to_json(view: &impl Serialize) -> String {
    serde_json::to_string(view).unwrap_or_else(|error| {
        let _logged = ApiError::from(error);
        String::new()
    })
}
