//! Events reported by clients, and their charges.

use crate::domain::amount::Amounts;
use crate::domain::ledger::hold::Hold;
use crate::domain::ledger::hold_id::HoldId;
use crate::domain::ledger::labels::Labels;
use crate::domain::ledger::reported::ReportedTokens;
use crate::domain::ledger::valuation::Consumption;
use crate::domain::pricing::in_force::Pricing;
use crate::domain::pricing::matched::{PriceMatch, PriceSource};
use crate::domain::pricing::quote::Quote;
use crate::domain::pricing::tokens::ServiceTier;
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
    #[serde(flatten)]
    pub tokens: ReportedTokens,
    #[serde(default, skip_serializing_if = "ServiceTier::is_default")]
    pub service_tier: ServiceTier,
    /// The cost that a gateway reported, in pico-USD (10^-12 US dollars).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reported_pico_usd: Option<i64>,
    /// The hold that it settles.
    pub hold_id: Option<String>,
    pub outcome: Outcome,
    #[serde(default, skip_serializing_if = "Operation::is_chat")]
    pub operation: Operation,
    pub source: Option<String>,
    #[serde(flatten)]
    pub labels: Labels,
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

    /// Returns it without the cost that its reporter states.
    #[must_use]
    pub fn without_cost(mut self) -> Self {
        if let Self::LlmRequest(usage) = &mut self {
            usage.reported_pico_usd = None;
        }
        self
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge {
    pub amounts: Amounts,
    /// How its price was found.
    pub matched: PriceMatch,
    /// True if the tokens were unknown and the hold's estimate was used.
    pub is_estimated: bool,
}

impl Charge {
    /// Returns what the same usage is charged if it does not count.
    #[must_use]
    pub fn uncounted(self) -> Self {
        Self {
            amounts: Amounts::ZERO,
            is_estimated: false,
            ..self
        }
    }

    /// Returns the tokens that no budget in US dollars sees.
    pub fn unpriced_tokens(&self) -> i64 {
        match self.matched.is_unpriced() {
            true => self.amounts.tokens,
            false => 0,
        }
    }
}

impl Usage {
    /// Returns the hold that it settles, if it names one in a valid form.
    pub fn hold(&self) -> Option<HoldId> {
        self.hold_id.as_deref().and_then(HoldId::parse)
    }

    /// Returns the price that its model is charged at.
    pub fn quote(&self, pricing: &Pricing<'_>) -> Quote {
        pricing.find(Some(&self.provider), &self.model)
    }

    /// Returns its charge: by its tokens or its reported cost, or by `hold` if nobody counted them.
    pub fn charge(&self, quote: &Quote, source: PriceSource, hold: Option<&Hold>) -> Charge {
        let used = Consumption {
            counts: self.tokens.counts,
            is_counted: self.tokens.is_counted(),
            tier: self.service_tier,
            reported_pico_usd: self.reported_pico_usd,
        };
        let value = used.value(quote, source);
        let is_counted = self.tokens.is_counted();
        let mut charge = Charge {
            amounts: value.amounts,
            matched: value.matched,
            is_estimated: !is_counted,
        };
        match hold {
            // The cost is known, the tokens are not.
            Some(hold) if !is_counted && charge.matched.kind.is_reported() => {
                charge.amounts.tokens = hold.amounts.tokens;
            }
            Some(hold) if !is_counted => charge.amounts = hold.amounts,
            // The preflight's model had a price. Reporting another model does not make it free.
            Some(hold) if charge.matched.is_unpriced() && hold.amounts.pico_usd > 0 => {
                charge.amounts.pico_usd = hold.amounts.pico_usd;
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
    use crate::domain::pricing::book::PriceBook;
    use crate::domain::pricing::matched::MatchKind;
    use crate::domain::samples::{hold, usage};

    const TABLE: PriceSource = PriceSource::Table;

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

    fn charge(usage: &Usage, source: PriceSource, hold: &Hold) -> Charge {
        let quote = book().find(Some(&usage.provider), &usage.model);
        usage.charge(&quote, source, Some(hold))
    }

    fn exact() -> PriceMatch {
        PriceMatch {
            kind: MatchKind::Exact,
            model: Some("gpt-4o".to_owned()),
            version: "t".to_owned(),
        }
    }

    #[test]
    fn what_was_counted_is_charged_by_kind_whatever_was_held() {
        let mut usage = usage("e-1", 1_000, 33);
        usage.tokens.counts.cached_input = 401;
        let charge = charge(&usage, TABLE, &hold(5_120, 21_300));
        // 599 at 2, 401 at a half, and 33 at 10: 1,728.5.
        let expected = Charge {
            amounts: Amounts::new(1_033, 1_728_500_000),
            matched: exact(),
            is_estimated: false,
        };
        assert_eq!(charge, expected);
    }

    #[test]
    fn what_was_not_counted_in_full_is_charged_what_was_held() {
        let whole = usage("e-1", 1_000, 33);
        let mut without_output = whole.clone();
        without_output.tokens.has_output = false;
        let mut without_input = whole;
        without_input.tokens.has_input = false;
        for usage in [without_output, without_input] {
            let charge = charge(&usage, TABLE, &hold(5_120, 21_300));
            let expected = Charge {
                amounts: Amounts::new(5_120, 21_300),
                matched: exact(),
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
            let charge = charge(&unknown, TABLE, hold);
            assert_eq!(charge.unpriced_tokens(), 1_033);
            (charge.amounts, charge.is_estimated)
        };
        let priced = charge(&hold(5_120, 21_300));
        assert_eq!(priced, (Amounts::new(1_033, 21_300), true));
        assert_eq!(charge(&hold(5_120, 0)), (Amounts::new(1_033, 0), false));
    }

    #[test]
    fn what_has_an_estimated_price_is_charged_by_its_own_tokens_whatever_was_held() {
        let unknown = Usage {
            model: "nobody-knows".to_owned(),
            ..usage("e-1", 1_000, 33)
        };
        let book = book();
        let quote = unknown.quote(&Pricing::of_table(&book).estimating(true));
        let charge = unknown.charge(&quote, TABLE, Some(&hold(5_120, 1)));
        assert_eq!(charge.amounts, Amounts::of_micro_usd(1_033, 2_330));
        assert_eq!(charge.matched.kind, MatchKind::Estimate);
        assert_eq!((charge.unpriced_tokens(), charge.is_estimated), (0, false));
    }

    #[test]
    fn a_reported_cost_stands_for_the_price_and_the_hold_for_tokens_that_nobody_counted() {
        let mut usage = Usage {
            model: "nobody-knows".to_owned(),
            reported_pico_usd: Some(7_000_000),
            ..usage("e-1", 1_000, 33)
        };
        let charge = |usage: &Usage| {
            let charge = charge(usage, PriceSource::Reported, &hold(5_120, 21_300));
            assert_eq!(charge.matched.kind, MatchKind::Reported);
            assert_eq!(charge.unpriced_tokens(), 0);
            (charge.amounts, charge.is_estimated)
        };
        assert_eq!(charge(&usage), (Amounts::of_micro_usd(1_033, 7), false));
        usage.tokens.has_output = false;
        assert_eq!(charge(&usage), (Amounts::of_micro_usd(5_120, 7), true));
    }
}
