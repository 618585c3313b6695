//! Filters lists of keys and clients.

use crate::parameters::take_user_id;
use shared::domain::org::api_key::ApiKey;
use shared::runtime::list::Parameters;

/// Filters a list of keys or clients.
#[derive(Debug, Default)]
pub(crate) struct KeyFilter {
    user_id: Option<String>,
    responsible_user_id: Option<String>,
    maker_user_id: Option<String>,
}

impl KeyFilter {
    /// Reads the parameters of a list of keys or clients. They may name users who were deleted.
    pub(crate) fn read(parameters: &mut Parameters) -> Self {
        let mut user = |name: &str| take_user_id(parameters, name);
        Self {
            user_id: user("user_id"),
            responsible_user_id: user("responsible_user_id"),
            maker_user_id: user("maker_user_id"),
        }
    }

    pub(crate) fn admits(&self, key: &ApiKey) -> bool {
        let fits = |wanted: &Option<String>, is: Option<&str>| {
            wanted.as_ref().is_none_or(|wanted| is == Some(wanted))
        };
        fits(&self.user_id, key.user_id.as_deref())
            && fits(&self.responsible_user_id, key.responsible_user_id())
            && self
                .maker_user_id
                .as_ref()
                .is_none_or(|wanted| key.makers().contains(wanted.as_str()))
    }
}
