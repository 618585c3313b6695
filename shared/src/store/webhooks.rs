//! Webhooks that an organisation has set up for itself.

use super::Store;
use super::call::StoreError;
use super::keys::{self, WEBHOOK};
use super::rows::Row;
use crate::domain::webhook::Webhook;

impl Row {
    /// A webhook as it will be.
    pub fn webhook(organisation_id: &str, webhook: &Webhook) -> Result<Self, StoreError> {
        let key = keys::governance(organisation_id, format!("{WEBHOOK}{}", webhook.id));
        Self::new(key, webhook)
    }
}

impl Store {
    /// A webhook by its id.
    pub async fn webhook(
        &self,
        organisation_id: &str,
        id: &str,
    ) -> Result<Option<Webhook>, StoreError> {
        self.row(keys::governance(organisation_id, format!("{WEBHOOK}{id}")))
            .await
    }
}
