use super::Store;
use super::error::StoreError;
use super::item::expires_at;
use super::keys::{self, NOTICE};
use super::pages::Page;
use super::rows::Row;
use crate::domain::notice::Notice;
use jiff::Timestamp;

/// How many notices one read asks for.
const NOTICES_A_PAGE: usize = 200;

impl Row {
    pub fn notice(organisation_id: &str, notice: &Notice) -> Result<Self, StoreError> {
        let key = keys::governance(organisation_id, format!("{NOTICE}{}", notice.id));
        let mut row = Self::new(key, notice)?;
        row.expire(expires_at(notice.created_at));
        Ok(row)
    }
}

impl Store {
    /// Stores the new state of a notice for its recipients.
    pub async fn set_notice(
        &self,
        organisation_id: &str,
        notice: &Notice,
    ) -> Result<(), StoreError> {
        let row = Row::notice(organisation_id, notice)?;
        self.transact(vec![self.row_item(row)?]).await?;
        Ok(())
    }

    /// Returns the notices between `since` and `until` whose message did not reach the queue.
    pub async fn unqueued_notices(
        &self,
        organisation_id: &str,
        [since, until]: [Timestamp; 2],
    ) -> Result<Vec<String>, StoreError> {
        let mut found = Vec::new();
        let mut after = None;
        loop {
            let page = self.notices(organisation_id, after.as_deref(), NOTICES_A_PAGE);
            let page = page.await?;
            for notice in &page.items {
                if notice.created_at < since {
                    return Ok(found);
                }
                if !notice.is_told && notice.created_at <= until {
                    found.push(notice.id.clone());
                }
            }
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(found),
            }
        }
    }

    /// Lists the notices, the newest first.
    pub async fn notices(
        &self,
        organisation_id: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<Notice>, StoreError> {
        self.newest_first(organisation_id, NOTICE, after, limit, |_| true)
            .await
    }

    pub async fn notice(
        &self,
        organisation_id: &str,
        id: &str,
    ) -> Result<Option<Notice>, StoreError> {
        self.row(keys::governance(organisation_id, format!("{NOTICE}{id}")))
            .await
    }
}
