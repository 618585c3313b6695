//! A decision as JSON.

use super::decision::{Decision, Verdict};
use super::help::{ExemptionBody, exemption};
#[cfg(feature = "openapi")]
use super::openapi;
use super::warnings::{WarningBody, warning};
use axum::response::Response;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use shared::domain::amount::Unit;
use shared::domain::ledger::estimate::PreflightRequest;
use shared::domain::ledger::hold::Hold;
use shared::domain::ledger::hold_id::HoldId;
use shared::domain::ledger::lease::LEASE_SECONDS;
use shared::domain::ledger::refusal::{Reason, ShortBudget};
use shared::domain::org::organisation::OnUnavailable;
use shared::domain::pricing::matched::PriceMatch;
use shared::runtime::http::json_of;
#[cfg(feature = "openapi")]
use shared::runtime::openapi::Moment;
use shared::runtime::wire::{Figure, Models, Usd};

#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Decision))]
pub(crate) struct DecisionBody<'a> {
    /// Whether the request may be sent.
    #[cfg_attr(feature = "openapi", schema(value_type = openapi::Answer))]
    decision: &'static str,
    request_id: &'a str,
    /// The hold of this request; null if nothing is held.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    hold: Option<HoldBody>,
    /// Of a lease, the hold of each request that lives; `hold` is the first of them. Empty if
    /// nothing is held. Only if `requests` was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    holds: Option<Vec<HoldBody>>,
    /// When the lease ends: no request may begin under it from then on. Only of a lease that is
    /// allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Moment, required = false))]
    expires_at: Option<String>,
    /// Things to know although the request may be sent.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<openapi::Warning>))]
    warnings: Vec<WarningBody<'a>>,
    /// How the price of what it may use was found; null if nothing was estimated.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    price: Option<&'a PriceMatch>,
    /// Every level that refused.
    reasons: Vec<ReasonBody<'a>>,
    /// A smaller answer that would be admitted; null if there is none.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    offer: Option<OfferBody>,
    /// Whether the same request may pass in a few seconds.
    retryable: bool,
    /// In how many seconds to ask again, if the request is refused and may pass soon.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    retry_after_seconds: Option<u32>,
    /// The exemption that let it pass; null if it needed none.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    exemption_id: Option<&'a str>,
    /// How a client must decide if preflight does not answer.
    #[cfg_attr(feature = "openapi", schema(value_type = OnUnavailable))]
    on_unavailable: &'static str,
    /// Whether the decision was made without the database.
    degraded: bool,
}

#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Hold))]
struct HoldBody {
    /// Goes into the `hold_id` of the usage event.
    id: String,
    tokens: i64,
    usd: Usd,
    #[cfg_attr(feature = "openapi", schema(value_type = Moment))]
    expires_at: String,
}

#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Offer))]
struct OfferBody {
    max_output_tokens: i64,
}

#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Refusal))]
struct ReasonBody<'a> {
    #[cfg_attr(feature = "openapi", schema(value_type = openapi::RefusalCode))]
    code: &'static str,
    #[cfg_attr(feature = "openapi", schema(required = true))]
    budget_id: Option<&'a str>,
    #[cfg_attr(feature = "openapi", schema(required = true))]
    department_id: Option<&'a str>,
    #[cfg_attr(feature = "openapi", schema(required = true))]
    unit: Option<Unit>,
    #[cfg_attr(feature = "openapi", schema(required = true))]
    amount: Option<Figure>,
    #[cfg_attr(feature = "openapi", schema(required = true))]
    carried: Option<Figure>,
    /// The amount that exemptions gave in addition to these two.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    exempted: Option<Figure>,
    #[cfg_attr(feature = "openapi", schema(required = true))]
    spent: Option<Figure>,
    #[cfg_attr(feature = "openapi", schema(required = true))]
    held: Option<Figure>,
    /// The amount that was left at that moment.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    available: Option<Figure>,
    /// The amount that the request would have held.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    requested: Option<Figure>,
    /// When the budget has more.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Moment>, required = true))]
    resets_at: Option<String>,
    message: &'a str,
    /// The user's own raises that cover the budget, with the rest of each. A raise adds to what the
    /// budget has.
    exemptions_left: Vec<ExemptionLeftBody<'a>>,
    /// The exemption that would help, and who may ask for it and decide it.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    exemption: Option<ExemptionBody<'a>>,
    /// Which models may be used, of the level that forbids this one: `department_id`, or the
    /// organisation if that is null. Null for any other reason.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    permitted: Option<Models<'a>>,
}

#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = ExemptionLeft))]
struct ExemptionLeftBody<'a> {
    exemption_id: &'a str,
    left: Figure,
}

fn exemptions_left(budget: &ShortBudget) -> Vec<ExemptionLeftBody<'_>> {
    let exemptions = budget.exemptions.iter();
    let left = exemptions.map(|exemption| ExemptionLeftBody {
        exemption_id: &exemption.id,
        left: Figure(budget.unit, exemption.left),
    });
    left.collect()
}

fn reason(reason: &Reason) -> ReasonBody<'_> {
    let budget = reason.budget.as_ref();
    let models = reason.models.as_ref();
    let of_budget = budget.and_then(|budget| budget.department_id.as_deref());
    let of_models = models.and_then(|models| models.department_id.as_deref());
    let figure =
        |value: fn(&ShortBudget) -> i64| budget.map(|budget| Figure(budget.unit, value(budget)));
    ReasonBody {
        code: reason.code.as_str(),
        budget_id: budget.map(|b| b.budget_id.as_str()),
        department_id: of_budget.or(of_models),
        unit: budget.map(|b| b.unit),
        amount: figure(|b| b.figures.amount),
        carried: figure(|b| b.figures.carried),
        exempted: figure(|b| b.figures.exempted),
        spent: figure(|b| b.figures.spent),
        held: figure(|b| b.figures.held),
        available: figure(|b| b.figures.available),
        requested: figure(|b| b.requested),
        resets_at: reason.resets_at.map(|at| at.to_string()),
        message: &reason.message,
        exemptions_left: budget.map(exemptions_left).unwrap_or_default(),
        exemption: reason.ask.as_ref().map(exemption),
        permitted: models.map(|models| Models::from(&models.rule)),
    }
}

#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = Renewal))]
pub(crate) struct RenewalBody<'a> {
    /// Whether the hold is now as requested. If not, it is unchanged.
    #[cfg_attr(feature = "openapi", schema(value_type = openapi::Answer))]
    decision: &'static str,
    /// The hold as it is now; null if the renewal was refused.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    hold: Option<HoldBody>,
    /// Things to know although the request may be sent.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<openapi::Warning>))]
    warnings: Vec<WarningBody<'a>>,
    /// How the price of what it gains was found; null if the body names no model.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    price: Option<&'a PriceMatch>,
    /// Every level that refused.
    reasons: Vec<ReasonBody<'a>>,
    /// Whether the same renewal may pass in a few seconds.
    retryable: bool,
    /// In how many seconds to ask again; null if that does not help.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    retry_after_seconds: Option<u32>,
    /// The exemption that gave some of it; null if none did.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    exemption_id: Option<&'a str>,
}

fn hold_body(id: &HoldId, hold: &Hold) -> HoldBody {
    HoldBody {
        id: id.to_string(),
        tokens: hold.amounts.tokens,
        usd: Usd(hold.amounts.micro_usd()),
        expires_at: hold.expires().to_string(),
    }
}

/// Returns the response to a renewal: 200 for a refusal too.
pub(crate) fn renewal(decision: &Decision) -> Response {
    let (hold, reasons, wait) = match &decision.verdict {
        Verdict::Allow(holds) => (holds.first(), &[][..], None),
        Verdict::Block {
            reasons,
            retry_after_seconds,
            ..
        } => (None, reasons.as_slice(), *retry_after_seconds),
    };
    let body = RenewalBody {
        decision: match hold {
            Some(_) => "allow",
            None => "block",
        },
        hold: hold.map(|(id, hold)| hold_body(id, hold)),
        warnings: decision.warnings.iter().map(warning).collect(),
        price: decision.price.as_ref(),
        reasons: reasons.iter().map(reason).collect(),
        retryable: wait.is_some(),
        retry_after_seconds: wait,
        exemption_id: decision.exemption_id.as_deref(),
    };
    json_of(200, &body)
}

/// Returns when a lease ends: with the first of its holds. Without a hold it lives as long as a
/// lease may, so that a block is heard of in time then, too.
fn lease_end(holds: &[(HoldId, Hold)], now: Timestamp) -> Timestamp {
    let first = holds.iter().map(|(_, hold)| hold.expires()).min();
    first.unwrap_or_else(|| {
        let most = SignedDuration::from_secs(LEASE_SECONDS.into());
        now.saturating_add(most).unwrap_or(now)
    })
}

/// Returns the response to a preflight: 200 for a refusal too.
pub(crate) fn response(
    decision: &Decision,
    request: &PreflightRequest,
    now: Timestamp,
) -> Response {
    let mut body = DecisionBody {
        decision: "allow",
        request_id: &request.request_id,
        hold: None,
        holds: request.requests.map(|_| Vec::new()),
        expires_at: None,
        warnings: decision.warnings.iter().map(warning).collect(),
        price: decision.price.as_ref(),
        reasons: Vec::new(),
        offer: None,
        retryable: false,
        retry_after_seconds: None,
        exemption_id: decision.exemption_id.as_deref(),
        on_unavailable: match decision.on_unavailable {
            OnUnavailable::Allow => "allow",
            OnUnavailable::Deny => "deny",
        },
        degraded: decision.is_degraded,
    };
    match &decision.verdict {
        Verdict::Allow(holds) => {
            let bodies = || holds.iter().map(|(id, hold)| hold_body(id, hold));
            body.hold = bodies().next();
            if request.requests.is_some() {
                body.holds = Some(bodies().collect());
                body.expires_at = Some(lease_end(holds, now).to_string());
            }
        }
        Verdict::Block {
            reasons,
            offer,
            retry_after_seconds,
        } => {
            body.decision = "block";
            body.reasons = reasons.iter().map(reason).collect();
            body.offer = offer.map(|max_output_tokens| OfferBody { max_output_tokens });
            body.retryable = retry_after_seconds.is_some();
            body.retry_after_seconds = *retry_after_seconds;
        }
    }
    json_of(200, &body)
}
