//! Keeps email addresses unique in an organisation, however they are written.
//!
//! Each address has a row, written in the transaction of its user. That transaction only succeeds
//! while the organisation is unchanged since it was read. So if two users ask for one address at
//! once, the second reads the first one's row. A user who is older than these rows gets one with
//! the next change, if nobody else has the address.

use crate::App;
use shared::domain::change::MailClaim;
use shared::domain::org::people::User;
use shared::runtime::error::ApiError;
use shared::store::{StoreError, address_digest};
use std::collections::{BTreeMap, BTreeSet};

/// The owners of addresses, by mailbox.
#[derive(Debug, Default)]
pub(crate) struct MailOwners(BTreeMap<String, String>);

impl MailOwners {
    /// Reads who owns `emails`, for a change of `user_id`. An owner who was deleted, or has another
    /// address by now, is left out.
    pub(crate) async fn read<'a>(
        app: &App,
        organisation_id: &str,
        user_id: &str,
        emails: impl IntoIterator<Item = &'a String>,
    ) -> Result<Self, StoreError> {
        let emails = emails.into_iter();
        let mailboxes: BTreeSet<String> = emails.map(|email| address_digest(email)).collect();
        let mut owners = BTreeMap::new();
        for mailbox in mailboxes {
            let Some(owner) = app.store.mail_owner(organisation_id, &mailbox).await? else {
                continue;
            };
            let is_own = owner == user_id;
            let other = match is_own {
                true => None,
                false => app.store.user(organisation_id, &owner).await?,
            };
            if is_own || other.is_some_and(|user| address_digest(&user.email) == mailbox) {
                owners.insert(mailbox, owner);
            }
        }
        Ok(Self(owners))
    }

    /// Returns the rows that `after` takes and those that `before` gives back. Returns a conflict
    /// if the address is another user's.
    pub(crate) fn claim(&self, before: Option<&User>, after: &User) -> Result<MailClaim, ApiError> {
        let mailbox = address_digest(&after.email);
        let old = before.map(|before| address_digest(&before.email));
        let owner = self.0.get(&mailbox);
        let is_kept = old.as_ref() == Some(&mailbox);
        let mut claim = MailClaim::default();
        match owner {
            Some(owner) if *owner == after.id => {}
            // Two users who shared an address before it was checked keep it until one of them
            // changes it.
            Some(_) if is_kept => {}
            Some(owner) => {
                let message = format!("the address belongs to the user {owner} already");
                return Err(ApiError::taken("email", message));
            }
            None => claim.taken = Some(mailbox),
        }
        if let Some(old) = old.filter(|_| !is_kept)
            && self.0.get(&old) == Some(&after.id)
        {
            claim.given_back = Some(old);
        }
        Ok(claim)
    }
}
