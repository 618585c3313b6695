//! Reads a new key or client, and issues it.

use crate::change::check_user;
use jiff::Timestamp;
use shared::domain::org::api_key::ApiKey;
use shared::domain::org::authority::{MAX_MAKERS, Maker};
use shared::domain::org::people::{Role, User};
use shared::runtime::auth::KEY_PREFIX;
use shared::runtime::error::ApiError;
use shared::runtime::fields::Fields;
use shared::runtime::{parse, random};
use shared::store::digest_of;

/// The prefixes of a key's id and of its secret.
pub(crate) const API_KEY: [&str; 2] = ["key_", KEY_PREFIX];

/// The role and the user of a new key or client.
pub(crate) struct NewKey {
    pub(crate) role: Role,
    pub(crate) user_id: Option<String>,
    pub(crate) description: Option<String>,
}

impl NewKey {
    /// Returns the key under a new id and its secret, each with its prefix.
    pub(crate) fn issue(
        self,
        [id, secret]: [&str; 2],
        made_by: Maker,
        now: Timestamp,
    ) -> Result<(ApiKey, String), ApiError> {
        if made_by.people().len() > MAX_MAKERS {
            let message = format!(
                "the chain of keys that made this one has {MAX_MAKERS} people already; make the \
                    new key with one whose chain is shorter"
            );
            return Err(ApiError::conflict(message));
        }
        let secret = random::secret(secret)?;
        let key = ApiKey {
            id: random::id(id)?,
            role: self.role,
            user_id: self.user_id,
            description: self.description,
            created_at: now,
            made_by: Some(made_by),
            digest: digest_of(&secret),
        };
        Ok((key, secret))
    }

    pub(crate) fn read(body: &[u8]) -> Result<Self, ApiError> {
        let mut fields = Fields::of_body(body)?;
        let role = fields.required("role", parse::required_name::<Role>);
        let user_id = fields.optional("user_id", parse::user_id);
        let description = fields.optional("description", parse::display_name);
        match role {
            Some(Role::Member | Role::Manager) if user_id.is_none() => {
                fields.also_invalid("user_id", "is required for the roles member and manager");
            }
            Some(Role::Agent) if user_id.is_some() => {
                fields.also_invalid("user_id", "must not be given for the role agent");
            }
            _ => {}
        }
        fields.finish()?;
        Ok(Self {
            role: role.unwrap_or(Role::Member),
            user_id,
            description,
        })
    }
}

/// Refuses a key for a user who does not exist, or for a role above its user's.
pub(crate) fn check_bound(key: &ApiKey, user: Option<&User>) -> Result<(), ApiError> {
    check_user("user_id", key.user_id.as_ref(), user)?;
    match user {
        Some(user) if !key.role.is_within(user.role) => Err(ApiError::field(
            "role",
            format!(
                "must not be above the user's own: {} is a {}",
                user.id,
                user.role.as_str()
            ),
        )),
        _ => Ok(()),
    }
}
