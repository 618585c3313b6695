//! Keys: who makes a request, and what their role may do.

use super::beliefs::{Beliefs, Known};
use super::clock::Clock;
use super::endpoint::{Access, Endpoint};
use super::error::{ApiError, ErrorCode};
use super::failures::Failures;
use super::http::RateLimitSlot;
use super::random::could_be_secret;
use super::rate::Rates;
use super::roles::RoleScope;
use super::source::Source;
use super::token::Tokens;
use crate::domain::org::authority::Backing;
use crate::store::{Credential, KeyOwner, Store, StoreError, digest_of};
use axum::extract::{FromRef, FromRequestParts};
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{Extensions, HeaderMap};
use jiff::Timestamp;
use std::time::{Duration, Instant};

pub const KEY_PREFIX: &str = "tk_";
/// The keys of the local stack. They have no secret form, because people type them.
const LOCAL_KEYS: [&str; 2] = ["tk_local_admin", "tk_local_agent"];
/// How long a known key is accepted while the database does not answer.
const OUTAGE: Duration = Duration::from_secs(900);
/// The answer to a change by a blocked user.
const BLOCKED: &str = "the user of this key is blocked: until the block ends, the key can only \
    read the user's own data, request exemptions and report usage";
/// The answer to an unknown key.
const UNKNOWN: &str = "the key is not known or was revoked";

/// The deployment's secret and the organisations' keys.
#[derive(Clone, Debug)]
pub struct Keys {
    store: Store,
    operator_digest: Option<String>,
    beliefs: Beliefs,
    /// The path that continues with known keys while the database does not answer.
    through_outages: Option<&'static str>,
    failures: Failures,
    tokens: Tokens,
    rates: Rates,
    clock: Clock,
}

/// The kind of a presented secret.
enum Shown {
    /// A key, by its digest.
    Key { digest: String },
    /// A client's token that this deployment signed.
    Token {
        client_id: String,
        organisation_id: String,
        name: String,
    },
}

impl Shown {
    /// Returns the name under which it is cached.
    fn name(&self) -> &str {
        match self {
            Self::Key { digest } => digest,
            Self::Token { name, .. } => name,
        }
    }

    fn credential(&self) -> Credential<'_> {
        match self {
            Self::Key { digest } => Credential::Key(digest),
            Self::Token { client_id, .. } => Credential::Client(client_id),
        }
    }

    fn fits(&self, owner: &KeyOwner) -> bool {
        match self {
            Self::Key { .. } => true,
            Self::Token {
                organisation_id, ..
            } => *organisation_id == owner.organisation_id,
        }
    }
}

impl Keys {
    /// Creates the check of the keys in `store` and the tokens of `tokens`, limited by `rates`.
    pub fn new(store: Store, tokens: Tokens, rates: Rates, clock: Clock) -> Self {
        Self {
            store,
            operator_digest: None,
            beliefs: Beliefs::default(),
            through_outages: None,
            failures: Failures::new(!rates.is_unlimited()),
            tokens,
            rates,
            clock,
        }
    }

    /// Accepts the operator's key, too.
    #[must_use]
    pub fn with_operator(self, operator_key: &str) -> Self {
        Self {
            operator_digest: Some(digest_of(operator_key)),
            ..self
        }
    }

    /// Sets other limits. Without any, unknown keys are not limited either.
    #[must_use]
    pub fn with_rates(self, rates: Rates) -> Self {
        Self {
            failures: Failures::new(!rates.is_unlimited()),
            rates,
            ..self
        }
    }

    /// Sets how long a read is trusted. The documented time is the default of five seconds.
    #[must_use]
    pub fn believing(self, believed: Duration) -> Self {
        Self {
            beliefs: Beliefs::lasting(believed),
            ..self
        }
    }

    /// Lets `path` continue for a quarter of an hour with known keys while the database does not
    /// answer, so that the organisation's `on_unavailable` decides. No other path does, and a key
    /// that is revoked meanwhile is rejected after the first answer of the database.
    #[must_use]
    pub fn through_outages(self, path: &'static str) -> Self {
        Self {
            through_outages: Some(path),
            ..self
        }
    }

    /// Returns the kind of a secret, or None if it has the form of neither key nor token, or is a
    /// token with a foreign signature.
    fn shown(&self, secret: &str) -> Option<Shown> {
        if Tokens::has_form(secret) {
            let claims = self.tokens.read(secret, self.clock.now())?;
            return Some(Shown::Token {
                name: Tokens::name(&claims),
                client_id: claims.sub,
                organisation_id: claims.org,
            });
        }
        could_be_key(secret).then(|| Shown::Key {
            digest: digest_of(secret),
        })
    }

    /// Returns the owner of a key or token, as it was read at most five seconds ago.
    async fn known(
        &self,
        shown: &Shown,
        path: &str,
        source: Option<Source>,
    ) -> Result<Option<Known>, ApiError> {
        let name = shown.name();
        if let Some(known) = self.beliefs.fresh(name) {
            return Ok(Some(known));
        }
        let last = self.beliefs.last(name);
        let asked_at = Instant::now();
        if last.is_none() {
            self.failures.check(source, asked_at)?;
        }
        let last = last.as_ref().map(|known| &known.owner);
        let found = match self.store.find_owner(shown.credential(), last).await {
            Ok(found) => found,
            Err(error @ StoreError::Unavailable(_)) if self.through_outages == Some(path) => {
                let known = self.beliefs.within(name, OUTAGE);
                return known.map(Some).ok_or_else(|| error.into());
            }
            Err(error) => return Err(error.into()),
        };
        let known = found
            .filter(|found| shown.fits(&found.owner))
            .map(|found| Known {
                owner: found.owner,
                backing: found.backing,
            });
        self.beliefs.remember(name, known.clone(), asked_at);
        Ok(known)
    }

    /// Caches the owner of a key and who gives it its power, as both were read at `asked_at`.
    pub fn remember(&self, digest: &str, owner: KeyOwner, backing: Backing, asked_at: Instant) {
        let known = Known { owner, backing };
        self.beliefs.remember(digest, Some(known), asked_at);
    }

    /// Returns the digest of the request's key, if it must and may be looked up.
    pub fn unknown(&self, parts: &Parts) -> Option<String> {
        let secret = bearer(&parts.headers).filter(|secret| could_be_key(secret))?;
        let digest = digest_of(secret);
        let source = Source::of(&parts.extensions);
        let may_ask = self.failures.check(source, Instant::now()).is_ok();
        (may_ask && self.beliefs.fresh(&digest).is_none()).then_some(digest)
    }

    /// Refuses a source that has failed so often that its keys are not looked up.
    pub fn check_source(&self, extensions: &Extensions) -> Result<(), ApiError> {
        self.failures.check(Source::of(extensions), Instant::now())
    }

    /// Counts a request with an unknown key, and returns its answer.
    pub fn refusal(&self, extensions: &Extensions, message: &str) -> ApiError {
        self.failures
            .add(Source::of(extensions), message, Instant::now())
    }

    /// Counts a request of a caller, and refuses one above the limit.
    async fn count(
        &self,
        organisation_id: &str,
        key_id: &str,
        parts: &Parts,
    ) -> Result<(), ApiError> {
        let now = Timestamp::now();
        let Some(rate_limit) = self.rates.take(organisation_id, key_id, now).await else {
            return Ok(());
        };
        if let Some(slot) = parts.extensions.get::<RateLimitSlot>() {
            slot.set(rate_limit);
        }
        if rate_limit.is_over {
            let message = format!(
                "the key has used its {} requests of this minute; retry in {} seconds",
                rate_limit.limit, rate_limit.resets_in
            );
            return Err(ApiError::new(ErrorCode::RateLimited, message));
        }
        Ok(())
    }

    /// Returns the caller of a request, with their current power.
    async fn caller(&self, secret: &str, parts: &Parts, path: &str) -> Result<Caller, ApiError> {
        let is_operator = |digest: &String| *digest == digest_of(secret);
        if self.operator_digest.as_ref().is_some_and(is_operator) {
            self.count("@operator", "operator", parts).await?;
            let secret = Secret(secret.to_owned());
            return Ok(Caller::Operator { secret });
        }
        let unknown = || self.refusal(&parts.extensions, UNKNOWN);
        let shown = self.shown(secret).ok_or_else(unknown)?;
        let source = Source::of(&parts.extensions);
        let known = self.known(&shown, path, source).await?;
        let Known { owner, backing } = known.ok_or_else(unknown)?;
        self.count(&owner.organisation_id, &owner.key_id, parts)
            .await?;
        let secret = match shown {
            Shown::Token { .. } => self.tokens.secret_of(&owner),
            Shown::Key { .. } => secret.to_owned(),
        };
        let owner = owner.empowered(&backing, self.clock.now());
        let owner = owner.map_err(|why| ApiError::forbidden(why.message("key")))?;
        let secret = Secret(secret);
        Ok(Caller::Key { owner, secret })
    }
}

/// Whether a secret has the form of a key. Other secrets are rejected without a read of the
/// database.
fn could_be_key(secret: &str) -> bool {
    could_be_secret(KEY_PREFIX, secret) || LOCAL_KEYS.contains(&secret)
}

/// Returns the secret of a request.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, secret) = value.split_once(' ')?;
    let secret = scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| secret.trim())?;
    (1..=1024).contains(&secret.len()).then_some(secret)
}

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
    match owner.role.scope() {
        RoleScope::All | RoleScope::AnyUser => true,
        RoleScope::Managed | RoleScope::Own => owner.user_id.as_deref() == Some(user_id),
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
    use super::super::endpoint::MethodFilter;
    use super::*;
    use crate::domain::org::people::{Role, Status};

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
    fn keys_have_one_form_and_those_of_the_local_stack_are_known_by_name() {
        let key = super::super::random::secret(KEY_PREFIX).unwrap();
        for (secret, could_be) in [
            (key.as_str(), true),
            ("tk_local_admin", true),
            ("tk_local_agent", true),
            ("tk_local_operator", false),
            ("tk_local_admin2", false),
            ("", false),
        ] {
            assert_eq!(could_be_key(secret), could_be, "{secret}");
        }
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

    #[test]
    fn what_was_read_is_believed_for_so_long_and_an_outage_for_a_quarter_of_an_hour() {
        let beliefs = Beliefs::default();
        let Caller::Key { owner, .. } = owner(Role::Admin, Role::Admin, false) else {
            panic!("a key");
        };
        let known = Known {
            owner,
            backing: Backing::User {
                role: Role::Admin,
                status: Status::Active,
                block: None,
            },
        };
        for (age, is_fresh, outlasts) in [
            (0, true, true),
            (4, true, true),
            (5, false, true),
            (899, false, true),
            (900, false, false),
        ] {
            let read_at = Instant::now()
                .checked_sub(Duration::from_secs(age))
                .unwrap();
            beliefs.remember("name", Some(known.clone()), read_at);
            assert_eq!(beliefs.fresh("name").is_some(), is_fresh, "{age}");
            let through = beliefs.within("name", OUTAGE);
            assert_eq!(through.is_some(), outlasts, "{age}");
        }
        beliefs.remember("name", None, Instant::now());
        assert_eq!(beliefs.last("name"), None, "revoked");
    }
}
