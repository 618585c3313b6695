//! Shows the amounts that budgets carried from month to month.

use super::visibility::Visibility;
use super::{App, view};
use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use shared::domain::ledger::rollover::Rollover;
use shared::runtime::auth::Caller;
use shared::runtime::error::ApiError;
use shared::runtime::http::json;
use shared::runtime::list::PageBody;
use shared::runtime::openapi::{Denied, Invalid, Page, Slug, Unknown};

/// Lists the carried amounts of all budgets, the newest month first.
#[shared::endpoint(GET "/v1/rollovers", MANAGED)]
#[utoipa::path(
    operation_id = "listRollovers",
    tag = "Budgets",
    params(Page),
    responses(
        (status = 200, description = "A page of them.", body = PageBody<view::ClosedMonthView>),
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
    let configuration = super::budgets::configuration(&app, owner).await?;
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
    let items = page.items.iter().map(view::rollover).collect();
    let body = PageBody::new(items, page.next.as_deref(), &app.cursors, &list);
    Ok(json(200, view::text(&body)))
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
        (status = 200, description = "A page of them.", body = PageBody<view::ClosedMonthView>),
        Invalid, Unknown, Denied,
    ),
)]
pub(crate) async fn of_budget(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let owner = caller.owner()?;
    let list = format!("{} rollovers of {id}", owner.organisation_id);
    let asked = app.page(query.as_deref(), &list)?;
    let configuration = super::budgets::configuration(&app, owner).await?;
    let counter = super::budgets::seen(&configuration, owner, &id)?.counter();
    let page = app
        .store
        .rollovers(
            &owner.organisation_id,
            |rollover| rollover.counter() == counter,
            asked.after.as_deref(),
            asked.limit,
        )
        .await?;
    let items = page.items.iter().map(view::rollover).collect();
    let body = PageBody::new(items, page.next.as_deref(), &app.cursors, &list);
    Ok(json(200, view::text(&body)))
}
