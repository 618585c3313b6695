//! Keys and clients, without their secrets.

use crate::domain::org::authority::{Maker, makers, responsible_user_id};
use crate::domain::org::people::Role;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// A key without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKey {
    /// A generated id such as `key_...`.
    pub id: String,
    pub role: Role,
    /// The user whom it is bound to.
    pub user_id: Option<String>,
    pub description: Option<String>,
    pub created_at: Timestamp,
    /// Who made it. None for keys from releases that did not store it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_by: Option<Maker>,
    /// The SHA-256 of the secret, in hex.
    pub digest: String,
}

impl ApiKey {
    /// Returns the user who is responsible for the key. None means the operator.
    pub fn responsible_user_id(&self) -> Option<&str> {
        responsible_user_id(self.user_id.as_deref(), self.made_by.as_ref())
    }

    /// Returns all users in the chain of its makers.
    pub fn makers(&self) -> BTreeSet<&str> {
        makers(self.made_by.as_ref())
    }
}
