//! The owners of keys and clients, and the users on whom their power depends.

use super::Store;
use super::call::StoreError;
use super::configuration::data;
use super::item::Item;
use super::keys::{self, API_KEY, CLIENT, Key, USER};
use super::rows::Row;
use crate::domain::org::api_key::ApiKey;
use crate::domain::org::authority::{
    Backing, Maker, Power, Powerless, makers, responsible_user_id,
};
use crate::domain::org::people::{Role, User};
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The owner of a key or client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyOwner {
    pub organisation_id: String,
    /// The id of the key or client.
    pub key_id: String,
    /// The role that it was made for.
    pub key_role: Role,
    /// The role that it has now: never more than its user's.
    pub role: Role,
    /// Whether its user is blocked.
    pub is_blocked: bool,
    /// The user whom it is bound to.
    pub user_id: Option<String>,
    /// Who made it. None for keys from releases that did not store it.
    pub made_by: Option<Maker>,
}

impl KeyOwner {
    /// Returns the user who is responsible for the key. None means the operator.
    pub fn responsible_user_id(&self) -> Option<&str> {
        responsible_user_id(self.user_id.as_deref(), self.made_by.as_ref())
    }

    /// Returns all users in the chain of its makers.
    pub fn makers(&self) -> BTreeSet<&str> {
        makers(self.made_by.as_ref())
    }

    /// Returns all users who have or have seen its secret: its user and all of its makers.
    pub fn holders(&self) -> BTreeSet<&str> {
        let makers = self.makers().into_iter();
        makers.chain(self.user_id.as_deref()).collect()
    }

    /// Returns the maker of things that are made with this key.
    pub fn as_maker(&self) -> Maker {
        let holders = self.holders().into_iter();
        Maker {
            actor: format!("key/{}", self.key_id),
            user_id: self.responsible_user_id().map(str::to_owned),
            user_ids: holders.map(str::to_owned).collect(),
        }
    }

    /// Returns the users on whom its power depends: its own user; for an administrator's key
    /// without a user, all of its makers; for an agent's key nobody, because machines outlive the
    /// people who set them up.
    pub fn backers(&self) -> Vec<&str> {
        match (&self.user_id, self.key_role) {
            (Some(user_id), _) => vec![user_id],
            (None, Role::Admin) => self.makers().into_iter().collect(),
            (None, _) => Vec::new(),
        }
    }

    /// Returns who gives it its power. `users` are those of its backers who exist.
    pub fn backing(&self, users: &[OrganisationUser]) -> Backing {
        let of = |user_id: &str| {
            let mut users = users.iter();
            let user = users.find(|(organisation_id, user)| {
                *organisation_id == self.organisation_id && user.id == user_id
            });
            Backing::of(user.map(|(_, user)| user))
        };
        match &self.user_id {
            Some(user_id) => of(user_id),
            None if self.backers().is_empty() => Backing::Organisation,
            None => Backing::Makers(self.backers().into_iter().map(of).collect()),
        }
    }

    /// Returns the owner with the power that the key has at `now`.
    pub fn empowered(mut self, backing: &Backing, now: Timestamp) -> Result<Self, Powerless> {
        let Power { role, is_blocked } = backing.power(self.key_role, now)?;
        (self.role, self.is_blocked) = (role, is_blocked);
        Ok(self)
    }
}

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

/// An organisation's id and one of its users.
pub type OrganisationUser = (String, User);

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
        assert_eq!(key.holders(), BTreeSet::from(["ann"]));
        let bobs = owner(Some("bob"), Some(key.as_maker()));
        assert_eq!(bobs.responsible_user_id(), Some("bob"));
        assert_eq!(owner(None, None).responsible_user_id(), None, "not kept");
    }

    #[test]
    fn a_key_remembers_everybody_in_the_chain_of_its_makers() {
        let anns = owner(Some("ann"), Some(Maker::operator()));
        let bobs = owner(Some("bob"), Some(anns.as_maker()));
        let cleos = owner(Some("cleo"), Some(bobs.as_maker()));
        let nobodys = owner(None, Some(cleos.as_maker()));
        assert_eq!(bobs.makers(), BTreeSet::from(["ann"]));
        assert_eq!(nobodys.makers(), BTreeSet::from(["ann", "bob", "cleo"]));
        assert_eq!(nobodys.responsible_user_id(), Some("cleo"));
        let before_all_was_kept = Maker {
            user_ids: BTreeSet::new(),
            ..anns.as_maker()
        };
        let key = owner(Some("bob"), Some(before_all_was_kept));
        assert_eq!(key.holders(), BTreeSet::from(["ann", "bob"]));
        assert_eq!(key.as_maker().people(), BTreeSet::from(["ann", "bob"]));
    }

    #[test]
    fn the_power_of_a_key_depends_on_its_user_or_on_the_makers_of_an_administrators() {
        let anns = owner(Some("ann"), Some(Maker::operator()));
        let bobs = owner(Some("bob"), Some(anns.as_maker()));
        let nobodys = owner(None, Some(bobs.as_maker()));
        let agents = KeyOwner {
            key_role: Role::Agent,
            ..nobodys.clone()
        };
        let operators = owner(None, Some(Maker::operator()));
        for (key, backers) in [
            (&bobs, vec!["bob"]),
            (&nobodys, vec!["ann", "bob"]),
            (&agents, vec![]),
            (&operators, vec![]),
        ] {
            assert_eq!(key.backers(), backers, "{key:?}");
        }
        let neither = vec![Backing::Gone, Backing::Gone];
        assert_eq!(nobodys.backing(&[]), Backing::Makers(neither));
        assert_eq!(bobs.backing(&[]), Backing::Gone);
        assert_eq!(agents.backing(&[]), Backing::Organisation);
        assert_eq!(operators.backing(&[]), Backing::Organisation);
    }

    #[test]
    fn a_row_of_a_key_that_was_stored_before_its_maker_was_kept_is_read() {
        let stored =
            r#"{"organisation_id": "demo", "key_id": "key_1", "role": "admin", "user_id": null}"#;
        let row: OwnerRow = serde_json::from_str(stored).unwrap();
        assert_eq!(KeyOwner::from(row), owner(None, None));
    }
}
