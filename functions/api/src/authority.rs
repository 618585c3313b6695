//! Why the actor of an audit entry could do what they did.

use super::view;
use serde::Serialize;
use shared::domain::org::people::Role;
use shared::store::KeyOwner;
use utoipa::ToSchema;

/// The key that an actor used, and what it could do at that moment.
#[derive(Serialize, ToSchema)]
#[schema(as = Authority)]
pub(crate) struct AuthorityView<'a> {
    /// What it could do: the lesser of its own role and its user's; an agent's without a user and with a maker who is no administrator.
    role: Role,
    /// What it was made for.
    key_role: Role,
    /// Whom it was bound to.
    #[schema(required = true)]
    user_id: Option<&'a str>,
    /// Who made it: `key/key_1`, `operator`; null where that was not kept.
    #[schema(required = true)]
    created_by: Option<&'a str>,
    /// Who answered for it; null is the operator.
    #[schema(required = true)]
    responsible_user_id: Option<&'a str>,
    /// Everybody in the chain of keys that made it; not there if nobody is known, as the operator is not named.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    maker_user_ids: Vec<&'a str>,
    /// Whether its user was blocked, so that it could ask and change nothing.
    is_blocked: bool,
}

/// Returns the authority of a key as JSON.
pub(crate) fn text(owner: &KeyOwner) -> String {
    view::text(&AuthorityView {
        role: owner.role,
        key_role: owner.key_role,
        user_id: owner.user_id.as_deref(),
        created_by: owner.made_by.as_ref().map(|maker| maker.actor.as_str()),
        responsible_user_id: owner.responsible_user_id(),
        maker_user_ids: owner.makers().into_iter().collect(),
        is_blocked: owner.is_blocked,
    })
}
