//! `openapi`: prints the OpenAPI document.

use std::io::Write as _;

use crate::error::CommandError;

pub(crate) fn run() -> Result<(), CommandError> {
    let text = local::openapi::text()
        .map_err(|error| CommandError::Answer(format!("the document is not JSON: {error}")))?;
    let written = std::io::stdout().write_all(text.as_bytes());
    written.map_err(|error| CommandError::Io("the document was not written".to_owned(), error))
}
