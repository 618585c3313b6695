use super::Store;
use super::error::StoreError;
use super::item::expires_at;
use super::keys::{self, INCIDENT};
use super::pages::Page;
use super::rows::Row;
use crate::domain::notice::incident::{Incident, Opened};

impl Row {
    pub fn incident(organisation_id: &str, incident: &Incident) -> Result<Self, StoreError> {
        let key = keys::governance(organisation_id, format!("{INCIDENT}{}", incident.id));
        let mut row = Self::replacing(key, incident)?;
        row.expire(expires_at(incident.created_at));
        Ok(row)
    }

    /// Builds the rows of a new incident and its notice.
    pub fn opened(organisation_id: &str, opened: &Opened) -> Result<[Self; 2], StoreError> {
        Ok([
            Self::incident(organisation_id, &opened.incident)?,
            Self::notice(organisation_id, &opened.notice)?,
        ])
    }
}

impl Store {
    pub async fn incident(
        &self,
        organisation_id: &str,
        id: &str,
    ) -> Result<Option<Incident>, StoreError> {
        let key = keys::governance(organisation_id, format!("{INCIDENT}{id}"));
        self.row(key).await
    }

    /// Lists the incidents that are `wanted`, the newest first.
    pub async fn incidents(
        &self,
        organisation_id: &str,
        wanted: impl Fn(&Incident) -> bool,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<Incident>, StoreError> {
        self.newest_first(organisation_id, INCIDENT, after, limit, wanted)
            .await
    }
}
