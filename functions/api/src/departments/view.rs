//! Shows departments as JSON.

use crate::json::to_json;
use serde::Serialize;
use shared::domain::org::department::Department;
use shared::runtime::openapi::Moment;
use shared::runtime::wire::Models;
use utoipa::ToSchema;

#[derive(Serialize, ToSchema)]
#[schema(as = Department)]
pub(crate) struct DepartmentView<'a> {
    id: &'a str,
    name: &'a str,
    /// Null at the top of the tree.
    #[schema(required = true)]
    parent_id: Option<&'a str>,
    /// The user who is notified of its budgets.
    #[schema(required = true)]
    manager_id: Option<&'a str>,
    /// The number of its users, without those of departments under it.
    users: u64,
    /// Which models may be used in it and below it; null leaves that to the levels above.
    #[schema(required = true)]
    models: Option<Models<'a>>,
    /// The value for `If-Match`.
    version: u64,
    #[schema(value_type = Moment)]
    created_at: String,
    #[schema(value_type = Moment)]
    updated_at: String,
}

pub(crate) fn department_view(department: &Department) -> DepartmentView<'_> {
    DepartmentView {
        id: &department.id,
        name: &department.name,
        parent_id: department.parent_id.as_deref(),
        manager_id: department.manager_id.as_deref(),
        users: department.users,
        models: department.models.as_ref().map(Models::from),
        version: department.version,
        created_at: department.created_at.to_string(),
        updated_at: department.updated_at.to_string(),
    }
}

pub(super) fn department_json(department: &Department) -> String {
    to_json(&department_view(department))
}
