//! The caller of a request, and what they may call.

use super::{Keys, UNKNOWN, bearer};
use crate::runtime::endpoint::{Access, Endpoint};
use crate::runtime::error::{ApiError, ErrorCode};
use crate::runtime::roles::RoleScope;
use crate::store::KeyOwner;
use axum::extract::{FromRef, FromRequestParts};
use http::header::AUTHORIZATION;
use http::request::Parts;

/// The answer to a change by a blocked user.
const BLOCKED: &str = "the user of this key is blocked: until the block ends, the key can only \
    read the user's own data, request exemptions and report usage";

/// The caller of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    /// The operator of the deployment.
    Operator {
        /// The secret, to seal answers with. It is never stored or logged.
        secret: Secret,
    },
    /// A key of an organisation.
    Key {
        owner: KeyOwner,
        /// The secret, to seal answers with. It is never stored or logged.
        secret: Secret,
    },
}

/// A secret that no log shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

impl Caller {
    pub fn owner(&self) -> Result<&KeyOwner, ApiError> {
        match self {
            Self::Operator { .. } => Err(operator_only()),
            Self::Key { owner, .. } => Ok(owner),
        }
    }

    /// Returns the caller if they may call this endpoint. Nobody may call what none declares.
    fn allowed(self, endpoint: Option<&Endpoint>) -> Result<Self, ApiError> {
        let is_open_while_blocked = endpoint.is_some_and(|of| of.is_open_while_blocked);
        match (&self, endpoint.map(|of| of.access)) {
            (_, Some(Access::Anybody)) | (Self::Operator { .. }, Some(Access::Operator)) => {
                Ok(self)
            }
            (Self::Key { owner, .. }, Some(Access::Roles(roles)))
                if roles.contains(&owner.role) =>
            {
                match owner.is_blocked && !is_open_while_blocked {
                    true => Err(ApiError::forbidden(BLOCKED)),
                    false => Ok(self),
                }
            }
            (Self::Operator { .. }, _) => Err(operator_only()),
            (Self::Key { .. }, Some(Access::Operator)) => {
                Err(ApiError::forbidden("only the operator's key may do this"))
            }
            (Self::Key { owner, .. }, _) => Err(role_refused(owner)),
        }
    }

    pub fn secret(&self) -> &str {
        match self {
            Self::Operator { secret } | Self::Key { secret, .. } => &secret.0,
        }
    }
}

/// Builds the error that says why a key may not call an endpoint.
fn role_refused(owner: &KeyOwner) -> ApiError {
    let role = owner.role.as_str();
    if owner.is_blocked {
        return ApiError::forbidden(BLOCKED);
    }
    let key_role = owner.key_role.as_str();
    ApiError::forbidden(match owner.role == owner.key_role {
        true => format!("a key with the role {role} may not do this"),
        false if owner.user_id.is_none() => format!(
            "the key was made for the role {key_role}, but somebody who made it is suspended, \
             blocked or not an administrator: until that changes, it has the role agent"
        ),
        false => format!(
            "the key was made for the role {key_role}, but its user is a {role} now, and a {role} \
             may not do this"
        ),
    })
}

fn operator_only() -> ApiError {
    ApiError::forbidden("the operator's key manages organisations only")
}

/// Whether a key may act for `user_id`: agents and administrators for any user, others for their
/// own.
pub fn may_act_for(owner: &KeyOwner, user_id: &str) -> bool {
    acts_for_all(owner) || owner.user_id.as_deref() == Some(user_id)
}

/// Whether a key acts for any user, as that of a gateway does.
pub fn acts_for_all(owner: &KeyOwner) -> bool {
    match owner.role.scope() {
        RoleScope::All | RoleScope::AnyUser => true,
        RoleScope::Managed | RoleScope::Own => false,
    }
}

impl<S> FromRequestParts<S> for Caller
where
    S: Send + Sync,
    Keys: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let keys = Keys::from_ref(state);
        let unauthorized = |message: &str| ApiError::new(ErrorCode::Unauthorized, message);
        if !parts.headers.contains_key(AUTHORIZATION) {
            return Err(unauthorized("send a key: Authorization: Bearer <key>"));
        }
        let endpoint = parts.extensions.get::<Endpoint>().copied();
        let path = endpoint.map_or("", |of| of.path);
        let secret = bearer(&parts.headers);
        let secret = secret.ok_or_else(|| keys.refusal(&parts.extensions, UNKNOWN))?;
        let caller = keys.caller(secret, parts, path).await?;
        caller.allowed(endpoint.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::org::people::Role;
    use crate::runtime::endpoint::MethodFilter;

    fn owner(key_role: Role, role: Role, is_blocked: bool) -> Caller {
        let owner = KeyOwner {
            organisation_id: "demo".to_owned(),
            key_id: "key_1".to_owned(),
            key_role,
            role,
            is_blocked,
            user_id: Some("ann".to_owned()),
            made_by: None,
        };
        let secret = Secret("tk_1".to_owned());
        Caller::Key { owner, secret }
    }

    fn endpoint(method: &'static str, access: Access, is_open_while_blocked: bool) -> Endpoint {
        Endpoint {
            method,
            filter: MethodFilter::GET,
            path: "/v1/things",
            access,
            is_open_while_blocked,
        }
    }

    #[test]
    fn what_is_not_declared_is_for_nobody() {
        let admin = owner(Role::Admin, Role::Admin, false);
        let declared = endpoint("GET", Access::ADMIN, true);
        assert!(admin.clone().allowed(Some(&declared)).is_ok());
        assert!(admin.allowed(None).is_err());
    }

    #[test]
    fn a_refusal_says_that_it_is_the_user_who_lost_the_role_or_is_blocked() {
        for (caller, words) in [
            (
                owner(Role::Member, Role::Member, false),
                "with the role member",
            ),
            (
                owner(Role::Admin, Role::Member, false),
                "its user is a member now",
            ),
            (owner(Role::Admin, Role::Member, true), "is blocked"),
        ] {
            let changing = endpoint("POST", Access::ADMIN, false);
            let refused = caller.allowed(Some(&changing)).unwrap_err();
            assert_eq!(refused.code, ErrorCode::Forbidden);
            assert!(refused.message.contains(words), "{}", refused.message);
        }
        let Caller::Key { owner: of_ann, .. } = owner(Role::Admin, Role::Agent, false) else {
            panic!("a key");
        };
        let nobodys = KeyOwner {
            user_id: None,
            ..of_ann
        };
        let refused = role_refused(&nobodys).message;
        assert!(refused.contains("somebody who made it is"), "{refused}");
        let blocked = owner(Role::Admin, Role::Member, true);
        for access in [Access::OWN, Access::TRAFFIC] {
            let open = endpoint("POST", access, true);
            assert!(blocked.clone().allowed(Some(&open)).is_ok());
            let closed = endpoint("POST", access, false);
            assert!(blocked.clone().allowed(Some(&closed)).is_err());
        }
    }
}
