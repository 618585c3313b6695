//! Users, what they may do, and who stopped them.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// The most former departments that a user's row remembers, and for how long: usage comes up to 13 months late, and may
/// wait in a queue for two weeks beyond that. Of more, the oldest are forgotten.
const MAX_FORMER: usize = 100;
const REMEMBERED: SignedDuration = SignedDuration::from_hours(425 * 24);

/// What a key may do; a user has one of the first three.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Everything in the organisation.
    Admin,
    /// Bound to a user; sees their reports too.
    Manager,
    /// Bound to a user; sees only themselves.
    Member,
    /// Preflight, holds and events for any user; nothing else.
    Agent,
}

impl Role {
    /// The name in the API.
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
    /// May use LLMs.
    Active,
    /// May not, until made active again.
    Suspended,
}

/// Why and until when a user is kept from LLMs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// The policy that blocked, or none where an administrator did.
    pub policy_id: Option<String>,
    /// What the user is told.
    pub reason: String,
    /// When it began.
    pub since: Timestamp,
    /// When it ends by itself; none means until it is released.
    pub until: Option<Timestamp>,
}

impl Block {
    /// Whether the block is in force at `now`.
    pub fn is_in_force(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

/// The time that a user was in a department which they left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stay {
    /// The department's number, which no other department gets.
    pub department: u32,
    /// The first moment after it.
    pub until: Timestamp,
}

/// A person whose usage is counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// The caller's id.
    pub id: String,
    /// Where mail goes.
    pub email: String,
    /// For people.
    pub name: String,
    /// Whose budgets count this user's usage.
    pub department_id: String,
    /// Where they were before, ascending.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub former: Vec<Stay>,
    /// The user's manager, where they have one.
    pub manager_id: Option<String>,
    /// `member`, `manager` or `admin`.
    pub role: Role,
    /// Active or suspended.
    pub status: Status,
    /// The block in force, or one that has ended by time.
    pub block: Option<Block>,
    /// Counts the changes, from 1.
    pub version: u64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

impl User {
    /// Puts the user into `department_id` from `now` on; `left` is the number of the department that they were in.
    pub fn move_to(&mut self, department_id: String, left: u32, now: Timestamp) {
        self.department_id = department_id;
        // Of two clocks, the one that is behind does not undo what the other has done.
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

    /// Returns the number of the department that the user was in at `at`, or None if it is the one of today. What is
    /// older than all that is remembered belongs to the oldest.
    pub fn former_department(&self, at: Timestamp) -> Option<u32> {
        let stay = self.former.iter().find(|stay| at < stay.until);
        stay.map(|stay| stay.department)
    }
}

/// Who can be asked about a user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Superiors {
    /// Their manager, and why it is them.
    pub manager: Option<(User, String)>,
    /// The administrators, where there is no manager.
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
        // Every preflight that knows nobody yet reads the row.
        let row = serde_json::to_string(&user).unwrap();
        assert!(row.len() < 12_000, "{}", row.len());
    }
}
