//! Lists of prices, built in and on the disk.

use shared::domain::pricing::book::{PriceBook, PriceBooks};
use std::path::Path;

use crate::error::CommandError;

/// Returns the latest built-in book.
pub(super) fn newest() -> &'static PriceBook {
    PriceBooks::built_in().at(jiff::Timestamp::MAX)
}

pub(super) fn read(file: &Path) -> Result<String, CommandError> {
    let failed = |error| CommandError::Io(format!("{} cannot be read", file.display()), error);
    std::fs::read_to_string(file).map_err(failed)
}
