//! Changes one user, with their address and the counts of their departments.

use super::addresses::MailOwners;
use super::view::user_view;
use crate::App;
use crate::change::{Actor, Proposal, change, check_version};
use crate::json::to_json;
use axum::response::Response;
use http::HeaderMap;
use jiff::Timestamp;
use shared::domain::change::{Change, Update};
use shared::domain::name::is_user_id;
use shared::domain::notice::Notice;
use shared::domain::org::configuration::Configuration;
use shared::domain::org::department::Department;
use shared::domain::org::people::User;
use shared::ledger::Snapshot;
use shared::runtime::error::ApiError;
use shared::store::KeyOwner;
use std::sync::Arc;

/// Returns the department with one user more or less.
pub(super) fn counted(
    configuration: &Configuration,
    department_id: &str,
    comes: bool,
) -> Option<Department> {
    let department = configuration.departments.get(department_id)?;
    let users = if comes {
        department.users.saturating_add(1)
    } else {
        department.users.saturating_sub(1)
    };
    Some(Department {
        users,
        ..department.clone()
    })
}

/// Refuses to lift a person's restrictions with a key whose secret they have seen: their own, and
/// every key that has them in its chain of makers, for any user.
pub(super) fn check_not_own(owner: &KeyOwner, id: &str) -> Result<(), ApiError> {
    match owner.holders().contains(id) {
        true => Err(ApiError::forbidden(
            "you cannot end or shorten your own suspension or block, or raise your own role, not \
                even with a key that you made for somebody else; ask another administrator, whose \
                key you did not make",
        )),
        false => Ok(()),
    }
}

/// Returns the kind of a user's change, with its notice.
pub(super) enum Edit {
    Updated,
    Blocked(Option<Notice>),
    Released(Option<Notice>),
}

/// Changes one user with `edit`. `email` is their new address, if it changes.
pub(super) async fn change_user(
    app: &App,
    actor: &Actor,
    headers: &HeaderMap,
    id: &str,
    email: Option<&String>,
    edit: impl AsyncFnOnce(Arc<Snapshot>, User) -> Result<(User, Edit), ApiError> + Copy,
) -> Result<Response, ApiError> {
    if !is_user_id(id) {
        return Err(ApiError::not_found("user"));
    }
    let organisation_id = &actor.organisation_id;
    let now = app.clock.now();
    change(app, actor, None, async |snapshot| {
        let before = app.store.user(organisation_id, id).await?;
        let before = before.ok_or_else(|| ApiError::not_found("user"))?;
        let emails = email.into_iter().chain([&before.email]);
        let owners = MailOwners::read(app, organisation_id, id, emails).await?;
        check_version(headers, before.version)?;
        let (mut after, edit) = edit(snapshot.clone(), before.clone()).await?;
        after.version += 1;
        after.updated_at = now;
        let mail = owners.claim(Some(&before), &after)?;
        let departments = record_move(&snapshot.configuration, &before, &mut after, now);
        let user = Update::new(before, after, |user| to_json(&user_view(user, now)));
        let body = user.after.json.clone();
        let changed = match edit {
            Edit::Updated => Change::UserUpdated {
                user,
                departments,
                mail,
            },
            Edit::Blocked(notice) => Change::UserBlocked { user, mail, notice },
            Edit::Released(notice) => Change::UserReleased { user, mail, notice },
        };
        Ok(Proposal::showing(changed, 200, body))
    })
    .await
}

/// Records in `after` which department the user leaves, if it is in another one. Returns both
/// departments with their new counts.
fn record_move(
    configuration: &Configuration,
    before: &User,
    after: &mut User,
    now: Timestamp,
) -> Vec<Department> {
    if after.department_id == before.department_id {
        return Vec::new();
    }
    if let Some(left) = configuration.departments.get(&before.department_id) {
        after.move_to(after.department_id.clone(), left.index, now);
    }
    let left = counted(configuration, &before.department_id, false);
    let joined = counted(configuration, &after.department_id, true);
    left.into_iter().chain(joined).collect()
}
