//! Keys and clients, without their secrets.

use super::authority::{Maker, makers, responsible_user_id};
use super::people::Role;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// A key without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKey {
    /// Made here: `key_...`.
    pub id: String,
    /// What it may do.
    pub role: Role,
    /// Whom it is bound to.
    pub user_id: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Who made it; none for a key that was made before that was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_by: Option<Maker>,
    /// The SHA-256 of the secret, in hex.
    pub digest: String,
}

impl ApiKey {
    /// Returns who answers for the key; none is the operator.
    pub fn responsible_user_id(&self) -> Option<&str> {
        responsible_user_id(self.user_id.as_deref(), self.made_by.as_ref())
    }

    /// Returns everybody in the chain of its makers.
    pub fn makers(&self) -> BTreeSet<&str> {
        makers(self.made_by.as_ref())
    }
}
