//! Notices.

use super::Store;
use super::call::StoreError;
use super::governance::Page;
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
    /// Keeps what has become of a notice for its recipients.
    pub async fn set_notice(
        &self,
        organisation_id: &str,
        notice: &Notice,
    ) -> Result<(), StoreError> {
        let row = Row::notice(organisation_id, notice)?;
        self.transact(vec![self.row_item(row)?]).await?;
        Ok(())
    }

    /// Notices, the newest first.
    pub async fn notices(
        &self,
        organisation_id: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<Notice>, StoreError> {
        self.newest_first(organisation_id, NOTICE, after, limit, |_| true)
            .await
    }

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
