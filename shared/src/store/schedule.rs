//! The state of the schedule between its passes.

use super::Store;
use super::error::StoreError;
use super::keys;
use super::rows::Row;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Cursor {
    after: Option<String>,
}

impl Store {
    /// Returns the organisation after which a pass that ran out of time continues, or None if the
    /// next pass starts at the first.
    pub async fn schedule_cursor(&self) -> Result<Option<String>, StoreError> {
        let cursor: Option<Cursor> = self.row(keys::schedule_cursor()).await?;
        Ok(cursor.and_then(|cursor| cursor.after))
    }

    /// Stores where the next pass continues.
    pub async fn set_schedule_cursor(&self, after: Option<String>) -> Result<(), StoreError> {
        let row = Row::new(keys::schedule_cursor(), &Cursor { after })?;
        self.put_row(row).await
    }

    async fn put_row(&self, row: Row) -> Result<(), StoreError> {
        self.transact(vec![self.row_item(row)?]).await?;
        Ok(())
    }
}
