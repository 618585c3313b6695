//! Which user each mail address belongs to.

use super::Store;
use super::error::StoreError;
use super::keys::{self, MAIL_OWNER};
use super::rows::Row;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct MailOwner {
    user_id: String,
}

impl Row {
    /// Returns the row by which a mailbox belongs to a user.
    pub fn mail_owner(
        organisation_id: &str,
        mailbox: &str,
        user_id: &str,
    ) -> Result<Self, StoreError> {
        let key = keys::governance(organisation_id, format!("{MAIL_OWNER}{mailbox}"));
        let user_id = user_id.to_owned();
        Self::new(key, &MailOwner { user_id })
    }

    /// Returns the deletion of that row.
    pub fn no_mail_owner(organisation_id: &str, mailbox: &str) -> Self {
        Self::gone(keys::governance(
            organisation_id,
            format!("{MAIL_OWNER}{mailbox}"),
        ))
    }
}

impl Store {
    /// Returns the user who owns a mailbox, or None if nobody does.
    pub async fn mail_owner(
        &self,
        organisation_id: &str,
        mailbox: &str,
    ) -> Result<Option<String>, StoreError> {
        let key = keys::governance(organisation_id, format!("{MAIL_OWNER}{mailbox}"));
        let owner = self.row::<MailOwner>(key).await?;
        Ok(owner.map(|owner| owner.user_id))
    }
}
