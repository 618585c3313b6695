//! Notices.

use super::Store;
use super::call::StoreError;
use super::keys::{self, NOTICE};
use super::resolutions::expires_at;
use super::rows::Row;
use crate::domain::notice::Notice;

impl Row {
    /// A notice as it will be.
    pub fn notice(organisation_id: &str, notice: &Notice) -> Result<Self, StoreError> {
        let key = keys::governance(organisation_id, format!("{NOTICE}{}", notice.id));
        let mut row = Self::new(key, notice)?;
        row.expire(expires_at(notice.created_at));
        Ok(row)
    }
}

impl Store {
    /// A notice by its id.
    pub async fn notice(
        &self,
        organisation_id: &str,
        id: &str,
    ) -> Result<Option<Notice>, StoreError> {
        self.row(keys::governance(organisation_id, format!("{NOTICE}{id}")))
            .await
    }
}
