//! Mails: those that wait for an address, and the state of each.

use super::Store;
use super::call::Transacted;
use super::error::StoreError;
use super::governance::short_digest;
use super::item::{expires_at, number};
use super::keys;
use super::rows::Row;
use super::tables::{TTL, Table};
use super::write::{If, Write};
use crate::domain::notice::incident::Opened;
use crate::domain::notice::mail::{EmailStatus, PendingEmail};
use jiff::Timestamp;

/// How long after its end a lease is kept, in seconds.
const LEASE_KEPT_SECONDS: i64 = 3_600;

/// Returns a digest of an address that hides the address and ignores its case.
pub fn address_digest(email: &str) -> String {
    short_digest(&email.to_lowercase())
}

impl Row {
    fn letter(
        organisation_id: &str,
        mailbox: &str,
        letter: &PendingEmail,
    ) -> Result<Self, StoreError> {
        let key = keys::letter(organisation_id, &letter.notice_id, mailbox);
        let mut row = Self::new(key, letter)?;
        row.expire(expires_at(letter.created_at));
        Ok(row)
    }

    fn waiting(
        organisation_id: &str,
        mailbox: &str,
        letter: &PendingEmail,
    ) -> Result<Self, StoreError> {
        let key = keys::waiting(organisation_id, mailbox, &letter.notice_id);
        let mut row = Self::new(key, letter)?;
        row.expire(expires_at(letter.created_at));
        Ok(row)
    }
}

impl Store {
    /// Stores a mail, if it is not stored yet. One that is to be sent waits in the mailbox of its
    /// address.
    pub async fn add_email(
        &self,
        organisation_id: &str,
        letter: &PendingEmail,
    ) -> Result<(), StoreError> {
        let mailbox = address_digest(&letter.email);
        let kept = Row::letter(organisation_id, &mailbox, letter)?.if_absent();
        let mut parts = vec![self.row_item(kept)?];
        if letter.status == EmailStatus::Waiting {
            parts.push(self.row_item(Row::waiting(organisation_id, &mailbox, letter)?)?);
        }
        self.transact(parts).await?;
        Ok(())
    }

    /// Returns at most `most` pending mails of a mailbox, the oldest first.
    pub async fn pending_emails(
        &self,
        organisation_id: &str,
        mailbox: &str,
        most: usize,
    ) -> Result<Vec<PendingEmail>, StoreError> {
        let prefix = keys::mailbox(mailbox);
        let page = self
            .page(organisation_id, &prefix, None, most, |_| true)
            .await?;
        Ok(page.items)
    }

    /// Leases the mailbox until `until`. Returns false if another sender holds the lease.
    pub async fn lease_recipient_queue(
        &self,
        organisation_id: &str,
        mailbox: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut item = keys::lease(organisation_id, mailbox).attributes();
        item.insert("until".to_owned(), number(until.as_millisecond()));
        item.insert(
            TTL.to_owned(),
            number(until.as_second() + LEASE_KEPT_SECONDS),
        );
        let is_over = If::AtMost("until", number(now.as_millisecond()));
        let part = Write::put(Table::Governance, item);
        let part = part.only(If::Any(vec![If::Absent, is_over]));
        Ok(self.transact(vec![part]).await? == Transacted::Applied)
    }

    /// Ends the lease of a mailbox.
    pub async fn release_recipient_queue(
        &self,
        organisation_id: &str,
        mailbox: &str,
    ) -> Result<(), StoreError> {
        let row = Row::gone(keys::lease(organisation_id, mailbox));
        self.transact(vec![self.row_item(row)?]).await?;
        Ok(())
    }

    /// Stores the final state of a mailbox's mails, removes them from the pending ones, opens the
    /// incident of those that were given up, and ends the lease.
    pub async fn finish_emails(
        &self,
        organisation_id: &str,
        mailbox: &str,
        letters: &[PendingEmail],
        status: EmailStatus,
        opened: Option<&Opened>,
    ) -> Result<(), StoreError> {
        let lease = Row::gone(keys::lease(organisation_id, mailbox));
        let mut parts = vec![self.row_item(lease)?];
        for letter in letters {
            let ended = PendingEmail {
                status,
                ..letter.clone()
            };
            parts.push(self.row_item(Row::letter(organisation_id, mailbox, &ended)?)?);
            let key = keys::waiting(organisation_id, mailbox, &letter.notice_id);
            parts.push(self.row_item(Row::gone(key))?);
        }
        if let Some(opened) = opened {
            for row in Row::opened(organisation_id, opened)? {
                parts.push(self.row_item(row)?);
            }
        }
        self.transact(parts).await?;
        Ok(())
    }
}
