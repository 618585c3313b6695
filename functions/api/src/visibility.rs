//! Limits what a key sees of its organisation: everything, the part its user manages, or its user.

use super::App;
use super::in_force::read_configuration;
use shared::domain::name::is_user_id;
use shared::domain::org::configuration::Configuration;
use shared::domain::org::people::User;
use shared::runtime::auth::may_act_for;
use shared::runtime::error::ApiError;
use shared::runtime::roles::RoleScope;
use shared::store::KeyOwner;
use std::collections::BTreeSet;

/// The part of the organisation that a key sees.
pub(crate) enum Visibility {
    All,
    /// These departments and users only.
    Some {
        departments: BTreeSet<String>,
        users: BTreeSet<String>,
    },
}

/// Returns the departments that the key's user manages, and all under them.
fn managed(configuration: &Configuration, own_id: &str) -> BTreeSet<String> {
    let ids = configuration.departments.keys();
    ids.filter(|id| configuration.manages(own_id, &configuration.path(id)))
        .cloned()
        .collect()
}

/// Returns whether the key's user is the manager of `user`, or of a department above them.
fn is_report(configuration: &Configuration, own_id: &str, user: &User) -> bool {
    let path = configuration.path(&user.department_id);
    user.manager_id.as_deref() == Some(own_id) || configuration.manages(own_id, &path)
}

impl Visibility {
    /// Returns the departments that a key sees, and of the users only its own.
    pub(crate) fn of_departments(owner: &KeyOwner, configuration: &Configuration) -> Self {
        match (owner.role.scope(), owner.user_id.as_deref()) {
            (RoleScope::All, _) => Self::All,
            (scope, own_id) => Self::Some {
                departments: match own_id {
                    Some(own_id) if scope == RoleScope::Managed => managed(configuration, own_id),
                    _ => BTreeSet::new(),
                },
                users: own_id.map(str::to_owned).into_iter().collect(),
            },
        }
    }

    /// Returns all that a key sees. For a manager it reads the users of the organisation.
    pub(crate) async fn of(app: &App, owner: &KeyOwner) -> Result<Self, ApiError> {
        if owner.role.scope() == RoleScope::All {
            return Ok(Self::All);
        }
        let configuration = read_configuration(app, owner).await?;
        let mut visibility = Self::of_departments(owner, &configuration);
        if let (Self::Some { users, .. }, Some(own_id)) =
            (&mut visibility, owner.user_id.as_deref())
            && owner.role.scope() == RoleScope::Managed
        {
            let is_seen = |user: &User| is_report(&configuration, own_id, user);
            let reports = app
                .store
                .users_that(&owner.organisation_id, is_seen)
                .await?;
            users.extend(reports.into_iter().map(|user| user.id));
        }
        Ok(visibility)
    }

    /// Returns whether it sees a department. None is the organisation as a whole.
    pub(crate) fn has_department(&self, id: Option<&str>) -> bool {
        match self {
            Self::All => true,
            Self::Some { departments, .. } => id.is_some_and(|id| departments.contains(id)),
        }
    }

    /// Returns whether it sees a user.
    pub(crate) fn has_user(&self, id: &str) -> bool {
        match self {
            Self::All => true,
            Self::Some { users, .. } => users.contains(id),
        }
    }

    /// Returns whether it sees something about a user or a department. If it is about neither, it
    /// is about the organisation.
    pub(crate) fn has_either(&self, user_id: Option<&str>, department_id: Option<&str>) -> bool {
        match self {
            Self::All => true,
            Self::Some { .. } => {
                self.has_department(department_id) || user_id.is_some_and(|id| self.has_user(id))
            }
        }
    }
}

/// Returns an error that does not tell whether the thing exists.
pub(crate) fn hidden() -> ApiError {
    ApiError::forbidden(
        "this key sees its own user only, and a manager's key their reports and departments",
    )
}

/// Finds a user that the key sees: itself, its reports, those of departments it manages, or any for
/// an administrator.
pub(crate) async fn user_for(app: &App, owner: &KeyOwner, id: &str) -> Result<User, ApiError> {
    if !is_user_id(id) {
        return Err(ApiError::not_found("user"));
    }
    let user = app.store.user(&owner.organisation_id, id).await?;
    if owner.role.scope() == RoleScope::All {
        return user.ok_or_else(|| ApiError::not_found("user"));
    }
    let (Some(user), Some(own_id)) = (user, owner.user_id.as_deref()) else {
        return Err(hidden());
    };
    if may_act_for(owner, &user.id) {
        return Ok(user);
    }
    if owner.role.scope() == RoleScope::Managed {
        let configuration = read_configuration(app, owner).await?;
        if is_report(&configuration, own_id, &user) {
            return Ok(user);
        }
    }
    Err(hidden())
}
