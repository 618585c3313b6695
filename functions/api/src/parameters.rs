//! Reads parameters that several lists take.

use shared::domain::name::{is_slug, is_user_id};
use shared::runtime::list::Parameters;

/// Takes the id of a user, who may have been deleted.
pub(crate) fn take_user_id(parameters: &mut Parameters, name: &str) -> Option<String> {
    parameters.take(name, "must be a user's id", |text| {
        is_user_id(text).then(|| text.to_owned())
    })
}

/// Takes the id of a department, which may have been deleted.
pub(crate) fn take_department_id(parameters: &mut Parameters, name: &str) -> Option<String> {
    parameters.take(name, "must be a department's id", |text| {
        is_slug(text).then(|| text.to_owned())
    })
}
