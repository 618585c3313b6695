//! A decision as JSON.

use super::decide::{Decision, Verdict};
use axum::response::Response;
use serde::Serialize;
use shared::domain::amount::Unit;
use shared::domain::configuration::OnUnavailable;
use shared::domain::estimate::PreflightRequest;
use shared::domain::refusal::{Ask, Reason, Warning};
use shared::runtime::http::json;
use shared::runtime::wire::{Figure, Usd};

#[derive(Serialize)]
struct DecisionBody<'a> {
    decision: &'static str,
    request_id: &'a str,
    hold: Option<HoldBody>,
    warnings: Vec<WarningBody<'a>>,
    reasons: Vec<ReasonBody<'a>>,
    offer: Option<OfferBody>,
    retryable: bool,
    exemption_id: Option<&'a str>,
    on_unavailable: &'static str,
    degraded: bool,
}

#[derive(Serialize)]
struct HoldBody {
    id: String,
    tokens: i64,
    usd: Usd,
    expires_at: String,
}

#[derive(Serialize)]
struct OfferBody {
    max_output_tokens: i64,
}

#[derive(Serialize)]
#[serde(untagged)]
enum WarningBody<'a> {
    SoftCap {
        code: &'static str,
        budget_id: &'a str,
        department_id: Option<&'a str>,
        used_percent: i64,
    },
    Unpriced {
        code: &'static str,
        model: &'a str,
        message: &'static str,
    },
    NotHeld {
        code: &'static str,
        message: &'a str,
    },
}

#[derive(Serialize)]
struct ReasonBody<'a> {
    code: &'static str,
    budget_id: Option<&'a str>,
    department_id: Option<&'a str>,
    unit: Option<Unit>,
    amount: Option<Figure>,
    carried: Option<Figure>,
    spent: Option<Figure>,
    held: Option<Figure>,
    available: Option<Figure>,
    requested: Option<Figure>,
    resets_at: Option<String>,
    message: &'a str,
    /// What would help, and who can do it.
    exemption: Option<ExemptionBody<'a>>,
}

#[derive(Serialize)]
struct ExemptionBody<'a> {
    /// The body of `POST /v1/exemptions`, but for the reason.
    request: ExemptionRequestBody<'a>,
    /// Who may ask for it.
    requested_by: Vec<&'a str>,
    decided_by: &'static str,
}

#[derive(Serialize)]
struct ExemptionRequestBody<'a> {
    user_id: &'a str,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usd: Option<Usd>,
    covers: &'static str,
    ends_at: String,
}

fn exemption(ask: &Ask) -> ExemptionBody<'_> {
    ExemptionBody {
        request: ExemptionRequestBody {
            user_id: &ask.user_id,
            kind: "raise",
            tokens: ask.tokens,
            usd: ask.micro_usd.map(Usd),
            covers: "path",
            ends_at: ask.ends_at.to_string(),
        },
        requested_by: std::iter::once(ask.user_id.as_str())
            .chain(ask.manager_id.as_deref())
            .collect(),
        decided_by: "an administrator who is neither of them",
    }
}

fn warning(warning: &Warning) -> WarningBody<'_> {
    match warning {
        Warning::SoftCapExceeded {
            budget_id,
            department_id,
            used_percent,
        } => WarningBody::SoftCap {
            code: "soft_cap_exceeded",
            budget_id,
            department_id: department_id.as_deref(),
            used_percent: *used_percent,
        },
        Warning::Unpriced { model } => WarningBody::Unpriced {
            code: "unpriced",
            model,
            message: "the model has no known price: it counts in tokens only, and no budget in US dollars sees it",
        },
        Warning::NotHeld { code, message } => WarningBody::NotHeld { code, message },
    }
}

fn reason(reason: &Reason) -> ReasonBody<'_> {
    let budget = reason.budget.as_ref();
    let figure = |value: fn(&shared::domain::refusal::ShortBudget) -> i64| {
        budget.map(|budget| Figure(budget.unit, value(budget)))
    };
    ReasonBody {
        code: reason.code.as_str(),
        budget_id: budget.map(|b| b.budget_id.as_str()),
        department_id: budget.and_then(|b| b.department_id.as_deref()),
        unit: budget.map(|b| b.unit),
        amount: figure(|b| b.figures.amount),
        carried: figure(|b| b.figures.carried),
        spent: figure(|b| b.figures.spent),
        held: figure(|b| b.figures.held),
        available: figure(|b| b.figures.available),
        requested: figure(|b| b.requested),
        resets_at: reason.resets_at.map(|at| at.to_string()),
        message: &reason.message,
        exemption: reason.ask.as_ref().map(exemption),
    }
}

/// The response: 200 for a refusal too.
pub(crate) fn response(decision: &Decision, request: &PreflightRequest) -> Response {
    let mut body = DecisionBody {
        decision: "allow",
        request_id: &request.request_id,
        hold: None,
        warnings: decision.warnings.iter().map(warning).collect(),
        reasons: Vec::new(),
        offer: None,
        retryable: false,
        exemption_id: decision.exemption_id.as_deref(),
        on_unavailable: match decision.on_unavailable {
            OnUnavailable::Allow => "allow",
            OnUnavailable::Deny => "deny",
        },
        degraded: decision.is_degraded,
    };
    match &decision.verdict {
        Verdict::Allow(hold) => {
            body.hold = hold.as_ref().map(|(id, hold)| HoldBody {
                id: id.to_string(),
                tokens: hold.amounts.tokens,
                usd: Usd(hold.amounts.micro_usd),
                expires_at: hold.expires().to_string(),
            });
        }
        Verdict::Block {
            reasons,
            offer,
            is_retryable,
        } => {
            body.decision = "block";
            body.reasons = reasons.iter().map(reason).collect();
            body.offer = offer.map(|max_output_tokens| OfferBody { max_output_tokens });
            body.retryable = *is_retryable;
        }
    }
    json(200, serde_json::to_string(&body).unwrap_or_default())
}
