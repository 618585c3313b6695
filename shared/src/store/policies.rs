//! Policies: the rows that people see, and the published versions. An evaluation reads only these.

use super::Store;
use super::configuration::data;
use super::error::StoreError;
use super::keys::{self, POLICY, PUBLISHED};
use super::pages::Page;
use super::rows::Row;
use crate::domain::policy::{ActivePolicy, Policy, PolicyStatus};

impl Row {
    pub fn policy(organisation_id: &str, policy: &Policy) -> Result<Self, StoreError> {
        let key = keys::governance(organisation_id, format!("{POLICY}{}", policy.id));
        Self::replacing(key, policy)
    }

    pub fn no_policy(organisation_id: &str, id: &str) -> Self {
        Self::gone(keys::governance(organisation_id, format!("{POLICY}{id}")))
    }

    /// Builds the row of a policy that an evaluation reads.
    pub fn published(organisation_id: &str, policy: &ActivePolicy) -> Result<Self, StoreError> {
        let key = keys::governance(organisation_id, format!("{PUBLISHED}{}", policy.id));
        Self::new(key, policy)
    }

    /// Deletes the row that an evaluation reads.
    pub fn not_published(organisation_id: &str, id: &str) -> Self {
        Self::gone(keys::governance(
            organisation_id,
            format!("{PUBLISHED}{id}"),
        ))
    }
}

impl Store {
    pub async fn policy(
        &self,
        organisation_id: &str,
        id: &str,
    ) -> Result<Option<Policy>, StoreError> {
        self.row(keys::governance(organisation_id, format!("{POLICY}{id}")))
            .await
    }

    /// Lists the policies by id, optionally those of one status.
    pub async fn policies(
        &self,
        organisation_id: &str,
        status: Option<PolicyStatus>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<Policy>, StoreError> {
        let wanted = |policy: &Policy| status.is_none_or(|status| policy.status == status);
        self.page(organisation_id, POLICY, after, limit, wanted)
            .await
    }

    /// Returns the published policies. Leaves out and logs a version that this code does not know:
    /// one policy must not stop the others.
    pub async fn active_policies(
        &self,
        organisation_id: &str,
    ) -> Result<Vec<ActivePolicy>, StoreError> {
        let mut found = Vec::new();
        for row in self.rows_under(organisation_id, PUBLISHED).await? {
            match data::<ActivePolicy>(row) {
                Ok(policy) => found.push(policy),
                Err(error) => tracing::error!(
                    error_type = "unreadable_data",
                    organisation = organisation_id,
                    %error,
                    "a published policy is left out"
                ),
            }
        }
        Ok(found)
    }
}
