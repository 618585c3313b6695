//! Reads users, keys and organisations, one or in pages.

use super::Store;
use super::error::StoreError;
use super::keys::{self, API_KEY, ORGANISATIONS, USER};
use super::pages::Page;
use super::rows::Row;
use crate::domain::org::api_key::ApiKey;
use crate::domain::org::organisation::Organisation;
use crate::domain::org::people::{Role, Status, User};
use sha2::{Digest, Sha256};

/// Returns the SHA-256 of a secret, in hex. Nothing else of a secret is stored or cached.
pub fn digest_of(secret: &str) -> String {
    hex::encode(Sha256::digest(secret.as_bytes()))
}

/// Returns a digest of 128 bits, in hex, for sort keys: texts may be longer than those.
pub(super) fn short_digest(text: &str) -> String {
    digest_of(text).chars().take(32).collect()
}

impl Row {
    /// Builds the organisation's entry in the operator's list.
    pub fn organisation(organisation: &Organisation) -> Result<Self, StoreError> {
        Self::replacing(keys::organisation_entry(&organisation.id), organisation)
    }
}

impl Store {
    /// Reads a user consistently.
    pub async fn user(&self, organisation_id: &str, id: &str) -> Result<Option<User>, StoreError> {
        self.row(keys::governance(organisation_id, format!("{USER}{id}")))
            .await
    }

    pub async fn api_key(
        &self,
        organisation_id: &str,
        id: &str,
    ) -> Result<Option<ApiKey>, StoreError> {
        self.row(keys::governance(organisation_id, format!("{API_KEY}{id}")))
            .await
    }

    /// Lists the users who are `wanted`, by id.
    pub async fn users(
        &self,
        organisation_id: &str,
        wanted: impl Fn(&User) -> bool,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<User>, StoreError> {
        self.page(organisation_id, USER, after, limit, wanted).await
    }

    /// Returns all users who are `wanted`. Reads every user of the organisation.
    pub async fn users_that(
        &self,
        organisation_id: &str,
        wanted: impl Fn(&User) -> bool,
    ) -> Result<Vec<User>, StoreError> {
        let mut found: Vec<User> = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let page = self.page(organisation_id, USER, after.as_deref(), 1_000, &wanted);
            let page = page.await?;
            found.extend(page.items);
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(found),
            }
        }
    }

    /// Returns at most `most` active administrators.
    pub async fn administrators(
        &self,
        organisation_id: &str,
        most: usize,
    ) -> Result<Vec<User>, StoreError> {
        let wanted = |user: &User| user.role == Role::Admin && user.status == Status::Active;
        let mut found: Vec<User> = Vec::new();
        let mut after = None;
        loop {
            let left = most.saturating_sub(found.len());
            let page = self
                .page(organisation_id, USER, after.as_deref(), left, wanted)
                .await?;
            found.extend(page.items);
            match page.next {
                Some(next) if found.len() < most => after = Some(next),
                _ => return Ok(found),
            }
        }
    }

    /// Lists the keys that are `wanted`, by id.
    pub async fn api_keys(
        &self,
        organisation_id: &str,
        wanted: impl Fn(&ApiKey) -> bool,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<ApiKey>, StoreError> {
        self.page(organisation_id, API_KEY, after, limit, wanted)
            .await
    }

    /// Lists the organisations by id.
    pub async fn organisations(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<Organisation>, StoreError> {
        self.page(ORGANISATIONS, "", after, limit, |_| true).await
    }
}
