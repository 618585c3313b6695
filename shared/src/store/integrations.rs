//! An organisation's settings for incoming webhooks.

use super::Store;
use super::error::StoreError;
use super::keys;
use super::rows::Row;
use crate::domain::integration::{GithubIntegration, GithubRisks};

impl Row {
    pub fn github(
        organisation_id: &str,
        integration: &GithubIntegration,
    ) -> Result<Self, StoreError> {
        Self::new(keys::github(organisation_id), integration)
    }

    pub fn github_risks(organisation_id: &str, risks: &GithubRisks) -> Result<Self, StoreError> {
        Self::new(keys::github_risks(organisation_id), risks)
    }
}

impl Store {
    /// Returns how the GitHub webhooks of an organisation are read, or None if it never set this
    /// up.
    pub async fn github(
        &self,
        organisation_id: &str,
    ) -> Result<Option<GithubIntegration>, StoreError> {
        self.row(keys::github(organisation_id)).await
    }

    /// Returns an organisation's own table of risks, or None if it uses the default one.
    pub async fn github_risks(
        &self,
        organisation_id: &str,
    ) -> Result<Option<GithubRisks>, StoreError> {
        self.row(keys::github_risks(organisation_id)).await
    }
}
