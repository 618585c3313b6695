//! Budgets: limits in tokens or US dollars on a department or the whole organisation.

mod body;
pub(crate) mod deletion;
pub(crate) mod effective;
pub(crate) mod rollovers;
mod schema;
pub(crate) mod top_ups;
pub(crate) mod view;

use self::body::{DEFAULT_THRESHOLDS, read_amount, read_rollover, read_thresholds};
use self::schema::{CreateBudget, UpdateBudget};
use self::view::{BudgetView, PeriodUsage, audit_json, budget_answer, budget_view, shown_totals};
use super::App;
use super::change::{Actor, Proposal, change, check_department, check_version};
use super::crossings::{alert_crossings, cleared_by_budget};
use super::in_force::{cells_in_force, configuration_and_cell};
use super::json::to_json;
use super::pages::page_of;
use super::replay::IdempotentRequest;
use super::visibility::{Visibility, hidden};
use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use http::HeaderMap;
use shared::domain::amount::Unit;
use shared::domain::change::{Audited, Change, Update};
use shared::domain::org::budget::{Budget, MAX_BUDGETS};
use shared::domain::org::configuration::Configuration;
use shared::runtime::auth::Caller;
use shared::runtime::error::ApiError;
use shared::runtime::fields::Fields;
use shared::runtime::http::{Body, RequestId, json};
use shared::runtime::list::PageBody;
use shared::runtime::openapi::{
    Conflict, Denied, IdempotencyKey, IfMatch, Invalid, Page, Slug, TooLarge, Unknown,
};
use shared::runtime::{parse, random};
use shared::store::KeyOwner;

/// Creates a budget for a department or the organisation. It is in force at once.
///
/// Each department has at most one budget for each unit.
#[shared::endpoint(POST "/v1/budgets", ADMIN)]
#[utoipa::path(
    operation_id = "createBudget",
    tag = "Budgets",
    params(IdempotencyKey),
    request_body(content = CreateBudget, example = json!({
        "name": "Lab tokens", "department_id": "lab",
        "unit": "tokens", "amount": 10000, "hard_cap": true,
        "thresholds": [50, 80, 100], "rollover": {"cap_percent": 50}
    })),
    responses(
        (status = 201, description = "The budget.", body = BudgetView),
        Invalid, Unknown, Conflict, TooLarge, Denied,
    ),
)]
pub(crate) async fn create(
    State(app): State<App>,
    caller: Caller,
    RequestId(request_id): RequestId,
    headers: HeaderMap,
    Body(body): Body,
) -> Result<Response, ApiError> {
    let owner = caller.owner()?;
    let mut fields = Fields::of_body(&body)?;
    let name = fields.required("name", parse::display_name);
    let department_id = fields.optional("department_id", parse::slug);
    let unit = fields
        .required("unit", parse::required_name::<Unit>)
        .unwrap_or(Unit::Tokens);
    let amount = fields.required("amount", read_amount(unit));
    let hard_cap = fields.required("hard_cap", parse::boolean);
    let thresholds = fields.optional("thresholds", read_thresholds);
    let rollover_cap_percent = fields.optional("rollover", read_rollover);
    fields.finish()?;
    let idempotent = IdempotentRequest::of(&headers, &caller, "/v1/budgets", &body)?;
    let actor = Actor::of(owner, &request_id);
    let id = random::id("bud_")?;
    let now = app.clock.now();
    let response = change(&app, &actor, idempotent.as_ref(), async |snapshot| {
        let configuration = &snapshot.configuration;
        let cells = cells_in_force(&app, configuration, now).await?;
        check_department(configuration, "department_id", department_id.as_ref())?;
        check_room(configuration, department_id.as_ref(), unit)?;
        let level = configuration.level(department_id.as_deref());
        let node = level.ok_or_else(|| ApiError::field("department_id", "is unknown"))?;
        let budget = Budget {
            id: id.clone(),
            node,
            since: configuration.first_month_of(node, unit, configuration.period_of(now)),
            top_ups: Vec::new(),
            name: name.clone(),
            department_id: department_id.clone(),
            unit,
            amount,
            earlier_amounts: Vec::new(),
            hard_cap,
            thresholds: thresholds.clone().unwrap_or(DEFAULT_THRESHOLDS.to_vec()),
            rollover_cap_percent,
            earlier_rollovers: Vec::new(),
            version: 1,
            created_at: now,
            updated_at: now,
        };
        let totals = shown_totals(&app, configuration, &[&budget], now).await?;
        let answer = budget_answer(201, configuration, budget.clone(), totals, now);
        let created = Change::BudgetCreated {
            cleared: cleared_by_budget(&cells, &[&budget], &budget),
            budget: Audited::new(budget.clone(), audit_json(configuration, &budget, now)),
        };
        Ok(Proposal::new(created, answer))
    })
    .await?;
    alert_crossings(&app, owner, now).await;
    Ok(response)
}

/// Refuses a second budget for the same department and unit, and more budgets than the limit.
fn check_room(
    configuration: &Configuration,
    department_id: Option<&String>,
    unit: Unit,
) -> Result<(), ApiError> {
    let budgets = &configuration.budgets;
    let same =
        |budget: &&Budget| budget.department_id.as_ref() == department_id && budget.unit == unit;
    if let Some(other) = budgets.values().find(same) {
        return Err(ApiError::conflict(format!(
            "there is a budget in {} for this already: {}; change that one",
            unit.as_str(),
            other.id
        )));
    }
    if budgets.len() >= MAX_BUDGETS {
        let message = format!("an organisation has at most {MAX_BUDGETS} budgets");
        return Err(ApiError::conflict(message));
    }
    Ok(())
}

/// Lists the budgets with their figures of this month.
#[shared::endpoint(GET "/v1/budgets", MANAGED)]
#[utoipa::path(
    operation_id = "listBudgets",
    tag = "Budgets",
    params(Page),
    responses(
        (status = 200, description = "A page of them, by id.", body = PageBody<BudgetView>),
        Invalid, Unknown, Denied,
    ),
)]
pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let owner = caller.owner()?;
    let list = format!("{} budgets {}", owner.organisation_id, owner.key_id);
    let asked = app.page(query.as_deref(), &list)?;
    let now = app.clock.now();
    let (configuration, cell) = configuration_and_cell(&app, owner, now).await?;
    let visibility = Visibility::of_departments(owner, &configuration);
    let (page, last) = page_of(&configuration.budgets, &asked, |_, budget| {
        visibility.has_department(budget.department_id.as_deref())
    });
    let totals = &shown_totals(&app, &configuration, &page, now).await?;
    let cell = Some(&cell);
    let show =
        |budget: &&Budget| budget_view(&configuration, budget, PeriodUsage { cell, totals }, now);
    let items: Vec<BudgetView> = page.iter().map(show).collect();
    let body = PageBody::new(items, last, &app.cursors, &list);
    Ok(json(200, to_json(&body)))
}

/// Shows a budget with its figures of this month.
#[shared::endpoint(GET "/v1/budgets/{id}", MANAGED)]
#[utoipa::path(
    operation_id = "getBudget",
    tag = "Budgets",
    params(("id" = Slug, Path, description = "The budget.")),
    responses(
        (status = 200, description = "The budget.", body = BudgetView),
        Invalid, Unknown, Denied,
    ),
)]
pub(crate) async fn read(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let owner = caller.owner()?;
    let now = app.clock.now();
    let (configuration, cell) = configuration_and_cell(&app, owner, now).await?;
    let budget = budget_for(&configuration, owner, &id)?;
    let totals = &shown_totals(&app, &configuration, &[budget], now).await?;
    let cell = Some(&cell);
    let view = budget_view(&configuration, budget, PeriodUsage { cell, totals }, now);
    Ok(json(200, to_json(&view)))
}

/// Changes a budget. It is in force at once; earlier months keep their amounts.
#[shared::endpoint(PATCH "/v1/budgets/{id}", ADMIN)]
#[utoipa::path(
    operation_id = "updateBudget",
    tag = "Budgets",
    params(("id" = Slug, Path, description = "The budget."), IfMatch),
    request_body(content = UpdateBudget, example = json!({"amount": 20000})),
    responses(
        (status = 200, description = "The budget as it is now.", body = BudgetView),
        Invalid, Unknown, Conflict, TooLarge, Denied,
    ),
)]
pub(crate) async fn update(
    State(app): State<App>,
    caller: Caller,
    RequestId(request_id): RequestId,
    headers: HeaderMap,
    Path(id): Path<String>,
    Body(body): Body,
) -> Result<Response, ApiError> {
    let owner = caller.owner()?;
    let actor = Actor::of(owner, &request_id);
    let now = app.clock.now();
    let response = change(&app, &actor, None, async |snapshot| {
        let configuration = &snapshot.configuration;
        let cells = cells_in_force(&app, configuration, now).await?;
        let before = find_budget(configuration, &id)?;
        // The unit decides how an amount is read, and only the budget knows it.
        let mut fields = Fields::of_body(&body)?;
        let name = fields.changed_value("name", parse::display_name);
        let amount = fields.changed_value("amount", read_amount(before.unit));
        let hard_cap = fields.changed_value("hard_cap", parse::boolean);
        let thresholds = fields.changed_value("thresholds", read_thresholds);
        let rollover = fields.changed("rollover", read_rollover);
        fields.finish()?;
        check_version(&headers, before.version)?;
        let mut after = before.clone();
        after.name = name.unwrap_or(after.name);
        after.hard_cap = hard_cap.unwrap_or(after.hard_cap);
        after.thresholds = thresholds.unwrap_or(after.thresholds);
        let period = configuration.period_of(now);
        if let Some(rollover) = rollover {
            after.change_rollover(rollover, period);
        }
        if let Some(amount) = amount {
            after.change_amount(amount, period);
        }
        after.version += 1;
        after.updated_at = now;
        let totals = shown_totals(&app, configuration, &[&after], now).await?;
        let answer = budget_answer(200, configuration, after.clone(), totals, now);
        let updated = Change::BudgetUpdated {
            cleared: cleared_by_budget(&cells, &[before, &after], &after),
            budget: Update::new(before.clone(), after, |budget| {
                audit_json(configuration, budget, now)
            }),
        };
        Ok(Proposal::new(updated, answer))
    })
    .await?;
    alert_crossings(&app, owner, now).await;
    Ok(response)
}

/// Finds a budget that the key sees.
pub(crate) fn budget_for<'a>(
    configuration: &'a Configuration,
    owner: &KeyOwner,
    id: &str,
) -> Result<&'a Budget, ApiError> {
    let budget = configuration.budgets.get(id);
    let department_id = budget.and_then(|budget| budget.department_id.as_deref());
    if !Visibility::of_departments(owner, configuration).has_department(department_id) {
        return Err(hidden());
    }
    budget.ok_or_else(|| ApiError::not_found("budget"))
}

pub(crate) fn find_budget<'a>(
    configuration: &'a Configuration,
    id: &str,
) -> Result<&'a Budget, ApiError> {
    let budget = configuration.budgets.get(id);
    budget.ok_or_else(|| ApiError::not_found("budget"))
}
