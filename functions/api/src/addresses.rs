//! Whom an address belongs to: no two users of an organisation have one, however it is written.
//!
//! A row for each address is written in the transaction of its user, which takes effect only while the organisation is as it was
//! read: of two who want one address at once, the second reads the first one's row. A user from before there were such rows gets
//! one with the next change, if nobody else has the address.

use super::App;
use super::act::Loaded;
use shared::domain::people::User;
use shared::runtime::error::ApiError;
use shared::store::{Row, StoreError, address_digest};
use std::collections::{BTreeMap, BTreeSet};

/// The addresses whose owners a change of a user has to know.
#[derive(Clone, Debug, Default)]
pub(crate) struct MailOwners {
    user_id: Option<String>,
    emails: Vec<String>,
}

impl MailOwners {
    /// For a change of `user_id`, who is to have one of `emails` or keeps their own.
    pub(crate) fn of<'a>(user_id: &str, emails: impl IntoIterator<Item = &'a String>) -> Self {
        Self {
            user_id: Some(user_id.to_owned()),
            emails: emails.into_iter().cloned().collect(),
        }
    }

    /// Returns the users by the mailboxes that they have. Who is not there any more, or has another address by now, has none.
    pub(super) async fn load(
        &self,
        app: &App,
        organisation_id: &str,
        users: &BTreeMap<String, User>,
    ) -> Result<BTreeMap<String, String>, StoreError> {
        let Some(user_id) = &self.user_id else {
            return Ok(BTreeMap::new());
        };
        let own = users.get(user_id).map(|user| &user.email);
        let emails = self.emails.iter().chain(own);
        let mailboxes: BTreeSet<String> = emails.map(|email| address_digest(email)).collect();
        let mut owners = BTreeMap::new();
        for mailbox in mailboxes {
            let Some(owner) = app.store.mail_owner(organisation_id, &mailbox).await? else {
                continue;
            };
            let is_own = owner == *user_id;
            let known = match is_own {
                true => None,
                false => app.store.user(organisation_id, &owner).await?,
            };
            if is_own || known.is_some_and(|user| address_digest(&user.email) == mailbox) {
                owners.insert(mailbox, owner);
            }
        }
        Ok(owners)
    }
}

impl Loaded {
    /// Returns the rows by which `after` has their address and gives back the one of `before`; a conflict if it is another's.
    pub(crate) fn claimed_mail(
        &self,
        organisation_id: &str,
        before: Option<&User>,
        after: &User,
    ) -> Result<Vec<Row>, ApiError> {
        let mailbox = address_digest(&after.email);
        let old = before.map(|before| address_digest(&before.email));
        let owner = self.mail_owners.get(&mailbox);
        let is_kept = old.as_ref() == Some(&mailbox);
        let mut rows = Vec::new();
        match owner {
            Some(owner) if *owner == after.id => {}
            // Two who had one address before that was looked at keep it until one of them gets another.
            Some(_) if is_kept => {}
            Some(owner) => {
                let message = format!("the address belongs to the user {owner} already");
                return Err(ApiError::taken("email", message));
            }
            None => rows.push(Row::mail_owner(organisation_id, &mailbox, &after.id)?),
        }
        if let Some(old) = old.filter(|_| !is_kept)
            && self.mail_owners.get(&old) == Some(&after.id)
        {
            rows.push(Row::no_mail_owner(organisation_id, &old));
        }
        Ok(rows)
    }
}
