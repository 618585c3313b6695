//! The owners of keys and clients, and the users on whom their power depends.

use super::Store;
use super::configuration::data;
use super::error::StoreError;
use super::item::Item;
use super::key_owner::{KeyOwner, OrganisationUser};
use super::keys::{self, API_KEY, CLIENT, Key, USER};
use super::rows::Row;
use crate::domain::org::api_key::ApiKey;
use crate::domain::org::authority::{Backing, Maker};
use crate::domain::org::people::{Role, User};
use aws_sdk_dynamodb::types::AttributeValue;
use serde::{Deserialize, Serialize};

/// The credential of a caller.
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

/// The owner that a credential leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialOwner {
    pub owner: KeyOwner,
    /// Who gives it its power.
    pub backing: Backing,
    /// The SHA-256 of a client's secret, in hex. None for a key.
    pub secret_digest: Option<String>,
}

/// An owner and, for a client, the digest of its secret.
type Read = (KeyOwner, Option<String>);

/// The row that a key's secret leads to.
#[derive(Serialize, Deserialize)]
struct OwnerRow {
    organisation_id: String,
    key_id: String,
    role: Role,
    user_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    made_by: Option<Maker>,
}

/// The row that a client's id leads to.
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
    /// Returns the two rows of a key: one under its organisation, one that leads from its secret to
    /// the organisation.
    pub fn api_key(organisation_id: &str, key: &ApiKey) -> Result<[Self; 2], StoreError> {
        let listed = keys::governance(organisation_id, format!("{API_KEY}{}", key.id));
        let owner = OwnerRow::of(organisation_id, key);
        Ok([
            Self::new(listed, key)?,
            Self::new(keys::secret(&key.digest), &owner)?,
        ])
    }

    /// Returns the deletions of a key's two rows.
    pub fn no_api_key(organisation_id: &str, key: &ApiKey) -> [Self; 2] {
        let listed = keys::governance(organisation_id, format!("{API_KEY}{}", key.id));
        [Self::gone(listed), Self::gone(keys::secret(&key.digest))]
    }

    /// Returns the two rows of a client: one under its organisation, one that leads from its id to
    /// the organisation.
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

    /// Returns the deletions of a client's two rows.
    pub fn no_client(organisation_id: &str, id: &str) -> [Self; 2] {
        let listed = keys::governance(organisation_id, format!("{CLIENT}{id}"));
        [Self::gone(listed), Self::gone(keys::client(id))]
    }
}

impl Store {
    /// Returns the owner that a credential leads to, with the users on whom its power depends, as
    /// they are now. `last` is the owner that the caller last read, if any: then one read gets
    /// everything. Without it, a key that depends on users takes two.
    pub async fn find_owner(
        &self,
        credential: Credential<'_>,
        last: Option<&KeyOwner>,
    ) -> Result<Option<CredentialOwner>, StoreError> {
        let expected: Vec<(&str, &str)> = last.map(named_backers).unwrap_or_default();
        let (read, users) = match expected.is_empty() {
            true => (self.owner(credential).await?, Vec::new()),
            false => self.owner_and_users(credential, &expected).await?,
        };
        let Some((owner, secret_digest)) = read else {
            return Ok(None);
        };
        let backing = match named_backers(&owner) == expected {
            true => owner.backing(&users),
            false => self.backing(&owner).await?,
        };
        Ok(Some(CredentialOwner {
            owner,
            backing,
            secret_digest,
        }))
    }

    /// Returns who gives a key its power, with the users as they are now. Takes one read, or none
    /// if it depends on nobody.
    pub async fn backing(&self, owner: &KeyOwner) -> Result<Backing, StoreError> {
        let organisation_id = owner.organisation_id.as_str();
        let backers = owner.backers();
        let users: Vec<User> = match backers.as_slice() {
            [] => Vec::new(),
            [user_id] => {
                let user = self.user(organisation_id, user_id).await?;
                user.into_iter().collect()
            }
            several => {
                let places = several
                    .iter()
                    .map(|user_id| keys::governance(organisation_id, format!("{USER}{user_id}")));
                let asked = places.map(|key| key.attributes()).collect();
                let found = self.items(&self.tables.governance, asked, None).await?;
                let users = found.into_iter().map(data::<User>);
                users.collect::<Result<_, _>>()?
            }
        };
        let users: Vec<OrganisationUser> = users
            .into_iter()
            .map(|user| (organisation_id.to_owned(), user))
            .collect();
        Ok(owner.backing(&users))
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

    /// Returns the owner of the key with this digest, and the user as each of these organisations,
    /// which must be distinct, knows them. Takes one read.
    pub async fn key_owner_and_users(
        &self,
        digest: &str,
        organisation_ids: &[&str],
        user_id: &str,
    ) -> Result<(Option<KeyOwner>, Vec<OrganisationUser>), StoreError> {
        let asked: Vec<(&str, &str)> = organisation_ids
            .iter()
            .map(|organisation_id| (*organisation_id, user_id))
            .collect();
        let (read, users) = self
            .owner_and_users(Credential::Key(digest), &asked)
            .await?;
        let owner = read.map(|(owner, _)| owner);
        Ok((owner, users))
    }

    /// Reads a key and users, each named by organisation and id.
    async fn owner_and_users(
        &self,
        credential: Credential<'_>,
        named: &[(&str, &str)],
    ) -> Result<(Option<Read>, Vec<OrganisationUser>), StoreError> {
        let of_users = named.iter().map(|(organisation_id, user_id)| {
            keys::governance(organisation_id, format!("{USER}{user_id}"))
        });
        let place = credential.place();
        let asked = of_users.chain([place.clone()]).map(|key| key.attributes());
        let found = self.items(&self.tables.governance, asked.collect(), None);
        let (mut owner, mut users) = (None, Vec::new());
        for item in found.await? {
            match item.get("pk") {
                Some(AttributeValue::S(pk)) if *pk == place.pk => {
                    owner = Some(credential.read(item)?);
                }
                Some(AttributeValue::S(pk)) => {
                    users.push((pk.clone(), data(item)?));
                }
                _ => return Err(StoreError::unreadable("an item without a key")),
            }
        }
        Ok((owner, users))
    }
}

/// Returns the users on whom the power of a key depends, each with the organisation.
fn named_backers(owner: &KeyOwner) -> Vec<(&str, &str)> {
    let backers = owner.backers().into_iter();
    backers
        .map(|user_id| (owner.organisation_id.as_str(), user_id))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_of_a_key_that_was_stored_before_its_maker_was_kept_is_read() {
        let stored =
            r#"{"organisation_id": "demo", "key_id": "key_1", "role": "admin", "user_id": null}"#;
        let row: OwnerRow = serde_json::from_str(stored).unwrap();
        let owner = KeyOwner {
            organisation_id: "demo".to_owned(),
            key_id: "key_1".to_owned(),
            key_role: Role::Admin,
            role: Role::Admin,
            is_blocked: false,
            user_id: None,
            made_by: None,
        };
        assert_eq!(KeyOwner::from(row), owner);
    }
}
