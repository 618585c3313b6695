//! Creates, lists and changes users.

mod addresses;
pub(crate) mod blocking;
mod edit;
mod schema;
mod view;

use self::addresses::MailOwners;
use self::edit::{Edit, change_user, check_not_own, counted};
use self::schema::{CreateUser, UpdateUser};
use self::view::{UserView, user_view};
use super::App;
use super::change::{Actor, Proposal, change, check_all, check_department, check_user, user_of};
use super::in_force::read_configuration;
use super::json::to_json;
use super::parameters::take_department_id;
use super::replay::IdempotentRequest;
use super::visibility::{Visibility, hidden, user_for};
use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use http::HeaderMap;
use shared::domain::change::{Audited, Change};
use shared::domain::org::people::{Role, Status, User};
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

const ROLES: &[(&str, Option<Role>)] = &[
    ("member", Some(Role::Member)),
    ("manager", Some(Role::Manager)),
    ("admin", Some(Role::Admin)),
];

/// Creates a user in a department.
#[shared::endpoint(POST "/v1/users", ADMIN)]
#[utoipa::path(
    operation_id = "createUser",
    tag = "Users",
    params(IdempotencyKey),
    request_body = CreateUser,
    responses(
        (status = 201, description = "The user.", body = UserView),
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
        let existing = app.store.user(organisation_id, &id).await?;
        let own = existing.as_ref().map(|user| &user.email);
        let emails = own.into_iter().chain([&email]);
        let owners = MailOwners::read(&app, organisation_id, &id, emails).await?;
        check_all([
            check_department(configuration, "department_id", Some(&department_id)),
            check_user("manager_id", other_manager, manager.as_ref()),
            check_not_own_manager(&id, manager_id.as_ref()),
        ])?;
        if existing.is_some() {
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
        let body = to_json(&user_view(&user, now));
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

/// Lists the users, optionally of one department or status.
#[shared::endpoint(GET "/v1/users", MANAGED)]
#[utoipa::path(
    operation_id = "listUsers",
    tag = "Users",
    params(
        (
            "department" = Option<DepartmentId>, Query,
            description = "Only those of this department, without its subtree.",
        ),
        ("status" = Option<Status>, Query, description = "Only those of this status."),
        Page,
    ),
    responses(
        (status = 200, description = "A page of them, by id.", body = PageBody<UserView>),
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
    let department_id = take_department_id(&mut parameters, "department");
    let status = parameters.name::<Status>("status");
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
        let configuration = read_configuration(&app, owner).await?;
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
    let items: Vec<_> = page.items.iter().map(|user| user_view(user, now)).collect();
    let body = PageBody::new(items, page.next.as_deref(), &app.cursors, &list);
    Ok(json(200, to_json(&body)))
}

/// Shows a user, to themselves, their managers and administrators.
#[shared::endpoint(GET "/v1/users/{id}", OWN)]
#[utoipa::path(
    operation_id = "getUser",
    tag = "Users",
    params(("id" = UserId, Path, description = "The user.")),
    responses(
        (status = 200, description = "The user.", body = UserView),
        Invalid, Unknown, Denied,
    ),
)]
pub(crate) async fn read(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let owner = caller.owner()?;
    let user = user_for(&app, owner, &id).await?;
    Ok(json(200, to_json(&user_view(&user, app.clock.now()))))
}

/// Changes a user. The next preflight decides by the new state.
#[shared::endpoint(PATCH "/v1/users/{id}", ADMIN)]
#[utoipa::path(
    operation_id = "updateUser",
    tag = "Users",
    params(("id" = UserId, Path, description = "The user."), IfMatch),
    request_body = UpdateUser,
    responses(
        (status = 200, description = "The user as they are now.", body = UserView),
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
    let status = fields.changed_value("status", parse::name::<Status>);
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
            check_all([
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
