//! Addresses to which an organisation sends no mail.

use super::Store;
use super::call::Transacted;
use super::error::StoreError;
use super::governance::digest_of;
use super::item::expires_at;
use super::keys::{self, SUPPRESSED};
use super::pages::Page;
use super::pending_emails::address_digest;
use super::rows::Row;
use crate::domain::notice::incident::Opened;
use crate::domain::notice::suppression::Suppression;
use serde_json::json;

impl Row {
    /// Deletes a suppression: the address gets mail again.
    pub fn no_suppression(organisation_id: &str, email: &str) -> Self {
        let sk = format!("{SUPPRESSED}{}", address_digest(email));
        Self::gone(keys::governance(organisation_id, sk))
    }
}

impl Store {
    /// Suppresses an address and opens the incident about it. Returns false if it was suppressed
    /// before, or if the report with this id was processed before: an address that was released
    /// stays so, even if the report is delivered again.
    pub async fn suppress(
        &self,
        organisation_id: &str,
        report_id: &str,
        suppression: &Suppression,
        opened: &Opened,
    ) -> Result<bool, StoreError> {
        let mailbox = address_digest(&suppression.email);
        let digest = digest_of(&format!("{report_id}\0{mailbox}"));
        let marker = keys::feedback(organisation_id, &digest);
        let mut heeded = Row::new(marker, &json!({"since": suppression.since}))?.if_absent();
        heeded.expire(expires_at(suppression.since));
        let key = keys::governance(organisation_id, format!("{SUPPRESSED}{mailbox}"));
        let row = Row::new(key, suppression)?.if_absent();
        let mut parts = vec![self.row_item(heeded)?, self.row_item(row)?];
        for row in Row::opened(organisation_id, opened)? {
            parts.push(self.row_item(row)?);
        }
        Ok(self.transact(parts).await? == Transacted::Applied)
    }

    /// Returns why an address, named by its digest, is suppressed, or None if it gets mail.
    pub async fn suppression(
        &self,
        organisation_id: &str,
        mailbox: &str,
    ) -> Result<Option<Suppression>, StoreError> {
        let sk = format!("{SUPPRESSED}{mailbox}");
        self.row(keys::governance(organisation_id, sk)).await
    }

    /// Lists the suppressed addresses, ordered by digest.
    pub async fn suppressions(
        &self,
        organisation_id: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<Suppression>, StoreError> {
        self.page(organisation_id, SUPPRESSED, after, limit, |_| true)
            .await
    }
}
