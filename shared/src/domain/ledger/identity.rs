//! Identities of events. An event counts once by organisation, user, type and id, and a digest
//! binds its body to them.

use crate::domain::ledger::labels::Labels;
use crate::domain::ledger::usage::{Event, Operation, Outcome, Risk, RiskOrigin, Usage};
use crate::domain::pricing::tokens::ServiceTier;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;

const CONFLICT: &str = "conflict#";

/// The name of an event within its organisation: `llm_request#ada#e-1`.
///
/// Types and user ids contain no `#`, and the event id comes last, so names are unique.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventIdentity(String);

impl EventIdentity {
    fn new(space: &str, user_id: &str, event_id: &str) -> Self {
        Self(format!("{space}#{user_id}#{event_id}"))
    }

    pub fn of_usage(usage: &Usage) -> Self {
        Self::of_usage_named(&usage.user_id, &usage.event_id)
    }

    /// Returns the identity of a usage event with this user and id.
    pub fn of_usage_named(user_id: &str, event_id: &str) -> Self {
        Self::new("llm_request", user_id, event_id)
    }

    /// Returns the identity of a risk. One from GitHub has no user in it, because the user may be
    /// found only later.
    pub fn of_risk(risk: &Risk) -> Self {
        match risk.origin {
            RiskOrigin::Github => Self::new("github", "", &risk.event_id),
            RiskOrigin::Reported => {
                let user_id = risk.user_id.as_deref().unwrap_or_default();
                Self::new("ip_risk", user_id, &risk.event_id)
            }
        }
    }

    pub fn of(event: &Event) -> Self {
        match event {
            Event::LlmRequest(usage) => Self::of_usage(usage),
            Event::IpRisk(risk) => Self::of_risk(risk),
        }
    }

    /// Returns the identity of an event that used this one with another body.
    #[must_use]
    pub fn in_conflict(&self, digest: &BodyDigest) -> Self {
        Self(format!("{CONFLICT}{}#{}", digest.0, self.0))
    }

    /// Reads an identity from a key.
    pub fn from_key(text: &str) -> Self {
        Self(text.to_owned())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EventIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// 128 bits of the SHA-256 of an event's content, in hex.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BodyDigest(String);

/// How many bytes of the hash are kept.
const KEPT: usize = 16;

/// Hashes the fields that are present, each with its name. A field added later that clients omit
/// changes no digest, so the same event has the same digest in every release.
struct Fields(Sha256);

impl Fields {
    fn add(&mut self, name: &str, value: Option<&str>) {
        let Some(value) = value else { return };
        for part in [name, value] {
            let length = u64::try_from(part.len()).unwrap_or(u64::MAX);
            self.0.update(length.to_be_bytes());
            self.0.update(part.as_bytes());
        }
    }

    fn add_number(&mut self, name: &str, value: Option<i64>) {
        let text = value.map(|value| value.to_string());
        self.add(name, text.as_deref());
    }

    fn digest(self) -> BodyDigest {
        BodyDigest(hex::encode(&self.0.finalize()[..KEPT]))
    }
}

impl BodyDigest {
    /// Returns the digest of an event's body without the parts of its identity.
    pub fn of(event: &Event) -> Self {
        match event {
            Event::LlmRequest(usage) => Self::of_usage(usage),
            Event::IpRisk(risk) => Self::of_risk(risk),
        }
    }

    pub fn of_usage(usage: &Usage) -> Self {
        // List every field by name: the compiler asks whether a new one counts.
        let Usage {
            event_id: _,
            user_id: _,
            occurred_at,
            provider,
            model,
            tokens,
            service_tier,
            reported_pico_usd,
            hold_id,
            outcome,
            operation,
            source,
            labels: Labels { tags, metadata },
        } = usage;
        let mut fields = Fields(Sha256::new());
        fields.add("occurred_at", Some(&occurred_at.to_string()));
        fields.add("provider", Some(provider));
        fields.add("model", Some(model));
        fields.add_number("input_tokens", tokens.input());
        fields.add_number("output_tokens", tokens.output());
        let parts = tokens.counts.input_parts().into_iter();
        for (name, count) in parts.chain(tokens.counts.output_parts()) {
            // This one was there from the first release on, also if it is zero.
            let is_always_there = name == "cached_input_tokens";
            fields.add_number(name, Some(count).filter(|_| is_always_there || count != 0));
        }
        let cached_audio = tokens.counts.cached_audio;
        fields.add_number("cached_audio_input_tokens", cached_audio);
        let tier = Some(*service_tier).filter(|tier| !tier.is_default());
        fields.add("service_tier", tier.map(ServiceTier::as_str));
        fields.add_number("reported_pico_usd", *reported_pico_usd);
        fields.add("hold_id", hold_id.as_deref());
        let outcome = match outcome {
            Outcome::Completed => "completed",
            Outcome::Aborted => "aborted",
            Outcome::Failed => "failed",
        };
        fields.add("outcome", Some(outcome));
        let operation = Some(*operation).filter(|operation| *operation != Operation::Chat);
        fields.add("operation", operation.map(Operation::as_str));
        fields.add("source", source.as_deref());
        for tag in tags {
            fields.add("tags", Some(tag));
        }
        for (name, value) in metadata {
            fields.add(&format!("metadata.{name}"), Some(value));
        }
        fields.digest()
    }

    /// Returns the digest of a risk. All bodies of a GitHub webhook have the same one: its id
    /// depends on the content, and the time and user may differ between deliveries.
    pub fn of_risk(risk: &Risk) -> Self {
        let Risk {
            event_id: _,
            user_id: _,
            occurred_at,
            risk_level,
            repository,
            summary,
            source,
            origin,
        } = risk;
        let mut fields = Fields(Sha256::new());
        if *origin == RiskOrigin::Reported {
            fields.add("occurred_at", Some(&occurred_at.to_string()));
            fields.add("risk_level", Some(risk_level.as_str()));
            fields.add("repository", repository.as_deref());
            fields.add("summary", Some(summary));
            fields.add("source", source.as_deref());
        }
        fields.digest()
    }

    /// Reads a stored digest.
    pub fn from_hex(text: &str) -> Self {
        Self(text.to_owned())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ledger::usage::RiskLevel;
    use crate::domain::samples;

    fn usage(user_id: &str, event_id: &str) -> Usage {
        Usage {
            occurred_at: "2026-11-23T12:00:00Z".parse().unwrap(),
            user_id: user_id.to_owned(),
            ..samples::usage(event_id, 1, 2)
        }
    }

    fn risk(user_id: Option<&str>, origin: RiskOrigin) -> Risk {
        Risk {
            event_id: "e-1".to_owned(),
            occurred_at: "2026-11-23T12:00:00Z".parse().unwrap(),
            user_id: user_id.map(str::to_owned),
            risk_level: RiskLevel::Low,
            repository: None,
            summary: "s".to_owned(),
            source: None,
            origin,
        }
    }

    #[test]
    fn no_two_users_types_or_ids_share_an_identity() {
        let names = [
            EventIdentity::of_usage(&usage("ada", "e-1")),
            EventIdentity::of_usage(&usage("bob", "e-1")),
            EventIdentity::of_usage(&usage("ada", "e-2")),
            // The user `ada` cannot be part of another user's id.
            EventIdentity::of_usage(&usage("b", "ada#e-1")),
            EventIdentity::of_risk(&risk(Some("ada"), RiskOrigin::Reported)),
            EventIdentity::of_risk(&risk(None, RiskOrigin::Reported)),
            EventIdentity::of_risk(&risk(None, RiskOrigin::Github)),
        ];
        let mut different = names.to_vec();
        different.sort();
        different.dedup();
        assert_eq!(different.len(), names.len(), "{names:?}");
    }

    #[test]
    fn a_body_has_the_same_digest_however_its_time_is_written_and_another_with_any_other_field() {
        let one = usage("ada", "e-1");
        // This is what it was before usage had parts, tiers and costs.
        let before = "17890a8a588aee37bcad8d3f842aa7fb";
        assert_eq!(BodyDigest::of_usage(&one).as_str(), before);
        let mut same = one.clone();
        same.occurred_at = "2026-11-23T13:00:00+01:00".parse().unwrap();
        assert_eq!(BodyDigest::of_usage(&one), BodyDigest::of_usage(&same));
        let changes: [fn(&mut Usage); 21] = [
            |usage| usage.labels.tags.push("nightly".to_owned()),
            |usage| drop(usage.labels.metadata.insert("run".into(), "7".into())),
            |usage| usage.occurred_at = "2026-11-23T12:00:01Z".parse().unwrap(),
            |usage| usage.provider = "azure".to_owned(),
            |usage| usage.tokens.counts.input = 2,
            |usage| usage.tokens.has_output = false,
            |usage| usage.tokens.counts.cached_input = 1,
            |usage| usage.tokens.counts.cached_audio = Some(0),
            |usage| usage.tokens.counts.cache_write = 1,
            |usage| usage.tokens.counts.cache_write_1h = 1,
            |usage| usage.tokens.counts.audio_input = 1,
            |usage| usage.tokens.counts.image_input = 1,
            |usage| usage.tokens.counts.reasoning = 1,
            |usage| usage.tokens.counts.audio_output = 1,
            |usage| usage.service_tier = ServiceTier::Batch,
            |usage| usage.reported_pico_usd = Some(0),
            |usage| usage.model = "gpt-4".to_owned(),
            |usage| usage.outcome = Outcome::Failed,
            |usage| usage.operation = Operation::Batch,
            |usage| usage.source = Some("cli".to_owned()),
            |usage| usage.hold_id = Some("hold_x".to_owned()),
        ];
        for change in changes {
            let mut other = one.clone();
            change(&mut other);
            assert_ne!(BodyDigest::of_usage(&one), BodyDigest::of_usage(&other));
        }
    }

    #[test]
    fn a_webhook_of_github_is_the_same_whenever_it_comes_and_whosever_it_is() {
        let first = risk(None, RiskOrigin::Github);
        let mut again = risk(Some("ada"), RiskOrigin::Github);
        again.occurred_at = "2026-11-24T12:00:00Z".parse().unwrap();
        assert_eq!(
            EventIdentity::of_risk(&first),
            EventIdentity::of_risk(&again)
        );
        assert_eq!(BodyDigest::of_risk(&first), BodyDigest::of_risk(&again));
    }

    #[test]
    fn each_body_that_is_in_conflict_has_an_identity_of_its_own() {
        let mut bodies = [2, 3, 4].map(|output| {
            let mut usage = usage("ada", "e-1");
            usage.tokens.counts.output = output;
            usage
        });
        let claimed = EventIdentity::of_usage(&bodies[0]);
        let conflict = |usage: &Usage| claimed.in_conflict(&BodyDigest::of_usage(usage));
        assert_ne!(conflict(&bodies[1]), claimed);
        assert_ne!(conflict(&bodies[1]), conflict(&bodies[2]));
        bodies[2].tokens.counts.output = 3;
        assert_eq!(conflict(&bodies[1]), conflict(&bodies[2]), "it came twice");
    }
}
