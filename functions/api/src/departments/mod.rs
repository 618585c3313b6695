//! Manages departments: a tree of at most eight levels under the organisation.

pub(crate) mod deletion;
mod place;
mod schema;
pub(crate) mod tree;
mod view;

use self::place::{check_depth, department_move};
use self::schema::{CreateDepartment, UpdateDepartment};
use self::view::{DepartmentView, department_json, department_view};
use super::change::{
    Actor, Proposal, change, check_all, check_department, check_user, check_version, user_of,
};
use super::in_force::read_configuration;
use super::json::to_json;
use super::pages::page_of;
use super::replay::IdempotentRequest;
use super::visibility::{Visibility, hidden};
use super::{App, models};
use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use http::HeaderMap;
use shared::domain::change::{Audited, Change, Return, Update};
use shared::domain::org::configuration::Configuration;
use shared::domain::org::department::{Department, DepartmentMove, MAX_DEPARTMENTS};
use shared::runtime::auth::Caller;
use shared::runtime::error::ApiError;
use shared::runtime::fields::Fields;
use shared::runtime::http::{Body, RequestId, json};
use shared::runtime::list::PageBody;
use shared::runtime::openapi::{
    Conflict, Denied, DepartmentId, IdempotencyKey, IfMatch, Invalid, Page, TooLarge, Unknown,
};
use shared::runtime::parse;

/// No department may have this id: its path is that of the whole tree.
const RESERVED_ID: &str = "tree";

/// Creates a department under another one or at the top.
#[shared::endpoint(POST "/v1/departments", ADMIN)]
#[utoipa::path(
    operation_id = "createDepartment",
    tag = "Departments",
    params(IdempotencyKey),
    request_body = CreateDepartment,
    responses(
        (status = 201, description = "The department.", body = DepartmentView),
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
    let id = fields.required("id", parse::slug);
    let name = fields.required("name", parse::display_name);
    let parent_id = fields.optional("parent_id", parse::slug);
    let manager_id = fields.optional("manager_id", parse::user_id);
    let models = models::changed(&mut fields).flatten();
    if id == RESERVED_ID {
        fields.also_invalid("id", "is reserved");
    }
    fields.finish()?;
    let idempotent = IdempotentRequest::of(&headers, &caller, "/v1/departments", &body)?;
    let actor = Actor::of(owner, &request_id);
    let now = app.clock.now();
    change(&app, &actor, idempotent.as_ref(), async |snapshot| {
        let configuration = &snapshot.configuration;
        let manager = user_of(&app, &owner.organisation_id, manager_id.as_ref()).await?;
        check_all([
            check_department(configuration, "parent_id", parent_id.as_ref()),
            check_user("manager_id", manager_id.as_ref(), manager.as_ref()),
        ])?;
        if configuration.departments.contains_key(&id) {
            let message = format!("there is a department {id:?} already");
            return Err(ApiError::conflict(message));
        }
        if configuration.departments.len() >= MAX_DEPARTMENTS {
            let message = format!("an organisation has at most {MAX_DEPARTMENTS} departments");
            return Err(ApiError::conflict(message));
        }
        check_depth(configuration, parent_id.as_deref(), 1)?;
        let deleted = configuration.deleted_department(&id);
        let department = Department {
            id: id.clone(),
            index: deleted.map_or(snapshot.head.next_department, |gone| gone.index),
            name: name.clone(),
            parent_id: parent_id.clone(),
            manager_id: manager_id.clone(),
            users: 0,
            models: models.clone(),
            version: 1,
            created_at: now,
            updated_at: now,
        };
        let body = department_json(&department);
        // A department that is created again keeps its number and its usage of this month. It comes
        // back by a move.
        let returned = deleted.map(|gone| Return {
            deleted: gone.clone(),
            moved: DepartmentMove {
                tree: configuration.tree + 1,
                at: now,
                department_id: id.clone(),
                old_ancestors: gone.ancestors().to_vec(),
            },
        });
        let created = Change::DepartmentCreated {
            department: Audited::new(department, body.clone()),
            returned,
        };
        Ok(Proposal::showing(created, 201, body))
    })
    .await
}

/// Lists the departments of the organisation.
#[shared::endpoint(GET "/v1/departments", MANAGED)]
#[utoipa::path(
    operation_id = "listDepartments",
    tag = "Departments",
    params(Page),
    responses(
        (
            status = 200,
            description = "A page of them, by id.",
            body = PageBody<DepartmentView>,
        ),
        Invalid, Unknown, Denied,
    ),
)]
pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let owner = caller.owner()?;
    let list = format!("{} departments {}", owner.organisation_id, owner.key_id);
    let asked = app.page(query.as_deref(), &list)?;
    let configuration = read_configuration(&app, owner).await?;
    let visibility = Visibility::of_departments(owner, &configuration);
    let (page, last) = page_of(&configuration.departments, &asked, |id, _| {
        visibility.has_department(Some(id))
    });
    let items = page.iter().map(|d| department_view(d)).collect();
    let body = PageBody::new(items, last, &app.cursors, &list);
    Ok(json(200, to_json(&body)))
}

/// Shows one department by its id.
#[shared::endpoint(GET "/v1/departments/{id}", MANAGED)]
#[utoipa::path(
    operation_id = "getDepartment",
    tag = "Departments",
    params(("id" = DepartmentId, Path, description = "The department.")),
    responses(
        (status = 200, description = "The department.", body = DepartmentView),
        Invalid, Unknown, Denied,
    ),
)]
pub(crate) async fn read(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let owner = caller.owner()?;
    let configuration = read_configuration(&app, owner).await?;
    let department = configuration.departments.get(&id);
    if !Visibility::of_departments(owner, &configuration).has_department(Some(&id)) {
        return Err(hidden());
    }
    let department = department.ok_or_else(|| ApiError::not_found("department"))?;
    Ok(json(200, to_json(&department_view(department))))
}

/// Changes a department. Another parent moves its whole subtree.
#[shared::endpoint(PATCH "/v1/departments/{id}", ADMIN)]
#[utoipa::path(
    operation_id = "updateDepartment",
    tag = "Departments",
    params(("id" = DepartmentId, Path, description = "The department."), IfMatch),
    request_body = UpdateDepartment,
    responses(
        (status = 200, description = "The department as it is now.", body = DepartmentView),
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
    let mut fields = Fields::of_body(&body)?;
    let name = fields.changed_value("name", parse::display_name);
    let parent_id = fields.changed("parent_id", parse::slug);
    let manager_id = fields.changed("manager_id", parse::user_id);
    let models = models::changed(&mut fields);
    fields.finish()?;
    let actor = Actor::of(owner, &request_id);
    let now = app.clock.now();
    change(&app, &actor, None, async |snapshot| {
        let configuration = &snapshot.configuration;
        let manager_named = manager_id.iter().flatten().next();
        let manager = user_of(&app, &owner.organisation_id, manager_named).await?;
        let before = find_department(configuration, &id)?;
        check_version(&headers, before.version)?;
        let parent_named = parent_id.iter().flatten().next();
        check_all([
            check_department(configuration, "parent_id", parent_named),
            check_user("manager_id", manager_named, manager.as_ref()),
        ])?;
        let mut after = before.clone();
        after.name = name.clone().unwrap_or(after.name);
        after.manager_id = manager_id.clone().unwrap_or(after.manager_id);
        after.parent_id = parent_id.clone().unwrap_or(after.parent_id);
        after.models = models.clone().unwrap_or(after.models);
        after.version += 1;
        after.updated_at = now;
        let moved = match after.parent_id == before.parent_id {
            true => None,
            false => Some(department_move(configuration, before, &after, now)?),
        };
        let body = department_json(&after);
        let department = Update::new(before.clone(), after, department_json);
        let changed = match moved {
            Some(moved) => Change::DepartmentMoved { department, moved },
            None => Change::DepartmentUpdated(department),
        };
        Ok(Proposal::showing(changed, 200, body))
    })
    .await
}

fn find_department<'a>(
    configuration: &'a Configuration,
    id: &str,
) -> Result<&'a Department, ApiError> {
    let department = configuration.departments.get(id);
    department.ok_or_else(|| ApiError::not_found("department"))
}
