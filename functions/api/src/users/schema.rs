//! Describes the bodies of requests about users, with the limits of their readers.

#![expect(dead_code, reason = "they describe bodies and are never made")]

use shared::domain::org::people::Status;
use shared::runtime::openapi::{DepartmentId, Email, Moment, Name, Reason, UserId};
use utoipa::ToSchema;

/// The role of a user.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(crate) enum UserRole {
    Member,
    Manager,
    Admin,
}

#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateUser {
    #[schema(min_length = 1, max_length = 128, pattern = "^[A-Za-z0-9._@-]+$")]
    id: String,
    email: Email,
    name: Name,
    department_id: DepartmentId,
    manager_id: Option<UserId>,
    role: UserRole,
}

#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateUser {
    #[schema(required = false)]
    email: Email,
    #[schema(required = false)]
    name: Name,
    #[schema(required = false)]
    department_id: DepartmentId,
    manager_id: Option<UserId>,
    #[schema(required = false)]
    role: UserRole,
    #[schema(required = false)]
    status: Status,
}

#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BlockUser {
    reason: Reason,
    /// A time in the future; null blocks until the user is released.
    until: Option<Moment>,
}
