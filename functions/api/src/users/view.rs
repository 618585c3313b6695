//! Shows users as JSON.

use jiff::Timestamp;
use serde::Serialize;
use shared::domain::org::people::{Role, Status, User};
use shared::runtime::openapi::Moment;
use utoipa::ToSchema;

#[derive(Serialize, ToSchema)]
#[schema(as = User)]
pub(crate) struct UserView<'a> {
    id: &'a str,
    email: &'a str,
    name: &'a str,
    department_id: &'a str,
    #[schema(required = true)]
    manager_id: Option<&'a str>,
    role: Role,
    status: Status,
    /// Null if the user may send requests.
    #[schema(required = true)]
    block: Option<BlockView<'a>>,
    /// The value for `If-Match`.
    version: u64,
    #[schema(value_type = Moment)]
    created_at: String,
    #[schema(value_type = Moment)]
    updated_at: String,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Block)]
struct BlockView<'a> {
    /// The policy that blocked; null if an administrator did.
    #[schema(required = true)]
    policy_id: Option<&'a str>,
    reason: &'a str,
    #[schema(value_type = Moment)]
    since: String,
    /// Null lasts until the user is released.
    #[schema(value_type = Option<Moment>, required = true)]
    until: Option<String>,
}

/// Shows a user at `now`. A block that has ended by time is not shown.
pub(crate) fn user_view(user: &User, now: Timestamp) -> UserView<'_> {
    let block = user.block.as_ref().filter(|block| block.is_in_force(now));
    UserView {
        id: &user.id,
        email: &user.email,
        name: &user.name,
        department_id: &user.department_id,
        manager_id: user.manager_id.as_deref(),
        role: user.role,
        status: user.status,
        block: block.map(|block| BlockView {
            policy_id: block.policy_id.as_deref(),
            reason: &block.reason,
            since: block.since.to_string(),
            until: block.until.map(|until| until.to_string()),
        }),
        version: user.version,
        created_at: user.created_at.to_string(),
        updated_at: user.updated_at.to_string(),
    }
}
