//! What the schedule remembers between its passes.

use super::Store;
use super::call::StoreError;
use super::keys;
use super::rows::Row;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Cursor {
    after: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Audited {
    at: Timestamp,
}

impl Store {
    /// The organisation after which a pass that ran out of time goes on; none where it begins anew.
    pub async fn schedule_cursor(&self) -> Result<Option<String>, StoreError> {
        let cursor: Option<Cursor> = self.row(keys::schedule_cursor()).await?;
        Ok(cursor.and_then(|cursor| cursor.after))
    }

    /// Remembers where the next pass goes on.
    pub async fn set_schedule_cursor(&self, after: Option<String>) -> Result<(), StoreError> {
        let row = Row::new(keys::schedule_cursor(), &Cursor { after })?;
        self.put_row(row).await
    }

    /// When all records of an organisation were last compared with its totals.
    pub async fn audited_at(&self, organisation_id: &str) -> Result<Option<Timestamp>, StoreError> {
        let audited: Option<Audited> = self.row(keys::audited(organisation_id)).await?;
        Ok(audited.map(|audited| audited.at))
    }

    /// Remembers that they were compared at `at`.
    pub async fn set_audited_at(
        &self,
        organisation_id: &str,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let row = Row::new(keys::audited(organisation_id), &Audited { at })?;
        self.put_row(row).await
    }

    async fn put_row(&self, row: Row) -> Result<(), StoreError> {
        let answer = self
            .client
            .put_item()
            .table_name(&self.tables.governance)
            .set_item(row.item)
            .send()
            .await;
        answer?;
        Ok(())
    }
}
