//! Shows events that need attention as JSON.

use serde::Serialize;
use shared::domain::amount::{Amounts, Unit};
use shared::domain::ledger::flagged::{Decision, Flag, FlaggedEvent};
use shared::domain::ledger::plausible::Excess;
use shared::domain::ledger::usage::{Event, Operation, RiskLevel};
use shared::domain::pricing::matched::PriceMatch;
use shared::domain::pricing::tokens::ServiceTier;
use shared::runtime::openapi::Moment;
use shared::runtime::wire::Usd;
use std::collections::BTreeMap;
use utoipa::ToSchema;

#[derive(Serialize, ToSchema)]
#[schema(as = DecisionAboutEvent)]
struct DecisionView {
    /// Who decided, as the audit log names them.
    by: String,
    #[schema(value_type = Moment)]
    at: String,
    reason: String,
}

/// The count of tokens that is too large, as reported, with the largest possible count.
#[derive(Serialize, ToSchema)]
#[schema(as = EventExcess)]
struct ExcessView {
    /// One of `input`, `output` and `total`.
    of: shared::domain::ledger::plausible::Counted,
    tokens: i64,
    most: i64,
}

#[derive(Serialize, ToSchema)]
#[schema(as = AmountsOfEvent)]
struct AmountsView {
    tokens: i64,
    usd: Usd,
}

impl From<Amounts> for AmountsView {
    fn from(amounts: Amounts) -> Self {
        Self {
            tokens: amounts.tokens,
            usd: Usd(amounts.micro_usd()),
        }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = FlaggedEvent)]
pub(super) struct EventView {
    event_id: String,
    /// Either `llm_request` or `ip_risk`.
    r#type: &'static str,
    #[schema(required = true)]
    user_id: Option<String>,
    #[schema(required = true)]
    department_id: Option<String>,
    status: Flag,
    #[schema(value_type = Moment)]
    occurred_at: String,
    #[schema(value_type = Moment)]
    received_at: String,
    /// The month that it counts in, or would count in.
    #[schema(value_type = String)]
    period: String,
    /// Null for a risk, as are the fields that follow.
    #[schema(required = true)]
    provider: Option<String>,
    #[schema(required = true)]
    model: Option<String>,
    #[schema(required = true)]
    operation: Option<Operation>,
    #[schema(required = true)]
    input_tokens: Option<i64>,
    #[schema(required = true)]
    output_tokens: Option<i64>,
    /// A part of `input_tokens`, as are the four that follow.
    #[schema(required = true)]
    cached_input_tokens: Option<i64>,
    #[schema(required = true)]
    cache_write_tokens: Option<i64>,
    #[schema(required = true)]
    cache_write_1h_tokens: Option<i64>,
    #[schema(required = true)]
    audio_input_tokens: Option<i64>,
    #[schema(required = true)]
    image_input_tokens: Option<i64>,
    /// How much of `cached_input_tokens` was sound; null if nobody said.
    #[schema(required = true)]
    cached_audio_input_tokens: Option<i64>,
    /// A part of `output_tokens`, as is the next.
    #[schema(required = true)]
    reasoning_tokens: Option<i64>,
    #[schema(required = true)]
    audio_output_tokens: Option<i64>,
    #[schema(required = true)]
    service_tier: Option<ServiceTier>,
    /// The cost that a gateway reported, rounded up to six decimals.
    #[schema(required = true)]
    cost_usd: Option<Usd>,
    #[schema(required = true)]
    hold_id: Option<String>,
    /// Empty for a risk, as is `metadata`.
    tags: Vec<String>,
    metadata: BTreeMap<String, String>,
    /// Null for usage, as is `summary`.
    #[schema(required = true)]
    risk_level: Option<RiskLevel>,
    #[schema(required = true)]
    summary: Option<String>,
    /// Whether its model was forbidden when it was recorded, whatever its status.
    model_not_allowed: bool,
    /// The charge for it: zero while it is held back.
    charged: AmountsView,
    /// How the price of usage was found, or would be.
    #[schema(required = true)]
    price: Option<PriceMatch>,
    /// The amount of its hold, if it names one.
    #[schema(required = true)]
    held: Option<AmountsView>,
    /// The count that is too large, if it was held back.
    #[schema(required = true)]
    excess: Option<ExcessView>,
    /// The decision about it, if there is one.
    #[schema(required = true)]
    decision: Option<DecisionView>,
}

pub(super) fn event_view(flagged: &FlaggedEvent) -> EventView {
    let path = shared::domain::org::department::Path::from_text(&flagged.path);
    let (usage, risk) = match &flagged.event {
        Event::LlmRequest(usage) => (Some(usage), None),
        Event::IpRisk(risk) => (None, Some(risk)),
    };
    let excess = |excess: Excess| ExcessView {
        of: excess.of,
        tokens: excess.tokens,
        most: excess.most,
    };
    let decision = |decision: &Decision| DecisionView {
        by: decision.by.clone(),
        at: decision.at.to_string(),
        reason: decision.reason.clone(),
    };
    let counts = usage.map(|usage| usage.tokens.counts);
    let labels = usage.map(|usage| usage.labels.clone()).unwrap_or_default();
    let of_risk = risk.and_then(|risk| risk.user_id.clone());
    EventView {
        event_id: flagged.event.event_id().to_owned(),
        r#type: usage.map_or("ip_risk", |_| "llm_request"),
        user_id: usage.map(|usage| usage.user_id.clone()).or(of_risk),
        department_id: path.department_id().map(str::to_owned),
        status: flagged.flag,
        occurred_at: flagged.event.occurred_at().to_string(),
        received_at: flagged.received_at.to_string(),
        period: flagged.period.to_string(),
        provider: usage.map(|usage| usage.provider.clone()),
        model: usage.map(|usage| usage.model.clone()),
        operation: usage.map(|usage| usage.operation),
        input_tokens: usage.and_then(|usage| usage.tokens.input()),
        output_tokens: usage.and_then(|usage| usage.tokens.output()),
        cached_input_tokens: counts.map(|counts| counts.cached_input),
        cache_write_tokens: counts.map(|counts| counts.cache_write),
        cache_write_1h_tokens: counts.map(|counts| counts.cache_write_1h),
        audio_input_tokens: counts.map(|counts| counts.audio_input),
        image_input_tokens: counts.map(|counts| counts.image_input),
        cached_audio_input_tokens: counts.and_then(|counts| counts.cached_audio),
        reasoning_tokens: counts.map(|counts| counts.reasoning),
        audio_output_tokens: counts.map(|counts| counts.audio_output),
        service_tier: usage.map(|usage| usage.service_tier),
        cost_usd: usage
            .and_then(|usage| usage.reported_pico_usd)
            .map(|cost| Usd(Unit::Usd.rounded_up(cost.into()))),
        hold_id: usage.and_then(|usage| usage.hold_id.clone()),
        tags: labels.tags,
        metadata: labels.metadata,
        risk_level: risk.map(|risk| risk.risk_level),
        summary: risk.map(|risk| risk.summary.clone()),
        model_not_allowed: flagged.model_not_allowed,
        charged: flagged.charged.into(),
        price: flagged.price.clone(),
        held: flagged.held.map(AmountsView::from),
        excess: flagged.excess.map(excess),
        decision: flagged.decision.as_ref().map(decision),
    }
}
