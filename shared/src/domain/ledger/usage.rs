//! Events reported by clients, and their charges.

use crate::domain::amount::Amounts;
use crate::domain::ledger::hold::Hold;
use crate::domain::ledger::hold_id::HoldId;
use crate::domain::pricing::book::PriceBook;
use crate::domain::pricing::price::value;
use crate::domain::pricing::tokens::{ServiceTier, TokenCounts};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// How far in the future an event may be.
pub const MAX_AHEAD: SignedDuration = SignedDuration::from_mins(5);
/// How old an event may be: 13 months of at most 31 days.
pub const MAX_AGE: SignedDuration = SignedDuration::from_hours(24 * 396);

/// The end of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = RequestOutcome))]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// With a complete answer.
    Completed,
    /// Stopped by the client.
    Aborted,
    /// Stopped by an error.
    Failed,
}

/// The tokens used by an LLM request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// The client's id. It counts once for its user.
    pub event_id: String,
    pub occurred_at: Timestamp,
    pub user_id: String,
    /// The provider of the model.
    pub provider: String,
    pub model: String,
    /// Input tokens, including cached ones. None if the request was cut off and nobody counted.
    pub input_tokens: Option<i64>,
    /// Output tokens. None as above.
    pub output_tokens: Option<i64>,
    /// Input tokens that the provider had cached.
    pub cached_input_tokens: i64,
    /// The hold that it settles.
    pub hold_id: Option<String>,
    pub outcome: Outcome,
    #[serde(default, skip_serializing_if = "Operation::is_chat")]
    pub operation: Operation,
    pub source: Option<String>,
}

/// The kind of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Operation {
    /// One request with one answer.
    #[default]
    Chat,
    /// Texts turned into vectors, many at once.
    Embedding,
    /// Many requests run as one job.
    Batch,
    /// The sum of many requests, as telemetry reports them.
    Aggregate,
}

impl Operation {
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

/// The severity of a risk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum RiskLevel {
    Low,
    Medium,
    High,
    /// Needs action at once.
    Critical,
}

impl RiskLevel {
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
    /// The reporter's id. It counts once for its user.
    pub event_id: String,
    pub occurred_at: Timestamp,
    /// The user who caused it, if known.
    pub user_id: Option<String>,
    pub risk_level: RiskLevel,
    pub repository: Option<String>,
    pub summary: String,
    pub source: Option<String>,
    /// The source. Clients cannot set it.
    #[serde(default, skip_serializing_if = "RiskOrigin::is_reported")]
    pub origin: RiskOrigin,
}

/// The source of a risk. Each source has its own event ids.
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
    /// Returns true if it came as a webhook of GitHub. Its id is derived from the signed content,
    /// without a user.
    pub fn is_of_github(&self) -> bool {
        self.origin == RiskOrigin::Github
    }
}

/// Any event that a client reports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// An LLM request was made.
    LlmRequest(Usage),
    /// A risk was seen.
    IpRisk(Risk),
}

impl Event {
    pub fn event_id(&self) -> &str {
        match self {
            Self::LlmRequest(usage) => &usage.event_id,
            Self::IpRisk(risk) => &risk.event_id,
        }
    }

    pub fn occurred_at(&self) -> Timestamp {
        match self {
            Self::LlmRequest(usage) => usage.occurred_at,
            Self::IpRisk(risk) => risk.occurred_at,
        }
    }
}

/// An event in the queue from `ingest` to `evaluate`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventMessage {
    /// The organisation of the key that reported it.
    pub organisation_id: String,
    pub received_at: Timestamp,
    pub event: Event,
}

/// The charge of usage, and how it was derived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charge {
    pub amounts: Amounts,
    /// True if the model has no price. Only its tokens count.
    pub is_unpriced: bool,
    /// True if the tokens were unknown and the hold's estimate was used.
    pub is_estimated: bool,
}

impl Charge {
    pub fn nothing() -> Self {
        Self {
            amounts: Amounts::ZERO,
            is_unpriced: false,
            is_estimated: false,
        }
    }
}

impl Usage {
    /// Returns the hold that it settles, if it names one in a valid form.
    pub fn hold(&self) -> Option<HoldId> {
        self.hold_id.as_deref().and_then(HoldId::parse)
    }

    /// Returns its charge: by its tokens, or by `hold` if nobody counted them.
    pub fn charge(&self, book: &PriceBook, hold: Option<&Hold>) -> Charge {
        let price = book.find(Some(&self.provider), &self.model).price;
        let counts = TokenCounts {
            input: self.input_tokens.unwrap_or(0),
            cached_input: self.cached_input_tokens,
            output: self.output_tokens.unwrap_or(0),
            ..TokenCounts::default()
        };
        let is_counted = self.input_tokens.is_some() && self.output_tokens.is_some();
        let mut charge = Charge {
            amounts: value(price.as_ref(), counts, ServiceTier::Default),
            is_unpriced: price.is_none(),
            is_estimated: !is_counted,
        };
        match hold {
            Some(hold) if !is_counted => charge.amounts = hold.amounts,
            // The preflight's model had a price. Reporting another model does not make it free.
            Some(hold) if price.is_none() && hold.amounts.micro_usd > 0 => {
                charge.amounts.micro_usd = hold.amounts.micro_usd;
                charge.is_estimated = true;
            }
            _ => {}
        }
        charge
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::samples::{hold, usage};

    /// An input token costs 2 micro-USD, a cached one half of one, and an output token 10.
    fn book() -> PriceBook {
        PriceBook::from_json(
            r#"{"version": "t", "effective_from": "2026-01-01", "models": [
                {"model": "gpt-4o", "provider": "openai", "prices": {
                 "input_cost_per_token": 2000000, "cache_read_input_token_cost": 500000,
                 "output_cost_per_token": 10000000}}
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
