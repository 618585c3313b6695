//! Whom an address belongs to: no two users of an organisation have one, however it is written.
//!
//! A row for each address is written in the transaction of its user, which takes effect only while the organisation is as it was
//! read: of two who want one address at once, the second reads the first one's row. A user from before there were such rows gets
//! one with the next change, if nobody else has the address.

use super::App;
use shared::domain::change::MailClaim;
use shared::domain::org::people::User;
use shared::runtime::error::ApiError;
use shared::store::{StoreError, address_digest};
use std::collections::{BTreeMap, BTreeSet};

/// Whom addresses belong to, by their mailbox.
#[derive(Debug, Default)]
pub(crate) struct MailOwners(BTreeMap<String, String>);

impl MailOwners {
    /// Reads whom `emails` belong to, for a change of `user_id`. Who is not there any more, or has
    /// another address by now, has none.
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
            let known = match is_own {
                true => None,
                false => app.store.user(organisation_id, &owner).await?,
            };
            if is_own || known.is_some_and(|user| address_digest(&user.email) == mailbox) {
                owners.insert(mailbox, owner);
            }
        }
        Ok(Self(owners))
    }

    /// Returns what `after` takes to have their address, and gives back of `before`; a conflict if
    /// it is another's.
    pub(crate) fn claim(&self, before: Option<&User>, after: &User) -> Result<MailClaim, ApiError> {
        let mailbox = address_digest(&after.email);
        let old = before.map(|before| address_digest(&before.email));
        let owner = self.0.get(&mailbox);
        let is_kept = old.as_ref() == Some(&mailbox);
        let mut claim = MailClaim::default();
        match owner {
            Some(owner) if *owner == after.id => {}
            // Two who had one address before that was looked at keep it until one of them gets another.
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
