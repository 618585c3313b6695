//! Shows the budgets that count for one user.

use super::view::{BudgetView, PeriodUsage, budget_view, shown_totals};
use crate::App;
use crate::exemptions::view::{ExemptionView, exemption_views};
use crate::in_force::configuration_and_cell;
use crate::json::to_json;
use crate::visibility::user_for;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use serde::Serialize;
use shared::domain::amount::{Amounts, Unit};
use shared::domain::ledger::cell::Cell;
use shared::domain::ledger::figures::Figures;
use shared::domain::name::is_user_id;
use shared::domain::org::budget::Budget;
use shared::domain::period::Month;
use shared::runtime::auth::Caller;
use shared::runtime::error::ApiError;
use shared::runtime::http::json;
use shared::runtime::list::Parameters;
use shared::runtime::openapi::{Denied, Invalid, Unknown, UserId};
use utoipa::ToSchema;

#[derive(Serialize, ToSchema)]
#[schema(as = EffectiveBudgets)]
struct EffectiveView {
    user_id: String,
    items: Vec<BudgetView>,
    exemptions: Vec<ExemptionView>,
}

/// Shows every budget that counts for a user, the nearest first, and which would refuse first.
#[shared::endpoint(GET "/v1/budgets/effective", OWN)]
#[utoipa::path(
    operation_id = "getEffectiveBudgets",
    tag = "Budgets",
    params(("user_id" = UserId, Query, description = "The user.")),
    responses(
        (
            status = 200,
            description = "The budgets on the path from the department to the organisation.",
            body = EffectiveView,
        ),
        Invalid, Unknown, Denied,
    ),
)]
pub(crate) async fn read(
    State(app): State<App>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let owner = caller.owner()?;
    let mut parameters = Parameters::of_query(query.as_deref());
    let user_id = parameters.required("user_id", "must be a user's id", is_user_id);
    parameters.finish()?;
    let now = app.clock.now();
    let user = user_for(&app, owner, &user_id).await?;
    let (configuration, cell) = configuration_and_cell(&app, owner, now).await?;
    let period = configuration.period_of(now);
    let budgets = configuration.budgets_on(&configuration.path(&user.department_id), period);
    let used = app
        .store
        .user_total(&owner.organisation_id, period, &user.id)
        .await?;
    let binding = binding_budget(&budgets, period, &cell, used.amounts());
    let totals = &shown_totals(&app, &configuration, &budgets, now).await?;
    let cell = Some(&cell);
    let show = |budget: &&Budget| {
        let mut view = budget_view(&configuration, budget, PeriodUsage { cell, totals }, now);
        view.binding = Some(binding == Some(budget.id.as_str()));
        view
    };
    // Includes exemptions that begin later.
    let mut exemptions = Vec::new();
    for grant in &configuration.grants {
        if grant.terms.user_id == user.id && grant.terms.ends_at > now {
            let exemption = app
                .store
                .exemption(&owner.organisation_id, &grant.id)
                .await?;
            exemptions.extend(exemption);
        }
    }
    let exemptions = exemption_views(&app, owner, &exemptions).await?;
    let body = EffectiveView {
        user_id,
        items: budgets.iter().map(show).collect(),
        exemptions,
    };
    Ok(json(200, to_json(&body)))
}

/// The assumed price of a token if the user has used none this month: ten dollars a million.
const USUAL: Amounts = Amounts {
    tokens: 1,
    pico_usd: 10_000_000,
};

/// Returns the hard budget that would refuse first. Within a unit that is the one with the least
/// available, as a request asks every level for the same amount. Between the units, tokens are
/// priced by what the user's tokens have cost this month.
fn binding_budget<'a>(
    budgets: &[&'a Budget],
    period: Month,
    cell: &Cell,
    used: Amounts,
) -> Option<&'a str> {
    let available = |budget: &Budget| Figures::of(budget, period, cell).available;
    let scarcest = |unit: Unit| {
        let hard = budgets.iter().filter(|b| b.hard_cap && b.unit == unit);
        let least = hard.min_by_key(|budget| available(budget))?;
        Some((least.id.as_str(), available(least)))
    };
    let cost = if used.tokens > 0 && used.pico_usd > 0 {
        used
    } else {
        USUAL
    };
    match (scarcest(Unit::Tokens), scarcest(Unit::Usd)) {
        (Some((in_tokens, tokens)), Some((in_usd, pico_usd))) => {
            let worth = tokens.saturating_mul(cost.pico_usd);
            let tokens_first = worth <= pico_usd.saturating_mul(cost.tokens.into());
            Some(if tokens_first { in_tokens } else { in_usd })
        }
        (only, None) | (None, only) => only.map(|(id, _)| id),
    }
}
