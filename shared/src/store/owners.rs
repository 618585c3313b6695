//! Whose a key or a client is, and the user that it is bound to.

use super::Store;
use super::call::StoreError;
use super::configuration::data;
use super::expression::Item;
use super::governance::ApiKey;
use super::keys::{self, API_KEY, CLIENT, Key, USER};
use super::rows::Row;
use crate::domain::authority::{Backing, Maker, Power, Powerless, responsible_user_id};
use crate::domain::people::{Role, User};
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Whose a key or client is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyOwner {
    /// The organisation.
    pub organisation_id: String,
    /// The key's or client's id.
    pub key_id: String,
    /// What it was made for.
    pub key_role: Role,
    /// What it may do now: never more than its user.
    pub role: Role,
    /// Whether its user is blocked.
    pub is_blocked: bool,
    /// Whom it is bound to.
    pub user_id: Option<String>,
    /// Who made it; none for a key that was made before that was kept.
    pub made_by: Option<Maker>,
}

impl KeyOwner {
    /// Returns who answers for the key; none is the operator.
    pub fn responsible_user_id(&self) -> Option<&str> {
        responsible_user_id(self.user_id.as_deref(), self.made_by.as_ref())
    }

    /// Returns the maker of what is made with this key.
    pub fn as_maker(&self) -> Maker {
        Maker {
            actor: format!("key/{}", self.key_id),
            user_id: self.responsible_user_id().map(str::to_owned),
        }
    }

    /// Returns the owner with what the key may do at `now`.
    pub fn empowered(mut self, backing: &Backing, now: Timestamp) -> Result<Self, Powerless> {
        let Power { role, is_blocked } = backing.power(self.key_role, now)?;
        (self.role, self.is_blocked) = (role, is_blocked);
        Ok(self)
    }
}

/// What a caller shows.
#[derive(Clone, Copy, Debug)]
pub enum Credential<'a> {
    /// A key, by the SHA-256 of its secret in hex.
    Key(&'a str),
    /// A client, by its id.
    Client(&'a str),
}

impl Credential<'_> {
    fn place(self) -> Key {
        match self {
            Self::Key(digest) => keys::secret(digest),
            Self::Client(id) => keys::client(id),
        }
    }

    fn read(self, item: Item) -> Result<Read, StoreError> {
        match self {
            Self::Key(_) => Ok((data::<OwnerRow>(item)?.into(), None)),
            Self::Client(_) => {
                let ClientRow { owner, digest } = data(item)?;
                Ok((owner.into(), Some(digest)))
            }
        }
    }
}

/// What a credential leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Whose it is.
    pub owner: KeyOwner,
    /// Who gives it its power.
    pub backing: Backing,
    /// The SHA-256 of a client's secret, in hex; none for a key.
    pub secret_digest: Option<String>,
}

/// An owner and, of a client, the digest of its secret.
type Read = (KeyOwner, Option<String>);

/// Where a key's secret leads to, as it is stored.
#[derive(Serialize, Deserialize)]
struct OwnerRow {
    organisation_id: String,
    key_id: String,
    role: Role,
    user_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    made_by: Option<Maker>,
}

/// Where a client's id leads to, as it is stored.
#[derive(Serialize, Deserialize)]
struct ClientRow {
    owner: OwnerRow,
    digest: String,
}

impl OwnerRow {
    fn of(organisation_id: &str, key: &ApiKey) -> Self {
        Self {
            organisation_id: organisation_id.to_owned(),
            key_id: key.id.clone(),
            role: key.role,
            user_id: key.user_id.clone(),
            made_by: key.made_by.clone(),
        }
    }
}

impl From<OwnerRow> for KeyOwner {
    fn from(row: OwnerRow) -> Self {
        Self {
            organisation_id: row.organisation_id,
            key_id: row.key_id,
            key_role: row.role,
            role: row.role,
            is_blocked: false,
            user_id: row.user_id,
            made_by: row.made_by,
        }
    }
}

impl Row {
    /// Returns the two rows of a key: one under its organisation, one that leads from its secret to it.
    pub fn api_key(organisation_id: &str, key: &ApiKey) -> Result<[Self; 2], StoreError> {
        let listed = keys::governance(organisation_id, format!("{API_KEY}{}", key.id));
        let owner = OwnerRow::of(organisation_id, key);
        Ok([
            Self::new(listed, key)?,
            Self::new(keys::secret(&key.digest), &owner)?,
        ])
    }

    /// Returns the end of a key's two rows.
    pub fn no_api_key(organisation_id: &str, key: &ApiKey) -> [Self; 2] {
        let listed = keys::governance(organisation_id, format!("{API_KEY}{}", key.id));
        [Self::gone(listed), Self::gone(keys::secret(&key.digest))]
    }

    /// Returns the two rows of a client: one under its organisation, one that leads from its id to it.
    pub fn client(organisation_id: &str, client: &ApiKey) -> Result<[Self; 2], StoreError> {
        let listed = keys::governance(organisation_id, format!("{CLIENT}{}", client.id));
        let leads_to = ClientRow {
            owner: OwnerRow::of(organisation_id, client),
            digest: client.digest.clone(),
        };
        Ok([
            Self::new(listed, client)?,
            Self::new(keys::client(&client.id), &leads_to)?,
        ])
    }

    /// Returns the end of a client's two rows.
    pub fn no_client(organisation_id: &str, id: &str) -> [Self; 2] {
        let listed = keys::governance(organisation_id, format!("{CLIENT}{id}"));
        [Self::gone(listed), Self::gone(keys::client(id))]
    }
}

impl Store {
    /// Returns what a credential leads to, with the user as they are now. `bound_to` is the organisation and the user that it was
    /// bound to when it was last read, if anybody knows: then both are read in one call. Otherwise a bound key takes two.
    pub async fn find_owner(
        &self,
        credential: Credential<'_>,
        bound_to: Option<(&str, &str)>,
    ) -> Result<Option<Found>, StoreError> {
        let (read, users) = match bound_to {
            Some((organisation_id, user_id)) => {
                self.owner_and_users(credential, &[organisation_id], user_id)
                    .await?
            }
            None => (self.owner(credential).await?, BTreeMap::new()),
        };
        let Some((owner, secret_digest)) = read else {
            return Ok(None);
        };
        let was = (
            Some(owner.organisation_id.as_str()),
            owner.user_id.as_deref(),
        );
        let backing = match &owner.user_id {
            None => Backing::Organisation,
            Some(_) if was == bound_to.unzip() => Backing::of(users.get(&owner.organisation_id)),
            Some(user_id) => {
                let user = self.user(&owner.organisation_id, user_id).await?;
                Backing::of(user.as_ref())
            }
        };
        Ok(Some(Found {
            owner,
            backing,
            secret_digest,
        }))
    }

    async fn owner(&self, credential: Credential<'_>) -> Result<Option<Read>, StoreError> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.tables.governance)
            .set_key(Some(credential.place().attributes()))
            .consistent_read(true)
            .send()
            .await?;
        answer.item.map(|item| credential.read(item)).transpose()
    }

    /// Returns whose key has this digest, and the user as each of these organisations knows them, which are all different: one
    /// read.
    pub async fn key_owner_and_users(
        &self,
        digest: &str,
        organisation_ids: &[&str],
        user_id: &str,
    ) -> Result<(Option<KeyOwner>, BTreeMap<String, User>), StoreError> {
        let (read, users) = self
            .owner_and_users(Credential::Key(digest), organisation_ids, user_id)
            .await?;
        Ok((read.map(|(owner, _)| owner), users))
    }

    async fn owner_and_users(
        &self,
        credential: Credential<'_>,
        organisation_ids: &[&str],
        user_id: &str,
    ) -> Result<(Option<Read>, BTreeMap<String, User>), StoreError> {
        let users = organisation_ids
            .iter()
            .map(|organisation_id| keys::governance(organisation_id, format!("{USER}{user_id}")));
        let place = credential.place();
        let asked = users.chain([place.clone()]).map(|key| key.attributes());
        let found = self.items(&self.tables.governance, asked.collect(), None);
        let (mut owner, mut users) = (None, BTreeMap::new());
        for item in found.await? {
            match item.get("pk") {
                Some(AttributeValue::S(pk)) if *pk == place.pk => {
                    owner = Some(credential.read(item)?);
                }
                Some(AttributeValue::S(pk)) => {
                    users.insert(pk.clone(), data(item)?);
                }
                _ => return Err(StoreError::unreadable("an item without a key")),
            }
        }
        Ok((owner, users))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(user_id: Option<&str>, made_by: Option<Maker>) -> KeyOwner {
        KeyOwner {
            organisation_id: "demo".to_owned(),
            key_id: "key_1".to_owned(),
            key_role: Role::Admin,
            role: Role::Admin,
            is_blocked: false,
            user_id: user_id.map(str::to_owned),
            made_by,
        }
    }

    #[test]
    fn a_key_answers_to_its_user_or_to_whoever_began_the_chain_of_its_makers() {
        let operators = owner(None, Some(Maker::operator()));
        assert_eq!(operators.responsible_user_id(), None);
        let anns = owner(Some("ann"), Some(operators.as_maker()));
        assert_eq!(anns.responsible_user_id(), Some("ann"));
        let mut key = anns;
        for _ in 0..10 {
            key = owner(None, Some(key.as_maker()));
            assert_eq!(key.responsible_user_id(), Some("ann"));
        }
        let bobs = owner(Some("bob"), Some(key.as_maker()));
        assert_eq!(bobs.responsible_user_id(), Some("bob"));
        assert_eq!(owner(None, None).responsible_user_id(), None, "not kept");
    }

    #[test]
    fn a_row_of_a_key_that_was_stored_before_its_maker_was_kept_is_read() {
        let stored =
            r#"{"organisation_id": "demo", "key_id": "key_1", "role": "admin", "user_id": null}"#;
        let row: OwnerRow = serde_json::from_str(stored).unwrap();
        assert_eq!(KeyOwner::from(row), owner(None, None));
    }
}
