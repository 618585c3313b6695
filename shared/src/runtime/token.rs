//! Access tokens. A client exchanges its id and secret for one, which is valid for an hour.

use super::error::{ApiError, ErrorCode};
use super::secrets::{Secret, Unread, Versions};
use crate::store::{KeyOwner, digest_of};
use hmac::{Hmac, KeyInit, Mac};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

/// How long a token is valid, in seconds.
pub const TOKEN_SECONDS: i64 = 3_600;
/// How much two clocks of a deployment may differ, in seconds.
const CLOCK_SKEW_SECONDS: i64 = 300;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    pub sub: String,
    pub org: String,
    pub iat: i64,
    pub exp: i64,
}

/// Issues and reads tokens. The signing key changes each day, is derived from the deployment's
/// secret, and has the day as its id. If the secret was rotated, tokens of the one before are read.
#[derive(Clone, Debug)]
pub struct Tokens {
    secret: Secret,
}

/// Returns the key of a name, which only this deployment can derive.
fn key(secret: &str, name: &str) -> Option<Vec<u8>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).ok()?;
    mac.update(b"toktra tokens\0");
    mac.update(name.as_bytes());
    Some(mac.finalize().into_bytes().to_vec())
}

/// Returns the claims of a token that one of the values has signed with the key of this id.
fn signed(token: &str, id: &str, versions: &Versions) -> Option<Claims> {
    let mut rules = Validation::new(Algorithm::HS256);
    // The time is checked by the deployment's own clock.
    rules.validate_exp = false;
    rules.required_spec_claims.clear();
    let mut keys = versions.all().filter_map(|secret| key(secret, id));
    keys.find_map(|key| {
        let key = DecodingKey::from_secret(&key);
        Some(jsonwebtoken::decode(token, &key, &rules).ok()?.claims)
    })
}

fn day(at: Timestamp) -> String {
    let at = at.to_zoned_datetime(TimeZone::UTC);
    at.strftime("%Y-%m-%d").to_string()
}

impl Tokens {
    /// Creates the tokens of a deployment with its secret for them.
    pub fn new(secret: Secret) -> Self {
        Self { secret }
    }

    /// Issues a token for a client of an organisation.
    pub async fn issue(
        &self,
        organisation_id: &str,
        client_id: &str,
        now: Timestamp,
    ) -> Result<String, ApiError> {
        let failed = || ApiError::new(ErrorCode::Internal, "the token could not be signed");
        let id = day(now);
        let versions = self.secret.versions().await?;
        let key = key(versions.current(), &id).ok_or_else(failed)?;
        let claims = Claims {
            sub: client_id.to_owned(),
            org: organisation_id.to_owned(),
            iat: now.as_second(),
            exp: now.as_second().saturating_add(TOKEN_SECONDS),
        };
        let mut header = Header::new(Algorithm::HS256);
        header.kid = Some(id);
        let signed = jsonwebtoken::encode(&header, &claims, &EncodingKey::from_secret(&key));
        signed.map_err(|_| failed())
    }

    /// Returns a secret that all tokens of a client share and only this deployment can derive. It
    /// replaces the token itself if the same secret is needed after an hour.
    pub(super) async fn secret_of(&self, owner: &KeyOwner) -> Result<String, Unread> {
        let name = format!("client\0{}\0{}", owner.organisation_id, owner.key_id);
        let versions = self.secret.versions().await?;
        Ok(hex::encode(
            key(versions.current(), &name).unwrap_or_default(),
        ))
    }

    /// Whether a secret has the form of a token.
    pub fn has_form(secret: &str) -> bool {
        secret.starts_with("eyJ") && secret.matches('.').count() == 2
    }

    /// Returns the claims of a token at `now`, or None if its signature is foreign or it has
    /// expired.
    pub async fn read(&self, token: &str, now: Timestamp) -> Result<Option<Claims>, Unread> {
        let Some(id) = key_id(token, now) else {
            return Ok(None);
        };
        let known = self.secret.versions().await?;
        let mut claims = signed(token, &id, &known);
        if claims.is_none()
            && let Some(others) = self.secret.others(&known).await
        {
            claims = signed(token, &id, &others);
        }
        let seconds = now.as_second();
        Ok(claims.filter(|claims| {
            claims.iat <= seconds.saturating_add(CLOCK_SKEW_SECONDS) && seconds < claims.exp
        }))
    }

    /// Returns the name under which the client of a token is cached.
    pub(super) fn name(claims: &Claims) -> String {
        digest_of(&format!("{}\0{}", claims.org, claims.sub))
    }
}

/// Returns the id of the key that a token says it is signed with, if that may be in use at `now`.
fn key_id(token: &str, now: Timestamp) -> Option<String> {
    let id = jsonwebtoken::decode_header(token).ok()?.kid?;
    let before = now.saturating_sub(SignedDuration::from_hours(24)).ok()?;
    let after = now.saturating_add(SignedDuration::from_secs(CLOCK_SKEW_SECONDS));
    let days = [day(before), day(now), day(after.ok()?)];
    days.contains(&id).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::secrets::tests::Manager;
    use std::time::Duration;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn of(secret: &str) -> Tokens {
        Tokens::new(Manager::with(&[secret]).secret())
    }

    #[tokio::test]
    async fn a_token_is_good_for_an_hour_also_over_midnight() {
        let tokens = of("a secret");
        let token = tokens.issue("demo", "oac_1", at("2026-11-24T23:30:00Z"));
        let token = token.await.unwrap();
        assert!(Tokens::has_form(&token), "{token}");
        for (now, is_good) in [
            ("2026-11-24T23:24:00Z", false),
            ("2026-11-24T23:26:00Z", true),
            ("2026-11-25T00:29:59Z", true),
            ("2026-11-25T00:30:00Z", false),
            ("2026-11-27T00:00:00Z", false),
        ] {
            let read = tokens.read(&token, at(now)).await.unwrap();
            assert_eq!(read.is_some_and(|of| of.org == "demo"), is_good, "{now}");
        }
    }

    #[tokio::test]
    async fn what_somebody_else_signed_is_no_token() {
        let now = at("2026-11-24T12:00:00Z");
        let tokens = of("a secret");
        let token = tokens.issue("demo", "oac_1", now).await.unwrap();
        assert_eq!(of("another").read(&token, now).await.unwrap(), None);
        let [header, claims, signature] = token.split('.').collect::<Vec<_>>()[..] else {
            panic!("{token}");
        };
        let other = tokens.issue("other", "oac_1", now).await.unwrap();
        let others = other.split('.').nth(1).unwrap();
        let mixed = format!("{header}.{others}.{signature}");
        // {"alg":"none"}
        let none = "eyJhbGciOiJub25lIiwia2lkIjoiMjAyNi0xMS0yNCJ9";
        let unsigned = format!("{none}.{claims}.");
        for wrong in [
            mixed.as_str(),
            &unsigned,
            "",
            "eyJ..",
            "eyJhbGciOiJIUzI1NiJ9.e30.x",
        ] {
            assert_eq!(tokens.read(wrong, now).await.unwrap(), None, "{wrong}");
        }
    }

    #[tokio::test]
    async fn each_day_has_a_key_of_its_own() {
        let tokens = of("a secret");
        for day in ["2026-11-24", "2026-11-25"] {
            let issued = tokens.issue("demo", "oac_1", at(&format!("{day}T12:00:00Z")));
            let header = jsonwebtoken::decode_header(issued.await.unwrap());
            assert_eq!(header.unwrap().kid.unwrap(), day);
        }
        assert_ne!(key("a secret", "2026-11-24"), key("a secret", "2026-11-25"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_rotated_secret_signs_at_once_and_reads_what_the_one_before_signed() {
        let now = at("2026-11-24T12:00:00Z");
        let manager = Manager::with(&["one"]);
        let (early, late) = (Tokens::new(manager.secret()), Tokens::new(manager.secret()));
        let old = early.issue("demo", "oac_1", now).await.unwrap();
        manager.rotate("two");
        // An instance that has read nothing yet signs with the new value, and knows the old one.
        let new = late.issue("demo", "oac_1", now).await.unwrap();
        for (tokens, token) in [(&late, &old), (&early, &new), (&early, &old)] {
            assert!(tokens.read(token, now).await.unwrap().is_some());
        }
        // After another rotation the first value is forgotten.
        manager.rotate("three");
        tokio::time::advance(Duration::from_secs(300)).await;
        for tokens in [&early, &late] {
            assert_eq!(tokens.read(&old, now).await.unwrap(), None);
            assert!(tokens.read(&new, now).await.unwrap().is_some());
        }
    }
}
