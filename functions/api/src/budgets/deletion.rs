//! Deletes budgets.

use super::find_budget;
use super::view::audit_json;
use crate::App;
use crate::change::{Actor, Proposal, change, check_version};
use axum::extract::{Path, State};
use axum::response::Response;
use http::HeaderMap;
use jiff::Timestamp;
use shared::domain::change::{Audited, Change};
use shared::domain::org::budget::{Budget, EndedBudget};
use shared::domain::period::Month;
use shared::ledger::Snapshot;
use shared::runtime::auth::Caller;
use shared::runtime::error::ApiError;
use shared::runtime::http::RequestId;
use shared::runtime::openapi::{Conflict, Denied, IfMatch, Invalid, Slug, Unknown};

/// The most rows of deleted budgets that one deletion removes, as its transaction is limited.
const MAX_FORGOTTEN: usize = 20;

/// Deletes a budget. Past months still close and get corrections as if it existed. Removes rows of
/// other deleted budgets whose months are final.
fn deletion(snapshot: &Snapshot, budget: &Budget, now: Timestamp) -> Change {
    let configuration = &snapshot.configuration;
    let corrected = snapshot.head.corrected_through;
    let is_final = |month: Month| corrected.is_some_and(|corrected| month <= corrected);
    let forgotten = configuration.ended.iter();
    let forgotten = forgotten.filter(|ended| is_final(ended.until));
    let forgotten = forgotten.take(MAX_FORGOTTEN);
    let until = configuration.period_of(now).prev();
    let is_needed = budget.counts_in(until) && !is_final(until);
    Change::BudgetDeleted {
        budget: Audited::new(budget.clone(), audit_json(configuration, budget, now)),
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
        let before = find_budget(&snapshot.configuration, &id)?;
        check_version(&headers, before.version)?;
        Ok(Proposal::silent(deletion(&snapshot, before, now)))
    })
    .await
}
