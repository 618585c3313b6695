//! Shows domain values as JSON.

use jiff::Timestamp;
use serde::Serialize;
use shared::domain::amount::Unit;
use shared::domain::ledger::cell::Cell;
use shared::domain::ledger::figures::Figures;
use shared::domain::ledger::rollover::Rollover;
use shared::domain::notice::alert::{Alert, AlertKind, AlertStatus, Severity};
use shared::domain::org::api_key::ApiKey;
use shared::domain::org::budget::Budget;
use shared::domain::org::configuration::Configuration;
use shared::domain::org::department::Department;
use shared::domain::org::organisation::Organisation;
use shared::domain::org::people::{Role, Status, User};
use shared::runtime::error::ApiError;
use shared::runtime::openapi::Moment;
use shared::runtime::wire::Figure;
use utoipa::ToSchema;

/// Writes a view as JSON. A view of plain fields can always be written. If another one fails, the
/// error is logged and the text is empty, which makes the answer a 500.
pub(crate) fn text(view: &impl Serialize) -> String {
    serde_json::to_string(view).unwrap_or_else(|error| {
        let _logged = ApiError::from(error);
        String::new()
    })
}

#[derive(Serialize, ToSchema)]
#[schema(as = Organisation)]
pub(crate) struct OrganisationView<'a> {
    id: &'a str,
    name: &'a str,
    /// The time zone of months and days.
    timezone: &'a str,
    /// The part of an answer that a hold covers.
    reserve: shared::domain::org::organisation::Reserve,
    /// The output tokens held for a request without a limit.
    output_reserve_tokens: i64,
    /// The lifetime of a hold in seconds.
    hold_seconds: u32,
    /// The share of the organisation's 2,000 live holds that one user may have, at least 50.
    user_holds_percent: u32,
    /// The treatment of holds that nobody settles.
    abandoned_holds: shared::domain::org::organisation::AbandonedHolds,
    /// The treatment of a model without a price under a hard cap in US dollars.
    unknown_model: shared::domain::org::organisation::UnknownModel,
    /// The answer if nothing can be decided.
    on_unavailable: shared::domain::org::organisation::OnUnavailable,
    /// How many hours late usage corrects the carried amount.
    rollover_grace_hours: u32,
    /// The most tokens accepted for one request if its model's limits are not known.
    max_tokens_per_request: i64,
    /// The value for `If-Match`.
    version: u64,
    #[schema(value_type = Moment)]
    created_at: String,
}

pub(crate) fn organisation(organisation: &Organisation) -> OrganisationView<'_> {
    OrganisationView {
        id: &organisation.id,
        name: &organisation.name,
        timezone: &organisation.timezone,
        reserve: organisation.reserve,
        output_reserve_tokens: organisation.output_reserve_tokens,
        hold_seconds: organisation.hold_seconds,
        user_holds_percent: organisation.user_holds_percent,
        abandoned_holds: organisation.abandoned_holds,
        unknown_model: organisation.unknown_model,
        on_unavailable: organisation.on_unavailable,
        rollover_grace_hours: organisation.rollover_grace_hours,
        max_tokens_per_request: organisation.max_tokens_per_request,
        version: organisation.version,
        created_at: organisation.created_at.to_string(),
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = Department)]
pub(crate) struct DepartmentView<'a> {
    id: &'a str,
    name: &'a str,
    /// Null at the top of the tree.
    #[schema(required = true)]
    parent_id: Option<&'a str>,
    /// The user who is notified of its budgets.
    #[schema(required = true)]
    manager_id: Option<&'a str>,
    /// The number of its users, without those of departments under it.
    users: u64,
    /// The value for `If-Match`.
    version: u64,
    #[schema(value_type = Moment)]
    created_at: String,
    #[schema(value_type = Moment)]
    updated_at: String,
}

pub(crate) fn department(department: &Department) -> DepartmentView<'_> {
    DepartmentView {
        id: &department.id,
        name: &department.name,
        parent_id: department.parent_id.as_deref(),
        manager_id: department.manager_id.as_deref(),
        users: department.users,
        version: department.version,
        created_at: department.created_at.to_string(),
        updated_at: department.updated_at.to_string(),
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = User)]
pub(crate) struct UserView<'a> {
    id: &'a str,
    email: &'a str,
    name: &'a str,
    department_id: &'a str,
    #[schema(required = true)]
    manager_id: Option<&'a str>,
    role: Role,
    status: Status,
    /// Null if the user may send requests.
    #[schema(required = true)]
    block: Option<BlockView<'a>>,
    /// The value for `If-Match`.
    version: u64,
    #[schema(value_type = Moment)]
    created_at: String,
    #[schema(value_type = Moment)]
    updated_at: String,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Block)]
struct BlockView<'a> {
    /// The policy that blocked; null if an administrator did.
    #[schema(required = true)]
    policy_id: Option<&'a str>,
    reason: &'a str,
    #[schema(value_type = Moment)]
    since: String,
    /// Null lasts until the user is released.
    #[schema(value_type = Option<Moment>, required = true)]
    until: Option<String>,
}

/// Shows a user at `now`. A block that has ended by time is not shown.
pub(crate) fn user(user: &User, now: Timestamp) -> UserView<'_> {
    let block = user.block.as_ref().filter(|block| block.is_in_force(now));
    UserView {
        id: &user.id,
        email: &user.email,
        name: &user.name,
        department_id: &user.department_id,
        manager_id: user.manager_id.as_deref(),
        role: user.role,
        status: user.status,
        block: block.map(|block| BlockView {
            policy_id: block.policy_id.as_deref(),
            reason: &block.reason,
            since: block.since.to_string(),
            until: block.until.map(|until| until.to_string()),
        }),
        version: user.version,
        created_at: user.created_at.to_string(),
        updated_at: user.updated_at.to_string(),
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = ApiKey)]
pub(crate) struct ApiKeyView<'a> {
    id: &'a str,
    role: Role,
    /// The user that it is bound to.
    #[schema(required = true)]
    user_id: Option<&'a str>,
    #[schema(required = true)]
    description: Option<&'a str>,
    #[schema(value_type = Moment)]
    created_at: String,
    /// Who made it, as the audit log names them: `key/key_1`, `operator`; null if that was not
    /// kept.
    #[schema(required = true)]
    created_by: Option<&'a str>,
    /// Who answers for it: its user, or else the nearest user in the chain of keys that made it;
    /// null is the operator.
    #[schema(required = true)]
    responsible_user_id: Option<&'a str>,
    /// Everybody in the chain of keys that made it; the operator is not named.
    maker_user_ids: Vec<&'a str>,
    /// The secret; only in the answer to its creation.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
}

pub(crate) fn api_key<'a>(key: &'a ApiKey, secret: Option<&'a str>) -> ApiKeyView<'a> {
    ApiKeyView {
        id: &key.id,
        role: key.role,
        user_id: key.user_id.as_deref(),
        description: key.description.as_deref(),
        created_at: key.created_at.to_string(),
        created_by: key.made_by.as_ref().map(|maker| maker.actor.as_str()),
        responsible_user_id: key.responsible_user_id(),
        maker_user_ids: key.makers().into_iter().collect(),
        key: secret,
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = Alert)]
pub(crate) struct AlertView<'a> {
    id: &'a str,
    org_id: &'a str,
    r#type: AlertKind,
    severity: Severity,
    status: AlertStatus,
    title: &'a str,
    message: &'a str,
    #[schema(required = true)]
    user_id: Option<&'a str>,
    #[schema(required = true)]
    department_id: Option<&'a str>,
    #[schema(required = true)]
    budget_id: Option<&'a str>,
    #[schema(required = true)]
    policy_id: Option<&'a str>,
    /// The figures at that moment.
    metadata: &'a serde_json::Value,
    #[schema(value_type = Moment)]
    created_at: String,
    #[schema(value_type = Option<Moment>, required = true)]
    resolved_at: Option<String>,
}

pub(crate) fn alert<'a>(alert: &'a Alert, organisation_id: &'a str) -> AlertView<'a> {
    AlertView {
        id: &alert.id,
        org_id: organisation_id,
        r#type: alert.kind,
        severity: alert.severity,
        status: alert.status,
        title: &alert.title,
        message: &alert.message,
        user_id: alert.user_id.as_deref(),
        department_id: alert.department_id.as_deref(),
        budget_id: alert.budget_id.as_deref(),
        policy_id: alert.policy_id.as_deref(),
        metadata: &alert.metadata,
        created_at: alert.created_at.to_string(),
        resolved_at: alert.resolved_at.map(|at| at.to_string()),
    }
}

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
pub(crate) fn rollover(rollover: &Rollover) -> ClosedMonthView<'_> {
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

/// Shows a budget with its figures in `cell`, that of the current period. Without one the period
/// has not begun.
pub(crate) fn budget(
    configuration: &Configuration,
    budget: &Budget,
    cell: Option<&Cell>,
    now: Timestamp,
) -> BudgetView {
    let period = configuration.period_of(now);
    let untouched = Cell::default();
    let figures = Figures::of(budget, period, cell.unwrap_or(&untouched));
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
        exempted: figure(figures.beyond()),
        topped_up: figure(figures.topped_up),
        spent: figure(figures.spent),
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
