//! Shows clients as JSON.

use serde::Serialize;
use shared::domain::org::api_key::ApiKey;
use shared::domain::org::people::Role;
use shared::runtime::openapi::Moment;
use utoipa::ToSchema;

#[derive(Serialize, ToSchema)]
#[schema(as = OauthClient)]
pub(super) struct ClientView<'a> {
    client_id: &'a str,
    role: Role,
    #[schema(required = true)]
    user_id: Option<&'a str>,
    #[schema(required = true)]
    description: Option<&'a str>,
    #[schema(value_type = Moment)]
    created_at: String,
    /// Who made it, as the audit log names them: `key/key_1`; null if that was not kept.
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
    #[schema(nullable = false)]
    client_secret: Option<&'a str>,
}

pub(super) fn client_view<'a>(client: &'a ApiKey, secret: Option<&'a str>) -> ClientView<'a> {
    ClientView {
        client_id: &client.id,
        role: client.role,
        user_id: client.user_id.as_deref(),
        description: client.description.as_deref(),
        created_at: client.created_at.to_string(),
        created_by: client.made_by.as_ref().map(|maker| maker.actor.as_str()),
        responsible_user_id: client.responsible_user_id(),
        maker_user_ids: client.makers().into_iter().collect(),
        client_secret: secret,
    }
}
