//! `PATCH /v1/holds/{id}`: a live hold may live longer and have more, under the rules of a new one.

use super::answer;
use super::app::{ATTEMPTS, Timed};
use super::decide::exemption_id;
use super::decision::{Decision, Verdict};
use super::holding::{manager, wait_for_holds};
#[cfg(feature = "openapi")]
use super::openapi::RenewHold;
use super::refusals::AskedFor;
use super::renewal_body::{Asked, read};
use super::{App, own_hold_id};
use axum::extract::{Path, State};
use axum::response::Response;
use jiff::Timestamp;
use shared::domain::ledger::hold_id::HoldId;
use shared::domain::ledger::hold_request::HoldRequest;
use shared::domain::ledger::node::Node;
use shared::domain::ledger::refusal::Reason;
use shared::domain::ledger::renewal::CannotRenew;
use shared::domain::ledger::warning::{passed_soft_caps, unpriced};
use shared::domain::ledger::way_out::WayOut;
use shared::domain::org::configuration::Configuration;
use shared::domain::org::people::User;
use shared::ledger::{RenewOutcome, RenewedHold};
use shared::runtime::error::ApiError;
use shared::runtime::http::Body;
#[cfg(feature = "openapi")]
use shared::runtime::openapi::{
    Conflict, Denied, HoldId as HoldIdText, Invalid, TooLarge, Unknown,
};
use shared::store::{KeyOwner, StoreError};
use std::sync::Arc;

const ENDED: &str =
    "the hold has ended; its usage counts when it is reported. Ask for another hold";

/// Lets a live hold live longer, or have more.
///
/// Every hard cap on its path must have the amount that it gains, or nothing changes; this is one
/// conditional write. A refusal is a 200, as for a preflight. The hold keeps its id and its month;
/// if the month is over, the hold can only be extended. If `model` is given, the tokens that it
/// gains are priced as the dearest kind of token of that model, at the service tier of the
/// preflight; otherwise as its tokens so far, on average. Under a hard cap in US dollars, an
/// organisation that reserves strictly requires `model`. If the same body is sent again, only the
/// time is extended further. A hold that has ended is a 409; its usage still counts.
#[shared::endpoint(PATCH "/v1/holds/{id}", TRAFFIC)]
#[cfg_attr(feature = "openapi", utoipa::path(
    operation_id = "renewHold",
    tag = "Requests",
    params(("id" = HoldIdText, Path, description = "The hold.")),
    request_body = RenewHold,
    responses(
        (status = 200, description = "The decision.", body = answer::RenewalBody),
        Invalid, Unknown, Conflict, TooLarge, Denied,
    ),
))]
pub(crate) async fn renew(
    State(app): State<App>,
    Timed { caller, deadline }: Timed,
    Path(id): Path<String>,
    Body(body): Body,
) -> Result<Response, ApiError> {
    let owner = caller.owner()?;
    let organisation_id = &owner.organisation_id;
    let asked = read(&body)?;
    let hold_id = own_hold_id(owner, &id)?;
    let deciding = async {
        let user_id = holder(&app, owner, &hold_id).await?;
        let decision = attempts(&app, organisation_id, &user_id, &hold_id, &asked).await?;
        Ok::<_, ApiError>((user_id, decision))
    };
    let (user_id, decision) = deadline.limit(deciding).await??;
    let asked_for = AskedFor {
        request_id: &hold_id.to_string(),
        user_id: &user_id,
        model: asked.model.as_deref().unwrap_or_default(),
    };
    app.refusals
        .notify(
            organisation_id,
            asked_for,
            &decision,
            app.clock.now(),
            deadline,
        )
        .await;
    Ok(answer::renewal(&decision))
}

/// Returns the user of a hold, which is the key's own one or in the cell.
async fn holder(app: &App, owner: &KeyOwner, hold_id: &HoldId) -> Result<String, ApiError> {
    let organisation_id = &owner.organisation_id;
    let own = owner.user_id.as_ref();
    let own = own.filter(|id| hold_id.rid.belongs_to(organisation_id, id));
    let holder = match own {
        Some(user_id) => Some(user_id.clone()),
        None => app.store.holder(organisation_id, hold_id).await?,
    };
    holder.ok_or_else(|| ApiError::not_found("hold"))
}

/// Decides on the configuration in force.
async fn attempts(
    app: &App,
    organisation_id: &str,
    user_id: &str,
    hold_id: &HoldId,
    asked: &Asked,
) -> Result<Decision, ApiError> {
    for _ in 0..ATTEMPTS {
        let configuration = app.cache.configuration(organisation_id).await?;
        let user = app.cache.user(&configuration, user_id).await?;
        let user = user.ok_or_else(|| ApiError::not_found("hold"))?;
        match attempt(app, &configuration, &user, hold_id, asked).await? {
            Some(decision) => return Ok(decision),
            None => app.cache.forget(&configuration),
        }
    }
    Err(StoreError::Contended.into())
}

/// Decides once. None if another configuration is in force.
async fn attempt(
    app: &App,
    configuration: &Arc<Configuration>,
    user: &User,
    hold_id: &HoldId,
    asked: &Asked,
) -> Result<Option<Decision>, ApiError> {
    let now = app.clock.now();
    let quote = asked.quote(configuration, now);
    let matched = quote.as_ref().map(|quote| quote.matched.clone());
    let decided = |verdict| Decision {
        verdict,
        warnings: Vec::new(),
        price: matched.clone(),
        on_unavailable: configuration.organisation.on_unavailable,
        exemption_id: None,
        is_degraded: false,
    };
    if let Some(reason) = asked.denied(configuration, user, quote.as_ref(), now) {
        let current = configuration.period_of(now);
        let is_in_force = app.store.is_in_force(configuration, current).await?;
        return Ok(is_in_force.then(|| decided(Verdict::block(reason))));
    }
    let wish = asked.wish(quote);
    let renewed = app.store.renew(configuration, user, hold_id, &wish, now);
    let (verdict, known) = match renewed.await? {
        RenewOutcome::Renewed(known) => {
            let hold = (hold_id.clone(), known.hold.clone());
            (Verdict::Allow(vec![hold]), known)
        }
        RenewOutcome::InsufficientBudget {
            known,
            asked,
            nodes,
        } => {
            let short = (&asked, nodes.as_slice());
            let verdict = refused(app, configuration, user, hold_id, &known, short, now).await;
            (verdict, known)
        }
        RenewOutcome::Impossible(why) => return Err(impossible(why)),
        RenewOutcome::Ended => return Err(ApiError::conflict(ENDED)),
        RenewOutcome::Unknown => return Err(ApiError::not_found("hold")),
        RenewOutcome::StaleConfiguration => return Ok(None),
    };
    let gained = asked.model.as_deref().filter(|_| asked.tokens.is_some());
    let with = with_cell(
        app,
        configuration,
        (hold_id, gained),
        known,
        decided(verdict),
    );
    Ok(Some(with.await))
}

/// Says which budgets are short of what is `asked`, and what to do.
async fn refused(
    app: &App,
    configuration: &Arc<Configuration>,
    user: &User,
    hold_id: &HoldId,
    known: &RenewedHold,
    (asked, nodes): (&HoldRequest, &[Node]),
    now: Timestamp,
) -> Verdict {
    let others = known.cell.without(&hold_id.rid);
    let wait = wait_for_holds(asked, &others, nodes, now);
    let manager = match wait {
        None => manager(app, configuration, user).await,
        Some(_) => None,
    };
    let way_out = match wait {
        Some(seconds) => WayOut::Wait(seconds),
        None => WayOut::Exemption {
            manager: manager.as_deref(),
        },
    };
    Verdict::Block {
        reasons: Reason::short(configuration, user, &known.cell, nodes, asked, way_out, now),
        offer: None,
        retry_after_seconds: wait,
    }
}

/// Adds what follows from the cell: warnings, and the exemption that was used. `gained` is the
/// model of what the hold gains, if the client names it.
async fn with_cell(
    app: &App,
    configuration: &Configuration,
    (hold_id, gained): (&HoldId, Option<&str>),
    known: RenewedHold,
    decision: Decision,
) -> Decision {
    let RenewedHold { hold, path, cell } = known;
    let period = hold_id.period;
    let is_renewed = matches!(decision.verdict, Verdict::Allow(_));
    let model = gained.filter(|_| is_renewed).unwrap_or_default();
    let price = decision.price.as_ref().filter(|_| !model.is_empty());
    let unsure = price.and_then(|matched| unpriced(matched, model));
    let sums = &app.sums;
    let of = (&path, period);
    let seen = sums.to_warn_by(&app.store, configuration, of, &cell, app.clock.now());
    let soft = passed_soft_caps(configuration, &path, period, &*seen.await);
    let warnings = unsure.into_iter().chain(soft).collect();
    let organisation_id = &configuration.organisation.id;
    app.places
        .see(organisation_id, period, hold_id.rid.cell(), cell);
    let used = exemption_id(configuration, hold.exempt.as_ref());
    Decision {
        warnings,
        exemption_id: used.filter(|_| is_renewed),
        ..decision
    }
}

fn impossible(why: CannotRenew) -> ApiError {
    let another = "ask for another hold";
    match why {
        CannotRenew::TooLong(0) => {
            let message = format!("the hold has lived for a day, which is the most; {another}");
            ApiError::field("extend_seconds", message)
        }
        CannotRenew::TooLong(most) => {
            let message = format!("must be at most {most}: a hold lives at most a day in all");
            ApiError::field("extend_seconds", message)
        }
        CannotRenew::TooMuch => ApiError::field("tokens", "are worth more than any budget has"),
        CannotRenew::NoModel => ApiError::conflict(
            "model is missing: a hard cap in US dollars must hold, so what the hold gains is \
             priced by its model",
        ),
        CannotRenew::MonthOver => ApiError::conflict(format!(
            "the month of the hold is over, so it can live longer and not have more; {another}"
        )),
        CannotRenew::Empty => ApiError::conflict(format!("nothing is held under it; {another}")),
        CannotRenew::Unpriced => ApiError::conflict(format!(
            "its model has no known price, and a hard cap in US dollars must hold; {another}"
        )),
    }
}
