//! Whom each address belongs to.

use super::Store;
use super::call::StoreError;
use super::keys::{self, MAIL_OWNER};
use super::rows::Row;

impl Row {
    /// Returns the row by which a mailbox belongs to a user.
    pub fn mail_owner(
        organisation_id: &str,
        mailbox: &str,
        user_id: &str,
    ) -> Result<Self, StoreError> {
        let key = keys::governance(organisation_id, format!("{MAIL_OWNER}{mailbox}"));
        Self::new(key, &user_id)
    }

    /// Returns the end of that row.
    pub fn no_mail_owner(organisation_id: &str, mailbox: &str) -> Self {
        Self::gone(keys::governance(
            organisation_id,
            format!("{MAIL_OWNER}{mailbox}"),
        ))
    }
}

impl Store {
    /// Returns the user whom a mailbox belongs to.
    pub async fn mail_owner(
        &self,
        organisation_id: &str,
        mailbox: &str,
    ) -> Result<Option<String>, StoreError> {
        let key = keys::governance(organisation_id, format!("{MAIL_OWNER}{mailbox}"));
        self.row(key).await
    }
}
