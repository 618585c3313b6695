//! Lists events that need attention. An administrator decides about those that were held back.

mod body;
mod schema;
mod unsure;
mod view;

use self::body::{DecisionRequest, read_decision};
use self::schema::DecideEvent;
use self::view::{EventView, event_view};
use super::App;
use super::change::{Actor, Proposal, change};
use super::crossings::alert_crossings;
use super::json::to_json;
use super::parameters::take_user_id;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use shared::domain::amount::Amounts;
use shared::domain::change::{Change, Update};
use shared::domain::ledger::flagged::{Decision, Flag, FlaggedEvent};
use shared::domain::ledger::identity::EventIdentity;
use shared::domain::ledger::usage::Event;
use shared::runtime::auth::Caller;
use shared::runtime::error::{ApiError, ErrorCode};
use shared::runtime::http::{Body, RequestId, json};
use shared::runtime::list::{PageBody, Parameters};
use shared::runtime::openapi::{Conflict, Denied, Invalid, Page, TooLarge, Unknown, UserId};
use shared::store::KeyOwner;

/// Lists events that need attention, the newest first: held back, decided, in conflict, or beyond
/// their hold.
#[shared::endpoint(GET "/v1/events", ADMIN)]
#[utoipa::path(
    operation_id = "listEvents",
    tag = "Requests",
    params(
        ("status" = Flag, Query, description = "Only those of this status."),
        ("user_id" = Option<UserId>, Query, description = "Only those of this user."),
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
    let flag = parameters.required_name("status").unwrap_or(Flag::HeldBack);
    let user_id = take_user_id(&mut parameters, "user_id");
    let status = flag.as_str();
    let list = format!("{} events {status} {user_id:?}", owner.organisation_id);
    let asked = app.cursors.page(&mut parameters, &list);
    parameters.finish()?;
    let wanted = |flagged: &FlaggedEvent| {
        let event_user_id = match &flagged.event {
            Event::LlmRequest(usage) => Some(&usage.user_id),
            Event::IpRisk(risk) => risk.user_id.as_ref(),
        };
        user_id.is_none() || user_id.as_ref() == event_user_id
    };
    let after = asked.after.as_deref();
    let page = app
        .store
        .flagged(&owner.organisation_id, flag, wanted, after, asked.limit)
        .await?;
    let items = page.items.iter().map(event_view).collect();
    let body = PageBody::new(items, page.next.as_deref(), &app.cursors, &list);
    Ok(json(200, to_json(&body)))
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
    let asked = read_decision(&body)?;
    let event = find_held_back(&app, owner, &asked.identity).await?;
    let answer = match event.flag == asked.flag {
        true => json(200, to_json(&event_view(&event))),
        false => decide_now(&app, owner, &request_id, &asked, &event).await?,
    };
    if asked.flag == Flag::Counted {
        unsure::alert(&app, owner, &event).await?;
    }
    Ok(answer)
}

async fn decide_now(
    app: &App,
    owner: &KeyOwner,
    request_id: &str,
    asked: &DecisionRequest,
    event: &FlaggedEvent,
) -> Result<Response, ApiError> {
    let decided = commit_decision(app, owner, request_id, asked, event).await;
    let Err(error) = decided else {
        alert_crossings(app, owner, app.clock.now()).await;
        return decided;
    };
    if error.code == ErrorCode::Conflict {
        // Somebody else may have made the same decision a moment ago.
        let event = find_held_back(app, owner, &asked.identity).await?;
        if event.flag == asked.flag {
            return Ok(json(200, to_json(&event_view(&event))));
        }
    }
    Err(error)
}

async fn find_held_back(
    app: &App,
    owner: &KeyOwner,
    identity: &EventIdentity,
) -> Result<FlaggedEvent, ApiError> {
    let event = app
        .store
        .held_back(&owner.organisation_id, identity)
        .await?;
    event.ok_or_else(|| ApiError::not_found("event that was held back"))
}

async fn commit_decision(
    app: &App,
    owner: &KeyOwner,
    request_id: &str,
    asked: &DecisionRequest,
    event: &FlaggedEvent,
) -> Result<Response, ApiError> {
    let actor = Actor::of(owner, request_id);
    let now = app.clock.now();
    change(app, &actor, None, async |snapshot| {
        let configuration = &snapshot.configuration;
        let charge = match asked.flag {
            Flag::Counted => Some(app.store.charge_of_held_back(configuration, event).await?),
            _ => None,
        };
        let before = find_held_back(app, owner, &asked.identity).await?;
        if before.flag != Flag::HeldBack {
            let message = format!(
                "it was {} already; correct its usage with POST /v1/corrections",
                before.flag.as_str()
            );
            return Err(ApiError::conflict(message));
        }
        let after = FlaggedEvent {
            flag: asked.flag,
            charged: charge
                .as_ref()
                .map_or(Amounts::ZERO, |charge| charge.amounts),
            price: charge.map(|charge| charge.matched).or(before.price.clone()),
            decision: Some(Decision {
                by: actor.author.name.clone(),
                at: now,
                reason: asked.reason.clone(),
            }),
            ..before.clone()
        };
        let event = Update::new(before, after, |event| to_json(&event_view(event)));
        let body = event.after.json.clone();
        let decided = match asked.flag {
            Flag::Counted => Change::EventCounted(event),
            _ => Change::EventDiscarded(event),
        };
        Ok(Proposal::showing(decided, 200, body))
    })
    .await
}
