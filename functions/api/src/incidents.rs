//! Lists, acknowledges and resolves incidents, with notes.

use super::App;
use super::change::{Actor, Proposal, change};
use super::json::to_json;
use super::visibility::{Visibility, hidden};
use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use serde::Serialize;
use shared::domain::change::{Change, Update};
use shared::domain::name::is_slug;
use shared::domain::notice::alert::{AlertStatus, Severity};
use shared::domain::notice::incident::{Incident, MAX_NOTES, Note};
use shared::runtime::auth::Caller;
use shared::runtime::error::ApiError;
use shared::runtime::fields::Fields;
use shared::runtime::http::{Body, RequestId, json};
use shared::runtime::list::{PageBody, Parameters};
use shared::runtime::openapi::{
    Conflict, Denied, Invalid, NoteText, Page, Slug, TooLarge, Unknown,
};
use shared::runtime::parse;
use utoipa::ToSchema;

/// The states that an incident may change to. It is never opened again.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "it describes a body")]
enum NextStatus {
    Acknowledged,
    Resolved,
}

#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "it describes a body")]
struct UpdateIncident {
    #[schema(required = false)]
    status: NextStatus,
    note: Option<NoteText>,
}

/// The states that an incident may change to. It is never opened again.
const NEXT_STATUSES: &[(&str, AlertStatus)] = &[
    ("acknowledged", AlertStatus::Acknowledged),
    ("resolved", AlertStatus::Resolved),
];

#[derive(Serialize, ToSchema)]
#[schema(as = Incident)]
struct IncidentView<'a> {
    org_id: &'a str,
    #[serde(flatten)]
    incident: &'a Incident,
}

fn incident_json(organisation_id: &str, incident: &Incident) -> String {
    to_json(&IncidentView {
        org_id: organisation_id,
        incident,
    })
}

/// Lists the incidents, the newest first.
#[shared::endpoint(GET "/v1/incidents", MANAGED)]
#[utoipa::path(
    operation_id = "listIncidents",
    tag = "Incidents and alerts",
    params(
        ("severity" = Option<Severity>, Query, description = "Only those of this severity."),
        ("status" = Option<AlertStatus>, Query, description = "Only those of this status."),
        Page,
    ),
    responses(
        (status = 200, description = "A page of them.", body = PageBody<IncidentView>),
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
    let org_id = &owner.organisation_id;
    let list = format!(
        "{org_id} incidents {severity:?} {status:?} {}",
        owner.key_id
    );
    let asked = app.cursors.page(&mut parameters, &list);
    parameters.finish()?;
    let visibility = Visibility::of(&app, owner).await?;
    let wanted = |incident: &Incident| {
        severity.is_none_or(|severity| incident.severity == severity)
            && status.is_none_or(|status| incident.status == status)
            && visibility.has_either(
                incident.user_id.as_deref(),
                incident.department_id.as_deref(),
            )
    };
    let page = app
        .store
        .incidents(org_id, wanted, asked.after.as_deref(), asked.limit)
        .await?;
    let show = |incident| IncidentView { org_id, incident };
    let items = page.items.iter().map(show).collect();
    let body = PageBody::new(items, page.next.as_deref(), &app.cursors, &list);
    Ok(json(200, to_json(&body)))
}

/// Shows one incident with its notes.
#[shared::endpoint(GET "/v1/incidents/{id}", MANAGED)]
#[utoipa::path(
    operation_id = "getIncident",
    tag = "Incidents and alerts",
    params(("id" = Slug, Path, description = "The incident.")),
    responses(
        (status = 200, description = "The incident.", body = IncidentView),
        Invalid, Unknown, Denied,
    ),
)]
pub(crate) async fn read(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let owner = caller.owner()?;
    let unknown = || ApiError::not_found("incident");
    if !is_slug(&id) {
        return Err(unknown());
    }
    let incident = app.store.incident(&owner.organisation_id, &id).await?;
    let incident = incident.ok_or_else(unknown)?;
    let visibility = Visibility::of(&app, owner).await?;
    if !visibility.has_either(
        incident.user_id.as_deref(),
        incident.department_id.as_deref(),
    ) {
        return Err(hidden());
    }
    Ok(json(200, incident_json(&owner.organisation_id, &incident)))
}

/// Acknowledges or resolves an incident, or adds a note.
#[shared::endpoint(PATCH "/v1/incidents/{id}", ADMIN)]
#[utoipa::path(
    operation_id = "updateIncident",
    tag = "Incidents and alerts",
    params(("id" = Slug, Path, description = "The incident.")),
    request_body = UpdateIncident,
    responses(
        (status = 200, description = "The incident as it is now.", body = IncidentView),
        Invalid, Unknown, Conflict, TooLarge, Denied,
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
    let status = fields.changed_value("status", parse::one_of(NEXT_STATUSES));
    let note = fields.optional("note", NoteText::read);
    fields.finish()?;
    if !is_slug(&id) {
        return Err(ApiError::not_found("incident"));
    }
    let actor = Actor::of(owner, &request_id);
    let organisation_id = &owner.organisation_id;
    let now = app.clock.now();
    change(&app, &actor, None, async |_| {
        let before = app.store.incident(organisation_id, &id).await?;
        let before = before.ok_or_else(|| ApiError::not_found("incident"))?;
        if before.status == AlertStatus::Resolved && status == Some(AlertStatus::Acknowledged) {
            let message = "it is resolved already, and an incident is not opened again";
            return Err(ApiError::conflict(message));
        }
        let mut after = before.clone();
        after.status = status.unwrap_or(before.status);
        after.updated_at = now;
        after.resolved_at = match after.status {
            AlertStatus::Resolved => before.resolved_at.or(Some(now)),
            AlertStatus::Open | AlertStatus::Acknowledged => None,
        };
        if let Some(text) = &note {
            if after.notes.len() >= MAX_NOTES {
                let message = format!("an incident has at most {MAX_NOTES} notes");
                return Err(ApiError::conflict(message));
            }
            after.notes.push(Note {
                at: now,
                by: actor.author.name.clone(),
                text: text.clone(),
            });
        }
        let incident = Update::new(before, after, |incident| {
            incident_json(organisation_id, incident)
        });
        let body = incident.after.json.clone();
        let updated = Change::IncidentUpdated {
            incident,
            note: note.clone(),
        };
        Ok(Proposal::showing(updated, 200, body))
    })
    .await
}
