//! Creates, lists, changes, blocks and releases users.

use super::addresses::MailOwners;
use super::change::{
    Actor, Proposal, all, change, check_department, check_user, check_version, user_of,
};
use super::openapi::bodies::{BlockUser, CreateUser, UpdateUser};
use super::replay::IdempotentRequest;
use super::visibility::{Visibility, hidden};
use super::{App, view};
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use shared::domain::change::{Audited, Change, Update};
use shared::domain::name::{is_slug, is_user_id};
use shared::domain::notice::Notice;
use shared::domain::notice::blocking::{blocked_by_hand, released};
use shared::domain::org::configuration::Configuration;
use shared::domain::org::department::Department;
use shared::domain::org::people::{Block, Role, Status, User};
use shared::runtime::auth::Caller;
use shared::runtime::error::ApiError;
use shared::runtime::fields::Fields;
use shared::runtime::http::{Body, RequestId, json};
use shared::runtime::list::{PageBody, Parameters};
use shared::runtime::openapi::{
    Conflict, Denied, DepartmentId, IdempotencyKey, IfMatch, Invalid, Page, TooLarge, Unknown,
    UserId,
};
use shared::runtime::parse;
use shared::store::{KeyOwner, Snapshot, new_id};
use std::sync::Arc;

const ROLES: &[(&str, Option<Role>)] = &[
    ("member", Some(Role::Member)),
    ("manager", Some(Role::Manager)),
    ("admin", Some(Role::Admin)),
];
const STATUSES: &[(&str, Status)] = &[("active", Status::Active), ("suspended", Status::Suspended)];

/// Creates a user in a department.
#[shared::endpoint(POST "/v1/users", ADMIN)]
#[utoipa::path(
    operation_id = "createUser",
    tag = "Users",
    params(IdempotencyKey),
    request_body = CreateUser,
    responses(
        (status = 201, description = "The user.", body = view::UserView),
        Invalid, Unknown, Conflict, TooLarge, Denied,
    ),
)]
pub(crate) async fn create(
    State(app): State<App>,
    caller: Caller,
    RequestId(request_id): RequestId,
    headers: HeaderMap,
    Body(body): Body,
) -> Result<Response, ApiError> {
    let owner = caller.owner()?;
    let mut fields = Fields::of_body(&body)?;
    let id = fields.required("id", parse::user_id);
    let email = fields.required("email", parse::email);
    let name = fields.required("name", parse::display_name);
    let department_id = fields.required("department_id", parse::slug);
    let manager_id = fields.optional("manager_id", parse::user_id);
    let role = fields.required("role", parse::one_of(ROLES));
    fields.finish()?;
    let idempotent = IdempotentRequest::of(&headers, &caller, "/v1/users", &body)?;
    let actor = Actor::of(owner, &request_id);
    let now = app.clock.now();
    change(&app, &actor, idempotent.as_ref(), async |snapshot| {
        let configuration = &snapshot.configuration;
        let organisation_id = &owner.organisation_id;
        let other_manager = manager_id.as_ref().filter(|manager| **manager != id);
        let manager = user_of(&app, organisation_id, other_manager).await?;
        let known = app.store.user(organisation_id, &id).await?;
        let own = known.as_ref().map(|user| &user.email);
        let emails = own.into_iter().chain([&email]);
        let owners = MailOwners::read(&app, organisation_id, &id, emails).await?;
        all([
            check_department(configuration, "department_id", Some(&department_id)),
            check_user("manager_id", other_manager, manager.as_ref()),
            check_not_own_manager(&id, manager_id.as_ref()),
        ])?;
        if known.is_some() {
            return Err(ApiError::conflict(format!(
                "there is a user {id:?} already"
            )));
        }
        let user = User {
            id: id.clone(),
            email: email.clone(),
            name: name.clone(),
            department_id: department_id.clone(),
            former: Vec::new(),
            manager_id: manager_id.clone(),
            role: role.unwrap_or(Role::Member),
            status: Status::Active,
            block: None,
            version: 1,
            created_at: now,
            updated_at: now,
        };
        let body = view::text(&view::user(&user, now));
        let created = Change::UserCreated {
            mail: owners.claim(None, &user)?,
            department: counted(configuration, &department_id, true),
            user: Audited::new(user, body.clone()),
        };
        Ok(Proposal::showing(created, 201, body))
    })
    .await
}

fn check_not_own_manager(id: &str, manager_id: Option<&String>) -> Result<(), ApiError> {
    if manager_id.is_some_and(|manager| manager == id) {
        return Err(ApiError::field("manager_id", "must be another user"));
    }
    Ok(())
}

/// Returns the department with one user more or less.
fn counted(configuration: &Configuration, department_id: &str, comes: bool) -> Option<Department> {
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

/// Lists the users, optionally of one department or status.
#[shared::endpoint(GET "/v1/users", MANAGED)]
#[utoipa::path(
    operation_id = "listUsers",
    tag = "Users",
    params(
        (
            "department" = Option<DepartmentId>, Query,
            description = "Those of this department only, not of its subtree.",
        ),
        ("status" = Option<Status>, Query, description = "Those of this status only."),
        Page,
    ),
    responses(
        (status = 200, description = "A page of them, by id.", body = PageBody<view::UserView>),
        Invalid, Unknown, Denied,
    ),
)]
pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let owner = caller.owner()?;
    let mut parameters = Parameters::of_query(query.as_deref());
    let department_id = parameters.take("department", "must be a department's id", |text| {
        is_slug(text).then(|| text.to_owned())
    });
    let status = parameters.one_of("status", STATUSES);
    let list = format!(
        "{} users {department_id:?} {status:?} {}",
        owner.organisation_id, owner.key_id
    );
    let asked = app.cursors.page(&mut parameters, &list);
    parameters.finish()?;
    let visibility = Visibility::of(&app, owner).await?;
    // A key that does not see everything may not learn which departments exist.
    if department_id.is_some() && !visibility.has_department(department_id.as_deref()) {
        return Err(hidden());
    }
    if let (Some(id), Visibility::All) = (&department_id, &visibility) {
        let configuration = super::budgets::configuration(&app, owner).await?;
        if !configuration.departments.contains_key(id) {
            return Err(ApiError::field("department", "there is no such department"));
        }
    }
    let wanted = |user: &User| {
        department_id
            .as_ref()
            .is_none_or(|id| user.department_id == *id)
            && status.is_none_or(|status| user.status == status)
            && visibility.has_user(&user.id)
    };
    let page = app
        .store
        .users(
            &owner.organisation_id,
            wanted,
            asked.after.as_deref(),
            asked.limit,
        )
        .await?;
    let now = app.clock.now();
    let items: Vec<_> = page
        .items
        .iter()
        .map(|user| view::user(user, now))
        .collect();
    let body = PageBody::new(items, page.next.as_deref(), &app.cursors, &list);
    Ok(json(200, view::text(&body)))
}

/// Shows a user, to themselves, their managers and administrators.
#[shared::endpoint(GET "/v1/users/{id}", OWN)]
#[utoipa::path(
    operation_id = "getUser",
    tag = "Users",
    params(("id" = UserId, Path, description = "The user.")),
    responses(
        (status = 200, description = "The user.", body = view::UserView),
        Invalid, Unknown, Denied,
    ),
)]
pub(crate) async fn read(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let owner = caller.owner()?;
    let user = super::visibility::user(&app, owner, &id).await?;
    Ok(json(200, view::text(&view::user(&user, app.clock.now()))))
}

/// Refuses to lift a person's restrictions with a key whose secret they have seen: their own, and
/// every key that has them in its chain of makers, for any user.
fn check_not_own(owner: &KeyOwner, id: &str) -> Result<(), ApiError> {
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
enum Edit {
    Updated,
    Blocked(Option<Notice>),
    Released(Option<Notice>),
}

/// Changes one user with `edit`. `email` is their new address, if it changes.
async fn change_user(
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
        let departments = moved(&snapshot.configuration, &before, &mut after, now);
        let user = Update::new(before, after, |user| view::text(&view::user(user, now)));
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
fn moved(
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

/// Changes a user. The next preflight decides by the new state.
#[shared::endpoint(PATCH "/v1/users/{id}", ADMIN)]
#[utoipa::path(
    operation_id = "updateUser",
    tag = "Users",
    params(("id" = UserId, Path, description = "The user."), IfMatch),
    request_body = UpdateUser,
    responses(
        (status = 200, description = "The user as they are now.", body = view::UserView),
        Invalid, Unknown, Conflict, TooLarge, Denied,
    ),
)]
pub(crate) async fn update(
    State(app): State<App>,
    caller: Caller,
    RequestId(request_id): RequestId,
    headers: HeaderMap,
    Path(id): Path<String>,
    Body(body): Body,
) -> Result<Response, ApiError> {
    let owner = caller.owner()?;
    let mut fields = Fields::of_body(&body)?;
    let email = fields.changed_value("email", parse::email);
    let name = fields.changed_value("name", parse::display_name);
    let department_id = fields.changed_value("department_id", parse::slug);
    let manager_id = fields.changed("manager_id", parse::user_id);
    let role = fields.changed_value("role", parse::one_of(ROLES)).flatten();
    let status = fields.changed_value("status", parse::one_of(STATUSES));
    fields.finish()?;
    let actor = Actor::of(owner, &request_id);
    let manager_named = manager_id.iter().flatten().next();
    change_user(
        &app,
        &actor,
        &headers,
        &id,
        email.as_ref(),
        async |snapshot, mut user| {
            let configuration = &snapshot.configuration;
            let manager = user_of(&app, &owner.organisation_id, manager_named).await?;
            all([
                check_department(configuration, "department_id", department_id.as_ref()),
                check_user("manager_id", manager_named, manager.as_ref()),
                check_not_own_manager(&id, manager_named),
            ])?;
            let is_raised = role.is_some_and(|role| !role.is_within(user.role));
            let is_freed = user.status == Status::Suspended && status == Some(Status::Active);
            if is_raised || is_freed {
                check_not_own(owner, &id)?;
            }
            let set = |slot: &mut String, value: &Option<String>| {
                if let Some(value) = value {
                    slot.clone_from(value);
                }
            };
            set(&mut user.email, &email);
            set(&mut user.name, &name);
            set(&mut user.department_id, &department_id);
            user.manager_id = manager_id.clone().unwrap_or(user.manager_id.take());
            user.role = role.unwrap_or(user.role);
            user.status = status.unwrap_or(user.status);
            Ok((user, Edit::Updated))
        },
    )
    .await
}

/// Refuses every request of a user from now on, until a time or until the user is released.
#[shared::endpoint(PUT "/v1/users/{id}/block", ADMIN)]
#[utoipa::path(
    operation_id = "blockUser",
    tag = "Users",
    params(("id" = UserId, Path, description = "The user."), IfMatch),
    request_body = BlockUser,
    responses(
        (status = 200, description = "The user with the block.", body = view::UserView),
        Invalid, Unknown, Conflict, TooLarge, Denied,
    ),
)]
pub(crate) async fn block(
    State(app): State<App>,
    caller: Caller,
    RequestId(request_id): RequestId,
    headers: HeaderMap,
    Path(id): Path<String>,
    Body(body): Body,
) -> Result<Response, ApiError> {
    let owner = caller.owner()?;
    let now = app.clock.now();
    let mut fields = Fields::of_body(&body)?;
    let reason = fields.required("reason", parse::sentence(500));
    let until = fields.optional("until", parse::timestamp);
    if until.is_some_and(|until| until <= now) {
        fields.also_invalid("until", "must be in the future");
    }
    fields.finish()?;
    let actor = Actor::of(owner, &request_id);
    change_user(
        &app,
        &actor,
        &headers,
        &id,
        None,
        async |snapshot, mut user| {
            let superiors = app
                .store
                .superiors_of(&snapshot.configuration, &user)
                .await?;
            let block = Block {
                policy_id: None,
                reason: reason.clone(),
                since: now,
                until,
            };
            let ends_before = |known: &Block| {
                known.is_in_force(now)
                    && until.is_some_and(|until| known.until.is_none_or(|end| until < end))
            };
            if user.block.as_ref().is_some_and(ends_before) {
                check_not_own(owner, &user.id)?;
            }
            let says_the_same = |known: &Block| {
                known.is_in_force(now)
                    && known.policy_id.is_none()
                    && known.reason == reason
                    && known.until == until
            };
            // A repeated block sends no second notice.
            let notice = if user.block.as_ref().is_some_and(says_the_same) {
                None
            } else {
                let id = new_id("ntc_", now, 0)?;
                Some(blocked_by_hand(id, &user, &block, &superiors))
            };
            user.block = Some(block);
            Ok((user, Edit::Blocked(notice)))
        },
    )
    .await
}

/// Ends the block of a user, regardless of its origin. Releasing the user again changes nothing.
#[shared::endpoint(DELETE "/v1/users/{id}/block", ADMIN)]
#[utoipa::path(
    operation_id = "releaseUser",
    tag = "Users",
    params(("id" = UserId, Path, description = "The user."), IfMatch),
    responses(
        (status = 204, description = "The user is not blocked."),
        Invalid, Unknown, Conflict, Denied,
    ),
)]
pub(crate) async fn release(
    State(app): State<App>,
    caller: Caller,
    RequestId(request_id): RequestId,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let owner = caller.owner()?;
    let actor = Actor::of(owner, &request_id);
    let now = app.clock.now();
    change_user(
        &app,
        &actor,
        &headers,
        &id,
        None,
        async |snapshot, mut user| {
            let superiors = app
                .store
                .superiors_of(&snapshot.configuration, &user)
                .await?;
            let ended = user.block.take().filter(|block| block.is_in_force(now));
            let notice = match ended {
                Some(block) => {
                    check_not_own(owner, &user.id)?;
                    let id = new_id("ntc_", now, 0)?;
                    Some(released(id, &user, &block, &superiors, now))
                }
                None => None,
            };
            Ok((user, Edit::Released(notice)))
        },
    )
    .await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
