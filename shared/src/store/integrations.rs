//! What an organisation has set up for webhooks that come from others.

use super::Store;
use super::call::StoreError;
use super::keys;
use super::rows::Row;
use crate::domain::integration::{GithubIntegration, GithubRisks};

impl Row {
    /// The integration as it will be.
    pub fn github(
        organisation_id: &str,
        integration: &GithubIntegration,
    ) -> Result<Self, StoreError> {
        Self::new(keys::github(organisation_id), integration)
    }

    /// The table of risks as it will be.
    pub fn github_risks(organisation_id: &str, risks: &GithubRisks) -> Result<Self, StoreError> {
        Self::new(keys::github_risks(organisation_id), risks)
    }
}

impl Store {
    /// How GitHub's webhooks of an organisation are read; none where it was never set up.
    pub async fn github(
        &self,
        organisation_id: &str,
    ) -> Result<Option<GithubIntegration>, StoreError> {
        self.row(keys::github(organisation_id)).await
    }

    /// An organisation's own table of risks; none where it has the default one.
    pub async fn github_risks(
        &self,
        organisation_id: &str,
    ) -> Result<Option<GithubRisks>, StoreError> {
        self.row(keys::github_risks(organisation_id)).await
    }
}
