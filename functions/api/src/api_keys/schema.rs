//! Describes the bodies of requests about keys and clients, with the limits of their readers.

#![expect(dead_code, reason = "they describe bodies and are never made")]

use shared::runtime::openapi::{Name, UserId};
use utoipa::ToSchema;

/// A key with a user is for members and managers. A key for agents has no user.
#[derive(ToSchema)]
#[serde(untagged)]
pub(crate) enum CreateApiKey {
    Bound(CreateBoundKey),
    Admin(CreateAdminKey),
    Agent(CreateAgentKey),
}

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(crate) enum BoundRole {
    Member,
    Manager,
}

#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateBoundKey {
    role: BoundRole,
    user_id: UserId,
    description: Option<Name>,
}

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(crate) enum AdminRole {
    Admin,
}

#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateAdminKey {
    role: AdminRole,
    user_id: Option<UserId>,
    description: Option<Name>,
}

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(crate) enum AgentRole {
    Agent,
}

#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateAgentKey {
    role: AgentRole,
    description: Option<Name>,
}
