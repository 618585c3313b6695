//! Records why the actor of an audit entry was allowed to act.

use super::json::to_json;
use serde::Serialize;
use shared::domain::org::people::Role;
use shared::store::KeyOwner;
use utoipa::ToSchema;

/// The key that an actor used, with its rights at that moment.
#[derive(Serialize, ToSchema)]
#[schema(as = Authority)]
pub(crate) struct AuthorityView<'a> {
    /// Its rights: the lesser of its own role and its user's. A key without a user has an agent's
    /// rights if its maker is not an administrator.
    role: Role,
    /// The role it was made with.
    key_role: Role,
    /// The user it was bound to.
    #[schema(required = true)]
    user_id: Option<&'a str>,
    /// Who made it: `key/key_1`, `operator`; null if that was not kept.
    #[schema(required = true)]
    created_by: Option<&'a str>,
    /// Who answered for it; null is the operator.
    #[schema(required = true)]
    responsible_user_id: Option<&'a str>,
    /// Everybody in the chain of keys that made it. Missing if nobody is known, as the operator is
    /// not named.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    maker_user_ids: Vec<&'a str>,
    /// Whether its user was blocked, so that it could neither ask nor change anything.
    is_blocked: bool,
}

pub(crate) fn authority_json(owner: &KeyOwner) -> String {
    to_json(&AuthorityView {
        role: owner.role,
        key_role: owner.key_role,
        user_id: owner.user_id.as_deref(),
        created_by: owner.made_by.as_ref().map(|maker| maker.actor.as_str()),
        responsible_user_id: owner.responsible_user_id(),
        maker_user_ids: owner.makers().into_iter().collect(),
        is_blocked: owner.is_blocked,
    })
}
