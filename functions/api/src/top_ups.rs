//! Top-ups: more for everybody under a budget, in the current month only.

use super::App;
use super::act::{Actor, Needs, Prepared, change};
use super::budgets::{amount, answer, armed, budget, described, tell_crossings};
use super::openapi::bodies::TopUpBudget;
use super::replay::IdempotentRequest;
use super::view::BudgetView;
use axum::extract::{Path, State};
use axum::response::Response;
use http::HeaderMap;
use shared::domain::configuration::Budget;
use shared::runtime::auth::Caller;
use shared::runtime::error::ApiError;
use shared::runtime::fields::Fields;
use shared::runtime::http::{Body, RequestId};
use shared::runtime::openapi::{
    Conflict, Denied, IdempotencyKey, Invalid, Slug, TooLarge, Unknown,
};
use shared::runtime::parse;
use shared::store::{CounterEffect, Row};

/// Adds to a budget for the current month only. It is in force at once, and nothing of it carries over.
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
    let needs = Needs {
        cells: true,
        ..Needs::default()
    };
    let topped_up = change(&app, &actor, &needs, idempotent.as_ref(), |loaded| {
        let before = budget(loaded, &id)?;
        // How an amount is read depends on the unit, which only the budget knows.
        let mut fields = Fields::of_body(&body)?;
        let more = fields.required("amount", amount(before.unit));
        let reason = fields.required("reason", parse::sentence(1_000));
        if more == 0 {
            fields.also_invalid("amount", "must be more than zero");
        }
        fields.finish()?;
        let mut after: Budget = before.clone();
        let period = loaded.snapshot.configuration.period_of(now);
        after.top_up(more, period).ok_or_else(|| {
            let message =
                "together with earlier top-ups of this month it is more than a budget can have";
            ApiError::field("amount", message)
        })?;
        after.version += 1;
        after.updated_at = now;
        let mut prepared = Prepared::new(loaded, "budget.top_up", format!("budget/{id}"));
        prepared
            .rows
            .push(Row::budget(&owner.organisation_id, &after)?);
        prepared
            .rows
            .extend(armed(loaded, &[before, &after], &after));
        prepared.counters = CounterEffect::Budget {
            before: Some(before.clone()),
            after: Some(after.clone()),
        };
        prepared.reason = Some(reason);
        prepared.before = Some(described(loaded, before, now));
        prepared.after = Some(described(loaded, &after, now));
        prepared.answer = answer(201, loaded, after, now);
        Ok(prepared)
    })
    .await?;
    tell_crossings(&app, owner, now).await;
    Ok(topped_up)
}
