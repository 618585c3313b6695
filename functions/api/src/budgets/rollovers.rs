//! Shows the amounts that budgets carried from month to month.

use super::budget_for;
use crate::App;
use crate::in_force::read_configuration;
use crate::json::to_json;
use crate::visibility::Visibility;
use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use serde::Serialize;
use shared::domain::amount::Unit;
use shared::domain::ledger::rollover::Rollover;
use shared::runtime::auth::Caller;
use shared::runtime::error::ApiError;
use shared::runtime::http::json;
use shared::runtime::list::PageBody;
use shared::runtime::openapi::{Denied, Invalid, Moment, Page, Slug, Unknown};
use shared::runtime::wire::Figure;
use utoipa::ToSchema;

#[derive(Serialize, ToSchema)]
#[schema(as = Rollover)]
pub(crate) struct ClosedMonthView<'a> {
    budget_id: &'a str,
    unit: Unit,
    from_period: String,
    to_period: String,
    amount: Figure,
    /// The amount carried in from the previous month.
    carried_in: Figure,
    exempted: Figure,
    spent: Figure,
    /// The amount still held when the month was closed.
    held: Figure,
    /// The rest of the month's own amount.
    unused: Figure,
    /// The most that is carried, in percent of the month's own amount.
    cap_percent: u32,
    /// The amount carried into the next month.
    carried_out: Figure,
    #[schema(value_type = Moment)]
    closed_at: String,
    /// When late usage corrected it.
    #[schema(value_type = Option<Moment>, required = true)]
    corrected_at: Option<String>,
}

/// A budget's month in its rollover history.
pub(crate) fn closed_month_view(rollover: &Rollover) -> ClosedMonthView<'_> {
    let figure = |value| Figure(rollover.unit, value);
    ClosedMonthView {
        budget_id: &rollover.budget_id,
        unit: rollover.unit,
        from_period: rollover.from_period.to_string(),
        to_period: rollover.to_period.to_string(),
        amount: figure(rollover.amount),
        carried_in: figure(rollover.carried_in),
        exempted: figure(rollover.exempted),
        spent: figure(rollover.spent),
        held: figure(rollover.held),
        unused: figure(rollover.unused),
        cap_percent: rollover.cap_percent,
        carried_out: figure(rollover.carried_out),
        closed_at: rollover.closed_at.to_string(),
        corrected_at: rollover.corrected_at.map(|at| at.to_string()),
    }
}

/// Lists the carried amounts of all budgets, the newest month first.
#[shared::endpoint(GET "/v1/rollovers", MANAGED)]
#[utoipa::path(
    operation_id = "listRollovers",
    tag = "Budgets",
    params(Page),
    responses(
        (status = 200, description = "A page of them.", body = PageBody<ClosedMonthView>),
        Invalid, Denied,
    ),
)]
pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let owner = caller.owner()?;
    let list = format!("{} rollovers {}", owner.organisation_id, owner.key_id);
    let asked = app.page(query.as_deref(), &list)?;
    let configuration = read_configuration(&app, owner).await?;
    let visibility = Visibility::of_departments(owner, &configuration);
    // The history of a deleted department is only for those who see the whole organisation.
    let wanted = |rollover: &Rollover| {
        let department = configuration.department_of(rollover.level);
        visibility.has_department(department.map(|department| department.id.as_str()))
    };
    let page = app
        .store
        .rollovers(
            &owner.organisation_id,
            wanted,
            asked.after.as_deref(),
            asked.limit,
        )
        .await?;
    let items = page.items.iter().map(closed_month_view).collect();
    let body = PageBody::new(items, page.next.as_deref(), &app.cursors, &list);
    Ok(json(200, to_json(&body)))
}

/// Lists the carried amounts of one budget, the newest month first.
///
/// It includes earlier budgets of the same department and unit: a budget that is created again gets
/// their carry.
#[shared::endpoint(GET "/v1/budgets/{id}/rollovers", MANAGED)]
#[utoipa::path(
    operation_id = "listBudgetRollovers",
    tag = "Budgets",
    params(("id" = Slug, Path, description = "The budget."), Page),
    responses(
        (status = 200, description = "A page of them.", body = PageBody<ClosedMonthView>),
        Invalid, Unknown, Denied,
    ),
)]
pub(crate) async fn list_of_budget(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let owner = caller.owner()?;
    let list = format!("{} rollovers of {id}", owner.organisation_id);
    let asked = app.page(query.as_deref(), &list)?;
    let configuration = read_configuration(&app, owner).await?;
    let counter = budget_for(&configuration, owner, &id)?.counter();
    let page = app
        .store
        .rollovers(
            &owner.organisation_id,
            |rollover| rollover.counter() == counter,
            asked.after.as_deref(),
            asked.limit,
        )
        .await?;
    let items = page.items.iter().map(closed_month_view).collect();
    let body = PageBody::new(items, page.next.as_deref(), &app.cursors, &list);
    Ok(json(200, to_json(&body)))
}
