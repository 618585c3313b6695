//! The recipients of notices: managers, or administrators if there is no manager.

use crate::domain::notice::Recipient;
use crate::domain::org::configuration::Configuration;
use crate::domain::org::people::{Status, Superiors, User};
use crate::store::{Store, StoreError};

/// The most administrators who get one notice.
const MAX_ADMINISTRATORS: usize = 10;

impl Store {
    async fn active_user(
        &self,
        organisation_id: &str,
        id: &str,
    ) -> Result<Option<User>, StoreError> {
        let user = self.user(organisation_id, id).await?;
        Ok(user.filter(|user| user.status == Status::Active))
    }

    /// Returns the manager of the nearest department on the path of `department_id` whose manager
    /// is active, and that department.
    async fn department_manager(
        &self,
        configuration: &Configuration,
        department_id: &str,
    ) -> Result<Option<(User, String)>, StoreError> {
        let organisation_id = &configuration.organisation.id;
        let path = configuration.path(department_id);
        for department_id in path.0.iter().rev() {
            let department = configuration.departments.get(department_id);
            let manager_id = department.and_then(|department| department.manager_id.as_deref());
            if let Some(manager_id) = manager_id
                && let Some(manager) = self.active_user(organisation_id, manager_id).await?
            {
                return Ok(Some((manager, department_id.clone())));
            }
        }
        Ok(None)
    }

    /// Returns a user's manager, or the manager of the nearest department that is somebody else,
    /// with the reason for the choice.
    pub async fn manager_of(
        &self,
        configuration: &Configuration,
        user: &User,
    ) -> Result<Option<(User, String)>, StoreError> {
        let organisation_id = &configuration.organisation.id;
        let id = &user.id;
        for (manager_id, department_id) in configuration.manager_candidates(user) {
            let Some(manager) = self.active_user(organisation_id, manager_id).await? else {
                continue;
            };
            let because = match department_id {
                None => format!("you are the manager of {id}"),
                Some(department_id) => {
                    format!("{id} has no manager, and you manage the department {department_id}")
                }
            };
            return Ok(Some((manager, because)));
        }
        Ok(None)
    }

    /// Returns the people who can be asked about a user: the manager whom [`Store::manager_of`]
    /// finds or, if there is none, the administrators.
    pub async fn superiors_of(
        &self,
        configuration: &Configuration,
        user: &User,
    ) -> Result<Superiors, StoreError> {
        let manager = self.manager_of(configuration, user).await?;
        let administrators = match &manager {
            Some(_) => Vec::new(),
            None => {
                self.some_administrators(&configuration.organisation.id)
                    .await?
            }
        };
        Ok(Superiors {
            manager,
            administrators,
        })
    }

    /// Returns the administrators who get a notice if there is no manager.
    pub async fn some_administrators(
        &self,
        organisation_id: &str,
    ) -> Result<Vec<User>, StoreError> {
        self.administrators(organisation_id, MAX_ADMINISTRATORS)
            .await
    }

    /// Returns the administrators as recipients, with the reason.
    pub async fn administrator_recipients(
        &self,
        organisation_id: &str,
        because: &str,
    ) -> Result<Vec<Recipient>, StoreError> {
        let all = self.some_administrators(organisation_id).await?;
        let each = all
            .iter()
            .map(|user| Recipient::mail(user, because.to_owned()));
        Ok(each.collect())
    }

    /// Returns the recipients of alerts about a budget: the manager of its department or of the
    /// nearest one above it that has one. Returns the administrators if there is no manager, and
    /// for the organisation's own budget.
    pub(crate) async fn budget_recipients(
        &self,
        configuration: &Configuration,
        department_id: Option<&str>,
    ) -> Result<Vec<Recipient>, StoreError> {
        if let Some(department_id) = department_id
            && let Some((manager, managed)) = self
                .department_manager(configuration, department_id)
                .await?
        {
            let because = format!("you manage the department {managed}");
            return Ok(vec![Recipient::mail(&manager, because)]);
        }
        let because = match department_id {
            Some(id) => format!("nobody manages the department {id}, and you are an administrator"),
            None => "you are an administrator".to_owned(),
        };
        self.administrator_recipients(&configuration.organisation.id, &because)
            .await
    }
}
