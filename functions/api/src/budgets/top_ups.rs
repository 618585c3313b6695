//! Top-ups: a larger budget in the current month only.

use super::body::read_amount;
use super::find_budget;
use super::schema::TopUpBudget;
use super::view::{BudgetView, audit_json, budget_answer, shown_totals};
use crate::App;
use crate::change::{Actor, Proposal, change};
use crate::crossings::{alert_crossings, cleared_by_budget};
use crate::in_force::cells_in_force;
use crate::replay::IdempotentRequest;
use axum::extract::{Path, State};
use axum::response::Response;
use http::HeaderMap;
use shared::domain::change::{Change, Update};
use shared::domain::org::budget::Budget;
use shared::runtime::auth::Caller;
use shared::runtime::error::ApiError;
use shared::runtime::fields::Fields;
use shared::runtime::http::{Body, RequestId};
use shared::runtime::openapi::{
    Conflict, Denied, IdempotencyKey, Invalid, Slug, TooLarge, Unknown,
};
use shared::runtime::values::NoteText;

/// Adds to a budget for the current month only. It is in force at once and does not carry over.
///
/// Each call adds, so send an `Idempotency-Key` if you may repeat it.
#[shared::endpoint(POST "/v1/budgets/{id}/top-ups", ADMIN)]
#[utoipa::path(
    operation_id = "topUpBudget",
    tag = "Budgets",
    params(("id" = Slug, Path, description = "The budget."), IdempotencyKey),
    request_body(content = TopUpBudget, example = json!({
        "amount": 5000, "reason": "The release is on Friday"
    })),
    responses(
        (status = 201, description = "The budget as it is now.", body = BudgetView),
        Invalid, Unknown, Conflict, TooLarge, Denied,
    ),
)]
pub(crate) async fn create(
    State(app): State<App>,
    caller: Caller,
    RequestId(request_id): RequestId,
    headers: HeaderMap,
    Path(id): Path<String>,
    Body(body): Body,
) -> Result<Response, ApiError> {
    let owner = caller.owner()?;
    let actor = Actor::of(owner, &request_id);
    let path = format!("/v1/budgets/{id}/top-ups");
    let idempotent = IdempotentRequest::of(&headers, &caller, &path, &body)?;
    let now = app.clock.now();
    let response = change(&app, &actor, idempotent.as_ref(), async |snapshot| {
        let configuration = &snapshot.configuration;
        let cells = cells_in_force(&app, configuration, now).await?;
        let before = find_budget(configuration, &id)?;
        // The unit decides how an amount is read, and only the budget knows it.
        let mut fields = Fields::of_body(&body)?;
        let more = fields.required("amount", read_amount(before.unit));
        let reason = fields.required("reason", NoteText::read);
        if more == 0 {
            fields.also_invalid("amount", "must be more than zero");
        }
        fields.finish()?;
        let mut after: Budget = before.clone();
        let period = configuration.period_of(now);
        after.top_up(more, period).ok_or_else(|| {
            let message =
                "together with earlier top-ups of this month it is more than a budget can have";
            ApiError::field("amount", message)
        })?;
        after.version += 1;
        after.updated_at = now;
        let totals = shown_totals(&app, configuration, &[&after], now).await?;
        let answer = budget_answer(201, configuration, after.clone(), totals, now);
        let topped_up = Change::BudgetToppedUp {
            cleared: cleared_by_budget(&cells, &[before, &after], &after),
            budget: Update::new(before.clone(), after, |budget| {
                audit_json(configuration, budget, now)
            }),
            reason,
        };
        Ok(Proposal::new(topped_up, answer))
    })
    .await?;
    alert_crossings(&app, owner, now).await;
    Ok(response)
}
