//! Usage reports by hour, day or month, user, department, provider and model.

mod report;
pub(crate) mod schema;
mod view;

use self::report::read_request;
use self::schema::UsagePeriod;
use self::view::{UsageView, usage_view};
use super::App;
use super::in_force::read_configuration;
use super::json::to_json;
use super::visibility::{Visibility, user_for};
use axum::extract::{RawQuery, State};
use axum::response::Response;
use shared::runtime::auth::Caller;
use shared::runtime::error::ApiError;
use shared::runtime::http::json;
use shared::runtime::list::{PageBody, Parameters};
use shared::runtime::openapi::{Day, Denied, DepartmentId, Invalid, Page, Unknown, UserId};
use shared::store::UsageRow;
use std::collections::BTreeMap;

/// Reports usage by hour, day or month, user, department, provider and model.
///
/// A report has at most 7 days by hour, 92 days by day and 14 months by month.
///
/// All rows of a month add up to the usage in the departments' tree; dollars are shown with six
/// decimals, rounded up in each row. So a hold that was charged because nobody settled it
/// (`abandoned_holds`, or its report was held back) has a row too. Its model and provider are
/// `abandoned_hold`, its `user_id` is empty, and it is a request whose tokens are neither input nor
/// output. The row is replaced when usage of the hold comes late, or when the held-back report is
/// counted.
#[shared::endpoint(GET "/v1/usage", OWN)]
#[utoipa::path(
    operation_id = "listUsage",
    tag = "Budgets",
    params(
        (
            "period" = Option<UsagePeriod>, Query,
            description = "By hour, day (the default) or month.",
        ),
        (
            "start_date" = Option<Day>, Query,
            description = "The first day, or the first of a month.",
        ),
        (
            "end_date" = Option<Day>, Query,
            description = "The last day, or the last day of this month. Today by default.",
        ),
        ("user_id" = Option<UserId>, Query, description = "Of this user only."),
        (
            "department_id" = Option<DepartmentId>, Query,
            description = "Of this department and its subtree only.",
        ),
        (
            "model" = Option<String>, Query, min_length = 1, max_length = 200,
            description = "Of this model only.",
        ),
        (
            "provider" = Option<String>, Query, min_length = 1, max_length = 100,
            description = "Of this provider only.",
        ),
        Page,
    ),
    responses(
        (status = 200, description = "A page of it.", body = PageBody<UsageView>),
        Invalid, Unknown, Denied,
    ),
)]
pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let owner = caller.owner()?;
    let mut parameters = Parameters::of_query(query.as_deref());
    let asked = read_request(&mut parameters);
    let list = format!(
        "{} usage {:?} {:?} {:?} {:?}",
        owner.organisation_id, asked.division, asked.start, asked.end, asked.filter
    );
    let page = app.cursors.page(&mut parameters, &list);
    parameters.finish()?;
    let configuration = read_configuration(&app, owner).await?;
    let visibility = Visibility::of_departments(owner, &configuration);
    match (&asked.filter.user_id, &asked.filter.department_id) {
        (None, id) if visibility.has_department(id.as_deref()) => {}
        (Some(_), _) if visibility.has_department(None) => {}
        (Some(user_id), _) => {
            user_for(&app, owner, user_id).await?;
        }
        (None, _) => {
            let message = "this key does not see the whole organisation: say which user with \
                           user_id, or which department of yours with department_id";
            return Err(ApiError::forbidden(message));
        }
    }
    let buckets = asked.buckets(&configuration, app.clock.now())?;
    let ids: Vec<String> = buckets.iter().map(|bucket| bucket.id.clone()).collect();
    let rows = app
        .store
        .usage_rows(
            &configuration,
            &ids,
            &asked.filter,
            page.after.as_deref(),
            page.limit,
        )
        .await?;
    let starts: BTreeMap<String, String> = buckets
        .into_iter()
        .map(|bucket| (bucket.id, bucket.starts_at.to_string()))
        .collect();
    let show = |row: UsageRow| usage_view(row, asked.division, &starts);
    let items = rows.items.into_iter().map(show).collect();
    let body = PageBody::new(items, rows.next.as_deref(), &app.cursors, &list);
    Ok(json(200, to_json(&body)))
}
