//! Describes the bodies of requests about departments, with the limits of their readers.

#![expect(dead_code, reason = "they describe bodies and are never made")]

use crate::models::schema::SetModels;
use shared::runtime::openapi::{DepartmentId, Name, Slug, UserId};
use utoipa::ToSchema;

#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateDepartment {
    /// The id `tree` is taken by a path.
    id: Slug,
    name: Name,
    /// Null is the top of the tree, which is at most eight levels deep.
    parent_id: Option<DepartmentId>,
    manager_id: Option<UserId>,
    /// Decides for this department and those below it that have none.
    models: Option<SetModels>,
}

#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateDepartment {
    #[schema(required = false)]
    name: Name,
    /// Moves the subtree. Null makes it a root.
    parent_id: Option<DepartmentId>,
    manager_id: Option<UserId>,
    /// Null leaves it to the levels above.
    models: Option<SetModels>,
}
