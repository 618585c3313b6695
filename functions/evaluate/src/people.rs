//! Whom a policy writes to.

use shared::domain::configuration::Configuration;
use shared::domain::notice::{Address, Recipient, RecipientStatus};
use shared::domain::people::{Status, User};
use shared::store::{Store, StoreError};

/// The most administrators that one notice goes to.
const MAX_ADMINISTRATORS: usize = 10;

/// A mail to `user`, and why they get it.
pub(super) fn mail(user: User, because: String) -> Recipient {
    Recipient {
        address: Address::Mail {
            user_id: user.id,
            email: user.email,
            name: user.name,
            because,
        },
        status: RecipientStatus::Queued,
    }
}

async fn active(
    store: &Store,
    organisation_id: &str,
    id: &str,
) -> Result<Option<User>, StoreError> {
    let user = store.user(organisation_id, id).await?;
    Ok(user.filter(|user| user.status == Status::Active))
}

/// The mail to a user's manager; where there is none, to the manager of the nearest department that has one; where there is
/// none of these, to the administrators. Each says so. Nobody where there is not even an administrator.
pub(super) async fn managers(
    store: &Store,
    configuration: &Configuration,
    user: Option<&User>,
) -> Result<Vec<Recipient>, StoreError> {
    let organisation_id = &configuration.organisation.id;
    let Some(user) = user else {
        let why = "the event names no user, and you are an administrator";
        return administrators(store, organisation_id, why).await;
    };
    let id = &user.id;
    if let Some(manager_id) = &user.manager_id
        && let Some(manager) = active(store, organisation_id, manager_id).await?
    {
        return Ok(vec![mail(manager, format!("you are the manager of {id}"))]);
    }
    let path = configuration.path(&user.department_id);
    for department_id in path.0.iter().rev() {
        let department = configuration.departments.get(department_id);
        let manager_id = department.and_then(|department| department.manager_id.as_deref());
        if let Some(manager_id) = manager_id.filter(|manager_id| manager_id != id)
            && let Some(manager) = active(store, organisation_id, manager_id).await?
        {
            let because =
                format!("{id} has no manager, and you manage the department {department_id}");
            return Ok(vec![mail(manager, because)]);
        }
    }
    let why = format!("nobody manages {id} or their department, and you are an administrator");
    administrators(store, organisation_id, &why).await
}

async fn administrators(
    store: &Store,
    organisation_id: &str,
    because: &str,
) -> Result<Vec<Recipient>, StoreError> {
    let all = store
        .administrators(organisation_id, MAX_ADMINISTRATORS)
        .await?;
    Ok(all
        .into_iter()
        .map(|user| mail(user, because.to_owned()))
        .collect())
}
