//! Deletes departments.

use super::find_department;
use super::view::department_json;
use crate::App;
use crate::change::{Actor, Proposal, change, check_version};
use axum::extract::{Path, State};
use axum::response::Response;
use http::HeaderMap;
use shared::domain::change::{Audited, Change};
use shared::domain::org::department::DeletedDepartment;
use shared::runtime::auth::Caller;
use shared::runtime::error::ApiError;
use shared::runtime::http::RequestId;
use shared::runtime::openapi::{Conflict, Denied, DepartmentId, IfMatch, Invalid, Unknown};

/// Deletes a department that has no departments under it, no users and no budgets.
#[shared::endpoint(DELETE "/v1/departments/{id}", ADMIN)]
#[utoipa::path(
    operation_id = "deleteDepartment",
    tag = "Departments",
    params(("id" = DepartmentId, Path, description = "The department."), IfMatch),
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
    change(&app, &actor, None, async |snapshot| {
        let configuration = &snapshot.configuration;
        let before = find_department(configuration, &id)?;
        check_version(&headers, before.version)?;
        let has_budgets = configuration
            .budgets
            .values()
            .any(|budget| budget.department_id.as_deref() == Some(&id));
        let in_the_way = if configuration.children(&id).next().is_some() {
            Some("departments under it")
        } else if before.users > 0 {
            Some("users")
        } else if has_budgets {
            Some("budgets")
        } else {
            None
        };
        if let Some(what) = in_the_way {
            return Err(ApiError::conflict(format!(
                "department {id:?} still has {what}"
            )));
        }
        let gone = DeletedDepartment {
            index: before.index,
            tree: configuration.tree,
            path: configuration.path(&id).0,
        };
        let deleted = Change::DepartmentDeleted {
            department: Audited::new(before.clone(), department_json(before)),
            remembered: gone,
        };
        Ok(Proposal::silent(deleted))
    })
    .await
}
