//! Events that clients report, and what they are charged.

use super::amount::Amounts;
use super::hold::{Hold, HoldId};
use super::identity::EventIdentity;
use super::price::{PriceBook, TokenCounts, value};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// How far in the future an event may lie.
pub const MAX_AHEAD: SignedDuration = SignedDuration::from_mins(5);
/// How old an event may be: 13 months of at most 31 days.
pub const MAX_AGE: SignedDuration = SignedDuration::from_hours(24 * 396);

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = RequestOutcome))]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// With a whole answer.
    Completed,
    /// Stopped by the client.
    Aborted,
    /// Stopped by an error.
    Failed,
}

/// Tokens that an LLM request used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// The client's id; it counts once for its user.
    pub event_id: String,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// Whose request it was.
    pub user_id: String,
    /// Who ran the model.
    pub provider: String,
    /// The model.
    pub model: String,
    /// Input tokens, the cached ones included; unknown where the request was cut off and nobody counted.
    pub input_tokens: Option<i64>,
    /// Output tokens; unknown likewise.
    pub output_tokens: Option<i64>,
    /// Input tokens that the provider had cached.
    pub cached_input_tokens: i64,
    /// The hold it settles.
    pub hold_id: Option<String>,
    /// How the request ended.
    pub outcome: Outcome,
    /// What kind of request it was.
    #[serde(default, skip_serializing_if = "Operation::is_chat")]
    pub operation: Operation,
    /// What reported it.
    pub source: Option<String>,
}

/// What kind of request used tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Operation {
    /// One request with one answer.
    #[default]
    Chat,
    /// Texts turned into vectors, many at once.
    Embedding,
    /// Many requests that were run as one job.
    Batch,
    /// The sum of many requests, as telemetry reports them.
    Aggregate,
}

impl Operation {
    /// The name in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Embedding => "embedding",
            Self::Batch => "batch",
            Self::Aggregate => "aggregate",
        }
    }

    fn is_chat(&self) -> bool {
        *self == Self::Chat
    }
}

/// How grave a risk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum RiskLevel {
    /// Worth knowing.
    Low,
    /// Worth a look.
    Medium,
    /// Worth acting on.
    High,
    /// Worth acting on at once.
    Critical,
}

impl RiskLevel {
    /// The name in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// A possible leak of intellectual property.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Risk {
    /// The reporter's id; it counts once for its user.
    pub event_id: String,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// Who caused it, where that is known.
    pub user_id: Option<String>,
    /// How grave it is.
    pub risk_level: RiskLevel,
    /// Where it happened.
    pub repository: Option<String>,
    /// What happened.
    pub summary: String,
    /// What reported it.
    pub source: Option<String>,
    /// By which way it came; a client cannot say this.
    #[serde(default, skip_serializing_if = "RiskOrigin::is_reported")]
    pub origin: RiskOrigin,
}

/// By which way a risk came. Each way has its own event ids.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RiskOrigin {
    /// A client reported it to `POST /v1/events`.
    #[default]
    Reported,
    /// GitHub sent a signed webhook.
    Github,
}

impl RiskOrigin {
    fn is_reported(&self) -> bool {
        *self == Self::Reported
    }
}

impl Risk {
    /// Whether it came as a webhook of GitHub. Its id is made of what was signed, and says nothing of a
    /// user.
    pub fn is_of_github(&self) -> bool {
        self.origin == RiskOrigin::Github
    }
}

/// Anything a client reports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// An LLM request was made.
    LlmRequest(Usage),
    /// A risk was seen.
    IpRisk(Risk),
}

impl Event {
    /// The client's id.
    pub fn event_id(&self) -> &str {
        match self {
            Self::LlmRequest(usage) => &usage.event_id,
            Self::IpRisk(risk) => &risk.event_id,
        }
    }

    /// When it happened.
    pub fn occurred_at(&self) -> Timestamp {
        match self {
            Self::LlmRequest(usage) => usage.occurred_at,
            Self::IpRisk(risk) => risk.occurred_at,
        }
    }
}

/// An event on its way from `ingest` to `evaluate`: one message of the queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventMessage {
    /// The organisation whose key reported it.
    pub organisation_id: String,
    /// When it was accepted.
    pub received_at: Timestamp,
    /// The event.
    pub event: Event,
}

/// What a usage costs, and how that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charge {
    /// Tokens and micro-USD.
    pub amounts: Amounts,
    /// The model has no price; only its tokens count.
    pub is_unpriced: bool,
    /// The tokens were unknown; the hold's estimate stands for them.
    pub is_estimated: bool,
}

impl Charge {
    /// That of usage that does not count.
    pub fn nothing() -> Self {
        Self {
            amounts: Amounts::ZERO,
            is_unpriced: false,
            is_estimated: false,
        }
    }
}

impl Usage {
    /// The hold it settles, where it names one in the right form.
    pub fn hold(&self) -> Option<HoldId> {
        self.hold_id.as_deref().and_then(HoldId::parse)
    }

    /// What it is charged: by its tokens, or by `hold` where nobody counted them.
    pub fn charge(&self, book: &PriceBook, hold: Option<&Hold>) -> Charge {
        let price = book
            .price(Some(&self.provider), &self.model)
            .map(|(p, _)| p);
        let counts = TokenCounts {
            input: self.input_tokens.unwrap_or(0),
            cached_input: self.cached_input_tokens,
            output: self.output_tokens.unwrap_or(0),
        };
        let is_counted = self.input_tokens.is_some() && self.output_tokens.is_some();
        let mut charge = Charge {
            amounts: value(price, counts),
            is_unpriced: price.is_none(),
            is_estimated: !is_counted,
        };
        match hold {
            Some(hold) if !is_counted => charge.amounts = hold.amounts,
            // Under the name of the preflight it had a price; under another it does not become free.
            Some(hold) if price.is_none() && hold.amounts.micro_usd > 0 => {
                charge.amounts.micro_usd = hold.amounts.micro_usd;
                charge.is_estimated = true;
            }
            _ => {}
        }
        charge
    }
}

/// How a hold ended. Written once for each hold, before the cell follows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Resolution {
    /// By the usage of this event.
    Settled {
        /// The event, by the identity that it was recorded under.
        event: EventIdentity,
        /// What it was charged.
        charged: Amounts,
    },
    /// By its owner, unused.
    Voided,
    /// By time.
    Expired {
        /// What abandoned holds are charged: nothing, or all of it.
        charged: Amounts,
    },
}

impl Resolution {
    /// What stays spent of the hold.
    pub fn charged(&self) -> Amounts {
        match self {
            Self::Settled { charged, .. } | Self::Expired { charged } => *charged,
            Self::Voided => Amounts::ZERO,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::samples::{hold, usage};

    /// A token of input costs 2 micro-USD, a cached one half of one, and one of output 10.
    fn book() -> PriceBook {
        PriceBook::from_json(
            r#"{"version": "t", "effective_from": "2026-01-01", "models": [
                {"model": "gpt-4o", "provider": "openai", "input_micro_usd_per_million_tokens": 2000000,
                 "cached_input_micro_usd_per_million_tokens": 500000, "output_micro_usd_per_million_tokens": 10000000}
            ]}"#,
        )
        .unwrap()
    }

    #[test]
    fn what_was_counted_is_charged_by_kind_whatever_was_held() {
        let mut usage = usage("e-1", 1_000, 33);
        usage.cached_input_tokens = 401;
        let charge = usage.charge(&book(), Some(&hold(5_120, 21_300)));
        // 599 at 2, 401 at a half, and 33 at 10: 1,728.5.
        let expected = Charge {
            amounts: Amounts::new(1_033, 1_729),
            is_unpriced: false,
            is_estimated: false,
        };
        assert_eq!(charge, expected);
    }

    #[test]
    fn what_was_not_counted_in_full_is_charged_what_was_held() {
        let whole = usage("e-1", 1_000, 33);
        let without_output = Usage {
            output_tokens: None,
            ..whole.clone()
        };
        let without_input = Usage {
            input_tokens: None,
            ..whole
        };
        for usage in [without_output, without_input] {
            let charge = usage.charge(&book(), Some(&hold(5_120, 21_300)));
            let expected = Charge {
                amounts: Amounts::new(5_120, 21_300),
                is_unpriced: false,
                is_estimated: true,
            };
            assert_eq!(charge, expected);
        }
    }

    #[test]
    fn under_a_name_without_a_price_the_tokens_are_as_counted_and_the_dollars_as_held() {
        let unknown = Usage {
            model: "nobody-knows".to_owned(),
            ..usage("e-1", 1_000, 33)
        };
        let charge = |hold: &Hold| {
            let charge = unknown.charge(&book(), Some(hold));
            assert!(charge.is_unpriced);
            (charge.amounts, charge.is_estimated)
        };
        let priced = charge(&hold(5_120, 21_300));
        assert_eq!(priced, (Amounts::new(1_033, 21_300), true));
        assert_eq!(charge(&hold(5_120, 0)), (Amounts::new(1_033, 0), false));
    }
}
