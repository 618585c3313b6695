//! Keys: whose request it is, and what its role may do.

use super::clock::Clock;
use super::error::{ApiError, ErrorCode};
use super::http::StandingSlot;
use super::rate::Rates;
use super::roles::{Sphere, Who, who_may};
use super::token::Tokens;
use crate::store::{KeyOwner, Store, StoreError, digest_of};
use axum::extract::{FromRef, FromRequestParts, MatchedPath};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use http::request::Parts;
use jiff::Timestamp;
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
    tokens: Tokens,
    rates: Rates,
    clock: Clock,
}

impl Keys {
    /// Keys of `store` and tokens of `tokens`, by `clock`, as often as `rates` allow.
    pub fn new(store: Store, tokens: Tokens, rates: Rates, clock: Clock) -> Self {
        Self {
            store,
            operator_digest: None,
            believed: Arc::default(),
            outage: Duration::ZERO,
            tokens,
            rates,
            clock,
        }
    }

    /// The same where the function serves the operator, too.
    #[must_use]
    pub fn with_operator(self, operator_key: &str) -> Self {
        Self {
            operator_digest: Some(digest_of(operator_key)),
            ..self
        }
    }

    /// The same with other limits.
    #[must_use]
    pub fn with_rates(self, rates: Rates) -> Self {
        Self { rates, ..self }
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

    /// Whose a key or token is.
    async fn owner(&self, secret: &str) -> Result<Option<KeyOwner>, ApiError> {
        if !Tokens::has_form(secret) {
            let digest = digest_of(secret);
            let asked = self.store.key_owner(&digest);
            return self.asked(&digest, asked).await;
        }
        let Some(claims) = self.tokens.read(secret, self.clock.now()) else {
            return Ok(None);
        };
        let asked = async {
            let client = self.store.client(&claims.sub).await?;
            let of_same = |owner: &KeyOwner| owner.organisation_id == claims.org;
            Ok(client.map(|client| client.owner).filter(of_same))
        };
        self.asked(&Tokens::name(&claims), asked).await
    }

    /// What is remembered under `name`, or else what `asking` finds.
    async fn asked(
        &self,
        name: &str,
        asking: impl Future<Output = Result<Option<KeyOwner>, StoreError>>,
    ) -> Result<Option<KeyOwner>, ApiError> {
        if let Some(owner) = self.remembered(name, KEY_BELIEVED) {
            return Ok(Some(owner));
        }
        let asked_at = Instant::now();
        let owner = match asking.await {
            Ok(owner) => owner,
            Err(error @ StoreError::Unavailable(_)) => {
                let known = self.remembered(name, self.outage);
                return known.map(Some).ok_or_else(|| error.into());
            }
            Err(error) => return Err(error.into()),
        };
        self.remember(name, owner.as_ref(), asked_at);
        Ok(owner)
    }

    /// Remembers whose a key is, or that it is nobody's, as it was read at `asked_at`; `name` is the digest of a key.
    pub fn remember(&self, name: &str, owner: Option<&KeyOwner>, asked_at: Instant) {
        if let Ok(mut believed) = self.believed.lock() {
            if believed.len() >= MAX_REMEMBERED {
                believed.clear();
            }
            match owner {
                Some(owner) => believed.insert(name.to_owned(), (owner.clone(), asked_at)),
                None => believed.remove(name),
            };
        }
    }

    /// The digest of the key that a request comes with, where it would have to be asked for.
    pub fn unknown(&self, headers: &HeaderMap) -> Option<String> {
        let secret = bearer(headers).filter(|secret| !Tokens::has_form(secret))?;
        let digest = digest_of(secret);
        self.remembered(&digest, KEY_BELIEVED)
            .is_none()
            .then_some(digest)
    }

    /// Counts a request of a caller, and refuses one too many.
    async fn count(&self, caller: &Caller, parts: &Parts) -> Result<(), ApiError> {
        let (organisation_id, key_id) = match caller {
            Caller::Operator { .. } => ("@operator", "operator"),
            Caller::Key { owner, .. } => (owner.organisation_id.as_str(), owner.key_id.as_str()),
        };
        let now = Timestamp::now();
        let Some(standing) = self.rates.take(organisation_id, key_id, now).await else {
            return Ok(());
        };
        if let Some(slot) = parts.extensions.get::<StandingSlot>() {
            slot.set(standing);
        }
        if standing.is_over {
            let message = format!(
                "the key has made its {} requests of this minute; go on in {} seconds",
                standing.limit, standing.resets_in
            );
            return Err(ApiError::new(ErrorCode::RateLimited, message));
        }
        Ok(())
    }
}

/// The secret of a request.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, secret) = value.split_once(' ')?;
    let secret = scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| secret.trim())?;
    (1..=1024).contains(&secret.len()).then_some(secret)
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
        if !parts.headers.contains_key(AUTHORIZATION) {
            return Err(unauthorized("send a key: Authorization: Bearer <key>"));
        }
        let unknown = || unauthorized("the key is not known or was revoked");
        let secret = bearer(&parts.headers).ok_or_else(unknown)?;
        let is_operator = keys
            .operator_digest
            .as_ref()
            .is_some_and(|digest| *digest == digest_of(secret));
        let caller = if is_operator {
            let secret = Secret(secret.to_owned());
            Self::Operator { secret }
        } else {
            let owner = keys.owner(secret).await?;
            let owner = owner.ok_or_else(unknown)?;
            let secret = match Tokens::has_form(secret) {
                true => keys.tokens.secret_of(&owner),
                false => secret.to_owned(),
            };
            let secret = Secret(secret);
            Self::Key { owner, secret }
        };
        keys.count(&caller, parts).await?;
        let path = parts.extensions.get::<MatchedPath>();
        caller.allowed(parts.method.as_str(), path.map_or("", MatchedPath::as_str))
    }
}
