//! The owner of a key or client: who is responsible for it, and on whom its power depends.

use crate::domain::org::authority::{
    Backing, Maker, Power, Powerless, makers, responsible_user_id,
};
use crate::domain::org::people::{Role, User};
use jiff::Timestamp;
use std::collections::BTreeSet;

/// An organisation's id and one of its users.
pub type OrganisationUser = (String, User);

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
}
