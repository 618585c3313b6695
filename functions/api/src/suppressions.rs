//! Lists and releases the mail addresses that get no mails.

use super::App;
use super::change::{Actor, Proposal, change};
use super::json::to_json;
use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use serde::Serialize;
use shared::domain::change::{Audited, Change};
use shared::domain::name::is_email;
use shared::domain::notice::suppression::{Reason, Suppression};
use shared::runtime::auth::Caller;
use shared::runtime::error::ApiError;
use shared::runtime::http::{RequestId, json};
use shared::runtime::list::PageBody;
use shared::runtime::openapi::{Denied, Email, Invalid, Moment, Page, Unknown};
use shared::store::address_digest;
use utoipa::ToSchema;

#[derive(Serialize, ToSchema)]
#[schema(as = Suppression)]
struct SuppressionView<'a> {
    email: &'a str,
    reason: Reason,
    #[schema(value_type = Moment)]
    since: String,
    detail: &'a str,
}

fn suppression_view(suppression: &Suppression) -> SuppressionView<'_> {
    SuppressionView {
        email: &suppression.email,
        reason: suppression.reason,
        since: suppression.since.to_string(),
        detail: &suppression.detail,
    }
}

/// Lists the addresses that get no mails, because they bounced or their reader complained.
#[shared::endpoint(GET "/v1/suppressions", ADMIN)]
#[utoipa::path(
    operation_id = "listSuppressions",
    tag = "Incidents and alerts",
    params(Page),
    responses(
        (status = 200, description = "A page of them.", body = PageBody<SuppressionView>),
        Invalid, Denied,
    ),
)]
pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let owner = caller.owner()?;
    let list = format!("{} suppressions", owner.organisation_id);
    let asked = app.page(query.as_deref(), &list)?;
    let page = app
        .store
        .suppressions(&owner.organisation_id, asked.after.as_deref(), asked.limit)
        .await?;
    let items = page.items.iter().map(suppression_view).collect();
    let body = PageBody::new(items, page.next.as_deref(), &app.cursors, &list);
    Ok(json(200, to_json(&body)))
}

/// Allows mails to an address again.
#[shared::endpoint(DELETE "/v1/suppressions/{email}", ADMIN)]
#[utoipa::path(
    operation_id = "deleteSuppression",
    tag = "Incidents and alerts",
    params(("email" = Email, Path, description = "The address.")),
    responses(
        (status = 204, description = "Mails go there again."),
        Invalid, Unknown, Denied,
    ),
)]
pub(crate) async fn remove(
    State(app): State<App>,
    caller: Caller,
    RequestId(request_id): RequestId,
    Path(email): Path<String>,
) -> Result<Response, ApiError> {
    let owner = caller.owner()?;
    let unknown = || ApiError::not_found("suppression");
    if !is_email(&email) {
        return Err(unknown());
    }
    let actor = Actor::of(owner, &request_id);
    change(&app, &actor, None, async |_| {
        let mailbox = address_digest(&email);
        let before = app
            .store
            .suppression(&owner.organisation_id, &mailbox)
            .await?;
        let before = before.ok_or_else(unknown)?;
        let json = to_json(&suppression_view(&before));
        let released = Change::SuppressionReleased(Audited::new(before, json));
        Ok(Proposal::silent(released))
    })
    .await
}
