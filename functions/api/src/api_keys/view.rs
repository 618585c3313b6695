//! Shows API keys as JSON.

use serde::Serialize;
use shared::domain::org::api_key::ApiKey;
use shared::domain::org::people::Role;
use shared::runtime::openapi::Moment;
use utoipa::ToSchema;

#[derive(Serialize, ToSchema)]
#[schema(as = ApiKey)]
pub(crate) struct ApiKeyView<'a> {
    id: &'a str,
    role: Role,
    /// The user that it is bound to.
    #[schema(required = true)]
    user_id: Option<&'a str>,
    #[schema(required = true)]
    description: Option<&'a str>,
    #[schema(value_type = Moment)]
    created_at: String,
    /// Who made it, as the audit log names them: `key/key_1`, `operator`; null if that was not
    /// kept.
    #[schema(required = true)]
    created_by: Option<&'a str>,
    /// Who answers for it: its user, or else the nearest user in the chain of keys that made it;
    /// null is the operator.
    #[schema(required = true)]
    responsible_user_id: Option<&'a str>,
    /// Everybody in the chain of keys that made it; the operator is not named.
    maker_user_ids: Vec<&'a str>,
    /// The secret; only in the answer to its creation.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
}

pub(crate) fn api_key_view<'a>(key: &'a ApiKey, secret: Option<&'a str>) -> ApiKeyView<'a> {
    ApiKeyView {
        id: &key.id,
        role: key.role,
        user_id: key.user_id.as_deref(),
        description: key.description.as_deref(),
        created_at: key.created_at.to_string(),
        created_by: key.made_by.as_ref().map(|maker| maker.actor.as_str()),
        responsible_user_id: key.responsible_user_id(),
        maker_user_ids: key.makers().into_iter().collect(),
        key: secret,
    }
}
