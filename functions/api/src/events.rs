//! Lists events that need attention. An administrator decides about those that were held back.

use super::budgets::tell_crossings;
use super::change::{Actor, Proposal, change};
use super::openapi::bodies::DecideEvent;
use super::{App, view};
use axum::extract::{RawQuery, State};
use axum::response::Response;
use serde::Serialize;
use shared::domain::amount::Amounts;
use shared::domain::change::{Change, Update};
use shared::domain::ledger::flagged::{Decision, Flag, FlaggedEvent};
use shared::domain::ledger::identity::EventIdentity;
use shared::domain::ledger::plausible::Excess;
use shared::domain::ledger::usage::{Event, Operation, RiskLevel};
use shared::domain::name::is_user_id;
use shared::runtime::auth::Caller;
use shared::runtime::error::{ApiError, ErrorCode};
use shared::runtime::fields::Fields;
use shared::runtime::http::{Body, RequestId, json};
use shared::runtime::list::{PageBody, Parameters};
use shared::runtime::openapi::{
    Conflict, Denied, Invalid, Moment, Page, TooLarge, Unknown, UserId,
};
use shared::runtime::parse;
use shared::runtime::wire::Usd;
use shared::store::KeyOwner;
use utoipa::ToSchema;

const FLAGS: &[(&str, Flag)] = &[
    ("held_back", Flag::HeldBack),
    ("counted", Flag::Counted),
    ("discarded", Flag::Discarded),
    ("conflict", Flag::Conflict),
    ("exceeded_hold", Flag::ExceededHold),
    ("lapsed", Flag::Lapsed),
];
const TYPES: &[(&str, ())] = &[("llm_request", ())];
const DECISIONS: &[(&str, Option<Flag>)] = &[
    ("count", Some(Flag::Counted)),
    ("discard", Some(Flag::Discarded)),
];

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
            usd: Usd(amounts.micro_usd),
        }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = FlaggedEvent)]
struct EventView {
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
    #[schema(required = true)]
    hold_id: Option<String>,
    /// Null for usage, as is `summary`.
    #[schema(required = true)]
    risk_level: Option<RiskLevel>,
    #[schema(required = true)]
    summary: Option<String>,
    /// The charge for it: zero while it is held back.
    charged: AmountsView,
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

fn shown(flagged: &FlaggedEvent) -> EventView {
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
        input_tokens: usage.and_then(|usage| usage.input_tokens),
        output_tokens: usage.and_then(|usage| usage.output_tokens),
        hold_id: usage.and_then(|usage| usage.hold_id.clone()),
        risk_level: risk.map(|risk| risk.risk_level),
        summary: risk.map(|risk| risk.summary.clone()),
        charged: flagged.charged.into(),
        held: flagged.held.map(AmountsView::from),
        excess: flagged.excess.map(excess),
        decision: flagged.decision.as_ref().map(decision),
    }
}

/// Lists events that need attention, the newest first: held back, decided, in conflict, or beyond
/// their hold.
#[shared::endpoint(GET "/v1/events", ADMIN)]
#[utoipa::path(
    operation_id = "listEvents",
    tag = "Requests",
    params(
        ("status" = Flag, Query, description = "Those of this status only."),
        ("user_id" = Option<UserId>, Query, description = "Those of this user only."),
        Page,
    ),
    responses(
        (status = 200, description = "A page of them.", body = PageBody<EventView>),
        Invalid, Denied,
    ),
)]
pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let owner = caller.owner()?;
    let mut parameters = Parameters::of_query(query.as_deref());
    let names: Vec<&str> = FLAGS.iter().map(|(name, _)| *name).collect();
    let rule = format!("must be one of {}", names.join(", "));
    let status = parameters.required("status", &rule, |text| names.contains(&text));
    let flag = FLAGS.iter().find(|(name, _)| *name == status);
    let user_id = parameters.take("user_id", "must be a user's id", |text| {
        is_user_id(text).then(|| text.to_owned())
    });
    let list = format!("{} events {status} {user_id:?}", owner.organisation_id);
    let asked = app.cursors.page(&mut parameters, &list);
    parameters.finish()?;
    let flag = flag.map_or(Flag::HeldBack, |(_, flag)| *flag);
    let wanted = |flagged: &FlaggedEvent| {
        let whose = match &flagged.event {
            Event::LlmRequest(usage) => Some(&usage.user_id),
            Event::IpRisk(risk) => risk.user_id.as_ref(),
        };
        user_id.is_none() || user_id.as_ref() == whose
    };
    let after = asked.after.as_deref();
    let page = app
        .store
        .flagged(&owner.organisation_id, flag, wanted, after, asked.limit)
        .await?;
    let items = page.items.iter().map(shown).collect();
    let body = PageBody::new(items, page.next.as_deref(), &app.cursors, &list);
    Ok(json(200, view::text(&body)))
}

/// The event of a request and the decision about it.
struct Asked {
    identity: EventIdentity,
    /// The state of the event after the decision.
    flag: Flag,
    reason: String,
}

fn read(body: &[u8]) -> Result<Asked, ApiError> {
    let mut fields = Fields::of_body(body)?;
    let user_id = fields.required("user_id", parse::user_id);
    let event_id = fields.required("event_id", parse::client_id);
    fields.optional("type", parse::one_of(TYPES));
    let flag = fields.required("decision", parse::one_of(DECISIONS));
    let reason = fields.required("reason", parse::sentence(1_000));
    fields.finish()?;
    Ok(Asked {
        identity: EventIdentity::of_usage_named(&user_id, &event_id),
        flag: flag.unwrap_or(Flag::Discarded),
        reason,
    })
}

/// Counts or discards an event that was held back, once.
///
/// A counted event is charged as late usage of the place and month in which it was held back, less
/// the charge of its hold. A discarded event counts nowhere, and the charge of its hold stays. The
/// same decision again changes nothing and gets the same answer. Another decision is a conflict:
/// use a correction instead.
#[shared::endpoint(POST "/v1/events/decisions", ADMIN)]
#[utoipa::path(
    operation_id = "decideEvent",
    tag = "Requests",
    request_body(content = DecideEvent, example = json!({
        "user_id": "ada", "event_id": "e-1", "decision": "discard", "reason": "a report of a test"
    })),
    responses(
        (status = 200, description = "The event as it is now.", body = EventView),
        Invalid, Unknown, Conflict, TooLarge, Denied,
    ),
)]
pub(crate) async fn decide(
    State(app): State<App>,
    caller: Caller,
    RequestId(request_id): RequestId,
    Body(body): Body,
) -> Result<Response, ApiError> {
    let owner = caller.owner()?;
    let asked = read(&body)?;
    let known = held_back(&app, owner, &asked.identity).await?;
    if known.flag == asked.flag {
        return Ok(json(200, view::text(&shown(&known))));
    }
    let decided = write(&app, owner, &request_id, &asked, &known).await;
    let Err(error) = decided else {
        tell_crossings(&app, owner, app.clock.now()).await;
        return decided;
    };
    if error.code == ErrorCode::Conflict {
        // Somebody else may have made the same decision a moment ago.
        let known = held_back(&app, owner, &asked.identity).await?;
        if known.flag == asked.flag {
            return Ok(json(200, view::text(&shown(&known))));
        }
    }
    Err(error)
}

async fn held_back(
    app: &App,
    owner: &KeyOwner,
    identity: &EventIdentity,
) -> Result<FlaggedEvent, ApiError> {
    let known = app
        .store
        .held_back(&owner.organisation_id, identity)
        .await?;
    known.ok_or_else(|| ApiError::not_found("event that was held back"))
}

async fn write(
    app: &App,
    owner: &KeyOwner,
    request_id: &str,
    asked: &Asked,
    known: &FlaggedEvent,
) -> Result<Response, ApiError> {
    let organisation_id = &owner.organisation_id;
    let charged = match asked.flag {
        Flag::Counted => {
            app.store
                .charge_of_held_back(organisation_id, known)
                .await?
        }
        _ => Amounts::ZERO,
    };
    let actor = Actor::of(owner, request_id);
    let now = app.clock.now();
    change(app, &actor, None, async |_| {
        let before = held_back(app, owner, &asked.identity).await?;
        if before.flag != Flag::HeldBack {
            let message = format!(
                "it was {} already; POST /v1/corrections mends what was wrong",
                before.flag.as_str()
            );
            return Err(ApiError::conflict(message));
        }
        let after = FlaggedEvent {
            flag: asked.flag,
            charged,
            decision: Some(Decision {
                by: actor.author.name.clone(),
                at: now,
                reason: asked.reason.clone(),
            }),
            ..before.clone()
        };
        let event = Update::new(before, after, |event| view::text(&shown(event)));
        let body = event.after.json.clone();
        let decided = match asked.flag {
            Flag::Counted => Change::EventCounted(event),
            _ => Change::EventDiscarded(event),
        };
        Ok(Proposal::showing(decided, 200, body))
    })
    .await
}
