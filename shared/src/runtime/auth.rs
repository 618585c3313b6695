//! Keys: who makes a request, and what their role may do.

mod caller;

pub use caller::{Caller, Secret, acts_for_all, may_act_for};

use super::beliefs::{Beliefs, Known};
use super::clock::Clock;
use super::error::{ApiError, ErrorCode};
use super::failures::Failures;
use super::http::RateLimitSlot;
use super::random::could_be_secret;
use super::rate::Rates;
use super::secrets::{Secret as DeploymentSecret, Versions};
use super::source::Source;
use super::token::Tokens;
use crate::domain::org::authority::Backing;
use crate::store::{Credential, KeyOwner, Store, StoreError, digest_of};
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
/// The answer to an unknown key.
const UNKNOWN: &str = "the key is not known or was revoked";

/// The deployment's secret and the organisations' keys.
#[derive(Clone, Debug)]
pub struct Keys {
    store: Store,
    operator: Option<DeploymentSecret>,
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
            operator: None,
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
    pub fn with_operator(self, operator_key: DeploymentSecret) -> Self {
        Self {
            operator: Some(operator_key),
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
    async fn shown(&self, secret: &str) -> Result<Option<Shown>, ApiError> {
        if Tokens::has_form(secret) {
            let claims = self.tokens.read(secret, self.clock.now()).await?;
            return Ok(claims.map(|claims| Shown::Token {
                name: Tokens::name(&claims),
                client_id: claims.sub,
                organisation_id: claims.org,
            }));
        }
        Ok(could_be_key(secret).then(|| Shown::Key {
            digest: digest_of(secret),
        }))
    }

    /// Whether a secret is the operator's key. Once that was rotated, the one before is nobody's.
    async fn is_operator(&self, secret: &str) -> Result<bool, ApiError> {
        let Some(operator) = &self.operator else {
            return Ok(false);
        };
        let digest = digest_of(secret);
        let is_current = |versions: &Versions| digest_of(versions.current()) == digest;
        let known = operator.versions().await?;
        if is_current(&known) {
            return Ok(true);
        }
        if could_be_key(secret) || Tokens::has_form(secret) {
            return Ok(false);
        }
        let others = operator.others(&known).await;
        Ok(others.is_some_and(|others| is_current(&others)))
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
        if self.is_operator(secret).await? {
            self.count("@operator", "operator", parts).await?;
            let secret = Secret(secret.to_owned());
            return Ok(Caller::Operator { secret });
        }
        let unknown = || self.refusal(&parts.extensions, UNKNOWN);
        let shown = self.shown(secret).await?.ok_or_else(unknown)?;
        let source = Source::of(&parts.extensions);
        let known = self.known(&shown, path, source).await?;
        let Known { owner, backing } = known.ok_or_else(unknown)?;
        self.count(&owner.organisation_id, &owner.key_id, parts)
            .await?;
        let secret = match shown {
            Shown::Token { .. } => self.tokens.secret_of(&owner).await?,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::org::people::{Role, Status};

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
    fn what_was_read_is_believed_for_so_long_and_an_outage_for_a_quarter_of_an_hour() {
        let beliefs = Beliefs::default();
        let owner = KeyOwner {
            organisation_id: "demo".to_owned(),
            key_id: "key_1".to_owned(),
            key_role: Role::Admin,
            role: Role::Admin,
            is_blocked: false,
            user_id: Some("ann".to_owned()),
            made_by: None,
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
