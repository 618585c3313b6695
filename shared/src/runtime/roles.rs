//! How far each role sees. Which endpoints are open to it is said on each: see [`endpoint`](super::endpoint).

use crate::domain::people::Role;

/// How far a role sees and acts within its organisation, where an endpoint is open to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sphere {
    /// Everything.
    All,
    /// Itself, its reports, and the departments it manages with all under them and their users.
    Managed,
    /// Itself.
    Own,
    /// Any user, by preflight, holds and events only.
    AnyUser,
}

impl Role {
    /// How far the role sees.
    pub fn sphere(self) -> Sphere {
        match self {
            Self::Admin => Sphere::All,
            Self::Manager => Sphere::Managed,
            Self::Member => Sphere::Own,
            Self::Agent => Sphere::AnyUser,
        }
    }
}
