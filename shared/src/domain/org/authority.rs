//! The effective permission of a key, and the people who answer for it.
//!
//! A key that is bound to a user never does more than its user may do now. A key without a user
//! acts for its makers: an administrator's key of this kind is one only while every maker is an
//! administrator. Makers have seen the secret, so every key remembers all of its makers.

use crate::domain::org::people::{Block, Role, Status, User};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The operator's name as an actor in the audit log.
pub const OPERATOR: &str = "operator";
/// The most people in the chain of makers of a key. All of them are read together with the key.
pub const MAX_MAKERS: usize = 32;

impl Role {
    /// Returns the less powerful of both roles. An agent's role is for keys without a user. Beside
    /// a user's role it counts as a member's.
    pub fn lesser(self, other: Self) -> Self {
        match (self, other) {
            (Self::Admin, Self::Admin) => Self::Admin,
            (Self::Admin | Self::Manager, Self::Admin | Self::Manager) => Self::Manager,
            _ => Self::Member,
        }
    }

    /// Returns true if a user with the role `user` may have a key for this role.
    pub fn is_within(self, user: Self) -> bool {
        self.lesser(user) == self
    }
}

/// The source of a key's power.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Backing {
    Organisation,
    /// The user that the key is bound to.
    User {
        role: Role,
        status: Status,
        /// The block in force, or one that has expired.
        block: Option<Block>,
    },
    /// The user was deleted.
    Gone,
    /// The makers of an administrator's key that is bound to no user. Each is one of the two above.
    Makers(Vec<Backing>),
}

/// The effective permission of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Power {
    /// The lesser of the key's role and its user's, or an agent's if a maker is not an
    /// administrator now.
    pub role: Role,
    /// True if the user is blocked: the key reads the user's own data and requests exemptions, and
    /// changes nothing.
    pub is_blocked: bool,
}

/// Why a key has no permissions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Powerless {
    Suspended,
    Gone,
}

impl Powerless {
    /// Returns the message for the caller. `what` is `key` or `client`.
    pub fn message(self, what: &str) -> String {
        match self {
            Self::Suspended => format!(
                "the user of this {what} is suspended; an administrator can activate the user again"
            ),
            Self::Gone => format!("the user of this {what} was deleted"),
        }
    }
}

impl Backing {
    /// Returns the backing of a bound key, given its user as just read.
    pub fn of(user: Option<&User>) -> Self {
        match user {
            Some(user) => Self::User {
                role: user.role,
                status: user.status,
                block: user.block.clone(),
            },
            None => Self::Gone,
        }
    }

    /// Returns the effective permission at `now` of a key that was made for `key_role`.
    pub fn power(&self, key_role: Role, now: Timestamp) -> Result<Power, Powerless> {
        match self {
            Self::Organisation => Ok(Power {
                role: key_role,
                is_blocked: false,
            }),
            Self::Gone => Err(Powerless::Gone),
            Self::User {
                status: Status::Suspended,
                ..
            } => Err(Powerless::Suspended),
            Self::User { role, block, .. } => {
                let is_blocked = block.as_ref().is_some_and(|block| block.is_in_force(now));
                let limit = if is_blocked { Role::Member } else { *role };
                Ok(Power {
                    role: key_role.lesser(limit),
                    is_blocked,
                })
            }
            Self::Makers(makers) => {
                let is_administrator = |maker: &Self| {
                    let power = maker.power(Role::Admin, now);
                    power.is_ok_and(|power| power.role == Role::Admin)
                };
                // Servers that use such a key continue with an agent's permission.
                let role = match makers.iter().all(is_administrator) {
                    true => key_role,
                    false => Role::Agent,
                };
                Ok(Power {
                    role,
                    is_blocked: false,
                })
            }
        }
    }
}

/// Who made a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Maker {
    /// Its name in the audit log: `key/<id>` or `operator`.
    pub actor: String,
    /// The person who answers for the making key: its user, or else the nearest user among its
    /// makers. None for the operator.
    pub user_id: Option<String>,
    /// Everybody in the chain of keys: the user above, the maker of that key, and so on. Computed
    /// when a key is made, so no chain is followed later. Empty for keys from before it was
    /// recorded.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub user_ids: BTreeSet<String>,
}

impl Maker {
    pub fn operator() -> Self {
        Self {
            actor: OPERATOR.to_owned(),
            user_id: None,
            user_ids: BTreeSet::new(),
        }
    }

    /// Returns everybody in the chain.
    pub fn people(&self) -> BTreeSet<&str> {
        let all = self.user_ids.iter().chain(&self.user_id);
        all.map(String::as_str).collect()
    }
}

/// Returns everybody in the chain of makers of a key, without the operator.
pub fn makers(made_by: Option<&Maker>) -> BTreeSet<&str> {
    made_by.map(Maker::people).unwrap_or_default()
}

/// Returns the person who answers for a key: its user, or else the nearest user among its makers.
/// None for the operator.
pub fn responsible_user_id<'a>(
    user_id: Option<&'a str>,
    made_by: Option<&'a Maker>,
) -> Option<&'a str> {
    user_id.or_else(|| made_by?.user_id.as_deref())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-11-24T12:00:00Z";

    fn user(role: Role, status: Status, blocked_until: Option<&str>) -> Backing {
        Backing::User {
            role,
            status,
            block: blocked_until.map(|until| Block {
                policy_id: None,
                reason: "a leak".to_owned(),
                since: "2026-11-24T11:00:00Z".parse().unwrap(),
                until: until.parse().ok(),
            }),
        }
    }

    fn power(backing: &Backing, key_role: Role) -> Result<Power, Powerless> {
        backing.power(key_role, NOW.parse().unwrap())
    }

    #[test]
    fn a_key_does_no_more_than_its_user_and_no_more_than_it_was_made_for() {
        use Role::{Admin, Agent, Manager, Member};
        for (key, of_user, expected) in [
            (Admin, Admin, Admin),
            (Admin, Manager, Manager),
            (Admin, Member, Member),
            (Manager, Admin, Manager),
            (Member, Admin, Member),
            (Manager, Member, Member),
            (Agent, Admin, Member),
        ] {
            let active = user(of_user, Status::Active, None);
            let found = power(&active, key).unwrap();
            assert_eq!((found.role, found.is_blocked), (expected, false));
            assert_eq!(key.is_within(of_user), key == expected);
        }
        let alone = power(&Backing::Organisation, Agent).unwrap();
        assert_eq!(alone.role, Agent);
    }

    #[test]
    fn a_key_of_somebody_suspended_or_gone_does_nothing() {
        let suspended = user(Role::Admin, Status::Suspended, None);
        assert_eq!(power(&suspended, Role::Member), Err(Powerless::Suspended));
        assert_eq!(
            power(&Backing::of(None), Role::Member),
            Err(Powerless::Gone)
        );
    }

    #[test]
    fn a_block_makes_an_administrator_a_member_who_changes_nothing_until_it_ends() {
        for (until, role, is_blocked) in [
            ("2026-11-24T12:00:01Z", Role::Member, true),
            ("", Role::Member, true),
            ("2026-11-24T12:00:00Z", Role::Admin, false),
        ] {
            let blocked = user(Role::Admin, Status::Active, Some(until));
            let expected = Power { role, is_blocked };
            assert_eq!(power(&blocked, Role::Admin), Ok(expected), "{until}");
        }
    }

    #[test]
    fn the_user_of_a_key_answers_for_it_before_whoever_made_it() {
        let made_by = |user_id: Option<&str>| Maker {
            actor: "key/key_1".to_owned(),
            user_id: user_id.map(str::to_owned),
            user_ids: BTreeSet::new(),
        };
        let (by_root, by_operator) = (made_by(Some("root")), made_by(None));
        for (user_id, made_by, expected) in [
            (Some("ada"), Some(&by_root), Some("ada")),
            (Some("ada"), None, Some("ada")),
            (None, Some(&by_root), Some("root")),
            (None, Some(&by_operator), None),
            (None, None, None),
        ] {
            assert_eq!(responsible_user_id(user_id, made_by), expected);
        }
    }

    #[test]
    fn an_unbound_administrators_key_is_an_agents_if_a_maker_is_no_administrator() {
        let right = || user(Role::Admin, Status::Active, None);
        let ended = user(Role::Admin, Status::Active, Some("2026-11-24T12:00:00Z"));
        let of = |role: Role| -> Result<Power, Powerless> {
            Ok(Power {
                role,
                is_blocked: false,
            })
        };
        for makers in [vec![right()], vec![right(), right(), ended]] {
            let makers = Backing::Makers(makers);
            assert_eq!(power(&makers, Role::Admin), of(Role::Admin));
        }
        for lost in [
            user(Role::Admin, Status::Suspended, None),
            user(Role::Manager, Status::Active, None),
            user(Role::Member, Status::Active, None),
            user(Role::Admin, Status::Active, Some("2026-11-24T12:00:01Z")),
            Backing::Gone,
        ] {
            for makers in [vec![lost.clone()], vec![right(), lost, right()]] {
                let makers = Backing::Makers(makers);
                assert_eq!(power(&makers, Role::Admin), of(Role::Agent), "{makers:?}");
            }
        }
    }

    #[test]
    fn a_chain_that_was_stored_before_all_of_it_was_kept_has_the_nearest() {
        let stored = r#"{"actor": "key/key_1", "user_id": "ann"}"#;
        let maker: Maker = serde_json::from_str(stored).unwrap();
        assert_eq!(maker.people(), BTreeSet::from(["ann"]));
        assert!(makers(Some(&Maker::operator())).is_empty() && makers(None).is_empty());
    }
}
