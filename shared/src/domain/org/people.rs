//! Users, their roles, and their blocks.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// The most former departments that a user's row remembers. Usage arrives up to 13 months late, and
/// may wait in a queue for two more weeks. The oldest entries are dropped.
const MAX_FORMER: usize = 100;
const REMEMBERED: SignedDuration = SignedDuration::from_hours(425 * 24);

/// The permission of a key. A user has one of the first three.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Role {
    Admin,
    /// Bound to a user. Also sees the user's reports.
    Manager,
    /// Bound to a user. Sees only that user.
    Member,
    /// Preflight, holds and events for any user, and nothing else.
    Agent,
}

impl Role {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Manager => "manager",
            Self::Member => "member",
            Self::Agent => "agent",
        }
    }
}

/// Whether a user may use LLMs at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = UserStatus))]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Active,
    /// May not use LLMs until activated again.
    Suspended,
}

/// A user's block from LLMs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// The policy that blocked. None if an administrator did.
    pub policy_id: Option<String>,
    /// The message for the user.
    pub reason: String,
    pub since: Timestamp,
    /// When it ends by itself. None if it lasts until it is released.
    pub until: Option<Timestamp>,
}

impl Block {
    /// Returns true if the block is in force at `now`.
    pub fn is_in_force(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

/// A user's time in a former department.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stay {
    /// The department's number, never reused.
    pub department: u32,
    pub until: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    pub id: String,
    pub email: String,
    pub name: String,
    /// The department whose budgets count the user's usage.
    pub department_id: String,
    /// The former departments, ascending.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub former: Vec<Stay>,
    /// The user's manager, if there is one.
    pub manager_id: Option<String>,
    /// `member`, `manager` or `admin`.
    pub role: Role,
    pub status: Status,
    /// The block in force, or one that has expired.
    pub block: Option<Block>,
    /// Counts the changes, from 1.
    pub version: u64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

impl User {
    /// Moves the user to `department_id` from `now` on. `left` is the number of the previous
    /// department.
    pub fn move_to(&mut self, department_id: String, left: u32, now: Timestamp) {
        self.department_id = department_id;
        // If two clocks differ, the slower one does not undo the change of the other.
        let is_later = self.former.last().is_none_or(|last| last.until < now);
        if is_later {
            self.former.push(Stay {
                department: left,
                until: now,
            });
        }
        let oldest = now.saturating_sub(REMEMBERED).unwrap_or(now);
        self.former.retain(|stay| stay.until >= oldest);
        let surplus = self.former.len().saturating_sub(MAX_FORMER);
        self.former.drain(..surplus);
    }

    /// Returns the number of the user's department at `at`. None if it is today's. Moments before
    /// the oldest entry belong to the oldest.
    pub fn former_department(&self, at: Timestamp) -> Option<u32> {
        let stay = self.former.iter().find(|stay| at < stay.until);
        stay.map(|stay| stay.department)
    }
}

/// The people to ask about a user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Superiors {
    /// Their manager, with the reason.
    pub manager: Option<(User, String)>,
    /// The administrators, if there is no manager.
    pub administrators: Vec<User>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_795_000_000 + second).unwrap()
    }

    fn user() -> User {
        User {
            id: "ada".into(),
            email: "ada@example.com".into(),
            name: "Ada".into(),
            department_id: "a".into(),
            former: Vec::new(),
            manager_id: None,
            role: Role::Member,
            status: Status::Active,
            block: None,
            version: 1,
            created_at: at(0),
            updated_at: at(0),
        }
    }

    #[test]
    fn a_user_is_where_they_were_at_each_moment() {
        let mut user = user();
        user.move_to("b".into(), 0, at(10));
        user.move_to("a".into(), 1, at(12));
        user.move_to("c".into(), 0, at(20));
        let where_at = [-5, 0, 9, 10, 11, 12, 19, 20, 99].map(|n| user.former_department(at(n)));
        let (a, b, today) = (Some(0), Some(1), None);
        assert_eq!(where_at, [a, a, a, b, b, a, a, today, today]);
    }

    #[test]
    fn a_stay_of_no_time_leaves_nothing() {
        let mut user = user();
        user.move_to("b".into(), 0, at(10));
        user.move_to("c".into(), 1, at(10));
        user.move_to("d".into(), 2, at(8));
        assert_eq!(user.former.len(), 1);
        assert_eq!(user.former_department(at(9)), Some(0));
        assert_eq!(user.former_department(at(10)), None);
    }

    #[test]
    fn the_oldest_stays_are_forgotten() {
        let mut user = user();
        for n in 1..=150_u32 {
            user.move_to("b".into(), n, at(n.into()));
        }
        assert_eq!(user.former.len(), MAX_FORMER);
        assert_eq!(user.former_department(at(0)), Some(51));
        let much_later = at(0) + REMEMBERED + SignedDuration::from_hours(24);
        user.move_to("c".into(), 7, much_later);
        assert_eq!(user.former.len(), 1);
        // Every preflight with a cold cache reads the row.
        let row = serde_json::to_string(&user).unwrap();
        assert!(row.len() < 12_000, "{}", row.len());
    }
}
