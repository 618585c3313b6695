//! How far each role sees. Each endpoint says which roles may call it, see
//! [`endpoint`](super::endpoint).

use crate::domain::org::people::Role;

/// How far a role sees and acts within its organisation, if an endpoint is open to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoleScope {
    /// Everything in the organisation.
    All,
    /// Itself, its reports, and the departments it manages with all under them and their users.
    Managed,
    /// Its own user only.
    Own,
    /// Any user, by preflight, holds and events only.
    AnyUser,
}

impl Role {
    pub fn scope(self) -> RoleScope {
        match self {
            Self::Admin => RoleScope::All,
            Self::Manager => RoleScope::Managed,
            Self::Member => RoleScope::Own,
            Self::Agent => RoleScope::AnyUser,
        }
    }
}
