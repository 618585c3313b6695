//! Corrects usage by signed amounts, in open and closed months.

mod body;
mod recorded;
mod schema;
mod view;

use self::body::read_correction;
use self::recorded::{Recorded, correction};
use self::schema::CreateCorrection;
use self::view::{CorrectionView, correction_view};
use super::App;
use super::change::{Actor, Proposal, change};
use super::crossings::{alert_crossings, cleared_by_correction};
use super::in_force::cells_in_force;
use super::json::to_json;
use super::parameters::{take_department_id, take_user_id};
use super::replay::IdempotentRequest;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::HeaderMap;
use shared::domain::change::{Audited, Change};
use shared::domain::ledger::correction::Correction;
use shared::domain::period::Month;
use shared::runtime::auth::Caller;
use shared::runtime::error::ApiError;
use shared::runtime::http::{Body, RequestId, json};
use shared::runtime::list::{PageBody, Parameters};
use shared::runtime::openapi::{
    Conflict, Denied, DepartmentId, IdempotencyKey, Invalid, Page, TooLarge, UserId,
};
use shared::store::new_id;

/// Returns a correction as the API and the audit log show it.
pub(crate) fn correction_json(correction: &Correction) -> String {
    to_json(&correction_view(correction))
}

/// Corrects the usage of a month: adds to it, or takes away if the amounts are negative.
///
/// A correction counts like late usage: in totals and reports (by hour and day at the end of the
/// month, or now), for budgets, and for the carry while the month's grace lasts. In reports its
/// model and provider are `correction`, and its `user_id` is empty if it has no user. It takes away
/// at most the recorded usage; more is a conflict. It cannot be changed: correct a wrong one by
/// another.
#[shared::endpoint(POST "/v1/corrections", ADMIN)]
#[utoipa::path(
    operation_id = "createCorrection",
    tag = "Budgets",
    params(IdempotencyKey),
    request_body(content = CreateCorrection, example = json!({
        "user_id": "ada", "month": "2026-11", "tokens": -2_000_000,
        "reason": "a test was reported as usage"
    })),
    responses(
        (status = 201, description = "The correction.", body = CorrectionView),
        Invalid, Conflict, TooLarge, Denied,
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
    let asked = read_correction(&body)?;
    let idempotent = IdempotentRequest::of(&headers, &caller, "/v1/corrections", &body)?;
    let actor = Actor::of(owner, &request_id);
    let now = app.clock.now();
    let id = new_id("cor_", now, 0)?;
    let response = change(&app, &actor, idempotent.as_ref(), async |snapshot| {
        let configuration = &snapshot.configuration;
        let cells = cells_in_force(&app, configuration, now).await?;
        let recorded = Recorded::read(&app, owner, &asked).await?;
        let correction = correction(configuration, &recorded, &asked, &id, &actor, now)?;
        let body = to_json(&correction_view(&correction));
        let created = Change::CorrectionCreated {
            cleared: cleared_by_correction(configuration, &cells, &correction),
            correction: Audited::new(correction, body.clone()),
        };
        Ok(Proposal::showing(created, 201, body))
    })
    .await?;
    alert_crossings(&app, owner, now).await;
    Ok(response)
}

/// Lists corrections, the newest first.
#[shared::endpoint(GET "/v1/corrections", ADMIN)]
#[utoipa::path(
    operation_id = "listCorrections",
    tag = "Budgets",
    params(
        ("user_id" = Option<UserId>, Query, description = "Only those of this user."),
        (
            "department_id" = Option<DepartmentId>, Query,
            description = "Only those that count for this department or below it.",
        ),
        (
            "month" = Option<String>, Query, pattern = "^[0-9]{4}-(0[1-9]|1[0-2])$",
            description = "Only those of this month.",
        ),
        Page,
    ),
    responses(
        (status = 200, description = "A page of them.", body = PageBody<CorrectionView>),
        Invalid, Denied,
    ),
)]
pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let owner = caller.owner()?;
    let mut parameters = Parameters::of_query(query.as_deref());
    let user_id = take_user_id(&mut parameters, "user_id");
    let department_id = take_department_id(&mut parameters, "department_id");
    let month: Option<Month> = parameters.take("month", "must be a month like 2026-11", |text| {
        text.parse().ok()
    });
    let list = format!(
        "{} corrections {user_id:?} {department_id:?} {month:?}",
        owner.organisation_id
    );
    let asked = app.cursors.page(&mut parameters, &list);
    parameters.finish()?;
    let wanted = |correction: &Correction| {
        (user_id.is_none() || user_id == correction.user_id)
            && month.is_none_or(|month| month == correction.month)
            && correction.path().is_under(department_id.as_deref())
    };
    let after = asked.after.as_deref();
    let page = app
        .store
        .corrections(&owner.organisation_id, wanted, after, asked.limit)
        .await?;
    let items = page.items.iter().map(correction_view).collect();
    let body = PageBody::new(items, page.next.as_deref(), &app.cursors, &list);
    Ok(json(200, to_json(&body)))
}
