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
use shared::runtime::list::{PageBody, Parameters};
use shared::runtime::openapi::{Denied, Email, Invalid, Moment, Page, Unknown};
use shared::store::{Page as StoredPage, address_digest};
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
    params(
        ("email" = Option<Email>, Query, description = "This address only, in whatever case."),
        Page,
    ),
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
    let organisation_id = &owner.organisation_id;
    let list = format!("{organisation_id} suppressions");
    let mut parameters = Parameters::of_query(query.as_deref());
    let email = parameters.take("email", EMAIL_RULE, email);
    let asked = app.cursors.page(&mut parameters, &list);
    parameters.finish()?;
    let after = asked.after.as_deref();
    let page = match email {
        Some(email) => StoredPage {
            items: find(&app, organisation_id, &email)
                .await?
                .into_iter()
                .collect(),
            next: None,
        },
        None => {
            let store = &app.store;
            store
                .suppressions(organisation_id, after, asked.limit)
                .await?
        }
    };
    let items = page.items.iter().map(suppression_view).collect();
    let body = PageBody::new(items, page.next.as_deref(), &app.cursors, &list);
    Ok(json(200, to_json(&body)))
}

const EMAIL_RULE: &str = "must be a mail address";

fn email(text: &str) -> Option<String> {
    is_email(text).then(|| text.to_owned())
}

async fn find(
    app: &App,
    organisation_id: &str,
    email: &str,
) -> Result<Option<Suppression>, ApiError> {
    let mailbox = address_digest(email);
    Ok(app.store.suppression(organisation_id, &mailbox).await?)
}

/// Allows mails to an address again.
///
/// The address is in the query, where no gateway takes a `#`, `?` or `%` in it for something else.
#[shared::endpoint(DELETE "/v1/suppressions", ADMIN)]
#[utoipa::path(
    operation_id = "releaseSuppression",
    tag = "Incidents and alerts",
    params(("email" = Email, Query, description = "The address.")),
    responses(
        (status = 204, description = "Mails go there again."),
        Invalid, Unknown, Denied,
    ),
)]
pub(crate) async fn release(
    State(app): State<App>,
    caller: Caller,
    RequestId(request_id): RequestId,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let owner = caller.owner()?;
    let mut parameters = Parameters::of_query(query.as_deref());
    let email = parameters.required("email", EMAIL_RULE, is_email);
    parameters.finish()?;
    released(&app, &Actor::of(owner, &request_id), &email).await
}

/// Allows mails to an address again, named in the path.
///
/// Behind a gateway that decodes paths use the same with `?email=`: an address may have a `#`, `?`
/// or `%` in it.
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
    if !is_email(&email) {
        return Err(unknown());
    }
    released(&app, &Actor::of(owner, &request_id), &email).await
}

fn unknown() -> ApiError {
    ApiError::not_found("suppression")
}

async fn released(app: &App, actor: &Actor, email: &str) -> Result<Response, ApiError> {
    change(app, actor, None, async |_| {
        let before = find(app, &actor.organisation_id, email).await?;
        let before = before.ok_or_else(unknown)?;
        let json = to_json(&suppression_view(&before));
        let released = Change::SuppressionReleased(Audited::new(before, json));
        Ok(Proposal::silent(released))
    })
    .await
}
