//! Shows budgets as JSON.

use crate::App;
use crate::change::AnswerOf;
use crate::json::to_json;
use crate::replay::Answer;
use jiff::Timestamp;
use serde::Serialize;
use shared::domain::amount::Unit;
use shared::domain::ledger::cell::Cell;
use shared::domain::ledger::figures::Figures;
use shared::domain::org::budget::Budget;
use shared::domain::org::configuration::Configuration;
use shared::runtime::openapi::Moment;
use shared::runtime::wire::Figure;
use shared::store::{DepartmentTotals, StoreError};
use utoipa::ToSchema;

#[derive(Serialize, ToSchema)]
#[schema(as = RolloverSetting)]
struct RolloverView {
    cap_percent: u32,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Budget)]
pub(crate) struct BudgetView {
    id: String,
    org_id: String,
    name: String,
    /// Null is the whole organisation.
    #[schema(required = true)]
    department_id: Option<String>,
    /// The name of the department.
    #[schema(required = true)]
    department: Option<String>,
    unit: Unit,
    /// Either `USD`, or null for tokens.
    #[schema(required = true)]
    currency: Option<&'static str>,
    /// Always `monthly` at present.
    period: &'static str,
    /// The month of the figures: `2026-11`.
    period_id: String,
    /// The budget's own amount in a month.
    amount: Figure,
    /// The amount carried in from the previous month.
    carried: Figure,
    /// The amount that exemptions and top-ups add.
    exempted: Figure,
    /// The part of `exempted` that was added for this month only.
    topped_up: Figure,
    /// The amount used so far.
    spent: Figure,
    /// The tokens of this month that no budget in dollars sees, because their model has no price.
    /// Null for a budget in tokens.
    #[schema(required = true)]
    unpriced_tokens: Option<i64>,
    /// The amount of holds that are not settled.
    held: Figure,
    /// Equals `amount + carried + exempted - spent`.
    remaining: Figure,
    /// Equals `remaining - held`: the amount that requests may still hold.
    available: Figure,
    /// Whether requests beyond it are refused.
    hard_cap: bool,
    /// The percentages at which people are notified.
    thresholds: Vec<u32>,
    /// Null if nothing is carried into the next month.
    #[schema(required = true)]
    rollover: Option<RolloverView>,
    /// The start of the next month.
    #[schema(value_type = Moment)]
    resets_at: String,
    /// The value for `If-Match`.
    version: u64,
    #[schema(value_type = Moment)]
    created_at: String,
    #[schema(value_type = Moment)]
    updated_at: String,
    /// Whether it would refuse first; only among the effective budgets of a user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) binding: Option<bool>,
}

/// The usage of the current period.
#[derive(Clone, Copy)]
pub(crate) struct PeriodUsage<'a> {
    /// None if the period has not begun.
    pub(crate) cell: Option<&'a Cell>,
    pub(crate) totals: &'a DepartmentTotals,
}

/// Reads the totals of the current period if one of `budgets` shows some of them: one in dollars.
pub(crate) async fn shown_totals(
    app: &App,
    configuration: &Configuration,
    budgets: &[&Budget],
    now: Timestamp,
) -> Result<DepartmentTotals, StoreError> {
    if budgets.iter().all(|budget| budget.unit != Unit::Usd) {
        return Ok(DepartmentTotals::default());
    }
    let period = configuration.period_of(now);
    app.store
        .department_totals(&configuration.organisation.id, period)
        .await
}

/// Shows a budget with its figures of the current period.
pub(crate) fn budget_view(
    configuration: &Configuration,
    budget: &Budget,
    used: PeriodUsage<'_>,
    now: Timestamp,
) -> BudgetView {
    let PeriodUsage { cell, totals } = used;
    let period = configuration.period_of(now);
    let untouched = Cell::default();
    let figures = Figures::of(budget, period, cell.unwrap_or(&untouched)).shown(budget.unit);
    let figure = |value| Figure(budget.unit, value);
    let department = budget.department_id.as_ref();
    BudgetView {
        id: budget.id.clone(),
        org_id: configuration.organisation.id.clone(),
        name: budget.name.clone(),
        department_id: budget.department_id.clone(),
        department: department
            .and_then(|id| configuration.departments.get(id))
            .map(|department| department.name.clone()),
        unit: budget.unit,
        currency: (budget.unit == Unit::Usd).then_some("USD"),
        period: "monthly",
        period_id: period.to_string(),
        amount: figure(figures.amount),
        carried: figure(figures.carried),
        exempted: figure(figures.exempted),
        topped_up: figure(figures.topped_up),
        spent: figure(figures.spent),
        unpriced_tokens: (budget.unit == Unit::Usd)
            .then(|| totals.sums_under(budget.department_id.as_deref()).unpriced),
        held: figure(figures.held),
        remaining: figure(figures.remaining),
        available: figure(figures.available),
        hard_cap: budget.hard_cap,
        thresholds: budget.thresholds.clone(),
        rollover: budget
            .rollover_cap_percent
            .map(|cap_percent| RolloverView { cap_percent }),
        resets_at: configuration.organisation.month_end(period).to_string(),
        version: budget.version,
        created_at: budget.created_at.to_string(),
        updated_at: budget.updated_at.to_string(),
        binding: None,
    }
}

/// Answers a change of a budget, with its figures as they will be.
pub(crate) fn budget_answer(
    status: u16,
    configuration: &Configuration,
    budget: Budget,
    totals: DepartmentTotals,
    now: Timestamp,
) -> AnswerOf {
    let configuration = configuration.clone();
    Box::new(move |cell| {
        let totals = &totals;
        let used = PeriodUsage { cell, totals };
        Answer {
            status,
            body: to_json(&budget_view(&configuration, &budget, used, now)),
            secrets: Vec::new(),
        }
    })
}

/// Returns the budget for the audit log: everything but its figures of the moment.
pub(crate) fn audit_json(configuration: &Configuration, budget: &Budget, now: Timestamp) -> String {
    let totals = &DepartmentTotals::default();
    let used = PeriodUsage { cell: None, totals };
    to_json(&budget_view(configuration, budget, used, now))
}
