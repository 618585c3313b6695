//! Lists, acknowledges and resolves alerts.

use super::App;
use super::change::{Actor, Proposal, change};
use super::json::to_json;
use super::visibility::{Visibility, hidden};
use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use serde::Serialize;
use shared::domain::change::{Change, Update};
use shared::domain::name::is_slug;
use shared::domain::notice::alert::{Alert, AlertKind, AlertStatus, Severity};
use shared::runtime::auth::Caller;
use shared::runtime::error::ApiError;
use shared::runtime::fields::Fields;
use shared::runtime::http::{Body, RequestId, json};
use shared::runtime::list::{PageBody, Parameters};
use shared::runtime::openapi::{Denied, Invalid, Moment, Page, Slug, TooLarge, Unknown};
use shared::runtime::parse;
use utoipa::ToSchema;

#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "it describes a body")]
struct UpdateAlert {
    #[schema(required = false)]
    status: AlertStatus,
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

pub(crate) fn alert_view<'a>(alert: &'a Alert, organisation_id: &'a str) -> AlertView<'a> {
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

/// Lists the alerts, the newest first.
#[shared::endpoint(GET "/v1/alerts", MANAGED)]
#[utoipa::path(
    operation_id = "listAlerts",
    tag = "Incidents and alerts",
    params(
        ("severity" = Option<Severity>, Query, description = "Only those of this severity."),
        ("status" = Option<AlertStatus>, Query, description = "Only those of this status."),
        Page,
    ),
    responses(
        (status = 200, description = "A page of them.", body = PageBody<AlertView>),
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
    let severity = parameters.name::<Severity>("severity");
    let status = parameters.name::<AlertStatus>("status");
    let list = format!(
        "{} alerts {severity:?} {status:?} {}",
        owner.organisation_id, owner.key_id
    );
    let asked = app.cursors.page(&mut parameters, &list);
    parameters.finish()?;
    let visibility = Visibility::of(&app, owner).await?;
    let wanted = |alert: &Alert| {
        severity.is_none_or(|severity| alert.severity == severity)
            && status.is_none_or(|status| alert.status == status)
            && visibility.has_either(alert.user_id.as_deref(), alert.department_id.as_deref())
    };
    let page = app
        .store
        .alerts(
            &owner.organisation_id,
            wanted,
            asked.after.as_deref(),
            asked.limit,
        )
        .await?;
    let show = |alert| alert_view(alert, &owner.organisation_id);
    let items = page.items.iter().map(show).collect();
    let body = PageBody::new(items, page.next.as_deref(), &app.cursors, &list);
    Ok(json(200, to_json(&body)))
}

/// Shows one alert by its id.
#[shared::endpoint(GET "/v1/alerts/{id}", MANAGED)]
#[utoipa::path(
    operation_id = "getAlert",
    tag = "Incidents and alerts",
    params(("id" = Slug, Path, description = "The alert.")),
    responses(
        (status = 200, description = "The alert.", body = AlertView),
        Invalid, Unknown, Denied,
    ),
)]
pub(crate) async fn read(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let owner = caller.owner()?;
    let unknown = || ApiError::not_found("alert");
    if !is_slug(&id) {
        return Err(unknown());
    }
    let alert = app.store.alert(&owner.organisation_id, &id).await?;
    let alert = alert.ok_or_else(unknown)?;
    let visibility = Visibility::of(&app, owner).await?;
    if !visibility.has_either(alert.user_id.as_deref(), alert.department_id.as_deref()) {
        return Err(hidden());
    }
    let body = alert_view(&alert, &owner.organisation_id);
    Ok(json(200, to_json(&body)))
}

/// Acknowledges or resolves an alert, or opens it again.
#[shared::endpoint(PATCH "/v1/alerts/{id}", ADMIN)]
#[utoipa::path(
    operation_id = "updateAlert",
    tag = "Incidents and alerts",
    params(("id" = Slug, Path, description = "The alert.")),
    request_body = UpdateAlert,
    responses(
        (status = 200, description = "The alert as it is now.", body = AlertView),
        Invalid, Unknown, TooLarge, Denied,
    ),
)]
pub(crate) async fn update(
    State(app): State<App>,
    caller: Caller,
    RequestId(request_id): RequestId,
    Path(id): Path<String>,
    Body(body): Body,
) -> Result<Response, ApiError> {
    let owner = caller.owner()?;
    let mut fields = Fields::of_body(&body)?;
    let status = fields.changed_value("status", parse::name::<AlertStatus>);
    fields.finish()?;
    if !is_slug(&id) {
        return Err(ApiError::not_found("alert"));
    }
    let actor = Actor::of(owner, &request_id);
    let now = app.clock.now();
    change(&app, &actor, None, async |_| {
        let before = app.store.alert(&owner.organisation_id, &id).await?;
        let before = before.ok_or_else(|| ApiError::not_found("alert"))?;
        let mut after = before.clone();
        after.status = status.unwrap_or(before.status);
        after.resolved_at = match after.status {
            AlertStatus::Resolved => before.resolved_at.or(Some(now)),
            AlertStatus::Open | AlertStatus::Acknowledged => None,
        };
        let alert = Update::new(before, after, |alert| {
            to_json(&alert_view(alert, &owner.organisation_id))
        });
        let body = alert.after.json.clone();
        Ok(Proposal::showing(Change::AlertUpdated(alert), 200, body))
    })
    .await
}
