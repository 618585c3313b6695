//! Keys: whose request it is, and what its role may do.

use super::error::{ApiError, ErrorCode};
use super::roles::{Sphere, Who, who_may};
use crate::store::{KeyOwner, Store, StoreError, digest_of};
use axum::extract::{FromRef, FromRequestParts, MatchedPath};
use http::header::AUTHORIZATION;
use http::request::Parts;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How long a key is believed without asking again, so that a revoked one ends within it.
const KEY_BELIEVED: Duration = Duration::from_secs(5);
/// The most keys that one instance remembers.
const MAX_REMEMBERED: usize = 10_000;

/// The secret of the deployment and the keys of the organisations.
#[derive(Clone, Debug)]
pub struct Keys {
    store: Store,
    operator_digest: Option<String>,
    believed: Arc<Mutex<HashMap<String, (KeyOwner, Instant)>>>,
    /// How long a key that was known is believed while it cannot be asked for.
    outage: Duration,
}

impl Keys {
    /// Keys of `store`; the operator's key is known where the function serves the operator.
    pub fn new(store: Store, operator_key: Option<&str>) -> Self {
        Self {
            store,
            operator_digest: operator_key.map(digest_of),
            believed: Arc::default(),
            outage: Duration::ZERO,
        }
    }

    /// The same, believing known keys for a quarter of an hour while the database does not answer, so that the
    /// organisation's `on_unavailable` can. A key can be revoked only where the database answers.
    pub fn through_outages(self) -> Self {
        Self {
            outage: Duration::from_secs(900),
            ..self
        }
    }

    fn remembered(&self, digest: &str, for_at_most: Duration) -> Option<KeyOwner> {
        let believed = self.believed.lock().ok()?;
        let (owner, since) = believed.get(digest)?;
        (since.elapsed() < for_at_most).then(|| owner.clone())
    }

    async fn owner(&self, digest: &str) -> Result<Option<KeyOwner>, ApiError> {
        if let Some(owner) = self.remembered(digest, KEY_BELIEVED) {
            return Ok(Some(owner));
        }
        let asked_at = Instant::now();
        let owner = match self.store.key_owner(digest).await {
            Ok(owner) => owner,
            Err(error @ StoreError::Unavailable(_)) => {
                let known = self.remembered(digest, self.outage);
                return known.map(Some).ok_or_else(|| error.into());
            }
            Err(error) => return Err(error.into()),
        };
        if let Ok(mut believed) = self.believed.lock() {
            if believed.len() >= MAX_REMEMBERED {
                believed.clear();
            }
            match &owner {
                Some(owner) => believed.insert(digest.to_owned(), (owner.clone(), asked_at)),
                None => believed.remove(digest),
            };
        }
        Ok(owner)
    }
}

/// Whose request it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    /// Whoever runs the deployment.
    Operator {
        /// The secret, to seal answers with; never stored or logged.
        secret: Secret,
    },
    /// A key of an organisation.
    Key {
        /// Whose it is.
        owner: KeyOwner,
        /// The secret, to seal answers with; never stored or logged.
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
    /// The key's owner.
    pub fn owner(&self) -> Result<&KeyOwner, ApiError> {
        match self {
            Self::Operator { .. } => Err(operator_only()),
            Self::Key { owner, .. } => Ok(owner),
        }
    }

    /// The caller, where the table of roles lets them call this endpoint.
    fn allowed(self, method: &str, path: &str) -> Result<Self, ApiError> {
        let who = who_may(method, path);
        match (&self, who) {
            (_, Some(Who::Anybody)) | (Self::Operator { .. }, Some(Who::Operator)) => Ok(self),
            (Self::Key { owner, .. }, Some(Who::Roles(roles))) if roles.contains(&owner.role) => {
                Ok(self)
            }
            (Self::Operator { .. }, _) => Err(operator_only()),
            (Self::Key { .. }, Some(Who::Operator)) => {
                Err(ApiError::forbidden("only the operator's key may do this"))
            }
            (Self::Key { owner, .. }, _) => {
                let role = owner.role.as_str();
                Err(ApiError::forbidden(format!(
                    "a key with the role {role} may not do this"
                )))
            }
        }
    }

    /// The secret it came with.
    pub fn secret(&self) -> &str {
        match self {
            Self::Operator { secret } | Self::Key { secret, .. } => &secret.0,
        }
    }
}

fn operator_only() -> ApiError {
    ApiError::forbidden("the operator's key manages organisations only")
}

/// Whether a key may act for `user_id`: an agent's or administrator's for any user, the others for their own.
pub fn may_act_for(owner: &KeyOwner, user_id: &str) -> bool {
    match owner.role.sphere() {
        Sphere::All | Sphere::AnyUser => true,
        Sphere::Managed | Sphere::Own => owner.user_id.as_deref() == Some(user_id),
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
        let header = parts
            .headers
            .get(AUTHORIZATION)
            .ok_or_else(|| unauthorized("send a key: Authorization: Bearer <key>"))?;
        let unknown = || unauthorized("the key is not known or was revoked");
        let secret = header
            .to_str()
            .ok()
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, secret)| secret.trim())
            .filter(|secret| (1..=256).contains(&secret.len()))
            .ok_or_else(unknown)?;
        let digest = digest_of(secret);
        let secret = Secret(secret.to_owned());
        let caller = if keys.operator_digest.as_ref() == Some(&digest) {
            Self::Operator { secret }
        } else {
            let owner = keys.owner(&digest).await?;
            let owner = owner.ok_or_else(unknown)?;
            Self::Key { owner, secret }
        };
        let path = parts.extensions.get::<MatchedPath>();
        caller.allowed(parts.method.as_str(), path.map_or("", MatchedPath::as_str))
    }
}
