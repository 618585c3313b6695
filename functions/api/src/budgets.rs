//! Budgets: limits in tokens or US dollars on a department or the whole organisation.

use super::change::{
    Actor, AnswerOf, Proposal, cells_in_force, change, check_department, check_version,
};
use super::exemption_view::ExemptionView;
use super::openapi::bodies::{CreateBudget, UpdateBudget};
use super::replay::{Answer, IdempotentRequest};
use super::view::BudgetView;
use super::visibility::{Visibility, hidden};
use super::{App, view};
use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use http::HeaderMap;
use jiff::Timestamp;
use serde::Serialize;
use shared::domain::amount::{Amounts, MAX_AMOUNT, Unit};
use shared::domain::change::{Audited, Change, CrossingMarker, Update};
use shared::domain::ledger::cell::Cell;
use shared::domain::ledger::figures::Figures;
use shared::domain::name::is_user_id;
use shared::domain::notice::alert::Level;
use shared::domain::org::budget::{Budget, EndedBudget, MAX_BUDGETS};
use shared::domain::org::configuration::Configuration;
use shared::domain::period::Month;
use shared::runtime::auth::Caller;
use shared::runtime::error::{ApiError, Detail};
use shared::runtime::fields::Fields;
use shared::runtime::http::{Body, RequestId, json};
use shared::runtime::list::{PageBody, Parameters};
use shared::runtime::logs::{ErrorType, report};
use shared::runtime::openapi::{
    Conflict, Denied, IdempotencyKey, IfMatch, Invalid, Page, Slug, TooLarge, Unknown, UserId,
};
use shared::runtime::{parse, random};
use shared::store::{KeyOwner, Snapshot, StoreError};
use std::collections::BTreeSet;
use std::ops::Bound;
use utoipa::ToSchema;

const UNITS: &[(&str, Option<Unit>)] = &[("tokens", Some(Unit::Tokens)), ("usd", Some(Unit::Usd))];
const DEFAULT_THRESHOLDS: [u32; 3] = [50, 80, 100];
const MAX_THRESHOLDS: usize = 10;
const MAX_THRESHOLD_PERCENT: i64 = 1_000;
/// The most rows of deleted budgets that one deletion removes, as its transaction is limited.
const MAX_CLEARED: usize = 20;

/// Reads the configuration in force.
pub(crate) async fn configuration(app: &App, owner: &KeyOwner) -> Result<Configuration, ApiError> {
    let configuration = app.store.configuration(&owner.organisation_id).await?;
    configuration.ok_or_else(|| ApiError::not_found("organisation"))
}

/// Reads the configuration and the cell of the current period, both of one epoch.
pub(crate) async fn in_force(
    app: &App,
    owner: &KeyOwner,
    now: Timestamp,
) -> Result<(Configuration, Cell), ApiError> {
    for _ in 0..20 {
        let configuration = configuration(app, owner).await?;
        let period = configuration.period_of(now);
        if let Some(cell) = app.store.cell_in_force(&configuration, period).await? {
            return Ok((configuration, cell));
        }
    }
    Err(StoreError::Contended.into())
}

pub(crate) fn amount(unit: Unit) -> impl Fn(&str) -> Result<i64, String> {
    move |raw| match unit {
        Unit::Tokens => parse::whole(0, MAX_AMOUNT)(raw),
        Unit::Usd => parse::micro_usd(raw),
    }
}

fn thresholds(raw: &str) -> Result<Vec<u32>, String> {
    let mut out = Vec::new();
    for value in parse::list(0, MAX_THRESHOLDS)(raw)? {
        let percent = parse::whole(1, MAX_THRESHOLD_PERCENT)(&value)?;
        out.push(u32::try_from(percent).unwrap_or(u32::MAX));
    }
    let given = out.len();
    out.sort_unstable();
    out.dedup();
    if out.len() == given {
        Ok(out)
    } else {
        Err("must be different percentages".to_owned())
    }
}

/// Reads a rollover such as `{"cap_percent": 50}`.
fn rollover(raw: &str) -> Result<u32, String> {
    let said = |details: Vec<Detail>| {
        let all = details
            .into_iter()
            .map(|d| format!("{} {}", d.field, d.message));
        all.collect::<Vec<_>>().join(", ")
    };
    let mut fields = Fields::of_value(raw, "rollover").map_err(said)?;
    let percent = fields.required("cap_percent", parse::whole(0, 100));
    let details = fields.into_details();
    if details.is_empty() {
        Ok(u32::try_from(percent).unwrap_or(0))
    } else {
        Err(said(details))
    }
}

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
        .required("unit", parse::one_of(UNITS))
        .unwrap_or(Unit::Tokens);
    let amount = fields.required("amount", amount(unit));
    let hard_cap = fields.required("hard_cap", parse::boolean);
    let thresholds = fields.optional("thresholds", thresholds);
    let rollover_cap_percent = fields.optional("rollover", rollover);
    fields.finish()?;
    let idempotent = IdempotentRequest::of(&headers, &caller, "/v1/budgets", &body)?;
    let actor = Actor::of(owner, &request_id);
    let id = random::id("bud_")?;
    let now = app.clock.now();
    let made = change(&app, &actor, idempotent.as_ref(), async |snapshot| {
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
        let answer = answer(201, configuration, budget.clone(), now);
        let created = Change::BudgetCreated {
            cleared: cleared(&cells, &[&budget], &budget),
            budget: Audited::new(budget.clone(), described(configuration, &budget, now)),
        };
        Ok(Proposal::new(created, answer))
    })
    .await?;
    tell_crossings(&app, owner, now).await;
    Ok(made)
}

/// Alerts at once if a change left a budget above one of its levels. The change is committed by
/// now: an alert that fails here is found again by the next usage or the schedule.
pub(crate) async fn tell_crossings(app: &App, owner: &KeyOwner, now: Timestamp) {
    let told = async {
        let (configuration, cell) = in_force(app, owner, now).await?;
        let period = configuration.period_of(now);
        let told = app
            .store
            .raise_crossing_alerts(&configuration, period, &cell, now)
            .await?;
        for told in told {
            let organisation_id = &owner.organisation_id;
            let notice_id = &told.notice_id;
            app.notices.tell_or_leave(organisation_id, notice_id).await;
        }
        Ok::<(), ApiError>(())
    };
    if let Err(error) = told.await {
        report(
            ErrorType::CrossingNotTold,
            "crossings are left to the next look",
            &error,
        );
    }
}

/// Returns the markers of levels that are no longer reached, so that these levels alert again.
///
/// `known` are the budget as it was, if it existed, and as it will be. The levels of both are
/// checked.
pub(crate) fn cleared(
    cells: &[(Month, Cell)],
    known: &[&Budget],
    after: &Budget,
) -> Vec<CrossingMarker> {
    let before = known.iter().find(|budget| budget.version < after.version);
    let mut markers = Vec::new();
    for (period, cell) in cells {
        let given = before.map_or(0, |before| before.gives_in(*period));
        let figures = Figures::changed(after, *period, cell, given);
        let levels = known.iter().flat_map(|budget| Level::all_of(budget));
        let levels: BTreeSet<Level> = levels.filter(|l| !l.is_reached(&figures)).collect();
        markers.extend(levels.into_iter().map(|level| CrossingMarker {
            period: *period,
            counter: after.counter(),
            level,
        }));
    }
    markers
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
    if let Some(known) = budgets.values().find(same) {
        return Err(ApiError::conflict(format!(
            "there is a budget in {} for this already: {}; change that one",
            unit.as_str(),
            known.id
        )));
    }
    if budgets.len() >= MAX_BUDGETS {
        let message = format!("an organisation has at most {MAX_BUDGETS} budgets");
        return Err(ApiError::conflict(message));
    }
    Ok(())
}

/// Answers a change of a budget, with its figures as they will be.
pub(crate) fn answer(
    status: u16,
    configuration: &Configuration,
    budget: Budget,
    now: Timestamp,
) -> AnswerOf {
    let configuration = configuration.clone();
    Box::new(move |cell| Answer {
        status,
        body: view::text(&view::budget(&configuration, &budget, cell, now)),
        secrets: Vec::new(),
    })
}

/// Returns the budget for the audit log: everything but its figures of the moment.
pub(crate) fn described(configuration: &Configuration, budget: &Budget, now: Timestamp) -> String {
    view::text(&view::budget(configuration, budget, None, now))
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
    let (configuration, cell) = in_force(&app, owner, now).await?;
    let from = asked
        .after
        .as_deref()
        .map_or(Bound::Unbounded, Bound::Excluded);
    let visibility = Visibility::of_departments(owner, &configuration);
    let mut rest = configuration
        .budgets
        .range::<str, _>((from, Bound::Unbounded))
        .filter(|(_, budget)| visibility.has_department(budget.department_id.as_deref()));
    let page: Vec<&Budget> = rest.by_ref().take(asked.limit).map(|(_, b)| b).collect();
    let last = rest.next().and(page.last()).map(|b| b.id.as_str());
    let show = |budget: &&Budget| view::budget(&configuration, budget, Some(&cell), now);
    let items: Vec<BudgetView> = page.iter().map(show).collect();
    let body = PageBody::new(items, last, &app.cursors, &list);
    Ok(json(200, view::text(&body)))
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
    let (configuration, cell) = in_force(&app, owner, now).await?;
    let budget = seen(&configuration, owner, &id)?;
    let view = view::budget(&configuration, budget, Some(&cell), now);
    Ok(json(200, view::text(&view)))
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
    let changed = change(&app, &actor, None, async |snapshot| {
        let configuration = &snapshot.configuration;
        let cells = cells_in_force(&app, configuration, now).await?;
        let before = budget(configuration, &id)?;
        // The unit decides how an amount is read, and only the budget knows it.
        let mut fields = Fields::of_body(&body)?;
        let name = fields.changed_value("name", parse::display_name);
        let amount = fields.changed_value("amount", amount(before.unit));
        let hard_cap = fields.changed_value("hard_cap", parse::boolean);
        let thresholds = fields.changed_value("thresholds", thresholds);
        let rollover = fields.changed("rollover", rollover);
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
        let answer = answer(200, configuration, after.clone(), now);
        let updated = Change::BudgetUpdated {
            cleared: cleared(&cells, &[before, &after], &after),
            budget: Update::new(before.clone(), after, |budget| {
                described(configuration, budget, now)
            }),
        };
        Ok(Proposal::new(updated, answer))
    })
    .await?;
    tell_crossings(&app, owner, now).await;
    Ok(changed)
}

/// Finds a budget that the key sees.
pub(crate) fn seen<'a>(
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

pub(crate) fn budget<'a>(
    configuration: &'a Configuration,
    id: &str,
) -> Result<&'a Budget, ApiError> {
    let known = configuration.budgets.get(id);
    known.ok_or_else(|| ApiError::not_found("budget"))
}

/// Deletes a budget. Past months still close and get corrections as if it existed. Removes rows of
/// other deleted budgets whose months are final.
fn deleted(snapshot: &Snapshot, budget: &Budget, now: Timestamp) -> Change {
    let configuration = &snapshot.configuration;
    let corrected = snapshot.head.corrected_through;
    let is_final = |month: Month| corrected.is_some_and(|corrected| month <= corrected);
    let forgotten = configuration.ended.iter();
    let forgotten = forgotten.filter(|ended| is_final(ended.until));
    let forgotten = forgotten.take(MAX_CLEARED);
    let until = configuration.period_of(now).prev();
    let is_needed = budget.counts_in(until) && !is_final(until);
    Change::BudgetDeleted {
        budget: Audited::new(budget.clone(), described(configuration, budget, now)),
        remembered: is_needed.then(|| EndedBudget {
            budget: budget.clone(),
            until,
        }),
        forgotten: forgotten.map(|ended| ended.budget.id.clone()).collect(),
    }
}

/// Deletes a budget. Its history stays.
#[shared::endpoint(DELETE "/v1/budgets/{id}", ADMIN)]
#[utoipa::path(
    operation_id = "deleteBudget",
    tag = "Budgets",
    params(("id" = Slug, Path, description = "The budget."), IfMatch),
    responses((status = 204, description = "It is gone."), Invalid, Unknown, Conflict, Denied),
)]
pub(crate) async fn remove(
    State(app): State<App>,
    caller: Caller,
    RequestId(request_id): RequestId,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let owner = caller.owner()?;
    let actor = Actor::of(owner, &request_id);
    let now = app.clock.now();
    change(&app, &actor, None, async |snapshot| {
        let before = budget(&snapshot.configuration, &id)?;
        check_version(&headers, before.version)?;
        Ok(Proposal::silent(deleted(&snapshot, before, now)))
    })
    .await
}

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
pub(crate) async fn effective(
    State(app): State<App>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let owner = caller.owner()?;
    let mut parameters = Parameters::of_query(query.as_deref());
    let user_id = parameters.required("user_id", "must be a user's id", is_user_id);
    parameters.finish()?;
    let now = app.clock.now();
    let user = super::visibility::user(&app, owner, &user_id).await?;
    let (configuration, cell) = in_force(&app, owner, now).await?;
    let period = configuration.period_of(now);
    let budgets = configuration.budgets_on(&configuration.path(&user.department_id), period);
    let used = app
        .store
        .user_total(&owner.organisation_id, period, &user.id)
        .await?;
    let binding = binding(&budgets, period, &cell, used.amounts());
    let show = |budget: &&Budget| {
        let mut view = view::budget(&configuration, budget, Some(&cell), now);
        view.binding = Some(binding == Some(budget.id.as_str()));
        view
    };
    // Includes exemptions that begin later.
    let mut exemptions = Vec::new();
    for grant in &configuration.grants {
        if grant.terms.user_id == user.id && grant.terms.ends_at > now {
            let known = app
                .store
                .exemption(&owner.organisation_id, &grant.id)
                .await?;
            exemptions.extend(known);
        }
    }
    let exemptions = super::exemptions::views(&app, owner, &exemptions).await?;
    let body = EffectiveView {
        user_id,
        items: budgets.iter().map(show).collect(),
        exemptions,
    };
    Ok(json(200, view::text(&body)))
}

/// The assumed price of a token if the user has used none this month: ten dollars a million.
const USUAL: Amounts = Amounts {
    tokens: 1,
    micro_usd: 10,
};

/// Returns the hard budget that would refuse first. Within a unit that is the one with the least
/// available, as a request asks every level for the same amount. Between the units, tokens are
/// priced by what the user's tokens have cost this month.
fn binding<'a>(
    budgets: &[&'a Budget],
    period: Month,
    cell: &Cell,
    used: Amounts,
) -> Option<&'a str> {
    let available = |budget: &Budget| Figures::of(budget, period, cell).available;
    let scarcest = |unit: Unit| {
        let hard = budgets.iter().filter(|b| b.hard_cap && b.unit == unit);
        let least = hard.min_by_key(|budget| available(budget))?;
        Some((least.id.as_str(), i128::from(available(least))))
    };
    let cost = if used.tokens > 0 && used.micro_usd > 0 {
        used
    } else {
        USUAL
    };
    match (scarcest(Unit::Tokens), scarcest(Unit::Usd)) {
        (Some((in_tokens, tokens)), Some((in_usd, micro_usd))) => {
            let tokens_first =
                tokens * i128::from(cost.micro_usd) <= micro_usd * i128::from(cost.tokens);
            Some(if tokens_first { in_tokens } else { in_usd })
        }
        (only, None) | (None, only) => only.map(|(id, _)| id),
    }
}
