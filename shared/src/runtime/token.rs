//! Access tokens. A client exchanges its id and secret for one, which is valid for an hour.

use super::error::{ApiError, ErrorCode};
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
/// secret, and has the day as its id.
#[derive(Clone)]
pub struct Tokens {
    secret: String,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tokens")
    }
}

fn day(at: Timestamp) -> String {
    let at = at.to_zoned_datetime(TimeZone::UTC);
    at.strftime("%Y-%m-%d").to_string()
}

impl Tokens {
    /// Creates the tokens of a deployment with the secret `TOKEN_KEY`.
    pub fn new(secret: &str) -> Self {
        Self {
            secret: secret.to_owned(),
        }
    }

    fn key(&self, id: &str) -> Option<Vec<u8>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.secret.as_bytes()).ok()?;
        mac.update(b"toktra tokens\0");
        mac.update(id.as_bytes());
        Some(mac.finalize().into_bytes().to_vec())
    }

    /// Issues a token for a client of an organisation.
    pub fn issue(
        &self,
        organisation_id: &str,
        client_id: &str,
        now: Timestamp,
    ) -> Result<String, ApiError> {
        let failed = || ApiError::new(ErrorCode::Internal, "the token could not be signed");
        let id = day(now);
        let key = self.key(&id).ok_or_else(failed)?;
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
    pub(super) fn secret_of(&self, owner: &KeyOwner) -> String {
        let name = format!("client\0{}\0{}", owner.organisation_id, owner.key_id);
        hex::encode(self.key(&name).unwrap_or_default())
    }

    /// Whether a secret has the form of a token.
    pub fn has_form(secret: &str) -> bool {
        secret.starts_with("eyJ") && secret.matches('.').count() == 2
    }

    /// Returns the claims of a token at `now`, or None if its signature is foreign or it has
    /// expired.
    pub fn read(&self, token: &str, now: Timestamp) -> Option<Claims> {
        let id = jsonwebtoken::decode_header(token).ok()?.kid?;
        let before = now.saturating_sub(SignedDuration::from_hours(24)).ok()?;
        let after = now
            .saturating_add(SignedDuration::from_secs(CLOCK_SKEW_SECONDS))
            .ok()?;
        if ![day(before), day(now), day(after)].contains(&id) {
            return None;
        }
        let mut rules = Validation::new(Algorithm::HS256);
        // The time is checked by the deployment's own clock.
        rules.validate_exp = false;
        rules.required_spec_claims.clear();
        let key = DecodingKey::from_secret(&self.key(&id)?);
        let claims: Claims = jsonwebtoken::decode(token, &key, &rules).ok()?.claims;
        let seconds = now.as_second();
        let is_good =
            claims.iat <= seconds.saturating_add(CLOCK_SKEW_SECONDS) && seconds < claims.exp;
        is_good.then_some(claims)
    }

    /// Returns the name under which the client of a token is cached.
    pub(super) fn name(claims: &Claims) -> String {
        digest_of(&format!("{}\0{}", claims.org, claims.sub))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_token_is_good_for_an_hour_also_over_midnight() {
        let tokens = Tokens::new("a secret");
        let token = tokens
            .issue("demo", "oac_1", at("2026-11-24T23:30:00Z"))
            .unwrap();
        assert!(Tokens::has_form(&token), "{token}");
        for (now, is_good) in [
            ("2026-11-24T23:24:00Z", false),
            ("2026-11-24T23:26:00Z", true),
            ("2026-11-25T00:29:59Z", true),
            ("2026-11-25T00:30:00Z", false),
            ("2026-11-27T00:00:00Z", false),
        ] {
            let read = tokens.read(&token, at(now)).map(|claims| claims.org);
            assert_eq!(read.is_some(), is_good, "{now}");
        }
    }

    #[test]
    fn what_somebody_else_signed_is_no_token() {
        let now = at("2026-11-24T12:00:00Z");
        let tokens = Tokens::new("a secret");
        let token = tokens.issue("demo", "oac_1", now).unwrap();
        assert_eq!(Tokens::new("another").read(&token, now), None);
        let [header, claims, signature] = token.split('.').collect::<Vec<_>>()[..] else {
            panic!("{token}");
        };
        let other = tokens.issue("other", "oac_1", now).unwrap();
        let others = other.split('.').nth(1).unwrap();
        assert_eq!(
            tokens.read(&format!("{header}.{others}.{signature}"), now),
            None
        );
        // {"alg":"none"}
        let none = "eyJhbGciOiJub25lIiwia2lkIjoiMjAyNi0xMS0yNCJ9";
        assert_eq!(tokens.read(&format!("{none}.{claims}."), now), None);
        for wrong in ["", "eyJ..", "eyJhbGciOiJIUzI1NiJ9.e30.x"] {
            assert_eq!(tokens.read(wrong, now), None);
        }
    }

    #[test]
    fn each_day_has_a_key_of_its_own() {
        let tokens = Tokens::new("a secret");
        let kid = |text: &str| {
            let token = tokens.issue("demo", "oac_1", at(text)).unwrap();
            jsonwebtoken::decode_header(token).unwrap().kid.unwrap()
        };
        assert_eq!(kid("2026-11-24T12:00:00Z"), "2026-11-24");
        assert_ne!(tokens.key("2026-11-24"), tokens.key("2026-11-25"));
    }
}
