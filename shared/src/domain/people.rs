//! Users, what they may do, and who stopped them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

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

/// Who can be asked about a user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Superiors {
    /// Their manager, and why it is them.
    pub manager: Option<(User, String)>,
    /// The administrators, where there is no manager.
    pub administrators: Vec<User>,
}
